#include "relay/base/buffer.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "relay/base/mem.h"

static void move(struct buffer *b, size_t room);

static bool make_room(struct buffer *b, size_t n)
{
	size_t room = b->room;

	if (n > b->max - b->n) {
		b->overflowed = true;
		return false;
	}
	if (b->bytes != NULL && b->n + n <= room)
		return true;
	room = room > 0 ? room : 128;
	while (room < b->n + n)
		room *= 2;
	if (room > b->max)
		room = b->max;
	move(b, room);
	return true;
}

/* realloc() would leave behind what was there. */
static void move(struct buffer *b, size_t room)
{
	char *before = b->bytes;

	if (b->is_secret) {
		b->bytes = mem_resize(NULL, room + 1, 1);
		if (b->n > 0)
			memcpy(b->bytes, before, b->n);
		mem_free_secret(before, b->room);
	} else {
		b->bytes = mem_resize(before, room + 1, 1);
	}
	b->room = room;
}

void buffer_init(struct buffer *b, size_t max)
{
	*b = (struct buffer){ .max = max };
}

void buffer_init_secret(struct buffer *b, size_t max)
{
	buffer_init(b, max);
	b->is_secret = true;
}

void buffer_finish(struct buffer *b)
{
	if (b->is_secret)
		mem_free_secret(b->bytes, b->room);
	else
		free(b->bytes);
	*b = (struct buffer){ .max = b->max, .is_secret = b->is_secret };
}

bool buffer_add(struct buffer *b, const void *bytes, size_t n)
{
	if (!make_room(b, n))
		return false;
	if (n > 0)
		memcpy(b->bytes + b->n, bytes, n);
	b->n += n;
	b->bytes[b->n] = '\0';
	return true;
}

bool buffer_add_text(struct buffer *b, const char *text)
{
	return buffer_add(b, text, strlen(text));
}

bool buffer_print(struct buffer *b, const char *format, ...)
{
	va_list args;
	char *text = NULL;
	bool added;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	if (n < 0)
		abort();
	added = buffer_add(b, text, (size_t)n);
	free(text);
	return added;
}

void buffer_clear(struct buffer *b)
{
	if (b->is_secret && b->bytes != NULL)
		explicit_bzero(b->bytes, b->n);
	b->n = 0;
	b->overflowed = false;
	if (b->bytes != NULL)
		b->bytes[0] = '\0';
}

void buffer_drop_front(struct buffer *b, size_t n)
{
	if (n == 0)
		return;
	memmove(b->bytes, b->bytes + n, b->n - n);
	b->n -= n;
	if (b->is_secret)
		explicit_bzero(b->bytes + b->n, n);
	b->bytes[b->n] = '\0';
}

const char *buffer_text(const struct buffer *b)
{
	return b->bytes != NULL ? b->bytes : "";
}

char *buffer_take(struct buffer *b)
{
	char *text = b->bytes != NULL ? b->bytes : mem_copy("", 0);

	*b = (struct buffer){ .max = b->max, .is_secret = b->is_secret };
	return text;
}

struct slice slice_of(const char *text)
{
	return (struct slice){ text, strlen(text) };
}

bool slice_equals_nocase(struct slice a, const char *text)
{
	return a.n == strlen(text) && strncasecmp(a.bytes, text, a.n) == 0;
}

bool slice_equals(struct slice a, const char *text)
{
	return a.n == strlen(text) && memcmp(a.bytes, text, a.n) == 0;
}
