/*
 * Facts and plans as lines of text, so that the tables of the tests read as documentation.
 *
 * Facts: "mx=STATUS/SECURITY [expanded=NAME] [null] [implicit] [impaired] [sts=MODE:PATTERN,...]", or
 * "host=NAME" for the host of a route. sts=unknown could not be fetched; sts=expired is over. Then one
 * line for each host: "PREFERENCE NAME [a=STATUS/SECURITY:ADDRESS,...] [aaaa=...] [to=EXPANDED]
 * [base=NAME] [tlsa=STATUS/SECURITY:U-S-M,...]", where U-S-M! has data of a wrong length and "short" is
 * less than a record. a and aaaa are nodata/secure if not given, tlsa is not asked. NAME "!x" is what
 * can't be a host, "." a null MX.
 *
 * Plans: "refused CODE NAME" if there is nothing to try; "implicit"; "exception TEXT"; "by route [as
 * LOGIN]"; then the hosts: "PREFERENCE NAME ADDRESS[@PORT],... REQUIREMENT [| CODE NAME]", each with its
 * "  watch DEMAND: REQUIREMENT [| CODE NAME]". A requirement: "LEVEL by DEMAND [tlsa=N|unusable] [sni=]
 * [names=] [pins=U-S-M:DATA,...]".
 */
#pragma once

#include "relay/base/buffer.h"
#include "relay/lookup/facts.h"
#include "relay/plan.h"

#define ROUTE_DOMAIN "d.example"
enum { ROUTE_NOW_S = 1800000000 }; /* policies are read as if it were then */

/* facts_finish() them. */
void route_text_read(const char *text, struct facts *facts);
void route_text_print(const struct plan *plan, struct buffer *out);
