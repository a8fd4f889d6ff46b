#include "relay/lookup/sts_judge.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "relay/base/log.h"

static bool is_plain_text(const char *type);
static void say(struct sts_trouble *trouble, enum sts_problem problem, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

enum sts_record_kind sts_judge_record(const char *domain, const struct answer *answer,
    bool was_there, char id[STS_ID_MAX], struct sts_trouble *trouble)
{
	enum sts_record_kind kind;

	*trouble = (struct sts_trouble){ .problem = STS_PROBLEM_NONE };
	id[0] = '\0';
	if (finding_is_failure(&answer->finding)) {
		say(trouble,
		    answer->finding.status == ANSWER_BOGUS ? STS_PROBLEM_BOGUS : STS_PROBLEM_DNS,
		    "the record _mta-sts.%s could not be learned: %s", domain, answer->finding.why);
		return STS_RECORD_NONE;
	}
	kind = sts_record_read((const char *const *)answer->texts, answer->n_texts, id);
	if (kind == STS_RECORD_INVALID)
		say(trouble, STS_PROBLEM_INVALID,
		    "the record _mta-sts.%s can't be read: it is not \"v=STSv1; id=LETTERS\"",
		    domain);
	if (kind == STS_RECORD_NONE && was_there)
		say(trouble, STS_PROBLEM_GONE,
		    "the record _mta-sts.%s is gone, or there is more than one", domain);
	return kind;
}

bool sts_judge_policy(const char *domain, const struct https_answer *answer,
    struct sts_policy *policy, struct sts_trouble *trouble)
{
	char why[HTTPS_WHY_MAX];

	*trouble = (struct sts_trouble){ .problem = STS_PROBLEM_NONE };
	switch (answer->problem) {
	case HTTPS_OK: break;
	case HTTPS_CERTIFICATE:
		say(trouble, STS_PROBLEM_WEBPKI, "the certificate of mta-sts.%s: %s", domain,
		    answer->why);
		return false;
	case HTTPS_BUSY:
		say(trouble, STS_PROBLEM_BUSY, "the policy of %s can't be fetched now: %s", domain,
		    answer->why);
		return false;
	case HTTPS_BOGUS:
		say(trouble, STS_PROBLEM_BOGUS, "the policy of %s can't be fetched: %s", domain,
		    answer->why);
		return false;
	case HTTPS_ADDRESS:
	case HTTPS_TIME:
	case HTTPS_SIZE:
	case HTTPS_FAILURE:
		say(trouble, STS_PROBLEM_FETCH, "the policy of %s can't be fetched: %s", domain,
		    answer->why);
		return false;
	}
	if (answer->status != 200) {
		say(trouble, STS_PROBLEM_FETCH,
		    "mta-sts.%s answers with status %u where only 200 brings a policy", domain,
		    answer->status);
		return false;
	}
	if (!is_plain_text(answer->type)) {
		say(trouble, STS_PROBLEM_INVALID,
		    "the policy of %s is of type \"%s\" instead of text/plain", domain,
		    answer->type);
		return false;
	}
	if (!sts_policy_read(answer->content, answer->n_content, policy, why, sizeof why)) {
		say(trouble, STS_PROBLEM_INVALID, "mta-sts.%s: %s", domain, why);
		return false;
	}
	return true;
}

/* RFC 8461 3.2: text/plain, perhaps with parameters. */
static bool is_plain_text(const char *type)
{
	static const char wanted[] = "text/plain";
	const char *rest;

	if (strncasecmp(type, wanted, sizeof wanted - 1) != 0)
		return false;
	rest = type + sizeof wanted - 1;
	rest += strspn(rest, " \t");
	return *rest == '\0' || *rest == ';';
}

static void say(struct sts_trouble *trouble, enum sts_problem problem, const char *format, ...)
{
	char why[2 * STS_WHY_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(why, sizeof why, format, args);
	va_end(args);
	trouble->problem = problem;
	log_escape(why, strlen(why), trouble->why, sizeof trouble->why);
}
