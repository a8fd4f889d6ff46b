#include "relay/dispatch.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>
#include <uthash.h>

#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/message_wire.h"
#include "relay/outcome.h"
#include "relay/report.h"

enum {
	KEY_MAX = QUEUE_ID_MAX + DOMAIN_MAX,
	AGAIN_MS = 10000,         /* when a notification could not be made */
	POSTS_MAX = 6,            /* then the failed delivery itself is deferred */
	HELD_LONGEST_MS = 600000, /* a result of before, whose job nobody hands out again */
	LIST_MAX = 20000,
	GIVE_BACK_WAIT_S = 10,     /* a job whose delivery died */
	WINDOW_PER_CONNECTION = 4, /* jobs in memory for each that can be out */
};

struct worker {
	TAILQ_ENTRY(worker) link;
	struct dispatch *dispatch;
	struct channel *channel;
	size_t n_jobs;
	bool has_told;   /* what it holds */
	bool is_leaving; /* takes nothing new */
};

struct job {
	UT_hash_handle hh;
	char key[KEY_MAX]; /* "ID DOMAIN" */
	struct dispatch *dispatch;
	struct worker *worker; /* NULL: with nobody */
	bool is_started;       /* by the schedule: job is filled */
	struct spool_job job;

	/* what came of it */
	bool has_result;
	uint32_t n_attempts; /* made before the one that brought the result */
	enum schedule_feedback feedback;
	struct recipient_result *results;
	size_t n_results;
	char *host, *evidence;
	struct outcome why; /* for the schedule: of the last recipient that waits */
	struct bounce_post *post;
	size_t n_posts;      /* that brought no notification */
	struct timer *timer; /* try the notification again, or give up waiting for the schedule */
};

/* A question to the spool about a result of before. */
struct inquiry {
	TAILQ_ENTRY(inquiry) link;
	struct dispatch *dispatch;
	char key[KEY_MAX];
	uint32_t n_attempts;
	bool still_waits;
};

struct dispatch {
	struct loop *loop;
	const struct config *config;
	struct spool *spool;
	struct post_office *office;
	struct schedule *schedule;
	struct schedule_settings settings;
	TAILQ_HEAD(, worker) workers;
	TAILQ_HEAD(, inquiry) inquiries;
	struct job *jobs;
	int64_t again_ms;
	size_t n_storing; /* settlements under way */
	bool is_closing;
	bool is_started, is_stopped;
	loop_call *alone;
	void *alone_arg;
};

static void start_if_told(struct dispatch *d);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_closed(void *arg, struct channel *channel);
static void on_start(void *arg, struct spool_job *job, const struct outcome *site_down);
static void hand_out(struct job *job);
static size_t find_place(const struct job *job, uint32_t place);
static void settle_ours(struct job *job);
static void settle(struct job *job);
static void on_posted(void *arg, const struct outcome *why, const struct message *bounce);
static void unfail(struct job *job);
static void on_settled(void *arg, const struct outcome *outcome);
static void on_timer(void *arg);
static void release(struct job *job);
static void forget_held(struct job *job);
static void forget_result(struct job *job);
static void acknowledge_held(const struct job *job);
static void ask_whether_known(struct job *job);
static void on_entry(void *arg, const struct spool_entry *entry);

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

