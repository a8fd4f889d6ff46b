#include "relay/dispatch_job.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/evidence.h"
#include "relay/message_wire.h"
#include "relay/report.h"

enum {
	AGAIN_MS =
	    10000, /* when a notification could not be made, or a result of before is not settled */
	LIST_MAX = 20000,
	GIVE_BACK_WAIT_S = 10,     /* a job whose delivery died */
	WINDOW_PER_CONNECTION = 4, /* jobs in memory for each that can be out */
	HELD_MAX = 50000, /* jobs that one delivery can say to be at; it never has so many */
};

static void start_if_told(struct dispatch *d);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_closed(void *arg, struct channel *channel);
static void on_start(
    void *arg, struct spool_job *job, const struct outcome *site_down, bool hurries);
static void hand_out(struct job *job, bool hurries);
static void on_timer(void *arg);
static bool is_with_one_who_leaves(const struct job *job);
static void forget_held(struct job *job);
static void forget_result(struct job *job);
static void ask_whether_known(struct job *job);
static void on_entry(void *arg, const struct spool_entry *entry);
static bool may_go_out(const struct spool_entry *entry);

struct dispatch *dispatch_create(
    struct loop *loop, const struct config *config, struct spool *spool, struct post_office *office)
{
	struct dispatch *d = mem_create(sizeof *d);

	d->loop = loop;
	d->config = config;
	d->spool = spool;
	d->office = office;
	d->again_ms = AGAIN_MS;
	TAILQ_INIT(&d->workers);
	TAILQ_INIT(&d->inquiries);
	return d;
}

void job_destroy(struct job *job)
{
	HASH_DEL(job->dispatch->jobs, job);
	if (job->is_started)
		spool_job_finish(&job->job);
	letter_cancel(&job->post);
	timer_destroy(&job->timer);
	free(job->results);
	free(job->host);
	free(job->evidence);
	free(job);
}

void dispatch_destroy(struct dispatch **dispatch)
{
	struct dispatch *d = *dispatch;
	struct job *job, *next;
	struct worker *worker;
	struct inquiry *inquiry;

	if (d == NULL)
		return;
	*dispatch = NULL;
	while ((inquiry = TAILQ_FIRST(&d->inquiries)) != NULL) {
		TAILQ_REMOVE(&d->inquiries, inquiry, link);
		free(inquiry);
	}
	HASH_ITER (hh, d->jobs, job, next)
		job_destroy(job);
	spread_forget_all(d);
	while ((worker = TAILQ_FIRST(&d->workers)) != NULL) {
		TAILQ_REMOVE(&d->workers, worker, link);
		channel_destroy(&worker->channel);
		free(worker);
	}
	schedule_destroy(&d->schedule);
	free(d);
}

/* ---- deliveries come ---- */

void dispatch_meet(struct dispatch *d, struct channel *delivery)
{
	struct worker *worker = mem_create(sizeof *worker);

	worker->dispatch = d;
	worker->channel = delivery;
	channel_set_owner(delivery, on_message, on_closed, worker);
	TAILQ_INSERT_TAIL(&d->workers, worker, link);
}

void dispatch_start(struct dispatch *d)
{
	d->is_started = true;
	start_if_told(d);
}

void dispatch_stop(struct dispatch *d)
{
	d->is_stopped = true;
	if (d->schedule != NULL)
		schedule_stop(d->schedule);
}

void dispatch_close(struct dispatch *d)
{
	dispatch_stop(d);
	d->is_closing = true;
}

bool dispatch_is_storing(const struct dispatch *d)
{
	return d->n_storing > 0;
}

bool dispatch_has_deliveries(const struct dispatch *d)
{
	return !TAILQ_EMPTY(&d->workers);
}

struct schedule *dispatch_schedule(struct dispatch *d)
{
	return d->schedule;
}

void dispatch_set_patience(struct dispatch *d, int64_t again_ms)
{
	d->again_ms = again_ms;
}

void dispatch_on_alone(struct dispatch *d, loop_call *call, void *arg)
{
	d->alone = call;
	d->alone_arg = arg;
}

void dispatch_on_counts(struct dispatch *d, dispatch_counts *call, void *arg)
{
	d->counts = call;
	d->counts_arg = arg;
}

