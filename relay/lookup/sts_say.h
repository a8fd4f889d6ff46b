/*
 * What the operator hears in the log of domains' MTA-STS policies. For relay/lookup/sts.c.
 */
#pragma once

#include "relay/lookup/sts_cache.h"

/* One that was fetched, and is not as the one before. */
void sts_say_policy(const struct sts_domain *domain, const struct sts_policy *policy);

/* One that could not be had: RFC 8461 3.3 wants it known. is_kept: that from before is in force. */
void sts_say_trouble(const struct sts_domain *domain, bool is_kept);

/*
 * A record that is gone, or can't be read any more, while the policy is kept. RFC 8461 10.2: who keeps it
 * from us until the policy is over is rid of that, and only people can tell whether its owner ended it.
 */
void sts_say_missed(const struct sts_domain *domain);
