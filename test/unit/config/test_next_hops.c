/*
 * What is demanded of next hops: partners with their pins and exceptions, the operator's routes,
 * floors of accounts, reports about TLS.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/certificates.h"
#include "config/config.h"
#include "config/values.h"
#include "place.h"
#include "relay/base/clock.h"

#define PIN   "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"
#define OTHER "ff112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* Two "certificates", of the bytes "0" and 0 to 5, with what people leave around them. */
#define TWO_CERTIFICATES                                                                           \
	"Issuer: CN=one\n"                                                                         \
	"-----BEGIN CERTIFICATE-----\r\n"                                                          \
	"MA==\r\n"                                                                                 \
	"-----END CERTIFICATE-----\r\n"                                                            \
	"-----BEGIN PRIVATE KEY-----\nnot base64\n-----END PRIVATE KEY-----\n"                     \
	"-----BEGIN X509 CERTIFICATE-----\n"                                                       \
	"AAEC  \n \nAwQF\n"                                                                        \
	"-----END X509 CERTIFICATE-----"

/* 2026-06-01T00:00:00Z, when these tests take place */
enum { TODAY_S = 1780272000 };

static int make_place_today(void **state)
{
	clock_shift_wall(0);
	clock_shift_wall(TODAY_S - clock_wall_s());
	return make_place(state);
}

static int remove_place_today(void **state)
{
	clock_shift_wall(0);
	return remove_place(state);
}

/* ---- what is right -------------------------------------------------- */

static void partners_have_pins_authorities_and_a_mode(void **state)
{
	const struct place *p = *state;
	struct config *c;
	const struct config_partner *rule;
	char path[160];

	write_file(p, "ca.pem", TWO_CERTIFICATES, 0644);
	c = load_good(p,
	    GROUND ORG ACCOUNT "partner a.example { tls = verify ca = ca.pem mode = observe }\n"
			       "partner b.example { tls = fingerprint public-key = {" PIN
			       ", \"" OTHER "\"} mode = require }\n"
			       "partner c.example { tls = fingerprint fingerprint = {" OTHER
			       "} public-key = " PIN " }\n"
			       "partner d.example { tls = dane-only }\n");

	rule = config_find_partner(c, "a.example");
	assert_true(rule->observe);
	snprintf(path, sizeof path, "%s/ca.pem", p->directory);
	assert_string_equal(rule->ca_file, path);
	assert_int_equal(rule->n_cas, 2);
	assert_int_equal(rule->cas[0].n, 1);
	assert_memory_equal(rule->cas[0].der, "0", 1);
	assert_int_equal(rule->cas[1].n, 6);
	assert_memory_equal(rule->cas[1].der, "\0\1\2\3\4\5", 6);
	assert_null(rule->exception);

	rule = config_find_partner(c, "b.example");
	assert_false(rule->observe);
	assert_int_equal(rule->n_public_keys, 2);
	assert_string_equal(rule->public_keys[1], OTHER);
	assert_int_equal(rule->n_fingerprints, 0);

	rule = config_find_partner(c, "c.example");
	assert_string_equal(rule->public_keys[0], PIN);
	assert_string_equal(rule->fingerprints[0], OTHER);
	assert_false(config_find_partner(c, "d.example")->observe);
	config_destroy(&c);
}

static void an_exception_ends_by_itself(void **state)
{
	struct config *c;
	const struct config_partner *rule;

	write_file(*state, "ca.pem", TWO_CERTIFICATES, 0644);
	c = load_good(*state, GROUND ORG ACCOUNT
	    "partner a.example { tls = dane-only exception { until = 2026-12-01 tls = encrypt\n"
	    "  reason = \"ticket 123\" } }\n"
	    "partner b.example { exception { until = 2026-06-01T00:00:01Z reason = x tls = none }\n"
	    "  tls = fingerprint public-key = " PIN " }\n"
	    "partner c.example { tls = fingerprint mx = {m.c.example} public-key = " PIN "\n"
	    "  exception { until = 2027-06-01 tls = secure reason = x } mode = require }\n"
	    "partner d.example { tls = dane-only mx = {m.d.example} ca = ca.pem\n"
	    "  exception { until = 2026-06-02T12:30Z tls = secure reason = x } }\n"
	    "partner e.example { tls = dane-only public-key = " PIN "\n"
	    "  exception { until = 2026-06-03 tls = fingerprint reason = x } }\n");

	rule = config_find_partner(c, "a.example");
	assert_int_equal(rule->level, TLS_DANE_ONLY);
	assert_int_equal(rule->exception->level, TLS_ENCRYPT);
	assert_string_equal(rule->exception->reason, "ticket 123");
	assert_int_equal(rule->exception->until_s, 1796083200);
	assert_ptr_equal(config_exception_at(rule, 1796083199), rule->exception);
	assert_null(config_exception_at(rule, 1796083200));

	rule = config_find_partner(c, "b.example");
	assert_int_equal(rule->exception->level, TLS_NONE);
	assert_int_equal(rule->exception->until_s, TODAY_S + 1);
	assert_int_equal(config_find_partner(c, "c.example")->exception->level, TLS_SECURE);
	assert_int_equal(config_find_partner(c, "d.example")->exception->level, TLS_SECURE);
	assert_int_equal(config_find_partner(c, "e.example")->exception->level, TLS_FINGERPRINT);
	config_destroy(&c);
}