static void job_destroy(struct job *job)
{
	HASH_DEL(job->dispatch->jobs, job);
	if (job->is_started)
		spool_job_finish(&job->job);
	bounce_post_cancel(&job->post);
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

static void make_key(char key[KEY_MAX], const char *id, const char *domain)
{
	snprintf(key, KEY_MAX, "%s %s", id, domain);
}

static struct job *find_job(struct dispatch *d, const char *id, const char *domain)
{
	char key[KEY_MAX];
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

static const char *address_of(const struct job *job, uint32_t place)
{
	size_t at = find_place(job, place);

	return at < job->job.message.n_recipients ? job->job.message.recipients[at] : NULL;
}

/* A site that is down: all recipients share the outcome, as if they had been tried. */
static void share_failure(struct job *job, const struct outcome *site_down)
{
	job->has_result = true;
	job->feedback = SCHEDULE_NOT_TRIED;
	job->host = mem_copy_text("");
	job->evidence = mem_copy_text("not tried: the site does not answer at present");
	job->n_results = job->job.message.n_recipients;
	job->results = mem_create(job->n_results * sizeof *job->results);
	for (size_t i = 0; i < job->n_results; i++) {
		job->results[i] =
		    (struct recipient_result){ job->job.places[i], RECIPIENT_WAITING, *site_down };
		report_deferred(&job->job.message, i, site_down);
	}
	settle(job);
}

static void on_start(void *arg, struct spool_job *spool_job, const struct outcome *site_down)
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
		settle_ours(job); /* a delivery brought it before we knew the job */
	else if (job->worker != NULL)
		return; /* a delivery that outlived the last queue is at it */
	else if (site_down != NULL)
		share_failure(job, site_down);
	else
		hand_out(job);
}

static void forget_result(struct job *job)
{
	acknowledge_held(job);
	release(job);
	free(job->results);
	free(job->host);
	free(job->evidence);
	job->results = NULL;
	job->host = job->evidence = NULL;
	job->n_results = 0;
	job->has_result = false;
}

static struct worker *least_busy(struct dispatch *d)
{
	struct worker *best = NULL, *worker;

	TAILQ_FOREACH (worker, &d->workers, link) {
		if (!worker->is_leaving && (best == NULL || worker->n_jobs < best->n_jobs))
			best = worker;
	}
	return best;
}

static void release(struct job *job)
{
	if (job->worker != NULL)
		job->worker->n_jobs--;
	job->worker = NULL;
}

static void acknowledge(struct worker *worker, const char *id, const char *domain)
{
	const struct ipc_message m = {
		.type = IPC_RESULT_KEPT, .fd = -1, .result_kept = { id, domain }
	};

	channel_send(worker->channel, &m);
}

static void acknowledge_held(const struct job *job)
{
	size_t n_id = strcspn(job->key, " ");
	char id[QUEUE_ID_MAX];

	if (job->worker == NULL)
		return;
	snprintf(id, sizeof id, "%.*s", (int)n_id, job->key);
	acknowledge(job->worker, id, job->key + n_id + 1);
}

static void give_back(struct job *job, int64_t wait_s)
{
	struct dispatch *d = job->dispatch;
	char domain[DOMAIN_MAX];

	spool_give_back(d->spool, job->job.message.id, job->job.domain, clock_wall_s() + wait_s);
	snprintf(domain, sizeof domain, "%s", job->job.domain);
	if (job->worker != NULL)
		acknowledge(job->worker, job->job.message.id, domain);
	release(job);
	job_destroy(job);
	schedule_done(d->schedule, domain, SCHEDULE_NOT_TRIED, NULL);
	schedule_poke(d->schedule, clock_wall_s() + wait_s);
}

/* schedule_done() must not follow from inside the schedule's call: the timer comes back to it. */
static void give_back_soon(struct job *job)
{
	timer_set(job->timer, 0);
}

static void hand_out(struct job *job)
{
	struct dispatch *d = job->dispatch;
	struct worker *worker = least_busy(d);
	struct ipc_message m = { .type = IPC_DELIVER, .fd = -1 };
	struct buffer mail;

	if (worker == NULL || d->is_stopped) {
		give_back_soon(job);
		return;
	}
	m.fd = spool_open_segment(d->spool, job->job.message.segment);
	if (m.fd < 0) {
		if (errno == ENOENT) /* it was removed meanwhile; or else it is to be looked at */
			spool_set_aside(d->spool, job->job.message.id, "its segment is gone");
		else
			log_error("%s: its segment cannot be opened: %s [disk-error]",
			    job->job.message.id, strerror(errno));
		give_back_soon(job);
		return;
	}
	buffer_init(&mail, MESSAGE_WIRE_MAX);
	message_encode_job(&job->job.message, job->job.places, &mail);
	m.deliver.id = job->job.message.id;
	m.deliver.domain = job->job.domain;
	m.deliver.mail = (struct slice){ mail.bytes, mail.n };
	m.deliver.n_attempts = job->job.n_attempts;
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

static void keep_result(struct job *job, const struct ipc_message *m)
{
	const ipc_result_list *results = &m->result_say.results;

	job->has_result = true;
	job->n_attempts = m->result_say.n_attempts;
	job->feedback = (enum schedule_feedback)m->result_say.feedback;
	job->host = mem_copy_text(m->result_say.host);
	job->evidence = mem_copy_text(m->result_say.evidence);
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
		acknowledge(worker, m->result_say.id, m->result_say.domain);
		return;
	}
	if (job->worker != worker) {
		log_warning("%s: a delivery brings a result for a job that is not its own",
		    m->result_say.id);
		acknowledge(worker, m->result_say.id, m->result_say.domain);
		return;
	}
	if (job->has_result || d->is_closing)
		return;
	keep_result(job, m);
	if (job->is_started) {
		settle_ours(job);
		return;
	}
	timer_set(job->timer, HELD_LONGEST_MS);
	ask_whether_known(job);
}

/* Has the queue before us stored this result, and died before it could say so? */
static void ask_whether_known(struct job *job)
{
	struct inquiry *inquiry = mem_create(sizeof *inquiry);
	char id[QUEUE_ID_MAX];

	inquiry->dispatch = job->dispatch;
	TAILQ_INSERT_TAIL(&job->dispatch->inquiries, inquiry, link);
	memcpy(inquiry->key, job->key, sizeof inquiry->key);
	inquiry->n_attempts = job->n_attempts;
	snprintf(id, sizeof id, "%.*s", (int)strcspn(job->key, " "), job->key);
	spool_list(job->dispatch->spool, id, NULL, false, LIST_MAX, on_entry, inquiry);
}

static void on_entry(void *arg, const struct spool_entry *entry)
{
	struct inquiry *inquiry = arg;
	const char *domain = inquiry->key + strcspn(inquiry->key, " ") + 1;
	struct job *job;

	if (entry != NULL) {
		const char *at = strrchr(entry->recipient, '@');

		if (at != NULL && strcmp(at + 1, domain) == 0 &&
		    strcmp(entry->state, "waiting") == 0 &&
		    entry->n_attempts <= inquiry->n_attempts)
			inquiry->still_waits = true;
		return;
	}
	HASH_FIND_STR(inquiry->dispatch->jobs, inquiry->key, job);
	if (job != NULL && !job->is_started && job->has_result && !inquiry->still_waits)
		forget_held(job);
	TAILQ_REMOVE(&inquiry->dispatch->inquiries, inquiry, link);
	free(inquiry);
}

static void on_held(struct worker *worker, const ipc_held_list *held)
{
	struct dispatch *d = worker->dispatch;

	for (size_t i = 0; i < held->n; i++) {
		struct job *job = find_job(d, held->items[i].id, held->items[i].domain);

		if (job != NULL)
			continue;
		job = add_job(d, held->items[i].id, held->items[i].domain);
		job->worker = worker;
		worker->n_jobs++;
	}
	worker->has_told = true;
	start_if_told(d);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct worker *worker = arg;

	(void)channel;
	if (m->type == IPC_HELD)
		on_held(worker, &m->held_jobs.jobs);
	else if (m->type == IPC_LEAVING)
		worker->is_leaving = true;
	else if (m->type == IPC_RESULT && m->result_say.feedback <= SCHEDULE_NOT_TRIED)
		on_result(worker, m);
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
		if (job->is_started)
			give_back(job, d->is_stopped ? 0 : GIVE_BACK_WAIT_S);
		else
			job_destroy(job);
	}
	TAILQ_REMOVE(&d->workers, worker, link);
	channel_destroy(&worker->channel);
	free(worker);
	start_if_told(d);
	if (TAILQ_EMPTY(&d->workers) && d->alone != NULL)
		d->alone(d->alone_arg);
}

