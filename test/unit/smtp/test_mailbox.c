/* Which address lists are understood, as what, and which are refused, by what name. */
#include "smtp/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/buffer.h"
#include "relay/base/clock.h"

#define BYTES(literal) (literal), sizeof(literal) - 1
#define FIFTY(x)                                                                                   \
	x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x x  \
	    x x x x x

static const struct {
	const char *title, *value;
	size_t n;
	const char *addresses; /* local parts in brackets, so that unquoting shows */
} understood[] = {
	{ "bare", BYTES(" alice@example.org"), "[alice]@example.org" },
	{ "in brackets", BYTES("<alice@example.org>"), "[alice]@example.org" },
	{ "display name", BYTES(" Alice Liddell <alice@example.org>"), "[alice]@example.org" },
	{ "dots in it", BYTES(" Alice L. Liddell jr. <alice@example.org>"), "[alice]@example.org" },
	{ "quoted", BYTES(" \"Liddell, Alice\" <alice@example.org>"), "[alice]@example.org" },
	{ "quoted pairs", BYTES(" \"A \\\"B\\\\\" <alice@example.org>"), "[alice]@example.org" },
	{ "empty quotes", BYTES(" \"\" <alice@example.org>"), "[alice]@example.org" },
	{ "encoded word", BYTES(" =?utf-8?B?PGNlb0BiYW5rLmV4YW1wbGU+?= <alice@example.org>"),
	    "[alice]@example.org" },
	{ "encoded words, folded",
	    BYTES(" =?utf-8?Q?Al?=\r\n =?utf-8?Q?ice?=\r\n\t<alice@example.org>"),
	    "[alice]@example.org" },
	{ "P23: an address as display name", BYTES(" \"ceo@bank.example\" <alice@example.org>"),
	    "[alice]@example.org" },
	{ "P25: comments around", BYTES(" (a (b) \\) c)alice@example.org (Alice\r\n Liddell)"),
	    "[alice]@example.org" },
	{ "comment before the bracket", BYTES("Alice (x@y) <alice@example.org>(z)"),
	    "[alice]@example.org" },
	{ "P12: several", BYTES(" <alice@example.org>, <ceo@bank.example>"),
	    "[alice]@example.org,[ceo]@bank.example" },
	{ "P21: several, one bare", BYTES(" ceo@bank.example, <alice@example.org>"),
	    "[ceo]@bank.example,[alice]@example.org" },
	{ "P29: folds between the parts",
	    BYTES("\r\n Alice\r\n\t<alice@example.org>\r\n ,\r\n bob@example.net\r\n "),
	    "[alice]@example.org,[bob]@example.net" },
	{ "P29: five hundred folds",
	    BYTES(FIFTY("\r\n \r\n \r\n \r\n \r\n \r\n \r\n \r\n \r\n \r\n ") "alice@example.org"),
	    "[alice]@example.org" },
	{ "P32: a domain in Unicode", BYTES("alice@ex\303\244mple.org"),
	    "[alice]@xn--exmple-cua.org" },
	{ "P32: an A-label in capitals", BYTES("alice@XN--EXMPLE-CUA.ORG"),
	    "[alice]@xn--exmple-cua.org" },
	{ "P32: a homograph is another domain", BYTES("alice@\320\265xample.org"),
	    "[alice]@xn--xample-2of.org" },
	{ "P3: capitals", BYTES("Alice@EXAMPLE.org"), "[Alice]@example.org" },
	{ "P36: quoted without need", BYTES("\"alice\"@example.org"), "[alice]@example.org" },
	{ "P36: quoted, letters escaped", BYTES("<\"al\\ice\"@example.org>"),
	    "[alice]@example.org" },
	{ "P6: an address as local part", BYTES("\"ceo@bank.example\"@example.org"),
	    "[ceo@bank.example]@example.org" },
	{ "P6: the other way round", BYTES("<\"alice@example.org\"@bank.example>"),
	    "[alice@example.org]@bank.example" },
	{ "P37: plus and dots stay", BYTES("a.lice+shop@example.org"),
	    "[a.lice+shop]@example.org" },
	{ "P35: 64 letters",
	    BYTES("1234567890123456789012345678901234567890123456789012345678901234@example.org"),
	    "[1234567890123456789012345678901234567890123456789012345678901234]@example.org" },
};

