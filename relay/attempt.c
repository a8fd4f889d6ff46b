#include "relay/attempt.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/approach.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/locate.h"
#include "relay/offer.h"
#include "relay/outcome.h"
#include "relay/record.h"
#include "relay/step.h"
#include "relay/transact.h"
#include "relay/verdicts.h"

enum {
	SESSIONS_MAX = 5, /* servers of a site that we talk to in vain in one attempt; RFC 5321 5.1
			   * asks for two at least */
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
	size_t address; /* of the present host: to be tried next, then the present one */
	size_t n_sessions;
	bool is_cut_short; /* some addresses were not tried */
	struct search search;

	/* the present connection */
	struct approach *approach;
	struct approach_result approached; /* its connection is below */
	struct connection *connection;
	bool wants_fresh; /* one that was kept has failed at this address */
	struct transact *transact;
	const struct transact_result *transacted; /* while transacted runs */

	/* what came of it */
	struct verdicts verdicts;
	struct record *record;
	bool was_tried;  /* false: the site has no part in this */
	bool is_leaving; /* begins nothing more */
	struct attempt_result result;
	attempt_done *done;
	void *arg;
};

/* The steps, in the order of time. */
#define STEPS(STEP)                                                                                \
	STEP(find_facts) /* ask the lookup role */                                                 \
	STEP(plan_hosts) /* and route */                                                           \
	STEP(next_host)  /* or all have been tried */                                              \
	STEP(approach)   /* its next address, or a connection that was kept */                     \
	STEP(approached) /* a connection as safe as it must be, or none */                         \
	STEP(compare)    /* does its offer do for this message? */                                 \
	STEP(transact)   /* with the next recipients */                                            \
	STEP(transacted) /* how it went */                                                         \
	STEP(all_tried)  /* hosts, and nobody took it */                                           \
	STEP(part)       /* QUIT */                                                                \
	STEP(overdue)    /* at any time: it takes too long */                                      \
	STEP(left)       /* at any time: the others are for somebody else */

#define STEP(name)                                                                                 \
	static enum flow name(struct attempt *);                                                   \
	static const struct step step_##name = { #name, name };
STEPS(STEP)
#undef STEP

static void on_turn(void *arg);
static void on_deadline(void *arg);
static void on_facts(void *arg, const struct ipc_message *answer);
static void on_approached(const struct approach_result *result, void *arg);
static void on_transacted(const struct transact_result *result, void *arg);
static void run(void *arg);
static enum flow troubled(
    struct attempt *a, enum point point, const struct outcome *what, bool is_over);
static void note_refusal(struct attempt *a);
static void pass_over(struct attempt *a, enum point point);
static bool take_kept(struct attempt *a);
static const struct plan_host *host(const struct attempt *a);
static bool is_outdated(const struct attempt *a);
static bool needs_tls(const struct attempt *a);
static uint64_t recipients_max(const struct attempt *a);
static void pass_time(struct attempt *a, int64_t *spent_ms);
static void leave(struct attempt *a, bool is_over);
static void drop_under_way(struct attempt *a);

struct attempt *attempt_start(const struct attempt_house *house, const struct attempt_job *job,
    struct plan *plan, attempt_done *done, void *arg)
{
	struct attempt *a = mem_create(sizeof *a);
	int64_t waited_s = clock_wall_s() - job->message->arrived_s;

	a->house = house;
	a->job = *job;
	if (plan != NULL) {
		a->has_plan = true;
		a->plan = *plan;
		*plan = (struct plan){ 0 };
	}
	verdicts_init(&a->verdicts, job->message->n_recipients);
	a->record = record_create(job->message);
	a->result.outcomes = a->verdicts.outcomes;
	a->result.n_outcomes = a->verdicts.n;
	a->result.delays.before_ms = waited_s > 0 ? waited_s * 1000 : 0;
	a->started_ms = a->mark_ms = clock_monotonic_ms();
	a->done = done;
	a->arg = arg;
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
	if (a->has_plan)
		return go(a, &step_plan_hosts);
	a->asked = locate_ask(a->house->lookup, a->house->config, a->job.domain, on_facts, a);
	return await_end(a, &step_plan_hosts);
}

