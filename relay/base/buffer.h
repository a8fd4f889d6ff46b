/*
 * A run of bytes that grows up to a maximum fixed at creation, because what fills it may come from
 * a peer. Past the maximum nothing is added and the buffer remembers that it overflowed, so a
 * sequence of additions is checked once, at its end. Always followed by a NUL that is not counted.
 */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct buffer {
	char *bytes; /* NULL until something was added */
	size_t n;
	size_t room;     /* allocated, without the NUL */
	size_t max;      /* n never exceeds it */
	bool overflowed; /* something did not fit and was left out */
	bool is_secret;  /* what leaves it is wiped */
};

/* A run of bytes that somebody else owns. */
struct slice {
	const char *bytes;
	size_t n;
};

void buffer_init(struct buffer *b, size_t max);

/* For what may hold passwords: nothing of it stays in memory that was dropped, moved or given back. */
void buffer_init_secret(struct buffer *b, size_t max);
void buffer_finish(struct buffer *b);

/* All or nothing: false, and b->overflowed, when it would not fit. */
bool buffer_add(struct buffer *b, const void *bytes, size_t n);
bool buffer_add_text(struct buffer *b, const char *text);
bool buffer_print(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Empties it and forgets an overflow; keeps the memory. */
void buffer_clear(struct buffer *b);

/* Removes n bytes from the front; n <= b->n. */
void buffer_drop_front(struct buffer *b, size_t n);

/* The content as a text, never NULL. Valid until the next change. */
const char *buffer_text(const struct buffer *b);

/* Hands the content over as an allocated text and leaves the buffer empty. */
char *buffer_take(struct buffer *b);

struct slice slice_of(const char *text);

/* ASCII case does not count. */
bool slice_equals_nocase(struct slice a, const char *text);
bool slice_equals(struct slice a, const char *text);
