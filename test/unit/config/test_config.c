/*
 * Configurations as operators write them, and what each mistake is answered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/config.h"
#include "config/keys.h"
#include "config/suggest.h"
#include "config/values.h"
#include "place.h"

/* ---- what is right -------------------------------------------------- */

static void defaults_are_those_of_the_header(void **state)
{
	struct config *c = load_good(*state, GROUND ORG ACCOUNT);
	const struct place *p = *state;
	char path[128];

	assert_string_equal(c->path, p->path);
	assert_string_equal(c->hostname, "mail.example.org");
	assert_string_equal(c->spool, "/var/lib/zegel");
	assert_string_equal(c->control, "/var/lib/zegel/control");
	assert_string_equal(c->log, "syslog");
	snprintf(path, sizeof path, "%s/passwords", p->directory);
	assert_string_equal(c->passwords, path);
	snprintf(path, sizeof path, "%s/dkim", p->directory);
	assert_string_equal(c->dkim_keys, path);
	assert_int_equal(c->n_listens, 4);
	assert_string_equal(c->listens[0].address, "0.0.0.0");
	assert_int_equal(c->listens[0].port, 587);
	assert_false(c->listens[0].implicit_tls);
	assert_string_equal(c->listens[3].address, "::");
	assert_int_equal(c->listens[3].port, 465);
	assert_true(c->listens[3].implicit_tls);
	assert_true(c->processes >= 1);
	assert_int_equal(c->n_dns_forwarders, 0);
	assert_int_equal(c->delivery.port, 25);
	assert_int_equal(c->delivery.tls, TLS_DANE);
	assert_false(c->delivery.allow_loopback);
	assert_true(c->delivery.ipv4 && c->delivery.ipv6);
	assert_int_equal(c->delivery.connect_timeout, 30);
	assert_int_equal(c->delivery.connections, 100);
	assert_int_equal(c->delivery.connections_per_domain, 20);
	assert_int_equal(c->delivery.recipients, 100);
	assert_int_equal(c->delivery.dane_insecure_mx, TLS_MAY);
	assert_true(c->delivery.mta_sts);
	assert_int_equal(c->delivery.mta_sts_port, 443);
	assert_int_equal(c->delivery.idle_connections, 50);
	assert_int_equal(c->delivery.idle_timeout, 5);
	assert_int_equal(c->delivery.connection_age, 300);
	assert_int_equal(c->delivery.connection_messages, 500);
	assert_string_equal(c->dns_check.signed_name, "internet.nl");
	assert_string_equal(c->dns_check.broken_name, "dnssec-failed.org");
	assert_string_equal(c->dns_check.unsigned_name, "google.com");
	assert_int_equal(c->dns_check.every_ms, 3600000);
	assert_false(c->dns_defer_impaired || c->dns_forgive_loss);
	snprintf(path, sizeof path, "%s/route-passwords", p->directory);
	assert_string_equal(c->route_passwords, path);
	assert_int_equal(c->tlsrpt.scope, TLSRPT_OFF);
	assert_null(c->tlsrpt.from);
	assert_string_equal(c->tlsrpt.organization, "mail.example.org");
	assert_int_equal(c->accounts[0].tls_floor, TLS_NONE);
	assert_int_equal(c->retry.first, 300);
	assert_int_equal(c->retry.longest, 3600);
	assert_int_equal(c->retry.expire, 5 * 86400);
	assert_int_equal(c->retry.expire_bulk, 2 * 86400);
	assert_int_equal(c->limits.message_size, 25 << 20);
	assert_int_equal(c->limits.header_size, 102400);
	assert_int_equal(c->limits.header_fields, 1000);
	assert_int_equal(c->limits.line_length, 998);
	assert_int_equal(c->limits.recipients, 1000);
	assert_int_equal(c->limits.sessions, 500);
	assert_int_equal(c->limits.sessions_per_client, 50);
	assert_int_equal(c->limits.errors, 20);
	assert_int_equal(c->limits.auth_failures, 3);
	assert_int_equal(c->limits.command_timeout, 300);
	assert_int_equal(c->limits.data_timeout, 3600);
	assert_int_equal(c->limits.data_rate, 500);
	assert_int_equal(c->limits.queue_messages, 1000000);
	assert_int_equal(c->limits.free_space, 200 << 20);
	config_destroy(&c);
	assert_null(c);
}

