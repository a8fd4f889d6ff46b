/*
 * MTA-STS as text (T19, T23). Each line of the two tables is a vector: what was published, and what it
 * says. What it says of a policy is written "MODE MAX_AGE MX MX ...".
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/buffer.h"
#include "tls/sts.h"

#define NAME32 "a1234567890123456789012345678901"

static void t19_records(void **state)
{
	static const struct {
		const char *name;
		const char *texts[3];
		enum sts_record_kind kind;
		const char *id;
	} table[] = {
		{ "as in the RFC", { "v=STSv1; id=20160831085700Z;" }, STS_RECORD_GOOD,
		    "20160831085700Z" },
		{ "no last semicolon", { "v=STSv1; id=a" }, STS_RECORD_GOOD, "a" },
		{ "no spaces", { "v=STSv1;id=a;" }, STS_RECORD_GOOD, "a" },
		{ "spaces and tabs around semicolons", { "v=STSv1; \t id=a  \t; " },
		    STS_RECORD_GOOD, "a" },
		{ "a space before the first semicolon", { "v=STSv1 ;id=a" }, STS_RECORD_GOOD, "a" },
		{ "an id of 32", { "v=STSv1; id=" NAME32 ";" }, STS_RECORD_GOOD, NAME32 },
		{ "case of the id is kept", { "v=STSv1; id=aZ9" }, STS_RECORD_GOOD, "aZ9" },
		{ "extensions", { "v=STSv1; id=a; more=a; e.x-t_=2:~!" }, STS_RECORD_GOOD, "a" },
		{ "an extension before the id", { "v=STSv1; more=1; id=a" }, STS_RECORD_GOOD, "a" },
		{ "an extension's name of 32", { "v=STSv1; id=a; " NAME32 "=1" }, STS_RECORD_GOOD,
		    "a" },
		{ "the first of two ids", { "v=STSv1; id=a; id=b" }, STS_RECORD_GOOD, "a" },
		{ "among others", { "google-site-verification=x", "v=STSv1; id=a", "v=spf1 -all" },
		    STS_RECORD_GOOD, "a" },
		{ "beside another version", { "v=STSv2; id=b", "v=STSv1; id=a" }, STS_RECORD_GOOD,
		    "a" },

		{ "nothing", { NULL }, STS_RECORD_NONE, "" },
		{ "an empty one", { "" }, STS_RECORD_NONE, "" },
		{ "two", { "v=STSv1; id=a", "v=STSv1; id=a" }, STS_RECORD_NONE, "" },
		{ "two, one of them broken", { "v=STSv1; id=a", "v=STSv1;" }, STS_RECORD_NONE, "" },
		{ "version 0", { "v=STSv0; id=a" }, STS_RECORD_NONE, "" },
		{ "version 10", { "v=STSv10; id=a" }, STS_RECORD_NONE, "" },
		{ "version 2", { "v=STSv2; id=a" }, STS_RECORD_NONE, "" },
		{ "lower case", { "v=stsv1; id=a" }, STS_RECORD_NONE, "" },
		{ "capital V", { "V=STSv1; id=a" }, STS_RECORD_NONE, "" },
		{ "the version comes second", { "id=a; v=STSv1;" }, STS_RECORD_NONE, "" },
		{ "a space before it", { " v=STSv1; id=a" }, STS_RECORD_NONE, "" },
		{ "quotes that were meant for the zone file", { "\"v=STSv1; id=a\"" },
		    STS_RECORD_NONE, "" },
		{ "the version alone", { "v=STSv1" }, STS_RECORD_NONE, "" },
		{ "a comma for a semicolon", { "v=STSv1, id=a" }, STS_RECORD_NONE, "" },
		{ "spaces around the first equals", { "v = STSv1; id=a" }, STS_RECORD_NONE, "" },

		{ "no id", { "v=STSv1;" }, STS_RECORD_INVALID, "" },
		{ "no id but a space", { "v=STSv1; " }, STS_RECORD_INVALID, "" },
		{ "an extension and no id", { "v=STSv1; ext=1" }, STS_RECORD_INVALID, "" },
		{ "an empty id", { "v=STSv1; id=" }, STS_RECORD_INVALID, "" },
		{ "an empty id, then one", { "v=STSv1; id=; id=a" }, STS_RECORD_INVALID, "" },
		{ "an id of 33", { "v=STSv1; id=" NAME32 "3" }, STS_RECORD_INVALID, "" },
		{ "an id with a hyphen", { "v=STSv1; id=2024-01-01" }, STS_RECORD_INVALID, "" },
		{ "an id with a space", { "v=STSv1; id=a b" }, STS_RECORD_INVALID, "" },
		{ "an id in quotes", { "v=STSv1; id='a'" }, STS_RECORD_INVALID, "" },
		{ "an id beyond ASCII", { "v=STSv1; id=\xc3\xa4" }, STS_RECORD_INVALID, "" },
		{ "ID", { "v=STSv1; ID=a" }, STS_RECORD_INVALID, "" },
		{ "spaces around equals", { "v=STSv1; id = a" }, STS_RECORD_INVALID, "" },
		{ "no semicolon between", { "v=STSv1; id=a more=b" }, STS_RECORD_INVALID, "" },
		{ "two semicolons", { "v=STSv1; id=a;;" }, STS_RECORD_INVALID, "" },
		{ "a space behind the last field", { "v=STSv1; id=a " }, STS_RECORD_INVALID, "" },
		{ "a line end", { "v=STSv1; id=a\r\n" }, STS_RECORD_INVALID, "" },
		{ "an extension without a value", { "v=STSv1; id=a; more=" }, STS_RECORD_INVALID,
		    "" },
		{ "an extension without equals", { "v=STSv1; id=a; more" }, STS_RECORD_INVALID,
		    "" },
		{ "an extension's name of 33", { "v=STSv1; id=a; " NAME32 "3=1" },
		    STS_RECORD_INVALID, "" },
		{ "an extension's name of symbols", { "v=STSv1; id=a; 1%=a" }, STS_RECORD_INVALID,
		    "" },
		{ "a second equals", { "v=STSv1; id=a; test==" }, STS_RECORD_INVALID, "" },
		{ "what stands for a NUL", { "v=STSv1; id=a; b=\x7f" }, STS_RECORD_INVALID, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		char id[STS_ID_MAX];
		size_t n = 0;
		enum sts_record_kind kind;

		while (n < 3 && table[i].texts[n] != NULL)
			n++;
		kind = sts_record_read(table[i].texts, n, id);
		if (kind != table[i].kind || strcmp(id, table[i].id) != 0)
			fail_msg("%s: kind %d, id \"%s\"", table[i].name, (int)kind, id);
	}
}

/* "MODE MAX_AGE MX MX ...", or why there is none. */
static void print(const char *text, size_t n, char *out, size_t room)
{
	struct sts_policy policy;
	struct buffer b;
	char why[200];

	if (!sts_policy_read(text, n, &policy, why, sizeof why)) {
		assert_true(*why != '\0');
		snprintf(out, room, "%s", why);
		return;
	}
	assert_string_equal(why, "");
	buffer_init(&b, room - 1);
	buffer_print(&b, "%s %u", sts_mode_name(policy.mode), policy.max_age_s);
	for (size_t i = 0; i < policy.n_mx; i++)
		buffer_print(&b, " %s", policy.mx[i]);
	snprintf(out, room, "%s", buffer_text(&b));
	buffer_finish(&b);
	sts_policy_finish(&policy);
}

