/*
 * Whatever the server does on the way, plaintext comes only from two decisions of outcome.c, and each
 * is logged; nothing but EHLO, HELO, STARTTLS and QUIT is said before, and a login never in plaintext.
 */
#include "relay/approach.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/authenticate.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/dial.h"
#include "relay/secure.h"
#include "relay/step.h"
#include "smtp/command.h"

struct step {
	const char *name;
	enum flow (*run)(struct approach *);
};

struct approach {
	struct approach_order order;
	const struct step *step;
	struct timer *turn;
	size_t address;   /* to be tried next, then the present one */
	bool without_tls; /* the handshake failed before: "may" allows it */
	struct dial *dial;
	struct dial_result dialled;
	struct dialogue dialogue;
	struct secure *secure;
	struct outcome secured;
	struct authenticate *authenticate;
	struct outcome admitted;
	bool is_thrown_out; /* nothing can be said any more */
	struct connection *connection;
	struct approach_result result;
	approach_done *done;
	void *arg;
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(dial)     /* the next address */                                                      \
	STEP(dialled)  /* connected, or not */                                                     \
	STEP(greeted)  /* 220 */                                                                   \
	STEP(greet)    /* EHLO; once more after the handshake */                                   \
	STEP(capable)  /* EHLO answered: STARTTLS, or not */                                       \
	STEP(simple)   /* HELO answered, by an old server */                                       \
	STEP(encrypt)  /* STARTTLS answered */                                                     \
	STEP(secured)  /* as safe as it must be, or not */                                         \
	STEP(log_in)   /* if this is a next hop that wants us to */                                \
	STEP(admitted) /* or not */                                                                \
	STEP(ready)    /* mail may go */

#define STEP(name)                                                                                 \
	static enum flow name(struct approach *);                                                  \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void on_turn(void *arg);
static void on_dialled(const struct dial_result *result, void *arg);
static void on_secured(const struct outcome *outcome, void *arg);
static void on_admitted(const struct outcome *outcome, bool is_over, void *arg);
static void run(void *arg);
static void go_back_to_tls(struct approach *a);
static bool needs_tls(const struct approach *a);
static enum flow troubled(
    struct approach *a, enum point point, const struct outcome *what, bool is_over);
static void fall_back(struct approach *a, const struct outcome *what);
static void release(struct approach *a);

struct approach *approach_start(const struct approach_order *order, approach_done *done, void *arg)
{
	struct approach *a = mem_create(sizeof *a);

	a->order = *order;
	a->address = order->address;
	outcome_ok(&a->result.without_tls);
	a->done = done;
	a->arg = arg;
	dialogue_init(&a->dialogue, order->loop, run, a);
	a->turn = timer_create_in(order->loop, on_turn, a);
	timer_set(a->turn, 0);
	a->step = &step_dial;
	return a;
}

/* ---- the three tails ---- */

static enum flow go(struct approach *a, const struct step *next)
{
	a->step = next;
	return FLOW_GO;
}

/* For a reply of the server. */
static enum flow await(struct approach *a, const struct step *next, int64_t timeout_ms)
{
	a->step = next;
	return dialogue_await_reply(&a->dialogue, timeout_ms);
}

/* For the end of something that we have started; it has its own time. */
static enum flow await_end(struct approach *a, const struct step *next)
{
	a->step = next;
	return FLOW_WAIT;
}

static enum flow finish(struct approach *a)
{
	(void)a;
	return FLOW_END;
}

/* ---- the steps ---- */

static enum flow dial(struct approach *a)
{
	int64_t wait_ms = (int64_t)a->order.config->delivery.connect_timeout * 1000;

	if (a->order.hurries && wait_ms > a->order.patience->hurried_ms)
		wait_ms = a->order.patience->hurried_ms;
	a->dial = dial_start(a->order.loop, a->order.host, a->address, wait_ms, on_dialled, a);
	return await_end(a, &step_dialled);
}

static void on_dialled(const struct dial_result *result, void *arg)
{
	struct approach *a = arg;

	a->dial = NULL;
	a->dialled = *result;
	run(a);
}

static enum flow dialled(struct approach *a)
{
	const struct dial_result *result = &a->dialled;

