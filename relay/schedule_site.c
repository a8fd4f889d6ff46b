/*
 * The destinations that the schedule has something of, or remembers as down.
 */
#include "relay/schedule_site.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"

enum {
	FIRST_REST_MS = 60 * 1000,
	SITES_DOWN_MAX = 10000, /* remembered; the others are simply dialled */
};

static void rest(struct schedule *s, struct site *site, const struct outcome *why);

struct site *site_find(struct schedule *s, const char *domain)
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

void site_put_in_turn(struct schedule *s, struct site *site)
{
	if (site->in_turn)
		return;
	TAILQ_INSERT_TAIL(&s->turn, site, next);
	site->in_turn = true;
}

/* With no more such than half the connections: those for which it came longest ago wait as others. */
void site_put_in_news(struct schedule *s, struct site *site, const char *id)
{
	struct site *older;

	if (site->in_turn)
		site_leave_turn(s, site);
	snprintf(site->newest, sizeof site->newest, "%s", id);
	TAILQ_FOREACH (older, &s->news, next) {
		if (strcmp(older->newest, id) < 0)
			break;
	}
	if (older != NULL)
		TAILQ_INSERT_BEFORE(older, site, next);
	else
		TAILQ_INSERT_TAIL(&s->news, site, next);
	site->in_turn = site->is_new = true;
	s->n_news++;
	if (s->n_news > s->settings.connections / 2 + 1) {
		struct site *oldest = TAILQ_LAST(&s->news, site_list);

		site_leave_turn(s, oldest);
		site_put_in_turn(s, oldest);
	}
}

void site_leave_turn(struct schedule *s, struct site *site)
{
	TAILQ_REMOVE(site->is_new ? &s->news : &s->turn, site, next);
	s->n_news -= site->is_new;
	site->in_turn = site->is_new = false;
}

void site_forget_if_idle(struct schedule *s, struct site *site)
{
	if (site->n_waiting > 0 || site->n_started > 0 || site->down != NULL || site->in_turn)
		return;
	map_take(&s->sites, site->domain);
	site_destroy(site);
}

void site_destroy(struct site *site)
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

/* ---- rests ---- */

void site_learn(struct schedule *s, struct site *site, enum schedule_feedback feedback,
    const struct outcome *why)
{
	switch (feedback) {
	case SCHEDULE_SITE_ANSWERED:
		site->has_answered = true;
		site_end_rest(s, site);
		return;
	case SCHEDULE_SITE_DOWN:
		site->has_answered = false;
		rest(s, site, why);
		return;
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

void site_end_rest(struct schedule *s, struct site *site)
{
	if (site->down == NULL)
		return;
	free(site->down);
	site->down = NULL;
	s->n_down--;
	if (site->n_waiting > 0)
		site_put_in_turn(s, site);
}

void sites_forget_rests(struct schedule *s)
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
		site_end_rest(s, old[i]);
		site_forget_if_idle(s, old[i]);
	}
	free(old);
}