static void the_nearest_route_wins_and_the_star_is_last(void **state)
{
	struct config *c;
	const struct config_route *route;

	write_file(*state, "secrets", "web x\n", 0640);
	c = load_good(*state, GROUND ORG ACCOUNT
	    "route-passwords = secrets\n"
	    "route \"*\" { host = Smart.Example.net tls = verify login = 'EX\\\\web:1' }\n"
	    "route Example.com { host = 192.0.2.1 }\n"
	    "route .example.com { host = \"2001:DB8::1\" port = 2525 tls = may }\n"
	    "route b.example { host = b.example.net tls = dane-only login = web port = 25 }\n"
	    "route a.b.example { host = a.example.net tls = dane }\n"
	    "route c.example { host = c.example.net login = web }\n");

	route = config_find_route(c, "anything.example.net");
	assert_string_equal(route->domain, "*");
	assert_string_equal(route->host, "smart.example.net");
	assert_false(route->is_address);
	assert_int_equal(route->port, 587);
	assert_int_equal(route->level, TLS_VERIFY);
	assert_string_equal(route->login, "EX\\web:1");

	route = config_find_route(c, "example.com");
	assert_string_equal(route->host, "192.0.2.1");
	assert_true(route->is_address);
	assert_int_equal(route->port, 25);
	assert_int_equal(route->level, TLS_ENCRYPT);
	assert_null(route->login);

	route = config_find_route(c, "c.example");
	assert_int_equal(route->level, TLS_VERIFY);

	route = config_find_route(c, "x.y.example.com");
	assert_string_equal(route->host, "2001:db8::1");
	assert_int_equal(route->port, 2525);
	assert_int_equal(route->level, TLS_MAY);

	route = config_find_route(c, "b.example");
	assert_int_equal(route->level, TLS_DANE_ONLY);
	assert_int_equal(route->port, 25);
	assert_string_equal(config_find_route(c, "a.b.example")->host, "a.example.net");
	assert_string_equal(config_find_route(c, "c.b.example")->domain, "*");
	config_destroy(&c);
}

static void without_routes_there_is_none(void **state)
{
	struct config *c = load_good(*state, GROUND ORG ACCOUNT);

	assert_null(config_find_route(c, "example.net"));
	config_destroy(&c);
}

static void reports_and_floors(void **state)
{
	struct config *c = load_good(*state,
	    GROUND ORG "account a { senders = {@example.org} tls-floor = verify }\n"
		       "account b { senders = {@example.org} tls-floor = dane-only }\n"
		       "account c { senders = {@example.org} tls-floor = encrypt }\n"
		       "tls-reports { send = listed domains = {Gmail.com, bank.example}\n"
		       "  from = TLS-Reports@Example.org organization = \"Example, Ltd\" }\n");

	assert_int_equal(config_find_account(c, "a")->tls_floor, TLS_VERIFY);
	assert_int_equal(config_find_account(c, "b")->tls_floor, TLS_DANE_ONLY);
	assert_int_equal(config_find_account(c, "c")->tls_floor, TLS_ENCRYPT);
	assert_int_equal(c->tlsrpt.scope, TLSRPT_LISTED);
	assert_int_equal(c->tlsrpt.n_domains, 2);
	assert_string_equal(c->tlsrpt.domains[0], "gmail.com");
	assert_string_equal(c->tlsrpt.from, "TLS-Reports@example.org");
	assert_string_equal(c->tlsrpt.organization, "Example, Ltd");
	assert_string_equal(c->tlsrpt.contact, "TLS-Reports@example.org");
	config_destroy(&c);

	c = load_good(*state, GROUND ORG ACCOUNT "tls-reports { send = all from = r@example.org\n"
						 "  contact = Post.Master@Example.Org }\n");
	assert_int_equal(c->tlsrpt.scope, TLSRPT_ALL);
	assert_string_equal(c->tlsrpt.contact, "Post.Master@example.org");
	config_destroy(&c);
}

