/*
 * The owner of the session, played from a script, and the transcript that is compared with it.
 */
#include "test/unit/smtp/play.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "relay/base/buffer.h"
#include "smtp/server.h"

struct stage {
	const struct play *play;
	struct smtp_server *session;
	struct evbuffer *in, *out;
	struct buffer content;
	size_t at; /* in the script: the next line to come true */
	bool closed;
};

static void perform(const struct play *play, bool by_byte);
static void feed(struct stage *stage, const struct buffer *segment, bool by_byte);
static void pump(struct stage *stage);
static void answer(struct stage *stage, enum smtp_want want);
static void answer_auth(struct stage *stage, const char *how);
static void hear(struct stage *stage);
static void check_enhanced(struct stage *stage, const char *line);
static void happened(struct stage *stage, const char *kind, const char *text);
static void unescape(const char *text, struct buffer *to);
static void escape(const char *bytes, size_t n, struct buffer *to);

void play(const struct play *p)
{
	perform(p, false);
	if (!p->needs_segments)
		perform(p, true);
}

static void perform(const struct play *p, bool by_byte)
{
	const struct smtp_server_settings settings = {
		.hostname = "mail.example.org",
		.message_size = 1000,
		.recipients = 3,
		.errors = 5,
		.auth_failures = 3,
		.line_length = 60,
		.header_size = 200,
		.mechanisms = "PLAIN LOGIN SCRAM-SHA-256",
	};
	struct stage stage = { .play = p };
	struct buffer segment;

	stage.session = smtp_server_create(&settings);
	stage.in = evbuffer_new();
	stage.out = evbuffer_new();
	buffer_init(&stage.content, 4000);
	buffer_init(&segment, 1 << 20);
	smtp_server_greet(stage.session, !p->in_clear, stage.out);
	evbuffer_drain(stage.out, evbuffer_get_length(stage.out));
	while (p->script[stage.at] != NULL) {
		const char *line = p->script[stage.at];

		if (line[0] != 'C' && line[0] != 'R')
			fail_msg("%s: \"%s\" did not happen", p->name, line);
		buffer_clear(&segment);
		for (; line != NULL && (line[0] == 'C' || line[0] == 'R');
		     line = p->script[++stage.at]) {
			unescape(line + 3, &segment);
			if (line[0] == 'C')
				buffer_add_text(&segment, "\r\n");
		}
		feed(&stage, &segment, by_byte);
	}
	buffer_finish(&segment);
	buffer_finish(&stage.content);
	evbuffer_free(stage.in);
	evbuffer_free(stage.out);
	smtp_server_destroy(&stage.session);
	assert_null(stage.session);
}

static void feed(struct stage *stage, const struct buffer *segment, bool by_byte)
{
	if (!by_byte) {
		evbuffer_add(stage->in, segment->bytes, segment->n);
		pump(stage);
		return;
	}
	for (size_t i = 0; i < segment->n && !stage->closed; i++) {
		evbuffer_add(stage->in, segment->bytes + i, 1);
		pump(stage);
	}
}

static void pump(struct stage *stage)
{
	enum smtp_want want;

	while (!stage->closed) {
		want = smtp_server_input(stage->session, stage->in, stage->out);
		hear(stage);
		if (want == SMTP_WANT_INPUT)
			return;
		answer(stage, want);
		hear(stage);
	}
}

static const char *prepared_answer(const struct stage *stage)
{
	const char *line = stage->play->script[stage->at];

	return line != NULL && line[0] == 'A' ? line + 3 : NULL;
}

static void answer_outcome(struct stage *stage, const char *how, const char *otherwise)
{
	struct outcome verdict;
	char enhanced[12] = "";
	int code = 0, used = 0;

	if (how == NULL)
		how = otherwise;
	assert_int_equal(sscanf(how, "%d %11s %n", &code, enhanced, &used), 2);
	outcome_say(&verdict, code, enhanced, "", "%s", how + used);
	smtp_server_answer(stage->session, &verdict, stage->out);
}

