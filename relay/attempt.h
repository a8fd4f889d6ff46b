/*
 * One attempt to deliver one job: from the facts of the DNS to QUIT, host after host, until each
 * recipient is delivered, has failed, or waits with a reason.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/domain.h"
#include "relay/dialogue.h"
#include "relay/ipc/asker.h"
#include "relay/message.h"
#include "relay/net/loop.h"
#include "relay/plan.h"
#include "relay/pool.h"
#include "relay/report.h"
#include "relay/schedule.h"
#include "relay/tls_count.h"
#include "tls/context.h"

struct attempt;

/* What the attempts of a process share. */
struct attempt_house {
	struct loop *loop;
	const struct config *config;
	struct tls_context *tls;
	struct asker *lookup, *auth;
	struct pool *pool; /* of connections */
	const struct patience *patience;
};

struct attempt_job {
	const struct message *message; /* recipients: all of one domain; the caller's until done */
	char domain[DOMAIN_MAX];       /* canonical */
	uint32_t n_attempts;           /* made before */
	int fd;                        /* of its segment, the caller's until done */
	bool hurries;                  /* others wait: no long wait for hosts that do not answer */
};

struct attempt_result {
	enum schedule_feedback feedback;

	/* All of these are gone on return. */
	const char *host;     /* "mx.example[192.0.2.1]:25", whose word counts; "" if none */
	const char *evidence; /* as evidence_print() says it */
	const struct outcome *outcomes; /* one for each recipient of the message; its code is 0 for
					 * one who was not tried, and is to be given to another attempt: see
					 * attempt_leave(); or an exception has ended */
	size_t n_outcomes;
	const struct tls_count *counts;
	size_t n_counts;
	struct report_delays delays;
};

/* Runs from the loop, once; the attempt is gone then. */
typedef void attempt_done(const struct attempt_result *result, void *arg);

/*
 * plan (may be NULL: then the lookup role is asked) is used instead of the DNS, and taken over.
 * done is never called from inside.
 */
struct attempt *attempt_start(const struct attempt_house *house, const struct attempt_job *job,
    struct plan *plan, attempt_done *done, void *arg);

/*
 * Another configuration is in force: nothing is begun any more by the one that this attempt knows, and
 * no content that has not been begun. What is being said of content ends as it would; for the others
 * done is called soon.
 */
void attempt_leave(struct attempt *attempt);

/* done is not called. Accepts NULL. */
void attempt_cancel(struct attempt **attempt);