/* ---- what is wrong -------------------------------------------------- */

/* The ground has no dns and no delivery, so that a case may write them. */
#define BARE                                                                                       \
	"hostname = mail.example.org\n"                                                            \
	"tls { certificate = cert.pem key = key.pem }\n" ORG ACCOUNT

enum { BARE_LINES = 4 };

#define EXCEPTION(text) "partner b.example { tls = dane-only exception {\n" text "\n} }\n"
#define PARTNER(text)   "partner b.example { " text " }\n"

/* In the line given, counted from the first after the ground. */
static const struct {
	const char *text;
	unsigned line;
	const char *told;
} mistakes[] = {
	{ PARTNER("tls = may mode = watch"), 1, "mode = watch: must be one of observe, require" },
	{ PARTNER("tls = mta-sts"), 1, "tls = mta-sts: must be one of none, may" },
	{ PARTNER("tls = fingerprint"), 1,
	    "needs fingerprint = {SHA256} or public-key = {SHA256}" },
	{ PARTNER("tls = fingerprint public-key = abcd"), 1,
	    "public-key: 'abcd' is no SHA-256 of a public key (64 hexadecimal digits)" },
	{ PARTNER("tls = verify public-key = " PIN), 1,
	    "public-key is not judged with tls = verify: to demand it write tls = fingerprint" },
	{ PARTNER("tls = secure mx = {b.example} fingerprint = " PIN), 1,
	    "fingerprint is not judged with tls = secure" },
	{ PARTNER("tls = dane fingerprint = " PIN), 1,
	    "fingerprint is not judged with tls = dane" },
	{ PARTNER("tls = verify ca = cert.pem"), 1,
	    "cert.pem': has no certificate: it must be PEM" },
	{ PARTNER("tls = verify\n\n ca = broken.pem"), 3,
	    "broken.pem': certificate 2, which begins in line 4, is broken" },
	{ PARTNER("tls = verify ca = dkim"), 1, "Is a directory" },
	{ PARTNER("tls = verify ca = \"\""), 1, "must be a path" },
	{ PARTNER("tls = fingerprint fingerprint = da39a3ee5e6b4b0d3255bfef95601890afd80709"), 1,
	    "is no SHA-256 of a certificate (64 hexadecimal digits): \"zegel tls probe b.example\" "
	    "prints it" },
	{ "partner '*.b.example' { tls = verify }\n", 1,
	    "partner '*.b.example' is no domain name; write bank.example, or .bank.example" },
	{ "partner 192.0.2.1 { tls = encrypt }\n", 1, "partner '192.0.2.1' is no domain name" },
	{ "partner b.example { tls = verify }\npartner B.example. { tls = verify }\n", 2,
	    "partner 'b.example' is written twice" },
	{ "exception { until = 2026-12-01 }\n", 1,
	    "unknown key 'exception': it belongs in 'partner'" },
	{ "stub b.example { server = 127.0.0.1 }\n", 1, "unknown key 'stub': it belongs in 'dns'" },
	{ "dns { tls-floor = verify }\n", 1,
	    "unknown key 'tls-floor' in 'dns': it belongs in 'account'" },
	{ "mta-sts = off\n", 1, "unknown key 'mta-sts': it belongs in 'delivery'" },
	{ "delivery { hostname = b.example }\n", 1,
	    "unknown key 'hostname' in 'delivery': it belongs outside of all sections" },
	{ PARTNER("tls = verify public-kye = " PIN), 1,
	    "unknown key 'public-kye' in 'partner': did you mean 'public-key'?" },

	{ EXCEPTION("tls = may reason = x"), 1, "exception of partner 'b.example' has no until" },
	{ EXCEPTION("until = 2026-12-01 reason = x"), 1, "has no tls = LEVEL" },
	{ EXCEPTION("until = 2026-12-01 tls = may"), 1, "has no reason = TEXT" },
	{ EXCEPTION("until = 2026-12-01 tls = may\nreason = ' '"), 3, "has no reason = TEXT" },
	{ EXCEPTION("until = tomorrow tls = may reason = x"), 2,
	    "until = tomorrow: must be a day, as 2026-12-01, or a time in UTC" },
	{ EXCEPTION("until = 2026-02-29 tls = may reason = x"), 2, "until = 2026-02-29: must be" },
	{ EXCEPTION("until = 2026-12-01 tls = dane reason = x"), 2,
	    "tls = dane: must be one of none, may, encrypt, verify, secure, fingerprint, dane-only" },
	{ EXCEPTION("until = '2026-12-01T18:00+01:00' tls = may reason = x"), 2,
	    "must be a day, as 2026-12-01, or a time in UTC, as 2026-12-01T18:00Z" },
	{ EXCEPTION("until = 2026-12-01 tls = secure reason = x"), 2,
	    "exception: tls = secure needs mx = {NAME}" },
	{ EXCEPTION("until = 2026-12-01 tls = fingerprint reason = x"), 2,
	    "exception: tls = fingerprint needs fingerprint" },
	{ EXCEPTION("untl = 2026-12-01"), 2,
	    "unknown key 'untl' in 'exception': did you mean 'until'?" },
	{ PARTNER("tls = dane exception { until = 2026-12-01 tls = may reason = x }\n"
		  "exception { }"),
	    2, "'exception' is written twice" },
	{ PARTNER("tls = may exception = x"), 1, "write: exception { ... }" },

	{ "account a { senders = {@example.org} tls-floor = dane }\n", 1,
	    "tls-floor = dane: must be one of encrypt, verify, dane-only" },

	{ "route a.example { }\n", 1, "route 'a.example' has no host = NAME" },
	{ "route 'a b' { host = c.example }\n", 1, "route 'a b' is no domain name; write" },
	{ "route * { host = c.example }\n", 1, "must stand in quotes: \"*\"" },
	{ "route a.example { host = b.example }\nroute A.example { host = b.example }\n", 2,
	    "route 'A.example' is written twice" },
	{ "route \xc3\xa4.example { host = b.example }\nroute xn--4ca.example { host = b.example }\n",
	    2, "route 'xn--4ca.example' is written twice" },
	{ "route a.example { host = '[192.0.2.1]' }\n", 1, "a numeric address without brackets" },
	{ "route a.example { host = 192.0.2.256 }\n", 1,
	    "host = 192.0.2.256: must be a host name" },
	{ "route a.example { host = MAIL.example.org }\n", 1,
	    "host = mail.example.org: that is this server itself" },
	{ "route a.example { host = 127.0.0.1 port = 587 }\n", 1, "that is this server itself" },
	{ "route a.example { host = 192.0.2.1 port = 2587 }\n"
	  "listen { address = 192.0.2.1 port = 2587 }\n",
	    1, "that is this server itself" },
	{ "route a.example { host = b.example port = 0 }\n", 1,
	    "port = 0: must be from 1 to 65535" },
	{ "route a.example { host = b.example port = 465 }\n", 1, "only STARTTLS is spoken" },
	{ "route a.example { host = b.example tls = secure }\n", 1,
	    "tls = secure: must be one of may, encrypt, verify, dane, dane-only" },
	{ "route a.example { host = 192.0.2.1\ntls = verify }\n", 2,
	    "tls = verify: an address has no name" },
	{ "route a.example { host = ::1 tls = dane-only }\n", 1, "an address has no name" },
	{ "route-passwords = secrets\nroute a.example { host = b.example login = x tls = may }\n",
	    2, "tls = may with a login: the password would go in clear" },
	{ "route-passwords = secrets\nroute a.example { host = b.example login = x tls = dane }\n",
	    2, "tls = dane with a login: without TLSA records that is as may" },
	{ "route a.example { host = b.example login = 'a b' }\n", 1, "login = a b: must be" },
	{ "route a.example { host = b.example tls = verify login = x }\n", 1,
	    "login of route 'a.example': cannot read" },
	{ "route-passwords = open\nroute a.example { host = b.example tls = verify login = x }\n",
	    2, "open' holds passwords and is open to more than its owner" },

	{ "tls-reports { send = some }\n", 1, "send = some: must be one of off, listed, all" },
	{ "tls-reports {\nsend = all }\n", 2, "tls-reports has no from = ADDRESS" },
	{ "tls-reports { send = all from = \"@example.org\" }\n", 1, "must be a mail address" },
	{ "tls-reports { send = all from = a@example.org\ncontact = \"https://example.org/tls\" }\n",
	    2, "contact = https://example.org/tls: must be a mail address, as postmaster@" },
	{ "tls-reports { from = a@example.org contact = postmaster }\n", 1,
	    "contact = postmaster: must be a mail address" },
	{ "tls-reports { from = a@example.org contact = \"@example.org\" }\n", 1,
	    "contact = @example.org: must be a mail address" },
	{ "tls-reports { send = all from = a@example.org\ncontact = b@example.com }\n", 2,
	    "contact = b@example.com: must be of the domain of from = a@example.org" },
	{ "tls-reports { send = all\nfrom = a@example.com }\n", 2,
	    "from = a@example.com: there is no domain example.com" },
	{ "tls-reports {\nsend = listed from = a@example.org }\n", 2,
	    "send = listed needs domains" },
	{ "tls-reports { send = listed from = a@example.org domains = {a..b} }\n", 1,
	    "domains: 'a..b' is no domain name" },
	{ "tls-reports { } tls-reports { }\n", 1, "'tls-reports' is written twice" },

	{ "dns { when-impaired = hold }\n", 1, "must be one of opportunistic, defer" },
	{ "dns { check-signed = a..b }\n", 1,
	    "check-signed = a..b: must be a domain name, or \"\" for none" },
	{ "dns { check-every = 0 }\n", 1, "check-every = 0: must be from 1 to" },
	{ "delivery { dane-insecure-mx = dane-only }\n", 1, "must be one of may, encrypt, dane" },
	{ "delivery { tls = encrypt }\n", 1, "tls = encrypt: must be one of may, dane" },
	{ "delivery { mta-sts = testing }\n", 1, "mta-sts = testing: must be on or off" },
	{ "delivery { idle-timeout = 1h }\n", 1, "idle-timeout = 1h: must be from 1 to 300" },
	{ "delivery { connection-messages = 0 }\n", 1, "must be from 1 to 10000" },
};

