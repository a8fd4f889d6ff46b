/*
 * Which hosts, at which addresses, in which order: from the MX records, and where the operator names the
 * next hop. What TLS they must show is in test_route_policy.c, test_route_partner.c and test_route_wish.c;
 * test_route_product.c holds every combination against what must be true of all.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/route.h"
#include "route_play.h"

#define DOMAIN ROUTE_DOMAIN

static const struct config_route smarthost = { .domain = (char *)"*",
	.host = (char *)"smart.example",
	.port = 587,
	.level = TLS_VERIFY,
	.login = (char *)"us@smart.example" };
static const struct config_route to_dane = {
	.domain = (char *)"*", .host = (char *)"smart.example", .port = 25, .level = TLS_DANE
};
static const struct config_route to_dane_login = { .domain = (char *)"*",
	.host = (char *)"smart.example",
	.port = 587,
	.level = TLS_DANE,
	.login = (char *)"us" };
static const struct config_route to_dane_only = {
	.domain = (char *)"*", .host = (char *)"smart.example", .port = 25, .level = TLS_DANE_ONLY
};
static const struct config_route to_encrypt = {
	.domain = (char *)"*", .host = (char *)"smart.example", .port = 25, .level = TLS_ENCRYPT
};
static const struct config_route to_filter = { .domain = (char *)DOMAIN,
	.host = (char *)"127.0.0.1",
	.is_address = true,
	.port = 10025,
	.level = TLS_MAY };
static const struct config_route to_ourselves = { .domain = (char *)DOMAIN,
	.host = (char *)"127.0.0.1",
	.is_address = true,
	.port = 465,
	.level = TLS_ENCRYPT };

static const struct route_case cases[] = {
	/* ---- what the MX answer alone settles ---- */
	{ "N13 NXDOMAIN", { TLS_DANE }, "mx=nx/secure\n", "refused 550 domain-not-found\n" },
	{ "N13 SERVFAIL", { TLS_DANE }, "mx=error/insecure\n", "refused 451 dns-failed\n" },
	{ "N17 bogus MX", { TLS_DANE }, "mx=bogus/bogus\n", "refused 451 dns-bogus\n" },
	{ "N14 null MX", { TLS_DANE }, "mx=ok/secure null\n", "refused 556 null-mx\n" },
	{ "N14 null MX and others", { TLS_MAY }, "mx=ok/insecure\n0 .\n" HOST "\n",
	    "0 . - may by default sni=. | 556 null-mx\n" NO_DANE },
	{ "N13 NODATA: implicit MX", { TLS_MAY },
	    "mx=nodata/insecure implicit\n0 d.example a=ok/insecure:192.0.2.9\n",
	    "implicit\n0 d.example 192.0.2.9 may by default sni=d.example\n" },
	{ "N13 NODATA everywhere", { TLS_MAY }, "mx=nodata/insecure implicit\n0 d.example\n",
	    "refused 550 domain-not-found\nimplicit\n"
	    "0 d.example - may by default sni=d.example | 550 domain-not-found\n" },
	{ "N13 implicit MX, address question failed", { TLS_MAY },
	    "mx=nodata/insecure implicit\n0 d.example a=error/insecure\n",
	    "refused 451 dns-failed\nimplicit\n"
	    "0 d.example - may by default sni=d.example | 451 dns-failed\n" },

	/* ---- hosts and addresses ---- */
	{ "N13 no host has an address", { TLS_MAY },
	    "mx=ok/insecure\n10 a.example a=nx/insecure aaaa=nx/insecure\n20 b.example\n",
	    "refused 550 no-address\n"
	    "10 a.example - may by default sni=a.example | 550 no-address\n"
	    "20 b.example - may by default sni=b.example | 550 no-address\n" },
	{ "N17 one host bogus, another without address: may pass", { TLS_MAY },
	    "mx=ok/insecure\n10 a.example\n20 b.example a=bogus/bogus\n",
	    "refused 451 dns-bogus\n"
	    "10 a.example - may by default sni=a.example | 550 no-address\n"
	    "20 b.example - may by default sni=b.example | 451 dns-bogus\n" },
	{ "N17 one host bogus, another good", { TLS_MAY },
	    "mx=ok/insecure\n5 bad.example a=bogus/bogus aaaa=bogus/bogus\n" HOST "\n",
	    "5 bad.example - may by default sni=bad.example | 451 dns-bogus\n" NO_DANE },
	{ "N17 one family fails, the other serves", { TLS_DANE },
	    "mx=ok/secure\n" HOST " aaaa=error/insecure base=mx.example tlsa=nx/secure\n",
	    NO_DANE },
	{ "IPv6 and IPv4 in turns, IPv6 first", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1,192.0.2.2,192.0.2.3 "
	    "aaaa=ok/insecure:2001:db8::1\n",
	    "10 mx.example 2001:db8::1,192.0.2.1,192.0.2.2,192.0.2.3 may by default "
	    "sni=mx.example\n" },
	{ "IPv6 turned off", { TLS_MAY, .no_ipv6 = true },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1 aaaa=ok/insecure:2001:db8::1\n",
	    NO_DANE },
	{ "only a family that is off", { TLS_MAY, .no_ipv6 = true },
	    "mx=ok/insecure\n10 mx.example aaaa=ok/insecure:2001:db8::1\n",
	    "refused 451 address-family-off\n"
	    "10 mx.example - may by default sni=mx.example | 451 address-family-off\n" },
	{ "N15 MX is an address", { TLS_MAY }, "mx=ok/insecure\n10 !192.0.2.1\n",
	    "refused 550 mx-invalid\n"
	    "10 192.0.2.1 - may by default sni=192.0.2.1 | 550 mx-invalid\n" },
	{ "N15 MX is an address, another is not", { TLS_MAY },
	    "mx=ok/insecure\n5 !192.0.2.1\n" HOST "\n",
	    "5 192.0.2.1 - may by default sni=192.0.2.1 | 550 mx-invalid\n" NO_DANE },
	{ "N15 MX at loopback", { TLS_MAY },
	    "mx=ok/insecure\n10 localhost a=ok/insecure:127.0.0.1 aaaa=ok/insecure:::1\n",
	    "refused 554 mx-loops-back\n"
	    "10 localhost - may by default sni=localhost | 554 mx-loops-back\n" },
	{ "N15 other ways to loopback", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:0.0.0.0,127.255.255.254 "
	    "aaaa=ok/insecure:::,::ffff:127.0.0.1\n",
	    "refused 554 mx-loops-back\n"
	    "10 mx.example - may by default sni=mx.example | 554 mx-loops-back\n" },
	{ "N15 one address at loopback, one not", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:127.0.0.1,192.0.2.1\n", NO_DANE },
	{ "N15 loopback and a family that failed: may pass", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:127.0.0.1 aaaa=error/insecure\n",
	    "refused 451 dns-failed\n"
	    "10 mx.example - may by default sni=mx.example | 451 dns-failed\n" },
	{ "loopback allowed", { TLS_MAY, .allow_loopback = true },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:127.0.0.1\n",
	    "10 mx.example 127.0.0.1 may by default sni=mx.example\n" },
	{ "N15 where we listen ourselves", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:198.51.100.25\n",
	    "refused 554 mx-loops-back\n"
	    "10 mx.example - may by default sni=mx.example | 554 mx-loops-back\n" },
	{ "where we listen, on another port", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:198.51.100.87\n",
	    "10 mx.example 198.51.100.87 may by default sni=mx.example\n" },
	{ "N15 ourselves by name", { TLS_MAY },
	    "mx=ok/insecure\n10 us.example a=ok/insecure:192.0.2.1\n",
	    "refused 554 mx-loops-back\n"
	    "10 us.example 192.0.2.1 may by default sni=us.example | 554 mx-loops-back\n" },
	{ "N15 ourselves, one better and one worse", { TLS_MAY },
	    "mx=ok/insecure\n10 mx.example a=ok/insecure:192.0.2.1\n"
	    "20 us.example a=ok/insecure:192.0.2.2\n30 c.example a=ok/insecure:192.0.2.3\n",
	    NO_DANE "20 us.example 192.0.2.2 may by default sni=us.example | 554 mx-loops-back\n"
		    "30 c.example 192.0.2.3 may by default sni=c.example | 554 mx-loops-back\n" },

	/* ---- next hops of the operator ---- */
	{ "route: verify, a port and a login; no partner rule, no policy",
	    { TLS_DANE, &partner_dane_only, .route = &smarthost },
	    "host=smart.example\n0 smart.example a=ok/insecure:192.0.2.1\n",
	    "by route as us@smart.example\n"
	    "0 smart.example 192.0.2.1@587 verify by route sni=smart.example "
	    "names=smart.example\n" },
	{ "route: dane needs no MX; the names are its own (RFC 7672 2.2.2)",
	    { TLS_MAY, .route = &to_dane },
	    "host=smart.example\n0 smart.example " A_SECURE
	    " to=real.example base=real.example tlsa=ok/secure:2-0-1\n",
	    "by route\n0 smart.example 192.0.2.1 dane by dane tlsa=1 sni=real.example "
	    "names=real.example,smart.example\n" },
	{ "route: dane without TLSA", { TLS_MAY, .route = &to_dane },
	    "host=smart.example\n0 smart.example " A_SECURE " base=smart.example tlsa=nx/secure\n",
	    "by route\n0 smart.example 192.0.2.1 may by route sni=smart.example\n" },
	{ "route: dane without TLSA never shows a password in plaintext",
	    { TLS_MAY, .route = &to_dane_login },
	    "host=smart.example\n0 smart.example " A_SECURE " base=smart.example tlsa=nx/secure\n",
	    "by route as us\n0 smart.example 192.0.2.1@587 encrypt by route sni=smart.example\n" },
	{ "route: dane, and the lookup failed", { TLS_MAY, .route = &to_dane },
	    "host=smart.example\n0 smart.example " A_SECURE
	    " base=smart.example tlsa=error/insecure\n",
	    "refused 451 tlsa-lookup-failed\nby route\n0 smart.example 192.0.2.1 dane by route "
	    "sni=smart.example names=smart.example | 451 tlsa-lookup-failed\n" },
	{ "route: dane-only without TLSA", { TLS_MAY, .route = &to_dane_only },
	    "host=smart.example\n0 smart.example " A_SECURE " base=smart.example tlsa=nx/secure\n",
	    "refused 451 dane-required\nby route\n0 smart.example 192.0.2.1 dane-only by route "
	    "sni=smart.example names=smart.example | 451 dane-required\n" },
	{ "route: dane-only, impaired", { TLS_MAY, .route = &to_dane_only },
	    "host=smart.example impaired\n0 smart.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 dane-impaired\nby route\n0 smart.example 192.0.2.1 dane-only by route "
	    "sni=smart.example | 451 dane-impaired\n" },
	{ "route: encrypt is what it says", { TLS_DANE, .route = &to_encrypt },
	    "host=smart.example\n0 smart.example " A_SECURE
	    " base=smart.example tlsa=ok/secure:3-1-1\n",
	    "by route\n0 smart.example 192.0.2.1 encrypt by route sni=smart.example\n" },
	{ "route: the account's floor holds",
	    { TLS_DANE, .route = &to_encrypt, .wish.floor = TLS_VERIFY },
	    "host=smart.example\n0 smart.example a=ok/insecure:192.0.2.1\n",
	    "by route\n0 smart.example 192.0.2.1 verify by account sni=smart.example "
	    "names=smart.example\n" },
	{ "route: REQUIRETLS holds, and needs no MX",
	    { TLS_DANE, .route = &to_encrypt, .wish.requires_tls = true },
	    "host=smart.example\n0 smart.example a=ok/insecure:192.0.2.1\n",
	    "by route\n0 smart.example 192.0.2.1 verify by requiretls sni=smart.example "
	    "names=smart.example\n" },
	{ "route: TLS-Required: No does not lower it",
	    { TLS_DANE, .route = &to_encrypt, .wish.tls_optional = true },
	    "host=smart.example\n0 smart.example a=ok/insecure:192.0.2.1\n",
	    "by route\n0 smart.example 192.0.2.1 encrypt by route sni=smart.example\n" },
	{ "route: an address has no name; loopback is what was written",
	    { TLS_DANE, .route = &to_filter },
	    "host=127.0.0.1\n0 127.0.0.1 a=ok/insecure:127.0.0.1\n",
	    "by route\n0 127.0.0.1 127.0.0.1@10025 may by route\n" },
	{ "route: where we listen ourselves: waits for the operator",
	    { TLS_DANE, .route = &to_ourselves },
	    "host=127.0.0.1\n0 127.0.0.1 a=ok/insecure:127.0.0.1\n",
	    "refused 451 route-loops-back\nby route\n0 127.0.0.1 - encrypt by route "
	    "| 451 route-loops-back\n" },
	{ "N13 route: no such host is no reason to return mail", { TLS_DANE, .route = &to_encrypt },
	    "host=smart.example\n0 smart.example a=nx/secure aaaa=nx/secure\n",
	    "refused 451 route-no-address\nby route\n0 smart.example - encrypt by route "
	    "sni=smart.example | 451 route-no-address\n" },
	{ "N17 route: its addresses are bogus", { TLS_DANE, .route = &to_encrypt },
	    "host=smart.example\n0 smart.example a=bogus/bogus aaaa=bogus/bogus\n",
	    "refused 451 dns-bogus\nby route\n0 smart.example - encrypt by route "
	    "sni=smart.example | 451 dns-bogus\n" },
	{ "facts of another host", { TLS_DANE, .route = &to_encrypt },
	    "host=evil.example\n0 evil.example a=ok/insecure:192.0.2.1\n",
	    "refused 451 lookup-confused\nby route\n" },
	{ "facts of MX records where the operator named the host",
	    { TLS_DANE, .route = &to_encrypt }, "mx=ok/secure\n" HOST "\n",
	    "refused 451 lookup-confused\nby route\n" },
};