	if (result->at != a->address)
		go_back_to_tls(a);
	a->address = a->result.at = result->at;
	memcpy(a->result.peer, result->peer, sizeof a->result.peer);
	if (result->stream == NULL)
		return troubled(a, POINT_DIAL, &result->outcome, true);
	a->connection = connection_create(
	    result->stream, a->order.host, &a->order.host->addresses[result->at], result->peer);
	dialogue_attach(&a->dialogue, result->stream, result->peer);
	return await(a, &step_greeted, a->order.patience->banner_ms);
}

/* What was wrong with TLS at one address says nothing of the next. */
static void go_back_to_tls(struct approach *a)
{
	a->without_tls = false;
	outcome_ok(&a->result.without_tls);
}

static enum flow greeted(struct approach *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_BANNER, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_BANNER, &what, dialogue_is_over(&a->dialogue, 2));
	return go(a, &step_greet);
}

static enum flow greet(struct approach *a)
{
	struct outcome what;

	if (dialogue_spoke_early(&a->dialogue, POINT_EHLO, &what))
		return troubled(a, POINT_EHLO, &what, true);
	smtp_command_ehlo(stream_output(a->connection->stream), a->order.config->hostname);
	return await(a, &step_capable, a->order.patience->command_ms);
}

static enum flow capable(struct approach *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_EHLO, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_EHLO, &what, dialogue_is_over(&a->dialogue, 2));
	smtp_capability_read(&a->connection->can, &a->dialogue.reply);
	if (a->connection->is_secure || a->order.host->tls.level == TLS_NONE || a->without_tls)
		return go(a, &step_log_in);
	if (a->connection->can.starttls) {
		if (dialogue_spoke_early(&a->dialogue, POINT_STARTTLS, &what))
			return troubled(a, POINT_STARTTLS, &what, true);
		smtp_command_starttls(stream_output(a->connection->stream));
		return await(a, &step_encrypt, a->order.patience->command_ms);
	}
	if (!needs_tls(a))
		return go(a, &step_log_in);
	outcome_say(&what, 454, "4.7.4", "starttls-missing",
	    "%s does not offer STARTTLS, and TLS is required by %s (level %s): nothing was sent",
	    a->dialogue.who, tls_demand_words(a->order.host->tls.demand),
	    tls_level_name(a->order.host->tls.level));
	return troubled(a, POINT_STARTTLS, &what, false);
}

static enum flow simple(struct approach *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_HELO, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_HELO, &what, dialogue_is_over(&a->dialogue, 2));
	smtp_capability_none(&a->connection->can);
	return go(a, &step_log_in);
}

static enum flow encrypt(struct approach *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_STARTTLS, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_STARTTLS, &what, dialogue_is_over(&a->dialogue, 2));
	dialogue_detach(&a->dialogue);
	a->secure = secure_start(a->order.loop, a->connection->stream, a->order.tls,
	    &a->order.host->tls, a->dialled.peer, a->order.patience->tls_ms, on_secured, a);
	return await_end(a, &step_secured);
}

static void on_secured(const struct outcome *outcome, void *arg)
{
	struct approach *a = arg;

	a->secure = NULL;
	a->secured = *outcome;
	run(a);
}

/* What was said before the handshake counts no more (RFC 3207 4.2): EHLO again. */
static enum flow secured(struct approach *a)
{
	if (!outcome_is_ok(&a->secured)) {
		memcpy(a->secured.who, a->dialogue.who, sizeof a->secured.who);
		connection_note_refusal(a->connection);
		return troubled(a, POINT_TLS, &a->secured, true);
	}
	a->connection->is_secure = true;
	connection_meets(a->connection, a->order.plan, a->order.host);
	dialogue_attach(&a->dialogue, a->connection->stream, a->dialled.peer);
	return go(a, &step_greet);
}

/* A route with a login is never one of plaintext; should one ever be, no password goes that way. */
static enum flow log_in(struct approach *a)
{
	struct connection *c = a->connection;
	const char *login = a->order.plan->login;
	struct authenticate_order order = { .loop = a->order.loop,
		.auth = a->order.auth,
		.stream = c->stream,
		.peer = c->peer,
		.host = a->order.plan->next_hop,
		.login = login,
		.mechanisms = c->can.auth,
		.reply_ms = a->order.patience->command_ms };
	struct outcome what;

	if (*login == '\0')
		return go(a, &step_ready);
	if (!c->is_secure) {
		outcome_say(&what, 454, "4.7.0", "login-without-tls",
		    "We log in to %s in TLS only, and there is none: nothing was sent", c->who);
		return troubled(a, POINT_LOGIN, &what, false);
	}
	order.is_verified = stream_evidence(c->stream)->trust == TLS_VERIFIED;
	dialogue_detach(&a->dialogue);
	a->authenticate = authenticate_start(&order, on_admitted, a);
	return await_end(a, &step_admitted);
}

