/*
 * The content decoder against a reader that has all of it: the end is the first CRLF "." CRLF, and
 * what is before it may hold no bare CR, bare LF or NUL. Every short run of those bytes is tried.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/data.h"

static const struct smtp_data_limits limits = {
	.message_size = 1000, .header_size = 500, .line_length = 100
};

struct decoded {
	bool ended, refused;
	size_t n_used, n_content;
	char content[64];
};

/* The slow and plain way, over the whole text behind the CRLF of "354". */
static struct decoded expect(const char *text, size_t n)
{
	struct decoded d = { 0 };
	char all[64] = "\r\n";
	const char *end;

	memcpy(all + 2, text, n);
	end = memmem(all, n + 2, "\r\n.\r\n", 5);
	if (end == NULL)
		return d;
	d.ended = true;
	d.n_used = (size_t)(end - all) + 3;
	for (size_t i = 2; i < (size_t)(end - all) + 2; i++) {
		if (all[i] == '\0' || (all[i] == '\n') != (all[i - 1] == '\r') ||
		    (all[i] == '\r' && all[i + 1] != '\n'))
			d.refused = true;
		if (all[i] == '.' && all[i - 1] == '\n' && all[i - 2] == '\r')
			continue;
		d.content[d.n_content++] = all[i];
	}
	return d;
}

static struct decoded decode(const char *text, size_t n, size_t piece)
{
	struct decoded d = { 0 };
	struct smtp_data data;
	struct buffer content;

	buffer_init(&content, n + 1);
	smtp_data_begin(&data, &limits);
	for (size_t i = 0; i < n && data.state != SMTP_DATA_ENDED; i += piece)
		d.n_used +=
		    smtp_data_decode(&data, text + i, n - i < piece ? n - i : piece, &content);
	assert_false(content.overflowed);
	d.ended = data.state == SMTP_DATA_ENDED;
	d.refused = data.refused;
	d.n_content = content.n;
	memcpy(d.content, buffer_text(&content), content.n);
	buffer_finish(&content);
	return d;
}

/* S6, S8: 5^7 middles, each with a second message behind it, whole and in pieces. */
static void test_s6_every_short_middle(void **state)
{
	static const char letters[] = "\r\n.\0x";

	(void)state;
	for (unsigned middle = 0; middle < 5 * 5 * 5 * 5 * 5 * 5 * 5; middle++) {
		char text[32] = "a";
		size_t n = 1;
		struct decoded want;

		for (unsigned left = middle, i = 0; i < 7; i++, left /= 5)
			text[n++] = letters[left % 5];
		memcpy(text + n, "b\r\n.\r\nNOOP", 10);
		n += 10;
		want = expect(text, n);
		assert_true(want.ended);
		for (size_t piece = 1; piece <= n; piece = piece == 1 ? 3 : n + (piece == n)) {
			struct decoded got = decode(text, n, piece);

			assert_true(got.ended);
			assert_int_equal(got.refused, want.refused);
			assert_int_equal(got.n_used, want.n_used);
			if (want.refused)
				continue;
			assert_int_equal(got.n_content, want.n_content);
			assert_memory_equal(got.content, want.content, want.n_content);
		}
	}
}

static void test_s6_names(void **state)
{
	static const struct {
		const char *text;
		int code;
		const char *name;
	} rows[] = {
		{ "a\nb", 550, "content-bare-lf" },
		{ ".\n", 550, "content-bare-lf" },
		{ "\n", 550, "content-bare-lf" },
		{ "a\rb", 550, "content-bare-cr" },
		{ ".\rb", 550, "content-bare-cr" },
		{ "\r\r\n", 550, "content-bare-cr" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct smtp_data data;
		struct buffer content;

		buffer_init(&content, 100);
		smtp_data_begin(&data, &limits);
		smtp_data_decode(&data, rows[i].text, strlen(rows[i].text), &content);
		assert_true(data.refused);
		assert_int_equal(data.refusal.code, rows[i].code);
		assert_string_equal(data.refusal.enhanced, "5.6.0");
		assert_string_equal(data.refusal.name, rows[i].name);
		assert_int_equal(content.n, 0);
		buffer_finish(&content);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_s6_every_short_middle),
		cmocka_unit_test(test_s6_names),
	};

	return cmocka_run_group_tests_name("smtp data", tests, NULL, NULL);
}
