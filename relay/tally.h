/*
 * From a session with a host, or the failed try at one, to what TLS reports count (RFC 8460 4): once
 * against each policy that applied, DANE's TLSA records and MTA-STS both where both do, and against
 * "no policy found" where the receiver publishes none. Pure.
 *
 * Choices where RFC 8460 leaves one:
 *  - What is counted is whether a host could be spoken to safely: a host that cannot be reached, or
 *    turns us away before STARTTLS, is not; one that turns us away under TLS is a success.
 *  - Policies that exist but were not asked for (the operator's "none" and "may", another resolver's
 *    failure, a sender who waived them) count neither as kept nor as broken nor as not found.
 *  - TLSA records of which none is usable are tlsa-invalid, though the mail travels encrypted; so is a
 *    certificate that none of them matches, since none of the records was found to be valid. Where one
 *    matches and the name or the date does not do, or the chain is not sound, that is what is said.
 *  - MX or address records that fail DNSSEC validation are dnssec-invalid under DANE, whose records nobody
 *    could ask for then; the domain hears of it when its zone is mended.
 *  - A host that an MTA-STS policy does not name is a validation-failure (sts-mx-name); so is MTA-STS
 *    where DANE refused the session before it could be judged.
 *  - While a policy is kept whose renewal fails, what counts is whether sessions keep to it. RFC 8461 6
 *    would have the failure reported too; it is in our log, for no session has failed by it.
 *  - The policy is told as it was understood: lines that mean nothing to us are left out (RFC 8460 4.5).
 *  - An operator's next hop is reported on as RFC 8460 1.1 says: under its own name.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "relay/outcome.h"
#include "relay/plan.h"
#include "relay/tls_count.h"

enum { TALLY_MAX = 2 }; /* policies that a session can be counted against */

struct tally_try {
	const struct plan *plan;
	const struct plan_host *host;
	bool is_secure; /* TLS stands, as the host's requirement demands */
	bool is_plain;  /* or mail may go in plaintext: there was no TLS, or trouble was with it */
	const struct outcome *trouble; /* NULL: none; else what kept it from being secure */
	enum point point;              /* where that was; POINT_ROUTE: the host is not to be used */
	bool is_over;                  /* and whether it was said, or the connection broke */
	const struct outcome
	    *verdicts; /* of the host's watches; NULL: there is no session to judge */
	const char *address, *sender; /* its and ours, numeric; "" */
};

/* Into counts, to be finished each; how many. */
size_t tally(const struct tally_try *try, struct tls_count counts[TALLY_MAX]);

void tally_finish(struct tls_count *count);
