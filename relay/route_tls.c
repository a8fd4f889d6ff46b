/*
 * What TLS a host must show: the operator's word, what the receiver's policies make of it, what the
 * message asks beyond; then the names that go with the level that came out.
 */
#include "relay/route_tls.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/route_pins.h"

static void apply_word(const struct route_scene *scene, const struct route_word *word,
    const struct facts_host *facts_host, struct plan_host *host);
static void watch_rule(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host);
static void name(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host);
static bool proves_an_unsure_host(
    const struct route_scene *scene, const struct route_word *word, const struct plan_host *host);

void route_require_tls(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host)
{
	route_tell_tlsa(facts_host, host);
	apply_word(scene, &scene->word, facts_host, host);
	if (scene->partner != NULL && scene->partner->observe)
		watch_rule(scene, facts_host, host);
	route_apply_wish(scene, host);
	name(scene, &scene->word, host);
}

static void apply_word(const struct route_scene *scene, const struct route_word *word,
    const struct facts_host *facts_host, struct plan_host *host)
{
	route_filter_mx(scene, word, host);
	route_apply_dane(scene, word, facts_host, host);
	route_apply_sts(scene, word, host);
}

/* The plan as the rule would make it, were it required: what it refuses is told and not done. */
static void watch_rule(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host)
{
	const struct route_word word = route_word_of_rule(scene);
	struct plan_host judged = *host;
	struct plan_watch *watch;

	if (word.level <= TLS_MAY)
		return;
	judged.tls = (struct tls_requirement){ .level = TLS_NONE };
	judged.has_tlsa_policy = false;
	judged.n_watches = 0;
	outcome_ok(&judged.unusable);
	apply_word(scene, &word, facts_host, &judged);
	name(scene, &word, &judged);
	for (size_t i = 0; i < judged.n_watches; i++)
		tls_requirement_finish(&judged.watches[i].tls);
	watch = &host->watches[host->n_watches++];
	watch->demand = DEMAND_PARTNER;
	watch->tls = judged.tls;
	watch->unusable = judged.unusable;
}

void route_set_level(struct plan_host *host, enum tls_level level, enum tls_demand demand)
{
	tls_requirement_finish(&host->tls);
	host->tls.level = level;
	host->tls.demand = demand;
}

static void name(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host)
{
	const struct config_route *route = scene->question->route;
	struct tls_requirement *tls = &host->tls;
	bool has_name = route == NULL || !route->is_address;

	switch (tls->level) {
	case TLS_NONE: return;
	case TLS_MAY:
	case TLS_ENCRYPT: break;
	case TLS_VERIFY:
	case TLS_MTA_STS:
		if (has_name)
			route_add_name(tls, host->name);
		break;
	case TLS_SECURE: route_name_partner(word->partner, scene->question->domain, tls); break;
	case TLS_FINGERPRINT: break;
	case TLS_DANE:
	case TLS_DANE_ONLY: route_name_dane(scene, host); break;
	}
	if (word->partner != NULL && tls->demand == word->demand &&
	    (tls->level == TLS_VERIFY || tls->level == TLS_SECURE || tls->level == TLS_FINGERPRINT))
		route_pin(word->partner, tls);
	tls->by_insecure_mx = proves_an_unsure_host(scene, word, host);
	if (tls->sni == NULL && has_name)
		tls->sni = mem_copy_text(host->name);
}

/* RFC 7672 2.2.1. The other levels name their trust themselves, or prove nothing, or take no such host. */
static bool proves_an_unsure_host(
    const struct route_scene *scene, const struct route_word *word, const struct plan_host *host)
{
	const struct tls_requirement *tls = &host->tls;
	bool proves_host = tls->level == TLS_VERIFY || (tls->level == TLS_DANE && tls->n_tlsa > 0);

	return proves_host && !route_host_is_sure(scene, word, host);
}

void route_add_name(struct tls_requirement *tls, const char *name)
{
	for (size_t i = 0; i < tls->n_names; i++) {
		if (strcmp(tls->names[i], name) == 0)
			return;
	}
	tls->names = mem_resize(tls->names, tls->n_names + 1, sizeof *tls->names);
	tls->names[tls->n_names++] = mem_copy_text(name);
}