static void every_mistake_is_told_with_its_line(void **state)
{
	write_file(*state, "broken.pem",
	    "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
	    "-----BEGIN CERTIFICATE-----\nMA=\n-----END CERTIFICATE-----\n",
	    0644);
	write_file(*state, "secrets", "x y\n", 0600);
	write_file(*state, "open", "x y\n", 0644);
	for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
		struct config_remarks remarks;
		char *text;

		assert_true(asprintf(&text, "%s%s", BARE, mistakes[i].text) > 0);
		if (load(*state, text, &remarks) != NULL)
			fail_msg("accepted: %s", mistakes[i].text);
		assert_true(remarks.n_errors > 0);
		if (!is_told(&remarks, BARE_LINES + mistakes[i].line, mistakes[i].told)) {
			for (size_t j = 0; j < remarks.n; j++)
				print_message("%s\n", remarks.texts[j]);
			fail_msg("not told: %s: %s", mistakes[i].text, mistakes[i].told);
		}
		config_remarks_finish(&remarks);
		free(text);
	}
}

/* What follows from a mistake is no second one. */
static void one_mistake_is_told_once(void **state)
{
	static const char *const texts[] = {
		PARTNER("tls = fingerprint fingerprint = {'aa:bb'}"),
		PARTNER("tls = fingerprint public-key = {*}"),
		PARTNER("tls = secure mx = {*.b.example}"),
		PARTNER("tls = secure mx = {'mx.*.b.example'}"),
		PARTNER("tls = *"),
		PARTNER("m* = {b.example} tls = verify"),
		"s*t = x\n",
		PARTNER("mode = observ\ntls = verify"),
		EXCEPTION("until = 2026-12-01T18:00+01:00 tls = may reason = x"),
		EXCEPTION("until = 2026-12-01 tls = may reason = a*"),
		"partner *.b.example { tls = verify }\n",
		"partner {b.example, c.example} { tls = verify }\n",
		"partner b.example, c.example { tls = verify }\n",
		"partner b.example tls = verify\n",
		"route *.b.example { host = c.example }\n",
		"route b.example { host = {c.example, d.example} }\n",
		"domain b.example { dkim = {*} }\n",
		"domain b.example { dkim = {'a b'} }\n",
		"account b { senders = {*@example.org} }\n",
		"tls-reports { send = listed from = a@example.org domains = {'*'} }\n",
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct config_remarks remarks;
		char *text;

		assert_true(asprintf(&text, "%s%s", BARE, texts[i]) > 0);
		assert_null(load(*state, text, &remarks));
		if (remarks.n_errors != 1) {
			for (size_t j = 0; j < remarks.n; j++)
				print_message("%s\n", remarks.texts[j]);
			fail_msg("told %zu times: %s", remarks.n_errors, texts[i]);
		}
		config_remarks_finish(&remarks);
		free(text);
	}
}

