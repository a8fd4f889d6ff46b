#include "relay/attempt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/dial.h"
#include "relay/evidence.h"
#include "relay/lookup/facts.h"
#include "relay/outcome.h"
#include "relay/route.h"
#include "relay/secure.h"
#include "relay/step.h"
#include "relay/transact.h"
#include "smtp/command.h"

enum {
	SESSIONS_MAX = 5,   /* servers of a site that we talk to in one attempt; RFC 5321 5.1 asks
			    * for two at least */
	PART_MS = 5 * 1000, /* to say goodbye, behind our back */
};

struct step {
	const char *name;
	enum flow (*run)(struct attempt *);
};

struct attempt {
	const struct attempt_house *house;
	struct attempt_job job;
	const struct step *step;
	struct timer *turn, *deadline;
	int64_t started_ms, mark_ms; /* mark: when setup or transfer began */

	/* the way there */
	uint64_t asked; /* the question to the lookup role; 0: none open */
	struct plan plan;
	bool has_plan;
	size_t n_hosts; /* of the plan, begun: the last of them is the present one */
	size_t address; /* of the present host: to be tried next */
	size_t n_sessions;
	bool is_cut_short; /* some addresses were not tried */
	struct dial *dial;
	struct dial_result dialled;
	struct search search;

	/* the present connection */
	struct stream *stream;
	struct dialogue dialogue;
	struct secure *secure;
	struct outcome secured;
	bool is_secure;
	bool without_tls; /* the handshake failed before: "may" allows it */
	struct smtp_capability can;
	struct transact *transact;
	size_t *chosen; /* recipients of the present transaction */
	size_t n_chosen;
	bool left_open;                           /* the transaction before was */
	const struct transact_result *transacted; /* while transacted runs */

	/* what came of it */
	bool *settled;
	struct outcome *outcomes;
	size_t n_left;  /* recipients not settled */
	bool has_moved; /* some recipient was settled by a server: host and evidence are its own */
	bool was_tried; /* false: the site has no part in this */
	struct attempt_result result;
	attempt_done *done;
	void *arg;
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(find_facts) /* ask the lookup role */                                                 \
	STEP(plan_hosts) /* and route */                                                           \
	STEP(next_host)  /* or all have been tried */                                              \
	STEP(dial)       /* its next address */                                                    \
	STEP(dialled)    /* connected, or not */                                                   \
	STEP(greeted)    /* 220 */                                                                 \
	STEP(greet)      /* EHLO; once more after the handshake */                                 \
	STEP(capable)    /* EHLO answered: STARTTLS, or not */                                     \
	STEP(simple)     /* HELO answered, by an old server */                                     \
	STEP(encrypt)    /* STARTTLS answered */                                                   \
	STEP(secured)    /* as safe as it must be, or not */                                       \
	STEP(compare)    /* does its offer do for this message? */                                 \
	STEP(transact)   /* with the next recipients */                                            \
	STEP(transacted) /* how it went */                                                         \
	STEP(all_tried)  /* hosts, and nobody took it */                                           \
	STEP(part)       /* QUIT */                                                                \
	STEP(overdue)    /* at any time: it takes too long */

#define STEP(name)                                                                                 \
	static enum flow name(struct attempt *);                                                   \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void on_turn(void *arg);
static void on_deadline(void *arg);
static void on_facts(void *arg, const struct ipc_message *answer);
static void on_dialled(const struct dial_result *result, void *arg);
static void on_secured(const struct outcome *outcome, void *arg);
static void on_transacted(const struct transact_result *result, void *arg);
static void run(void *arg);
static enum flow troubled(
    struct attempt *a, enum point point, const struct outcome *what, bool is_over);
static void warn_of_plaintext(const struct attempt *a, const struct outcome *what);
static void note_refusal(struct attempt *a, enum point point, const struct outcome *what);
static void pass_over(struct attempt *a, enum point point);
static const struct plan_host *host(const struct attempt *a);
static bool needs_tls(const struct attempt *a);
static void choose_recipients(struct attempt *a);
static void take_verdicts(struct attempt *a, const struct transact_result *result);
static void settle_all(struct attempt *a, const struct outcome *what);
static void settle(struct attempt *a, size_t recipient, const struct outcome *what);
static void show(struct attempt *a, const char *instead);
static void pass_time(struct attempt *a, int64_t *spent_ms);
static void leave(struct attempt *a, bool is_over);

struct attempt *attempt_start(const struct attempt_house *house, const struct attempt_job *job,
    struct plan *plan, attempt_done *done, void *arg)
{
	struct attempt *a = mem_create(sizeof *a);
	int64_t waited_s = clock_wall_s() - job->message->arrived_s;

