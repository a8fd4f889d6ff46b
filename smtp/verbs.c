/*
 * What each verb checks and does, in the order of a session. DATA is in content.c.
 */
#include "smtp/session.h"

#include <assert.h>
#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <event2/buffer.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "smtp/answer.h"
#include "smtp/path.h"

/* ---- EHLO and HELO ---- */

/* RFC 8689 2: only where TLS is there already, and HELO offers nothing. */
static bool offers_requiretls(const struct smtp_server *s)
{
	return s->secure && s->said_ehlo;
}

/* Takes the name as well: what passes here is always proceeded with. */
bool session_check_helo(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	if (rest.n == 0 || rest.n >= CLIENT_NAME_MAX || memchr(rest.bytes, ' ', rest.n) != NULL) {
		outcome_say(
		    why, 501, "5.5.4", "command-syntax", "EHLO and HELO need your host name");
		return false;
	}
	for (size_t i = 0; i < rest.n; i++) {
		unsigned char c = (unsigned char)rest.bytes[i];

		s->client_name[i] = isalnum(c) || strchr("-._:[]", c) != NULL ? (char)c : '?';
	}
	s->client_name[rest.n] = '\0';
	return true;
}

bool session_check_ehlo(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	return session_check_helo(s, rest, why);
}

void session_proceed_ehlo(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)verdict;
	s->said_ehlo = true;
	session_end_transaction(s); /* RFC 5321 4.1.4 */
	evbuffer_add_printf(out,
	    "250-%s\r\n250-PIPELINING\r\n250-SIZE %" PRIu64 "\r\n250-8BITMIME\r\n",
	    s->settings.hostname, s->settings.message_size);
	if (!s->secure)
		evbuffer_add_printf(out, "250-STARTTLS\r\n");
	if (offers_requiretls(s))
		evbuffer_add_printf(out, "250-REQUIRETLS\r\n");
	if (s->secure && s->settings.mechanisms[0] != '\0')
		evbuffer_add_printf(out, "250-AUTH %s\r\n", s->settings.mechanisms);
	evbuffer_add_printf(out, "250 ENHANCEDSTATUSCODES\r\n");
}

void session_proceed_helo(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)verdict;
	s->said_ehlo = false;
	session_end_transaction(s);
	evbuffer_add_printf(out, "250 %s\r\n", s->settings.hostname);
}

/* ---- STARTTLS, RFC 3207 ---- */

bool session_check_starttls(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	(void)rest;
	if (s->secure)
		outcome_say(why, 503, "5.5.1", "command-order", "TLS is active already");
	return !s->secure;
}

void session_proceed_starttls(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)verdict;
	smtp_answer_say(out, 220, "2.0.0", "Ready to start TLS");
	session_ask(s, SMTP_WANT_STARTTLS, NULL);
}

void smtp_server_secured(struct smtp_server *s)
{
	if (s->phase == PHASE_OVER)
		return;
	assert(s->phase == PHASE_ASKING && s->want == SMTP_WANT_STARTTLS);
	s->secure = true;
	s->client_name[0] = '\0';
	s->said_ehlo = false;
	s->phase = PHASE_COMMAND;
}

/* ---- AUTH, RFC 4954 ---- */

bool session_check_auth(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	if (!s->secure)
		outcome_say(why, 538, "5.7.11", "tls-required",
		    "Encryption is required for authentication: issue STARTTLS first");
	else if (!s->said_ehlo)
		outcome_say(why, 503, "5.5.1", "command-order", "Say EHLO first");
	else if (s->logged_in)
		outcome_say(why, 503, "5.5.1", "command-order", "You are authenticated already");
	else
		return smtp_login_begin(&s->login, rest, s->settings.mechanisms, why);
	return false;
}

void session_take_response(struct smtp_server *s, struct slice line, struct evbuffer *out)
{
	struct outcome why;

	if (smtp_login_respond(&s->login, line, &why)) {
		session_ask(s, SMTP_WANT_AUTH, session_proceed_auth);
		return;
	}
	s->phase = PHASE_COMMAND;
	session_refuse(s, COST_ERROR, &why, out);
}

const struct smtp_auth *smtp_server_auth(const struct smtp_server *s)
{
	return &s->login.auth;
}

static void challenge_client(
    struct smtp_server *s, const uint8_t *challenge, size_t n_challenge, struct evbuffer *out)
{
	char *text = mem_create(BASE64_ROOM(n_challenge));

	base64_encode(challenge, n_challenge, text);
	evbuffer_add_printf(out, "334 %s\r\n", text);
	free(text);
	s->phase = PHASE_RESPONSE;
}

void smtp_server_auth_answer(struct smtp_server *s, enum smtp_auth_verdict verdict,
    const uint8_t *challenge, size_t n_challenge, struct evbuffer *out)
{
	struct outcome said;

	smtp_login_forget(&s->login);
	if (s->phase == PHASE_OVER)
		return;
	assert(s->phase == PHASE_ASKING && s->want == SMTP_WANT_AUTH);
	s->phase = PHASE_COMMAND;
	switch (verdict) {
	case SMTP_AUTH_CHALLENGE: challenge_client(s, challenge, n_challenge, out); return;
	case SMTP_AUTH_DONE:
		outcome_say(&said, 235, "2.7.0", "", "Authentication succeeded");
		break;
	case SMTP_AUTH_REFUSED:
		/* The same words for every reason: who asks must not learn which users exist. */
		outcome_say(
		    &said, 535, "5.7.8", "login-refused", "Authentication credentials invalid");
		break;
	case SMTP_AUTH_BROKEN:
		outcome_say(&said, 454, "4.7.0", "login-broken",
		    "Temporary authentication failure, try again later");
		break;
	}
	session_proceed_auth(s, &said, out);
}

