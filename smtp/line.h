/*
 * Command lines out of bytes that arrive in any pieces, in bounded memory: what is too long is
 * read to its end and dropped. Lines may hold passwords, so their memory is overwritten.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;

enum {
	SMTP_LINE_MAX = 12288,      /* with CRLF: an AUTH response, RFC 4954 4 */
	SMTP_LINE_ENDLESS = 131072, /* dropped of one line before the peer is given up */
};

enum smtp_line_result {
	SMTP_LINE_MORE,     /* all was consumed, the line is not complete yet */
	SMTP_LINE_WHOLE,    /* in text and n, without CRLF */
	SMTP_LINE_TOO_LONG, /* ended, over SMTP_LINE_MAX: dropped */
	SMTP_LINE_BROKEN,   /* ended, with a bare CR, a bare LF or a NUL: dropped */
	SMTP_LINE_ENDLESS_GIVEN_UP,
};

struct smtp_line {
	char *text; /* valid until the next call */
	size_t n;

	/* Inner. */
	size_t room, n_seen;
	bool after_cr, broken, ended;
};

void smtp_line_init(struct smtp_line *l);
void smtp_line_finish(struct smtp_line *l);

/* Consumes from in up to the end of one line and nothing behind it. */
enum smtp_line_result smtp_line_read(struct smtp_line *l, struct evbuffer *in);

/* Overwrites what the line held. */
void smtp_line_forget(struct smtp_line *l);