	assert(job->message->n_recipients > 0);
	a->house = house;
	a->job = *job;
	if (plan != NULL) {
		a->has_plan = true;
		a->plan = *plan;
		*plan = (struct plan){ 0 };
	}
	a->n_left = job->message->n_recipients;
	a->settled = mem_create(a->n_left * sizeof *a->settled);
	a->outcomes = mem_create(a->n_left * sizeof *a->outcomes);
	a->chosen = mem_create(a->n_left * sizeof *a->chosen);
	a->result.outcomes = a->outcomes;
	a->result.n_outcomes = a->n_left;
	a->result.delays.before_ms = waited_s > 0 ? waited_s * 1000 : 0;
	a->started_ms = a->mark_ms = clock_monotonic_ms();
	a->done = done;
	a->arg = arg;
	dialogue_init(&a->dialogue, house->loop, run, a);
	a->turn = timer_create_in(house->loop, on_turn, a);
	a->deadline = timer_create_in(house->loop, on_deadline, a);
	timer_set(a->turn, 0);
	timer_set(a->deadline, house->patience->longest_ms);
	a->step = &step_find_facts;
	return a;
}

/* ---- the three tails ---- */

static enum flow go(struct attempt *a, const struct step *next)
{
	a->step = next;
	return FLOW_GO;
}

/* For a reply of the server. */
static enum flow await(struct attempt *a, const struct step *next, int64_t timeout_ms)
{
	a->step = next;
	return dialogue_await_reply(&a->dialogue, timeout_ms);
}

/* For the end of something that we have started; it has its own time. */
static enum flow await_end(struct attempt *a, const struct step *next)
{
	a->step = next;
	return FLOW_WAIT;
}

static enum flow finish(struct attempt *a)
{
	(void)a;
	return FLOW_END;
}

/* ---- where to ---- */

static enum flow find_facts(struct attempt *a)
{
	struct ipc_message m = {
		.type = IPC_FACTS_ASK, .fd = -1, .facts_ask.domain = a->job.domain
	};

	if (a->has_plan)
		return go(a, &step_plan_hosts);
	a->asked = asker_ask(a->house->lookup, 0, &m, on_facts, a);
	return await_end(a, &step_plan_hosts);
}

static void on_facts(void *arg, const struct ipc_message *answer)
{
	struct attempt *a = arg;
	struct facts facts;
	uint64_t shuffle = 0;

	a->asked = 0;
	if (answer != NULL &&
	    facts_decode(answer->facts_say.facts.bytes, answer->facts_say.facts.n, &facts)) {
		if (getrandom(&shuffle, sizeof shuffle, GRND_NONBLOCK) < 0)
			shuffle = (uint64_t)clock_monotonic_ms();
		route_find(a->house->config, &facts, shuffle, &a->plan);
		facts_finish(&facts);
		a->has_plan = true;
	}
	run(a);
}

static enum flow plan_hosts(struct attempt *a)
{
	struct outcome why;