static void test_cases(void **state)
{
	(void)state;
	route_play(cases, sizeof cases / sizeof *cases);
}

/* RFC 5321 5.1: every order of equals comes up, and preference is never broken. */
static void test_equals_are_shuffled(void **state)
{
	const struct route_setting setting = { TLS_MAY };
	struct facts facts;
	size_t first[3] = { 0 };

	(void)state;
	route_text_read(
	    "mx=ok/insecure\n10 a a=ok/insecure:192.0.2.1\n10 b a=ok/insecure:192.0.2.2\n"
	    "10 c a=ok/insecure:192.0.2.3\n20 z a=ok/insecure:192.0.2.4\n",
	    &facts);
	for (uint64_t shuffle = 0; shuffle < 300; shuffle++) {
		struct plan plan;

		route_find_set(&setting, &facts, shuffle, &plan);
		assert_int_equal(plan.n_hosts, 4);
		assert_string_equal(plan.hosts[3].name, "z");
		first[plan.hosts[0].name[0] - 'a']++;
		plan_finish(&plan);
	}
	for (size_t i = 0; i < 3; i++)
		assert_in_range(first[i], 60, 140);
	facts_finish(&facts);
}

/* A plan outlives neither the facts, nor an exception, nor a policy: both of these end in a second. */
static void test_plan_is_valid_as_long_as_its_parts(void **state)
{
	static const struct {
		struct route_setting setting;
		const char *facts;
		int64_t seconds;
	} lives[] = {
		{ { TLS_MAY }, "mx=ok/insecure\n10 a a=ok/insecure:192.0.2.1\n", 60 },
		{ { TLS_MAY, &partner_excepted }, "mx=ok/insecure\n10 a a=ok/insecure:192.0.2.1\n",
		    1 },
		{ { TLS_MAY }, "mx=ok/insecure sts=testing:a\n10 a a=ok/insecure:192.0.2.1\n", 1 },
		{ { TLS_MAY }, "mx=ok/insecure sts=expired:a\n10 a a=ok/insecure:192.0.2.1\n", 60 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof lives / sizeof *lives; i++) {
		int64_t before = clock_monotonic_ms();
		struct facts facts;
		struct plan plan;

		route_text_read(lives[i].facts, &facts);
		route_find_set(&lives[i].setting, &facts, 0, &plan);
		assert_true(plan.valid_until_ms >= before + lives[i].seconds * 1000);
		assert_true(plan.valid_until_ms <= clock_monotonic_ms() + lives[i].seconds * 1000);
		assert_true(plan.exception_ends_ms ==
			    (lives[i].setting.partner != NULL ? plan.valid_until_ms : 0));
		plan_finish(&plan);
		facts_finish(&facts);
	}
}

/* More addresses than a plan holds: both families keep a share. */
static void test_addresses_are_bounded(void **state)
{
	const struct route_setting setting = { TLS_MAY };
	struct facts facts;
	struct plan plan;
	struct facts_host *host;
	size_t n_ipv6 = 0;

	(void)state;
	route_text_read("mx=ok/insecure\n10 a a=ok/insecure aaaa=ok/insecure\n", &facts);
	host = &facts.hosts[0];
	for (uint8_t i = 0; i < FACTS_ADDRESSES_MAX; i++)
		host->addresses[host->n_addresses++] =
		    (struct answer_address){ .family = i % 2 == 0 ? 4 : 6,
			    .bytes = { 32, 1, 2, i } };
	route_find_set(&setting, &facts, 0, &plan);
	assert_int_equal(plan.hosts[0].n_addresses, PLAN_ADDRESSES_MAX);
	for (size_t i = 0; i < PLAN_ADDRESSES_MAX; i++)
		n_ipv6 += plan.hosts[0].addresses[i].any.sa_family == AF_INET6;
	assert_int_equal(n_ipv6, PLAN_ADDRESSES_MAX / 2);
	plan_finish(&plan);
	facts_finish(&facts);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_equals_are_shuffled),
		cmocka_unit_test(test_plan_is_valid_as_long_as_its_parts),
		cmocka_unit_test(test_addresses_are_bounded),
	};

	return cmocka_run_group_tests_name("route", tests, NULL, NULL);
}