#define HEAD    "version: STSv1\nmode: enforce\n"
#define FULL    HEAD "max_age: 86400\n"
#define NO_LINE "is not a name, a colon and a value"
#define NO_HOST "names no host: letters, digits, hyphens and dots, perhaps \"*.\" before them"
#define NO_AGE  "is not a number of seconds of at most ten digits"
#define NO_MODE "is not \"enforce\", \"testing\" or \"none\""

static void t19_policies(void **state)
{
	static const struct {
		const char *name, *text, *says;
	} table[] = {
		{ "as in the RFC",
		    "version: STSv1\nmode: enforce\nmx: mail.example.com\nmx: *.example.net\n"
		    "mx: backupmx.example.com\nmax_age: 604800\n",
		    "enforce 604800 mail.example.com *.example.net backupmx.example.com" },
		{ "CRLF", "version: STSv1\r\nmode: testing\r\nmx: a.test\r\nmax_age: 1\r\n",
		    "testing 1 a.test" },
		{ "CRLF and LF", "version: STSv1\r\nmode: testing\nmx: a.test\r\nmax_age: 1\n",
		    "testing 1 a.test" },
		{ "no final line end", FULL "mx: a.test", "enforce 86400 a.test" },
		{ "ends with a CR", FULL "mx: a.test\r",
		    "line 4 of the policy, \"mx: a.test?\", has a control character in it" },
		{ "no space behind the colon",
		    "version:STSv1\nmode:none\nmax_age:86400\nmx:a.test\n", "none 86400 a.test" },
		{ "spaces and tabs behind the colon", FULL "mx: \t  a.test\n",
		    "enforce 86400 a.test" },
		{ "spaces and tabs at the end of a line",
		    "version: STSv1\t\nmode: enforce \nmax_age: 5 \t\nmx: a.test \n",
		    "enforce 5 a.test" },
		{ "another order", "max_age: 5\nmx: a.test\nmode: testing\nversion: STSv1\n",
		    "testing 5 a.test" },
		{ "mode none needs no mx", "version: STSv1\nmode: none\nmax_age: 86400\n",
		    "none 86400" },
		{ "empty lines", "\n" FULL "\r\n  \nmx: a.test\n\n\n", "enforce 86400 a.test" },
		{ "unknown keys", FULL "mx: a.test\nmore: ext e  ns = i;on: x\nx.y-z_1: 2\n",
		    "enforce 86400 a.test" },
		{ "an unknown value beyond ASCII", FULL "mx: a.test\nnote: \xc3\xa4\xff\n",
		    "enforce 86400 a.test" },
		{ "the first version", "version: STSv1\nversion: STSv2\nmode: none\nmax_age: 1\n",
		    "none 1" },
		{ "the first mode", HEAD "mode: none\nmax_age: 1\nmx: a.test\n",
		    "enforce 1 a.test" },
		{ "the first mode, and a wrong one", HEAD "mode: x\nmax_age: 1\nmx: a.test\n",
		    "enforce 1 a.test" },
		{ "the first max_age", HEAD "max_age: 1\nmax_age: 2\nmx: a.test\n",
		    "enforce 1 a.test" },
		{ "max_age 0", HEAD "max_age: 0\nmx: a.test\n", "enforce 0 a.test" },
		{ "the longest max_age", HEAD "max_age: 31557600\nmx: a.test\n",
		    "enforce 31557600 a.test" },
		{ "more than the longest", HEAD "max_age: 31557601\nmx: a.test\n",
		    "enforce 31557600 a.test" },
		{ "ten digits", HEAD "max_age: 9999999999\nmx: a.test\n",
		    "enforce 31557600 a.test" },
		{ "zeros before", HEAD "max_age: 0000000001\nmx: a.test\n", "enforce 1 a.test" },
		{ "mx in capitals", FULL "mx: MX1.Example.COM\n", "enforce 86400 mx1.example.com" },
		{ "a star and capitals", FULL "mx: *.Example.COM\n",
		    "enforce 86400 *.example.com" },
		{ "an A-label", FULL "mx: mx.xn--exmple-cua.com\n",
		    "enforce 86400 mx.xn--exmple-cua.com" },
		{ "an address is letters too, and matches nobody", FULL "mx: 192.0.2.1\n",
		    "enforce 86400 192.0.2.1" },
		{ "a star before a top-level domain", FULL "mx: *.test\n", "enforce 86400 *.test" },
		{ "one label", FULL "mx: localhost\n", "enforce 86400 localhost" },
		{ "the same mx twice", FULL "mx: a.test\nmx: a.test\n",
		    "enforce 86400 a.test a.test" },
		{ "a key of another case is unknown", FULL "MX: b.test\nMode: none\nmx: a.test\n",
		    "enforce 86400 a.test" },

		{ "nothing", "", "the policy has no version" },
		{ "empty lines only", "\r\n\r\n", "the policy has no version" },
		{ "no version", "mode: none\nmax_age: 1\n", "the policy has no version" },
		{ "Version", "Version: STSv1\nmode: none\nmax_age: 1\n",
		    "the policy has no version" },
		{ "version 2", "version: STSv2\nmode: none\nmax_age: 1\n",
		    "line 1 of the policy, \"version: STSv2\", is not \"STSv1\"" },
		{ "version 10", "version: STSv10\nmode: none\nmax_age: 1\n",
		    "line 1 of the policy, \"version: STSv10\", is not \"STSv1\"" },
		{ "version in lower case", "version: stsv1\nmode: none\nmax_age: 1\n",
		    "line 1 of the policy, \"version: stsv1\", is not \"STSv1\"" },
		{ "a wrong version, then the right one",
		    "version: STSv2\nversion: STSv1\nmode: none\nmax_age: 1\n",
		    "line 1 of the policy, \"version: STSv2\", is not \"STSv1\"" },
		{ "a version without a value", "version:\nmode: none\nmax_age: 1\n",
		    "line 1 of the policy, \"version:\", " NO_LINE },
		{ "no mode", "version: STSv1\nmax_age: 1\nmx: a.test\n", "the policy has no mode" },
		{ "an unknown mode", "version: STSv1\nmode: strict\nmax_age: 1\nmx: a.test\n",
		    "line 2 of the policy, \"mode: strict\", " NO_MODE },
		{ "a mode in capitals", "version: STSv1\nmode: Enforce\nmax_age: 1\nmx: a.test\n",
		    "line 2 of the policy, \"mode: Enforce\", " NO_MODE },
		{ "no max_age", HEAD "mx: a.test\n", "the policy has no max_age" },
		{ "max_age below 0", HEAD "max_age: -1\nmx: a.test\n",
		    "line 3 of the policy, \"max_age: -1\", " NO_AGE },
		{ "max_age of eleven digits", HEAD "max_age: 01234567890\nmx: a.test\n",
		    "line 3 of the policy, \"max_age: 01234567890\", " NO_AGE },
		{ "max_age with a unit", HEAD "max_age: 1d\nmx: a.test\n",
		    "line 3 of the policy, \"max_age: 1d\", " NO_AGE },
		{ "max_age with a fraction", HEAD "max_age: 1.5\nmx: a.test\n",
		    "line 3 of the policy, \"max_age: 1.5\", " NO_AGE },
		{ "max_age with a plus", HEAD "max_age: +1\nmx: a.test\n",
		    "line 3 of the policy, \"max_age: +1\", " NO_AGE },
		{ "enforce without mx", FULL,
		    "the policy has no mx, which every mode but none needs" },
		{ "testing without mx", "version: STSv1\nmode: testing\nmax_age: 1\n",
		    "the policy has no mx, which every mode but none needs" },
		{ "mx without a value", FULL "mx:\n", "line 4 of the policy, \"mx:\", " NO_LINE },
		{ "mx with a trailing dot", FULL "mx: a.test.\n",
		    "line 4 of the policy, \"mx: a.test.\", " NO_HOST },
		{ "a star alone", FULL "mx: *\n", "line 4 of the policy, \"mx: *\", " NO_HOST },
		{ "a star and a dot", FULL "mx: *.\n",
		    "line 4 of the policy, \"mx: *.\", " NO_HOST },
		{ "two stars", FULL "mx: *.*.test\n",
		    "line 4 of the policy, \"mx: *.*.test\", " NO_HOST },
		{ "a star within a label", FULL "mx: a*.test\n",
		    "line 4 of the policy, \"mx: a*.test\", " NO_HOST },
		{ "a star within", FULL "mx: a.*.test\n",
		    "line 4 of the policy, \"mx: a.*.test\", " NO_HOST },
		{ "a dot for a star", FULL "mx: .a.test\n",
		    "line 4 of the policy, \"mx: .a.test\", " NO_HOST },
		{ "two dots", FULL "mx: a..test\n",
		    "line 4 of the policy, \"mx: a..test\", " NO_HOST },
		{ "a hyphen at the end", FULL "mx: a.test-\n",
		    "line 4 of the policy, \"mx: a.test-\", " NO_HOST },
		{ "a U-label", FULL "mx: mx.ex\xc3\xa4mple.com\n",
		    "line 4 of the policy, \"mx: mx.ex??mple.com\", " NO_HOST },
		{ "an A-label that is none", FULL "mx: xn--a.test\n",
		    "line 4 of the policy, \"mx: xn--a.test\", " NO_HOST },
		{ "an address literal", FULL "mx: [192.0.2.1]\n",
		    "line 4 of the policy, \"mx: [192.0.2.1]\", " NO_HOST },
		{ "an IPv6 address", FULL "mx: 2001:db8::1\n",
		    "line 4 of the policy, \"mx: 2001:db8::1\", " NO_HOST },
		{ "two hosts in a line", FULL "mx: a.test, b.test\n",
		    "line 4 of the policy, \"mx: a.test, b.test\", " NO_HOST },
		{ "a wrong mx in mode none", "version: STSv1\nmode: none\nmax_age: 1\nmx: a b\n",
		    "line 4 of the policy, \"mx: a b\", " NO_HOST },
		{ "a space before a key", FULL " mx: a.test\n",
		    "line 4 of the policy, \" mx: a.test\", " NO_LINE },
		{ "a space before the colon", FULL "mx : a.test\n",
		    "line 4 of the policy, \"mx : a.test\", " NO_LINE },
		{ "a folded line", FULL "mx: a.test\n  b.test\n",
		    "line 5 of the policy, \"  b.test\", has no colon" },
		{ "equals for a colon", FULL "mx = a.test\n",
		    "line 4 of the policy, \"mx = a.test\", has no colon" },
		{ "a comment", "# ours\n" FULL "mx: a.test\n",
		    "line 1 of the policy, \"# ours\", has no colon" },
		{ "a byte order mark", "\xef\xbb\xbf" FULL "mx: a.test\n",
		    "line 1 of the policy, \"???version: STSv1\", " NO_LINE },
		{ "a page", "<html><body>Not found</body></html>\n",
		    "line 1 of the policy, \"<html><body>Not found</body></html>\", has no colon" },
		{ "lines that end with CR", "version: STSv1\rmode: none\rmax_age: 1\r",
		    "line 1 of the policy, \"version: STSv1?mode: none?max_age: 1?\", "
		    "has a control character in it" },
		{ "a form feed", FULL "mx: a.test\fb\n",
		    "line 4 of the policy, \"mx: a.test?b\", has a control character in it" },
		{ "an unknown key without a value", FULL "mx: a.test\nmore:\n",
		    "line 5 of the policy, \"more:\", " NO_LINE },
		{ "an unknown key of 33 letters", FULL "mx: a.test\n" NAME32 "3: 1\n",
		    "line 5 of the policy, \"" NAME32 "3: 1\", " NO_LINE },
		{ "an unknown key that begins with a symbol", FULL "mx: a.test\n_bad: 1\n",
		    "line 5 of the policy, \"_bad: 1\", " NO_LINE },
	};
	char says[300];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		print(table[i].text, strlen(table[i].text), says, sizeof says);
		if (strcmp(says, table[i].says) != 0)
			fail_msg("%s: \"%s\"", table[i].name, says);
	}
}

