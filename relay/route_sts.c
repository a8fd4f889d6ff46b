/*
 * What the recipient domain's MTA-STS policy makes of a host (RFC 8461 4, 5): enforced where nothing
 * stronger decides already, and otherwise watched, so that reports can tell what it would have said.
 */
#include "relay/base/mem.h"
#include "relay/route_pins.h"
#include "relay/route_tls.h"

static void wait_for_policy(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host);
static bool is_waived(const struct route_scene *scene, const struct route_word *word);
static bool is_raised(const struct route_word *word);
static bool dane_decides(
    const struct route_scene *scene, const struct route_word *word, const struct plan_host *host);
static void enforce(const struct route_scene *scene, bool is_allowed, struct plan_host *host);
static void watch(const struct route_scene *scene, bool is_allowed, struct plan_host *host);
static void say_name(const struct route_scene *scene, const char *host, struct outcome *why);

const struct sts_finding *route_sts(const struct route_scene *scene)
{
	const struct sts_finding *sts = &scene->facts->sts;

	if (!scene->config->delivery.mta_sts || scene->facts->is_host || !sts->has_policy ||
	    sts->expires_s <= scene->question->now_s)
		return NULL;
	return sts;
}

void route_apply_sts(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host)
{
	const struct sts_finding *sts = route_sts(scene);
	bool is_allowed;

	if (sts == NULL)
		wait_for_policy(scene, word, host);
	if (sts == NULL || sts->policy.mode == STS_MODE_NONE || is_waived(scene, word))
		return;
	is_allowed = sts_policy_allows(&sts->policy, host->name);
	if (sts->policy.mode == STS_MODE_ENFORCE && is_raised(word) &&
	    !dane_decides(scene, word, host))
		enforce(scene, is_allowed, host);
	else
		watch(scene, is_allowed, host);
}

/*
 * RFC 8461 3.3 has mail go on without a policy that can't be had. But that we had no time to look says nothing
 * of the domain, and who gives bogus answers wants something: neither shall bring mail out
 * unprotected.
 */
static void wait_for_policy(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host)
{
	const struct facts *facts = scene->facts;
	bool may_be_there =
	    facts->sts.problem == STS_PROBLEM_BUSY || facts->sts.problem == STS_PROBLEM_BOGUS;
	struct outcome why;

	if (!scene->config->delivery.mta_sts || facts->is_host || !may_be_there ||
	    is_waived(scene, word) || !is_raised(word) || dane_decides(scene, word, host))
		return;
	outcome_say(&why, 451, "4.7.0", "sts-unknown",
	    "Whether %s has an MTA-STS policy is not known, and mail waits until it is: %s",
	    scene->question->domain, facts->sts.why);
	route_make_unusable(host, &why);
}

/* By the sender, or by the operator's "none" and "may". */
static bool is_waived(const struct route_scene *scene, const struct route_word *word)
{
	return scene->is_optional || (word->is_final && word->level <= TLS_MAY);
}

/*
 * "verify" alone is about the name that the MX records gave, and a rule must not let in a host that RFC
 * 8461 5 would have kept out without it. The other levels name their trust themselves, which is the
 * operator's to say, and an exception is exactly what it says.
 */
static bool is_raised(const struct route_word *word)
{
	if (word->is_final)
		return false;
	switch (word->level) {
	case TLS_MAY:
	case TLS_ENCRYPT:
	case TLS_DANE: return true;
	case TLS_VERIFY: return !route_has_pins(word->partner, word->level);
	case TLS_NONE:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_DANE_ONLY:
	case TLS_MTA_STS: return false;
	}
	return false;
}

/*
 * RFC 8461 2: a policy must not override DANE that fails. So it stays behind records that authenticate
 * the host, and behind the failure to learn them. Where none of the records is usable DANE
 * authenticates nobody, and the policy can only be stricter; where insecure MX records chose the host
 * only the policy can say that it is the right one.
 */
static bool dane_decides(
    const struct route_scene *scene, const struct route_word *word, const struct plan_host *host)
{
	return host->has_tlsa_policy && (host->tls.n_tlsa > 0 || host->tlsa_status != ANSWER_OK) &&
	       route_hosts_are_sure(scene, word);
}

static void enforce(const struct route_scene *scene, bool is_allowed, struct plan_host *host)
{
	struct outcome why;

	route_set_level(host, TLS_MTA_STS, DEMAND_MTA_STS);
	if (is_allowed)
		return;
	say_name(scene, host->name, &why);
	route_make_unusable(host, &why);
}

static void watch(const struct route_scene *scene, bool is_allowed, struct plan_host *host)
{
	struct plan_watch *watch = &host->watches[host->n_watches++];

	*watch = (struct plan_watch){ .demand = DEMAND_MTA_STS };
	outcome_ok(&watch->unusable);
	if (!is_allowed)
		say_name(scene, host->name, &watch->unusable);
	watch->tls.level = TLS_MTA_STS;
	watch->tls.demand = DEMAND_MTA_STS;
	route_add_name(&watch->tls, host->name);
	watch->tls.sni = mem_copy_text(host->name);
}

/* RFC 8461 4.1. The policy or the MX records may be about to change, so it waits. */
static void say_name(const struct route_scene *scene, const char *host, struct outcome *why)
{
	const struct sts_finding *sts = route_sts(scene);

	outcome_say(why, 451, "4.7.0", "sts-mx-name",
	    "The MX host %s is none of those that the MTA-STS policy of %s allows (mode %s, id %s): its "
	    "administrators must add it to the policy, or take it out of the MX records",
	    host, scene->question->domain, sts_mode_name(sts->policy.mode), sts->id);
}
