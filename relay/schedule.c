#include "relay/schedule.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "relay/base/clock.h"
#include "relay/base/map.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"

enum {
	FIRST_REST_MS = 60 * 1000,
	LOOK_AGAIN_MS = 60 * 1000, /* at the latest: the wall clock may have been set */
	SITES_DOWN_MAX = 10000,    /* remembered; the others are simply dialled */
	RECIPIENTS_PER_JOB = 20,   /* on average, over the window */
	SLOW_MS = 5 * 1000,        /* what takes longer gives its place to others, */
	SLOW_PLACES = 3, /* as long as there are no more such than this times connections */
	SITE_SHARE = 8,  /* of the window's free part a site may fill one in so many */
};

struct waiting {
	STAILQ_ENTRY(waiting) next;
	struct spool_job job;
};

/* A job that was started and is not done. Which one of its site a done job was is not known. */
struct running {
	TAILQ_ENTRY(running) next; /* while it isn't slow */
	SLIST_ENTRY(running) of_site;
	int64_t since_ms;
	bool is_slow;
};

struct site {
	char *domain;
	STAILQ_HEAD(, waiting) waiting;
	SLIST_HEAD(, running) running; /* the newest first */
	size_t n_waiting, n_started;
	TAILQ_ENTRY(site) next; /* while in_turn */
	bool in_turn;
	bool is_full;          /* more may be due than we took */
	struct outcome *down;  /* NULL while it is up, as far as we know */
	int64_t rest_ms;       /* how long the rest is, and */
	int64_t rest_until_ms; /* when it ends: monotonic */
};

TAILQ_HEAD(site_list, site);

struct schedule {
	struct spool *spool;
	struct schedule_settings settings;
	schedule_start *start;
	void *arg;
	struct map sites;
	struct site_list turn;       /* those that may have something to start, in turn */
	TAILQ_HEAD(, running) fresh; /* started and not slow, the oldest first */
	size_t n_started, n_slow, n_waiting, n_recipients, n_down;
	int64_t next_due_s; /* in the spool, as far as we know */
	bool is_finding;
	bool is_stopped;
	struct timer *soon;  /* work, from the loop */
	struct timer *later; /* the next due, or look again */
};

static void on_soon(void *arg);
static void note_slow(struct schedule *s);
static void start_in_turn(struct schedule *s);
static size_t n_places(const struct schedule *s);
static bool is_crowding(const struct schedule *s, const struct site *site);
static bool start_one(struct schedule *s, struct site *site);
static bool may_start(const struct schedule *s, const struct site *site, int64_t now_ms);
static void note_started(struct schedule *s, struct site *site, int64_t now_ms);
static void note_done(struct schedule *s, struct site *site);
static void refill(struct schedule *s);
static size_t n_held(const struct schedule *s);
static const char **full_sites(struct schedule *s, size_t *n);
static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s);
static void take(struct schedule *s, struct spool_job *job);
static bool is_full(const struct schedule *s, const struct site *site);
static size_t site_share(const struct schedule *s);
static void wait_for_due(struct schedule *s);
static int64_t next_slow_in_ms(const struct schedule *s);
static void on_later(void *arg);
static void forget_old_rests(struct schedule *s);
static void learn(struct schedule *s, struct site *site, enum schedule_feedback feedback,
    const struct outcome *why);
static void rest(struct schedule *s, struct site *site, const struct outcome *why);
static void end_rest(struct schedule *s, struct site *site);
static struct site *site_of(struct schedule *s, const char *domain);
static void put_in_turn(struct schedule *s, struct site *site);
static void forget_if_idle(struct schedule *s, struct site *site);
static void destroy_site(struct site *site);
static uint32_t hash_of(const char *id);

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
		destroy_site(site);
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
		end_rest(s, site);
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
	struct running *running;

	while ((running = TAILQ_FIRST(&s->fresh)) != NULL && running->since_ms <= long_ago_ms &&
	       s->n_slow < (size_t)s->settings.connections * SLOW_PLACES) {
		TAILQ_REMOVE(&s->fresh, running, next);
		running->is_slow = true;
		s->n_slow++;
	}
}