/* Nothing goes out before all that is out already is known. */
static void start_if_told(struct dispatch *d)
{
	const struct config_delivery *delivery = &d->config->delivery;
	const struct config_retry *retry = &d->config->retry;
	struct worker *worker;
	size_t n = 0;

	if (!d->is_started || d->is_stopped || d->schedule != NULL)
		return;
	TAILQ_FOREACH (worker, &d->workers, link) {
		if (!worker->has_told)
			return;
		n++;
	}
	n = n > 0 ? n : 1;
	d->settings = (struct schedule_settings){ .first_s = retry->first,
		.longest_s = retry->longest,
		.connections = (uint32_t)(delivery->connections * n),
		.connections_per_domain = delivery->connections_per_domain,
		.window = (uint32_t)(delivery->connections * n * WINDOW_PER_CONNECTION) };
	d->schedule = schedule_create(d->loop, d->spool, &d->settings, on_start, d);
	schedule_poke(d->schedule, clock_wall_s());
}

/* ---- jobs go out ---- */

static void make_key(char key[JOB_KEY_MAX], const char *id, const char *domain)
{
	snprintf(key, JOB_KEY_MAX, "%s %s", id, domain);
}

static struct job *find_job(struct dispatch *d, const char *id, const char *domain)
{
	char key[JOB_KEY_MAX];
	struct job *job;

	make_key(key, id, domain);
	HASH_FIND_STR(d->jobs, key, job);
	return job;
}

static struct job *add_job(struct dispatch *d, const char *id, const char *domain)
{
	struct job *job = mem_create(sizeof *job);

	job->dispatch = d;
	make_key(job->key, id, domain);
	job->timer = timer_create_in(d->loop, on_timer, job);
	HASH_ADD_STR(d->jobs, key, job);
	return job;
}

/* A site that is down: all recipients share the outcome, as if they had been tried. */
static void share_failure(struct job *job, const struct outcome *site_down)
{
	job->has_result = true;
	job->feedback = SCHEDULE_NOT_TRIED;
	job->host = mem_copy_text("");
	/* Not tried: another message for the domain met this just before. */
	job->evidence = mem_copy_text("achieved=none failed=site-down");
	job->n_results = job->job.message.n_recipients;
	job->results = mem_create(job->n_results * sizeof *job->results);
	for (size_t i = 0; i < job->n_results; i++) {
		job->results[i] =
		    (struct recipient_result){ job->job.places[i], RECIPIENT_WAITING, *site_down };
		report_deferred(&job->job.message, i, site_down);
	}
	job_settle(job);
}

/*
 * A sender who waives the receiver's TLS policies (RFC 8689 4.2.2) is not held back by them: a
 * connection that was lost may have been lost over TLS, one that never was may not.
 */
static bool concerns(const struct job *job, const struct outcome *site_down)
{
	return !job->job.message.tls_optional || strcmp(site_down->enhanced, "4.4.1") == 0;
}

static void on_start(
    void *arg, struct spool_job *spool_job, const struct outcome *site_down, bool hurries)
{
	struct dispatch *d = arg;
	struct job *job = find_job(d, spool_job->message.id, spool_job->domain);

	if (job == NULL)
		job = add_job(d, spool_job->message.id, spool_job->domain);
	assert(!job->is_started);
	timer_cancel(job->timer);
	job->is_started = true;
	job->job = *spool_job;
	if (job->has_result && job->n_attempts < spool_job->n_attempts)
		forget_result(job); /* it is of an attempt that was stored before our time */
	if (job->has_result)
		job_settle_told(job); /* a delivery brought it before we knew the job */
	else if (job->worker != NULL)
		return; /* a delivery that outlived the last queue is at it */
	else if (site_down != NULL && concerns(job, site_down))
		share_failure(job, site_down);
	else
		hand_out(job, hurries);
}

static void forget_result(struct job *job)
{
	job_acknowledge(job, false);
	job_release(job);
	free(job->results);
	free(job->host);
	free(job->evidence);
	job->results = NULL;
	job->host = job->evidence = NULL;
	job->n_results = 0;
	job->has_result = false;
}

void job_release(struct job *job)
{
	if (job->worker != NULL)
		job->worker->n_jobs--;
	job->worker = NULL;
}

static void acknowledge(struct worker *worker, const char *id, const char *domain, bool is_gone)
{
	const struct ipc_message m = {
		.type = IPC_RESULT_KEPT, .fd = -1, .result_kept = { id, domain, is_gone }
	};

	channel_send(worker->channel, &m);
}

/* The delivery says what became of the recipients, and then that the message has gone. */
void job_acknowledge(const struct job *job, bool is_gone)
{
	size_t n_id = strcspn(job->key, " ");
	char id[QUEUE_ID_MAX];

	snprintf(id, sizeof id, "%.*s", (int)n_id, job->key);
	if (job->worker != NULL)
		acknowledge(job->worker, id, job->key + n_id + 1, is_gone);
	else if (is_gone)
		report_removed(id);
}

