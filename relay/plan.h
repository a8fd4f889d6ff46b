/*
 * The answer of route for one recipient domain: which hosts, in which order, and what TLS each of
 * them must show, by whose demand. Everything after route only reads it, and explain prints it.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/domain.h"
#include "relay/base/outcome.h"
#include "relay/lookup/answer.h"
#include "tls/requirement.h"

enum { PLAN_ADDRESSES_MAX = 16, PLAN_HOSTS_MAX = 20 };

union plan_address {
	struct sockaddr any;
	struct sockaddr_in ipv4;
	struct sockaddr_in6 ipv6;
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
};

struct plan {
	char domain[DOMAIN_MAX];
	enum security mx_security;
	bool mx_implicit; /* no MX: the domain itself is the host, RFC 5321 5.1 */
	struct plan_host *hosts;
	size_t n_hosts;
	struct outcome refusal; /* OUTCOME_OK, or why there is nothing to try at all */
	int64_t valid_until_ms; /* monotonic */
};

void plan_finish(struct plan *plan);
