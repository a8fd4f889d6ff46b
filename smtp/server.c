/*
 * The session: what may be said when. A command goes through dispatch(), which looks its verb up
 * in the table, lets it check, asks the owner if the verb has a question, and lets it proceed with
 * the answer.
 */
#include "smtp/server.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/buffer.h>

#include "relay/base/mem.h"
#include "smtp/answer.h"
#include "smtp/session.h"

enum { COMMAND_MAX = 2048 }; /* besides AUTH; RFC 5321 4.5.3.1.4 asks for 512 and extensions */

struct verb {
	const char *name;
	unsigned rules;
	enum smtp_want asks; /* SMTP_WANT_INPUT: nothing */
	verb_check *check;
	verb_proceed *proceed;
};

static const struct verb verbs[] = {
#define ROW(text, name, rules, asks)                                                               \
	{ text, rules, asks, session_check_##name, session_proceed_##name },
	VERBS(ROW)
#undef ROW
};

/* Known, and not offered: 502 rather than 500 (RFC 5321 4.2.4). */
static const char *const not_offered[] = { "EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML",
	NULL };

/*
 * Said by clients that speak something else, perhaps made to by a web page, or that send content
 * (BDAT) without being let: what follows is not meant as commands, so none of it is read.
 */
static const char *const foreign[] = { "GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS",
	"TRACE", "PATCH", "PRI", "BDAT", NULL };

static bool read_line(struct smtp_server *s, struct evbuffer *in, struct evbuffer *out);
static void dispatch(struct smtp_server *s, bool more_follows, struct evbuffer *out);
static struct slice take_name(struct slice *rest);
static const struct verb *find_verb(struct slice name, struct outcome *why);
static bool check_rules(
    const struct smtp_server *s, const struct verb *verb, struct slice rest, struct outcome *why);
static uint64_t cost_of_refusal(struct smtp_server *s, const struct verb *verb);
static bool is_listed(struct slice name, const char *const *list);
static bool charge(struct smtp_server *s, uint64_t cost, struct evbuffer *out);

struct smtp_server *smtp_server_create(const struct smtp_server_settings *settings)
{
	struct smtp_server *s = mem_create(sizeof *s);

	s->settings = *settings;
	smtp_line_init(&s->line);
	smtp_login_init(&s->login);
	buffer_init(&s->content, 0); /* until DATA */
	return s;
}

void smtp_server_destroy(struct smtp_server **session)
{
	struct smtp_server *s = *session;

	if (s == NULL)
		return;
	session_end_transaction(s);
	smtp_line_finish(&s->line);
	smtp_login_forget(&s->login);
	buffer_finish(&s->content);
	free(s);
	*session = NULL;
}

void smtp_server_greet(struct smtp_server *s, bool secure, struct evbuffer *out)
{
	s->secure = secure;
	evbuffer_add_printf(out, "220 %s ESMTP\r\n", s->settings.hostname);
}

void smtp_server_turn_away(struct smtp_server *s, const struct outcome *why, struct evbuffer *out)
{
	smtp_answer_write(out, why);
	session_end(s);
}

enum smtp_want smtp_server_input(struct smtp_server *s, struct evbuffer *in, struct evbuffer *out)
{
	for (;;) {
		switch (s->phase) {
		case PHASE_COMMAND:
		case PHASE_RESPONSE:
			if (!read_line(s, in, out))
				return SMTP_WANT_INPUT;
			break;
		case PHASE_CONTENT:
			if (!session_read_content(s, in, out))
				return s->content.n > 0 ? SMTP_WANT_CONTENT : SMTP_WANT_INPUT;
			break;
		case PHASE_ASKING:
			if (s->want != SMTP_WANT_DATA || evbuffer_get_length(in) == 0)
				return s->want;
			session_refuse_early_content(s, out);
			break;
		case PHASE_OVER: return SMTP_WANT_CLOSE;
		}
	}
}

/* False: there is no whole line. */
static bool read_line(struct smtp_server *s, struct evbuffer *in, struct evbuffer *out)
{
	bool in_login = s->phase == PHASE_RESPONSE;
	struct outcome why;

	switch (smtp_line_read(&s->line, in)) {
	case SMTP_LINE_MORE: return false;
	case SMTP_LINE_WHOLE:
		if (in_login)
			session_take_response(s, (struct slice){ s->line.text, s->line.n }, out);
		else
			dispatch(s, evbuffer_get_length(in) > 0, out);
		smtp_line_forget(&s->line);
		return true;
	case SMTP_LINE_TOO_LONG:
		outcome_say(
		    &why, 500, in_login ? "5.5.6" : "5.5.2", "line-too-long", "Line too long");
		break;
	case SMTP_LINE_BROKEN:
		outcome_say(&why, 500, "5.5.2", "line-syntax",
		    "A line ends with CRLF and has no other CR, LF or NUL");
		break;
	case SMTP_LINE_ENDLESS_GIVEN_UP:
		session_end_saying(
		    s, 500, "5.5.2", "line-endless", "The line does not end: goodbye", out);
		return true;
	}
	s->phase = PHASE_COMMAND; /* an AUTH under way is over */
	session_refuse(s, COST_ERROR, &why, out);
	return true;
}

static void dispatch(struct smtp_server *s, bool more_follows, struct evbuffer *out)
{
	struct slice rest = { s->line.text, s->line.n }, name = take_name(&rest);
	const struct verb *verb;
	struct outcome why;

	if (is_listed(name, foreign)) {
		session_end_saying(
		    s, 500, "5.5.1", "command-foreign", "This is SMTP, and not that: goodbye", out);
		return;
	}
	if (s->line.n > COMMAND_MAX && !slice_equals_nocase(name, "AUTH")) {
		outcome_say(&why, 500, "5.5.2", "line-too-long", "Line too long");
		session_refuse(s, COST_ERROR, &why, out);
		return;
	}
	verb = find_verb(name, &why);
	if (verb != NULL && (verb->rules & ENDS_GROUP) && more_follows) {
		session_refuse_early_content(s, out);
		return;
	}
	if (verb == NULL || !check_rules(s, verb, rest, &why) || !verb->check(s, rest, &why)) {
		session_refuse(s, cost_of_refusal(s, verb), &why, out);
		return;
	}
	if ((verb->rules & IS_JUNK) && !charge(s, COST_JUNK, out))
		return;
	if (verb->asks != SMTP_WANT_INPUT) {
		session_ask(s, verb->asks, verb->proceed);
		return;
	}
	outcome_ok(&why);
	verb->proceed(s, &why, out);
}

/* The first word; rest becomes what follows, without the spaces around it. */
static struct slice take_name(struct slice *rest)
{
	struct slice name = { rest->bytes, 0 };

	while (rest->n > 0 && rest->bytes[rest->n - 1] == ' ')
		rest->n--;
	while (name.n < rest->n && name.bytes[name.n] != ' ')
		name.n++;
	rest->bytes += name.n;
	rest->n -= name.n;
	while (rest->n > 0 && rest->bytes[0] == ' ')
		rest->bytes++, rest->n--;
	return name;
}

static const struct verb *find_verb(struct slice name, struct outcome *why)
{
	for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
		if (slice_equals_nocase(name, verbs[i].name))
			return &verbs[i];
	}
	if (is_listed(name, not_offered))
		outcome_say(why, 502, "5.5.1", "command-not-offered", "Command not offered");
	else
		outcome_say(why, 500, "5.5.1", "command-unknown", "Command not recognized");
	return NULL;
}

