/*
 * What is known of a domain's MTA-STS policy, as a value. Apart from sts.c: those who only carry it
 * need no HTTPS.
 */
#include "relay/lookup/sts.h"

void sts_finding_copy(struct sts_finding *to, const struct sts_finding *from)
{
	*to = *from;
	sts_policy_copy(&to->policy, &from->policy);
}

void sts_finding_finish(struct sts_finding *finding)
{
	sts_policy_finish(&finding->policy);
	*finding = (struct sts_finding){ .problem = STS_PROBLEM_NONE };
}
