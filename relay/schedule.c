#include "relay/schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "relay/base/clock.h"
#include "relay/base/map.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"
#include "relay/schedule_site.h"

enum {
	LOOK_AGAIN_MS = 60 * 1000, /* at the latest: the wall clock may have been set */
	RECIPIENTS_PER_JOB = 20,   /* on average, over the window */
	SLOW_MS = 1000,            /* what takes longer gives its place to others, */
	SLOW_PLACES = 3, /* as long as there are no more such than this times connections */
	SITE_SHARE = 8,  /* of the window's free part a site may fill one in so many */
	SURE_SHARE = 4,  /* one place in so many is not for what was tried in vain before */
	PUT_OFF_S = 30,  /* what was, while too much of it waits; at least */
};

static void on_soon(void *arg);
static void note_slow(struct schedule *s);
static bool may_be_slow(const struct schedule *s, const struct running *running);
static void start_in_turn(struct schedule *s);
static struct site *next_in_turn(struct schedule *s);
static size_t n_places(const struct schedule *s);
static bool has_no_place(const struct schedule *s, const struct site *site, int64_t now_ms);
static bool is_doubtful(const struct site *site, const struct spool_job *job, int64_t now_ms);
static bool is_crowding(const struct schedule *s, const struct site *site);
static bool start_one(struct schedule *s, struct site *site, int64_t now_ms);
static bool may_start(const struct schedule *s, const struct site *site, int64_t now_ms);
static void note_started(
    struct schedule *s, struct site *site, const struct spool_job *job, int64_t now_ms);
static void note_done(struct schedule *s, struct site *site);
static void refill(struct schedule *s);
static size_t n_held(const struct schedule *s);
static const char **full_sites(struct schedule *s, size_t *n);
static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s);
static bool take(struct schedule *s, struct spool_job *job);
static void put_off(struct schedule *s, struct spool_job *job);
static void note_due(struct schedule *s, int64_t due_s);
static bool is_full(const struct schedule *s, const struct site *site);
static size_t site_share(const struct schedule *s);
static void wait_for_due(struct schedule *s);
static int64_t next_slow_in_ms(const struct schedule *s);
static void on_later(void *arg);

struct schedule *schedule_create(struct loop *loop, struct spool *spool,
    const struct schedule_settings *settings, schedule_start *start, void *arg)
{
	struct schedule *s = mem_create(sizeof *s);

	assert(settings->connections > 0 && settings->connections_per_domain > 0);
	s->spool = spool;
	s->settings = *settings;
	if (s->settings.window < settings->connections)
		s->settings.window = settings->connections;
	if (s->settings.slow_ms == 0)
		s->settings.slow_ms = SLOW_MS;
	s->start = start;
	s->arg = arg;
	map_init(&s->sites);
	TAILQ_INIT(&s->turn);
	TAILQ_INIT(&s->news);
	TAILQ_INIT(&s->fresh);
	s->soon = timer_create_in(loop, on_soon, s);
	s->later = timer_create_in(loop, on_later, s);
	timer_set(s->soon, 0); /* next_due_s is 0: whatever the spool holds may be due */
	return s;
}

void schedule_destroy(struct schedule **schedule)
{
	struct schedule *s = *schedule;
	struct site *site;
	const char *domain;
	size_t at = 0;

	if (s == NULL)
		return;
	timer_destroy(&s->soon);
	timer_destroy(&s->later);
	while ((site = map_next(&s->sites, &at, &domain)) != NULL)
		site_destroy(site);
	map_finish(&s->sites);
	free(s);
	*schedule = NULL;
}

void schedule_stop(struct schedule *s)
{
	s->is_stopped = true;
	timer_cancel(s->soon);
	timer_cancel(s->later);
}

void schedule_poke(struct schedule *s, int64_t due_s)
{
	s->has_news = s->has_news || due_s <= clock_wall_s();
	note_due(s, due_s);
}

static void note_due(struct schedule *s, int64_t due_s)
{
	if (due_s < s->next_due_s)
		s->next_due_s = due_s;
	if (!s->is_stopped && !timer_is_set(s->soon))
		timer_set(s->soon, 0);
}

