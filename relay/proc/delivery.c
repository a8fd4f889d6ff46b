/*
 * The delivery role: makes the attempts. Holds descriptors of mail to read and connections to
 * receivers; opens nothing. What came of a job is kept until the queue has it on disk, over the
 * death of a queue too: only then is it logged as done and forgotten (D7).
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "relay/attempt.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/message_wire.h"
#include "relay/outcome.h"
#include "relay/proc/clients.h"
#include "relay/proc/role.h"
#include "relay/report.h"
#include "tls/context.h"

enum {
	LOOKUP_TIMEOUT_MS = 90000,
	AUTH_TIMEOUT_MS = 30000,
	RESULT_HEAD = 4096,  /* of a RESULT message, besides the recipients' outcomes */
	OUTCOME_HEAD = 100,  /* of one of those, besides who and text */
	COUNTS_AT_ONCE = 16, /* each has at most two texts of TLS_COUNT_STRINGS_MAX */
};

/* One that the queue gave us. */
struct job {
	TAILQ_ENTRY(job) link;
	struct delivery *delivery;
	char domain[DOMAIN_MAX];
	uint32_t n_attempts; /* made before */
	struct message message;
	uint32_t *places;
	int fd;
	struct attempt *attempt; /* NULL when it has ended */

	/* then what came of it */
	enum schedule_feedback feedback;
	struct report_delays delays;
	char *host, *evidence;
	struct outcome *outcomes; /* one for each recipient of the message; code 0: not tried */
};

struct delivery {
	struct house *house;
	struct attempt_house attempts;
	struct clients queues;
	struct channel *queue; /* the one that counts, the last that came; NULL: none now */
	TAILQ_HEAD(, job) jobs;
	struct timer *cut; /* when draining may take no longer */
	bool is_draining;
	bool is_outdated; /* another configuration is in force: nothing is begun by ours */
};

static void load_authorities(struct delivery *delivery);
static void say_held(struct delivery *delivery);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_gone(void *arg, struct channel *channel);
static void take_job(struct delivery *delivery, struct ipc_message *m);
static void on_attempted(const struct attempt_result *result, void *arg);
static void say_result(const struct job *job);
static void say_counts(struct delivery *delivery, const struct attempt_result *result);
static void forget_job(struct delivery *delivery, const struct ipc_result_kept *kept);
static void drop(struct job *job);
static void say_leaving(struct delivery *delivery);
static void leave_to_others(struct delivery *delivery);
static void leave_if_idle(void *arg);
static void leave(void *arg);

static void *delivery_create(struct house *house)
{
	struct delivery *delivery = mem_create(sizeof *delivery);

	delivery->house = house;
	TAILQ_INIT(&delivery->jobs);
	clients_init(&delivery->queues, on_message, on_gone, delivery);
	delivery->cut = timer_create_in(house->loop, leave, delivery);
	delivery->attempts = (struct attempt_house){ .loop = house->loop,
		.config = house->config,
		.tls = tls_context_create_client(house->config->delivery.ca_file),
		.lookup = asker_create(house->loop, ASKER_RESEND, LOOKUP_TIMEOUT_MS),
		.auth = asker_create(house->loop, ASKER_PLAIN, AUTH_TIMEOUT_MS),
		.pool = pool_create(house->loop, &house->config->delivery),
		.patience = &patience_default };
	load_authorities(delivery);
	return delivery;
}

/* While files can still be opened. Without one, what needs it waits, and says so each time. */
static void load_authorities(struct delivery *delivery)
{
	char error[512];

	if (tls_context_load_ca(delivery->attempts.tls, error, sizeof error) != 0)
		log_warning("%s [tls-ca-file]", error);
}

static void delivery_meet(void *self, enum role role, struct channel *channel)
{
	struct delivery *delivery = self;
	const struct job *job;

	if (role == ROLE_LOOKUP) {
		asker_add(delivery->attempts.lookup, channel);
		return;
	}
	if (role == ROLE_AUTH) {
		asker_add(delivery->attempts.auth, channel);
		return;
	}
	if (role != ROLE_QUEUE) {
		channel_destroy(&channel);
		return;
	}
	delivery->queue = channel;
	clients_add(&delivery->queues, channel);
	say_held(delivery);
	if (delivery->is_draining)
		say_leaving(delivery);
	TAILQ_FOREACH (job, &delivery->jobs, link) {
		if (job->attempt == NULL)
			say_result(job);
	}
}

/* A queue hands out nothing that it knows to be with us: so this comes first. */
static void say_held(struct delivery *delivery)
{
	struct ipc_message m = { .type = IPC_HELD, .fd = -1 };
	const struct job *job;
	size_t n = 0;

	TAILQ_FOREACH (job, &delivery->jobs, link)
		n++;
	m.held_jobs.jobs.items = mem_create((n + 1) * sizeof *m.held_jobs.jobs.items);
	TAILQ_FOREACH (job, &delivery->jobs, link)
		m.held_jobs.jobs.items[m.held_jobs.jobs.n++] =
		    (ipc_held){ job->message.id, job->domain };
	channel_send(delivery->queue, &m);
	free(m.held_jobs.jobs.items);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct delivery *delivery = arg;

	if (channel != delivery->queue)
		return; /* the last word of a queue that is no more */
	if (m->type == IPC_DELIVER)
		take_job(delivery, m);
	else if (m->type == IPC_RESULT_KEPT)
		forget_job(delivery, &m->result_kept);
}