static void clear_lists_are_understood(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof understood / sizeof understood[0]; i++) {
		struct mailbox_list list;
		struct outcome why;
		struct buffer got;

		print_message("%s\n", understood[i].title);
		buffer_init(&got, 1000);
		assert_true(mailbox_parse(
		    &list, "From", (struct slice){ understood[i].value, understood[i].n }, &why));
		for (size_t k = 0; k < list.n_addresses; k++)
			buffer_print(&got, "%s[%s]@%s", k > 0 ? "," : "", list.addresses[k].local,
			    list.addresses[k].domain);
		assert_string_equal(buffer_text(&got), understood[i].addresses);
		buffer_finish(&got);
		mailbox_list_finish(&list);
	}
}

static const struct {
	const char *title, *value;
	size_t n;
	const char *name;
} refused[] = {
	{ "nothing", BYTES(""), "mailbox-empty" },
	{ "white space", BYTES(" \r\n "), "mailbox-empty" },
	{ "a comment only", BYTES(" (alice@example.org)"), "mailbox-empty" },
	{ "empty element", BYTES("alice@example.org,,bob@example.net"), "mailbox-syntax" },
	{ "comma first", BYTES(", alice@example.org"), "mailbox-syntax" },
	{ "comma last", BYTES("alice@example.org,"), "mailbox-syntax" },
	{ "semicolon", BYTES("alice@example.org; bob@example.net"), "mailbox-syntax" },
	{ "name without address", BYTES("Alice"), "mailbox-syntax" },
	{ "empty brackets", BYTES("Alice <>"), "mailbox-local" },
	{ "open bracket", BYTES("Alice <alice@example.org"), "mailbox-syntax" },
	{ "two brackets", BYTES("<alice@example.org> <ceo@bank.example>"), "mailbox-syntax" },
	{ "P7: two ats", BYTES("alice@example.org@bank.example"), "mailbox-syntax" },
	{ "P8: an escaped at", BYTES("alice\\@bank.example@example.org"), "mailbox-syntax" },
	{ "P18: encoded word as address",
	    BYTES("=?utf-8?B?PGNlb0BiYW5rLmV4YW1wbGU+?=, <alice@example.org>"),
	    "mailbox-encoded-word" },
	{ "P18: in brackets", BYTES("<=?utf-8?Q?ceo=40bank.example?=>"), "mailbox-encoded-word" },
	{ "P18: as local part", BYTES("=?utf-8?Q?ceo=00?=@example.org"), "mailbox-encoded-word" },
	{ "P18: as domain", BYTES("alice@=?utf-8?Q?example.org?="), "mailbox-encoded-word" },
	{ "P18: quoted local part", BYTES("\"=?utf-8?Q?ceo?=\"@example.org"),
	    "mailbox-encoded-word" },
	{ "P19: source route", BYTES("<@example.org,@any.com:ceo@bank.example>"), "mailbox-route" },
	{ "P5: source route", BYTES("<@bank.example:alice@example.org>"), "mailbox-route" },
	{ "P20: backslash between", BYTES("<ceo@bank.example>\\, <alice@example.org>"),
	    "mailbox-syntax" },
	{ "P22: behind the bracket", BYTES("<alice@example.org>ceo@bank.example"),
	    "mailbox-syntax" },
	{ "P22: before the bracket", BYTES("ceo@bank.example <alice@example.org>"),
	    "mailbox-syntax" },
	{ "P24: group", BYTES("g: ceo@bank.example;"), "mailbox-group" },
	{ "P24: empty group", BYTES("undisclosed recipients:;"), "mailbox-group" },
	{ "P24: quoted group", BYTES("\"g\" : alice@example.org;"), "mailbox-group" },
	{ "P25: comment in the address", BYTES("alice(@bank.example)@example.org"),
	    "mailbox-syntax" },
	{ "P25: comment behind the at", BYTES("alice@(x)example.org"), "mailbox-domain" },
	{ "P25: comment in brackets", BYTES("<(x)alice@example.org>"), "mailbox-local" },
	{ "P25: nested too deep", BYTES("alice@example.org (((((((((x)))))))))"),
	    "mailbox-comment" },
	{ "P25: open comment", BYTES("alice@example.org (x"), "mailbox-comment" },
	{ "P25: comment ends in a backslash", BYTES("alice@example.org (x\\"), "mailbox-syntax" },
	{ "P26: bare CR", BYTES("alice@example.org\rFrom: ceo@bank.example"), "mailbox-control" },
	{ "P27: bare LF", BYTES("alice@example.org\nFrom: ceo@bank.example"), "mailbox-syntax" },
	{ "P28: NUL", BYTES("alice@example.org\0@bank.example"), "mailbox-syntax" },
	{ "P28: NUL in the name", BYTES("Al\0ice <alice@example.org>"), "mailbox-control" },
	{ "P28: NUL in quotes", BYTES("\"Al\0ice\" <alice@example.org>"), "mailbox-control" },
	{ "P28: NUL in a quoted local part", BYTES("\"al\0ice\"@example.org"), "mailbox-control" },
	{ "P29: fold in the domain", BYTES("alice@example.\r\n org"), "mailbox-domain" },
	{ "P29: fold in brackets", BYTES("<\r\n alice@example.org>"), "mailbox-local" },
	{ "P29: fold in a quoted local part", BYTES("\"al\r\n ice\"@example.org"),
	    "mailbox-control" },
	{ "a fold without white space", BYTES("Alice\r\n<alice@example.org>"), "mailbox-control" },
	{ "P32: bad punycode", BYTES("alice@xn--a"), "mailbox-domain" },
	{ "P32: ideographic dot", BYTES("alice@example\343\200\202org"), "mailbox-domain" },
	{ "P32: percent escape", BYTES("alice@example.org%00"), "mailbox-domain" },
	{ "P32: label of 64",
	    BYTES("alice@1234567890123456789012345678901234567890123456789012345678901234.org"),
	    "mailbox-domain" },
	{ "P33: Unicode local part", BYTES("\303\244lice@example.org"), "mailbox-local-8bit" },
	{ "P33: quoted", BYTES("<\"\303\244lice\"@example.org>"), "mailbox-local-8bit" },
	{ "P34: domain literal", BYTES("alice@[192.0.2.1]"), "mailbox-literal" },
	{ "P35: 65 letters",
	    BYTES("12345678901234567890123456789012345678901234567890123456789012345@example.org"),
	    "mailbox-local" },
	{ "P35: a domain of 256", BYTES("alice@" FIFTY("abcd.") "abcdef"), "mailbox-domain" },
	{ "P38: spaces everywhere", BYTES("alice . x @ example . org"), "mailbox-syntax" },
	{ "P38: space before the at", BYTES("alice @example.org"), "mailbox-syntax" },
	{ "P38: space behind the at", BYTES("alice@ example.org"), "mailbox-domain" },
	{ "P38: space in brackets", BYTES("<alice@example.org >"), "mailbox-syntax" },
	{ "P38: quoted and not", BYTES("\"alice\".x@example.org"), "mailbox-syntax" },
	{ "P3: dot at the end", BYTES("alice@example.org."), "mailbox-domain" },
	{ "two dots", BYTES("a..b@example.org"), "mailbox-local" },
	{ "dot first", BYTES("<.a@example.org>"), "mailbox-local" },
	{ "dot before the at", BYTES("a.@example.org"), "mailbox-local" },
	{ "empty quoted local part", BYTES("\"\"@example.org"), "mailbox-local" },
	{ "open quotes", BYTES("\"Alice <alice@example.org>"), "mailbox-syntax" },
	{ "open quotes, escaped end", BYTES("<\"alice\\\""), "mailbox-syntax" },
	{ "no domain", BYTES("alice@"), "mailbox-domain" },
	{ "no local part", BYTES("@example.org"), "mailbox-local" },
};