static bool check_rules(
    const struct smtp_server *s, const struct verb *verb, struct slice rest, struct outcome *why)
{
	unsigned rules = verb->rules;

	if ((rules & NEEDS_TLS) && !s->secure)
		outcome_say(
		    why, 530, "5.7.0", "tls-required", "Must issue a STARTTLS command first");
	else if ((rules & NEEDS_LOGIN) && !s->logged_in)
		outcome_say(why, 530, "5.7.0", "login-required", "Authentication required");
	else if ((rules & NEEDS_HELLO) && s->client_name[0] == '\0')
		outcome_say(why, 503, "5.5.1", "command-order", "Say EHLO first");
	else if ((rules & NEEDS_MAIL) && !s->transaction.begun)
		outcome_say(why, 503, "5.5.1", "command-order", "Say MAIL first");
	else if ((rules & NEEDS_NO_MAIL) && s->transaction.begun)
		outcome_say(why, 503, "5.5.1", "command-order", "A transaction is under way");
	else if ((rules & TAKES_NOTHING) && rest.n > 0)
		outcome_say(
		    why, 501, "5.5.4", "command-syntax", "%s takes no argument", verb->name);
	else
		return true;
	return false;
}

/*
 * A client that pipelines a thousand recipients cannot know that MAIL was refused, or that there are
 * too many: it must be able to read a reply to each, up to a bound.
 */
