/*
 * The login of a session: question and answer between the client and auth, and the growing wait
 * before a wrong one is told so.
 */
#include "relay/submit_session.h"

#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/visitors.h"

static void on_auth(void *arg, const struct ipc_message *reply);

void submit_ask_login(struct submit *s)
{
	const struct smtp_auth *auth = smtp_server_auth(s->smtp);
	struct ipc_message m = { .type = IPC_AUTH_ASK, .fd = -1 };

	if (auth->is_first) {
		s->auth_exchange = asker_new_exchange(s->house->auth);
		s->auth_peer = 0;
		snprintf(s->auth_mechanism, sizeof s->auth_mechanism, "%s", auth->mechanism);
	}
	m.auth_ask.exchange = s->auth_exchange;
	m.auth_ask.is_first = auth->is_first;
	m.auth_ask.mechanism = auth->mechanism;
	m.auth_ask.has_response = auth->has_response;
	m.auth_ask.response = (struct slice){ (const char *)auth->response, auth->n_response };
	m.auth_ask.client = s->client;
	s->busy = BUSY_AUTH;
	timer_cancel(s->deadline); /* the question has its own */
	s->auth_question = asker_ask(s->house->auth, s->auth_peer, &m, on_auth, s);
	s->auth_peer = asker_peer_of(s->house->auth, s->auth_question);
}

void submit_forget_login(struct submit *s)
{
	struct ipc_message m = { .type = IPC_AUTH_FORGET, .fd = -1 };

	if (s->auth_peer == 0)
		return;
	m.auth_forget.exchange = s->auth_exchange;
	asker_tell(s->house->auth, s->auth_peer, &m);
	s->auth_peer = 0;
}

static void refuse_in_a_while(struct submit *s, const char *name)
{
	char shown[SMTP_ADDRESS_MAX];

	log_warning("unknown[%s]: SASL %s authentication failed: authentication failure, "
		    "sasl_username=%s",
	    s->client, s->auth_mechanism, log_escape(name, strlen(name), shown, sizeof shown));
	s->auth_peer = 0;
	s->busy = BUSY_AUTH_DELAY;
	timer_set(
	    s->delay, visitors_note_failure(s->house->visitors, s->client, clock_monotonic_ms()));
}

void submit_refuse_login(void *arg)
{
	struct submit *s = arg;

	s->busy = BUSY_NOT;
	smtp_server_auth_answer(s->smtp, SMTP_AUTH_REFUSED, NULL, 0, stream_output(s->stream));
	submit_serve(s);
}

/* One that does not answer, or says what nobody understands, cannot tell. */
static enum smtp_auth_verdict verdict_of(const struct ipc_message *reply)
{
	if (reply == NULL || reply->auth_say.verdict > SMTP_AUTH_BROKEN)
		return SMTP_AUTH_BROKEN;
	return (enum smtp_auth_verdict)reply->auth_say.verdict;
}

static void on_auth(void *arg, const struct ipc_message *reply)
{
	struct submit *s = arg;
	enum smtp_auth_verdict verdict = verdict_of(reply);
	struct slice challenge = { "", 0 };

	s->auth_question = 0;
	if (verdict == SMTP_AUTH_DONE) {
		s->account = config_find_account(s->house->config, reply->auth_say.account);
		if (s->account == NULL)
			verdict = SMTP_AUTH_REFUSED; /* a verifier of an account that was removed */
	}
	if (verdict == SMTP_AUTH_REFUSED) {
		refuse_in_a_while(s, reply->auth_say.account);
		return;
	}
	if (verdict == SMTP_AUTH_CHALLENGE) {
		challenge = reply->auth_say.challenge;
	} else {
		s->auth_peer = 0;
	}
	if (verdict == SMTP_AUTH_BROKEN)
		log_warning("unknown[%s]: SASL %s authentication could not be tried: "
			    "the auth role does not answer [auth-unavailable]",
		    s->client, s->auth_mechanism);
	s->busy = BUSY_NOT;
	smtp_server_auth_answer(s->smtp, verdict, (const uint8_t *)challenge.bytes, challenge.n,
	    stream_output(s->stream));
	submit_serve(s);
}
