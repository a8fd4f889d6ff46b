/*
 * Two readers of the header block: one finds its end in a stream, the other takes it apart. Both go
 * over the bytes once. The second names the first thing that is wrong and stops there.
 */
#include "smtp/header.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "relay/base/mem.h"

struct parser {
	const char *bytes;
	size_t n;
	size_t at; /* start of the next line */
	const struct header_limits *limits;
	struct outcome *why;
	size_t room; /* for fields */
};

/* A line of the block, without its CRLF. */
struct line {
	const char *bytes;
	size_t n;
};

static bool next_line(struct parser *p, struct line *line);
static bool check_bytes(struct parser *p, const struct line *line);
static bool check_utf8(struct parser *p, const struct line *line);
static size_t utf8_length(const unsigned char *c, size_t left);
static bool begin_field(struct parser *p, struct header *h, const struct line *line);
static bool continue_field(struct parser *p, struct header *h, const struct line *line);
static bool refuse_name(struct parser *p, const struct line *line, size_t n_name);
static bool is_name_letter(char c);
static bool is_blank(char c);

size_t header_splitter_feed(struct header_splitter *s, const char *bytes, size_t n)
{
	size_t i;

	for (i = 0; i < n && s->state != SPLIT_ENDED; i++) {
		switch (s->state) {
		case SPLIT_LINE_START:
			s->state = bytes[i] == '\r' ? SPLIT_CR_AT_START : SPLIT_IN_LINE;
			break;
		case SPLIT_IN_LINE:
			if (bytes[i] == '\r')
				s->state = SPLIT_CR;
			break;
		case SPLIT_CR:
			if (bytes[i] == '\n')
				s->state = SPLIT_LINE_START;
			else if (bytes[i] != '\r')
				s->state = SPLIT_IN_LINE;
			break;
		case SPLIT_CR_AT_START:
			if (bytes[i] == '\n')
				s->state = SPLIT_ENDED;
			else
				s->state = bytes[i] == '\r' ? SPLIT_CR : SPLIT_IN_LINE;
			break;
		case SPLIT_ENDED: break;
		}
	}
	return i;
}

bool header_parse(struct header *h, const char *bytes, size_t n, const struct header_limits *limits,
    struct outcome *why)
{
	struct parser p = { .bytes = bytes, .n = n, .limits = limits, .why = why };
	struct line line;

	*h = (struct header){ 0 };
	while (p.at < n) {
		if (!next_line(&p, &line))
			goto fail;
		if (line.n == 0)
			break;
		if (!check_bytes(&p, &line))
			goto fail;
		if (is_blank(line.bytes[0]) ? !continue_field(&p, h, &line)
					    : !begin_field(&p, h, &line))
			goto fail;
	}
	h->n_bytes = p.at;
	return true;
fail:
	header_finish(h);
	return false;
}

void header_finish(struct header *h)
{
	free(h->fields);
	*h = (struct header){ 0 };
}

const struct header_field *header_find(const struct header *h, const char *name, size_t nth)
{
	for (size_t i = 0; i < h->n_fields; i++) {
		if (slice_equals_nocase(h->fields[i].name, name) && nth-- == 0)
			return &h->fields[i];
	}
	return NULL;
}

size_t header_count(const struct header *h, const char *name)
{
	size_t n = 0;

	for (size_t i = 0; i < h->n_fields; i++)
		n += slice_equals_nocase(h->fields[i].name, name);
	return n;
}

static bool next_line(struct parser *p, struct line *line)
{
	const char *start = p->bytes + p->at;
	const char *end = memchr(start, '\n', p->n - p->at);

	/* A bare LF and a missing end are different mistakes of the client's: name them so. */
	if (end == NULL) {
		outcome_say(p->why, 554, "5.6.0", "header-no-crlf",
		    "The last line of the header does not end in CRLF; end every line with CRLF");
		return false;
	}
	if (end == start || end[-1] != '\r') {
		outcome_say(p->why, 554, "5.6.0", "header-control",
		    "The header contains a bare LF; end every line with CRLF");
		return false;
	}
	*line = (struct line){ start, (size_t)(end - start) - 1 };
	p->at += line->n + 2;
	if (p->at > p->limits->size_bytes) {
		outcome_say(p->why, 552, "5.3.4", "header-too-large",
		    "The header is larger than the %zu bytes accepted here; send fewer or shorter fields",
		    p->limits->size_bytes);
		return false;
	}
	return true;
}

static bool check_bytes(struct parser *p, const struct line *line)
{
	for (size_t i = 0; i < line->n; i++) {
		unsigned char c = (unsigned char)line->bytes[i];

		if (c >= 0x80)
			return check_utf8(p, line);
		if ((c < ' ' && c != '\t') || c == 0x7f) {
			outcome_say(p->why, 554, "5.6.0", "header-control",
			    "The header contains the control character 0x%02X; remove it", c);
			return false;
		}
	}
	return true;
}

