/*
 * A server's reply (RFC 5321 4.2, RFC 2034), read from bytes that arrive in any pieces. What the
 * server says is bounded, made printable, and never trusted to be well formed: a reply that is none
 * is a value like any other.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"

struct evbuffer;

enum {
	SMTP_REPLY_LINE_MAX = 2048,   /* of a line is kept; the rest of it is dropped */
	SMTP_REPLY_LINES_MAX = 100,   /* more lines make the reply broken */
	SMTP_REPLY_BYTES_MAX = 65536, /* and so do more bytes in all, kept or dropped */
};

enum smtp_reply_result {
	SMTP_REPLY_MORE,   /* all was consumed, the reply is not complete yet */
	SMTP_REPLY_WHOLE,  /* complete; what came behind it is still in the evbuffer */
	SMTP_REPLY_BROKEN, /* not SMTP: give the connection up */
};

struct smtp_reply {
	int code;          /* 200..599 once whole */
	char enhanced[12]; /* "5.7.1" with the class of code; "5.0.0" if the server gave none */
	bool has_enhanced; /* the server gave one */
	struct buffer
	    text; /* the lines without code and enhanced code, printable, '\n' after each */
	size_t n_lines;
	const char *error; /* what was wrong with it; NULL unless broken */

	/* Inner: the line being read. */
	struct buffer line;
	size_t n_bytes;
};

void smtp_reply_init(struct smtp_reply *r);
void smtp_reply_finish(struct smtp_reply *r);

/*
 * Consumes from in up to the end of one reply. After WHOLE or BROKEN the reply can be looked at
 * until the next call, which begins a new one.
 */
enum smtp_reply_result smtp_reply_read(struct smtp_reply *r, struct evbuffer *in);

/* The i-th line of text, without its '\n'; empty past the last one. */
struct slice smtp_reply_line(const struct smtp_reply *r, size_t i);

/*
 * The reply as an outcome that who said. wanted is the first digit hoped for, 2 or 3: with it the
 * outcome is ok; 4 defers, 5 fails; a broken reply, or the other kind of yes, defers as
 * 451 4.5.0 "reply-malformed" or "reply-unexpected", with what was said in the text.
 */
void smtp_reply_outcome(
    const struct smtp_reply *r, int wanted, const char *who, struct outcome *outcome);