static void on_gone(void *arg, struct channel *channel)
{
	struct delivery *delivery = arg;

	if (channel == delivery->queue)
		delivery->queue = NULL;
}

/* ---- a job ---- */

static struct job *find_job(struct delivery *delivery, const char *id, const char *domain)
{
	struct job *job;

	TAILQ_FOREACH (job, &delivery->jobs, link) {
		if (strcmp(job->message.id, id) == 0 && strcmp(job->domain, domain) == 0)
			return job;
	}
	return NULL;
}

/* Not begun: the queue gives it to somebody else. */
static void refuse_job(struct delivery *delivery, const struct ipc_deliver *deliver)
{
	const struct ipc_message m = { .type = IPC_RESULT,
		.fd = -1,
		.result_say = { .id = deliver->id,
		    .n_attempts = deliver->n_attempts,
		    .domain = deliver->domain,
		    .feedback = SCHEDULE_NOT_TRIED,
		    .host = "",
		    .evidence = "" } };

	channel_send(delivery->queue, &m);
}

static void take_job(struct delivery *delivery, struct ipc_message *m)
{
	struct job *job = find_job(delivery, m->deliver.id, m->deliver.domain);
	struct attempt_job wanted = { .n_attempts = m->deliver.n_attempts,
		.hurries = m->deliver.hurries != 0 };
	struct message message;
	uint32_t *places;

	if (job != NULL) {
		if (job->attempt == NULL)
			say_result(job);
		return;
	}
	if (delivery->is_outdated) {
		refuse_job(delivery, &m->deliver);
		return;
	}
	if (m->fd < 0 || strlen(m->deliver.domain) >= DOMAIN_MAX ||
	    !message_decode_job(m->deliver.mail, &message, &places)) {
		log_error(
		    "%s: the queue gave it to us without all that belongs to it: giving it back",
		    m->deliver.id);
		refuse_job(delivery, &m->deliver);
		return;
	}
	job = mem_create(sizeof *job);
	job->delivery = delivery;
	job->n_attempts = m->deliver.n_attempts;
	job->message = message;
	job->places = places;
	job->fd = m->fd;
	m->fd = -1;
	snprintf(job->domain, sizeof job->domain, "%s", m->deliver.domain);
	TAILQ_INSERT_TAIL(&delivery->jobs, job, link);
	wanted.message = &job->message;
	wanted.fd = job->fd;
	memcpy(wanted.domain, job->domain, sizeof wanted.domain);
	job->attempt = attempt_start(&delivery->attempts, &wanted, NULL, on_attempted, job);
}

static void on_attempted(const struct attempt_result *result, void *arg)
{
	struct job *job = arg;

	job->attempt = NULL;
	job->feedback = result->feedback;
	job->delays = result->delays;
	job->host = mem_copy_text(result->host);
	job->evidence = mem_copy_text(result->evidence);
	job->outcomes = (struct outcome *)(void *)mem_copy(
	    result->outcomes, result->n_outcomes * sizeof *job->outcomes);
	close(job->fd);
	job->fd = -1;
	say_result(job);
	say_counts(job->delivery, result);
}

/* What all of them together must not exceed is cut off each: texts first of all. */
static void cut_to_fit(struct outcome *o, size_t room)
{
	if (strlen(o->text) + strlen(o->who) + OUTCOME_HEAD <= room)
		return;
	o->who[0] = '\0';
	if (room > OUTCOME_HEAD && strlen(o->text) > room - OUTCOME_HEAD)
		o->text[room - OUTCOME_HEAD] = '\0';
}

static void say_result(const struct job *job)
{
	size_t n = job->message.n_recipients;
	size_t room = (ipc_type_most_bytes(IPC_RESULT) - RESULT_HEAD) / n;
	struct ipc_message m = { .type = IPC_RESULT,
		.fd = -1,
		.result_say = { .id = job->message.id,
		    .n_attempts = job->n_attempts,
		    .domain = job->domain,
		    .feedback = (uint8_t)job->feedback,
		    .host = job->host,
		    .evidence = job->evidence } };
	ipc_result_list *results = &m.result_say.results;

	if (job->delivery->queue == NULL)
		return; /* the next one will hear of it */
	results->items = mem_create(n * sizeof *results->items);
	for (size_t i = 0; i < n; i++) {
		if (job->outcomes[i].code == 0)
			continue;
		results->items[results->n] = (ipc_result){ job->places[i],
			(uint8_t)outcome_state(&job->outcomes[i]), job->outcomes[i] };
		cut_to_fit(&results->items[results->n++].outcome, room);
	}
	channel_send(job->delivery->queue, &m);
	free(results->items);
}