	if (!a->has_plan) {
		outcome_say(&why, 451, "4.4.3", "lookup-unavailable",
		    "The DNS could not be asked about %s: our own resolver does not answer",
		    a->job.domain);
		settle_all(a, &why);
		return finish(a);
	}
	a->was_tried = true;
	if (!outcome_is_ok(&a->plan.refusal)) {
		const struct incident incident = { .point = POINT_ROUTE, .what = &a->plan.refusal };

		search_note(&a->search, &incident);
		settle_all(a, &a->plan.refusal);
		return finish(a);
	}
	return go(a, &step_next_host);
}

static enum flow next_host(struct attempt *a)
{
	if (a->n_hosts == a->plan.n_hosts)
		return go(a, &step_all_tried);
	a->n_hosts++;
	a->address = 0;
	a->without_tls = false;
	if (!outcome_is_ok(&host(a)->unusable))
		return troubled(a, POINT_ROUTE, &host(a)->unusable, true);
	return go(a, &step_dial);
}

/* ---- getting there ---- */

static enum flow dial(struct attempt *a)
{
	const struct config_delivery *delivery = &a->house->config->delivery;
	int64_t spent_ms = clock_monotonic_ms() - a->started_ms;

	if (a->address == host(a)->n_addresses)
		return go(a, &step_next_host);
	a->is_cut_short = a->n_sessions == SESSIONS_MAX || spent_ms > a->house->patience->search_ms;
	if (a->is_cut_short)
		return go(a, &step_all_tried);
	a->dial = dial_start(a->house->loop, host(a), a->address,
	    (int64_t)delivery->connect_timeout * 1000, on_dialled, a);
	return await_end(a, &step_dialled);
}

static void on_dialled(const struct dial_result *result, void *arg)
{
	struct attempt *a = arg;

	a->dial = NULL;
	a->dialled = *result;
	run(a);
}

static enum flow dialled(struct attempt *a)
{
	const struct dial_result *result = &a->dialled;

	a->without_tls = a->without_tls && result->at == a->address;
	a->address = result->at; /* the present one, until troubled() passes it over */
	if (result->stream == NULL) {
		if (a->result.evidence[0] == '\0')
			show(a, "not connected");
		return troubled(a, POINT_DIAL, &result->outcome, true);
	}
	a->stream = result->stream;
	a->is_secure = false;
	a->left_open = false;
	a->n_sessions++;
	dialogue_attach(&a->dialogue, a->stream, result->peer);
	return await(a, &step_greeted, a->house->patience->banner_ms);
}

static enum flow greeted(struct attempt *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_BANNER, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_BANNER, &what, dialogue_is_over(&a->dialogue, 2));
	return go(a, &step_greet);
}

static enum flow greet(struct attempt *a)
{
	struct outcome what;

	if (dialogue_spoke_early(&a->dialogue, POINT_EHLO, &what))
		return troubled(a, POINT_EHLO, &what, true);
	smtp_command_ehlo(stream_output(a->stream), a->house->config->hostname);
	return await(a, &step_capable, a->house->patience->command_ms);
}

static enum flow capable(struct attempt *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_EHLO, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_EHLO, &what, dialogue_is_over(&a->dialogue, 2));
	smtp_capability_read(&a->can, &a->dialogue.reply);
	if (a->is_secure || host(a)->tls.level == TLS_NONE || a->without_tls)
		return go(a, &step_compare);
	if (a->can.starttls) {
		if (dialogue_spoke_early(&a->dialogue, POINT_STARTTLS, &what))
			return troubled(a, POINT_STARTTLS, &what, true);
		smtp_command_starttls(stream_output(a->stream));
		return await(a, &step_encrypt, a->house->patience->command_ms);
	}
	if (!needs_tls(a))
		return go(a, &step_compare);
	outcome_say(&what, 454, "4.7.4", "starttls-missing",
	    "%s does not offer STARTTLS, and %s demands TLS (level %s): nothing was sent",
	    a->dialogue.who, tls_demand_name(host(a)->tls.demand),
	    tls_level_name(host(a)->tls.level));
	return troubled(a, POINT_STARTTLS, &what, false);
}