static void everything_can_be_written(void **state)
{
	static const char text[] =
	    "# a comment\n"
	    "hostname = MAIL.Example.org   # with capitals\n"
	    "user = nobody   // another comment\n"
	    "spool = spool\n"
	    "control = \"/run/zegel control\"\n"
	    "log = stderr\n"
	    "passwords = /etc/zegel/pw\n"
	    "dkim-keys = dkim\n"
	    "processes = 3\n"
	    "listen { address = 127.0.0.1 port = 2587 tls = starttls }\n"
	    "listen { address = \"::1\" port = 2465 tls = implicit }\n"
	    "tls {\n\tcertificate = cert.pem\n\tkey=key.pem\n}\n"
	    "dns {\n"
	    "  forward = {\"127.0.0.1@5353\", ::1}\n"
	    "  trust-anchor = cert.pem when-impaired = defer\n"
	    "  check-signed = Signed.Example check-broken = \"\" check-unsigned = a.example\n"
	    "  check-every = 5m\n"
	    "  stub \"example.test\" { server = \"127.0.0.1@5300\" }\n"
	    "  stub test { server = 127.0.0.1@5301 }\n"
	    "}\n"
	    "delivery { port = 2525 ca-file = cert.pem tls = may allow-loopback = yes ipv6 = off\n"
	    "  connect-timeout = 5s connections = 7 connections-per-domain = 2 recipients = 3\n"
	    "  dane-insecure-mx = encrypt mta-sts = off mta-sts-port = 8443 idle-connections = 0\n"
	    "  idle-timeout = 9 connection-age = 1m connection-messages = 4 }\n"
	    "retry { first = 1 longest = 2s expire = 1h expire-bulk = 30m }\n"
	    "limits { message-size = 1M header-size = 10k data-rate = 0 free-space = 2G }\n"
	    "domain example.org { dkim = {\n"
	    "\tone,        # the RSA key\n"
	    "\ttwo.2026,\n"
	    "} }\n"
	    "domain EXAMPLE.com { dkim = one }\n"
	    "account Web@Example.org { senders = {Billing@EXAMPLE.org, shop@example.org} }\n"
	    "account 'news@example.com' {\n"
	    "  senders = {\"@example.com\", \"a+b@example.org\"} stream = bulk }\n"
	    "partner Bank.example { tls = secure mx = {\"*.mail.BANK.example\", mx.bank.example} }\n"
	    "partner .clinic.example { tls = dane-only }\n"
	    "partner pin.example { tls = fingerprint fingerprint = {\n"
	    "AA:bb:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd:"
	    "AA:bb:00:11:22:33:44:55:66:77:88:99:aa:bb:cc:dd } }\n";
	struct config *c = load_good(*state, text);
	const struct place *p = *state;
	const struct config_account *a;
	const struct config_partner *rule;

	assert_string_equal(c->hostname, "mail.example.org");
	assert_int_equal(strncmp(c->spool, p->directory, strlen(p->directory)), 0);
	assert_string_equal(c->control, "/run/zegel control");
	assert_int_equal(c->processes, 3);
	assert_int_equal(c->n_listens, 2);
	assert_string_equal(c->listens[1].address, "::1");
	assert_true(c->listens[1].implicit_tls);
	assert_int_equal(c->n_dns_forwarders, 2);
	assert_string_equal(c->dns_forwarders[0], "127.0.0.1@5353");
	assert_string_equal(c->dns_forwarders[1], "::1@53");
	assert_int_equal(c->n_dns_stubs, 2);
	assert_string_equal(c->dns_stubs[0].zone, "example.test");
	assert_string_equal(c->dns_stubs[1].server, "127.0.0.1@5301");
	assert_int_equal(c->delivery.tls, TLS_MAY);
	assert_true(c->delivery.allow_loopback && c->delivery.ipv4 && !c->delivery.ipv6);
	assert_int_equal(c->delivery.dane_insecure_mx, TLS_ENCRYPT);
	assert_false(c->delivery.mta_sts);
	assert_int_equal(c->delivery.mta_sts_port, 8443);
	assert_int_equal(c->delivery.idle_connections, 0);
	assert_int_equal(c->delivery.idle_timeout, 9);
	assert_int_equal(c->delivery.connection_age, 60);
	assert_int_equal(c->delivery.connection_messages, 4);
	assert_true(c->dns_defer_impaired && !c->dns_forgive_loss);
	assert_string_equal(c->dns_check.signed_name, "signed.example");
	assert_string_equal(c->dns_check.broken_name, "");
	assert_string_equal(c->dns_check.unsigned_name, "a.example");
	assert_int_equal(c->dns_check.every_ms, 300000);
	assert_int_equal(c->retry.expire_bulk, 1800);
	assert_int_equal(c->limits.header_size, 10240);
	assert_int_equal(c->limits.free_space, 2ULL << 30);
	assert_int_equal(config_find_domain(c, "example.org")->n_selectors, 2);
	assert_string_equal(config_find_domain(c, "example.com")->selectors[0], "one");
	assert_null(config_find_domain(c, "example.net"));

	a = config_find_account(c, "web@example.org");
	assert_non_null(a);
	assert_string_equal(a->senders[0], "Billing@example.org");
	assert_int_equal(a->stream, STREAM_ORDINARY);
	a = config_find_account(c, "news@example.com");
	assert_string_equal(a->senders[1], "a+b@example.org");
	assert_int_equal(a->stream, STREAM_BULK);
	assert_null(config_find_account(c, "nobody"));

	rule = config_find_partner(c, "bank.example");
	assert_int_equal(rule->level, TLS_SECURE);
	assert_string_equal(rule->mx[0], "*.mail.bank.example");
	assert_null(config_find_partner(c, "sub.bank.example"));
	assert_null(config_find_partner(c, "clinic.example"));
	assert_int_equal(config_find_partner(c, "a.b.clinic.example")->level, TLS_DANE_ONLY);
	assert_string_equal(config_find_partner(c, "pin.example")->fingerprints[0],
	    "aabb00112233445566778899aabbccddaabb00112233445566778899aabbccdd");
	config_destroy(&c);
}