void session_proceed_auth(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	s->logged_in = outcome_is_ok(verdict);
	if (verdict->class == OUTCOME_FAIL && ++s->n_auth_failures >= s->settings.auth_failures) {
		session_end_saying(
		    s, 421, "4.7.0", "login-failures", "Too many failed logins: goodbye", out);
		return;
	}
	smtp_answer_write(out, verdict);
}

/* ---- MAIL and RCPT ---- */

/* "FROM:" or "TO:" and the path. A space between them is common, and means no harm. */
static bool take_path(struct slice *rest, const char *word, enum smtp_path_kind kind,
    struct smtp_address *address, struct outcome *why)
{
	size_t n = strlen(word);

	if (rest->n < n || strncasecmp(rest->bytes, word, n) != 0) {
		outcome_say(why, 501, "5.5.4", "command-syntax", "%s is missing", word);
		return false;
	}
	while (n < rest->n && rest->bytes[n] == ' ')
		n++;
	rest->bytes += n;
	rest->n -= n;
	if (!smtp_path_parse(rest->bytes, rest->n, kind, address, &n, why))
		return false;
	rest->bytes += n;
	rest->n -= n;
	return true;
}

static bool can_do(
    const struct smtp_server *s, const struct smtp_parameters *parameters, struct outcome *why)
{
	if (parameters->has_requiretls && !offers_requiretls(s)) {
		outcome_say(why, 555, "5.5.4", "parameter-not-offered",
		    "The parameter REQUIRETLS is offered in answer to EHLO only");
		return false;
	}
	if (parameters->size > s->settings.message_size) {
		outcome_say(why, 552, "5.3.4", "message-too-large",
		    "The message is too large, the limit is %" PRIu64 " bytes",
		    s->settings.message_size);
		return false;
	}
	return true;
}

bool session_check_mail(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	struct transaction *t = &s->transaction;

	s->n_envelope = 0;
	if (take_path(&rest, "FROM:", SMTP_PATH_REVERSE, &t->sender, why) &&
	    smtp_parameters_parse_mail(rest.bytes, rest.n, &t->parameters, why) &&
	    can_do(s, &t->parameters, why))
		return true;
	session_end_transaction(s);
	return false;
}

void session_proceed_mail(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	s->transaction.begun = outcome_is_ok(verdict);
	if (s->transaction.begun) {
		smtp_answer_say(out, 250, "2.1.0", "Sender ok");
		return;
	}
	session_end_transaction(s);
	smtp_answer_write(out, verdict);
}

bool session_check_rcpt(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	struct transaction *t = &s->transaction;

	if (!take_path(&rest, "TO:", SMTP_PATH_FORWARD, &t->recipient, why) ||
	    !smtp_parameters_parse_rcpt(rest.bytes, rest.n, why))
		return false;
	if (t->n_recipients < s->settings.recipients)
		return true;
	outcome_say(why, 452, "4.5.3", "recipients-too-many",
	    "Too many recipients, the limit is %" PRIu32, s->settings.recipients);
	return false;
}

void session_proceed_rcpt(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	struct transaction *t = &s->transaction;

	if (!outcome_is_ok(verdict)) {
		smtp_answer_write(out, verdict);
		return;
	}
	smtp_answer_say(out, 250, "2.1.5", "Recipient ok");
	for (size_t i = 0; i < t->n_recipients; i++) {
		if (strcmp(t->recipients[i], t->recipient.text) == 0)
			return;
	}
	t->recipients = mem_resize(t->recipients, t->n_recipients + 1, sizeof *t->recipients);
	t->recipients[t->n_recipients++] = mem_copy_text(t->recipient.text);
}

/* ---- those beside the road ---- */

bool session_check_rset(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	(void)s, (void)rest, (void)why;
	return true;
}

void session_proceed_rset(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)verdict;
	session_end_transaction(s);
	smtp_answer_say(out, 250, "2.0.0", "Ok");
}

bool session_check_noop(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	(void)s, (void)rest, (void)why;
	return true;
}

void session_proceed_noop(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)s;
	smtp_answer_write(out, verdict);
}

bool session_check_vrfy(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	(void)s;
	if (rest.n == 0)
		outcome_say(why, 501, "5.5.4", "command-syntax", "VRFY needs an address");
	return rest.n > 0;
}

/* RFC 5321 3.5.3: no address is ever told to exist or not. */
void session_proceed_vrfy(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)s, (void)verdict;
	smtp_answer_say(out, 252, "2.0.0", "Cannot verify: send the message and see");
}

bool session_check_help(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	(void)s, (void)rest, (void)why;
	return true;
}

void session_proceed_help(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)s, (void)verdict;
	smtp_answer_say(
	    out, 214, "2.0.0", "Mail submission with TLS and a login: RFC 6409, RFC 8314");
}

bool session_check_quit(struct smtp_server *s, struct slice rest, struct outcome *why)
{
	(void)s, (void)rest, (void)why;
	return true;
}

void session_proceed_quit(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out)
{
	(void)verdict;
	smtp_answer_say(out, 221, "2.0.0", "Goodbye");
	session_end(s);
}