static enum flow simple(struct attempt *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_HELO, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_HELO, &what, dialogue_is_over(&a->dialogue, 2));
	smtp_capability_none(&a->can);
	return go(a, &step_compare);
}

static enum flow encrypt(struct attempt *a)
{
	struct outcome what;

	dialogue_outcome(&a->dialogue, POINT_STARTTLS, 2, &what);
	if (!outcome_is_ok(&what))
		return troubled(a, POINT_STARTTLS, &what, dialogue_is_over(&a->dialogue, 2));
	dialogue_detach(&a->dialogue);
	a->secure = secure_start(a->house->loop, a->stream, a->house->tls, &host(a)->tls,
	    a->dialled.peer, a->house->patience->tls_ms, on_secured, a);
	return await_end(a, &step_secured);
}

static void on_secured(const struct outcome *outcome, void *arg)
{
	struct attempt *a = arg;

	a->secure = NULL;
	a->secured = *outcome;
	run(a);
}

/* What was said before the handshake counts no more (RFC 3207 4.2): EHLO again. */
static enum flow secured(struct attempt *a)
{
	if (!outcome_is_ok(&a->secured)) {
		memcpy(a->secured.who, a->dialogue.who, sizeof a->secured.who);
		return troubled(a, POINT_TLS, &a->secured, true);
	}
	a->is_secure = true;
	dialogue_attach(&a->dialogue, a->stream, a->dialled.peer);
	return go(a, &step_greet);
}

/* ---- handing over ---- */

static enum flow compare(struct attempt *a)
{
	const struct message *message = a->job.message;
	uint64_t size = message->header.length + message->body.length;
	struct outcome what;

	show(a, "plaintext");
	if (!a->is_secure)
		log_info("%s: %s", message->id, a->result.evidence);
	if (a->can.size_max > 0 && size > a->can.size_max) {
		outcome_say(&what, 552, "5.3.4", "size-exceeded",
		    "The message has %llu bytes, and %s takes no more than %llu: it was not sent",
		    (unsigned long long)size, a->dialogue.who, (unsigned long long)a->can.size_max);
		return troubled(a, POINT_OFFER, &what, false);
	}
	if (message->is_8bit && !a->can.eight_bit_mime) {
		outcome_say(&what, 554, "5.6.3", "8bit-unsupported",
		    "The message has 8-bit content, which %s does not take (no 8BITMIME), and "
		    "rewriting it would break its DKIM signature: send it as quoted-printable or "
		    "base64",
		    a->dialogue.who);
		return troubled(a, POINT_OFFER, &what, false);
	}
	return go(a, &step_transact);
}

static enum flow transact(struct attempt *a)
{
	struct transact_order order = { .loop = a->house->loop,
		.stream = a->stream,
		.peer = a->dialled.peer,
		.can = &a->can,
		.patience = a->house->patience,
		.message = a->job.message,
		.fd = a->job.fd,
		.recipients = a->chosen,
		.reset_first = a->left_open };

	choose_recipients(a);
	order.n_recipients = a->n_chosen;
	pass_time(a, &a->result.delays.setup_ms);
	dialogue_detach(&a->dialogue);
	a->transact = transact_start(&order, on_transacted, a);
	return await_end(a, &step_transacted);
}

static void on_transacted(const struct transact_result *result, void *arg)
{
	struct attempt *a = arg;

	a->transact = NULL;
	a->transacted = result;
	run(a);
}

static enum flow transacted(struct attempt *a)
{
	const struct transact_result *result = a->transacted;
	size_t n_before = a->n_left;

	pass_time(a, &a->result.delays.transfer_ms);
	take_verdicts(a, result);
	a->left_open = result->left_open;
	if (a->n_left == 0 && !result->is_over)
		return go(a, &step_part);
	if (a->n_left == 0) {
		leave(a, true);
		return finish(a);
	}
	if (result->is_over)
		return troubled(a, result->point, &result->trouble, true);
	assert(a->n_left < n_before); /* each settles one at least, so this comes to an end */
	dialogue_attach(&a->dialogue, a->stream, a->dialled.peer);
	return go(a, &step_transact);
}

