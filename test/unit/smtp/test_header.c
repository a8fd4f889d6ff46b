/* What header blocks are taken apart into, which are refused, and where they end in a stream. */
#include "smtp/header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/buffer.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"

#define BYTES(literal) (literal), sizeof(literal) - 1

static const struct header_limits limits = { .size_bytes = 102400, .n_fields = 1000 };
static const struct header_limits with_utf8 = {
	.size_bytes = 102400, .n_fields = 1000, .allow_utf8 = true
};

/* Each field as name=value|, with \r\n in values as it is. */
static const struct {
	const char *title, *bytes;
	size_t n;
	const char *fields;
	size_t n_bytes;
} whole_blocks[] = {
	{ "nothing at all", BYTES(""), "", 0 },
	{ "S7: an empty line only", BYTES("\r\nbody\r\n"), "", 2 },
	{ "one field, body behind it", BYTES("To: a@b\r\n\r\nFrom: x\r\n"), "To= a@b|", 11 },
	{ "no empty line", BYTES("To: a@b\r\n"), "To= a@b|", 9 },
	{ "P16: any case", BYTES("fRoM: a@b\r\nX:\r\n\r\n"), "fRoM= a@b|X=|", 17 },
	{ "P29: folded", BYTES("To: a,\r\n b,\r\n\tc\r\nCc: d\r\n\r\n"),
	    "To= a,\r\n b,\r\n\tc|Cc= d|", 26 },
	{ "colons in the value", BYTES("A:B:C: d\r\n\r\n"), "A=B:C: d|", 12 },
	{ "strange name letters", BYTES("!#$%&'*+-/=?^_`{|}~: x\r\n\r\n"),
	    "!#$%&'*+-/=?^_`{|}~= x|", 26 },
	{ "a fold right behind the colon", BYTES("Subject:\r\n x\r\n\r\n"), "Subject=\r\n x|", 16 },
};

static void whole_blocks_are_taken_apart(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof whole_blocks / sizeof whole_blocks[0]; i++) {
		struct buffer fields;
		struct outcome why;
		struct header h;

		print_message("%s\n", whole_blocks[i].title);
		assert_true(
		    header_parse(&h, whole_blocks[i].bytes, whole_blocks[i].n, &limits, &why));
		buffer_init(&fields, 1000);
		for (size_t k = 0; k < h.n_fields; k++) {
			const struct header_field *f = &h.fields[k];

			buffer_add(&fields, f->name.bytes, f->name.n);
			buffer_add_text(&fields, "=");
			buffer_add(&fields, f->value.bytes, f->value.n);
			buffer_add_text(&fields, "|");
			assert_int_equal(f->whole.n, f->name.n + 1 + f->value.n + 2);
			assert_ptr_equal(f->whole.bytes, f->name.bytes);
		}
		assert_string_equal(buffer_text(&fields), whole_blocks[i].fields);
		assert_int_equal(h.n_bytes, whole_blocks[i].n_bytes);
		buffer_finish(&fields);
		header_finish(&h);
	}
}