/* One job of the first site, which then goes to the end, until nothing may start. */
static void start_in_turn(struct schedule *s)
{
	struct site_list crowding = TAILQ_HEAD_INITIALIZER(crowding);
	struct site *site;

	while (n_places(s) > 0 && (site = TAILQ_FIRST(&s->turn)) != NULL) {
		TAILQ_REMOVE(&s->turn, site, next);
		if (is_crowding(s, site)) {
			TAILQ_INSERT_TAIL(&crowding, site, next);
			continue;
		}
		site->in_turn = false;
		/* What may not start now comes back when something of the site is done. */
		if (start_one(s, site) && site->n_waiting > 0)
			put_in_turn(s, site);
	}
	TAILQ_CONCAT(&s->turn, &crowding, next);
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

static bool start_one(struct schedule *s, struct site *site)
{
	int64_t now_ms = clock_monotonic_ms();
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
	note_started(s, site, now_ms);
	s->n_recipients -= job.message.n_recipients;
	s->start(s->arg, &job, rests ? site->down : NULL);
	return true;
}

static bool may_start(const struct schedule *s, const struct site *site, int64_t now_ms)
{
	/* After its rest a site is tried with one job alone. */
	if (site->down != NULL && now_ms >= site->rest_until_ms)
		return site->n_started == 0;
	return site->n_started < s->settings.connections_per_domain;
}

static void note_started(struct schedule *s, struct site *site, int64_t now_ms)
{
	struct running *running = mem_create(sizeof *running);

	running->since_ms = now_ms;
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
	const char **except;

	if (s->is_finding || s->next_due_s > clock_wall_s() || held >= s->settings.window ||
	    s->n_recipients >= (size_t)s->settings.window * RECIPIENTS_PER_JOB)
		return;
	if (s->n_waiting > s->settings.window / 2 && n_places(s) == 0)
		return;
	except = full_sites(s, &n_except);
	s->is_finding = true;
	s->next_due_s = INT64_MAX;
	/* Never all that is left: the next to fall due may be for others. */
	spool_find_due(s->spool, clock_wall_s(), (s->settings.window - held + 1) / 2, site_share(s),
	    except, n_except, on_due, s);
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
	for (size_t i = 0; i < n; i++)
		take(s, &jobs[i]);
	schedule_poke(s, next_due_s);
}

static void take(struct schedule *s, struct spool_job *job)
{
	struct site *site = site_of(s, job->domain);
	struct waiting *waiting = mem_create(sizeof *waiting);

	waiting->job = *job;
	STAILQ_INSERT_TAIL(&site->waiting, waiting, next);
	site->n_waiting++;
	s->n_waiting++;
	s->n_recipients += job->message.n_recipients;
	put_in_turn(s, site);
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
	const struct running *first = TAILQ_FIRST(&s->fresh);
	int64_t wait_ms;

	if (first == NULL || s->n_slow >= (size_t)s->settings.connections * SLOW_PLACES)
		return INT64_MAX;
	wait_ms = first->since_ms + s->settings.slow_ms - clock_monotonic_ms();
	return wait_ms > 0 ? wait_ms : 0;
}

static void on_later(void *arg)
{
	struct schedule *s = arg;

	forget_old_rests(s);
	schedule_poke(s, 0);
}

/* A site that has long been free to be tried again but had no mail. */
static void forget_old_rests(struct schedule *s)
{
	int64_t long_ago_ms = clock_monotonic_ms() - 2000 * (int64_t)s->settings.longest_s;
	struct site *site, **old = mem_resize(NULL, s->n_down, sizeof *old);
	const char *domain;
	size_t at = 0, n_old = 0;

	while ((site = map_next(&s->sites, &at, &domain)) != NULL) {
		if (site->down != NULL && site->rest_until_ms < long_ago_ms &&
		    site->n_waiting + site->n_started == 0)
			old[n_old++] = site;
	}
	for (size_t i = 0; i < n_old; i++) {
		end_rest(s, old[i]);
		forget_if_idle(s, old[i]);
	}
	free(old);
}

void schedule_done(struct schedule *s, const char *domain, enum schedule_feedback feedback,
    const struct outcome *why)
{
	struct site *site = map_get(&s->sites, domain);

	assert(site != NULL);
	note_done(s, site);
	learn(s, site, feedback, why);
	if (site->is_full && !is_full(s, site) && site->n_waiting <= site_share(s) / 2) {
		site->is_full = false;
		s->next_due_s = 0;
	}
	if (site->n_waiting > 0)
		put_in_turn(s, site);
	else
		forget_if_idle(s, site);
	schedule_poke(s, s->next_due_s);
}

static void learn(struct schedule *s, struct site *site, enum schedule_feedback feedback,
    const struct outcome *why)
{
	switch (feedback) {
	case SCHEDULE_SITE_ANSWERED: end_rest(s, site); return;
	case SCHEDULE_SITE_DOWN: rest(s, site, why); return;
	case SCHEDULE_NOT_TRIED: return;
	}
}

/* Several attempts that were under way together count as one. */
static void rest(struct schedule *s, struct site *site, const struct outcome *why)
{
	int64_t now_ms = clock_monotonic_ms(), most_ms = 1000 * (int64_t)s->settings.first_s;
	bool is_again = site->down != NULL;

	assert(why != NULL);
	if (!is_again && s->n_down >= SITES_DOWN_MAX)
		return;
	if (!is_again) {
		site->down = mem_create(sizeof *site->down);
		s->n_down++;
	}
	*site->down = *why;
	if (is_again && now_ms < site->rest_until_ms)
		return;
	site->rest_ms = is_again ? 2 * site->rest_ms : FIRST_REST_MS;
	if (site->rest_ms > most_ms)
		site->rest_ms = most_ms;
	site->rest_until_ms = now_ms + site->rest_ms;
}

static void end_rest(struct schedule *s, struct site *site)
{
	if (site->down == NULL)
		return;
	free(site->down);
	site->down = NULL;
	s->n_down--;
	if (site->n_waiting > 0)
		put_in_turn(s, site);
}

static struct site *site_of(struct schedule *s, const char *domain)
{
	struct site *site = map_get(&s->sites, domain);

	if (site != NULL)
		return site;
	site = mem_create(sizeof *site);
	site->domain = mem_copy_text(domain);
	STAILQ_INIT(&site->waiting);
	SLIST_INIT(&site->running);
	map_put(&s->sites, domain, site);
	return site;
}

static void put_in_turn(struct schedule *s, struct site *site)
{
	if (site->in_turn)
		return;
	TAILQ_INSERT_TAIL(&s->turn, site, next);
	site->in_turn = true;
}

static void forget_if_idle(struct schedule *s, struct site *site)
{
	if (site->n_waiting > 0 || site->n_started > 0 || site->down != NULL || site->in_turn)
		return;
	map_take(&s->sites, site->domain);
	destroy_site(site);
}

static void destroy_site(struct site *site)
{
	struct waiting *waiting;
	struct running *running;

	while ((waiting = STAILQ_FIRST(&site->waiting)) != NULL) {
		STAILQ_REMOVE_HEAD(&site->waiting, next);
		spool_job_finish(&waiting->job);
		free(waiting);
	}
	while ((running = SLIST_FIRST(&site->running)) != NULL) {
		SLIST_REMOVE_HEAD(&site->running, of_site);
		free(running);
	}
	free(site->domain);
	free(site->down);
	free(site);
}

void schedule_count(const struct schedule *s, struct schedule_counts *counts)
{
	*counts = (struct schedule_counts){
		.started = s->n_started,
		.waiting = s->n_waiting,
		.sites_down = s->n_down,
	};
}

uint32_t schedule_wait_s(
    const struct schedule_settings *settings, uint32_t n_attempts, const char *id)
{
	uint64_t wait_s = settings->first_s;

	for (uint32_t i = 1; i < n_attempts && wait_s < settings->longest_s; i++)
		wait_s *= 2;
	if (wait_s > settings->longest_s)
		wait_s = settings->longest_s;
	wait_s -= hash_of(id) % (wait_s / 10 + 1);
	return wait_s > 0 ? (uint32_t)wait_s : 1;
}

int64_t schedule_next_try(const struct schedule_settings *settings, uint32_t n_attempts,
    const char *id, int64_t now_s, int64_t expires_s)
{
	int64_t next_s = now_s + schedule_wait_s(settings, n_attempts, id);

	return now_s < expires_s && expires_s < next_s ? expires_s : next_s;
}

bool schedule_is_last_try(int64_t now_s, int64_t expires_s)
{
	return now_s >= expires_s;
}

static uint32_t hash_of(const char *id)
{
	uint32_t hash = 2166136261;

	for (; *id != '\0'; id++)
		hash = (hash ^ (unsigned char)*id) * 16777619;
	return hash ^ hash >> 15;
}
