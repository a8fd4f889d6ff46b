/*
 * Numbers, texts and bytes in and out of a flat message between our own processes. The reader is
 * sticky: after the first thing that does not fit it fails for good and gives zeros and "", so a
 * decoder reads everything and asks once.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"

void wire_put_u8(struct buffer *b, uint8_t value);
void wire_put_u32(struct buffer *b, uint32_t value);
void wire_put_u64(struct buffer *b, uint64_t value);
void wire_put_i64(struct buffer *b, int64_t value);
void wire_put_bytes(struct buffer *b, const void *bytes, size_t n);
void wire_put_text(struct buffer *b, const char *text); /* NULL as "" */

struct wire_reader {
	const char *at;
	size_t left;
	bool failed;
};

void wire_reader_init(struct wire_reader *r, const void *bytes, size_t n);
uint8_t wire_get_u8(struct wire_reader *r);
uint32_t wire_get_u32(struct wire_reader *r);
uint64_t wire_get_u64(struct wire_reader *r);
int64_t wire_get_i64(struct wire_reader *r);
struct slice wire_get_bytes(struct wire_reader *r);

/* Points into the message, which carries the NUL; contains no other. */
const char *wire_get_text(struct wire_reader *r);

/* A count of things of at least least_bytes each: fails if that many cannot follow. */
size_t wire_get_count(struct wire_reader *r, size_t least_bytes);

/* Everything was there and nothing is left over. */
bool wire_is_whole(const struct wire_reader *r);