static void t19_nul_in_a_policy(void **state)
{
	static const char text[] = FULL "mx: a.test\0.b.test\n";
	char says[200];

	(void)state;
	print(text, sizeof text - 1, says, sizeof says);
	assert_string_equal(
	    says, "line 4 of the policy, \"mx: a.test?.b.test\", has a control character in it");
}

/* 64 KB of it is a policy, one byte more is none; of the many hosts in it the first are kept. */
static void t19_long_policies(void **state)
{
	struct sts_policy policy;
	struct buffer b;
	char why[200];

	(void)state;
	buffer_init(&b, STS_POLICY_MAX + 1);
	buffer_add_text(&b, FULL);
	for (unsigned i = 0; i <= STS_MX_MAX; i++)
		buffer_print(&b, "mx: mx%u.test\n", i);
	buffer_add_text(&b, "fill: ");
	while (b.n < STS_POLICY_MAX)
		buffer_add_text(&b, "x");
	assert_true(sts_policy_read(b.bytes, b.n, &policy, why, sizeof why));
	assert_int_equal(policy.n_mx, STS_MX_MAX);
	assert_true(sts_policy_allows(&policy, "mx99.test"));
	assert_false(sts_policy_allows(&policy, "mx100.test"));
	sts_policy_finish(&policy);

	assert_true(buffer_add_text(&b, "x"));
	assert_false(sts_policy_read(b.bytes, b.n, &policy, why, sizeof why));
	assert_string_equal(why, "the policy is longer than 65536 bytes");
	buffer_finish(&b);
}

