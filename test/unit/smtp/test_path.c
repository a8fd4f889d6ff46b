/*
 * Envelope addresses and ESMTP parameters: what is written, what becomes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/mem.h"
#include "smtp/parameters.h"
#include "smtp/path.h"

#define L60 "123456789012345678901234567890123456789012345678901234567890"

struct row {
	const char *path;
	const char *text;     /* NULL: refused */
	const char *local;    /* NULL: as in text */
	const char *enhanced; /* of the refusal of a sender */
	int code;
};

static const struct row rows[] = {
	{ "<alice@example.org>", "alice@example.org" },
	{ "<>", "" },
	{ "<a.b+c=d/e!#$%&'*-?^_`{|}~@example.org>", "a.b+c=d/e!#$%&'*-?^_`{|}~@example.org" },
	{ "<alice@localhost>", "alice@localhost" },
	/* P3 */
	{ "<alice@EXAMPLE.Org>", "alice@example.org" },
	{ "<Alice@example.org>", "Alice@example.org" },
	{ "<alice@example.org.>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@.example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example..org>", NULL, NULL, "5.1.7", 501 },
	/* P4 */
	{ "<(any@bank.example>", NULL, NULL, "5.1.7", 501 },
	{ "<alice(x)@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example.org(x)>", NULL, NULL, "5.1.7", 501 },
	/* P5 */
	{ "<@bank.example:alice@example.org>", NULL, NULL, "5.1.7", 553 },
	{ "<@a,@b:alice@example.org>", NULL, NULL, "5.1.7", 553 },
	{ "<@>", NULL, NULL, "5.1.7", 553 },
	/* P6: the domain is what is behind the '@' outside the quotes */
	{ "<\"alice@example.org\"@bank.example>", "\"alice@example.org\"@bank.example",
	    "alice@example.org" },
	{ "<\"ceo@bank.example\"@example.org>", "\"ceo@bank.example\"@example.org",
	    "ceo@bank.example" },
	{ "<\"a>b\"@example.org>", "\"a>b\"@example.org", "a>b" },
	{ "<\"a\\\"b\\\\c d\"@example.org>", "\"a\\\"b\\\\c d\"@example.org", "a\"b\\c d" },
	{ "<\"a..b\"@example.org>", "\"a..b\"@example.org", "a..b" },
	/* P7 */
	{ "<alice@example.org@bank.example>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@@example.org>", NULL, NULL, "5.1.7", 501 },
	/* P8 */
	{ "<alice\\@bank.example@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@bank.example\\@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<\"alice\\\"@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<\"alice\"x@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<x\"alice\"@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<\"alice\".\"x\"@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<\"ali\tce\"@example.org>", NULL, NULL, "5.1.7", 501 },
	/* P32 */
	{ "<alice@ex\xc3\xa4mple.org>", "alice@xn--exmple-cua.org" },
	{ "<alice@XN--Exmple-CUA.org>", "alice@xn--exmple-cua.org" },
	{ "<alice@\xd0\xb5xample.org>", "alice@xn--xample-2of.org" },
	{ "<alice@xn--a.org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example\xe3\x80\x82org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example\xef\xbc\x8eorg>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example\xef\xbd\xa1org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example.org%00>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@1234" L60 ".org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@\xff\xfe.org>", NULL, NULL, "5.1.7", 501 },
	/* P33 */
	{ "<al\xc3\xaf"
	  "ce@example.org>",
	    NULL, NULL, "5.6.7", 550 },
	{ "<\"al\xc3\xaf"
	  "ce\"@example.org>",
	    NULL, NULL, "5.6.7", 550 },
	/* P34 */
	{ "<alice@[192.0.2.1]>", NULL, NULL, "5.1.7", 553 },
	{ "<alice@[IPv6:2001:db8::1]>", NULL, NULL, "5.1.7", 553 },
	/* P35 */
	{ "<1234" L60 "@example.org>", "1234" L60 "@example.org" },
	{ "<12345" L60 "@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<\"12" L60 "\"@example.org>", "12" L60 "@example.org" },
	{ "<\"123" L60 "\"@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<a@" L60 "." L60 "." L60 "." L60 ".org>", "a@" L60 "." L60 "." L60 "." L60 ".org" },
	{ "<a@" L60 "." L60 "." L60 "." L60 ".123456789.org>", NULL, NULL, "5.1.7", 501 },
	/* P36 */
	{ "<\"alice\"@example.org>", "alice@example.org" },
	{ "<\"al\\ice\"@example.org>", "alice@example.org" },
	/* P38 */
	{ "<alice . x @ example . org>", NULL, NULL, "5.1.7", 501 },
	{ "< alice@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example.org >", NULL, NULL, "5.1.7", 501 },
	/* not paths */
	{ "alice@example.org", NULL, NULL, "5.1.7", 501 },
	{ "", NULL, NULL, "5.1.7", 501 },
	{ "<", NULL, NULL, "5.1.7", 501 },
	{ "<alice", NULL, NULL, "5.1.7", 501 },
	{ "<alice>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@>", NULL, NULL, "5.1.7", 501 },
	{ "<alice@example.org", NULL, NULL, "5.1.7", 501 },
	{ "<@example.org>", NULL, NULL, "5.1.7", 553 },
	{ "<\"\"@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<\"", NULL, NULL, "5.1.7", 501 },
	{ "<\"a\\", NULL, NULL, "5.1.7", 501 },
	{ "<.a@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<a.@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<a..b@example.org>", NULL, NULL, "5.1.7", 501 },
	{ "<<a@example.org>>", NULL, NULL, "5.1.7", 501 },
	{ "<a b@example.org>", NULL, NULL, "5.1.7", 501 },
};

