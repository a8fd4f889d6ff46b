/*
 * What an attempt leaves on record of the hosts it has tried: the evidence of the one whose word
 * counts, in the log that of each; warnings of rules that would have refused what was done; and the counts for
 * TLS reports.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/approach.h"
#include "relay/connection.h"
#include "relay/evidence.h"
#include "relay/message.h"
#include "relay/plan.h"
#include "relay/tls_count.h"

struct record {
	const struct message *message;
	bool counts_tls; /* for reports; never of reports, nor where policies are waived */
	bool is_final;   /* the host has settled somebody: host and evidence stay its own */
	char host[OUTCOME_WHO_MAX]; /* "mx.example[192.0.2.1]:25", that counts; "" if none */
	char evidence[EVIDENCE_MAX];
	char last_host[OUTCOME_WHO_MAX]; /* the same of the one that was tried last */
	char last_evidence[EVIDENCE_MAX];
	struct outcome verdicts[PLAN_WATCHES_MAX]; /* of the watches on the present connection */
	struct tls_count *counts;
	size_t n_counts;
};

struct record *record_create(const struct message *message);

/* Accepts NULL. */
void record_destroy(struct record **record);

/* A plan without anything to try. */
void record_refused(struct record *r, const struct plan *plan);

/* A host that route forbids. */
void record_unusable(struct record *r, const struct plan *plan, const struct plan_host *host);

/* The way to a host was tried, and this came of it. */
void record_approach(struct record *r, const struct plan *plan, const struct plan_host *host,
    const struct approach_result *result);

/* Mail goes over this connection now, fresh or kept. */
void record_use(struct record *r, const struct plan *plan, const struct plan_host *host,
    const struct connection *c);

/* It was left while we were getting there. */
void record_given_up(struct record *r, const struct plan *plan, const struct plan_host *host,
    const struct outcome *why);

/* No host was even tried. */
void record_nothing(struct record *r, const struct outcome *why);

/* What was put on record last is what counts, until something else is kept, or one has settled somebody. */
void record_keep(struct record *r);
void record_settle(struct record *r);
