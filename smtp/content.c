/*
 * DATA and what follows it, up to the reply after the final dot.
 */
#include "smtp/session.h"

#include <assert.h>

#include <event2/buffer.h>

#include "smtp/answer.h"

enum { CONTENT_MAX = 16384 }; /* decoded at a time */

static verb_proceed accept_content;
static void end_content(struct smtp_server *s, struct evbuffer *out);

bool session_check_data(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	(void)rest;
	if (s->transaction.n_recipients > 0)
		return true;
	outcome_say(why, 554, "5.5.1", "command-order", "No valid recipients");
	return false;
}

/* Refused, the transaction goes on: the client may try again, or RSET. */
void session_proceed_data(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	const struct smtp_data_limits limits = {
		.message_size = s->settings.message_size,
		.header_size = s->settings.header_size,
		.line_length = s->settings.line_length,
	};

	if (!outcome_is_ok(verdict)) {
		smtp_answer_write(out, verdict);
		return;
	}
	evbuffer_add_printf(out, "354 End data with <CR><LF>.<CR><LF>\r\n");
	smtp_data_begin(&s->data, &limits);
	buffer_init(&s->content, CONTENT_MAX);
	s->phase = PHASE_CONTENT;
}

void session_refuse_early_content(struct smtp_server *s, struct evbuffer *out)
{
	session_end_saying(s, 554, "5.5.0", "content-early",
	    "Nothing may follow DATA before its reply: goodbye", out);
}

bool session_read_content(struct smtp_server *s, struct evbuffer *in, struct evbuffer *out)
{
	struct evbuffer_iovec piece;

	buffer_clear(&s->content); /* the owner has taken it */
	while (s->data.state != SMTP_DATA_ENDED && s->content.n + 1 < CONTENT_MAX &&
	       evbuffer_peek(in, -1, NULL, &piece, 1) > 0 && piece.iov_len > 0) {
		/* One byte is left free for a CR that was held back until its LF came. */
		size_t room = CONTENT_MAX - 1 - s->content.n;
		size_t n = piece.iov_len < room ? piece.iov_len : room;

		evbuffer_drain(in, smtp_data_decode(&s->data, piece.iov_base, n, &s->content));
		if (smtp_data_is_endless(&s->data)) {
			session_say_no(s, &s->data.refusal, out);
			session_end(s);
			return true;
		}
	}
	if (s->content.n > 0 || s->data.state != SMTP_DATA_ENDED)
		return false;
	end_content(s, out);
	return true;
}

static void end_content(struct smtp_server *s, struct evbuffer *out)
{
	buffer_finish(&s->content);
	if (!s->data.refused) {
		session_ask(s, SMTP_WANT_ACCEPT, accept_content);
		return;
	}
	s->aborted = true;
	s->phase = PHASE_COMMAND;
	session_end_transaction(s);
	session_say_no(s, &s->data.refusal, out);
}

static void accept_content(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	if (outcome_is_ok(verdict))
		s->errors_cost = 0;
	session_end_transaction(s);
	smtp_answer_write(out, verdict);
}

struct slice smtp_server_content(const struct smtp_server *s)
{
	return (struct slice){ buffer_text(&s->content), s->content.n };
}

void smtp_server_refuse_content(struct smtp_server *s, const struct outcome *why)
{
	if (s->phase == PHASE_OVER)
		return;
	assert(s->phase == PHASE_CONTENT && !outcome_is_ok(why));
	smtp_data_refuse(&s->data, why);
}

bool smtp_server_aborted(struct smtp_server *s)
{
	bool aborted = s->aborted;

	s->aborted = false;
	return aborted;
}