void schedule_wake(struct schedule *s)
{
	struct site *site;
	const char *domain;
	size_t at = 0;

	while ((site = map_next(&s->sites, &at, &domain)) != NULL)
		site_end_rest(s, site);
	schedule_poke(s, 0);
}

static void on_soon(void *arg)
{
	struct schedule *s = arg;

	if (s->is_stopped)
		return;
	note_slow(s);
	start_in_turn(s);
	refill(s);
	wait_for_due(s);
}

/*
 * A receiver that takes minutes to say a word, or never does, costs us little but its place. So what
 * takes long is not counted any more: or a few such would keep all other mail waiting (O7, R25).
 */
static void note_slow(struct schedule *s)
{
	int64_t long_ago_ms = clock_monotonic_ms() - s->settings.slow_ms;
	struct running *running, *next;

	for (running = TAILQ_FIRST(&s->fresh); running != NULL && running->since_ms <= long_ago_ms;
	     running = next) {
		next = TAILQ_NEXT(running, next);
		if (!may_be_slow(s, running))
			continue;
		TAILQ_REMOVE(&s->fresh, running, next);
		running->is_slow = true;
		s->n_slow++;
		s->n_slow_doubtful += running->is_doubtful;
	}
}

static bool may_be_slow(const struct schedule *s, const struct running *running)
{
	size_t most = (size_t)s->settings.connections * SLOW_PLACES;

	return s->n_slow < most &&
	       (!running->is_doubtful || s->n_slow_doubtful < most - most / SURE_SHARE);
}

/* One job of the first site, which then goes to the end, until nothing may start. */
static void start_in_turn(struct schedule *s)
{
	struct site_list aside = TAILQ_HEAD_INITIALIZER(aside);
	int64_t now_ms = clock_monotonic_ms();
	struct site *site;

	while (n_places(s) > 0 && (site = next_in_turn(s)) != NULL) {
		site_leave_turn(s, site);
		if (is_crowding(s, site) || has_no_place(s, site, now_ms)) {
			TAILQ_INSERT_TAIL(&aside, site, next);
			continue;
		}
		/* What may not start now comes back when something of the site is done. */
		if (start_one(s, site, now_ms) && site->n_waiting > 0)
			site_put_in_turn(s, site);
	}
	while ((site = TAILQ_FIRST(&aside)) != NULL) {
		TAILQ_REMOVE(&aside, site, next);
		site_put_in_turn(s, site);
	}
}

/*
 * Where mail has just come, and those that wait, by turns: so mail for the living does not stand
 * behind all that is being found dead (O8).
 */
static struct site *next_in_turn(struct schedule *s)
{
	struct site *latest = TAILQ_FIRST(&s->news), *first = TAILQ_FIRST(&s->turn);

	s->took_news = latest != NULL && (first == NULL || !s->took_news);
	return s->took_news ? latest : first;
}

static size_t n_places(const struct schedule *s)
{
	size_t n_fresh = s->n_started - s->n_slow;

	return n_fresh < s->settings.connections ? s->settings.connections - n_fresh : 0;
}

/* The last places are for sites that have none: so some are free when mail for others comes. */
static bool is_crowding(const struct schedule *s, const struct site *site)
{
	return site->n_started > n_places(s);
}

/* What may well be tried in vain once more leaves some places to what may not. */
static bool has_no_place(const struct schedule *s, const struct site *site, int64_t now_ms)
{
	size_t most = s->settings.connections - s->settings.connections / SURE_SHARE;
	const struct waiting *first = STAILQ_FIRST(&site->waiting);

	return first != NULL && is_doubtful(site, &first->job, now_ms) &&
	       s->n_doubtful - s->n_slow_doubtful >= most;
}

/* While a site rests nobody connects to it. */
static bool is_doubtful(const struct site *site, const struct spool_job *job, int64_t now_ms)
{
	if (site->down != NULL)
		return now_ms >= site->rest_until_ms;
	return job->n_attempts > 0 && !site->has_answered;
}