/* What works, and should be looked at. Each is all that is told. */
static void what_may_not_be_meant_is_a_warning(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *told;
	} cases[] = {
		{ EXCEPTION("until = 2026-05-31 tls = may reason = x"), 2,
		    "warning: until = 2026-05-31: the exception of partner 'b.example' is over since "
		    "2026-05-31T00:00:00Z: remove it" },
		{ EXCEPTION("until = 2026-06-01T00:00Z tls = may reason = x"), 2, "is over" },
		{ "account b@example.org { senders = {'*@example.org'} }\n", 1,
		    "senders: '*@example.org' is one address with a star in it; for every address of "
		    "example.org write \"@example.org\"" },
		{ EXCEPTION("until = 2027-06-03 tls = may reason = x"), 2,
		    "more than a year ahead" },
		{ EXCEPTION("until = 2026-12-01 tls = dane-only reason = x"), 1,
		    "tls = dane-only is not weaker than its own tls = dane-only" },
		{ PARTNER(
		      "tls = encrypt exception { until = 2026-12-01 reason = x\ntls = verify }"),
		    1, "tls = verify is not weaker than its own tls = encrypt" },
		{ PARTNER("tls = verify mode = observe\n"
			  "exception { until = 2026-12-01 tls = may reason = x }"),
		    2, "nothing needs an exception" },
		{ PARTNER("tls = may mode = observe"), 1, "so there is nothing to observe" },
		{ PARTNER("tls = encrypt ca = ca.pem"), 1, "ca is not used with tls = encrypt" },
		{ "route-passwords = secrets\n"
		  "route a.example { host = b.example login = x tls = encrypt }\n",
		    2, "anybody may answer as b.example, so only SCRAM" },
		{ "route-passwords = secrets\nroute a.example { host = 192.0.2.1 login = x }\n", 2,
		    "anybody may answer as 192.0.2.1, so only SCRAM" },
		{ "partner .b.example { tls = verify }\nroute b.example { host = c.example }\n"
		  "route .example { host = 192.0.2.1 }\n",
		    1,
		    "partner '.b.example' is not looked at: route '.example' gives its mail to "
		    "192.0.2.1" },
		{ "tls-reports { send = all from = a@example.org\ndomains = a.example }\n", 2,
		    "domains is not used with send = all" },
	};

	write_file(*state, "ca.pem", TWO_CERTIFICATES, 0644);
	write_file(*state, "secrets", "x y\n", 0600);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct config_remarks remarks;
		struct config *c;
		char *text;

		assert_true(asprintf(&text, "%s%s", GROUND ORG ACCOUNT, cases[i].text) > 0);
		c = load(*state, text, &remarks);
		for (size_t j = 0; j < remarks.n; j++)
			print_message("%s\n", remarks.texts[j]);
		assert_non_null(c);
		assert_int_equal(remarks.n, 1);
		if (!is_told(&remarks, GROUND_LINES + 2 + cases[i].line, cases[i].told))
			fail_msg("not told: %s: %s", cases[i].text, cases[i].told);
		config_remarks_finish(&remarks);
		config_destroy(&c);
		free(text);
	}
}

