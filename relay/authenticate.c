/*
 * The exchange has two partners that are asked in turn, the auth role and the server. Both can stop it
 * at any time; what the server says counts only when the auth role has had its last word.
 */
#include "relay/authenticate.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/encode.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/client_login.h"
#include "relay/dialogue.h"
#include "relay/step.h"
#include "smtp/command.h"

struct step {
	const char *name;
	enum flow (*run)(struct authenticate *);
};

struct authenticate {
	struct authenticate_order order;
	char *peer, *host, *login, *mechanisms;
	const struct step *step;
	struct timer *turn;
	struct dialogue dialogue;

	uint64_t question;             /* to the auth role; 0: none open */
	uint64_t exchange, role;       /* role: the process that knows the exchange; 0 before */
	enum client_login_state state; /* its last word */
	bool has_begun;                /* AUTH was said */
	struct outcome outcome;        /* ok so far */
	bool is_over;
	authenticate_done *done;
	void *arg;
};

/* The steps, in the order of time; from said back to ask with each challenge. */
#define STEPS(STEP)                                                                                \
	STEP(ask)   /* the auth role what to say */                                                \
	STEP(told)  /* by it; say it */                                                            \
	STEP(said)  /* the server answered */                                                      \
	STEP(ended) /* and to "*" too, with which we gave up */

#define STEP(name)                                                                                 \
	static enum flow name(struct authenticate *);                                              \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void on_turn(void *arg);
static void on_told(void *arg, const struct ipc_message *answer);
static void say(struct authenticate *a, const struct ipc_client_say *what);
static enum flow take_challenge(struct authenticate *a);
static enum flow ask_with(struct authenticate *a, struct slice challenge);
static enum flow give_up(struct authenticate *a, const char *name, const char *why);
static void refuse(struct authenticate *a, const char *name, const char *why);
static void run(void *arg);
static void release(struct authenticate *a);

struct authenticate *authenticate_start(
    const struct authenticate_order *order, authenticate_done *done, void *arg)
{
	struct authenticate *a = mem_create(sizeof *a);

	a->order = *order;
	a->peer = mem_copy_text(order->peer);
	a->host = mem_copy_text(order->host);
	a->login = mem_copy_text(order->login);
	a->mechanisms = mem_copy_text(order->mechanisms);
	a->exchange = asker_new_exchange(order->auth);
	outcome_ok(&a->outcome);
	a->done = done;
	a->arg = arg;
	dialogue_init(&a->dialogue, order->loop, run, a);
	dialogue_attach(&a->dialogue, order->stream, a->peer);
	a->turn = timer_create_in(order->loop, on_turn, a);
	timer_set(a->turn, 0);
	a->step = &step_ask;
	return a;
}

/* ---- the tails ---- */

static enum flow go(struct authenticate *a, const struct step *next)
{
	a->step = next;
	return FLOW_GO;
}

/* For a reply of the server. */
static enum flow await(struct authenticate *a, const struct step *next)
{
	a->step = next;
	return dialogue_await_reply(&a->dialogue, a->order.reply_ms);
}

/* For the auth role, which has its own time. */
static enum flow await_end(struct authenticate *a, const struct step *next)
{
	a->step = next;
	return FLOW_WAIT;
}

/* ---- the steps ---- */

static enum flow ask(struct authenticate *a)
{
	if (a->mechanisms[0] == '\0') {
		refuse(a, "login-not-offered",
		    "the server offers no AUTH, not even in TLS; is it the right port?");
		return FLOW_END;
	}
	return ask_with(a, (struct slice){ "", 0 });
}

static enum flow ask_with(struct authenticate *a, struct slice challenge)
{
	struct ipc_message m = { .type = IPC_CLIENT_ASK, .fd = -1 };

	m.client_ask = (struct ipc_client_ask){ .exchange = a->exchange,
		.is_first = !a->has_begun,
		.host = a->host,
		.login = a->login,
		.is_verified = a->order.is_verified,
		.mechanisms = a->mechanisms,
		.challenge = challenge };
	a->question = asker_ask(a->order.auth, a->role, &m, on_told, a);
	a->role = asker_peer_of(a->order.auth, a->question);
	return await_end(a, &step_told);
}

static void on_told(void *arg, const struct ipc_message *answer)
{
	struct authenticate *a = arg;

	a->question = 0;
	if (answer == NULL)
		refuse(a, "login-unavailable",
		    "our own auth role, which has the password, does not "
		    "answer: see its log");
	else
		say(a, &answer->client_say);
	run(a);
}

