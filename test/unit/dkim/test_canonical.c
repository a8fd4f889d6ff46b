/*
 * Canonical forms of fields and bodies, body hashes, and the splitting of header blocks.
 */
#include "dkim/canonical.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "dkim/body_hash.h"
#include "dkim/digest.h"
#include "dkim/field.h"
#include "relay/base/encode.h"

/* Without CRLF at the end, as a field is handed over. */
static const struct {
	const char *field, *relaxed;
} header_cases[] = {
	{ "Subject: hello", "subject:hello" }, { "SubJect:hello", "subject:hello" },
	{ "Subject : hello", "subject:hello" }, { "Subject\t : \t hello \t ", "subject:hello" },
	{ "Subject: a  b\t\tc \t d", "subject:a b c d" },
	{ "Subject: folded\r\n here", "subject:folded here" },
	{ "Subject: folded \r\n \t here", "subject:folded here" },
	{ "Subject:\r\n folded at once", "subject:folded at once" },
	{ "Subject: a\r\n \r\n b", "subject:a b" }, { "Subject: a\r\n ", "subject:a" },
	{ "Subject:", "subject:" }, { "Subject: ", "subject:" },
	{ "Subject: \r\n \r\n\t", "subject:" }, { "Subject: a:b : c", "subject:a:b : c" },
	{ "Subject: gr\xc3\xbc\xc3\x9f\x65", "subject:gr\xc3\xbc\xc3\x9f\x65" },
	{ "Subject: \xa0nbsp\xa0 ", "subject:\xa0nbsp\xa0" }, { "X-\xc3\x84:1", "x-\xc3\x84:1" },
	{ "A: X", "a:X" },               /* RFC 6376 3.4.5 */
	{ "B : Y\t\r\n\tZ  ", "b:Y Z" }, /* RFC 6376 3.4.5 */
};

static void test_K2_K16_header_relaxed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof header_cases / sizeof *header_cases; i++) {
		struct slice field = slice_of(header_cases[i].field);
		struct buffer out;

		buffer_init(&out, field.n); /* relaxed is never longer */
		dkim_canonical_header(DKIM_RELAXED, field, &out);
		assert_false(out.overflowed);
		assert_string_equal(buffer_text(&out), header_cases[i].relaxed);
		buffer_clear(&out);
		dkim_canonical_header(DKIM_SIMPLE, field, &out);
		assert_string_equal(buffer_text(&out), header_cases[i].field);
		buffer_finish(&out);
	}
}

static void test_K15_header_long_line(void **state)
{
	struct buffer field, out;

	(void)state;
	buffer_init(&field, 1 << 20);
	buffer_init(&out, 1 << 20);
	buffer_add_text(&field, "X-Long:");
	for (int i = 0; i < 10000; i++)
		buffer_add_text(&field, "\r\n  abcdefgh");
	dkim_canonical_header(DKIM_RELAXED, (struct slice){ field.bytes, field.n }, &out);
	assert_int_equal(out.n, strlen("x-long:") + 10000 * 9 - 1);
	assert_memory_equal(out.bytes, "x-long:abcdefgh abcdefgh ", 25);
	buffer_finish(&field);
	buffer_finish(&out);
}