static void give_back(struct job *job, int64_t wait_s)
{
	struct dispatch *d = job->dispatch;
	char domain[DOMAIN_MAX];

	spool_give_back(d->spool, job->job.message.id, job->job.domain, clock_wall_s() + wait_s);
	snprintf(domain, sizeof domain, "%s", job->job.domain);
	job_acknowledge(job, false);
	job_release(job);
	job_destroy(job);
	schedule_done(d->schedule, domain, SCHEDULE_NOT_TRIED, NULL);
	schedule_poke(d->schedule, clock_wall_s() + wait_s);
}

/* schedule_done() must not follow from inside the schedule's call: the timer comes back to it. */
void job_give_back_soon(struct job *job)
{
	timer_set(job->timer, 0);
}

static void hand_out(struct job *job, bool hurries)
{
	struct dispatch *d = job->dispatch;
	struct worker *worker = spread_choose(d, job->job.domain);
	struct ipc_message m = { .type = IPC_DELIVER, .fd = -1 };
	struct buffer mail;

	if (worker == NULL || d->is_stopped) {
		job_give_back_soon(job);
		return;
	}
	m.fd = spool_open_segment(d->spool, job->job.message.segment);
	if (m.fd < 0) {
		if (errno == ENOENT) /* it was removed meanwhile; or else it is to be looked at */
			spool_set_aside(d->spool, job->job.message.id, "its segment is gone");
		else
			log_error("%s: its segment cannot be opened: %s [disk-error]",
			    job->job.message.id, strerror(errno));
		job_give_back_soon(job);
		return;
	}
	buffer_init(&mail, MESSAGE_WIRE_MAX);
	message_encode_job(&job->job.message, job->job.places, &mail);
	m.deliver.id = job->job.message.id;
	m.deliver.domain = job->job.domain;
	m.deliver.mail = (struct slice){ mail.bytes, mail.n };
	m.deliver.n_attempts = job->job.n_attempts;
	m.deliver.hurries = hurries;
	log_info("%s: from=<%s>, size=%llu, nrcpt=%zu (queue active)", job->job.message.id,
	    job->job.message.sender,
	    (unsigned long long)(job->job.message.header.length + job->job.message.body.length),
	    job->job.message.n_recipients);
	channel_send(worker->channel, &m);
	buffer_finish(&mail);
	close(m.fd);
	job->worker = worker;
	worker->n_jobs++;
}

/* ---- results come back ---- */

static bool can_be_job(const char *id, const char *domain)
{
	return queue_id_is_valid(id, strlen(id)) && strlen(domain) < DOMAIN_MAX;
}

static char *copy_cut(const char *text, size_t room)
{
	return mem_copy(text, strnlen(text, room - 1));
}

static void keep_result(struct job *job, const struct ipc_message *m)
{
	const ipc_result_list *results = &m->result_say.results;

	job->has_result = true;
	job->n_attempts = m->result_say.n_attempts;
	job->feedback = (enum schedule_feedback)m->result_say.feedback;
	job->host = copy_cut(m->result_say.host, OUTCOME_WHO_MAX);
	job->evidence = copy_cut(m->result_say.evidence, EVIDENCE_MAX);
	job->n_results = results->n;
	job->results = mem_create(results->n * sizeof *job->results);
	for (size_t i = 0; i < results->n; i++)
		job->results[i] = (struct recipient_result){ results->items[i].recipient,
			(enum recipient_state)results->items[i].state, results->items[i].outcome };
}

static void on_result(struct worker *worker, const struct ipc_message *m)
{
	struct dispatch *d = worker->dispatch;
	struct job *job = find_job(d, m->result_say.id, m->result_say.domain);

	if (job == NULL) {
		/* Already settled, by the queue before us or by us: its word came twice. */
		acknowledge(worker, m->result_say.id, m->result_say.domain, false);
		return;
	}
	if (job->worker != worker) {
		log_warning("%s: a delivery brings a result for a job that is not its own",
		    m->result_say.id);
		acknowledge(worker, m->result_say.id, m->result_say.domain, false);
		return;
	}
	if (job->has_result || d->is_closing)
		return;
	keep_result(job, m);
	if (job->is_started) {
		job_settle_told(job);
		return;
	}
	ask_whether_known(job);
}

/*
 * Has the queue before us stored this result, and died before it could say so? As long as the job may
 * go out again its result is kept, however long its turn does not come: nothing is sent twice.
 */
static void ask_whether_known(struct job *job)
{
	struct inquiry *inquiry = mem_create(sizeof *inquiry);
	char id[QUEUE_ID_MAX];

	inquiry->dispatch = job->dispatch;
	TAILQ_INSERT_TAIL(&job->dispatch->inquiries, inquiry, link);
	memcpy(inquiry->key, job->key, sizeof inquiry->key);
	inquiry->n_attempts = job->n_attempts;
	snprintf(id, sizeof id, "%.*s", (int)strcspn(job->key, " "), job->key);
	spool_list(job->dispatch->spool, id, NULL, true, LIST_MAX, on_entry, inquiry);
}