static void the_nearest_partner_rule_wins(void **state)
{
	struct config *c =
	    load_good(*state, GROUND ORG ACCOUNT "partner .example { tls = encrypt }\n"
						 "partner .bank.example { tls = dane-only }\n"
						 "partner mx.bank.example { tls = may }\n");

	assert_int_equal(config_find_partner(c, "mx.bank.example")->level, TLS_MAY);
	assert_int_equal(config_find_partner(c, "a.mx.bank.example")->level, TLS_DANE_ONLY);
	assert_int_equal(config_find_partner(c, "bank.example")->level, TLS_ENCRYPT);
	assert_null(config_find_partner(c, "example"));
	config_destroy(&c);
}

static void idn_domains_are_compared_as_a_labels(void **state)
{
	struct config *c =
	    load_good(*state, GROUND "domain exämple.org { dkim = {one} }\n"
				     "account a@x { senders = {\"@xn--exmple-cua.org\"} }\n");

	assert_non_null(config_find_domain(c, "xn--exmple-cua.org"));
	config_destroy(&c);
}

static void included_files_stand_where_they_are_included(void **state)
{
	struct config_remarks remarks;
	struct config *c;

	write_file(*state, "more.conf", ORG "\n" ACCOUNT "hostnam = x\n", 0644);
	c = load(*state, GROUND "include(\"more.conf\")\nusr = y\n", &remarks);
	assert_null(c);
	assert_int_equal(remarks.n, 2);
	assert_non_null(strstr(remarks.texts[0], "more.conf:4: unknown key 'hostnam'"));
	assert_non_null(strstr(remarks.texts[1], "zegel.conf:7: unknown key 'usr'"));
	config_remarks_finish(&remarks);

	write_file(*state, "more.conf", ORG ACCOUNT, 0644);
	c = load_good(*state, GROUND "  include \"more.conf\"  # more\n");
	assert_int_equal(c->n_accounts, 1);
	config_destroy(&c);
}

/* ---- what is wrong -------------------------------------------------- */