static void on_admitted(const struct outcome *outcome, bool is_over, void *arg)
{
	struct approach *a = arg;

	a->authenticate = NULL;
	a->admitted = *outcome;
	a->is_thrown_out = is_over;
	run(a);
}

static enum flow admitted(struct approach *a)
{
	struct connection *c = a->connection;

	dialogue_attach(&a->dialogue, c->stream, c->peer);
	if (!outcome_is_ok(&a->admitted)) {
		log_warning(
		    "%s: we could not log in to %s as %s: %d %s %s; mail for it waits: see the "
		    "route to %s and its line in route-passwords [route-login]",
		    a->order.message_id, c->peer, a->order.plan->login, a->admitted.code,
		    a->admitted.enhanced, a->admitted.text, a->order.plan->next_hop);
		return troubled(a, POINT_LOGIN, &a->admitted, a->is_thrown_out);
	}
	snprintf(c->login, sizeof c->login, "%s", a->order.plan->login);
	return go(a, &step_ready);
}

static enum flow ready(struct approach *a)
{
	struct connection *c = a->connection;

	if (!c->is_secure)
		connection_meets(c, a->order.plan, a->order.host);
	c->is_ready = true;
	c->is_single =
	    a->order.host->tls.level == TLS_NONE || !outcome_is_ok(&a->result.without_tls);
	outcome_ok(&a->result.outcome);
	return finish(a);
}

/* ---- trouble on the way ---- */

static bool needs_tls(const struct approach *a)
{
	return !(a->connection != NULL && a->connection->is_secure) &&
	       !tls_requirement_allows_plaintext(&a->order.host->tls);
}

static enum flow troubled(
    struct approach *a, enum point point, const struct outcome *what, bool is_over)
{
	const struct incident incident = { .point = point,
		.what = what,
		.is_over = is_over,
		.needs_tls = needs_tls(a),
		.has_waited = a->order.has_waited };

	switch (outcome_decide(&incident)) {
	case DECISION_SAY_HELO:
		smtp_command_helo(stream_output(a->connection->stream), a->order.config->hostname);
		return await(a, &step_simple, a->order.patience->command_ms);
	case DECISION_PLAIN_HERE: fall_back(a, what); return go(a, &step_log_in);
	case DECISION_PLAIN_AGAIN:
		fall_back(a, what);
		dialogue_detach(&a->dialogue);
		connection_destroy(&a->connection);
		return go(a, &step_dial);
	case DECISION_NEXT_ADDRESS:
	case DECISION_SETTLE_ALL: /* the owner's affair */
		a->result.outcome = *what;
		a->result.point = point;
		a->result.is_over = is_over;
		return finish(a);
	case DECISION_FRESH:
	case DECISION_SETTLE_ONE:
	case DECISION_LATER: break;
	}
	assert(false); /* these are decided within a transaction */
	return finish(a);
}

/* Never in silence. */
static void fall_back(struct approach *a, const struct outcome *what)
{
	a->without_tls = true;
	a->result.without_tls = *what;
	log_warning("%s: TLS with %s failed (%d %s %s): sending in plaintext, as level %s by %s "
		    "allows; a partner rule with tls = encrypt would forbid it [tls-fallback]",
	    a->order.message_id, a->dialled.peer, what->code, what->enhanced, what->text,
	    tls_level_name(a->order.host->tls.level), tls_demand_name(a->order.host->tls.demand));
}

/* ---- the runner: the only place that calls a step, and that frees ---- */

static void on_turn(void *arg)
{
	run(arg);
}

static void run(void *arg)
{
	struct approach *a = arg;
	enum flow flow;

	do
		flow = a->step->run(a);
	while (flow == FLOW_GO);
	if (flow == FLOW_WAIT)
		return;
	dialogue_detach(&a->dialogue);
	a->result.connection = a->connection;
	a->connection = NULL;
	a->done(&a->result, a->arg);
	release(a);
}

void approach_cancel(struct approach **approach)
{
	if (*approach != NULL)
		release(*approach);
	*approach = NULL;
}

static void release(struct approach *a)
{
	dial_cancel(&a->dial);
	secure_cancel(&a->secure);
	authenticate_cancel(&a->authenticate);
	dialogue_finish(&a->dialogue);
	connection_destroy(&a->connection);
	timer_destroy(&a->turn);
	free(a);
}
