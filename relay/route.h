/*
 * From what the DNS says and what the operator wrote to a plan: which hosts, in which order, and
 * what TLS each must show, by whose demand. Asks nobody and keeps nothing.
 *
 * Rules of its own, where the RFCs leave a choice:
 *  - An error, a timeout or bogus data never bounces mail; it defers (RFC 5321 5.1, RFC 7672 2.1).
 *  - Insecure MX records name hosts that an attacker may have chosen: TLSA records of such hosts are
 *    not used (RFC 7672 2.2.1), unless the operator's partner rule lists the MX names itself.
 *  - A partner rule of "none" or "may" is the operator's exception to DANE, as the failing of a
 *    receiver's records sometimes needs; "encrypt" is raised to "dane" by usable records; "verify",
 *    "secure" and "fingerprint" stand as written, because they name their trust themselves.
 *  - Where the operator's level for everybody is weaker than "dane", DANE is off for everybody but
 *    partners of "dane" and "dane-only".
 *  - A host that bears our own name is ourselves, and so are those no better than it
 *    (RFC 5321 5.1); an address counts as ours if we listen there on the delivery port.
 */
#pragma once

#include <stdint.h>

#include "config/config.h"
#include "relay/lookup/facts.h"
#include "relay/plan.h"

/*
 * shuffle orders hosts of equal preference (RFC 5321 5.1 wants them spread): any number, best a
 * random one. Fills *plan, which is the caller's to plan_finish().
 */
void route_find(
    const struct config *config, const struct facts *facts, uint64_t shuffle, struct plan *plan);
