#include "relay/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "relay/route_address.h"
#include "relay/route_tls.h"

static void tell(const struct route_scene *scene, struct plan *plan);
static int64_t valid_s(const struct route_scene *scene);
static bool refuse_confusion(const struct route_scene *scene, struct outcome *refusal);
static bool refuse_domain(const struct facts *facts, struct outcome *refusal);
static void plan_host(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host);
static void order_hosts(struct plan *plan, uint64_t shuffle);
static int compare_hosts(const void *a, const void *b);
static uint64_t next_random(uint64_t *state);
static void leave_out_ourselves(const struct config *config, struct plan *plan);
static void refuse_if_none_is_left(struct plan *plan);

void route_find(const struct config *config, const struct facts *facts,
    const struct route_question *question, struct plan *plan)
{
	struct route_scene scene = { .config = config, .facts = facts, .question = question };

	*plan = (struct plan){ 0 };
	route_find_word(&scene);
	tell(&scene, plan);
	if (refuse_confusion(&scene, &plan->refusal))
		return;
	if (!facts->is_host && refuse_domain(facts, &plan->refusal))
		return;
	plan->n_hosts = facts->n_hosts < PLAN_HOSTS_MAX ? facts->n_hosts : PLAN_HOSTS_MAX;
	plan->hosts = mem_create(plan->n_hosts * sizeof *plan->hosts);
	for (size_t i = 0; i < plan->n_hosts; i++)
		plan_host(&scene, &facts->hosts[i], &plan->hosts[i]);
	order_hosts(plan, question->shuffle);
	if (!plan->is_route)
		leave_out_ourselves(config, plan);
	refuse_if_none_is_left(plan);
}

/* What is true of the destination as a whole. */
static void tell(const struct route_scene *scene, struct plan *plan)
{
	const struct route_question *question = scene->question;
	const struct facts *facts = scene->facts;
	int64_t now_ms = clock_monotonic_ms();

	text_copy(plan->domain, sizeof plan->domain, question->domain);
	text_copy(plan->next_hop, sizeof plan->next_hop, facts->domain);
	plan->is_route = question->route != NULL;
	if (plan->is_route && question->route->login != NULL)
		snprintf(plan->login, sizeof plan->login, "%s", question->route->login);
	plan->needs_requiretls = question->wish.requires_tls && !question->wish.is_notification;
	plan->is_impaired = facts->is_impaired;
	sts_finding_copy(&plan->sts, &facts->sts);
	if (route_sts(scene) == NULL) {
		sts_policy_finish(&plan->sts.policy);
		plan->sts.has_policy = false;
	}
	if (scene->partner != NULL)
		snprintf(plan->partner, sizeof plan->partner, "%s", scene->partner->name);
	if (scene->exception != NULL)
		plan->exception_ends_ms =
		    now_ms + (scene->exception->until_s - question->now_s) * 1000;
	route_print_exception(scene->exception, plan->exception, sizeof plan->exception);
	plan->mx_security = facts->mx.security;
	plan->mx_implicit = facts->implicit_mx;
	plan->valid_until_ms = now_ms + valid_s(scene) * 1000;
	outcome_ok(&plan->refusal);
}

/* No longer than anything that it was made of. */
static int64_t valid_s(const struct route_scene *scene)
{
	int64_t s = scene->facts->ttl_s, now_s = scene->question->now_s;

	if (scene->exception != NULL && scene->exception->until_s - now_s < s)
		s = scene->exception->until_s - now_s;
	if (route_sts(scene) != NULL && route_sts(scene)->expires_s - now_s < s)
		s = route_sts(scene)->expires_s - now_s;
	return s;
}

/* A lookup role that was taken over must not send mail, and our logins, where nobody asked for. */
static bool refuse_confusion(const struct route_scene *scene, struct outcome *refusal)
{
	const struct config_route *route = scene->question->route;
	const struct facts *facts = scene->facts;
	const char *asked = route != NULL ? route->host : scene->question->domain;

	if (facts->is_host == (route != NULL) && strcmp(facts->domain, asked) == 0)
		return false;
	outcome_say(refusal, 451, "4.3.0", "lookup-confused",
	    "Our own resolver was asked about %s and answered about %s: see its log", asked,
	    facts->domain);
	return true;
}