/* ---- the end ---- */

static enum flow all_tried(struct attempt *a)
{
	struct outcome what;

	search_outcome(&a->search, !a->is_cut_short, &what);
	settle_all(a, &what);
	return finish(a);
}

/*
 * RFC 5321 4.1.1.10 has us wait for 221 before closing. The stream does, for a moment, when we are
 * gone: what has been delivered must be on record soon, or a crash would deliver it again (D6).
 */
static enum flow part(struct attempt *a)
{
	leave(a, false);
	return finish(a);
}

static enum flow overdue(struct attempt *a)
{
	struct outcome what;

	outcome_say(&what, 451, "4.4.7", "attempt-too-long",
	    "The attempt took longer than %lld s and was given up",
	    (long long)a->house->patience->longest_ms / 1000);
	settle_all(a, &what);
	return finish(a);
}

/* ---- trouble on the way ---- */

static enum flow troubled(
    struct attempt *a, enum point point, const struct outcome *what, bool is_over)
{
	const struct incident incident = { .point = point,
		.what = what,
		.is_over = is_over,
		.needs_tls = needs_tls(a),
		.has_waited = a->job.n_attempts > 0 };

	switch (outcome_decide(&incident)) {
	case DECISION_SAY_HELO:
		smtp_command_helo(stream_output(a->stream), a->house->config->hostname);
		return await(a, &step_simple, a->house->patience->command_ms);
	case DECISION_PLAIN_HERE: warn_of_plaintext(a, what); return go(a, &step_compare);
	case DECISION_PLAIN_AGAIN:
		warn_of_plaintext(a, what);
		leave(a, true);
		a->without_tls = true;
		return go(a, &step_dial);
	case DECISION_NEXT_ADDRESS:
		search_note(&a->search, &incident);
		note_refusal(a, point, what);
		leave(a, is_over);
		pass_over(a, point);
		return go(a, &step_dial);
	case DECISION_SETTLE_ALL:
		search_note(&a->search, &incident);
		settle_all(a, what);
		leave(a, is_over);
		return finish(a);
	case DECISION_SETTLE_ONE:
	case DECISION_LATER: break;
	}
	assert(false); /* these are decided within a transaction */
	return finish(a);
}

/* It never falls back in silence. */
static void warn_of_plaintext(const struct attempt *a, const struct outcome *what)
{
	log_warning("%s: TLS with %s failed (%d %s %s): sending in plaintext, as level %s by %s "
		    "allows; a partner rule with tls = encrypt would forbid it [tls-fallback]",
	    a->job.message->id, a->dialled.peer, what->code, what->enhanced, what->text,
	    tls_level_name(host(a)->tls.level), tls_demand_name(host(a)->tls.demand));
}

static void note_refusal(struct attempt *a, enum point point, const struct outcome *what)
{
	char instead[OUTCOME_NAME_MAX + 32];

	if (point < POINT_BANNER || point > POINT_TLS)
		return;
	snprintf(instead, sizeof instead, "nothing sent [%s]",
	    what->name[0] != '\0' ? what->name : "refused");
	show(a, instead);
}

static void pass_over(struct attempt *a, enum point point)
{
	if (point == POINT_ROUTE)
		a->address = host(a)->n_addresses;
	else if (a->address < host(a)->n_addresses)
		a->address++;
	a->without_tls = false;
}

/* ---- small parts ---- */

static const struct plan_host *host(const struct attempt *a)
{
	return &a->plan.hosts[a->n_hosts - 1];
}

static bool needs_tls(const struct attempt *a)
{
	return !tls_requirement_allows_plaintext(&host(a)->tls);
}

