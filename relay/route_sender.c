/*
 * What the sender's side asks beyond the operator's word and the receiver's policies: the floor of the
 * account, and REQUIRETLS (RFC 8689). Both only raise.
 */
#include "relay/route_pins.h"
#include "relay/route_tls.h"

static void raise_to_verify(struct plan_host *host);
static void refuse_conflict(const struct route_scene *scene, struct plan_host *host);
static void require_authentication(const struct route_scene *scene, struct plan_host *host);
static bool is_known_to_rule(const struct route_word *word, const struct tls_requirement *tls);
static void say_unsure(
    const struct route_scene *scene, const struct plan_host *host, struct outcome *why);
static bool is_authenticated(const struct tls_requirement *tls);

void route_apply_wish(const struct route_scene *scene, struct plan_host *host)
{
	const struct route_wish *wish = &scene->question->wish;

	switch (wish->floor) {
	case TLS_NONE:
	case TLS_MAY: break;
	case TLS_ENCRYPT:
		if (tls_requirement_allows_plaintext(&host->tls))
			route_set_level(host, TLS_ENCRYPT, DEMAND_ACCOUNT);
		break;
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_MTA_STS: raise_to_verify(host); break;
	case TLS_DANE:
	case TLS_DANE_ONLY: refuse_conflict(scene, host); break;
	}
	if (wish->requires_tls)
		require_authentication(scene, host);
}

static void raise_to_verify(struct plan_host *host)
{
	if (!is_authenticated(&host->tls))
		route_set_level(host, TLS_VERIFY, DEMAND_ACCOUNT);
}

/* DANE or not at all: the operator's word has been raised to it, unless that names another trust. */
static void refuse_conflict(const struct route_scene *scene, struct plan_host *host)
{
	struct outcome why;

	if (scene->word.level == TLS_DANE_ONLY)
		return;
	/* Neither covers the other, and one connection shows but one of them. */
	outcome_say(&why, 451, "4.7.5", "tls-floor-conflict",
	    "The account demands DANE of the way to %s, but the operator has written %s for it (by "
	    "%s): write dane-only there, or lower tls-floor of the account",
	    scene->question->domain, tls_level_name(scene->word.level),
	    tls_demand_name(scene->word.demand));
	route_make_unusable(host, &why);
}

/*
 * RFC 8689 4.2.1, 2 and 4: that this is the right host must be known from DNSSEC or MTA-STS, and the
 * server must prove that it is this host.
 */
static void require_authentication(const struct route_scene *scene, struct plan_host *host)
{
	struct outcome why;

	if (!route_host_is_sure(scene, &scene->word, host)) {
		say_unsure(scene, host, &why);
		route_make_unusable(host, &why);
	}
	if (!is_authenticated(&host->tls))
		route_set_level(host, TLS_VERIFY, DEMAND_REQUIRETLS);
}

/*
 * A policy in testing has been authenticated as one that is enforced, and its list of hosts likewise.
 * RFC 8689 2 knows nothing else; but where a partner's rule names its trust itself it does not matter
 * what name the MX records gave, so the operator's word stands for theirs.
 */
bool route_host_is_sure(
    const struct route_scene *scene, const struct route_word *word, const struct plan_host *host)
{
	const struct sts_finding *sts = route_sts(scene);

	return route_hosts_are_sure(scene, word) || is_known_to_rule(word, &host->tls) ||
	       (sts != NULL && sts_policy_allows(&sts->policy, host->name));
}

static bool is_known_to_rule(const struct route_word *word, const struct tls_requirement *tls)
{
	if (word->partner == NULL || tls->demand != word->demand)
		return false;
	return tls->level == TLS_SECURE || tls->level == TLS_FINGERPRINT ||
	       (tls->level == TLS_VERIFY && route_has_pins(word->partner, tls->level));
}

/*
 * RFC 8689 4.2.1 wants a notification, so it is permanent (5.7.10); but not what may be known later:
 * while our own resolver or the policy could not be asked it waits.
 */
static void say_unsure(
    const struct route_scene *scene, const struct plan_host *host, struct outcome *why)
{
	const struct facts *facts = scene->facts;

	if (facts->is_impaired)
		outcome_say(why, 451, "4.7.5", "dane-impaired",
		    "The message has REQUIRETLS, and our own resolver does not validate DNSSEC now, so "
		    "it is not sure that %s is an MX host of %s: it waits until it does, see \"zegel "
		    "status\"",
		    host->name, scene->question->domain);
	else if (route_sts(scene) == NULL && facts->sts.problem != STS_PROBLEM_NONE)
		outcome_say(why, 451, "4.7.10", "requiretls-sts-unknown",
		    "The message has REQUIRETLS, the MX records of %s are not secured by DNSSEC, and its "
		    "MTA-STS policy could not be learned: %s",
		    scene->question->domain, facts->sts.why);
	else
		outcome_say(why, 550, "5.7.10", "requiretls-mx-insecure",
		    "The message has REQUIRETLS, but neither DNSSEC nor MTA-STS says that %s is an MX "
		    "host of %s (RFC 8689 4.2.1): its administrators must sign the domain or publish a "
		    "policy, or send it without REQUIRETLS",
		    host->name, scene->question->domain);
}

/* Does the level prove who the server is, or keep the mail? */
static bool is_authenticated(const struct tls_requirement *tls)
{
	switch (tls->level) {
	case TLS_NONE:
	case TLS_MAY:
	case TLS_ENCRYPT: return false;
	case TLS_DANE: return tls->n_tlsa > 0;
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_DANE_ONLY:
	case TLS_MTA_STS: return true;
	}
	return false;
}
