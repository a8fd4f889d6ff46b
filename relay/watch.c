#include "relay/watch.h"

#include "relay/base/log.h"

static void warn(const struct plan *plan, const struct plan_watch *watch,
    const struct connection *c, const struct outcome *verdict, const char *message_id);

void watch_judge(const struct plan_host *host, const struct connection *c,
    struct outcome verdicts[PLAN_WATCHES_MAX])
{
	for (size_t i = 0; i < host->n_watches; i++) {
		const struct plan_watch *watch = &host->watches[i];
		struct tls_evidence shown;

		verdicts[i] = watch->unusable;
		if (outcome_is_ok(&verdicts[i]))
			stream_judge(c->stream, &watch->tls, &shown, &verdicts[i]);
	}
}

void watch_warn(const struct plan *plan, const struct plan_host *host, const struct connection *c,
    const struct outcome verdicts[PLAN_WATCHES_MAX], const char *message_id)
{
	for (size_t i = 0; i < host->n_watches; i++) {
		if (!outcome_is_ok(&verdicts[i]))
			warn(plan, &host->watches[i], c, &verdicts[i], message_id);
	}
	if (plan->exception[0] != '\0')
		log_warning(
		    "%s: to %s by the exception of partner %s, %s: before it ends, see that the "
		    "receiver meets the rule (zegel partner check %s) [partner-exception]",
		    message_id, c->peer, plan->partner, plan->exception, plan->partner);
}

/* An enforced policy that stands behind DANE is nobody's worry here: it is in the reports. */
static void warn(const struct plan *plan, const struct plan_watch *watch,
    const struct connection *c, const struct outcome *verdict, const char *message_id)
{
	if (watch->demand == DEMAND_PARTNER)
		log_warning(
		    "%s: partner %s, whose rule is only observed, would have refused %s: %s [%s]; "
		    "it is delivered, and mode = require would hold it back: have the receiver "
		    "mend it, or change the rule, first [partner-observe]",
		    message_id, plan->partner, c->peer, verdict->text, verdict->name);
	else if (plan->sts.policy.mode == STS_MODE_TESTING)
		log_warning(
		    "%s: the MTA-STS policy of %s, in testing, would have refused %s: %s [%s]; it "
		    "is delivered; the receiver learns of it by TLS reports (tls-reports { send }) "
		    "[sts-testing]",
		    message_id, plan->domain, c->peer, verdict->text, verdict->name);
}
