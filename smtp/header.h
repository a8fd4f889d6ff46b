/*
 * The header block of a message, RFC 5322 2.2, read strictly: a block that two readers could
 * understand differently is refused, because what the policy saw must be what the recipient sees.
 * Fields point into the caller's bytes; nothing is copied or changed. Linear time.
 *
 * The owner lets a header_splitter find the end of the block while the content streams by, collects
 * the block (bounded by its own limit), and parses it whole.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"

/* ---- where does the header block end? ---- */

/* Zeroed is ready to use. */
struct header_splitter {
	enum { SPLIT_LINE_START, SPLIT_IN_LINE, SPLIT_CR, SPLIT_CR_AT_START, SPLIT_ENDED } state;
};

/*
 * How many of the next n bytes of the content still belong to the header block; its empty line
 * does. Anything after them is body, and so is everything once state is SPLIT_ENDED. Only
 * CRLF ends a line. Content without an empty line is header to its end.
 */
size_t header_splitter_feed(struct header_splitter *s, const char *bytes, size_t n);

/* ---- what is in it? ---- */

struct header_field {
	struct slice name;  /* as written */
	struct slice value; /* between the colon and the final CRLF; folds are still in it */
	struct slice whole; /* from the name to the final CRLF, both included */
};

struct header {
	struct header_field *fields; /* in the order of the message */
	size_t n_fields;
	size_t n_bytes; /* length of the block, with the empty line if there was one */
};

struct header_limits {
	size_t size_bytes; /* of the whole block */
	size_t n_fields;
	bool allow_utf8; /* the transaction is SMTPUTF8 (RFC 6532): valid UTF-8 is let through */
};

/*
 * Parses bytes up to the empty line or their end; every line must end in CRLF. On refusal false,
 * *why filled, and nothing to finish. The stable names, all 554 5.6.0 unless said:
 *   header-too-large (552 5.3.4), header-too-many-fields (552 5.3.4), header-8bit (554 5.6.7),
 *   header-control (NUL, bare CR or LF, other control characters), header-no-crlf,
 *   header-starts-folded, header-blank-fold (a continuation of white space alone),
 *   header-space-before-colon, header-mbox-line, header-no-colon, header-not-utf8
 */
bool header_parse(struct header *h, const char *bytes, size_t n, const struct header_limits *limits,
    struct outcome *why);
void header_finish(struct header *h);

/* The nth (from 0, top down) field of that name, ASCII case aside; NULL if there are fewer. */
const struct header_field *header_find(const struct header *h, const char *name, size_t nth);
size_t header_count(const struct header *h, const char *name);
