/*
 * A host's TLS requirement: the operator's floor first, then what the receiver's TLSA records raise
 * it to. The rules are in route.h.
 */
#include "relay/route_tls.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/route_pins.h"
#include "tls/dane.h"

static bool mx_is_allowed(const struct config_partner *partner, const char *name);
static bool dane_applies(const struct config *config, const struct plan_host *host);
static bool host_is_trusted(const struct config_partner *partner, const struct facts *facts);
static void apply_dane(const struct facts *facts, const struct facts_host *facts_host,
    bool is_trusted, struct plan_host *host);
static void without_dane(const char *why, struct plan_host *host);
static void take_usable(const struct facts_host *facts_host, struct tls_requirement *tls);
static void name_dane(const struct facts *facts, struct plan_host *host);
static void name_partner(
    const struct config_partner *partner, const char *domain, struct tls_requirement *tls);
static void add_name(struct tls_requirement *tls, const char *name);
static void make_unusable(struct plan_host *host, const struct outcome *why);

void route_require_tls(const struct config *config, const struct config_partner *partner,
    const struct facts *facts, const struct facts_host *facts_host, struct plan_host *host)
{
	struct tls_requirement *tls = &host->tls;
	struct outcome why;

	tls->level = partner != NULL ? partner->level : config->delivery.tls;
	tls->demand = partner != NULL ? DEMAND_PARTNER : DEMAND_DEFAULT;
	host->tlsa_status = facts_host->tlsa.status;
	host->tlsa_security = facts_host->tlsa.security;
	host->n_tlsa_published = facts_host->n_records + facts_host->n_malformed;
	strcpy(host->tlsa_base, facts_host->tlsa_base);
	if (partner != NULL && !mx_is_allowed(partner, host->name)) {
		outcome_say(&why, 451, "4.7.0", "partner-mx-name",
		    "The MX host %s of %s is none of the names that the partner rule allows; if it is "
		    "right, add it to mx in partner %s",
		    host->name, facts->domain, partner->name);
		make_unusable(host, &why);
	}
	if (dane_applies(config, host))
		apply_dane(facts, facts_host, host_is_trusted(partner, facts), host);
	switch (tls->level) {
	case TLS_NONE: return;
	case TLS_MAY:
	case TLS_ENCRYPT: break;
	case TLS_VERIFY:
	case TLS_MTA_STS: add_name(tls, host->name); break;
	case TLS_SECURE: name_partner(partner, facts->domain, tls); break;
	case TLS_FINGERPRINT: break;
	case TLS_DANE:
	case TLS_DANE_ONLY: name_dane(facts, host); break;
	}
	if (partner != NULL &&
	    (tls->level == TLS_VERIFY || tls->level == TLS_SECURE || tls->level == TLS_FINGERPRINT))
		route_pin(partner, tls);
	if (tls->sni == NULL)
		tls->sni = mem_copy_text(host->name);
}

static bool mx_is_allowed(const struct config_partner *partner, const char *name)
{
	for (size_t i = 0; i < partner->n_mx; i++) {
		if (domain_matches(partner->mx[i], name))
			return true;
	}
	return partner->n_mx == 0;
}

/* A partner's "none" and "may" are exceptions to DANE; the others below it are floors to raise. */
static bool dane_applies(const struct config *config, const struct plan_host *host)
{
	switch (host->tls.level) {
	case TLS_DANE:
	case TLS_DANE_ONLY: return true;
	case TLS_ENCRYPT:
		return config->delivery.tls == TLS_DANE || config->delivery.tls == TLS_DANE_ONLY;
	case TLS_NONE:
	case TLS_MAY:
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_MTA_STS: return false;
	}
	return false;
}

/* RFC 7672 2.2.1. A host that the operator wrote needs no MX record to vouch for it. */
static bool host_is_trusted(const struct config_partner *partner, const struct facts *facts)
{
	return facts->mx.security == SECURITY_SECURE || (partner != NULL && partner->n_mx > 0);
}

