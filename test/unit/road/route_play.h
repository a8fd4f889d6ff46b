/*
 * Route played from tables: a setting and facts in, the plan out, facts and plan as text (route_text.h).
 * The partners that the tables speak of are here; each is the rule for ROUTE_DOMAIN.
 */
#pragma once

#include <stdbool.h>

#include "relay/route.h"
#include "route_text.h"

struct route_setting {
	enum tls_level level;
	struct config_partner *partner;
	bool allow_loopback, no_ipv4, no_ipv6;
	const struct config_route *route;
	struct route_wish wish;
	enum tls_level insecure_mx; /* may if not given */
	bool defer_impaired;
};

struct route_case {
	const char *name;
	struct route_setting setting;
	const char *facts, *plan;
};

/* Fails, and says which, unless all come out as they should. */
void route_play(const struct route_case *cases, size_t n);

void route_find_set(const struct route_setting *setting, const struct facts *facts,
    uint64_t shuffle, struct plan *plan);

extern struct config_partner partner_none, partner_may, partner_encrypt, partner_verify,
    partner_secure, partner_secure_key, partner_verify_no_ca, partner_secure_mx, partner_print,
    partner_dane, partner_dane_only, partner_dane_only_mx, partner_observed_secure,
    partner_observed_dane_only, partner_observed_may, partner_excepted, partner_excepted_dane,
    partner_excepted_verify, partner_excepted_key, partner_excepted_no_more,
    partner_excepted_observed;

#define A_SECURE "a=ok/secure:192.0.2.1"
#define HOST     "10 mx.example " A_SECURE
#define NO_DANE  "10 mx.example 192.0.2.1 may by default sni=mx.example\n"
#define BY_DANE                                                                                    \
	"10 mx.example 192.0.2.1 dane by dane tlsa=1 sni=mx.example names=mx.example,d.example\n"
#define BY_STS     "10 mx.example 192.0.2.1 mta-sts by mta-sts sni=mx.example names=mx.example\n"
#define WATCH_STS  "  watch mta-sts: mta-sts by mta-sts sni=mx.example names=mx.example\n"
#define BY_ACCOUNT "10 mx.example 192.0.2.1 verify by account sni=mx.example names=mx.example\n"
#define BY_REQUIRETLS                                                                              \
	"10 mx.example 192.0.2.1 verify by requiretls sni=mx.example names=mx.example\n"
#define BY_WAIVER "10 mx.example 192.0.2.1 may by tls-required-no sni=mx.example\n"
#define EXCEPTED  "exception until 2027-01-15T08:00:01Z, tls=encrypt (ticket 123)\n"
