/*
 * What a host's TLSA records make of the operator's word (RFC 7672, RFC 7671). Which records are there
 * and under which name is a fact; here is what follows.
 */
#include <stdlib.h>
#include <string.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "relay/route_tls.h"
#include "tls/dane.h"

static bool asks_dane(const struct config *config, const struct route_word *word);
static void wait_impaired(const struct route_scene *scene, struct plan_host *host);
static void use_records(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host);
static void use_insecure_mx(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host);
static void fail_lookup(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host);
static bool has_records(const struct facts_host *facts_host);
static void by_dane(struct plan_host *host, enum tls_level level);
static void without_dane(const struct route_scene *scene, const char *why, struct plan_host *host);
static void take_usable(const struct facts_host *facts_host, struct tls_requirement *tls);

void route_tell_tlsa(const struct facts_host *facts_host, struct plan_host *host)
{
	struct buffer texts;

	host->tlsa_status = facts_host->tlsa.status;
	host->tlsa_security = facts_host->tlsa.security;
	host->n_tlsa_published = facts_host->n_records + facts_host->n_malformed;
	text_copy(host->tlsa_base, sizeof host->tlsa_base, facts_host->tlsa_base);
	buffer_init(&texts, ANSWER_TLSA_MAX * 16 + 2 * ANSWER_TLSA_BYTES_MAX);
	for (size_t i = 0; i < facts_host->n_records; i++) {
		const struct tlsa_record *record = &facts_host->records[i];
		char *hex = mem_create(2 * record->n_data + 1);

		hex_encode(record->data, record->n_data, hex);
		buffer_print(&texts, "%s%u %u %u %s", i > 0 ? "\n" : "", record->usage,
		    record->selector, record->matching, hex);
		free(hex);
	}
	host->tlsa_texts = buffer_take(&texts);
}

void route_apply_dane(const struct route_scene *scene, const struct route_word *word,
    const struct facts_host *facts_host, struct plan_host *host)
{
	route_set_level(host, word->level, word->demand);
	if (!asks_dane(scene->config, word))
		return;
	if (scene->facts->is_impaired)
		wait_impaired(scene, host);
	else if (route_hosts_are_sure(scene, word))
		use_records(scene, facts_host, host);
	else
		use_insecure_mx(scene, facts_host, host);
}

/*
 * RFC 7672 2.2.1. A host that the operator wrote needs no MX record to vouch for it, nor does the
 * domain itself where there are no MX records: whoever suppressed them forged only a way to a host
 * that is the domain's own.
 */
bool route_hosts_are_sure(const struct route_scene *scene, const struct route_word *word)
{
	const struct facts *facts = scene->facts;

	return facts->is_host || facts->implicit_mx || facts->mx.security == SECURITY_SECURE ||
	       (word->filters_mx && word->partner->n_mx > 0);
}

/* Of the levels below "dane" only a partner's "encrypt" is raised, and only where DANE is on. */
static bool asks_dane(const struct config *config, const struct route_word *word)
{
	switch (word->level) {
	case TLS_DANE:
	case TLS_DANE_ONLY: return true;
	case TLS_ENCRYPT: return !word->is_final && config->delivery.tls == TLS_DANE;
	case TLS_NONE:
	case TLS_MAY:
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_MTA_STS: return false;
	}
	return false;
}

/* Nothing is secure then, so that there seems to be no DANE anywhere. */
static void wait_impaired(const struct route_scene *scene, struct plan_host *host)
{
	struct outcome why;

	if (host->tls.level != TLS_DANE_ONLY && !scene->config->dns_defer_impaired) {
		without_dane(scene, "DNSSEC is not validated here", host);
		return;
	}
	outcome_say(&why, 451, "4.7.5", "dane-impaired",
	    "Our own resolver does not validate DNSSEC now, so DANE for %s can't be judged (level %s "
	    "by %s), and mail waits until it does: see \"zegel status\"",
	    host->name, tls_level_name(host->tls.level), tls_demand_name(host->tls.demand));
	route_make_unusable(host, &why);
}