static void on_facts(void *arg, const struct ipc_message *answer)
{
	struct attempt *a = arg;

	a->asked = 0;
	a->has_plan =
	    locate_plan(a->house->config, a->job.domain, a->job.message, answer, &a->plan);
	run(a);
}

static enum flow plan_hosts(struct attempt *a)
{
	struct outcome why;

	if (!a->has_plan) {
		outcome_say(&why, 451, "4.4.3", "lookup-unavailable",
		    "The DNS could not be asked about %s: our own resolver does not answer",
		    a->job.domain);
		record_nothing(a->record, &why);
		verdicts_settle_all(&a->verdicts, &why);
		return finish(a);
	}
	a->was_tried = true;
	if (!outcome_is_ok(&a->plan.refusal)) {
		record_refused(a->record, &a->plan);
		note_refusal(a);
		verdicts_settle_all(&a->verdicts, &a->plan.refusal);
		return finish(a);
	}
	return go(a, &step_next_host);
}

/* What is refused for this message's demand alone is no fault of the site. */
static void note_refusal(struct attempt *a)
{
	struct incident incident = { .point = POINT_ROUTE,
		.what = &a->plan.refusal,
		.requires_tls = a->plan.needs_requiretls };

	if (a->plan.n_hosts == 0)
		search_note(&a->search, &incident);
	for (size_t i = 0; i < a->plan.n_hosts; i++) {
		incident.demand = a->plan.hosts[i].tls.demand;
		search_note(&a->search, &incident);
	}
}

static enum flow next_host(struct attempt *a)
{
	if (a->n_hosts == a->plan.n_hosts)
		return go(a, &step_all_tried);
	a->n_hosts++;
	a->address = 0;
	a->wants_fresh = false;
	if (!outcome_is_ok(&host(a)->unusable)) {
		record_unusable(a->record, &a->plan, host(a));
		return troubled(a, POINT_ROUTE, &host(a)->unusable, true);
	}
	return go(a, &step_approach);
}

/* ---- getting there ---- */

static enum flow approach(struct attempt *a)
{
	const struct approach_order order = { .loop = a->house->loop,
		.config = a->house->config,
		.tls = a->house->tls,
		.auth = a->house->auth,
		.patience = a->house->patience,
		.plan = &a->plan,
		.host = host(a),
		.address = a->address,
		.message_id = a->job.message->id,
		.has_waited = a->job.n_attempts > 0,
		.hurries = a->job.hurries };
	int64_t spent_ms = clock_monotonic_ms() - a->started_ms;

	if (is_outdated(a))
		return go(a, &step_left);
	if (a->address == host(a)->n_addresses)
		return go(a, &step_next_host);
	if (!a->wants_fresh && take_kept(a))
		return go(a, &step_compare);
	a->is_cut_short = a->n_sessions == SESSIONS_MAX || spent_ms > a->house->patience->search_ms;
	if (a->is_cut_short)
		return go(a, &step_all_tried);
	a->approach = approach_start(&order, on_approached, a);
	return await_end(a, &step_approached);
}

/* To whichever of the host's addresses: that one is then the next, should it have to be dialled. */
static bool take_kept(struct attempt *a)
{
	struct plan_host *h = &a->plan.hosts[a->n_hosts - 1];
	union plan_address address;
	size_t at;

	a->connection = pool_take(a->house->pool, &a->plan, h, a->address, &at);
	if (a->connection == NULL)
		return false;
	address = h->addresses[at];
	memmove(&h->addresses[a->address + 1], &h->addresses[a->address],
	    (at - a->address) * sizeof address);
	h->addresses[a->address] = address;
	return true;
}

static void on_approached(const struct approach_result *result, void *arg)
{
	struct attempt *a = arg;

	a->approach = NULL;
	a->approached = *result;
	a->connection = result->connection;
	run(a);
}

static enum flow approached(struct attempt *a)
{
	const struct approach_result *result = &a->approached;

	a->address = result->at; /* the present one, until troubled() passes it over */
	record_approach(a->record, &a->plan, host(a), result);
	a->n_sessions += result->connection != NULL;
	if (!outcome_is_ok(&result->outcome))
		return troubled(a, result->point, &result->outcome, result->is_over);
	return go(a, &step_compare);
}