/* ---- results go to disk ---- */

/* Where the recipient stands in the job; job->job.message.n_recipients if nowhere. */
static size_t find_place(const struct job *job, uint32_t place)
{
	size_t i = 0;

	while (i < job->job.message.n_recipients && job->job.places[i] != place)
		i++;
	return i;
}

/*
 * A delivery reads what strangers send: it is believed what became of each recipient of its job,
 * once, and nothing of anybody else.
 */
static void settle_ours(struct job *job)
{
	size_t n_recipients = job->job.message.n_recipients, n = 0;
	bool *is_known = mem_create(n_recipients * sizeof *is_known);

	for (size_t i = 0; i < job->n_results; i++) {
		size_t at = find_place(job, job->results[i].recipient);

		if (at == n_recipients || is_known[at] || job->results[i].state > RECIPIENT_FAILED)
			continue;
		is_known[at] = true;
		job->results[n++] = job->results[i];
	}
	free(is_known);
	job->n_results = n;
	settle(job);
}

/* What the last attempt deferred has failed; the outcome stays that of the attempt. */
static void expire(struct job *job)
{
	bool expired = false;

	if (!schedule_is_last_try(clock_wall_s(), job->job.message.expires_s))
		return;
	for (size_t i = 0; i < job->n_results; i++) {
		if (job->results[i].state != RECIPIENT_WAITING)
			continue;
		job->results[i].state = RECIPIENT_FAILED;
		expired = true;
	}
	if (expired)
		report_expired(&job->job.message);
}

static size_t list_failed(const struct job *job, struct bounce_recipient *failed)
{
	size_t n = 0;

	for (size_t i = 0; i < job->n_results; i++) {
		const char *address = address_of(job, job->results[i].recipient);

		if (job->results[i].state == RECIPIENT_FAILED && address != NULL)
			failed[n++] = (struct bounce_recipient){ address, job->results[i].outcome };
	}
	return n;
}

