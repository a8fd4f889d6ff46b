/*
 * Reads a reply line by line, keeping at most what is bounded in the header, and says what it means.
 */
#include "smtp/reply.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

static void begin(struct smtp_reply *r);
static bool gather_line(struct smtp_reply *r, struct evbuffer *in);
static enum smtp_reply_result take_line(struct smtp_reply *r);
static size_t take_enhanced(struct smtp_reply *r, const char *text, size_t n);
static void add_printable(struct buffer *to, const char *text, size_t n);
static enum smtp_reply_result broken(struct smtp_reply *r, const char *error);

void smtp_reply_init(struct smtp_reply *r)
{
	*r = (struct smtp_reply){ 0 };
	buffer_init(&r->text, SMTP_REPLY_BYTES_MAX + SMTP_REPLY_LINES_MAX);
	buffer_init(&r->line, SMTP_REPLY_LINE_MAX);
}

void smtp_reply_finish(struct smtp_reply *r)
{
	buffer_finish(&r->text);
	buffer_finish(&r->line);
}

enum smtp_reply_result smtp_reply_read(struct smtp_reply *r, struct evbuffer *in)
{
	if (r->n_bytes == 0)
		begin(r);
	while (gather_line(r, in)) {
		enum smtp_reply_result result = take_line(r);

		buffer_clear(&r->line);
		if (result != SMTP_REPLY_MORE) {
			r->n_bytes = 0;
			return result;
		}
	}
	if (r->n_bytes <= SMTP_REPLY_BYTES_MAX)
		return SMTP_REPLY_MORE;
	r->n_bytes = 0;
	buffer_clear(&r->line);
	return broken(r, "the reply is endless");
}

static void begin(struct smtp_reply *r)
{
	buffer_clear(&r->text);
	buffer_clear(&r->line);
	r->code = 0;
	r->n_lines = 0;
	r->has_enhanced = false;
	r->enhanced[0] = '\0';
	r->error = NULL;
}

/* Moves bytes up to and with the next LF into r->line; true if the LF came within the limit. */
static bool gather_line(struct smtp_reply *r, struct evbuffer *in)
{
	while (r->n_bytes <= SMTP_REPLY_BYTES_MAX) {
		struct evbuffer_iovec piece;
		const char *lf;
		size_t n, kept;

		if (evbuffer_peek(in, -1, NULL, &piece, 1) < 1 || piece.iov_len == 0)
			return false;
		n = piece.iov_len;
		if (n > SMTP_REPLY_BYTES_MAX + 1 - r->n_bytes)
			n = SMTP_REPLY_BYTES_MAX + 1 - r->n_bytes;
		lf = memchr(piece.iov_base, '\n', n);
		if (lf != NULL)
			n = (size_t)(lf - (const char *)piece.iov_base) + 1;
		kept = n - (lf != NULL);
		if (kept > SMTP_REPLY_LINE_MAX - r->line.n)
			kept = SMTP_REPLY_LINE_MAX - r->line.n;
		buffer_add(&r->line, piece.iov_base, kept);
		r->n_bytes += n;
		evbuffer_drain(in, n);
		if (lf != NULL)
			return r->n_bytes <= SMTP_REPLY_BYTES_MAX;
	}
	return false;
}

/*
 * A line is a code, then '-' or a space and text, or nothing more (RFC 5321 4.2.1 asks clients to
 * take a bare code). A LF without its CR is accepted here: only the server itself could gain by it.
 */
static enum smtp_reply_result take_line(struct smtp_reply *r)
{
	const char *line = buffer_text(&r->line);
	size_t n = r->line.n, skip;
	int code;

	if (n > 0 && line[n - 1] == '\r')
		n--;
	if (n < 3 || line[0] < '2' || line[0] > '5' || line[1] < '0' || line[1] > '9' ||
	    line[2] < '0' || line[2] > '9')
		return broken(r, "the reply does not begin with a code");
	if (n > 3 && line[3] != ' ' && line[3] != '-')
		return broken(r, "the reply's code is not three digits");
	code = (line[0] - '0') * 100 + (line[1] - '0') * 10 + line[2] - '0';
	if (r->n_lines > 0 && code != r->code)
		return broken(r, "the reply's lines have different codes");
	if (r->n_lines == SMTP_REPLY_LINES_MAX)
		return broken(r, "the reply has too many lines");
	r->code = code;
	skip = n > 4 ? 4 : n;
	skip += take_enhanced(r, line + skip, n - skip);
	add_printable(&r->text, line + skip, n - skip);
	buffer_add(&r->text, "\n", 1);
	r->n_lines++;
	return n > 3 && line[3] == '-' ? SMTP_REPLY_MORE : SMTP_REPLY_WHOLE;
}