/* ---- handing over ---- */

static enum flow compare(struct attempt *a)
{
	struct outcome what;

	record_use(a->record, &a->plan, host(a), a->connection);
	if (!offer_suits(a->connection, &a->plan, a->job.message, &what))
		return troubled(a, POINT_OFFER, &what, false);
	return go(a, &step_transact);
}

static enum flow transact(struct attempt *a)
{
	struct transact_order order = { .loop = a->house->loop,
		.stream = a->connection->stream,
		.peer = a->connection->peer,
		.can = &a->connection->can,
		.patience = a->house->patience,
		.message = a->job.message,
		.fd = a->job.fd,
		.recipients = a->verdicts.chosen,
		.reset_first = a->connection->left_open,
		.is_reused = a->connection->is_reused,
		.requires_tls = offer_has_requiretls(a->connection, a->job.message) };

	if (is_outdated(a))
		return go(a, &step_left);
	/* Whatever happened on the way: this is the only door to MAIL. */
	assert(!needs_tls(a));
	verdicts_choose(&a->verdicts, recipients_max(a));
	order.n_recipients = a->verdicts.n_chosen;
	pass_time(a, &a->result.delays.setup_ms);
	a->connection->n_mails++;
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
	bool has_settled = verdicts_take(&a->verdicts, result);

	pass_time(a, &a->result.delays.transfer_ms);
	if (has_settled)
		record_settle(a->record);
	a->connection->left_open = result->left_open;
	if (a->verdicts.n_left == 0 && !result->is_over)
		return go(a, &step_part);
	if (a->verdicts.n_left == 0) {
		leave(a, true);
		return finish(a);
	}
	if (result->is_over || result->is_stale)
		return troubled(a, result->point, &result->trouble, result->is_over);
	assert(has_settled); /* each settles one at least, so this comes to an end */
	if (connection_takes_more(a->connection))
		return go(a, &step_transact);
	/* RFC 9422 4.1: the rest over another; one that took its share is not one in vain. */
	a->n_sessions -= !a->connection->is_reused;
	leave(a, false);
	return go(a, &step_approach);
}

/* ---- the end ---- */

static enum flow all_tried(struct attempt *a)
{
	struct outcome what;

	search_outcome(&a->search, !a->is_cut_short, &what);
	if (a->search.n == 0)
		record_nothing(a->record, &what);
	verdicts_settle_all(&a->verdicts, &what);
	return finish(a);
}

/* For the next message, or with QUIT: the pool knows. */
static enum flow part(struct attempt *a)
{
	leave(a, false);
	return finish(a);
}

static enum flow overdue(struct attempt *a)
{
	struct outcome what;
	bool was_connected = a->connection != NULL;

	drop_under_way(a);
	outcome_say(&what, 451, "4.4.7", "attempt-too-long",
	    "The attempt took longer than %lld s and was given up",
	    (long long)a->house->patience->longest_ms / 1000);
	/* As far as it had come; with a connection that is on record. */
	if (a->n_hosts > 0 && !was_connected)
		record_given_up(a->record, &a->plan, host(a), &what);
	record_keep(a->record);
	verdicts_settle_all(&a->verdicts, &what);
	return finish(a);
}

/* Not tried: by their outcome it is seen. */
static enum flow left(struct attempt *a)
{
	a->is_leaving = true;
	leave(a, false);
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
		.demand = host(a)->tls.demand,
		.requires_tls = a->plan.needs_requiretls,
		.has_waited = a->job.n_attempts > 0,
		.is_reused = a->connection != NULL && a->connection->is_reused };

	switch (outcome_decide(&incident)) {
	case DECISION_FRESH:
		log_info("%s: a kept connection to %s is no good any more (%d %s %s): a fresh one",
		    a->job.message->id, a->connection->peer, what->code, what->enhanced,
		    what->text);
		a->connection->is_ready = false;
		leave(a, is_over);
		a->wants_fresh = true;
		return go(a, &step_approach);
	case DECISION_NEXT_ADDRESS:
		if (search_note(&a->search, &incident))
			record_keep(a->record);
		leave(a, is_over);
		pass_over(a, point);
		return go(a, &step_approach);
	case DECISION_SETTLE_ALL:
		search_note(&a->search, &incident);
		record_keep(a->record);
		verdicts_settle_all(&a->verdicts, what);
		leave(a, is_over);
		return finish(a);
	case DECISION_SAY_HELO:
	case DECISION_PLAIN_HERE:
	case DECISION_PLAIN_AGAIN:
	case DECISION_SETTLE_ONE:
	case DECISION_LATER: break;
	}
	assert(false); /* these are dealt with on the approach, or within a transaction */
	return finish(a);
}