/* As many as one transaction may have, by our setting and by the server's (RFC 9422). */
static void choose_recipients(struct attempt *a)
{
	uint64_t most = a->house->config->delivery.recipients;

	if (a->can.recipient_max > 0 && a->can.recipient_max < most)
		most = a->can.recipient_max;
	a->n_chosen = 0;
	for (size_t i = 0; i < a->job.message->n_recipients; i++) {
		if (!a->settled[i] && (a->n_chosen < most || a->n_chosen == 0))
			a->chosen[a->n_chosen++] = i;
	}
}

static void take_verdicts(struct attempt *a, const struct transact_result *result)
{
	for (size_t i = 0; i < result->n_verdicts; i++) {
		if (!result->verdicts[i].is_settled)
			continue;
		settle(a, a->chosen[i], &result->verdicts[i].outcome);
		a->has_moved = true;
	}
}

static void settle_all(struct attempt *a, const struct outcome *what)
{
	for (size_t i = 0; i < a->job.message->n_recipients; i++) {
		if (!a->settled[i])
			settle(a, i, what);
	}
}

static void settle(struct attempt *a, size_t recipient, const struct outcome *what)
{
	assert(!a->settled[recipient]);
	a->settled[recipient] = true;
	a->outcomes[recipient] = *what;
	a->n_left--;
}

/* The host, and what it has shown or what there is instead; but the one that took mail stays. */
static void show(struct attempt *a, const char *instead)
{
	if (a->has_moved)
		return;
	snprintf(a->result.host, sizeof a->result.host, "%s", a->dialled.peer);
	evidence_print(
	    host(a), a->is_secure ? stream_evidence(a->stream) : NULL, instead, a->result.evidence);
}

static void pass_time(struct attempt *a, int64_t *spent_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	*spent_ms += now_ms - a->mark_ms;
	a->mark_ms = now_ms;
}

static void leave(struct attempt *a, bool is_over)
{
	dialogue_detach(&a->dialogue);
	if (a->stream != NULL && !is_over) {
		smtp_command_quit(stream_output(a->stream));
		stream_close(&a->stream, PART_MS, NULL, NULL);
	}
	stream_destroy(&a->stream);
	a->is_secure = false;
}

static void drop_under_way(struct attempt *a)
{
	dial_cancel(&a->dial);
	if (a->asked != 0)
		asker_cancel(a->house->lookup, a->asked);
	a->asked = 0;
	secure_cancel(&a->secure);
	transact_cancel(&a->transact);
	leave(a, true);
}

/* ---- the runner: the only place that calls a step, and that frees ---- */

static void on_turn(void *arg)
{
	run(arg);
}

static void on_deadline(void *arg)
{
	struct attempt *a = arg;

	drop_under_way(a);
	a->step = &step_overdue;
	run(a);
}

static enum schedule_feedback feedback(const struct attempt *a)
{
	if (!a->was_tried)
		return SCHEDULE_NOT_TRIED;
	return a->has_moved ? SCHEDULE_SITE_ANSWERED : search_feedback(&a->search);
}

static void run(void *arg)
{
	struct attempt *a = arg;
	enum flow flow;

	do
		flow = a->step->run(a);
	while (flow == FLOW_GO);
	if (flow == FLOW_WAIT)
		return;
	assert(a->n_left == 0);
	pass_time(a, &a->result.delays.setup_ms);
	a->result.feedback = feedback(a);
	a->done(&a->result, a->arg);
	attempt_cancel(&a);
}

void attempt_cancel(struct attempt **attempt)
{
	struct attempt *a = *attempt;

	if (a == NULL)
		return;
	*attempt = NULL;
	drop_under_way(a);
	dialogue_finish(&a->dialogue);
	timer_destroy(&a->turn);
	timer_destroy(&a->deadline);
	plan_finish(&a->plan);
	free(a->settled);
	free(a->outcomes);
	free(a->chosen);
	free(a);
}
