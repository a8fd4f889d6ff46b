/*
 * The encoder of outgoing content for DATA (RFC 5321 4.5.2): dots at the start of a line are
 * doubled, and the end is marked. The content is canonical (CRLF at every line's end and nowhere
 * else a CR or LF, no NUL); what is not would let a receiver see another end than ours, so it is
 * never written.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct evbuffer;

struct smtp_stuff {
	bool at_line_start; /* nothing yet, or the last two bytes were CRLF */
	bool after_cr;      /* the last byte was a CR, its LF must follow */
	bool broken;        /* the content was not canonical: nothing more is written */
};

void smtp_stuff_init(struct smtp_stuff *s);

/*
 * Appends the piece, encoded, to out. Pieces may end anywhere. False once the content was not
 * canonical: the connection must be given up without smtp_stuff_end().
 */
bool smtp_stuff_add(struct smtp_stuff *s, const char *bytes, size_t n, struct evbuffer *out);

/* Appends ".CRLF", after a CRLF if the content did not end with one. False as above. */
bool smtp_stuff_end(struct smtp_stuff *s, struct evbuffer *out);
