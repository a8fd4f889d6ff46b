/*
 * Texts copied into arrays and lists, and their letters lowered.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "relay/base/text.h"

static void copies_what_just_fits(void **state)
{
	char room[] = "abcdefg";

	(void)state;
	text_copy(room, 5, "wxyz");
	assert_memory_equal(room, "wxyz\0fg", sizeof room);
}

static void lowers_ascii_only(void **state)
{
	char text[] = "AZaz09@[`{\xc3\x84";

	(void)state;
	text_lower(text);
	assert_string_equal(text, "azaz09@[`{\xc3\x84");
}

static void copied_lists_stand_alone(void **state)
{
	char first[] = "one", second[] = "two";
	char *texts[] = { first, second };
	char **copies = text_copy_list(texts, 2);

	(void)state;
	first[0] = 'X';
	assert_string_equal(copies[0], "one");
	assert_string_equal(copies[1], "two");
	text_free_list(copies, 2);
	assert_null(text_copy_list(NULL, 0));
	text_free_list(NULL, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(copies_what_just_fits),
		cmocka_unit_test(lowers_ascii_only),
		cmocka_unit_test(copied_lists_stand_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