/* Each is told in the line given (counted from the first after the ground), with these words. */
static const struct mistake {
	const char *text;
	unsigned line;
	const char *told;
} mistakes[] = {
	{ "hostnam = x\n", 1, "unknown key 'hostnam': did you mean 'hostname'?" },
	{ "zzzzzz = x\n", 1, "unknown key 'zzzzzz'" },
	{ "\nacount x { senders = {a@b} }\n", 2, "unknown key 'acount': did you mean 'account'?" },
	{ "limits {\n mesage-size = 1M\n}\n", 2,
	    "unknown key 'mesage-size' in 'limits': did you mean 'message-size'?" },
	{ "hostname = other.example\n", 1, "'hostname' is written twice, first in" },
	{ "delivery { port = 26 }\n", 1, "'delivery' is written twice" },
	{ "limits { errors = 1 errors = 2 }\n", 1, "'errors' is written twice" },
	{ ORG, 1, "domain 'example.org' is written twice, first in" },
	{ "domain EXAMPLE.org { dkim = {one} }\n", 1, "domain 'EXAMPLE.org' is written twice" },
	{ ACCOUNT, 1, "account 'web@example.org' is written twice" },
	{ "account WEB@example.org { senders = {@example.org} }\n", 1, "is written twice" },
	{ "partner a.example { tls = dane }\npartner a.example { tls = may }\n", 2,
	    "partner 'a.example' is written twice" },
	{ "domain exämple.org { dkim = {one} }\ndomain xn--exmple-cua.org { dkim = {one} }\n", 2,
	    "domain 'xn--exmple-cua.org' is written twice" },
	{ "limits { errors = many }\n", 1, "errors = many: must be a whole number" },
	{ "limits { errors = -1 }\n", 1, "errors = -1: must be a whole number" },
	{ "limits { errors = 0 }\n", 1, "errors = 0: must be from 1 to 10000" },
	{ "limits { message-size = 25MB }\n", 1, "message-size = 25MB: must be a size in bytes" },
	{ "limits { message-size = 99999999999999999999 }\n", 1, "must be a size" },
	{ "retry { first = soon }\n", 1, "first = soon: must be a time, as 90s, 5m, 1h or 5d" },
	{ "retry { first = 2h }\n", 1, "later than the longest wait" },
	{ "retry { expire = 1m }\n", 1, "would expire before its first retry" },
	{ "listen { port = 70000 }\n", 1, "port = 70000: must be from 1 to 65535" },
	{ "listen { port = 25 }\n", 1, "people and programs submit on 587 or 465" },
	{ "listen { tls = yes }\n", 1, "tls = yes: must be one of starttls, implicit" },
	{ "listen { address = localhost }\n", 1, "must be a numeric IPv4 or IPv6 address" },
	{ "listen { port = 587 }\nlisten { port = 587 }\n", 2, "is listened on twice" },
	{ "control = "
	  "/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	  "aaaaaaaaaaaaaaaaaaaaaaaaa\n",
	    1, "a socket's path has at most 107 letters" },
	{ "log = /nonexistent/log\n", 1,
	    "log = /nonexistent/log: there is no directory /nonexistent/" },
	{ "spool = /nonexistent/spool//\n", 1, "there is no directory /nonexistent/" },
	{ "control = cert.pem/control\n", 1, "cert.pem/control: there is no directory" },
	{ "log = sylog\n", 1, "log = sylog: must be syslog, stderr or a path" },
	{ "domain a..b { dkim = {one} }\n", 1, "domain 'a..b' is no domain name" },
	{ "domain example.com { }\n", 1, "has no dkim = {SELECTOR}" },
	{ "domain example.com { dkim = {one, gone} }\n", 1,
	    "/dkim/example.com/gone.pem'; make keys with: zegel dkim new example.com" },
	{ "domain example.com { dkim = {\"../../key\"} }\n", 1,
	    "dkim: '../../key' is no selector" },
	{ "domain example.com { dkim = {one, one} }\n", 1, "selector 'one' is written twice" },
	{ "account a { }\n", 1, "account 'a' has no senders" },
	{ "account a {\nsenders = {\"a@example.net\"} }\n", 1,
	    "account 'a' may send as 'a@example.net', but there is no domain example.net" },
	{ "account a { senders = {\"@sub.example.org\"} }\n", 1,
	    "there is no domain sub.example.org" },
	{ "account a { senders = {example.org} }\n", 1, "senders: 'example.org' is no address" },
	{ "account a {\nsenders = {\n\"<a@example.org>\"} }\n", 3, "is no address" },
	{ "account \"a b\" { senders = {\"@example.org\"} }\n", 1, "a login is printable ASCII" },
	{ "account a { senders = {@example.org} stream = bulky }\n", 1,
	    "stream = bulky: must be one of ordinary, bulk; did you mean 'bulk'?" },
	{ "account a { senders = {@example.org} rate = 300 }\n", 1,
	    "rate = 300: must be messages" },
	{ "account a { senders = {@example.org} rate = 5/fortnight }\n", 1, "must be messages" },
	{ "account a { senders = {a+b@example.org} }\n", 1,
	    "a word with '*' or '+' must stand in quotes: \"a+b@example.org\"" },
	{ "partner b.example { tls = secure }\n", 1, "tls = secure needs mx = {NAME}" },
	{ "partner b.example { tls = secure mx = {*.b.example} }\n", 1,
	    "must stand in quotes: \"*.b.example\"" },
	{ "partner b.example { tls = fingerprint }\n", 1, "tls = fingerprint needs fingerprint" },
	{ "partner b.example { tls = fingerprint fingerprint = {abcd} }\n", 1, "is no SHA-256" },
	{ "partner b.example { tls = secret mx = {a.example} }\n", 1,
	    "must be one of none, may, encrypt, verify, secure, fingerprint, dane, dane-only; did you "
	    "mean 'secure'?" },
	{ "partner b.example { }\n", 1, "partner 'b.example' has no tls = LEVEL" },
	{ "partner b.example { tls = verify ca = gone.pem }\n", 1, "gone.pem': No such file" },
	{ "partner \"b example\" { tls = may }\n", 1, "is no domain name" },
	{ "user nobody\n", 1, "'user' is written twice" },
	{ "spool /var/spool\n", 1, "write: spool = VALUE" },
	{ "spool = {a, b}\n", 1, "'spool' takes one value, not a list" },
	{ "spool =\n", 1, "'spool' has no value" },
	{ "spool = \"/var\n", 1, "the quote \" is not closed in this line" },
	{ "retry = 5\n", 1, "write: retry { ... }" },
	{ "account { senders = {} }\n", 1, "write: account NAME { ... }" },
	{ "account a b { senders = {} }\n", 1, "write: account NAME { ... }" },
	{ "account a {\nsenders = {\"@example.org\" \"@example.com\"}\n}\n", 2,
	    "in the list 'senders': 'another word' where a comma or '}' was expected" },
	{ "}\n", 1, "a closing brace without its opening" },
	{ "= 5\n", 1, "'=' where a key was expected" },
	{ "limits {\n errors = 5\n", 1, "the brace of 'limits' is never closed" },
	{ "limts {\n errors = 5\n", 1, "this brace is never closed" },
	{ "include(\"gone.conf\")\n", 1, "gone.conf': No such file" },
	{ "include\n", 1, "write: include(\"FILE\")" },
	{ "include = x\n", 1, "write: include(\"FILE\")" },
	{ "include(\"zegel.conf\")\n", 1, "is included twice" },
	{ "spool = \"a\x01\"\n", 1, "a control character (byte 1)" },
	{ "spool = \"\\999\"\n", 1, "cannot be understood: look at quotes and backslashes" },
};

