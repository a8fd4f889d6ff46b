/*
 * Results go to disk: what has expired, what failed and needs a notification first, what cannot be
 * read, and what waits. Only then is a delivery told to forget.
 */
#include "relay/dispatch_job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/outcome.h"
#include "relay/report.h"

enum { POSTS_MAX = 6 }; /* notifications that could not be made; then the delivery waits */

static size_t find_place(const struct job *job, uint32_t place);
static void on_posted(void *arg, const struct outcome *why, const struct message *bounce);
static void unfail(struct job *job);
static void on_settled(void *arg, const struct outcome *outcome, bool is_gone);

static const char *address_of(const struct job *job, uint32_t place)
{
	size_t at = find_place(job, place);

	return at < job->job.message.n_recipients ? job->job.message.recipients[at] : NULL;
}

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
void job_settle_told(struct job *job)
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
	job_settle(job);
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
	job_give_back_soon(job);
}

void job_settle(struct job *job)
{
	const struct outcome *corrupt = find_corrupt(job);
	struct bounce_recipient *failed;
	size_t n_failed;

	if (job->n_results == 0) {
		job_give_back_soon(job); /* the delivery could not even begin */
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

static void on_settled(void *arg, const struct outcome *outcome, bool is_gone)
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
	job_acknowledge(job, is_gone);
	job_release(job);
	job_destroy(job);
	if (feedback == SCHEDULE_SITE_DOWN && !waits)
		feedback = SCHEDULE_SITE_ANSWERED; /* nothing to tell the others */
	schedule_done(d->schedule, domain, feedback, feedback == SCHEDULE_SITE_DOWN ? &why : NULL);
	if (waits)
		schedule_poke(d->schedule, next_s);
	/* A notification is due at once. */
	schedule_poke(d->schedule, clock_wall_s());
}
