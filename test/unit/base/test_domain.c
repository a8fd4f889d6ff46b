/*
 * Domain names: what is one, what compares equal, and what only looks like one (P32).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/domain.h"

#define LETTERS_61 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define LABEL_63   LETTERS_61 "aa"

static const struct {
	const char *what, *text, *canonical; /* NULL: refused */
} cases[] = {
	{ "plain", "example.org", "example.org" },
	{ "upper case (P3)", "EXAMPLE.Org", "example.org" },
	{ "one label", "localhost", "localhost" },
	{ "digits and hyphens", "3com-x.b--c.example", "3com-x.b--c.example" },
	{ "underscore, which DNS has and some senders use", "_dmarc.ex_ample.org",
	    "_dmarc.ex_ample.org" },
	{ "empty", "", NULL },
	{ "trailing dot (P3)", "example.org.", NULL },
	{ "leading dot", ".example.org", NULL },
	{ "empty label", "example..org", NULL },
	{ "a dot alone", ".", NULL },
	{ "leading hyphen", "-example.org", NULL },
	{ "trailing hyphen", "example-.org", NULL },
	{ "hyphen at the end", "example.org-", NULL },
	{ "literal (P34)", "[192.0.2.1]", NULL },
	{ "space", "exam ple.org", NULL },
	{ "percent (P32)", "example.org%00", NULL },
	{ "at", "a@example.org", NULL },
	{ "slash", "example.org/a", NULL },
	{ "label of 63", LABEL_63 ".example", LABEL_63 ".example" },
	{ "label of 64 (P32)", LABEL_63 "a.example", NULL },
	{ "253 letters", LABEL_63 "." LABEL_63 "." LABEL_63 "." LETTERS_61,
	    LABEL_63 "." LABEL_63 "." LABEL_63 "." LETTERS_61 },
	{ "254 letters", LABEL_63 "." LABEL_63 "." LABEL_63 "." LETTERS_61 "a", NULL },
	{ "256 letters (P35)", LABEL_63 "." LABEL_63 "." LABEL_63 "." LABEL_63 "a", NULL },
	{ "U-label", "ex\xc3\xa4mple.org", "xn--exmple-cua.org" },
	{ "U-label in upper case", "EX\xc3\x84MPLE.ORG", "xn--exmple-cua.org" },
	{ "U-label decomposed", "exa\xcc\x88mple.org", "xn--exmple-cua.org" },
	{ "A-label", "xn--exmple-cua.org", "xn--exmple-cua.org" },
	{ "A-label in upper case", "XN--EXMPLE-CUA.ORG", "xn--exmple-cua.org" },
	{ "sharp s is a letter of its own (IDNA 2008)",
	    "stra\xc3\x9f"
	    "e.example",
	    "xn--strae-oqa.example" },
	{ "Cyrillic e is not e", "\xd0\xb5xample.org", "xn--xample-2of.org" },
	{ "A-label of nothing", "xn--.org", NULL },
	{ "A-label of bad punycode", "xn--a.org", NULL },
	{ "A-label of ASCII", "xn--example-.org", NULL },
	{ "A-label in the second place, bad", "example.xn--a", NULL },
	{ "looks like an A-label", "axn--a.org", "axn--a.org" },
	{ "ideographic full stop", "example\xe3\x80\x82org", NULL },
	{ "full-width full stop", "example\xef\xbc\x8eorg", NULL },
	{ "half-width full stop", "example\xef\xbd\xa1org", NULL },
	{ "one dot leader", "example\xe2\x80\xa4org", NULL },
	{ "two dot leader", "example\xe2\x80\xa5org", NULL },
	{ "soft hyphen", "exam\xc2\xadple.org", NULL },
	{ "zero width joiner", "exam\xe2\x80\x8dple.org", NULL },
	{ "zero width non-joiner", "exam\xe2\x80\x8cple.org", NULL },
	{ "zero width space", "exam\xe2\x80\x8bple.org", NULL },
	{ "word joiner", "exam\xe2\x81\xa0ple.org", NULL },
	{ "byte order mark",
	    "\xef\xbb\xbf"
	    "example.org",
	    NULL },
	{ "variation selector", "example\xef\xb8\x8f.org", NULL },
	{ "right-to-left override", "example\xe2\x80\xae.org", NULL },
	{ "full-width solidus", "bank.example\xef\xbc\x8f.org", NULL },
	{ "not UTF-8", "ex\xe4mple.org", NULL },
	{ "overlong UTF-8", "ex\xc1\xa1mple.org", NULL },
	{ "cut UTF-8", "example.org\xc3", NULL },
	{ "U-label too long", "\xc3\xa4" LETTERS_61 ".org", NULL },
};

static void canonical_names(void **state)
{
	char domain[DOMAIN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		bool is_name = domain_canonical(cases[i].text, strlen(cases[i].text), domain);

		if (is_name != (cases[i].canonical != NULL) ||
		    strcmp(domain, is_name ? cases[i].canonical : "") != 0)
			fail_msg("%s: %s gave \"%s\"", cases[i].what, cases[i].text, domain);
		/* What is canonical stays as it is. */
		if (is_name) {
			char again[DOMAIN_MAX];

			assert_true(domain_canonical(domain, strlen(domain), again));
			assert_string_equal(again, domain);
		}
	}
}