static void use_records(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host)
{
	struct tls_requirement *tls = &host->tls;

	if (finding_is_failure(&facts_host->tlsa)) {
		host->has_tlsa_policy = true;
		fail_lookup(scene, facts_host, host);
		return;
	}
	if (!has_records(facts_host)) {
		without_dane(scene,
		    facts_host->tlsa.status == ANSWER_NOT_ASKED
			? "its addresses are not secured by DNSSEC"
		    : facts_host->tlsa.status == ANSWER_OK
			? "its TLSA records are not secured by DNSSEC"
			: "it has no TLSA records",
		    host);
		return;
	}
	host->has_tlsa_policy = true;
	take_usable(facts_host, tls);
	if (tls->n_tlsa > 0) {
		by_dane(host, TLS_DANE);
	} else if (tls->level == TLS_DANE_ONLY) {
		without_dane(scene, "none of its TLSA records is usable", host);
	} else if (tls->level == TLS_DANE) {
		/* RFC 7672 2.2: TLS is mandatory all the same. */
		tls->tlsa_unusable = true;
		by_dane(host, TLS_DANE);
	}
}

/* The operator's choice, as far as the word leaves one. */
static void use_insecure_mx(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host)
{
	enum tls_level choice = scene->config->delivery.dane_insecure_mx;

	if (host->tls.level == TLS_DANE_ONLY || choice < TLS_ENCRYPT)
		without_dane(scene, "its MX records are not secured by DNSSEC", host);
	else if (choice == TLS_DANE)
		use_records(scene, facts_host, host);
	else if (finding_is_failure(&facts_host->tlsa))
		fail_lookup(scene, facts_host, host);
	else if (!has_records(facts_host))
		without_dane(scene, "it has no TLSA records", host);
	else if (host->tls.level != TLS_ENCRYPT)
		by_dane(host, TLS_ENCRYPT);
}

/* RFC 7672 2.1.2: whoever can make the question fail must not so choose the answer. */
static void fail_lookup(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host)
{
	struct outcome why;

	outcome_say(&why, 451, "4.7.5", "tlsa-lookup-failed",
	    "The TLSA records of %s for %s could not be learned: %s",
	    *host->tlsa_base != '\0' ? host->tlsa_base : host->name, scene->question->domain,
	    facts_host->tlsa.why);
	route_make_unusable(host, &why);
}

static bool has_records(const struct facts_host *facts_host)
{
	return facts_host->tlsa.status == ANSWER_OK && facts_host->tlsa.security == SECURITY_SECURE;
}

/* The receiver's records demand it now, unless the operator's word has demanded exactly this. */
static void by_dane(struct plan_host *host, enum tls_level level)
{
	if (host->tls.level == TLS_DANE_ONLY)
		return;
	host->tls.level = level;
	if (host->tls.demand != DEMAND_EXCEPTION)
		host->tls.demand = DEMAND_DANE;
}

/* A password that the operator has entrusted to a next hop never travels in plaintext. */
static void without_dane(const struct route_scene *scene, const char *why, struct plan_host *host)
{
	const struct config_route *route = scene->question->route;
	struct outcome outcome;

	if (host->tls.level == TLS_DANE)
		host->tls.level = route != NULL && route->login != NULL ? TLS_ENCRYPT : TLS_MAY;
	if (host->tls.level != TLS_DANE_ONLY)
		return;
	outcome_say(&outcome, 451, "4.7.5", "dane-required",
	    "Mail for %s must be secured by DANE (dane-only by %s), but %s can't be authenticated so: "
	    "%s",
	    scene->question->domain, tls_demand_name(host->tls.demand), host->name, why);
	route_make_unusable(host, &outcome);
}

static void take_usable(const struct facts_host *facts_host, struct tls_requirement *tls)
{
	for (size_t i = 0; i < facts_host->n_records; i++) {
		const struct tlsa_record *record = &facts_host->records[i];

		if (!tlsa_is_usable(record))
			continue;
		tls->tlsa = mem_resize(tls->tlsa, tls->n_tlsa + 1, sizeof *tls->tlsa);
		tls->tlsa[tls->n_tlsa] = *record;
		tls->tlsa[tls->n_tlsa].data = (uint8_t *)mem_copy(record->data, record->n_data);
		tls->n_tlsa++;
	}
}

/*
 * RFC 7672 3.2.2: the TLSA base, and where no stranger can have chosen the host the domain that was
 * asked for, and its expansion if nobody can have forged that; behind insecure MX records the host's
 * name alone. 8.1 for the SNI.
 */
void route_name_dane(const struct route_scene *scene, struct plan_host *host)
{
	const struct facts *facts = scene->facts;

	if (*host->tlsa_base == '\0')
		return;
	route_add_name(&host->tls, host->tlsa_base);
	if (facts->is_host || facts->implicit_mx || facts->mx.security == SECURITY_SECURE)
		route_add_name(&host->tls, facts->domain);
	if (!facts->is_host && facts->mx.security == SECURITY_SECURE)
		route_add_name(&host->tls, facts->expanded);
	host->tls.sni = mem_copy_text(host->tlsa_base);
}
