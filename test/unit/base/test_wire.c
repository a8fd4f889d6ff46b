/*
 * Buffers with a maximum, and the flat messages written into them: what is read back is what was
 * written, and after the first thing that does not fit nothing is read any more.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/buffer.h"
#include "relay/base/mem.h"
#include "relay/base/wire.h"

/* What it gave back cannot be looked at; what it holds and has dropped can. */
static void secret_buffer_wipes_what_it_drops(void **state)
{
	static const char zeros[300];
	struct buffer b;

	(void)state;
	buffer_init_secret(&b, 1000);
	for (int i = 0; i < 30; i++)
		assert_true(buffer_add_text(&b, "0123456789")); /* it has moved by then */
	buffer_drop_front(&b, 295);
	assert_string_equal(buffer_text(&b), "56789");
	assert_memory_equal(b.bytes + 5, zeros, 295);
	buffer_clear(&b);
	assert_memory_equal(b.bytes, zeros, 300);
	assert_true(buffer_add_text(&b, "again"));
	assert_string_equal(buffer_text(&b), "again");
	buffer_finish(&b);
	assert_null(b.bytes);
	assert_true(b.is_secret);
	buffer_finish(&b);
}

static void buffer_keeps_to_its_maximum(void **state)
{
	struct buffer b;
	char *taken;

	(void)state;
	for (size_t max = 0; max < 300; max += 7) {
		buffer_init(&b, max);
		assert_string_equal(buffer_text(&b), "");
		for (size_t i = 0; i < max; i++)
			assert_true(buffer_add(&b, "x", 1));
		assert_false(b.overflowed);
		assert_false(buffer_add(&b, "y", 1));
		assert_true(b.overflowed);
		assert_int_equal(b.n, max);
		assert_int_equal(strlen(buffer_text(&b)), max);
		buffer_clear(&b);
		assert_false(b.overflowed);
		assert_int_equal(b.n, 0);
		assert_false(buffer_print(&b, "%*s", (int)max + 1, ""));
		assert_int_equal(b.n, 0); /* all or nothing */
		buffer_finish(&b);
	}
	buffer_init(&b, 10);
	assert_true(buffer_add(&b, NULL, 0));
	assert_true(buffer_add_text(&b, "abcdef"));
	buffer_drop_front(&b, 2);
	assert_string_equal(buffer_text(&b), "cdef");
	buffer_drop_front(&b, 4);
	assert_string_equal(buffer_text(&b), "");
	buffer_drop_front(&b, 0);
	assert_true(buffer_print(&b, "%s-%d", "ab", 7));
	taken = buffer_take(&b);
	assert_string_equal(taken, "ab-7");
	assert_null(b.bytes);
	assert_true(buffer_add_text(&b, "0123456789"));
	free(taken);
	buffer_finish(&b);
}

static void slices(void **state)
{
	(void)state;
	assert_true(slice_equals(slice_of("abc"), "abc"));
	assert_false(slice_equals(slice_of("ab"), "abc"));
	assert_false(slice_equals((struct slice){ "ab\0", 3 }, "ab"));
	assert_true(slice_equals_nocase(slice_of("AbC"), "aBc"));
	assert_false(slice_equals_nocase(slice_of("abcd"), "abc"));
	assert_true(slice_equals((struct slice){ "", 0 }, ""));
}

static void fill(struct buffer *b)
{
	buffer_init(b, 4096);
	wire_put_u8(b, 0xfe);
	wire_put_u32(b, 0x01020304);
	wire_put_u64(b, UINT64_MAX);
	wire_put_i64(b, INT64_MIN);
	wire_put_text(b, "a text");
	wire_put_text(b, NULL);
	wire_put_bytes(b, "\0\1\2", 3);
	wire_put_u32(b, 2);
	wire_put_u8(b, 8);
	wire_put_u8(b, 9);
}

struct contents {
	uint8_t u8, first, second;
	uint32_t u32;
	uint64_t u64;
	int64_t i64;
	const char *text, *none;
	struct slice bytes;
	size_t n;
};

static void read_all(struct wire_reader *r, struct contents *c)
{
	c->u8 = wire_get_u8(r);
	c->u32 = wire_get_u32(r);
	c->u64 = wire_get_u64(r);
	c->i64 = wire_get_i64(r);
	c->text = wire_get_text(r);
	c->none = wire_get_text(r);
	c->bytes = wire_get_bytes(r);
	c->n = wire_get_count(r, 1);
	c->first = wire_get_u8(r);
	c->second = wire_get_u8(r);
}

