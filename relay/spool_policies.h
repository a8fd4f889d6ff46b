/*
 * The MTA-STS policies that are in force, kept over a restart (RFC 8461 3.3): a policy whose host is
 * down, or was taken down, still counts until it expires. Used by the queue role alone, as all of the
 * spool (spool.h).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/lookup/sts.h"
#include "relay/spool.h"

/* Past it those that expire first are forgotten. */
enum { SPOOL_POLICIES_MAX = 100000 };

/*
 * In place of what is kept for its domain; an empty policy: nothing is kept. Copies. No policy is
 * longer than STS_POLICY_MAX.
 */
void spool_policy_keep(struct spool *spool, const struct sts_kept *kept);

/*
 * Called once or more; the texts live until it returns. After is_last no more comes, and neither does
 * after none that are not the last: the database could not be read, and there may be more.
 */
typedef void spool_policies_found(
    void *arg, const struct sts_kept *policies, size_t n, bool is_last);

/*
 * All of them, in parts of about SPOOL_POLICIES_PART bytes at most. What has expired by a clock that may be
 * wrong is among them: the lookup says when it is to be forgotten (relay/lookup/sts.h).
 */
enum { SPOOL_POLICIES_PART = 1 << 20 };
void spool_policies_read(struct spool *spool, spool_policies_found *found, void *arg);

/* That of one domain; found is called once and is_last, with n 0 if there is none in force. */
void spool_policy_find(
    struct spool *spool, const char *domain, spool_policies_found *found, void *arg);