static const struct {
	const char *body, *simple, *relaxed;
} body_cases[] = {
	{ "", "\r\n", "" },
	{ "\r\n", "\r\n", "" },
	{ "\r\n\r\n\r\n", "\r\n", "" },
	{ "a", "a\r\n", "a\r\n" },
	{ "a\r\n", "a\r\n", "a\r\n" },
	{ "a\r\n\r\n\r\n", "a\r\n", "a\r\n" },
	{ "\r\n\r\na\r\n", "\r\n\r\na\r\n", "\r\n\r\na\r\n" },
	{ "a\r\n\r\nb\r\n\r\n", "a\r\n\r\nb\r\n", "a\r\n\r\nb\r\n" },
	{ " \t", " \t\r\n", "" },
	{ " \r\n\t\r\n", " \r\n\t\r\n", "" },
	{ "a\r\n ", "a\r\n \r\n", "a\r\n" },
	{ "a\r\n \r\n", "a\r\n \r\n", "a\r\n" },
	{ "a\r\n \r\nb", "a\r\n \r\nb\r\n", "a\r\n\r\nb\r\n" },
	{ "a \t b\t\r\n", "a \t b\t\r\n", "a b\r\n" },
	{ "\ta\r\n", "\ta\r\n", " a\r\n" },
	{ "a  \r\n  b  \r\n", "a  \r\n  b  \r\n", "a\r\n b\r\n" },
	{ " C \r\nD \t E\r\n\r\n\r\n", " C \r\nD \t E\r\n", " C\r\nD E\r\n" }, /* 3.4.5 */
	{ ".\r\n..\r\n", ".\r\n..\r\n", ".\r\n..\r\n" },
	{ "\xff\xfe \x80\r\n", "\xff\xfe \x80\r\n", "\xff\xfe \x80\r\n" },
	/* Bare CR and LF never reach us; if they do they are bytes like others. */
	{ "a\rb\nc\r\n", "a\rb\nc\r\n", "a\rb\nc\r\n" },
	{ "a\r", "a\r\r\n", "a\r\r\n" },
	{ "a\r\r\n", "a\r\r\n", "a\r\r\n" },
	{ " \r \r\n", " \r \r\n", " \r\r\n" },
	{ "a\n", "a\n\r\n", "a\n\r\n" },
};

static void keep(void *arg, const void *bytes, size_t n)
{
	buffer_add(arg, bytes, n);
}

/* Hands over pieces of the given size. */
static void check_body(enum dkim_canonical how, const char *text, size_t piece, const char *want)
{
	struct dkim_canonical_body body;
	size_t n = strlen(text);
	struct buffer out;

	buffer_init(&out, 4096);
	dkim_canonical_body_init(&body, how, keep, &out);
	for (size_t at = 0; at < n; at += piece)
		dkim_canonical_body_update(&body, text + at, n - at < piece ? n - at : piece);
	dkim_canonical_body_finish(&body);
	assert_string_equal(buffer_text(&out), want);
	buffer_finish(&out);
}

static void test_K2_body_in_pieces_of_every_size(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof body_cases / sizeof *body_cases; i++) {
		for (size_t piece = 1; piece <= 20; piece++) {
			check_body(DKIM_SIMPLE, body_cases[i].body, piece, body_cases[i].simple);
			check_body(DKIM_RELAXED, body_cases[i].body, piece, body_cases[i].relaxed);
		}
	}
}

static void check_hash(enum dkim_canonical how, const char *text, const char *want)
{
	struct dkim_body_hash *hash = dkim_body_hash_create(how);
	char base64[BASE64_ROOM(DKIM_DIGEST_SIZE)];
	uint8_t digest[DKIM_DIGEST_SIZE];

	dkim_body_hash_update(hash, text, strlen(text));
	dkim_body_hash_finish(hash, digest);
	dkim_body_hash_destroy(&hash);
	assert_null(hash);
	base64_encode(digest, sizeof digest, base64);
	assert_string_equal(base64, want);
}

