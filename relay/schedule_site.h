/*
 * What relay/schedule.c (which job is next) and relay/schedule_site.c (the sites: whose turn it is,
 * which rest) share. Private to the two.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "relay/base/map.h"
#include "relay/net/loop.h"
#include "relay/schedule.h"

struct waiting {
	STAILQ_ENTRY(waiting) next;
	struct spool_job job;
};

/* A job that was started and is not done. Which one of its site a done job was is not known. */
struct running {
	TAILQ_ENTRY(running) next; /* while it isn't slow */
	SLIST_ENTRY(running) of_site;
	int64_t since_ms;
	bool is_slow, is_doubtful;
};

struct site {
	char *domain;
	STAILQ_HEAD(, waiting) waiting;
	SLIST_HEAD(, running) running; /* the newest first */
	size_t n_waiting, n_started;
	TAILQ_ENTRY(site) next;    /* while in_turn */
	bool in_turn, is_new;      /* new: in s->news, not in s->turn */
	char newest[QUEUE_ID_MAX]; /* while it is new: ids are in the order of time */
	bool has_answered;         /* when it was tried last, and we know of it since */
	bool is_full;              /* more may be due than we took */
	struct outcome *down;      /* NULL while it is up, as far as we know */
	int64_t rest_ms;           /* how long the rest is, and */
	int64_t rest_until_ms;     /* when it ends: monotonic */
};

TAILQ_HEAD(site_list, site);

struct schedule {
	struct spool *spool;
	struct schedule_settings settings;
	schedule_start *start;
	void *arg;
	struct map sites;
	struct site_list turn; /* those that may have something to start, in turn */
	struct site_list news; /* those for which mail has just come, the latest first */
	size_t n_news;
	bool took_news;              /* then one of the others is next */
	TAILQ_HEAD(, running) fresh; /* started and not slow, the oldest first */
	size_t n_started, n_slow, n_waiting, n_recipients, n_down;
	size_t n_doubtful, n_slow_doubtful; /* started, slow or not; of the slow */
	size_t n_retries;                   /* waiting that were tried before */
	int64_t put_off_ms; /* until when the last that was is put off: wall clock */
	int64_t next_due_s; /* in the spool, as far as we know */
	bool has_news;      /* the spool, most likely */
	bool is_finding, finds_news;
	size_t n_asked; /* how many are being found at most */
	bool is_stopped;
	struct timer *soon;  /* work, from the loop */
	struct timer *later; /* the next due, or look again */
};

/* Makes it, if need be. */
struct site *site_find(struct schedule *s, const char *domain);

/* It has nothing to start, nothing under way, and no rest. */
void site_forget_if_idle(struct schedule *s, struct site *site);
void site_destroy(struct site *site);

/* It may have something to start: the others come first. Nothing happens if it is in turn already. */
void site_put_in_turn(struct schedule *s, struct site *site);

/* Mail has just come for it, of which this is one. */
void site_put_in_news(struct schedule *s, struct site *site, const char *id);
void site_leave_turn(struct schedule *s, struct site *site);

/* How it took a job; why is only for SCHEDULE_SITE_DOWN. */
void site_learn(struct schedule *s, struct site *site, enum schedule_feedback feedback,
    const struct outcome *why);
void site_end_rest(struct schedule *s, struct site *site);

/* Sites that have long been free to be tried again but had no mail are forgotten. */
void sites_forget_rests(struct schedule *s);
