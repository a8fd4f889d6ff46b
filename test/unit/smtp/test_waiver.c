/* "TLS-Required: No", RFC 8689 3: what waives TLS, and all that does not. */
#include "smtp/waiver.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/header.h"

static const struct {
	const char *title, *block;
	enum smtp_waiver waiver;
} cases[] = {
	{ "no field", "To: a@b\r\n", WAIVER_NONE },
	{ "nothing at all", "", WAIVER_NONE },
	{ "as the RFC writes it", "TLS-Required: No\r\n", WAIVER_GIVEN },
	{ "among others, no white space", "To: a\r\nTLS-Required:No\r\nCc: b\r\n", WAIVER_GIVEN },
	{ "any case", "tls-REQUIRED: nO\r\n", WAIVER_GIVEN },
	{ "more white space", "TLS-Required: \t  No\r\n", WAIVER_GIVEN },
	{ "folded", "TLS-Required:\r\n No\r\n", WAIVER_GIVEN },
	{ "white space, then folded", "TLS-Required: \r\n\tno\r\n", WAIVER_GIVEN },
	{ "empty", "TLS-Required:\r\n", WAIVER_STRANGE },
	{ "white space", "TLS-Required:  \r\n", WAIVER_STRANGE },
	{ "another word", "TLS-Required: Yes\r\n", WAIVER_STRANGE },
	{ "a longer word", "TLS-Required: None\r\n", WAIVER_STRANGE },
	{ "a shorter word", "TLS-Required: N\r\n", WAIVER_STRANGE },
	{ "quoted", "TLS-Required: \"No\"\r\n", WAIVER_STRANGE },
	{ "a comment before it", "TLS-Required: (urgent) No\r\n", WAIVER_STRANGE },
	{ "a comment behind it", "TLS-Required: No (urgent)\r\n", WAIVER_STRANGE },
	{ "white space behind it", "TLS-Required: No \r\n", WAIVER_STRANGE },
	{ "a fold in it", "TLS-Required: N\r\n o\r\n", WAIVER_STRANGE },
	{ "more behind it", "TLS-Required: No, really\r\n", WAIVER_STRANGE },
	{ "said twice", "TLS-Required: No\r\nTLS-Required: No\r\n", WAIVER_STRANGE },
	{ "said twice, otherwise", "TLS-Required: No\r\ntls-required: x\r\n", WAIVER_STRANGE },
	{ "another name", "X-TLS-Required: No\r\nTLS-Require: No\r\nTLSRequired: No\r\n",
	    WAIVER_NONE },
	{ "in the body", "To: a\r\n\r\nTLS-Required: No\r\n", WAIVER_NONE },
};

static void only_the_exact_field_waives(void **state)
{
	const struct header_limits limits = { .size_bytes = 102400, .n_fields = 1000 };

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct outcome why;
		struct header h;

		print_message("%s\n", cases[i].title);
		assert_true(
		    header_parse(&h, cases[i].block, strlen(cases[i].block), &limits, &why));
		assert_int_equal(smtp_waiver_read(&h), cases[i].waiver);
		header_finish(&h);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(only_the_exact_field_waives),
	};

	return cmocka_run_group_tests_name("smtp/waiver", tests, NULL, NULL);
}
