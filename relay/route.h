/*
 * From what the DNS says and what the operator wrote to a plan: which hosts, in which order, and
 * what TLS each must show, by whose demand. Asks nobody and keeps nothing.
 *
 * The operator's word comes first: his route, a partner's exception while it is in force, the partner's
 * rule, or what holds for everybody. The receiver's policies then raise it, DANE before MTA-STS; what
 * the message asks (the floor of its account, REQUIRETLS) comes last. Nothing that comes later lowers
 * what came before. Rules of its own, where the RFCs leave a choice:
 *
 *  - An error, a timeout or bogus data never bounces mail; it defers (RFC 5321 5.1, RFC 7672 2.1). So
 *    does whatever TLS does not suffice; only REQUIRETLS is permanent where RFC 8689 says so.
 *  - A host that bears our own name is ourselves, and so are those no better than it
 *    (RFC 5321 5.1); an address counts as ours if we listen there on the delivery port.
 *
 * DANE (RFC 7672)
 *  - Insecure MX records name hosts that an attacker may have chosen: TLSA records of such hosts are
 *    used as delivery { dane-insecure-mx } says (RFC 7672 2.2.1), and never are enough for "dane-only",
 *    unless the operator's partner rule lists the MX names itself. Then the host's own name is the only
 *    one that a usage 2 certificate may bear (3.2.2).
 *  - Without MX records the host is the domain itself, which nobody else chose: its TLSA records
 *    count however the denial came.
 *  - Where the operator's level for everybody is weaker than "dane", DANE is off for everybody but
 *    partners of "dane" and "dane-only", and accounts of tls-floor "dane-only".
 *  - Worse MX hosts with DANE are not preferred to better ones without: the order is the receiver's.
 *
 * MTA-STS (RFC 8461)
 *  - Per host, a policy stays behind usable TLSA records and behind the failure to learn them; it is
 *    then watched for the reports. Unusable records, and those behind insecure MX records, authenticate
 *    nobody for sure: there an enforced policy holds, since it is stricter.
 *  - A host that an enforced policy does not name makes mail wait: policy or MX may be about to change.
 *  - A policy that can't be had counts as none (RFC 8461 3.3). But where we had no time to look, or DNSSEC
 *    says that somebody tampers with the record or the policy host's address, mail waits.
 *
 * Partners
 *  - "none" and "may" are the operator's exception to what the receiver asks, as the failing of a
 *    receiver's records sometimes needs (RFC 7672 9.1); "encrypt" is raised by usable records and by an
 *    enforced policy; "verify", whose trust is the system's, by an enforced policy. "secure", "fingerprint"
 *    and "verify" with a trust of its own stand as written, as RFC 7672 9.1 and 10 leave the operator, and
 *    against the letter of RFC 8461 5.
 *  - An exception stands instead of the whole rule, its MX names included; what names and pins its level
 *    needs are the rule's. Nothing of the receiver raises it.
 *  - A rule in mode observe decides nothing. What it would have decided is a watch.
 *
 * What the message asks
 *  - The account's floor "verify" is covered by whatever authenticates the server, and otherwise means
 *    the host's own name; "dane-only" by DANE alone: where the operator names another trust for the
 *    destination both can't be had, and mail waits for him to choose.
 *  - REQUIRETLS takes MX records under DNSSEC, or a policy that names the host (enforced or in testing:
 *    the list is as authentic), or a host that no MX record chose, or a partner's rule that names its
 *    trust itself; and then DANE, that trust, or a certificate for the host's name. Neither "may" nor an exception lowers it.
 *  - TLS-Required: No waives what the receiver asks, and nothing that the operator does.
 *
 * Routes of the operator
 *  - The partner rule of the recipient domain is not for them: its names and pins are those of the
 *    partner's hosts, which the next hop is not; how it goes on from there is the next hop's affair.
 *    MTA-STS is not for them either, though RFC 8461 3.4 would have the next hop's own policy asked for:
 *    what TLS his next hop must show the operator says. Floor and REQUIRETLS hold for the hop.
 *  - A route that leads nowhere is the operator's mistake, and returns no mail. It may lead to loopback.
 *  - A login never travels in plaintext, even if the level "dane" finds no TLSA records.
 *
 * While our resolver does not validate (facts->is_impaired), which RFC 7672 2.1.1 does not foresee,
 * nothing is secure: "dane-only" waits, and
 * so does all that would ask for DANE if dns { when-impaired = defer }; the rest goes as if there was no
 * DANE, and the plan says so.
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
	bool is_notification; /* RFC 8689 5: as well protected, but the server need not offer it */
	bool tls_optional;    /* RFC 8689 3: TLS-Required: No */
};

struct route_question {
	const char *domain;               /* of the recipients, canonical */
	const struct config_route *route; /* config_find_route(); NULL: its MX */
	struct route_wish wish;
	int64_t now_s; /* wall clock, for exceptions and the life of policies */
	uint64_t
	    shuffle; /* orders hosts of equal preference (RFC 5321 5.1): any number, best random */
};

/*
 * facts: of question->domain, or of the host of its route; about anything else there is nothing to
 * try. Fills *plan, to be plan_finish()ed.
 */
void route_find(const struct config *config, const struct facts *facts,
    const struct route_question *question, struct plan *plan);