static void store(struct job *job, const struct message *bounce)
{
	struct dispatch *d = job->dispatch;
	const struct message *m = &job->job.message;
	int64_t next_s = schedule_next_try(
	    &d->settings, job->job.n_attempts + 1, m->id, clock_wall_s(), m->expires_s);
	const struct spool_settlement settlement = { .id = m->id,
		.results = job->results,
		.n_results = job->n_results,
		.next_try_s = next_s,
		.host = job->host,
		.evidence = job->evidence,
		.bounce = bounce };

	for (size_t i = 0; i < job->n_results; i++) {
		if (job->results[i].state == RECIPIENT_WAITING)
			job->why = job->results[i].outcome;
	}
	d->n_storing++;
	spool_settle(d->spool, &settlement, on_settled, job);
}

/* NULL if the message is whole, as far as the delivery could see. */
static const struct outcome *find_corrupt(const struct job *job)
{
	for (size_t i = 0; i < job->n_results; i++) {
		if (outcome_is_corrupt(&job->results[i].outcome))
			return &job->results[i].outcome;
	}
	return NULL;
}

/* Neither sent nor bounced: only the administrator can tell what it was. */
static void set_aside(struct job *job, const struct outcome *why)
{
	spool_set_aside(job->dispatch->spool, job->job.message.id, why->text);
	job->n_results = 0;
	give_back_soon(job);
}

static void settle(struct job *job)
{
	const struct outcome *corrupt = find_corrupt(job);
	struct bounce_recipient *failed;
	size_t n_failed;

	if (job->n_results == 0) {
		give_back_soon(job); /* the delivery could not even begin */
		return;
	}
	if (corrupt != NULL) {
		set_aside(job, corrupt);
		return;
	}
	expire(job);
	failed = mem_create(job->n_results * sizeof *failed);
	n_failed = list_failed(job, failed);
	if (n_failed > 0 && bounce_is_due(&job->job.message))
		job->post = bounce_post_start(
		    job->dispatch->office, &job->job.message, failed, n_failed, on_posted, job);
	else
		store(job, NULL);
	free(failed);
}

static void on_posted(void *arg, const struct outcome *why, const struct message *bounce)
{
	struct job *job = arg;

	job->post = NULL;
	if (bounce != NULL) {
		report_notification(&job->job.message, bounce);
		store(job, bounce);
		return;
	}
	/* A failure nobody is told of would be a message lost: it waits for its notification. */
	if (++job->n_posts < POSTS_MAX) {
		log_warning("%s: its notification cannot be made now (%s): trying again",
		    job->job.message.id, why->text);
		timer_set(job->timer, job->dispatch->again_ms);
		return;
	}
	log_warning("%s: its notification cannot be made (%s): its delivery will be tried once "
		    "more, later",
	    job->job.message.id, why->text);
	unfail(job);
	store(job, NULL);
}

/* Without its notification it has not failed: it waits as any other, and others get its place. */
static void unfail(struct job *job)
{
	for (size_t i = 0; i < job->n_results; i++) {
		if (job->results[i].state == RECIPIENT_FAILED)
			job->results[i].state = RECIPIENT_WAITING;
	}
}

static void on_settled(void *arg, const struct outcome *outcome)
{
	struct job *job = arg;
	struct dispatch *d = job->dispatch;
	const struct message *m = &job->job.message;
	enum schedule_feedback feedback = job->feedback;
	bool waits = job->why.code != 0;
	struct outcome why = job->why;
	char domain[DOMAIN_MAX];
	int64_t next_s;

	d->n_storing--;
	if (!outcome_is_ok(outcome)) {
		log_warning(
		    "%s: its result cannot be stored now (%s): trying again", m->id, outcome->text);
		post_office_drop_segment(d->office);
		timer_set(job->timer, job->dispatch->again_ms);
		return;
	}
	next_s = schedule_next_try(
	    &d->settings, job->job.n_attempts + 1, m->id, clock_wall_s(), m->expires_s);
	snprintf(domain, sizeof domain, "%s", job->job.domain);
	if (job->worker != NULL)
		acknowledge(job->worker, m->id, domain);
	release(job);
	job_destroy(job);
	if (feedback == SCHEDULE_SITE_DOWN && !waits)
		feedback = SCHEDULE_SITE_ANSWERED; /* nothing to tell the others */
	schedule_done(d->schedule, domain, feedback, feedback == SCHEDULE_SITE_DOWN ? &why : NULL);
	if (waits)
		schedule_poke(d->schedule, next_s);
	/* A notification is due at once. */
	schedule_poke(d->schedule, clock_wall_s());
}

/* The schedule never came for it: it was settled before, and the delivery waits to hear so. */
static void forget_held(struct job *job)
{
	acknowledge_held(job);
	release(job);
	job_destroy(job);
}

static void on_timer(void *arg)
{
	struct job *job = arg;

	if (!job->is_started)
		forget_held(job);
	else if (job->has_result && job->n_results > 0)
		settle(job);
	else
		give_back(job, GIVE_BACK_WAIT_S);
}