static size_t count_digits(const char *text, size_t n)
{
	size_t i = 0;

	while (i < n && i < 4 && text[i] >= '0' && text[i] <= '9')
		i++;
	return i;
}

/*
 * "5.7.1 " at the start of a line, RFC 2034 4: returns how much of the line it takes. The first
 * one counts. If its class is not that of the code, the code's wins (RFC 3463 2).
 */
static size_t take_enhanced(struct smtp_reply *r, const char *text, size_t n)
{
	char class = (char)('0' + r->code / 100);
	size_t subject, detail, end;

	if (!r->has_enhanced)
		snprintf(r->enhanced, sizeof r->enhanced, "%c.0.0", class == '3' ? '2' : class);
	if (n < 5 || text[1] != '.' || (text[0] != '2' && text[0] != '4' && text[0] != '5'))
		return 0;
	subject = count_digits(text + 2, n - 2);
	if (subject < 1 || subject > 3 || 2 + subject >= n || text[2 + subject] != '.')
		return 0;
	detail = count_digits(text + 3 + subject, n - 3 - subject);
	end = 3 + subject + detail;
	if (detail < 1 || detail > 3 || (end < n && text[end] != ' '))
		return 0;
	if (!r->has_enhanced)
		snprintf(r->enhanced + 1, sizeof r->enhanced - 1, "%.*s", (int)(end - 1), text + 1);
	r->has_enhanced = true;
	return end < n ? end + 1 : end;
}

static void add_printable(struct buffer *to, const char *text, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		char c = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';

		buffer_add(to, &c, 1);
	}
}

/* What was said so far, with the line that broke it, stays in text for the operator. */
static enum smtp_reply_result broken(struct smtp_reply *r, const char *error)
{
	size_t n = r->line.n;

	if (n > 0 && r->line.bytes[n - 1] == '\r')
		n--;
	add_printable(&r->text, buffer_text(&r->line), n);
	buffer_add(&r->text, "\n", 1);
	r->n_lines++;
	r->error = error;
	return SMTP_REPLY_BROKEN;
}

struct slice smtp_reply_line(const struct smtp_reply *r, size_t i)
{
	const char *at = buffer_text(&r->text);

	if (i >= r->n_lines)
		return slice_of("");
	while (i-- > 0)
		at = strchr(at, '\n') + 1;
	return (struct slice){ at, (size_t)(strchr(at, '\n') - at) };
}

/* The lines in one, a space between; as much as the outcome takes. */
static void join_lines(const struct smtp_reply *r, char text[OUTCOME_TEXT_MAX])
{
	size_t n = r->text.n < OUTCOME_TEXT_MAX ? r->text.n : OUTCOME_TEXT_MAX - 1;

	memcpy(text, buffer_text(&r->text), n);
	while (n > 0 && text[n - 1] == '\n')
		n--;
	text[n] = '\0';
	for (char *c = strchr(text, '\n'); c != NULL; c = strchr(c, '\n'))
		*c = ' ';
}

void smtp_reply_outcome(
    const struct smtp_reply *r, int wanted, const char *who, struct outcome *outcome)
{
	char text[OUTCOME_TEXT_MAX];
	int class = r->code / 100;

	assert(wanted == 2 || wanted == 3);
	join_lines(r, text);
	if (r->error != NULL)
		outcome_say(
		    outcome, 451, "4.5.0", "reply-malformed", "%s: \"%.400s\"", r->error, text);
	else if (class == wanted || class == 4 || class == 5)
		outcome_say(outcome, r->code, r->enhanced, "", "%s", text);
	else
		outcome_say(outcome, 451, "4.5.0", "reply-unexpected",
		    "the reply %d does not answer what was said: \"%.400s\"", r->code, text);
	snprintf(outcome->who, sizeof outcome->who, "%s", who);
}
