/*
 * What the answers of the DNS and of a policy host say about a domain's MTA-STS policy, or what is
 * wrong with them. Pure.
 */
#pragma once

#include <stdbool.h>

#include "relay/lookup/answer.h"
#include "relay/lookup/https.h"
#include "relay/lookup/sts.h"
#include "tls/sts.h"

struct sts_trouble {
	enum sts_problem problem;
	char why[STS_WHY_MAX];
};

/*
 * RFC 8461 3.1. A lookup that failed says as little as a record that is not there, which is trouble only
 * where it was there before.
 */
enum sts_record_kind sts_judge_record(const char *domain, const struct answer *answer,
    bool was_there, char id[STS_ID_MAX], struct sts_trouble *trouble);

/* RFC 8461 3.2, 3.3. False, with nothing in policy to finish, if it is none. */
bool sts_judge_policy(const char *domain, const struct https_answer *answer,
    struct sts_policy *policy, struct sts_trouble *trouble);
