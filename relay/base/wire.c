#include "relay/base/wire.h"

#include <string.h>

static void put_big_endian(struct buffer *b, uint64_t value, size_t n)
{
	char bytes[8];

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(value >> 8 * (n - 1 - i));
	buffer_add(b, bytes, n);
}

void wire_put_u8(struct buffer *b, uint8_t value)
{
	put_big_endian(b, value, 1);
}

void wire_put_u32(struct buffer *b, uint32_t value)
{
	put_big_endian(b, value, 4);
}

void wire_put_u64(struct buffer *b, uint64_t value)
{
	put_big_endian(b, value, 8);
}

void wire_put_i64(struct buffer *b, int64_t value)
{
	put_big_endian(b, (uint64_t)value, 8);
}

void wire_put_bytes(struct buffer *b, const void *bytes, size_t n)
{
	wire_put_u32(b, (uint32_t)n);
	buffer_add(b, bytes, n);
}

void wire_put_text(struct buffer *b, const char *text)
{
	text = text != NULL ? text : "";
	wire_put_bytes(b, text, strlen(text) + 1);
}

void wire_reader_init(struct wire_reader *r, const void *bytes, size_t n)
{
	*r = (struct wire_reader){ .at = bytes, .left = n };
}

static const char *take(struct wire_reader *r, size_t n)
{
	const char *at = r->at;

	if (r->failed || n > r->left) {
		r->failed = true;
		return NULL;
	}
	r->at += n;
	r->left -= n;
	return at;
}

static uint64_t get_big_endian(struct wire_reader *r, size_t n)
{
	const char *at = take(r, n);
	uint64_t value = 0;

	for (size_t i = 0; at != NULL && i < n; i++)
		value = value << 8 | (uint8_t)at[i];
	return value;
}

uint8_t wire_get_u8(struct wire_reader *r)
{
	return (uint8_t)get_big_endian(r, 1);
}

uint32_t wire_get_u32(struct wire_reader *r)
{
	return (uint32_t)get_big_endian(r, 4);
}

uint64_t wire_get_u64(struct wire_reader *r)
{
	return get_big_endian(r, 8);
}

int64_t wire_get_i64(struct wire_reader *r)
{
	return (int64_t)get_big_endian(r, 8);
}

struct slice wire_get_bytes(struct wire_reader *r)
{
	size_t n = wire_get_u32(r);
	const char *at = take(r, n);

	return at != NULL ? (struct slice){ at, n } : (struct slice){ "", 0 };
}

const char *wire_get_text(struct wire_reader *r)
{
	struct slice s = wire_get_bytes(r);

	if (s.n == 0 || memchr(s.bytes, '\0', s.n) != s.bytes + s.n - 1) {
		r->failed = true;
		return "";
	}
	return s.bytes;
}

size_t wire_get_count(struct wire_reader *r, size_t least_bytes)
{
	size_t n = wire_get_u32(r);

	if (r->failed || n > r->left / (least_bytes > 0 ? least_bytes : 1)) {
		r->failed = true;
		return 0;
	}
	return n;
}

bool wire_is_whole(const struct wire_reader *r)
{
	return !r->failed && r->left == 0;
}
