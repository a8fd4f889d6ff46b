/*
 * What relay/dispatch.c (jobs out to the deliveries, results in), relay/dispatch_settle.c (results to
 * disk) and relay/dispatch_spread.c (which delivery gets a job) share. Private to the three.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <uthash.h>

#include "relay/base/domain.h"
#include "relay/dispatch.h"

enum { JOB_KEY_MAX = QUEUE_ID_MAX + DOMAIN_MAX };

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
	char key[JOB_KEY_MAX]; /* "ID DOMAIN" */
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
	struct letter *post;
	size_t n_posts; /* that brought no notification */
	struct timer
	    *timer; /* try the notification again, or ask again whether the job may go out */
};

/* Which delivery had the last job of a domain: it may have a connection there. */
struct served {
	UT_hash_handle hh;
	char domain[DOMAIN_MAX];
	struct worker *worker;
};

/* A question to the spool about a result of before. */
struct inquiry {
	TAILQ_ENTRY(inquiry) link;
	struct dispatch *dispatch;
	char key[JOB_KEY_MAX];
	uint32_t n_attempts;
	bool is_known, still_waits;
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
	struct served *served; /* the one longest ago first */
	int64_t again_ms;
	size_t n_storing; /* settlements under way */
	bool is_closing;
	bool is_started, is_stopped;
	loop_call *alone;
	void *alone_arg;
	dispatch_counts *counts; /* NULL: nobody counts */
	void *counts_arg;
};

/* What came of a job that was handed out or could not be; all results are of its own recipients. */
void job_settle(struct job *job);

/* The same for what a delivery said: results of others are left out, none at all is no attempt. */
void job_settle_told(struct job *job);

/* The result is on disk, or needs no place there: its delivery may forget it. */
void job_acknowledge(const struct job *job, bool is_gone);

/* Nobody is at it any more. */
void job_release(struct job *job);
void job_destroy(struct job *job);

/*
 * The delivery for the next job of a domain: the one that had its last, so that connections can be used
 * again, unless another has so much less to do that a whole domain's jobs would not make up for it.
 * NULL if there is none that takes any.
 */
struct worker *spread_choose(struct dispatch *dispatch, const char *domain);

/* That one is gone; and all of them. */
void spread_forget(struct dispatch *dispatch, const struct worker *worker);
void spread_forget_all(struct dispatch *dispatch);

/* Due again later, by way of the loop: schedule_done() must not follow from inside its call. */
void job_give_back_soon(struct job *job);