static void apply_dane(const struct facts *facts, const struct facts_host *facts_host,
    bool is_trusted, struct plan_host *host)
{
	struct tls_requirement *tls = &host->tls;
	struct outcome why;

	if (!is_trusted) {
		without_dane("its MX records are not secured by DNSSEC", host);
		return;
	}
	if (finding_is_failure(&facts_host->tlsa)) {
		/* RFC 7672 2.1.2: whoever can make the question fail must not so choose the answer. */
		outcome_say(&why, 451, "4.7.5", "tlsa-lookup-failed",
		    "The TLSA records of %s for %s could not be learned: %s",
		    *host->tlsa_base != '\0' ? host->tlsa_base : host->name, facts->domain,
		    facts_host->tlsa.why);
		make_unusable(host, &why);
		return;
	}
	if (facts_host->tlsa.status != ANSWER_OK || facts_host->tlsa.security != SECURITY_SECURE) {
		without_dane(facts_host->tlsa.status == ANSWER_NOT_ASKED
				 ? "its addresses are not secured by DNSSEC"
			     : facts_host->tlsa.status == ANSWER_OK
				 ? "its TLSA records are not secured by DNSSEC"
				 : "it has no TLSA records",
		    host);
		return;
	}
	take_usable(facts_host, tls);
	if (tls->n_tlsa > 0) {
		if (tls->level != TLS_DANE_ONLY) {
			tls->level = TLS_DANE;
			tls->demand = DEMAND_DANE;
		}
		return;
	}
	if (tls->level == TLS_DANE_ONLY) {
		without_dane("none of its TLSA records is usable", host);
	} else if (tls->level == TLS_DANE) {
		tls->tlsa_unusable = true;
		tls->demand = DEMAND_DANE;
	}
}

static void without_dane(const char *why, struct plan_host *host)
{
	struct outcome outcome;

	if (host->tls.level == TLS_DANE)
		host->tls.level = TLS_MAY;
	if (host->tls.level != TLS_DANE_ONLY)
		return;
	outcome_say(&outcome, 451, "4.7.5", "dane-required",
	    "The rule for this domain is dane-only (by %s), but %s can't be authenticated so: %s",
	    tls_demand_name(host->tls.demand), host->name, why);
	make_unusable(host, &outcome);
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

/* RFC 7672 3.2.2 for the names that a usage 2 certificate may bear, 8.1 for the SNI. */
static void name_dane(const struct facts *facts, struct plan_host *host)
{
	if (*host->tlsa_base == '\0')
		return;
	add_name(&host->tls, host->tlsa_base);
	add_name(&host->tls, facts->domain);
	add_name(&host->tls, facts->expanded);
	host->tls.sni = mem_copy_text(host->tlsa_base);
}

/* Never a name that only the DNS gave: that is what makes "secure" stronger than "verify". */
static void name_partner(
    const struct config_partner *partner, const char *domain, struct tls_requirement *tls)
{
	char below[DOMAIN_MAX + 2] = "*.";

	for (size_t i = 0; partner != NULL && i < partner->n_mx; i++)
		add_name(tls, partner->mx[i]);
	if (tls->n_names > 0)
		return;
	add_name(tls, domain);
	strcat(below, domain);
	add_name(tls, below);
}

static void add_name(struct tls_requirement *tls, const char *name)
{
	for (size_t i = 0; i < tls->n_names; i++) {
		if (strcmp(tls->names[i], name) == 0)
			return;
	}
	tls->names = mem_resize(tls->names, tls->n_names + 1, sizeof *tls->names);
	tls->names[tls->n_names++] = mem_copy_text(name);
}

/* The first reason stays: it is the one that comes first on the road too. */
static void make_unusable(struct plan_host *host, const struct outcome *why)
{
	if (outcome_is_ok(&host->unusable))
		host->unusable = *why;
}