static void check_row(const struct row *row)
{
	struct smtp_address address;
	struct outcome why;
	size_t n = strlen(row->path), n_used = 0;
	char *tight =
	    malloc(n > 0 ? n : 1); /* no NUL behind it: the sanitizer would see a step too far */
	bool taken;

	memcpy(tight, row->path, n);
	taken = smtp_path_parse(tight, n, SMTP_PATH_REVERSE, &address, &n_used, &why);
	free(tight);
	if (taken != (row->text != NULL))
		fail_msg("%s is %s", row->path, taken ? "taken" : why.text);
	if (!taken) {
		if (why.code != row->code || strcmp(why.enhanced, row->enhanced) != 0)
			fail_msg("%s: %d %s %s", row->path, why.code, why.enhanced, why.text);
		return;
	}
	assert_string_equal(address.text, row->text);
	assert_int_equal(n_used, n);
	if (row->local != NULL)
		assert_string_equal(address.local, row->local);
	else
		assert_int_equal(strlen(address.local), strcspn(row->text, "@"));
}

static void test_p3_to_p9_p32_to_p38_paths(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
		check_row(&rows[i]);
}

static void test_what_is_written_parses_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct smtp_address address;
		struct outcome why;
		size_t n_used;
		char *again;

		if (rows[i].text == NULL)
			continue;
		again = mem_print("<%s> x", rows[i].text);
		assert_true(smtp_path_parse(
		    again, strlen(again), SMTP_PATH_REVERSE, &address, &n_used, &why));
		assert_string_equal(address.text, rows[i].text);
		assert_string_equal(again + n_used, " x");
		free(again);
	}
}

static void test_recipients(void **state)
{
	static const struct {
		const char *path;
		int code;
		const char *enhanced;
	} refused[] = {
		{ "<>", 501, "5.1.3" },
		{ "<postmaster>", 501, "5.1.3" },
		{ "<bob@[192.0.2.1]>", 553, "5.1.3" },
		{ "<@a:bob@example.net>", 553, "5.1.3" },
		{ "<b\xc3\xb6"
		  "b@example.net>",
		    553, "5.6.7" },
		{ "<bob@example.net.>", 501, "5.1.3" },
	};
	struct smtp_address address;
	struct outcome why;
	size_t n_used;

	(void)state;
	for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
		assert_false(smtp_path_parse(refused[i].path, strlen(refused[i].path),
		    SMTP_PATH_FORWARD, &address, &n_used, &why));
		assert_int_equal(why.code, refused[i].code);
		assert_string_equal(why.enhanced, refused[i].enhanced);
	}
	assert_true(
	    smtp_path_parse("<bob@Example.NET>", 17, SMTP_PATH_FORWARD, &address, &n_used, &why));
	assert_string_equal(address.text, "bob@example.net");
}