/* ---- the parts ------------------------------------------------------ */

static void dates_are_real_and_utc(void **state)
{
	static const struct {
		const char *text;
		int64_t seconds; /* -1: none */
	} dates[] = {
		{ "1970-01-01", 0 },
		{ "2026-12-01", 1796083200 },
		{ "2026-12-01T00:00Z", 1796083200 },
		{ "2026-12-01T18:30Z", 1796149800 },
		{ "2026-12-01T18:30:07Z", 1796149807 },
		{ "2028-02-29", 1835395200 },
		{ "2100-02-28T23:59:59Z", 4107542399 },
		{ "9999-12-31", 253402214400 },
		{ "2026-02-29", -1 },
		{ "2100-02-29", -1 },
		{ "2026-04-31", -1 },
		{ "2026-13-01", -1 },
		{ "2026-00-01", -1 },
		{ "2026-01-00", -1 },
		{ "2026-12-01T24:00Z", -1 },
		{ "2026-12-01T23:60Z", -1 },
		{ "2026-12-01T23:59:60Z", -1 },
		{ "2026-12-01T18:30", -1 },
		{ "2026-12-01T18:30+01:00", -1 },
		{ "2026-12-01 18:30Z", -1 },
		{ "2026-12-1", -1 },
		{ "26-12-01", -1 },
		{ "1969-12-31", -1 },
		{ "01.12.2026", -1 },
		{ "2026-12-01Z", -1 },
		{ "2026-12-01 ", -1 },
		{ "", -1 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof dates / sizeof dates[0]; i++) {
		int64_t seconds = -1;
		bool is = value_parse_date(dates[i].text, &seconds);

		if (is != (dates[i].seconds >= 0) || (is && seconds != dates[i].seconds))
			fail_msg("%s: %lld", dates[i].text, (long long)seconds);
	}
}

static void certificates_of_a_text(void **state)
{
#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END   "-----END CERTIFICATE-----\n"
#define ONE   BEGIN "MA==\n" END
#define FOUR  ONE ONE ONE ONE
	static const struct {
		const char *text;
		size_t n; /* how many; 0: why there are none */
		const char *told;
	} cases[] = {
		{ ONE, 1, NULL },
		{ TWO_CERTIFICATES, 2, NULL },
		{ FOUR FOUR FOUR FOUR, CONFIG_PARTNER_CAS_MAX, NULL },
		{ FOUR FOUR FOUR FOUR ONE, 0, "more than 16 certificates" },
		{ "", 0, "has no certificate" },
		{ "MA==\n", 0, "has no certificate" },
		{ "-----BEGIN PUBLIC KEY-----\nMA==\n-----END PUBLIC KEY-----\n", 0,
		    "has no certificate" },
		{ BEGIN "MA==\n", 0, "certificate 1, which begins in line 1, is never ended" },
		{ ONE "\n" BEGIN "MA==\n" BEGIN, 0,
		    "certificate 2, which begins in line 5, is never ended" },
		{ BEGIN END, 0, "certificate 1, which begins in line 1, is empty" },
		{ BEGIN "M\n" END, 0, "is broken" },
		{ BEGIN "MA==\nMA==\n" END, 0, "is broken" },
		{ BEGIN "M*==\n" END, 0, "is broken" },
		{ BEGIN "MA==\n-----END PRIVATE KEY-----\n", 0, "is broken" },
		{ BEGIN "Proc-Type: 4\n\nMA==\n" END, 0, "is broken" },
		{ "-----BEGIN -----\n-----BEGIN-----\n----------\n" ONE, 1, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct config_certificate *cas;
		char why[160] = "";
		size_t n;
		/* exactly as long as the text: reading on would be seen */
		char *text = malloc(strlen(cases[i].text) + (cases[i].text[0] == '\0'));

		memcpy(text, cases[i].text, strlen(cases[i].text));
		if (certificates_parse(text, strlen(cases[i].text), &cas, &n, why, sizeof why)) {
			assert_int_equal(n, cases[i].n);
			certificates_free(cas, n);
		} else {
			assert_int_equal(cases[i].n, 0);
			if (strstr(why, cases[i].told) == NULL)
				fail_msg("%zu: %s", i, why);
		}
		free(text);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place_today, remove_place_today)
	const struct CMUnitTest tests[] = {
		TEST(partners_have_pins_authorities_and_a_mode),
		TEST(an_exception_ends_by_itself),
		TEST(the_nearest_route_wins_and_the_star_is_last),
		TEST(without_routes_there_is_none),
		TEST(reports_and_floors),
		TEST(every_mistake_is_told_with_its_line),
		TEST(one_mistake_is_told_once),
		TEST(what_may_not_be_meant_is_a_warning),
		cmocka_unit_test(dates_are_real_and_utc),
		cmocka_unit_test(certificates_of_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
