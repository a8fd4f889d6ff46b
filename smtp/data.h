/*
 * The decoder of incoming content after DATA (RFC 5321 4.5.2): finds its end, takes stuffed dots
 * out, and holds it to its rules. Only CRLF "." CRLF ends it, whatever else is wrong with it, so
 * that no two readers can disagree where a message ends. Content with a bare CR, a bare LF or a
 * NUL is refused as a whole, never repaired.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"

struct smtp_data_limits {
	uint64_t message_size; /* CRLF counted, stuffed dots not */
	uint32_t header_size;  /* up to the first empty line, CRLF counted */
	uint32_t line_length;  /* without CRLF and stuffed dot */
};

enum smtp_data_state {
	SMTP_DATA_LINE_START, /* at the beginning, or behind CRLF */
	SMTP_DATA_IN_LINE,
	SMTP_DATA_CR,     /* behind a CR that its LF must follow */
	SMTP_DATA_DOT,    /* behind a dot at the start of a line */
	SMTP_DATA_DOT_CR, /* behind that and a CR: is it the end? */
	SMTP_DATA_ENDED,
};

struct smtp_data {
	struct smtp_data_limits limits;
	enum smtp_data_state state;
	bool in_header;
	uint64_t n_content; /* bytes decoded so far */
	uint64_t n_read;    /* bytes consumed so far, refused ones too */
	uint32_t n_line;    /* of the line being read */
	bool refused;
	struct outcome refusal; /* the first reason, if refused */
};

void smtp_data_begin(struct smtp_data *d, const struct smtp_data_limits *limits);

/*
 * Consumes from bytes, at most up to the end of the content (state is then SMTP_DATA_ENDED), and
 * returns how much that was. What it decodes goes into content, which has room for n + 1 bytes
 * more; nothing once refused, and what was in it goes.
 *
 * Refusals: 550 5.6.0 content-bare-cr, content-bare-lf, content-nul; 554 5.6.0 line-too-long,
 * header-too-large; 552 5.3.4 message-too-large.
 */
size_t smtp_data_decode(struct smtp_data *d, const char *bytes, size_t n, struct buffer *content);

/* The first refusal counts. */
void smtp_data_refuse(struct smtp_data *d, const struct outcome *why);

/*
 * True when a refused message has gone on for so long after its refusal that its end is not worth
 * waiting for.
 */
bool smtp_data_is_endless(const struct smtp_data *d);
