/*
 * What is known of a domain's MTA-STS policy, as a value. Apart from sts.c: those who only carry it
 * need no HTTPS.
 */
#include "relay/lookup/sts.h"

#include <stdlib.h>

#include "relay/base/mem.h"

void sts_finding_set_text(struct sts_finding *finding, const char *text)
{
	char *to = mem_create(STS_TEXT_MAX);
	size_t n = 0;

	for (; *text != '\0' && n < STS_TEXT_MAX - 1; text++) {
		if (*text == '\n' || (*text >= ' ' && *text <= '~'))
			to[n++] = *text;
		else if (*text != '\r' || text[1] != '\n')
			to[n++] = '?';
	}
	finding->text = to;
}

void sts_finding_copy(struct sts_finding *to, const struct sts_finding *from)
{
	*to = *from;
	sts_policy_copy(&to->policy, &from->policy);
	to->text = mem_copy_text(from->text);
}

void sts_finding_finish(struct sts_finding *finding)
{
	sts_policy_finish(&finding->policy);
	free(finding->text);
	*finding = (struct sts_finding){ .problem = STS_PROBLEM_NONE };
}
