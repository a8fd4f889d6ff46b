/*
 * The canonical forms of RFC 6376 3.4. We sign relaxed/relaxed; simple is here for what others
 * signed. The body goes through in pieces that may end anywhere and takes no more memory for it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"

enum dkim_canonical { DKIM_SIMPLE, DKIM_RELAXED };

/*
 * One header field, from its name to its last byte, without the CRLF that ends it; the canonical
 * form is added to out, also without it (RFC 6376 3.4.1, 3.4.2).
 */
void dkim_canonical_header(enum dkim_canonical how, struct slice field, struct buffer *out);

/* Takes canonical bytes. */
typedef void dkim_canonical_sink(void *arg, const void *bytes, size_t n);

/* A body on its way (RFC 6376 3.4.3, 3.4.4). Treat it as closed. */
struct dkim_canonical_body {
	enum dkim_canonical how;
	dkim_canonical_sink *sink;
	void *arg;
	uint64_t n_held_lines; /* empty lines that count only if something follows */
	bool held_cr;
	bool held_space;   /* white space that counts only if the line goes on */
	bool line_is_open; /* the line has bytes that were given to the sink */
	bool is_empty;     /* nothing was given to the sink so far */
	size_t n_ready;
	char ready[4096];
};

void dkim_canonical_body_init(struct dkim_canonical_body *body, enum dkim_canonical how,
    dkim_canonical_sink *sink, void *arg);
void dkim_canonical_body_update(struct dkim_canonical_body *body, const char *bytes, size_t n);
void dkim_canonical_body_finish(struct dkim_canonical_body *body);