static const struct {
	const char *title, *bytes;
	size_t n;
	const char *name;
	int code;
	const char *enhanced;
} refusals[] = {
	{ "S18: no colon", BYTES("From: a@b\r\nhello there\r\n\r\n"), "header-no-colon", 554,
	    "5.6.0" },
	{ "S18: no colon, one word", BYTES("hello\r\n"), "header-no-colon", 554, "5.6.0" },
	{ "S18 P13: first line folded", BYTES(" From: a@b\r\n\r\n"), "header-starts-folded", 554,
	    "5.6.0" },
	{ "S18: mbox line", BYTES("From a@b Sat Nov 21 21:24:43 2026\r\nTo: x\r\n\r\n"),
	    "header-mbox-line", 554, "5.6.0" },
	{ "S18: escaped mbox line", BYTES(">From a@b Sat Nov 21 21:24:43\r\n\r\n"),
	    "header-no-colon", 554, "5.6.0" },
	{ "P14: space before the colon", BYTES("From : a@b\r\n\r\n"), "header-space-before-colon",
	    554, "5.6.0" },
	{ "P14: tab before the colon", BYTES("From\t: a@b\r\n\r\n"), "header-space-before-colon",
	    554, "5.6.0" },
	{ "P15: fold before the colon", BYTES("From\r\n : a@b\r\n\r\n"), "header-no-colon", 554,
	    "5.6.0" },
	{ "empty name", BYTES(": a@b\r\n\r\n"), "header-no-colon", 554, "5.6.0" },
	{ "P26: bare CR", BYTES("From: a@b\rFrom: c@d\r\n\r\n"), "header-control", 554, "5.6.0" },
	{ "P27: bare LF", BYTES("From: a@b\nFrom: c@d\r\n\r\n"), "header-control", 554, "5.6.0" },
	{ "P28: NUL in a value", BYTES("From: a@b\0@c\r\n\r\n"), "header-control", 554, "5.6.0" },
	{ "P28: NUL in a name", BYTES("From\0: a@b\r\n\r\n"), "header-control", 554, "5.6.0" },
	{ "escape character", BYTES("Subject: \033[2J\r\n\r\n"), "header-control", 554, "5.6.0" },
	{ "DEL", BYTES("Subject: \177\r\n\r\n"), "header-control", 554, "5.6.0" },
	{ "P42: empty line of CR CR LF", BYTES("From: a@b\r\n\r\r\nFrom: c@d\r\n\r\n"),
	    "header-control", 554, "5.6.0" },
	{ "P42: empty line of a space", BYTES("From: a@b\r\n \r\nFrom: c@d\r\n\r\n"),
	    "header-blank-fold", 554, "5.6.0" },
	{ "P42: empty line of LF", BYTES("From: a@b\r\n\nFrom: c@d\r\n\r\n"), "header-control", 554,
	    "5.6.0" },
	{ "P43: first line of a space", BYTES(" \r\nFrom: a@b\r\n\r\n"), "header-starts-folded",
	    554, "5.6.0" },
	{ "P43: a fold of a tab", BYTES("To:\r\n\t\r\n x\r\n\r\n"), "header-blank-fold", 554,
	    "5.6.0" },
	{ "S19: 8-bit value", BYTES("Subject: caf\303\251\r\n\r\n"), "header-8bit", 554, "5.6.7" },
	{ "S19: 8-bit name", BYTES("Sujet\303\251: x\r\n\r\n"), "header-8bit", 554, "5.6.7" },
	{ "last line without CRLF", BYTES("From: a@b\r\nTo: c"), "header-no-crlf", 554, "5.6.0" },
	{ "last line with CR only", BYTES("From: a@b\r"), "header-no-crlf", 554, "5.6.0" },
};

static void doubtful_blocks_are_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof refusals / sizeof refusals[0]; i++) {
		struct outcome why;
		struct header h;

		print_message("%s\n", refusals[i].title);
		assert_false(header_parse(&h, refusals[i].bytes, refusals[i].n, &limits, &why));
		assert_string_equal(why.name, refusals[i].name);
		assert_int_equal(why.code, refusals[i].code);
		assert_string_equal(why.enhanced, refusals[i].enhanced);
		assert_null(h.fields);
	}
}

static const struct {
	const char *title, *line;
	const char *name; /* "" if kept */
} utf8_lines[] = {
	{ "S19: kept", "Subject: caf\303\251 \342\202\254 \360\237\223\247", "" },
	{ "overlong", "Subject: \300\257", "header-not-utf8" },
	{ "overlong, three bytes", "Subject: \340\200\257", "header-not-utf8" },
	{ "surrogate", "Subject: \355\240\200", "header-not-utf8" },
	{ "above U+10FFFF", "Subject: \364\220\200\200", "header-not-utf8" },
	{ "cut short", "Subject: \342\202", "header-not-utf8" },
	{ "Latin-1", "Subject: caf\351!", "header-not-utf8" },
	{ "C1 control", "Subject: \302\205", "header-control" },
	{ "control behind UTF-8", "Subject: \303\251\001", "header-control" },
};