static void t23_a_star_is_one_label(void **state)
{
	static const struct {
		const char *mx, *host;
		bool allowed;
	} table[] = {
		{ "*.example.com", "mx.example.com", true },
		{ "*.example.com", "mail-1.example.com", true },
		{ "*.example.com", "example.com", false },
		{ "*.example.com", "a.mx.example.com", false },
		{ "*.example.com", "mxexample.com", false },
		{ "*.example.com", "mx.example.com.evil.test", false },
		{ "*.example.com", "mx.example.org", false },
		{ "mx.example.com", "mx.example.com", true },
		{ "mx.example.com", "a.mx.example.com", false },
		{ "mx.example.com", "example.com", false },
		{ "MX.example.com", "mx.example.com", true },
		{ "*.com", "example.com", true },
		{ "*.com", "mx.example.com", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct sts_policy policy, copy;
		char text[200], why[200];

		snprintf(text, sizeof text, FULL "mx: other.test\nmx: %s\n", table[i].mx);
		assert_true(sts_policy_read(text, strlen(text), &policy, why, sizeof why));
		sts_policy_copy(&copy, &policy);
		sts_policy_finish(&policy);
		if (sts_policy_allows(&copy, table[i].host) != table[i].allowed)
			fail_msg("%s: %s", table[i].mx, table[i].host);
		assert_true(sts_policy_allows(&copy, "other.test"));
		sts_policy_finish(&copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t19_records),
		cmocka_unit_test(t19_policies),
		cmocka_unit_test(t19_nul_in_a_policy),
		cmocka_unit_test(t19_long_policies),
		cmocka_unit_test(t23_a_star_is_one_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