static void doubtful_lists_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
		struct mailbox_list list;
		struct outcome why;

		print_message("%s\n", refused[i].title);
		assert_false(mailbox_parse(
		    &list, "From", (struct slice){ refused[i].value, refused[i].n }, &why));
		assert_string_equal(why.name, refused[i].name);
		assert_int_equal(why.class, OUTCOME_FAIL);
		assert_string_equal(
		    why.enhanced, strcmp(why.name, "mailbox-local-8bit") == 0 ? "5.6.7" : "5.6.0");
		assert_non_null(strstr(why.text, "From"));
		assert_null(list.addresses);
	}
}

static const struct {
	const char *value, *text;
} texts[] = {
	{ "Alice <alice@EXAMPLE.org>", "alice@example.org" },
	{ "\"alice\"@example.org", "alice@example.org" },
	{ "\"a b\"@example.org", "\"a b\"@example.org" },
	{ "\"a\\\"\\\\b\"@example.org", "\"a\\\"\\\\b\"@example.org" },
	{ "\"a..b\"@example.org", "\"a..b\"@example.org" },
};

static void texts_are_quoted_only_where_they_must(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		struct mailbox_list list;
		struct outcome why;

		assert_true(mailbox_parse(&list, "From", slice_of(texts[i].value), &why));
		assert_string_equal(list.addresses[0].text, texts[i].text);
		mailbox_list_finish(&list);
	}
}

