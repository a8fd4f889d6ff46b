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

/* What a message, and the account it came from, ask of the way. */
struct route_wish {
	enum tls_level floor; /* the account's tls-floor; TLS_NONE: none */
	bool requires_tls;    /* RFC 8689 2: REQUIRETLS */
	bool tls_optional;    /* RFC 8689 5: TLS-Required: No */
};

struct route_question {
	const char *domain;               /* of the recipients, canonical */
	const struct config_route *route; /* config_find_route(); NULL: its MX */
	struct route_wish wish;
	int64_t now_s; /* wall clock, for exceptions and the life of policies */
	uint64_t
	    shuffle; /* orders hosts of equal preference (RFC 5321 5.1): any number, best random */
};

/* facts: of question->domain, or of the host of its route. Fills *plan, to be plan_finish()ed. */
void route_find(const struct config *config, const struct facts *facts,
    const struct route_question *question, struct plan *plan);