static void pass_over(struct attempt *a, enum point point)
{
	a->wants_fresh = false;
	if (point == POINT_ROUTE)
		a->address = host(a)->n_addresses;
	else if (a->address < host(a)->n_addresses)
		a->address++;
}

/* ---- small parts ---- */

static const struct plan_host *host(const struct attempt *a)
{
	return &a->plan.hosts[a->n_hosts - 1];
}

/* What the operator has written holds no more: begun now, mail would go as an exception allowed. */
static bool is_outdated(const struct attempt *a)
{
	int64_t ends_ms = a->plan.exception_ends_ms;

	return a->is_leaving || (ends_ms != 0 && clock_monotonic_ms() >= ends_ms);
}

static bool needs_tls(const struct attempt *a)
{
	return !(a->connection != NULL && a->connection->is_secure) &&
	       !tls_requirement_allows_plaintext(&host(a)->tls);
}

/* As many as one transaction may have, by our setting and by the server's (RFC 9422). */
static uint64_t recipients_max(const struct attempt *a)
{
	uint64_t ours = a->house->config->delivery.recipients;
	uint64_t theirs = a->connection->can.recipient_max;

	return theirs > 0 && theirs < ours ? theirs : ours;
}

static void pass_time(struct attempt *a, int64_t *spent_ms)
{
	int64_t now_ms = clock_monotonic_ms();

	*spent_ms += now_ms - a->mark_ms;
	a->mark_ms = now_ms;
}

static void leave(struct attempt *a, bool is_over)
{
	if (a->connection != NULL && !is_over)
		pool_keep(a->house->pool, &a->connection);
	connection_destroy(&a->connection);
}

static void drop_under_way(struct attempt *a)
{
	approach_cancel(&a->approach);
	if (a->asked != 0)
		asker_cancel(a->house->lookup, a->asked);
	a->asked = 0;
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

	a->step = &step_overdue;
	run(a);
}

static enum schedule_feedback feedback(const struct attempt *a)
{
	if (!a->was_tried || a->verdicts.n_left == a->verdicts.n)
		return SCHEDULE_NOT_TRIED;
	return a->record->is_final ? SCHEDULE_SITE_ANSWERED : search_feedback(&a->search);
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
	assert(a->verdicts.n_left == 0 || a->is_leaving);
	pass_time(a, &a->result.delays.setup_ms);
	a->result.feedback = feedback(a);
	if (a->record->evidence[0] == '\0')
		record_keep(a->record); /* nothing was more telling than the last */
	a->result.host = a->record->host;
	a->result.evidence = a->record->evidence;
	a->result.counts = a->record->counts;
	a->result.n_counts = a->record->n_counts;
	a->done(&a->result, a->arg);
	attempt_cancel(&a);
}

/* What was cut off in the middle says nothing of the server, and is not kept. */
void attempt_leave(struct attempt *a)
{
	a->is_leaving = true;
	if (a->transact != NULL && transact_has_begun_content(a->transact))
		return;
	drop_under_way(a);
	a->step = &step_left;
	timer_set(a->turn, 0);
}

void attempt_cancel(struct attempt **attempt)
{
	struct attempt *a = *attempt;

	if (a == NULL)
		return;
	*attempt = NULL;
	drop_under_way(a);
	timer_destroy(&a->turn);
	timer_destroy(&a->deadline);
	plan_finish(&a->plan);
	record_destroy(&a->record);
	verdicts_finish(&a->verdicts);
	free(a);
}