static bool start_one(struct schedule *s, struct site *site, int64_t now_ms)
{
	struct waiting *first = STAILQ_FIRST(&site->waiting);
	struct spool_job job;
	bool rests = site->down != NULL && now_ms < site->rest_until_ms;

	if (first == NULL || !may_start(s, site, now_ms))
		return false;
	STAILQ_REMOVE_HEAD(&site->waiting, next);
	job = first->job;
	free(first);
	site->n_waiting--;
	s->n_waiting--;
	s->n_retries -= job.n_attempts > 0;
	s->n_recipients -= job.message.n_recipients;
	note_started(s, site, &job, now_ms);
	s->start(s->arg, &job, rests ? site->down : NULL,
	    job.n_attempts == 0 && s->n_waiting > n_places(s));
	return true;
}

static bool may_start(const struct schedule *s, const struct site *site, int64_t now_ms)
{
	/* After its rest a site is tried with one job alone. */
	if (site->down != NULL && now_ms >= site->rest_until_ms)
		return site->n_started == 0;
	return site->n_started < s->settings.connections_per_domain;
}

static void note_started(
    struct schedule *s, struct site *site, const struct spool_job *job, int64_t now_ms)
{
	struct running *running = mem_create(sizeof *running);

	running->since_ms = now_ms;
	running->is_doubtful = is_doubtful(site, job, now_ms);
	s->n_doubtful += running->is_doubtful;
	SLIST_INSERT_HEAD(&site->running, running, of_site);
	TAILQ_INSERT_TAIL(&s->fresh, running, next);
	site->n_started++;
	s->n_started++;
}

/* The newest, most likely: the slow ones are old. */
static void note_done(struct schedule *s, struct site *site)
{
	struct running *running = SLIST_FIRST(&site->running);

	assert(running != NULL && site->n_started > 0 && s->n_started > 0);
	SLIST_REMOVE_HEAD(&site->running, of_site);
	s->n_doubtful -= running->is_doubtful;
	s->n_slow_doubtful -= running->is_slow && running->is_doubtful;
	if (running->is_slow)
		s->n_slow--;
	else
		TAILQ_REMOVE(&s->fresh, running, next);
	free(running);
	site->n_started--;
	s->n_started--;
}

/*
 * Asks when a fair part of the window is free, so that each asking brings many; or when nothing of
 * what is held may start, and something else might.
 */
static void refill(struct schedule *s)
{
	size_t held = n_held(s), n_except;
	int64_t now_s = clock_wall_s();
	bool is_due =
	    s->next_due_s <= now_s && !(s->n_waiting > s->settings.window / 2 && n_places(s) == 0);
	const char **except;

	if (s->is_finding || held >= s->settings.window ||
	    s->n_recipients >= (size_t)s->settings.window * RECIPIENTS_PER_JOB ||
	    !(is_due || s->has_news))
		return;
	/* By turns, if there are both. */
	s->finds_news = s->has_news && !(is_due && s->finds_news);
	s->has_news = s->has_news && !s->finds_news;
	s->is_finding = true;
	s->next_due_s = INT64_MAX;
	/* Never all that is left: the next to fall due may be for others. */
	s->n_asked = (s->settings.window - held + 1) / 2;
	except = full_sites(s, &n_except);
	(s->finds_news ? spool_find_news : spool_find_due)(
	    s->spool, now_s, s->n_asked, site_share(s), except, n_except, on_due, s);
	free(except);
}

static size_t n_held(const struct schedule *s)
{
	return s->n_started - s->n_slow + s->n_waiting;
}

/* The names stay the sites'. */
static const char **full_sites(struct schedule *s, size_t *n)
{
	const char **names = NULL, *domain;
	struct site *site;
	size_t at = 0, room = 0;

	*n = 0;
	while ((site = map_next(&s->sites, &at, &domain)) != NULL) {
		if (!is_full(s, site))
			continue;
		if (*n == room) {
			room = room > 0 ? 2 * room : 16;
			names = mem_resize(names, room, sizeof *names);
		}
		names[(*n)++] = site->domain;
		site->is_full = true;
	}
	return names;
}

static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s)
{
	struct schedule *s = arg;

	s->is_finding = false;
	s->has_news = s->has_news || (s->finds_news && n == s->n_asked);
	for (size_t i = 0; i < n; i++) {
		if (take(s, &jobs[i]) && jobs[i].n_attempts == 0)
			site_put_in_news(s, site_find(s, jobs[i].domain), jobs[i].message.id);
	}
	note_due(s, next_due_s);
}