/* The next step is told, which sees whether anything was said. */
static void say(struct authenticate *a, const struct ipc_client_say *what)
{
	struct evbuffer *out = stream_output(a->order.stream);
	const struct slice *response = what->has_response ? &what->response : NULL;

	a->state = what->state <= CLIENT_LOGIN_BROKEN ? (enum client_login_state)what->state
						      : CLIENT_LOGIN_BROKEN;
	switch (a->state) {
	case CLIENT_LOGIN_GO_ON:
	case CLIENT_LOGIN_DONE: break;
	case CLIENT_LOGIN_NO_SECRET: refuse(a, "login-no-password", what->problem); return;
	case CLIENT_LOGIN_NO_MECHANISM: refuse(a, "login-no-mechanism", what->problem); return;
	case CLIENT_LOGIN_FAILED: refuse(a, "login-not-proved", what->problem); return;
	case CLIENT_LOGIN_BROKEN: refuse(a, "login-unavailable", what->problem); return;
	}
	if (a->has_begun)
		smtp_command_auth_response(out, response);
	else
		smtp_command_auth(out, what->mechanism, response);
	a->has_begun = true;
}

static enum flow told(struct authenticate *a)
{
	if (outcome_is_ok(&a->outcome))
		return await(a, &step_said);
	if (!a->has_begun)
		return FLOW_END;
	/* RFC 4954 4: the server waits for a response, and hears that there is none. */
	smtp_command_auth_cancel(stream_output(a->order.stream));
	return await(a, &step_ended);
}

static enum flow said(struct authenticate *a)
{
	const struct smtp_reply *reply = &a->dialogue.reply;
	bool is_reply = a->dialogue.got == GOT_REPLY && reply->error == NULL;
	struct outcome what;
	char why[OUTCOME_TEXT_MAX];

	if (is_reply && reply->code == 334)
		return take_challenge(a);
	dialogue_outcome(&a->dialogue, POINT_LOGIN, 2, &what);
	if (outcome_is_ok(&what) && a->state == CLIENT_LOGIN_DONE)
		return FLOW_END;
	a->is_over = dialogue_is_over(&a->dialogue, 2);
	if (outcome_is_ok(&what)) {
		/* RFC 5802 3: without its proof anybody could let us in, and have our mail. */
		a->is_over = true;
		refuse(a, "login-not-proved",
		    "the server let us in before it had shown that it knows the password");
	} else if (is_reply && !a->is_over) {
		snprintf(why, sizeof why, "the server refuses: %d %s %.300s", what.code,
		    what.enhanced, what.text);
		refuse(a, "login-refused", why);
	} else {
		a->outcome = what;
	}
	return FLOW_END;
}

static enum flow take_challenge(struct authenticate *a)
{
	struct slice text = smtp_reply_line(&a->dialogue.reply, 0);
	char *challenge;
	enum flow flow;
	size_t n;

	if (a->state == CLIENT_LOGIN_DONE)
		return give_up(a, "login-not-proved",
		    "the server goes on asking when all that belongs to the login was said");
	challenge = mem_create(text.n + 1);
	if (a->dialogue.reply.n_lines == 1 && base64_decode(text.bytes, text.n, challenge, &n))
		flow = ask_with(a, (struct slice){ challenge, n });
	else
		flow = give_up(a, "login-not-proved", "the server's challenge is not base64");
	free(challenge);
	return flow;
}

static enum flow give_up(struct authenticate *a, const char *name, const char *why)
{
	refuse(a, name, why);
	return go(a, &step_told);
}

/* Whatever it says to that: the connection may still be good for QUIT. */
static enum flow ended(struct authenticate *a)
{
	a->is_over = dialogue_is_over(&a->dialogue, 2);
	return FLOW_END;
}

static void refuse(struct authenticate *a, const char *name, const char *why)
{
	outcome_say(&a->outcome, 454, "4.7.0", name, "We could not log in to %s as %s: %s", a->host,
	    a->login, why);
	memcpy(a->outcome.who, a->dialogue.who, sizeof a->outcome.who);
}

/* ---- the runner ---- */

static void on_turn(void *arg)
{
	run(arg);
}

static void run(void *arg)
{
	struct authenticate *a = arg;
	enum flow flow;

	do
		flow = a->step->run(a);
	while (flow == FLOW_GO);
	if (flow == FLOW_WAIT)
		return;
	if (outcome_is_ok(&a->outcome))
		log_info("logged in to %s as %s", a->peer, a->login);
	dialogue_detach(&a->dialogue);
	a->done(&a->outcome, a->is_over, a->arg);
	release(a);
}

void authenticate_cancel(struct authenticate **authenticate)
{
	if (*authenticate != NULL)
		release(*authenticate);
	*authenticate = NULL;
}

static void release(struct authenticate *a)
{
	const struct ipc_message forget = {
		.type = IPC_CLIENT_FORGET, .fd = -1, .client_forget = { .exchange = a->exchange }
	};

	asker_cancel(a->order.auth, a->question);
	if (a->role != 0 && a->state == CLIENT_LOGIN_GO_ON)
		asker_tell(a->order.auth, a->role, &forget);
	dialogue_finish(&a->dialogue);
	timer_destroy(&a->turn);
	free(a->peer);
	free(a->host);
	free(a->login);
	free(a->mechanisms);
	free(a);
}