static uint64_t cost_of_refusal(struct smtp_server *s, const struct verb *verb)
{
	const uint64_t free_refusals = 2 * (uint64_t)s->settings.recipients;

	if (verb == NULL || !(verb->rules & IS_ENVELOPE) || !s->logged_in)
		return COST_ERROR;
	return ++s->n_envelope <= free_refusals ? COST_NOTHING : COST_ERROR;
}

static bool is_listed(struct slice name, const char *const *list)
{
	for (; *list != NULL; list++) {
		if (slice_equals_nocase(name, *list))
			return true;
	}
	return false;
}

/* ---- what the verbs do with the session ---- */

void session_ask(struct smtp_server *s, enum smtp_want want, verb_proceed *proceed)
{
	s->phase = PHASE_ASKING;
	s->want = want;
	s->proceed = proceed;
}

void smtp_server_answer(struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	if (s->phase == PHASE_OVER)
		return;
	assert(s->phase == PHASE_ASKING && s->want != SMTP_WANT_AUTH && s->proceed != NULL);
	s->phase = PHASE_COMMAND;
	s->proceed(s, verdict, out);
	if (verdict->code == 421)
		session_end(s); /* RFC 5321 3.8: that is what it means */
}

void session_refuse(
    struct smtp_server *s, uint64_t cost, const struct outcome *why, struct evbuffer *out)
{
	if (charge(s, cost, out))
		session_say_no(s, why, out);
}

/* False: that was too much, the session is over. */
static bool charge(struct smtp_server *s, uint64_t cost, struct evbuffer *out)
{
	s->errors_cost += cost;
	if (s->errors_cost <= COST_ERROR * (uint64_t)s->settings.errors)
		return true;
	session_end_saying(s, 421, "4.7.0", "errors-too-many",
	    "Too many errors, or commands that do nothing: goodbye", out);
	return false;
}

void session_end_transaction(struct smtp_server *s)
{
	struct transaction *t = &s->transaction;

	for (size_t i = 0; i < t->n_recipients; i++)
		free(t->recipients[i]);
	free(t->recipients);
	*t = (struct transaction){ 0 };
}

void session_end(struct smtp_server *s)
{
	if (s->phase == PHASE_CONTENT)
		s->aborted = true;
	s->phase = PHASE_OVER;
	smtp_login_forget(&s->login);
}

void session_end_saying(struct smtp_server *s, int code, const char *enhanced, const char *name,
    const char *text, struct evbuffer *out)
{
	struct outcome why;

	outcome_say(&why, code, enhanced, name, "%s", text);
	session_say_no(s, &why, out);
	session_end(s);
}

void session_say_no(struct smtp_server *s, const struct outcome *why, struct evbuffer *out)
{
	s->refused = true;
	s->refusal = *why;
	smtp_answer_write(out, why);
}

bool smtp_server_refused(struct smtp_server *s, struct outcome *why)
{
	bool refused = s->refused;

	if (refused)
		*why = s->refusal;
	s->refused = false;
	return refused;
}

void smtp_server_dismiss(struct smtp_server *s, const struct outcome *why, struct evbuffer *out)
{
	if (s->phase == PHASE_OVER)
		return;
	smtp_answer_say(out, 421, why->enhanced[0] == '4' ? why->enhanced : "4.3.2", why->text);
	session_end(s);
}

/* ---- what the owner may know ---- */

const struct smtp_address *smtp_server_sender(const struct smtp_server *s)
{
	return &s->transaction.sender;
}

uint64_t smtp_server_declared_size(const struct smtp_server *s)
{
	return s->transaction.parameters.size;
}

bool smtp_server_requires_tls(const struct smtp_server *s)
{
	return s->transaction.parameters.has_requiretls;
}

const struct smtp_address *smtp_server_recipient(const struct smtp_server *s)
{
	return &s->transaction.recipient;
}

size_t smtp_server_n_recipients(const struct smtp_server *s)
{
	return s->transaction.n_recipients;
}

const char *smtp_server_recipient_at(const struct smtp_server *s, size_t i)
{
	assert(i < s->transaction.n_recipients);
	return s->transaction.recipients[i];
}

const char *smtp_server_client_name(const struct smtp_server *s)
{
	return s->client_name;
}

bool smtp_server_said_ehlo(const struct smtp_server *s)
{
	return s->said_ehlo;
}

bool smtp_server_in_content(const struct smtp_server *s)
{
	return s->phase == PHASE_CONTENT;
}
