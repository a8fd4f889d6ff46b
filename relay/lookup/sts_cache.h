/*
 * The MTA-STS policies that are kept, by recipient domain, and what is remembered of domains whose
 * policy could not be had: bounded in number and bytes. Knows times and nothing of the network. For
 * relay/lookup/sts.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "relay/base/domain.h"
#include "relay/base/map.h"
#include "relay/lookup/https.h"
#include "relay/lookup/resolver.h"
#include "relay/lookup/sts.h"
#include "relay/lookup/sts_judge.h"
#include "tls/sts.h"

enum {
	STS_DOMAINS_MAX = 10000,
	STS_BYTES_MAX = 32 << 20,   /* of all policies together, as they were fetched */
	STS_REFRESH_S = 86400,      /* RFC 8461 3.3: once a day, or sooner for a short one */
	STS_REFRESH_LEAST_S = 300,  /* no sooner; what lives no longer is left to expire */
	STS_REFRESH_AGAIN_S = 3600, /* about so long after a refresh that failed */
	STS_UNUSED_S = 30 * 86400,  /* what nobody asked for so long is left to expire */
};

TAILQ_HEAD(sts_question_list, sts_question);

struct sts_domain {
	TAILQ_ENTRY(sts_domain) by_use; /* the longest unused first */
	struct sts *sts;
	char name[DOMAIN_MAX];
	int64_t used_ms; /* monotonic */

	bool has_policy;
	bool is_stored; /* the owner has it just so */
	struct sts_policy policy;
	char id[STS_ID_MAX];
	char *text;
	size_t n_text;
	int64_t fetched_s, expires_s; /* wall clock, as they were when it was fetched */
	int64_t behind_s;  /* what the wall clock was set back since; 0 when it has caught up */
	int64_t refresh_s; /* wall clock */
	int64_t over_ms;   /* monotonic: since when it has expired; 0: it has not */
	int64_t
	    ended_s; /* wall clock: without a policy, until when the one would last that was ended */
	bool is_record_missed; /* and that is said in the log */

	struct sts_trouble record_trouble, policy_trouble; /* of the last try */
	char failed_id[STS_ID_MAX]; /* its policy could not be had; not tried again before */
	int64_t again_ms;           /* monotonic; 0: nothing failed */

	/* What is under way; while anything is, the domain stays in the cache. */
	struct query *record, *refresh_record;
	struct https_request *request;
	char request_id[STS_ID_MAX];
	bool is_refreshing;
	struct sts_question_list asking;   /* waiting for the record */
	struct sts_question_list awaiting; /* for the policy */
};

struct sts_cache {
	struct map domains;
	TAILQ_HEAD(, sts_domain) by_use;
	size_t n_bytes;
	size_t domains_max, bytes_max; /* for tests to lower */
};

void sts_cache_init(struct sts_cache *cache);

/* Nothing may be under way. */
void sts_cache_finish(struct sts_cache *cache);

struct sts_domain *sts_cache_find(const struct sts_cache *cache, const char *name);

/* The domain, new if it was not there, as the one last used. */
struct sts_domain *sts_cache_use(struct sts_cache *cache, const char *name, int64_t now_ms);

/*
 * One that should go because the cache is too full, or NULL, and always one with nothing under way. Of
 * too many domains the longest unused, without a policy before those with one; of too many bytes the
 * longest policy: a few strangers with policies as long as they may be must not push out all others. A
 * policy that has expired goes first.
 */
struct sts_domain *sts_cache_surplus(struct sts_cache *cache);
void sts_cache_drop(struct sts_cache *cache, struct sts_domain **domain);

/*
 * Takes a policy that was read (policy is the cache's from now on) and plans its refresh. expires_s is
 * cut to what max_age allows.
 */
void sts_cache_keep(struct sts_cache *cache, struct sts_domain *domain, struct sts_policy *policy,
    const struct sts_kept *kept, int64_t now_s);
void sts_cache_forget(struct sts_cache *cache, struct sts_domain *domain);

/*
 * Is a policy kept, and not yet over? One that was fetched in what is the future now (the clock was set
 * back) lasts its lifetime from now on, or as it was meant when the clock goes ahead again.
 */
bool sts_domain_is_in_force(struct sts_domain *domain, int64_t now_s);

/* Of its policy, as the last question whether it is in force found it. */
int64_t sts_domain_expires_s(const struct sts_domain *domain);

bool sts_domain_is_idle(const struct sts_domain *domain);

/* After a refresh that failed. */
void sts_domain_refresh_later(struct sts_domain *domain, int64_t now_s);
