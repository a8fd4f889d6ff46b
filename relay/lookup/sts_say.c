#include "relay/lookup/sts_say.h"

#include "relay/base/clock.h"
#include "relay/base/log.h"

static const char *word_of(enum sts_problem problem);
static bool makes_wait(enum sts_problem problem);

void sts_say_policy(const struct sts_domain *domain, const struct sts_policy *policy)
{
	log_info("MTA-STS: %s has a policy: %s, %zu mx, for %u s", domain->name,
	    sts_mode_name(policy->mode), policy->n_mx, policy->max_age_s);
}

void sts_say_trouble(const struct sts_domain *domain, bool is_kept)
{
	enum sts_problem problem = domain->policy_trouble.problem;
	char until[CLOCK_DATE_MAX] = "";

	if (is_kept)
		clock_print_iso(sts_domain_expires_s(domain), until);
	log_warning("MTA-STS: %s; that is for its owner to mend; meanwhile %s%s [mta-sts-%s]",
	    domain->policy_trouble.why,
	    is_kept               ? "the policy kept from before stays in force until "
	    : makes_wait(problem) ? "its mail waits"
				  : "its mail goes as without a policy",
	    until, word_of(problem));
}

void sts_say_missed(const struct sts_domain *domain)
{
	const struct sts_trouble *trouble = &domain->record_trouble;
	char until[CLOCK_DATE_MAX];

	clock_print_iso(sts_domain_expires_s(domain), until);
	log_warning(
	    "MTA-STS: %s; the policy kept from before stays in force until %s, and is not "
	    "renewed before the record is back: if its owner has not ended it, somebody may "
	    "keep the record from us; compare what other resolvers say [mta-sts-%s]",
	    trouble->why, until, word_of(trouble->problem));
}

static const char *word_of(enum sts_problem problem)
{
	static const char *const words[] = {
#define X(symbol, word) [symbol] = word,
		STS_PROBLEMS(X)
#undef X
	};

	return words[problem];
}

/* It does not say that there is none: relay/route_sts.c. */
static bool makes_wait(enum sts_problem problem)
{
	return problem == STS_PROBLEM_BUSY || problem == STS_PROBLEM_BOGUS;
}