static void wire_there_and_back(void **state)
{
	struct wire_reader r;
	struct contents c;
	struct buffer b;

	(void)state;
	fill(&b);
	wire_reader_init(&r, b.bytes, b.n);
	read_all(&r, &c);
	assert_true(wire_is_whole(&r));
	assert_int_equal(c.u8, 0xfe);
	assert_int_equal(c.u32, 0x01020304);
	assert_true(c.u64 == UINT64_MAX && c.i64 == INT64_MIN);
	assert_string_equal(c.text, "a text");
	assert_string_equal(c.none, "");
	assert_int_equal(c.bytes.n, 3);
	assert_memory_equal(c.bytes.bytes, "\0\1\2", 3);
	assert_int_equal(c.n, 2);
	assert_int_equal(c.first, 8);
	assert_int_equal(c.second, 9);
	buffer_finish(&b);
}

/* Cut at every place, in memory of exactly that size. */
static void wire_cut_anywhere_is_not_whole(void **state)
{
	struct buffer b;

	(void)state;
	fill(&b);
	for (size_t n = 0; n <= b.n + 1; n++) {
		char *part = calloc(1, n > 0 ? n : 1);
		struct wire_reader r;
		struct contents c;

		memcpy(part, b.bytes, n < b.n ? n : b.n);
		wire_reader_init(&r, part, n);
		read_all(&r, &c);
		assert_int_equal(wire_is_whole(&r), n == b.n);
		assert_non_null(c.text);
		assert_non_null(c.bytes.bytes);
		free(part);
	}
	buffer_finish(&b);
}

static void wire_failure_lasts(void **state)
{
	/* a text without its NUL, then a good number */
	static const char bytes[] = "\0\0\0\1x\0\0\0\7";
	struct wire_reader r;

	(void)state;
	wire_reader_init(&r, bytes, sizeof bytes - 1);
	assert_string_equal(wire_get_text(&r), "");
	assert_true(r.failed);
	assert_int_equal(wire_get_u32(&r), 0);
	assert_int_equal(wire_get_u8(&r), 0);
	assert_int_equal(wire_get_bytes(&r).n, 0);
	assert_string_equal(wire_get_text(&r), "");
	assert_int_equal(wire_get_count(&r, 0), 0);
	assert_false(wire_is_whole(&r));
}

static void wire_hostile_lengths(void **state)
{
	static const struct {
		const char *bytes;
		size_t n;
	} texts[] = {
		{ "\0\0\0\0", 4 },       /* no room for the NUL */
		{ "\0\0\0\3a\0b", 7 },   /* none at its end */
		{ "\0\0\0\4a\0b\0", 8 }, /* another inside */
		{ "\xff\xff\xff\xff"
		  "a\0",
		    6 },              /* 4 GB (C2) */
		{ "\0\0\0\3a\0", 6 }, /* one byte short */
		{ "\0\0\0", 3 },
	};
	struct wire_reader r;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		wire_reader_init(&r, texts[i].bytes, texts[i].n);
		assert_string_equal(wire_get_text(&r), "");
		assert_true(r.failed);
	}
	wire_reader_init(&r, "\0\0\0\3abc", 7);
	assert_int_equal(wire_get_count(&r, 1), 3);
	wire_reader_init(&r, "\0\0\0\3abc", 7);
	assert_int_equal(wire_get_count(&r, 2), 0);
	assert_true(r.failed);
	wire_reader_init(&r, "\xff\xff\xff\xff", 4);
	assert_int_equal(wire_get_count(&r, 0), 0);
	assert_true(r.failed);
	wire_reader_init(&r, NULL, 0);
	assert_true(wire_is_whole(&r));
}

static void mem_helpers(void **state)
{
	char *text = mem_print("%s %d", "a", 1), *copy = mem_copy("a\0b", 3);

	(void)state;
	assert_string_equal(text, "a 1");
	assert_memory_equal(copy, "a\0b\0", 4);
	assert_null(mem_copy_text(NULL));
	mem_free_secret(copy, 3);
	mem_free_secret(NULL, 3);
	free(text);
	text = mem_create(0);
	assert_non_null(text);
	text = mem_resize(text, 0, 0);
	assert_non_null(text);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(secret_buffer_wipes_what_it_drops),
		cmocka_unit_test(buffer_keeps_to_its_maximum),
		cmocka_unit_test(slices),
		cmocka_unit_test(wire_there_and_back),
		cmocka_unit_test(wire_cut_anywhere_is_not_whole),
		cmocka_unit_test(wire_failure_lasts),
		cmocka_unit_test(wire_hostile_lengths),
		cmocka_unit_test(mem_helpers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
