/*
 * A machine of six states, one byte a time, and a short cut through the middle of lines.
 */
#include "smtp/data.h"

#include <string.h>

static void step(struct smtp_data *d, char c, struct buffer *content);
static size_t run_length(const char *bytes, size_t n);
static void add_to_line(struct smtp_data *d, const char *bytes, size_t n, struct buffer *content);
static void end_line(struct smtp_data *d, struct buffer *content);
static void add(struct smtp_data *d, const char *bytes, size_t n, struct buffer *content);
static void refuse(
    struct smtp_data *d, int code, const char *enhanced, const char *name, const char *text);

void smtp_data_begin(struct smtp_data *d, const struct smtp_data_limits *limits)
{
	*d = (struct smtp_data){
		.limits = *limits, .state = SMTP_DATA_LINE_START, .in_header = true
	};
}

size_t smtp_data_decode(struct smtp_data *d, const char *bytes, size_t n, struct buffer *content)
{
	size_t i = 0;

	while (i < n && d->state != SMTP_DATA_ENDED) {
		size_t run = d->state == SMTP_DATA_IN_LINE ? run_length(bytes + i, n - i) : 0;

		if (run > 0)
			add_to_line(d, bytes + i, run, content);
		else
			step(d, bytes[i], content);
		i += run > 0 ? run : 1;
	}
	d->n_read += i;
	if (d->refused)
		buffer_clear(content);
	return i;
}

/* How many bytes ahead are nothing special? */
static size_t run_length(const char *bytes, size_t n)
{
	size_t i = 0;

	while (i < n && bytes[i] != '\r' && bytes[i] != '\n' && bytes[i] != '\0')
		i++;
	return i;
}

/* One byte in the state d->state; a byte that breaks a rule leaves us in the middle of a line. */
static void step(struct smtp_data *d, char c, struct buffer *content)
{
	enum smtp_data_state was = d->state;

	if (c == '\n' && was == SMTP_DATA_DOT_CR) {
		d->state = SMTP_DATA_ENDED;
		return;
	}
	if (c == '\n' && was == SMTP_DATA_CR) {
		end_line(d, content);
		return;
	}
	if (was == SMTP_DATA_CR || was == SMTP_DATA_DOT_CR)
		refuse(d, 550, "5.6.0", "content-bare-cr",
		    "The message has a CR without LF: lines end with CRLF (RFC 5321 2.3.8)");
	d->state = SMTP_DATA_IN_LINE;
	if (c == '\n')
		refuse(d, 550, "5.6.0", "content-bare-lf",
		    "The message has a LF without CR: lines end with CRLF (RFC 5321 2.3.8)");
	else if (c == '\0')
		refuse(d, 550, "5.6.0", "content-nul", "The message has a NUL byte");
	else if (c == '\r')
		d->state = was == SMTP_DATA_DOT ? SMTP_DATA_DOT_CR : SMTP_DATA_CR;
	else if (c == '.' && was == SMTP_DATA_LINE_START)
		d->state = SMTP_DATA_DOT; /* left out: it is stuffing, or the end */
	else
		add_to_line(d, &c, 1, content);
}

static void add_to_line(struct smtp_data *d, const char *bytes, size_t n, struct buffer *content)
{
	if (d->refused)
		return;
	if (n > d->limits.line_length - d->n_line) {
		refuse(d, 554, "5.6.0", "line-too-long", "The message has a line that is too long");
		return;
	}
	d->n_line += (uint32_t)n;
	add(d, bytes, n, content);
}

static void end_line(struct smtp_data *d, struct buffer *content)
{
	add(d, "\r\n", 2, content);
	if (d->n_line == 0)
		d->in_header = false;
	d->n_line = 0;
	d->state = SMTP_DATA_LINE_START;
}

static void add(struct smtp_data *d, const char *bytes, size_t n, struct buffer *content)
{
	if (d->refused)
		return;
	d->n_content += n;
	if (d->n_content > d->limits.message_size)
		refuse(d, 552, "5.3.4", "message-too-large", "The message is too large");
	else if (d->in_header && d->n_content > d->limits.header_size)
		refuse(d, 554, "5.6.0", "header-too-large", "The message's header is too large");
	else
		buffer_add(content, bytes, n);
}

static void refuse(
    struct smtp_data *d, int code, const char *enhanced, const char *name, const char *text)
{
	struct outcome why;

	outcome_say(&why, code, enhanced, name, "%s", text);
	smtp_data_refuse(d, &why);
}

void smtp_data_refuse(struct smtp_data *d, const struct outcome *why)
{
	if (!d->refused)
		d->refusal = *why;
	d->refused = true;
}

bool smtp_data_is_endless(const struct smtp_data *d)
{
	const uint64_t patience = 1 << 20;

	return d->refused && d->n_read > 2 * d->limits.message_size + patience;
}