static void names_that_an_operator_wrote(void **state)
{
	static const struct {
		const char *text, *canonical; /* "": none */
	} written[] = {
		{ "Bank.Example", "bank.example" },
		{ "Bank.Example.", "bank.example" },
		{ "b\xc3\xbc"
		  "cher.example.",
		    "xn--bcher-kva.example" },
		{ "localhost.", "localhost" },
		{ "3com.example", "3com.example" },
		{ "192.0.2.example", "192.0.2.example" },
		{ "192.0.2.1", "" },
		{ "192.0.2.256.", "" },
		{ "25", "" },
		{ "bank.example..", "" },
		{ ".bank.example", "" },
		{ ".", "" },
		{ "", "" },
	};
	char domain[DOMAIN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof written / sizeof written[0]; i++) {
		bool is_name = domain_written(written[i].text, domain);

		assert_int_equal(is_name, written[i].canonical[0] != '\0');
		assert_string_equal(domain, written[i].canonical);
	}
}

static void P32_nul_and_length_are_the_callers(void **state)
{
	static const char nul[] = "example.org\0.bank.example";
	char domain[DOMAIN_MAX], long_text[70000];

	(void)state;
	assert_false(domain_canonical(nul, sizeof nul - 1, domain));
	assert_true(domain_canonical(nul, 11, domain));
	assert_string_equal(domain, "example.org");
	assert_true(domain_canonical("example.org@and more", 11, domain));
	assert_string_equal(domain, "example.org");
	memset(long_text, 'a', sizeof long_text);
	assert_false(domain_canonical(long_text, sizeof long_text, domain));
	for (size_t i = 0; i + 1 < sizeof long_text; i += 2)
		memcpy(long_text + i, "\xc3\xa4", 2);
	for (size_t n = 1000; n < 1030; n++)
		assert_false(domain_canonical(long_text, n, domain));
}

static size_t put_utf8(uint32_t c, char *text)
{
	if (c < 0x800) {
		text[0] = (char)(0xc0 | c >> 6);
		text[1] = (char)(0x80 | (c & 63));
		return 2;
	}
	if (c < 0x10000) {
		text[0] = (char)(0xe0 | c >> 12);
		text[1] = (char)(0x80 | (c >> 6 & 63));
		text[2] = (char)(0x80 | (c & 63));
		return 3;
	}
	text[0] = (char)(0xf0 | c >> 18);
	text[1] = (char)(0x80 | (c >> 12 & 63));
	text[2] = (char)(0x80 | (c >> 6 & 63));
	text[3] = (char)(0x80 | (c & 63));
	return 4;
}

/* Whatever stands between two letters: it is seen in the name, and divides none. */
static void P32_no_code_point_vanishes_or_divides(void **state)
{
	char text[64] = "ab", domain[DOMAIN_MAX];

	(void)state;
	for (uint32_t c = 0x80; c < 0xe0200; c++) {
		size_t n = 2 + put_utf8(c, text + 2);

		if (c == 0x20000)
			c = 0xe0000;
		memcpy(text + n, "cd.example", 10);
		if (!domain_canonical(text, n + 10, domain))
			continue;
		if (strcmp(domain, "abcd.example") == 0)
			fail_msg("U+%04X vanishes", (unsigned)c);
		if (strchr(domain, '.') != strrchr(domain, '.'))
			fail_msg("U+%04X divides: %s", (unsigned)c, domain);
	}
}

static void within(void **state)
{
	static const struct {
		const char *inner, *outer;
		bool is_within;
	} pairs[] = {
		{ "example.org", "example.org", true },
		{ "a.example.org", "example.org", true },
		{ "a.b.example.org", "example.org", true },
		{ "badexample.org", "example.org", false },
		{ "example.org", "a.example.org", false },
		{ "org", "example.org", false },
		{ "example.org.net", "example.org", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
		assert_int_equal(
		    domain_is_within(pairs[i].inner, pairs[i].outer), pairs[i].is_within);
}

static void T23_star_matches_one_label(void **state)
{
	static const struct {
		const char *pattern, *domain;
		bool matches;
	} pairs[] = {
		{ "mx.example", "mx.example", true },
		{ "mx.example", "a.mx.example", false },
		{ "*.mail.example", "a.mail.example", true },
		{ "*.mail.example", "a.b.mail.example", false },
		{ "*.mail.example", "mail.example", false },
		{ "*.mail.example", ".mail.example", false },
		{ "*.mail.example", "a.badmail.example", false },
		{ "*.mail.example", "nodots", false },
		{ "a*.mail.example", "ab.mail.example", false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
		if (domain_matches(pairs[i].pattern, pairs[i].domain) != pairs[i].matches)
			fail_msg("%s and %s", pairs[i].pattern, pairs[i].domain);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(canonical_names),
		cmocka_unit_test(names_that_an_operator_wrote),
		cmocka_unit_test(P32_nul_and_length_are_the_callers),
		cmocka_unit_test(P32_no_code_point_vanishes_or_divides),
		cmocka_unit_test(within),
		cmocka_unit_test(T23_star_matches_one_label),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