static void every_mistake_is_told_with_its_line(void **state)
{
	enum { LINES = GROUND_LINES + 2 };

	for (size_t i = 0; i < sizeof mistakes / sizeof mistakes[0]; i++) {
		char *text;
		struct config_remarks remarks;

		assert_true(asprintf(&text, "%s%s", GROUND ORG ACCOUNT, mistakes[i].text) > 0);
		if (load(*state, text, &remarks) != NULL)
			fail_msg("accepted: %s", mistakes[i].text);
		assert_true(remarks.n_errors > 0);
		if (!is_told(&remarks, LINES + mistakes[i].line, mistakes[i].told)) {
			for (size_t j = 0; j < remarks.n; j++)
				print_message("%s\n", remarks.texts[j]);
			fail_msg("not told: %s: %s", mistakes[i].text, mistakes[i].told);
		}
		config_remarks_finish(&remarks);
		free(text);
	}
}

static void all_mistakes_are_told_in_one_run_and_in_order(void **state)
{
	static const char *const told[] = { "unknown key 'hostnam'", "unknown key 'usr'",
		"errors = x", "unknown key 'sesions'", "tls = sure", "unknown key 'foo'" };
	struct config_remarks remarks;

	assert_null(load(*state,
	    GROUND ORG ACCOUNT
	    "hostnam = x\nusr = y\nlimits { errors = x\n sesions = 4 }\n"
	    "partner p.example { tls = sure }\nfoo bar { a = {b} c { d = e } }\n",
	    &remarks));
	assert_int_equal(remarks.n, 6);
	assert_int_equal(remarks.n_errors, 6);
	for (size_t i = 0; i < remarks.n; i++) {
		if (strstr(remarks.texts[i], told[i]) == NULL)
			fail_msg("%s", remarks.texts[i]);
	}
	config_remarks_finish(&remarks);
}