/* False if it was put off: the job is gone then. */
static bool take(struct schedule *s, struct spool_job *job)
{
	struct site *site = site_find(s, job->domain);
	struct waiting *waiting;

	/* Or they would fill the window, and nothing else were found. */
	if (s->n_retries >= s->settings.window / 2 &&
	    is_doubtful(site, job, clock_monotonic_ms())) {
		put_off(s, job);
		site_forget_if_idle(s, site);
		return false;
	}
	waiting = mem_create(sizeof *waiting);
	waiting->job = *job;
	s->n_retries += job->n_attempts > 0;
	STAILQ_INSERT_TAIL(&site->waiting, waiting, next);
	site->n_waiting++;
	s->n_waiting++;
	s->n_recipients += job->message.n_recipients;
	site_put_in_turn(s, site);
	return true;
}

/* No more fall due in a second than there are connections: so that few are put off once more. */
static void put_off(struct schedule *s, struct spool_job *job)
{
	int64_t soonest_ms = (clock_wall_s() + PUT_OFF_S) * 1000;

	if (s->put_off_ms < soonest_ms ||
	    s->put_off_ms > soonest_ms + 1000 * (int64_t)s->settings.longest_s)
		s->put_off_ms = soonest_ms;
	s->put_off_ms += 1000 / s->settings.connections + 1;
	spool_give_back(s->spool, job->message.id, job->domain, s->put_off_ms / 1000);
	note_due(s, s->put_off_ms / 1000);
	spool_job_finish(job);
}

/* It has enough to keep its connections busy while the next are being found, or its share. */
static bool is_full(const struct schedule *s, const struct site *site)
{
	return site->n_waiting >= site_share(s) ||
	       site->n_waiting + site->n_started >= 2 * (size_t)s->settings.connections_per_domain;
}

/* How many may wait of one site: fewer, the fuller the window is. */
static size_t site_share(const struct schedule *s)
{
	size_t most = 2 * (size_t)s->settings.connections_per_domain, held = n_held(s);
	size_t share = held < s->settings.window ? (s->settings.window - held) / SITE_SHARE : 0;

	if (share < 1)
		share = 1;
	return share < most ? share : most;
}

static void wait_for_due(struct schedule *s)
{
	int64_t wait_ms = LOOK_AGAIN_MS, now_s = clock_wall_s(), slow_in_ms = next_slow_in_ms(s);

	/* What is due already waits for room, which schedule_done() makes. */
	if (s->next_due_s > now_s && s->next_due_s - now_s < LOOK_AGAIN_MS / 1000)
		wait_ms = (s->next_due_s - now_s) * 1000;
	if (slow_in_ms < wait_ms)
		wait_ms = slow_in_ms;
	timer_set(s->later, wait_ms);
}

/* A place becomes free then. */
static int64_t next_slow_in_ms(const struct schedule *s)
{
	const struct running *running;
	int64_t wait_ms;

	TAILQ_FOREACH (running, &s->fresh, next) {
		if (may_be_slow(s, running))
			break;
	}
	if (running == NULL)
		return INT64_MAX;
	wait_ms = running->since_ms + s->settings.slow_ms - clock_monotonic_ms();
	return wait_ms > 0 ? wait_ms : 0;
}

static void on_later(void *arg)
{
	struct schedule *s = arg;

	sites_forget_rests(s);
	note_due(s, 0);
}

void schedule_done(struct schedule *s, const char *domain, enum schedule_feedback feedback,
    const struct outcome *why)
{
	struct site *site = map_get(&s->sites, domain);

	assert(site != NULL);
	note_done(s, site);
	site_learn(s, site, feedback, why);
	if (site->is_full && !is_full(s, site) && site->n_waiting <= site_share(s) / 2) {
		site->is_full = false;
		s->next_due_s = 0;
	}
	if (site->n_waiting > 0)
		site_put_in_turn(s, site);
	else
		site_forget_if_idle(s, site);
	note_due(s, s->next_due_s);
}

void schedule_count(const struct schedule *s, struct schedule_counts *counts)
{
	*counts = (struct schedule_counts){
		.started = s->n_started,
		.waiting = s->n_waiting,
		.sites_down = s->n_down,
	};
}