/* RFC 6376 3.4.3 and 3.4.4 print the hashes of an empty body. */
static void test_K2_hash_of_empty_body(void **state)
{
	(void)state;
	check_hash(DKIM_SIMPLE, "", "frcCV1k9oG9oKj3dpUqdJg1PxRT2RSN/XKdLCPjaYaY=");
	check_hash(DKIM_RELAXED, "", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
	check_hash(DKIM_RELAXED, " \r\n\t \r\n", "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
}

/* Gives 50 MB in pieces that end anywhere, of lines that are 98 letters long. */
static void stream_lines(struct dkim_body_hash *hash, size_t piece)
{
	enum { LINE = 100, N_LINES = 524288, N = LINE * N_LINES };
	static char lines[LINE * 1000];

	for (size_t i = 0; i < sizeof lines; i++)
		lines[i] = i % LINE == LINE - 2 ? '\r' : i % LINE == LINE - 1 ? '\n' : 'a';
	for (size_t at = 0; at < N;) {
		size_t from = at % LINE, n = sizeof lines - from;

		n = n < piece ? n : piece;
		n = n < N - at ? n : N - at;
		dkim_body_hash_update(hash, lines + from, n);
		at += n;
	}
}

static void stream_held(struct dkim_body_hash *hash)
{
	static char spaces[1 << 16], empty[1 << 16];

	memset(spaces, ' ', sizeof spaces);
	for (size_t i = 0; i < sizeof empty; i++)
		empty[i] = i % 2 == 0 ? '\r' : '\n';
	for (int i = 0; i < 400; i++)
		dkim_body_hash_update(hash, spaces, sizeof spaces);
	for (int i = 0; i < 400; i++)
		dkim_body_hash_update(hash, empty, sizeof empty);
}

static long memory_kb(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void test_K13_streams_50_MB_in_the_same_memory(void **state)
{
	uint8_t digest[DKIM_DIGEST_SIZE];
	char hex[2 * DKIM_DIGEST_SIZE + 1];
	size_t pieces[] = { 65536, 1021 };
	long before = 0;

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct dkim_body_hash *hash = dkim_body_hash_create(DKIM_RELAXED);

		dkim_body_hash_update(hash, NULL, 0);
		before = i == 0 ? memory_kb() : before;
		stream_lines(hash, pieces[i]);
		stream_held(hash); /* 25 MB of spaces and 25 of empty lines: not part of it */
		dkim_body_hash_finish(hash, digest);
		dkim_body_hash_destroy(&hash);
		hex_encode(digest, sizeof digest, hex);
		assert_string_equal(
		    hex, "ec2ce2e1b5b8efdf07ab03a85fbb888ce1c2fba5b63ab05b127b837c62519eb1");
	}
	assert_in_range(memory_kb() - before, 0, 4096);
}

static const struct {
	const char *header;
	size_t n_fields; /* 0: refused */
	size_t n_bytes;
} field_cases[] = {
	{ "A: b\r\n", 1, 6 },
	{ "A: b\r\n\r\nbody", 1, 8 },
	{ "A: b\r\n c\r\nD:\r\n\r\n", 2, 16 },
	{ "A : b\r\n", 1, 7 },
	{ "A: b", 0, 0 }, /* no CRLF */
	{ "A: b\n", 0, 0 },
	{ "A: b\nB: c\r\n", 0, 0 }, /* a bare LF */
	{ "A: b\rB: c\r\n", 0, 0 }, /* a bare CR */
	{ "A: b\r\r\n", 0, 0 },
	{ " A: b\r\n", 0, 0 }, /* a fold of nothing */
	{ "no colon\r\n", 0, 0 },
	{ ": b\r\n", 0, 0 },
	{ "A\xc3\xa4: b\r\n", 0, 0 },
};

static void test_fields(void **state)
{
	struct dkim_fields fields;

	(void)state;
	for (size_t i = 0; i < sizeof field_cases / sizeof *field_cases; i++) {
		bool is_good = dkim_fields_init(&fields, slice_of(field_cases[i].header));

		assert_int_equal(is_good, field_cases[i].n_fields > 0);
		assert_int_equal(fields.n, field_cases[i].n_fields);
		assert_int_equal(fields.n_bytes, field_cases[i].n_bytes);
		dkim_fields_finish(&fields);
	}
	assert_false(dkim_fields_init(&fields, (struct slice){ "A: b\0c\r\n", 8 }));
	assert_true(dkim_fields_init(&fields, slice_of("Ab \t: c\r\n d\r\n")));
	assert_true(slice_equals(fields.fields[0].name, "Ab"));
	assert_true(slice_equals(fields.fields[0].text, "Ab \t: c\r\n d"));
	dkim_fields_finish(&fields);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_K2_K16_header_relaxed),
		cmocka_unit_test(test_K15_header_long_line),
		cmocka_unit_test(test_K2_body_in_pieces_of_every_size),
		cmocka_unit_test(test_K2_hash_of_empty_body),
		cmocka_unit_test(test_K13_streams_50_MB_in_the_same_memory),
		cmocka_unit_test(test_fields),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