static void on_entry(void *arg, const struct spool_entry *entry)
{
	struct inquiry *inquiry = arg;
	const char *domain = inquiry->key + strcspn(inquiry->key, " ") + 1;
	struct job *job;

	if (entry != NULL) {
		const char *at = strrchr(entry->recipient, '@');

		if (at == NULL || strcmp(at + 1, domain) != 0)
			return;
		inquiry->is_known = true;
		if (may_go_out(entry) && entry->n_attempts <= inquiry->n_attempts)
			inquiry->still_waits = true;
		return;
	}
	HASH_FIND_STR(inquiry->dispatch->jobs, inquiry->key, job);
	if (job != NULL && !job->is_started && job->has_result) {
		if (inquiry->is_known && !inquiry->still_waits)
			forget_held(job);
		else /* its turn comes; or the administrator removes it, or the disk can be read again */
			timer_set(job->timer, inquiry->dispatch->again_ms);
	}
	TAILQ_REMOVE(&inquiry->dispatch->inquiries, inquiry, link);
	free(inquiry);
}

/* What was set aside does, when the administrator says so. */
static bool may_go_out(const struct spool_entry *entry)
{
	return strcmp(entry->state, "waiting") == 0 || strcmp(entry->state, "set aside") == 0;
}

/*
 * Said once, first of all: what a delivery held later nobody has given it, and each that it names is
 * kept from the others.
 */
static void on_held(struct worker *worker, const ipc_held_list *held)
{
	struct dispatch *d = worker->dispatch;
	size_t n = held->n < HELD_MAX ? held->n : HELD_MAX;

	if (worker->has_told)
		return;
	for (size_t i = 0; i < n; i++) {
		struct job *job;

		if (!can_be_job(held->items[i].id, held->items[i].domain))
			continue;
		job = find_job(d, held->items[i].id, held->items[i].domain);
		if (job != NULL)
			continue;
		job = add_job(d, held->items[i].id, held->items[i].domain);
		job->worker = worker;
		worker->n_jobs++;
	}
	worker->has_told = true;
	start_if_told(d);
}

/* A delivery speaks with strangers: what it says is held to the bounds it should keep. */
static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct worker *worker = arg;

	(void)channel;
	if (m->type == IPC_HELD)
		on_held(worker, &m->held_jobs.jobs);
	else if (m->type == IPC_LEAVING)
		worker->is_leaving = true;
	else if (m->type == IPC_RESULT && m->result_say.feedback <= SCHEDULE_NOT_TRIED &&
		 can_be_job(m->result_say.id, m->result_say.domain))
		on_result(worker, m);
	else if (m->type == IPC_COUNTS && worker->dispatch->counts != NULL)
		worker->dispatch->counts(worker->dispatch->counts_arg, &m->counts_say);
}

/* What it was at is given to another; what it had finished is settled all the same. */
static void on_closed(void *arg, struct channel *channel)
{
	struct worker *worker = arg;
	struct dispatch *d = worker->dispatch;
	struct job *job, *next;

	(void)channel;
	HASH_ITER (hh, d->jobs, job, next) {
		if (job->worker != worker)
			continue;
		job->worker = NULL;
		if (job->has_result)
			continue;
		if (!job->is_started) {
			job_destroy(job);
			continue;
		}
		log_info("%s: the delivery that was at it for %s has ended, and nobody knows what "
			 "came of that: it is tried again [attempt-broken-off]",
		    job->job.message.id, job->job.domain);
		give_back(job, d->is_stopped ? 0 : GIVE_BACK_WAIT_S);
	}
	spread_forget(d, worker);
	TAILQ_REMOVE(&d->workers, worker, link);
	channel_destroy(&worker->channel);
	free(worker);
	start_if_told(d);
	if (TAILQ_EMPTY(&d->workers) && d->alone != NULL)
		d->alone(d->alone_arg);
}

/* It was settled before, and the delivery waits to hear so. */
static void forget_held(struct job *job)
{
	job_acknowledge(job, false);
	job_release(job);
	job_destroy(job);
}

static void on_timer(void *arg)
{
	struct job *job = arg;

	if (!job->is_started)
		ask_whether_known(job);
	else if (job->has_result && job->n_results > 0)
		job_settle(job);
	else
		give_back(job, is_with_one_who_leaves(job) ? 0 : GIVE_BACK_WAIT_S);
}

/* After a reload it was left to others: nothing was wrong, and that delivery gets it no more. */
static bool is_with_one_who_leaves(const struct job *job)
{
	return job->worker != NULL && job->worker->is_leaving;
}