static void a_hundred_addresses_and_no_more(void **state)
{
	struct mailbox_list list;
	struct outcome why;
	struct buffer b;

	(void)state;
	buffer_init(&b, 10000);
	for (int i = 0; i < 100; i++)
		buffer_print(&b, "%sa%d@example.org", i > 0 ? "," : "", i);
	assert_true(mailbox_parse(&list, "From", (struct slice){ b.bytes, b.n }, &why));
	assert_int_equal(list.n_addresses, 100);
	mailbox_list_finish(&list);
	buffer_add_text(&b, ",b@example.org");
	assert_false(mailbox_parse(&list, "From", (struct slice){ b.bytes, b.n }, &why));
	assert_string_equal(why.name, "mailbox-too-many");
	buffer_finish(&b);
}

static void P25_deep_comments_and_long_names_take_linear_time(void **state)
{
	static const char *const fillers[] = { "(", "a ", "\"", "(x)", "\\", ".", "a.", "<" };
	int64_t started_ms = clock_monotonic_ms();

	(void)state;
	for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
		struct mailbox_list list;
		struct outcome why;
		struct buffer b;

		buffer_init(&b, 200000);
		while (b.n < 100000)
			buffer_add_text(&b, fillers[i]);
		assert_false(mailbox_parse(&list, "From", (struct slice){ b.bytes, b.n }, &why));
		buffer_finish(&b);
	}
	assert_true(clock_monotonic_ms() - started_ms < 20000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(clear_lists_are_understood),
		cmocka_unit_test(doubtful_lists_are_refused),
		cmocka_unit_test(texts_are_quoted_only_where_they_must),
		cmocka_unit_test(a_hundred_addresses_and_no_more),
		cmocka_unit_test(P25_deep_comments_and_long_names_take_linear_time),
	};

	return cmocka_run_group_tests_name("smtp/mailbox", tests, NULL, NULL);
}