static void answer(struct stage *stage, enum smtp_want want)
{
	struct smtp_server *s = stage->session;
	struct slice content;
	struct buffer text;

	buffer_init(&text, 8000);
	switch (want) {
	case SMTP_WANT_INPUT: fail(); break;
	case SMTP_WANT_STARTTLS:
		happened(stage, "W", "starttls");
		evbuffer_drain(stage->in, evbuffer_get_length(stage->in));
		smtp_server_secured(s);
		break;
	case SMTP_WANT_AUTH:
		buffer_print(&text, "auth %s %s", smtp_server_auth(s)->mechanism,
		    smtp_server_auth(s)->is_first ? "first" : "more");
		if (smtp_server_auth(s)->has_response) {
			buffer_add_text(&text, " ");
			escape((const char *)smtp_server_auth(s)->response,
			    smtp_server_auth(s)->n_response, &text);
		}
		happened(stage, "W", buffer_text(&text));
		answer_auth(stage, prepared_answer(stage));
		break;
	case SMTP_WANT_MAIL:
		buffer_print(&text, "mail %s", smtp_server_sender(s)->text);
		if (smtp_server_declared_size(s) > 0)
			buffer_print(&text, " size %u", (unsigned)smtp_server_declared_size(s));
		if (smtp_server_requires_tls(s))
			buffer_add_text(&text, " requiretls");
		happened(stage, "W", buffer_text(&text));
		answer_outcome(stage, prepared_answer(stage), "250 2.0.0 Ok");
		break;
	case SMTP_WANT_RCPT:
		buffer_print(&text, "rcpt %s", smtp_server_recipient(s)->text);
		happened(stage, "W", buffer_text(&text));
		answer_outcome(stage, prepared_answer(stage), "250 2.0.0 Ok");
		break;
	case SMTP_WANT_DATA:
		buffer_print(&text, "data %zu", smtp_server_n_recipients(s));
		happened(stage, "W", buffer_text(&text));
		answer_outcome(stage, prepared_answer(stage), "250 2.0.0 Ok");
		if (prepared_answer(stage) == NULL)
			assert_true(smtp_server_in_content(s));
		buffer_clear(&stage->content);
		break;
	case SMTP_WANT_CONTENT:
		content = smtp_server_content(s);
		assert_true(content.n > 0);
		buffer_add(&stage->content, content.bytes, content.n);
		break;
	case SMTP_WANT_ACCEPT:
		buffer_add_text(&text, "accept ");
		escape(buffer_text(&stage->content), stage->content.n, &text);
		happened(stage, "W", buffer_text(&text));
		answer_outcome(stage, prepared_answer(stage), "250 2.0.0 Ok: queued");
		break;
	case SMTP_WANT_CLOSE:
		happened(stage, "W", "close");
		stage->closed = true;
		break;
	}
	if (stage->play->script[stage->at] != NULL && stage->play->script[stage->at][0] == 'A')
		stage->at++;
	buffer_finish(&text);
}

static void answer_auth(struct stage *stage, const char *how)
{
	struct buffer challenge;

	buffer_init(&challenge, 1000);
	if (how == NULL || strcmp(how, "done") == 0) {
		smtp_server_auth_answer(stage->session, SMTP_AUTH_DONE, NULL, 0, stage->out);
	} else if (strcmp(how, "refused") == 0) {
		smtp_server_auth_answer(stage->session, SMTP_AUTH_REFUSED, NULL, 0, stage->out);
	} else if (strcmp(how, "broken") == 0) {
		smtp_server_auth_answer(stage->session, SMTP_AUTH_BROKEN, NULL, 0, stage->out);
	} else {
		assert_memory_equal(how, "challenge ", 10);
		unescape(how + 10, &challenge);
		smtp_server_auth_answer(stage->session, SMTP_AUTH_CHALLENGE,
		    (const uint8_t *)buffer_text(&challenge), challenge.n, stage->out);
	}
	buffer_finish(&challenge);
}

/* What the server said, line by line. */
static void hear(struct stage *stage)
{
	char *line;

	while ((line = evbuffer_readln(stage->out, NULL, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
		assert_true(strlen(line) <= 510);
		check_enhanced(stage, line);
		happened(stage, "S", line);
		free(line);
	}
	assert_int_equal(evbuffer_get_length(stage->out), 0);
	if (smtp_server_aborted(stage->session))
		happened(stage, "W", "aborted");
}

/* Every reply has an enhanced code but these. */
static void check_enhanced(struct stage *stage, const char *line)
{
	static const char *const bare[] = { "334 ", "354 ", "250-mail.", "250 mail.", "250-PIPE",
		"250-SIZE", "250-8BIT", "250-START", "250-REQUIRETLS", "250-AUTH", "250 ENHANCED" };
	int class, subject, detail;

	for (size_t i = 0; i < sizeof bare / sizeof *bare; i++) {
		if (strncmp(line, bare[i], strlen(bare[i])) == 0)
			return;
	}
	if (sscanf(line + 4, "%1d.%3d.%3d ", &class, &subject, &detail) != 3 ||
	    class != line[0] - '0')
		fail_msg("%s: no enhanced code in \"%s\"", stage->play->name, line);
}

static void happened(struct stage *stage, const char *kind, const char *text)
{
	const char *want = stage->play->script[stage->at];
	bool same;

	if (want == NULL)
		fail_msg("%s: \"%s: %s\" behind the end", stage->play->name, kind, text);
	same =
	    want[0] == kind[0] && (kind[0] == 'S' ? strncmp(text, want + 3, strlen(want + 3)) == 0
						  : strcmp(text, want + 3) == 0);
	if (!same)
		fail_msg("%s: wanted \"%s\", got \"%s: %s\"", stage->play->name, want, kind, text);
	stage->at++;
}

static void unescape(const char *text, struct buffer *to)
{
	for (; *text != '\0'; text++) {
		char c = *text;

		if (c == '\\') {
			c = *++text;
			c = (char)(c == 'r' ? '\r' : c == 'n' ? '\n' : c == '0' ? '\0' : c);
		}
		buffer_add(to, &c, 1);
	}
}

static void escape(const char *bytes, size_t n, struct buffer *to)
{
	for (size_t i = 0; i < n; i++) {
		switch (bytes[i]) {
		case '\r': buffer_add_text(to, "\\r"); break;
		case '\n': buffer_add_text(to, "\\n"); break;
		case '\0': buffer_add_text(to, "\\0"); break;
		default: buffer_add(to, bytes + i, 1); break;
		}
	}
}