/* What the MX question alone settles. */
static bool refuse_domain(const struct facts *facts, struct outcome *refusal)
{
	switch (facts->mx.status) {
	case ANSWER_OK:
	case ANSWER_NODATA: break;
	case ANSWER_NXDOMAIN:
		outcome_say(refusal, 550, "5.1.2", "domain-not-found",
		    "The domain %s does not exist", facts->domain);
		return true;
	case ANSWER_BOGUS:
		outcome_say(refusal, 451, "4.4.3", "dns-bogus",
		    "The MX records of %s fail DNSSEC validation: %s", facts->domain,
		    facts->mx.why);
		return true;
	case ANSWER_ERROR:
	case ANSWER_NOT_ASKED:
		outcome_say(refusal, 451, "4.4.3", "dns-failed",
		    "The MX records of %s could not be learned: %s", facts->domain, facts->mx.why);
		return true;
	}
	if (facts->null_mx) {
		outcome_say(refusal, 556, "5.1.10", "null-mx",
		    "The domain %s does not accept mail: it publishes a null MX (RFC 7505)",
		    facts->domain);
		return true;
	}
	return false;
}

static void plan_host(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host)
{
	const char *domain = scene->question->domain;

	text_copy(host->name, sizeof host->name, facts_host->name);
	host->preference = facts_host->preference;
	outcome_ok(&host->unusable);
	switch (facts_host->kind) {
	case MX_HOST: route_take_addresses(scene, facts_host, host); break;
	case MX_NULL:
		outcome_say(&host->unusable, 556, "5.1.10", "null-mx",
		    "The domain %s publishes a null MX, but other MX hosts too (RFC 7505 3)",
		    domain);
		break;
	case MX_INVALID:
		outcome_say(&host->unusable, 550, "5.4.4", "mx-invalid",
		    "The MX record of %s says %s, which is not the name of a host (RFC 5321 5.1)",
		    domain, facts_host->name);
		break;
	}
	route_require_tls(scene, facts_host, host);
}

void route_make_unusable(struct plan_host *host, const struct outcome *why)
{
	if (outcome_is_ok(&host->unusable))
		host->unusable = *why;
}

/* RFC 5321 5.1: best preference first, equals at random. What TLS a host offers has no say. */
static void order_hosts(struct plan *plan, uint64_t shuffle)
{
	for (size_t left = plan->n_hosts; left > 1; left--) {
		size_t chosen = next_random(&shuffle) % left;
		struct plan_host last = plan->hosts[left - 1];

		plan->hosts[left - 1] = plan->hosts[chosen];
		plan->hosts[chosen] = last;
	}
	/* qsort() need not keep the order of equals, but it can't know what they are either. */
	if (plan->n_hosts > 0)
		qsort(plan->hosts, plan->n_hosts, sizeof *plan->hosts, compare_hosts);
}

static int compare_hosts(const void *a, const void *b)
{
	const struct plan_host *one = a, *other = b;

	return (one->preference > other->preference) - (one->preference < other->preference);
}

/* SplitMix64: spreads any seed, also 0 and 1. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* RFC 5321 5.1: ourselves in the list, and whoever is no better, would bring the mail round again. */
static void leave_out_ourselves(const struct config *config, struct plan *plan)
{
	const struct plan_host *ourselves = NULL;

	for (size_t i = 0; i < plan->n_hosts && ourselves == NULL; i++) {
		if (config->hostname != NULL && strcmp(plan->hosts[i].name, config->hostname) == 0)
			ourselves = &plan->hosts[i];
	}
	for (size_t i = 0; ourselves != NULL && i < plan->n_hosts; i++) {
		struct plan_host *host = &plan->hosts[i];

		if (host->preference < ourselves->preference)
			continue;
		outcome_say(&host->unusable, 554, "5.4.6", "mx-loops-back",
		    "Mail for %s would come back to us: its MX host %s is %s", plan->domain,
		    host->name,
		    host == ourselves ? "this server"
				      : "no better than this server, which is one too");
	}
}

/* A reason that may pass speaks before one that won't: mail bounces only if no host could do. */
static void refuse_if_none_is_left(struct plan *plan)
{
	const struct plan_host *speaks = NULL;

	for (size_t i = 0; i < plan->n_hosts; i++) {
		const struct plan_host *host = &plan->hosts[i];

		if (outcome_is_ok(&host->unusable))
			return;
		if (speaks == NULL || (speaks->unusable.class == OUTCOME_FAIL &&
					  host->unusable.class == OUTCOME_DEFER))
			speaks = host;
	}
	if (speaks != NULL)
		plan->refusal = speaks->unusable;
	else
		outcome_say(&plan->refusal, 451, "4.4.3", "dns-failed",
		    "The MX records of %s name no host", plan->domain);
}
