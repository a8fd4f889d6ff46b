/* An explanation for programs: all that explain_print.c tells, in one object. */
#include <string.h>

#include "relay/base/clock.h"
#include "relay/cli/cli.h"
#include "relay/cli/explain.h"
#include "relay/cli/resolve.h"
#include "tls/dane.h"

static json_t *grant_to_json(const struct explanation *e);
static json_t *route_to_json(const struct explanation *e);
static json_t *policy_to_json(const struct explanation *e);
static json_t *partner_to_json(const struct explanation *e);
static json_t *host_to_json(const struct plan_host *host);
static json_t *requirement_to_json(const struct tls_requirement *tls);
static json_t *watches_to_json(const struct plan_host *host);

json_t *explain_to_json(const struct explanation *e)
{
	const struct plan *plan = e->plan;
	char decision[EXPLAIN_DECISION_MAX];
	json_t *hosts = json_array(), *object;

	explain_decide(e, decision);
	for (size_t i = 0; i < plan->n_hosts; i++)
		json_array_append_new(hosts, host_to_json(&plan->hosts[i]));
	object = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:o, s:o, s:o, s:o, s:o, s:b, s:s}",
	    "domain", plan->domain, "next_hop", plan->next_hop, "mx_security",
	    security_name(plan->mx_security), "mx_implicit", plan->mx_implicit, "impaired",
	    plan->is_impaired, "requiretls", plan->needs_requiretls, "tls_required_no",
	    e->wish.tls_optional, "route", route_to_json(e), "policy", policy_to_json(e), "partner",
	    partner_to_json(e), "hosts", hosts, "refusal", cli_refusal_to_json(&plan->refusal),
	    "goes", explain_is_well(e), "decision", decision);
	if (plan->sts.problem != STS_PROBLEM_NONE)
		json_object_set_new(object, "policy_problem", json_string(plan->sts.why));
	if (e->grant != NULL)
		json_object_set_new(object, "sender", grant_to_json(e));
	return object;
}

static json_t *grant_to_json(const struct explanation *e)
{
	const struct grant *grant = e->grant;
	json_t *accounts = json_array();

	for (size_t i = 0; i < grant->n_accounts; i++)
		json_array_append_new(
		    accounts, json_pack("{s:s, s:s}", "name", grant->accounts[i]->name, "tls_floor",
				  tls_level_name(grant->accounts[i]->tls_floor)));
	return json_pack("{s:s, s:o, s:s?, s:o, s:o}", "address", e->sender, "accounts", accounts,
	    "domain", grant->domain != NULL ? grant->domain->name : NULL, "selectors",
	    grant->domain != NULL
		? cli_texts_to_json(grant->domain->selectors, grant->domain->n_selectors)
		: json_array(),
	    "refusal", cli_refusal_to_json(&grant->refusal));
}

/* null: by MX. */
static json_t *route_to_json(const struct explanation *e)
{
	const struct config_route *route;

	if (!e->plan->is_route)
		return json_null();
	route = config_find_route(e->config, e->plan->domain);
	return json_pack("{s:s, s:s, s:i, s:s, s:s?}", "domain", route->domain, "host", route->host,
	    "port", (int)route->port, "tls", tls_level_name(route->level), "login", route->login);
}

/* null: none is in force. */
static json_t *policy_to_json(const struct explanation *e)
{
	const struct sts_finding *sts = &e->plan->sts;
	char until[CLOCK_DATE_MAX];

	if (!sts->has_policy)
		return json_null();
	clock_print_iso(sts->expires_s, until);
	return json_pack("{s:s, s:s, s:o, s:I, s:I, s:s}", "mode", sts_mode_name(sts->policy.mode),
	    "id", sts->id, "mx", cli_texts_to_json(sts->policy.mx, sts->policy.n_mx), "max_age",
	    (json_int_t)sts->policy.max_age_s, "age", (json_int_t)explain_policy_age_s(e), "until",
	    until);
}

static json_t *partner_to_json(const struct explanation *e)
{
	const struct config_partner *partner;

	if (*e->plan->partner == '\0')
		return json_null();
	partner = config_find_partner(e->config, e->plan->domain);
	return json_pack("{s:s, s:s, s:s, s:s?}", "name", partner->name, "tls",
	    tls_level_name(partner->level), "mode", partner->observe ? "observe" : "require",
	    "exception", *e->plan->exception != '\0' ? e->plan->exception : NULL);
}

static json_t *host_to_json(const struct plan_host *host)
{
	json_t *addresses = json_array(), *object = requirement_to_json(&host->tls);
	char text[RESOLVE_ADDRESS_MAX];

	for (size_t i = 0; i < host->n_addresses; i++) {
		resolve_print_address(&host->addresses[i], text);
		json_array_append_new(addresses, json_string(text));
	}
	json_object_update_new(object,
	    json_pack("{s:s, s:i, s:o, s:s, s:s, s:s, s:s, s:i, s:b, s:o, s:o}", "name", host->name,
		"preference", (int)host->preference, "addresses", addresses, "address_security",
		security_name(host->address_security), "tlsa_status",
		answer_status_name(host->tlsa_status), "tlsa_security",
		security_name(host->tlsa_security), "tlsa_base", host->tlsa_base, "tlsa_published",
		(int)host->n_tlsa_published, "tlsa_policy", host->has_tlsa_policy, "watches",
		watches_to_json(host), "unusable", cli_refusal_to_json(&host->unusable)));
	return object;
}

static json_t *requirement_to_json(const struct tls_requirement *tls)
{
	json_t *tlsa = json_array(), *pins = json_array();
	char text[TLSA_TEXT_MAX];

	for (size_t i = 0; i < tls->n_tlsa; i++) {
		tlsa_print(&tls->tlsa[i], text, sizeof text);
		json_array_append_new(tls->tlsa_pinned ? pins : tlsa, json_string(text));
	}
	return json_pack("{s:s, s:s, s:s?, s:o, s:o, s:o, s:b}", "level",
	    tls_level_name(tls->level), "demand", tls_demand_name(tls->demand), "sni", tls->sni,
	    "names", cli_texts_to_json(tls->names, tls->n_names), "tlsa", tlsa, "pins", pins,
	    "tlsa_unusable", tls->tlsa_unusable);
}

static json_t *watches_to_json(const struct plan_host *host)
{
	json_t *watches = json_array();

	for (size_t i = 0; i < host->n_watches; i++) {
		const struct plan_watch *watch = &host->watches[i];
		json_t *object = requirement_to_json(&watch->tls);

		/* By whom it is watched; the requirement says who would demand it. */
		json_object_set_new(object, "watch", json_string(tls_demand_name(watch->demand)));
		json_object_set_new(object, "unusable", cli_refusal_to_json(&watch->unusable));
		json_array_append_new(watches, object);
	}
	return watches;
}
