/*
 * A line ends at its LF, right or wrong: with a bare LF it is refused as a whole, and what follows
 * is the next line, as the client meant it.
 */
#include "smtp/line.h"

#include <stdlib.h>
#include <string.h>

#include <event2/buffer.h>

#include "relay/base/mem.h"

/* Nearly every line fits here; only a long one costs a session SMTP_LINE_MAX. */
enum { ORDINARY_ROOM = 1024 };

static void begin(struct smtp_line *l);
static void take(struct smtp_line *l, const char *bytes, size_t n);
static void keep(struct smtp_line *l, const char *bytes, size_t n);
static enum smtp_line_result judge(struct smtp_line *l);

void smtp_line_init(struct smtp_line *l)
{
	*l = (struct smtp_line){ .room = ORDINARY_ROOM };
	l->text = mem_create(l->room);
}

void smtp_line_finish(struct smtp_line *l)
{
	mem_free_secret(l->text, l->room);
	*l = (struct smtp_line){ 0 };
}

void smtp_line_forget(struct smtp_line *l)
{
	explicit_bzero(l->text, l->room);
	l->n = 0;
}

enum smtp_line_result smtp_line_read(struct smtp_line *l, struct evbuffer *in)
{
	struct evbuffer_iovec piece;

	if (l->ended)
		begin(l);
	while (evbuffer_peek(in, -1, NULL, &piece, 1) > 0 && piece.iov_len > 0) {
		const char *lf = memchr(piece.iov_base, '\n', piece.iov_len);
		size_t n =
		    lf == NULL ? piece.iov_len : (size_t)(lf - (const char *)piece.iov_base) + 1;

		take(l, piece.iov_base, n);
		evbuffer_drain(in, n);
		if (lf != NULL)
			return judge(l);
		if (l->n_seen > SMTP_LINE_ENDLESS)
			return SMTP_LINE_ENDLESS_GIVEN_UP;
	}
	return SMTP_LINE_MORE;
}

static void begin(struct smtp_line *l)
{
	smtp_line_forget(l);
	l->n_seen = 0;
	l->after_cr = l->broken = l->ended = false;
}

static void take(struct smtp_line *l, const char *bytes, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (bytes[i] == '\0' || l->after_cr != (bytes[i] == '\n'))
			l->broken = true;
		l->after_cr = bytes[i] == '\r';
	}
	if (l->n_seen + n <= SMTP_LINE_MAX)
		keep(l, bytes, n);
	l->n_seen += n;
}

static void keep(struct smtp_line *l, const char *bytes, size_t n)
{
	if (l->n + n > l->room) {
		/* Growing in place would leave a copy of what may be a password behind. */
		char *longer = mem_create(SMTP_LINE_MAX);

		memcpy(longer, l->text, l->n);
		mem_free_secret(l->text, l->room);
		l->text = longer;
		l->room = SMTP_LINE_MAX;
	}
	memcpy(l->text + l->n, bytes, n);
	l->n += n;
}

static enum smtp_line_result judge(struct smtp_line *l)
{
	l->ended = true;
	if (l->n_seen > SMTP_LINE_MAX)
		return SMTP_LINE_TOO_LONG;
	if (l->broken)
		return SMTP_LINE_BROKEN;
	l->n -= 2;
	return SMTP_LINE_WHOLE;
}