/* libconfuse's scanner is global: what stopped it in the middle of a string must not outlast it. */
static void a_reload_after_a_broken_file_is_a_fresh_start(void **state)
{
	struct config_remarks remarks;
	struct config *c;

	assert_null(load(*state, GROUND ORG ACCOUNT "spool = \"\\999 {\"\n", &remarks));
	config_remarks_finish(&remarks);
	c = load_good(*state, GROUND ORG ACCOUNT);
	assert_int_equal(c->n_accounts, 1);
	config_destroy(&c);
}

/* K18: who can read the key signs as the domain. */
static void k18_key_open_to_everybody_is_refused(void **state)
{
	struct config_remarks remarks;

	assert_null(
	    load(*state, GROUND "domain example.org { dkim = {open} }\n" ACCOUNT, &remarks));
	assert_true(is_told(&remarks, GROUND_LINES + 1, "is open to more than its owner"));
	config_remarks_finish(&remarks);
}

static void what_must_be_there_is_asked_for(void **state)
{
	static const char *const told[] = { "hostname is missing", "certificate is missing",
		"key is missing", "warning: there is no domain", "warning: there is no account" };
	struct config_remarks remarks;
	bool found;

	assert_null(load(*state, "user = nobody\n", &remarks));
	assert_int_equal(remarks.n_errors, 3);
	for (size_t i = 0; i < sizeof told / sizeof told[0]; i++) {
		found = false;
		for (size_t j = 0; j < remarks.n; j++)
			found |= strstr(remarks.texts[j], told[i]) != NULL;
		if (!found)
			fail_msg("not told: %s", told[i]);
	}
	config_remarks_finish(&remarks);
}

static void a_rate_is_read_and_warned_about(void **state)
{
	struct config_remarks remarks;
	struct config *c = load(*state,
	    GROUND ORG "account a { senders = {@example.org}\n rate = 300/hour }\n", &remarks);

	assert_non_null(c);
	assert_int_equal(c->accounts[0].rate_per_hour, 300);
	assert_int_equal(remarks.n, 1);
	assert_int_equal(remarks.n_errors, 0);
	assert_true(is_told(&remarks, GROUND_LINES + 3, "warning: rate = 300/hour is understood"));
	config_remarks_finish(&remarks);
	config_destroy(&c);
}

static void files_that_are_no_configuration(void **state)
{
	const struct place *p = *state;
	static const char *const texts[] = { "", "\n\n", "{{{{{{", "}}}}", "= = =", "\"", "a",
		"a {", "a = {", "account", "account x", "account x {", "dns { stub",
		"dns { stub x {", "#", "/*", "tls = tls {", "domain x { dkim = {a,", "${HOME}",
		"\xff\xfe\xfd = \x80", "a\\" };
	struct config_remarks remarks;

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_null(load(p, texts[i], &remarks));
		assert_true(remarks.n_errors > 0);
		config_remarks_finish(&remarks);
	}
	assert_null(config_load("/nonexistent/zegel.conf", &remarks));
	assert_int_equal(remarks.n_errors, 1);
	assert_non_null(strstr(remarks.texts[0], "No such file"));
	config_remarks_finish(&remarks);
	assert_null(config_load(p->directory, &remarks));
	assert_true(remarks.n_errors > 0);
	config_remarks_finish(&remarks);
}

/* ---- the parts ------------------------------------------------------ */