/* The whole line again, because it is rare. */
static bool check_utf8(struct parser *p, const struct line *line)
{
	const unsigned char *c = (const unsigned char *)line->bytes;
	size_t n;

	if (!p->limits->allow_utf8) {
		outcome_say(p->why, 554, "5.6.7", "header-8bit",
		    "The header contains 8-bit characters; encode them as RFC 2047 says");
		return false;
	}
	for (size_t i = 0; i < line->n; i += n) {
		n = utf8_length(c + i, line->n - i);
		if (n == 0) {
			outcome_say(p->why, 554, "5.6.0", "header-not-utf8",
			    "The header contains 8-bit characters that are not UTF-8");
			return false;
		}
		if ((n == 1 && c[i] < ' ' && c[i] != '\t') || c[i] == 0x7f ||
		    (n == 2 && c[i] == 0xc2 && c[i + 1] < 0xa0)) {
			outcome_say(p->why, 554, "5.6.0", "header-control",
			    "The header contains a control character; remove it");
			return false;
		}
	}
	return true;
}

/* RFC 3629 4; 0 for what is not a letter. */
static size_t utf8_length(const unsigned char *c, size_t left)
{
	unsigned char low = 0x80, high = 0xbf; /* of the second byte */
	size_t n;

	if (c[0] < 0x80)
		return 1;
	if (c[0] < 0xc2 || c[0] > 0xf4)
		return 0;
	n = c[0] < 0xe0 ? 2 : c[0] < 0xf0 ? 3 : 4;
	if (n > left)
		return 0;
	if (c[0] == 0xe0)
		low = 0xa0; /* no overlong forms */
	else if (c[0] == 0xed)
		high = 0x9f; /* no surrogates */
	else if (c[0] == 0xf0)
		low = 0x90;
	else if (c[0] == 0xf4)
		high = 0x8f; /* nothing above U+10FFFF */
	if (c[1] < low || c[1] > high)
		return 0;
	for (size_t i = 2; i < n; i++) {
		if (c[i] < 0x80 || c[i] > 0xbf)
			return 0;
	}
	return n;
}

static bool begin_field(struct parser *p, struct header *h, const struct line *line)
{
	struct header_field *f;
	size_t n_name = 0;

	while (n_name < line->n && is_name_letter(line->bytes[n_name]))
		n_name++;
	if (n_name == 0 || n_name == line->n || line->bytes[n_name] != ':')
		return refuse_name(p, line, n_name);
	if (h->n_fields == p->limits->n_fields) {
		outcome_say(p->why, 552, "5.3.4", "header-too-many-fields",
		    "The header has more than the %zu fields accepted here", p->limits->n_fields);
		return false;
	}
	if (h->n_fields == p->room) {
		p->room = p->room > 0 ? p->room * 2 : 32;
		h->fields = mem_resize(h->fields, p->room, sizeof *h->fields);
	}
	f = &h->fields[h->n_fields++];
	f->name = (struct slice){ line->bytes, n_name };
	f->value = (struct slice){ line->bytes + n_name + 1, line->n - n_name - 1 };
	f->whole = (struct slice){ line->bytes, line->n + 2 };
	return true;
}

static bool continue_field(struct parser *p, struct header *h, const struct line *line)
{
	struct header_field *f;
	size_t n = 0;

	while (n < line->n && is_blank(line->bytes[n]))
		n++;
	if (h->n_fields == 0) {
		outcome_say(p->why, 554, "5.6.0", "header-starts-folded",
		    "The first line of the header begins with white space");
		return false;
	}
	/* Obsolete since RFC 2822: some readers end the header here, others go on. */
	if (n == line->n) {
		outcome_say(p->why, 554, "5.6.0", "header-blank-fold",
		    "The header contains a line of white space alone");
		return false;
	}
	f = &h->fields[h->n_fields - 1];
	f->value.n += 2 + line->n;
	f->whole.n += line->n + 2;
	return true;
}

static bool refuse_name(struct parser *p, const struct line *line, size_t n_name)
{
	size_t n = n_name;

	while (n < line->n && is_blank(line->bytes[n]))
		n++;
	if (n_name > 0 && n > n_name && n < line->n && line->bytes[n] == ':')
		outcome_say(p->why, 554, "5.6.0", "header-space-before-colon",
		    "The header field %.*s has white space before its colon", (int)n_name,
		    line->bytes);
	else if (line->n >= 5 && strncasecmp(line->bytes, "From ", 5) == 0)
		outcome_say(p->why, 554, "5.6.0", "header-mbox-line",
		    "The header contains an mbox separator (\"From \" and no colon); remove it");
	else
		outcome_say(p->why, 554, "5.6.0", "header-no-colon",
		    "The header line \"%.*s\" is not a field: it has no name and colon; "
		    "was the empty line before the body forgotten?",
		    line->n < 40 ? (int)line->n : 40, line->bytes);
	return false;
}

/* RFC 5322 2.2: printable ASCII without the colon. */
static bool is_name_letter(char c)
{
	return c > ' ' && c <= '~' && c != ':';
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}