static void with_smtputf8_only_utf8_passes(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof utf8_lines / sizeof utf8_lines[0]; i++) {
		char *block = mem_print("%s\r\n\r\n", utf8_lines[i].line);
		struct outcome why;
		struct header h;
		bool good = header_parse(&h, block, strlen(block), &with_utf8, &why);

		print_message("%s\n", utf8_lines[i].title);
		assert_int_equal(good, utf8_lines[i].name[0] == '\0');
		if (good)
			header_finish(&h);
		else
			assert_string_equal(why.name, utf8_lines[i].name);
		free(block);
	}
}

static void S16_a_header_over_its_limit_is_refused(void **state)
{
	static const struct header_limits small = { .size_bytes = 20, .n_fields = 10 };
	struct outcome why;
	struct header h;

	(void)state;
	assert_true(header_parse(&h, BYTES("Subject: 12345678\r\n"), &small, &why));
	header_finish(&h);
	assert_false(header_parse(&h, BYTES("Subject: 1234567890\r\n"), &small, &why));
	assert_string_equal(why.name, "header-too-large");
	assert_int_equal(why.code, 552);
	assert_string_equal(why.enhanced, "5.3.4");
}

static void S17_a_hundred_thousand_fields_are_refused_in_linear_time(void **state)
{
	static const struct header_limits wide = { .size_bytes = 1 << 20, .n_fields = 1000 };
	int64_t started_ms = clock_monotonic_ms();
	struct outcome why;
	struct header h;
	struct buffer b;

	(void)state;
	buffer_init(&b, 1 << 20);
	for (int i = 0; i < 100000; i++)
		buffer_add_text(&b, "X: y\r\n");
	assert_false(header_parse(&h, b.bytes, b.n, &wide, &why));
	assert_string_equal(why.name, "header-too-many-fields");
	assert_true(clock_monotonic_ms() - started_ms < 20000);
	buffer_finish(&b);
}

static void fields_are_found_by_name(void **state)
{
	struct outcome why;
	struct header h;

	(void)state;
	assert_true(header_parse(
	    &h, BYTES("To: 1\r\nRECEIVED: 2\r\nReceived: 3\r\nTo-Do: 4\r\n"), &limits, &why));
	assert_int_equal(header_count(&h, "received"), 2);
	assert_int_equal(header_count(&h, "to"), 1);
	assert_int_equal(header_count(&h, "From"), 0);
	assert_true(slice_equals(header_find(&h, "Received", 1)->value, " 3"));
	assert_null(header_find(&h, "Received", 2));
	header_finish(&h);
}

static const struct {
	const char *content;
	size_t header_bytes;
	bool ends;
} streams[] = {
	{ "To: x\r\n\r\nbody\r\n\r\n", 9, true },
	{ "\r\nbody", 2, true },
	{ "To: x\r\n", 7, false },
	{ "To: x\r\n\n\r\nb", 11, false },
	{ "To: x\r\n\r\r\n\r\nb", 12, true },
	{ "To: x\r\r\n\r\nb", 10, true },
	{ "To: x\n\nbody", 11, false },
	{ "To: x\r\n\rbody\r\n\r\nb", 16, true },
	{ "", 0, false },
};

static void the_end_is_found_however_the_stream_is_cut(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof streams / sizeof streams[0]; i++) {
		size_t n = strlen(streams[i].content);

		for (size_t piece = 1; piece <= n + 1; piece++) {
			struct header_splitter s = { 0 };
			size_t header_bytes = 0;

			for (size_t at = 0; at < n; at += piece)
				header_bytes += header_splitter_feed(
				    &s, streams[i].content + at, n - at < piece ? n - at : piece);
			assert_int_equal(header_bytes, streams[i].header_bytes);
			assert_int_equal(s.state == SPLIT_ENDED, streams[i].ends);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(whole_blocks_are_taken_apart),
		cmocka_unit_test(doubtful_blocks_are_refused),
		cmocka_unit_test(with_smtputf8_only_utf8_passes),
		cmocka_unit_test(S16_a_header_over_its_limit_is_refused),
		cmocka_unit_test(S17_a_hundred_thousand_fields_are_refused_in_linear_time),
		cmocka_unit_test(fields_are_found_by_name),
		cmocka_unit_test(the_end_is_found_however_the_stream_is_cut),
	};

	return cmocka_run_group_tests_name("smtp/header", tests, NULL, NULL);
}
