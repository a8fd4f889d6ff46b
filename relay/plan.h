/*
 * The answer of route for one recipient domain: which hosts, in which order, and what TLS each of
 * them must show, by whose demand. Everything after route only reads it (an attempt may change the
 * order of a host's addresses, where it has a connection to one), and explain prints it.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/domain.h"
#include "relay/base/outcome.h"
#include "relay/lookup/answer.h"
#include "relay/lookup/sts.h"
#include "tls/requirement.h"

enum { PLAN_ADDRESSES_MAX = 16, PLAN_HOSTS_MAX = 20, PLAN_WATCHES_MAX = 2 };

union plan_address {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
};

/*
 * A requirement that is not enforced, but held against what the host shows, and told: what "observe"
 * would have refused, what MTA-STS in testing, or behind DANE, says of it (RFC 8460 4.2).
 */
struct plan_watch {
	enum tls_demand demand; /* partner or mta-sts */
	struct tls_requirement tls;
	struct outcome
	    unusable; /* OUTCOME_OK, or why the rule forbids the host whatever it shows */
};

struct plan_host {
	char name[DOMAIN_MAX];
	uint16_t preference;
	union plan_address addresses[PLAN_ADDRESSES_MAX]; /* in the order to try; with the port */
	size_t n_addresses;
	enum security address_security;
	enum security tlsa_security;
	enum answer_status tlsa_status; /* ANSWER_NOT_ASKED where the addresses aren't secure */
	size_t n_tlsa_published;        /* before filtering */
	char tlsa_base[DOMAIN_MAX];     /* the name the records were found under; "" if not asked */
	struct tls_requirement tls;
	struct outcome unusable; /* OUTCOME_OK if the host may be used; otherwise why it may not */
	struct plan_watch watches[PLAN_WATCHES_MAX];
	size_t n_watches;
	bool
	    has_tlsa_policy; /* DANE applies: its TLSA records, usable or not, are a policy to count
			       * against (RFC 8460), and so is the failure to learn them */
	char *tlsa_texts;    /* all that were published, a line each "3 1 1 ABC..."; "" if none */
};

struct plan {
	char domain[DOMAIN_MAX];   /* of the recipients */
	char next_hop[DOMAIN_MAX]; /* what was asked about: domain, or the operator's route */
	bool is_route;             /* the operator's: no MX, no MTA-STS, no domain of strangers */
	char login[256];           /* at the next hop; "" for none */
	bool needs_requiretls;     /* the server must offer REQUIRETLS (RFC 8689 4.2.1, 5) */
	bool is_impaired;          /* the resolver does not validate: see facts.h */
	struct sts_finding
	    sts; /* has_policy: one is in force, applied or not; its problem is of the last try */
	char partner[DOMAIN_MAX]; /* the rule that applies, as it is written; "" for none */
	char exception
	    [256]; /* in force: "until 2026-12-01T00:00:00Z, tls=encrypt (ticket 123)"; "" */
	int64_t exception_ends_ms; /* monotonic; then it is another plan. 0 for none */
	enum security mx_security;
	bool mx_implicit; /* no MX: the domain itself is the host, RFC 5321 5.1 */
	struct plan_host *hosts;
	size_t n_hosts;
	struct outcome refusal; /* OUTCOME_OK, or why there is nothing to try at all */
	int64_t valid_until_ms; /* monotonic */
};

void plan_finish(struct plan *plan);
