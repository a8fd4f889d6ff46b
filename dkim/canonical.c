/*
 * Both forms in one pass. What may turn out not to count (white space, empty lines, a CR) is held
 * as a mark or a number, never as bytes.
 */
#include "dkim/canonical.h"

#include <assert.h>
#include <string.h>

static void relax_value(const char *value, size_t n, struct buffer *out);
static void give_run(struct dkim_canonical_body *body, const char *bytes, size_t n);
static void end_line(struct dkim_canonical_body *body);
static void put(struct dkim_canonical_body *body, const char *bytes, size_t n);
static void flush(struct dkim_canonical_body *body);

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

void dkim_canonical_header(enum dkim_canonical how, struct slice field, struct buffer *out)
{
	const char *colon = memchr(field.bytes, ':', field.n);
	size_t n_name;

	if (how == DKIM_SIMPLE) {
		buffer_add(out, field.bytes, field.n);
		return;
	}
	assert(colon != NULL);
	n_name = (size_t)(colon - field.bytes);
	while (n_name > 0 && is_space(field.bytes[n_name - 1]))
		n_name--;
	for (size_t i = 0; i < n_name; i++) {
		char c = field.bytes[i];

		if (c >= 'A' && c <= 'Z')
			c = (char)(c - 'A' + 'a');
		buffer_add(out, &c, 1);
	}
	buffer_add(out, ":", 1);
	relax_value(colon + 1, field.n - (size_t)(colon + 1 - field.bytes), out);
}

/* Unfolds, makes one space of each run of white space, and none at either end. */
static void relax_value(const char *value, size_t n, struct buffer *out)
{
	bool held_space = false, is_open = false;
	size_t i = 0;

	while (i < n) {
		size_t start = i;

		if (is_space(value[i])) {
			held_space = true;
			i++;
			continue;
		}
		if (value[i] == '\r' && i + 1 < n && value[i + 1] == '\n') {
			i += 2;
			continue;
		}
		do
			i++;
		while (i < n && !is_space(value[i]) && value[i] != '\r');
		if (held_space && is_open)
			buffer_add(out, " ", 1);
		buffer_add(out, value + start, i - start);
		held_space = false;
		is_open = true;
	}
}

void dkim_canonical_body_init(
    struct dkim_canonical_body *body, enum dkim_canonical how, dkim_canonical_sink *sink, void *arg)
{
	body->how = how;
	body->sink = sink;
	body->arg = arg;
	body->n_held_lines = 0;
	body->held_cr = body->held_space = body->line_is_open = false;
	body->is_empty = true;
	body->n_ready = 0;
}

void dkim_canonical_body_update(struct dkim_canonical_body *body, const char *bytes, size_t n)
{
	bool relaxed = body->how == DKIM_RELAXED;
	size_t i = 0;

	while (i < n) {
		size_t start = i;

		if (body->held_cr) {
			body->held_cr = false;
			if (bytes[i] == '\n') {
				end_line(body);
				i++;
			} else {
				give_run(body, "\r", 1);
			}
			continue;
		}
		if (bytes[i] == '\r') {
			body->held_cr = true;
			i++;
			continue;
		}
		if (relaxed && is_space(bytes[i])) {
			body->held_space = true;
			i++;
			continue;
		}
		while (i < n && bytes[i] != '\r' && !(relaxed && is_space(bytes[i])))
			i++;
		give_run(body, bytes + start, i - start);
	}
}

void dkim_canonical_body_finish(struct dkim_canonical_body *body)
{
	if (body->held_cr)
		give_run(body, "\r", 1);
	body->held_cr = false;
	if (body->line_is_open)
		end_line(body);
	/* RFC 6376 3.4.3: a body of nothing is one CRLF; 3.4.4 leaves it nothing. */
	if (body->is_empty && body->how == DKIM_SIMPLE)
		put(body, "\r\n", 2);
	flush(body);
}

/* Bytes of a line that count; so everything held before them counts as well. */
static void give_run(struct dkim_canonical_body *body, const char *bytes, size_t n)
{
	for (; body->n_held_lines > 0; body->n_held_lines--)
		put(body, "\r\n", 2);
	if (body->held_space)
		put(body, " ", 1);
	put(body, bytes, n);
	body->held_space = false;
	body->line_is_open = true;
}

static void end_line(struct dkim_canonical_body *body)
{
	body->held_space = false;
	if (body->line_is_open)
		put(body, "\r\n", 2);
	else
		body->n_held_lines++;
	body->line_is_open = false;
}

static void put(struct dkim_canonical_body *body, const char *bytes, size_t n)
{
	if (n == 0)
		return;
	body->is_empty = false;
	if (n > sizeof body->ready - body->n_ready)
		flush(body);
	if (n > sizeof body->ready) {
		body->sink(body->arg, bytes, n);
		return;
	}
	memcpy(body->ready + body->n_ready, bytes, n);
	body->n_ready += n;
}

static void flush(struct dkim_canonical_body *body)
{
	if (body->n_ready > 0)
		body->sink(body->arg, body->ready, body->n_ready);
	body->n_ready = 0;
}