static void standard_values_are_within_their_bounds(void **state)
{
	(void)state;
	for (size_t i = 0; i < n_keys; i++) {
		uint64_t n;

		if (keys[i].standard == NULL || keys[i].most == 0 || keys[i].kind == KEY_LEVEL)
			continue;
		if (!value_parse_seconds(keys[i].standard, &n) &&
		    !value_parse_size(keys[i].standard, &n))
			fail_msg("%s", keys[i].name);
		if (strcmp(keys[i].name, "expire") != 0 && keys[i].kind != KEY_SECONDS &&
		    keys[i].kind != KEY_MILLISECONDS)
			assert_true(n >= keys[i].least && n <= keys[i].most);
	}
}

static void forms_of_values(void **state)
{
	static const struct {
		const char *text;
		int seconds; /* -1: none */
		int64_t size;
	} numbers[] = { { "90", 90, 90 }, { "90s", 90, -1 }, { "5m", 300, -1 }, { "1h", 3600, -1 },
		{ "5d", 432000, -1 }, { "1w", 604800, -1 }, { "5", 5, 5 }, { "", -1, -1 },
		{ "m", -1, -1 }, { "-5", -1, -1 }, { "5 m", -1, -1 }, { "5M", -1, 5 << 20 },
		{ "100k", -1, 102400 }, { "2G", -1, 2LL << 30 }, { "1.5M", -1, -1 },
		{ "9999999999", -1, -1 } };
	uint64_t n;
	uint32_t rate;
	char server[VALUE_SERVER_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
		assert_int_equal(
		    value_parse_seconds(numbers[i].text, &n) ? (int)n : -1, numbers[i].seconds);
		assert_int_equal(
		    value_parse_size(numbers[i].text, &n) ? (int64_t)n : -1, numbers[i].size);
	}
	assert_true(value_parse_rate("300/hour", &rate) && rate == 300);
	assert_true(value_parse_rate("2/second", &rate) && rate == 7200);
	assert_true(value_parse_rate("20000/day", &rate) && rate == 834);
	assert_false(value_parse_rate("0/hour", &rate) || value_parse_rate("9/year", &rate));
	assert_true(value_parse_server("::1@5300", server));
	assert_string_equal(server, "::1@5300");
	assert_false(value_parse_server("127.0.0.1@0", server) ||
		     value_parse_server("127.0.0.1@70000", server) ||
		     value_parse_server("host", server) || value_parse_server("[::1]@53", server));
	assert_true(value_is_selector("op26a-rsa") && value_is_selector("a.b-c"));
	assert_false(value_is_selector("a/b") || value_is_selector("..") ||
		     value_is_selector("a..b") || value_is_selector(".a") ||
		     value_is_selector("a_b") || value_is_selector("a-.b") ||
		     value_is_selector(""));
}

static void nearest_words(void **state)
{
	static const char *const words[] = { "hostname", "spool", "tls", "delivery", "domain" };
	static const struct {
		const char *written, *meant;
	} cases[] = { { "hostnam", "hostname" }, { "hsotname", "hostname" }, { "HOSTNAME", NULL },
		{ "spol", "spool" }, { "tsla", NULL }, { "sls", "tls" }, { "tsl", "tls" },
		{ "delivry", "delivery" }, { "domains", "domain" }, { "x", NULL },
		{ "quarantine", NULL }, { "", NULL } };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		const char *nearest = suggest_nearest(cases[i].written, words, 5);

		if (cases[i].meant == NULL)
			assert_null(nearest);
		else
			assert_string_equal(nearest, cases[i].meant);
	}
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		TEST(defaults_are_those_of_the_header),
		TEST(everything_can_be_written),
		TEST(the_nearest_partner_rule_wins),
		TEST(idn_domains_are_compared_as_a_labels),
		TEST(included_files_stand_where_they_are_included),
		TEST(every_mistake_is_told_with_its_line),
		TEST(all_mistakes_are_told_in_one_run_and_in_order),
		TEST(a_reload_after_a_broken_file_is_a_fresh_start),
		TEST(k18_key_open_to_everybody_is_refused),
		TEST(what_must_be_there_is_asked_for),
		TEST(a_rate_is_read_and_warned_about),
		TEST(files_that_are_no_configuration),
		cmocka_unit_test(standard_values_are_within_their_bounds),
		cmocka_unit_test(forms_of_values),
		cmocka_unit_test(nearest_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