static void test_p28_nul(void **state)
{
	static const char in_domain[] = "<alice@example.org\0@bank.example>";
	static const char in_local[] = "<ali\0ce@example.org>";
	static const char in_quotes[] = "<\"ali\0ce\"@example.org>";
	struct smtp_address address;
	struct outcome why;
	size_t n_used;

	(void)state;
	assert_false(smtp_path_parse(
	    in_domain, sizeof in_domain - 1, SMTP_PATH_REVERSE, &address, &n_used, &why));
	assert_false(smtp_path_parse(
	    in_local, sizeof in_local - 1, SMTP_PATH_REVERSE, &address, &n_used, &why));
	assert_false(smtp_path_parse(
	    in_quotes, sizeof in_quotes - 1, SMTP_PATH_REVERSE, &address, &n_used, &why));
}

static void test_s13_s20_s32_parameters(void **state)
{
	static const struct {
		const char *text;
		int code; /* 0: taken */
		uint64_t size;
		bool requires_tls;
	} cases[] = {
		{ "", 0 },
		{ " ", 0 },
		{ " SIZE=0", 0 },
		{ " size=12345 body=8bitmime", 0, 12345 },
		{ "  BODY=7BIT   SIZE=1 ", 0, 1 },
		{ " AUTH=<>", 0 },
		{ " AUTH=e+3Dmc2@example.com", 0 },
		{ " SIZE=18446744073709551615", 0, UINT64_MAX },
		{ " SIZE=18446744073709551616", 552 },
		{ " SIZE=99999999999999999999", 552 },
		{ " SIZE=999999999999999999999", 501 },
		{ " SIZE=-1", 501 },
		{ " SIZE=+1", 501 },
		{ " SIZE=1x", 501 },
		{ " SIZE=", 501 },
		{ " SIZE", 501 },
		{ " SIZE=1 SIZE=1", 501 },
		{ " BODY", 501 },
		{ " BODY=9BIT", 501 },
		{ " BODY=BINARYMIME", 504 },
		{ " BODY=7BIT BODY=7BIT", 501 },
		{ " AUTH=a+3", 501 },
		{ " AUTH=a+3d", 501 },
		{ " AUTH", 501 },
		{ "SIZE=1", 501 },
		{ ">", 501 },
		{ " =1", 501 },
		{ " -A=1", 501 },
		{ " A=b=c", 501 },
		{ " A=\x01", 501 },
		{ " \xc3\xa4=1", 501 },
		{ " SMTPUTF8", 555 },
		{ " REQUIRETLS", 0, 0, true },
		{ " SIZE=1 RequireTLS BODY=7BIT", 0, 1, true },
		{ " REQUIRETLS=", 501 },
		{ " REQUIRETLS=yes", 501 },
		{ " REQUIRETLS REQUIRETLS", 501 },
		{ " REQUIRETLS requiretls", 501 },
		{ " REQUIRETLSX", 555 },
		{ " REQUIRE-TLS", 555 },
		{ " RET=HDRS", 555 },
		{ " X", 555 },
		{ " HOLDFOR=100", 555 },
	};
	struct smtp_parameters parameters;
	struct outcome why;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		bool taken = smtp_parameters_parse_mail(
		    cases[i].text, strlen(cases[i].text), &parameters, &why);

		if (taken != (cases[i].code == 0) || (!taken && why.code != cases[i].code))
			fail_msg("\"%s\": %d %s", cases[i].text, taken ? 0 : why.code, why.text);
		if (taken) {
			assert_int_equal(parameters.size, cases[i].size);
			assert_int_equal(parameters.has_requiretls, cases[i].requires_tls);
		} else {
			assert_string_equal(why.enhanced, why.code == 552 ? "5.3.4" : "5.5.4");
		}
	}
}

static void test_s31_parameters_of_rcpt(void **state)
{
	struct outcome why;

	(void)state;
	assert_true(smtp_parameters_parse_rcpt("", 0, &why));
	assert_true(smtp_parameters_parse_rcpt("  ", 2, &why));
	assert_false(smtp_parameters_parse_rcpt(" NOTIFY=NEVER", 13, &why));
	assert_int_equal(why.code, 555);
	assert_false(smtp_parameters_parse_rcpt("x", 1, &why));
	assert_int_equal(why.code, 501);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_p3_to_p9_p32_to_p38_paths),
		cmocka_unit_test(test_what_is_written_parses_again),
		cmocka_unit_test(test_recipients),
		cmocka_unit_test(test_p28_nul),
		cmocka_unit_test(test_s13_s20_s32_parameters),
		cmocka_unit_test(test_s31_parameters_of_rcpt),
	};

	return cmocka_run_group_tests_name("smtp path", tests, NULL, NULL);
}
