/*
 * What to try next. Keeps a bounded window of due jobs in memory, filled from the spool, and starts
 * them in turn: one job of one domain, then one of the next, so that a destination with a million
 * messages never delays one with a single message. What has been under way for long no longer takes
 * a place of those (up to three times as many), and neither places nor window are ever given to those
 * that have many already to the last: so receivers that drag on, however many, delay others by no
 * more than slow_ms. Lives in the queue role's loop; whoever owns it hands the jobs to deliveries and
 * tells it what came of them.
 *
 * Destinations that are dead, however many, delay mail for the living no longer (O8): domains for
 * which mail has just come and those that wait take places by turns; a first attempt that others
 * wait behind connects in a hurry; and what was tried in vain before may have three places in four,
 * and half of the window, the rest of it being put off.
 *
 * A site (the recipient domain) none of whose hosts could be reached rests as a whole: for a minute
 * at first, doubling, at most as long as the first retry. Jobs for it that fall due meanwhile are
 * not dialled but share the failure (start with site_down), so each says why it waits and expires
 * in time; the next job due after the rest is tried alone, and if the site answers the others
 * follow.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/spool.h"

struct loop;
struct schedule;

struct schedule_settings {
	uint32_t first_s;                /* the wait after the first attempt */
	uint32_t longest_s;              /* the wait never grows past this */
	uint32_t connections;            /* jobs started, not done and not slow, in all */
	uint32_t connections_per_domain; /* of one domain */
	uint32_t window;                 /* jobs in memory, started or not; at least connections */
	int64_t slow_ms;                 /* 0: one second */
};

/*
 * Start this job. *job is the callee's from now on: it copies the struct and finishes that in the
 * end. With site_down: don't dial, settle all of its recipients with this outcome (valid until
 * return). hurries: it is tried for the first time, and more wait than there are places for: it
 * should not wait long for a host that does not answer. Either way schedule_done() must follow, once,
 * not from inside the call. Runs from the loop.
 */
typedef void schedule_start(
    void *arg, struct spool_job *job, const struct outcome *site_down, bool hurries);

struct schedule *schedule_create(struct loop *loop, struct spool *spool,
    const struct schedule_settings *settings, schedule_start *start, void *arg);

/* Only after spool_close(), whose callbacks run into it. Jobs not started stay in the spool. */
void schedule_destroy(struct schedule **schedule);

/* Starts nothing any more: we are about to end. */
void schedule_stop(struct schedule *schedule);

/* How the site took it: what schedule learns from a job that is done. */
enum schedule_feedback {
	SCHEDULE_SITE_ANSWERED, /* some host spoke to us, whatever it said of the message */
	SCHEDULE_SITE_DOWN,     /* no host could be reached, or each turned us away at the door */
	SCHEDULE_NOT_TRIED,     /* given back, or settled because of site_down: nothing learned */
};

/*
 * A started job of this domain has been settled or given back. why is what site_down will say to
 * the others; only for SCHEDULE_SITE_DOWN, otherwise NULL.
 */
void schedule_done(struct schedule *schedule, const char *domain, enum schedule_feedback feedback,
    const struct outcome *why);

/* Something in the spool falls due at due_s (wall clock): after a commit, a deferral, a retry. */
void schedule_poke(struct schedule *schedule, int64_t due_s);

/* The administrator wants it tried now: every rest of a site ends; then as schedule_poke(). */
void schedule_wake(struct schedule *schedule);

struct schedule_counts {
	size_t started; /* and not done */
	size_t waiting; /* in memory, not started */
	size_t sites_down;
};
void schedule_count(const struct schedule *schedule, struct schedule_counts *counts);

/* ---- when again: pure ---- */

/*
 * Seconds to wait after n_attempts attempts (at least 1): first_s * 2^(n_attempts - 1), at most
 * longest_s, less up to a tenth that depends on the id, so that what was deferred together does not
 * return together. At least 1.
 */
uint32_t schedule_wait_s(
    const struct schedule_settings *settings, uint32_t n_attempts, const char *id);

/*
 * When those deferred at now_s are due again. Never past expires_s unless that is over: the last
 * attempt is made when the message expires.
 */
int64_t schedule_next_try(const struct schedule_settings *settings, uint32_t n_attempts,
    const char *id, int64_t now_s, int64_t expires_s);

/*
 * Was the attempt that ended at now_s the last? What it deferred has failed then. Asked after an
 * attempt only, so that nothing expires without a fresh one, wherever the clock went (D9).
 */
bool schedule_is_last_try(int64_t now_s, int64_t expires_s);
