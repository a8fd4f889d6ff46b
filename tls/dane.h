/*
 * Which TLSA records mean something to us (RFC 6698 2.1, RFC 7672 3.1). Everything else must be
 * filtered here before it reaches the handshake.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "tls/requirement.h"

/*
 * Usages 2 and 3 only (0 and 1 have no meaning for mail, RFC 7672 3.1.3); selectors 0 and 1; types 1
 * and 2 with a digest of the right length, type 0 with exactly one certificate or public key in DER.
 */
bool tlsa_is_usable(const struct tlsa_record *record);

enum { TLSA_TEXT_MAX = 96 }; /* enough of a record for a person to know it by */

/* "3 1 1 0123abcd..." with the data cut to what fits. */
void tlsa_print(const struct tlsa_record *record, char *text, size_t room);