/* Should they get lost, a report is a little less complete. In messages of a moderate size each. */
static void say_counts(struct delivery *delivery, const struct attempt_result *result)
{
	struct ipc_message m = { .type = IPC_COUNTS, .fd = -1 };
	ipc_count_list *counts = &m.counts_say.counts;

	counts->items = mem_create((result->n_counts + 1) * sizeof *counts->items);
	for (size_t i = 0; i < result->n_counts && delivery->queue != NULL; i++) {
		const struct tls_count *c = &result->counts[i];

		counts->items[counts->n++] = (ipc_count){ .type = (uint8_t)c->type,
			.report_domain = c->report_domain,
			.domain = c->domain,
			.strings = c->strings,
			.patterns = c->patterns,
			.result = (uint8_t)c->result,
			.mx = c->mx,
			.address = c->address,
			.sender = c->sender,
			.reason = c->reason };
		if (counts->n < COUNTS_AT_ONCE && i + 1 < result->n_counts)
			continue;
		channel_send(delivery->queue, &m);
		counts->n = 0;
	}
	free(counts->items);
}

/* ---- the queue has it on disk ---- */

/* Where recipients went to different hosts, each was answered by its own. */
static const char *relay_of(const struct job *job, const struct outcome *o, char *text, size_t room)
{
	const char *host = job->host, *port = strrchr(host, ':');
	size_t n_who = strlen(o->who);

	if (n_who == 0 || o->who[n_who - 1] != ']' || port == NULL ||
	    strncmp(host, o->who, n_who) == 0)
		return host;
	snprintf(text, room, "%s%s", o->who, port);
	return text;
}

static void report_job(const struct job *job)
{
	char relay[OUTCOME_WHO_MAX + 8];

	for (size_t i = 0; i < job->message.n_recipients; i++) {
		const struct outcome *o = &job->outcomes[i];
		const struct report report = { .id = job->message.id,
			.recipient = job->message.recipients[i],
			.relay = relay_of(job, o, relay, sizeof relay),
			.delays = job->delays,
			.status = report_status_of(o),
			.outcome = o };

		if (o->code != 0)
			report_log(&report);
	}
}

static void forget_job(struct delivery *delivery, const struct ipc_result_kept *kept)
{
	struct job *job = find_job(delivery, kept->id, kept->domain);

	if (job == NULL || job->attempt != NULL)
		return;
	report_job(job);
	if (kept->is_gone)
		report_removed(kept->id);
	drop(job);
	leave_if_idle(delivery);
}

static void drop(struct job *job)
{
	TAILQ_REMOVE(&job->delivery->jobs, job, link);
	attempt_cancel(&job->attempt);
	if (job->fd >= 0)
		close(job->fd);
	message_finish(&job->message);
	free(job->places);
	free(job->host);
	free(job->evidence);
	free(job->outcomes);
	free(job);
}

/* ---- the end ---- */

/* From now on the queue gives its jobs to others. One that was on its way already is still done. */
static void say_leaving(struct delivery *delivery)
{
	const struct ipc_message m = { .type = IPC_LEAVING, .fd = -1 };

	if (delivery->queue != NULL)
		channel_send(delivery->queue, &m);
}

static void delivery_drain(void *self, enum drain_how how)
{
	struct delivery *delivery = self;

	delivery->is_draining = true;
	say_leaving(delivery);
	pool_stop(delivery->attempts.pool, leave_if_idle, delivery);
	switch (how) {
	case DRAIN_FINISH: leave_to_others(delivery); break;
	case DRAIN_SOON: timer_set(delivery->cut, DRAIN_SOON_MS); break;
	case DRAIN_NOW: leave(delivery); return;
	}
	leave_if_idle(delivery);
}

/*
 * What the operator demands now, a partner's rule or an account's floor, our plans do not know: mail
 * that has not been begun goes as the new configuration says.
 */
static void leave_to_others(struct delivery *delivery)
{
	struct job *job;

	delivery->is_outdated = true;
	TAILQ_FOREACH (job, &delivery->jobs, link) {
		if (job->attempt != NULL)
			attempt_leave(job->attempt);
	}
}

/* A receiver is told QUIT before the process goes. */
static void leave_if_idle(void *arg)
{
	struct delivery *delivery = arg;

	if (delivery->is_draining && TAILQ_EMPTY(&delivery->jobs) &&
	    pool_is_quiet(delivery->attempts.pool))
		leave(delivery);
}

/* What is left under way the queue gives to others, when our channel closes. */
static void leave(void *arg)
{
	struct delivery *delivery = arg;

	delivery->house->leave(delivery->house->leave_arg);
}

static void delivery_destroy(void *self)
{
	struct delivery *delivery = self;
	struct job *job;

	while ((job = TAILQ_FIRST(&delivery->jobs)) != NULL)
		drop(job);
	clients_finish(&delivery->queues);
	asker_destroy(&delivery->attempts.lookup);
	asker_destroy(&delivery->attempts.auth);
	pool_destroy(&delivery->attempts.pool);
	tls_context_destroy(&delivery->attempts.tls);
	timer_destroy(&delivery->cut);
	free(delivery);
}

const struct role_calls role_delivery = {
	.create = delivery_create,
	.meet = delivery_meet,
	.drain = delivery_drain,
	.destroy = delivery_destroy,
};
