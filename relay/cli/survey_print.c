/*
 * What a survey has found, for people: a line for each address and what belongs to it below; for
 * programs: one object for each host, and one for the domain.
 */
#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/cli/survey.h"

static void print_address(const struct survey_host *host, const struct probe_finding *f);
static void print_outcome(const char *what, const struct outcome *outcome);
static void print_evidence(const struct tls_evidence *e);
static void print_watches(const struct survey_host *host, const struct probe_finding *f);
static const char *watch_words(enum tls_demand demand);
static void print_warnings(const json_t *warnings);
static bool is_told_of_a_host(const struct plan *plan);
static json_t *host_to_json(const struct survey *survey, const struct survey_host *host);
static json_t *address_to_json(const struct survey_host *host, const struct probe_finding *f);
static json_t *evidence_to_json(const struct tls_evidence *e);
static json_t *watch_to_json(const struct plan_watch *watch, const struct outcome *outcome);
static json_t *domain_to_json(const struct survey *survey, const json_t *warnings);
static json_t *policy_to_json(const struct sts_finding *sts);

/* For programs it is part of the last object. */
void survey_print_rule(const struct cli *cli, const struct survey *survey)
{
	const struct config_partner *partner = survey->partner;

	if (partner != NULL && !cli->json)
		printf("%s: partner %s, tls=%s, %s\n", survey->plan->domain, partner->name,
		    tls_level_name(partner->level),
		    partner->observe ? "observed, not required" : "required");
}

void survey_print_host(
    const struct cli *cli, const struct survey *survey, const struct survey_host *host)
{
	if (cli->json) {
		cli_print_json(host_to_json(survey, host));
		return;
	}
	if (host->n_findings == 0) {
		printf("%s: refused\n", host->host->name);
		print_outcome("", &host->verdict);
	}
	for (size_t i = 0; i < host->n_findings; i++)
		print_address(host, &host->findings[i]);
	print_watches(host, NULL);
	print_warnings(host->warnings);
}

static void print_address(const struct survey_host *host, const struct probe_finding *f)
{
	const struct tls_requirement *tls = &host->host->tls;

	printf("%s: %s, required %s by %s\n", f->peer,
	    !f->is_reached               ? "not reached"
	    : outcome_is_ok(&f->verdict) ? "accepted"
					 : "refused",
	    tls_level_name(tls->level), tls_demand_name(tls->demand));
	if (!outcome_is_ok(&f->verdict))
		print_outcome("", &f->verdict);
	else if (!f->is_secure)
		puts("    in plaintext: no TLS, and none is required");
	if (f->is_secure)
		print_evidence(&f->evidence);
	if (f->is_reached)
		print_watches(host, f);
}

static void print_outcome(const char *what, const struct outcome *outcome)
{
	printf("    %s%s%s%s%s\n", what, outcome->text, outcome->name[0] != '\0' ? " [" : "",
	    outcome->name, outcome->name[0] != '\0' ? "]" : "");
}

static void print_evidence(const struct tls_evidence *e)
{
	char proof[512], date[CLOCK_DATE_MAX];

	tls_evidence_print_proof(e, proof, sizeof proof);
	printf("    %s, %s with %s; proof: %s\n", tls_trust_name(e->trust), e->protocol, e->cipher,
	    proof);
	clock_print_iso(e->not_after_s, date);
	printf("    certificate of %s by %s, until %s\n", e->subject, e->issuer, date);
	printf("    fingerprint = %s\n    public-key = %s\n", e->fingerprint, e->public_key);
}

/* Of an address, or (NULL) what forbids the host as a whole. */
static void print_watches(const struct survey_host *host, const struct probe_finding *f)
{
	for (size_t i = 0; i < host->n_watches; i++) {
		const struct plan_watch *watch = &host->watches[i];
		const struct outcome *outcome = f != NULL ? &f->watches[i] : &watch->unusable;

		if (!outcome_is_ok(outcome) && (f == NULL || outcome_is_ok(&watch->unusable)))
			print_outcome(watch_words(watch->demand), outcome);
	}
}

static const char *watch_words(enum tls_demand demand)
{
	return demand == DEMAND_PARTNER     ? "would be refused with mode = require: "
	       : demand == DEMAND_EXCEPTION ? "will be refused when the exception ends: "
					    : "the MTA-STS policy alone would refuse it: ";
}

static void print_warnings(const json_t *warnings)
{
	size_t i;
	const json_t *warning;

	json_array_foreach(warnings, i, warning)
	    printf("    warning: %s [%s]\n", json_string_value(json_object_get(warning, "text")),
		json_string_value(json_object_get(warning, "name")));
}

void survey_print_domain(const struct cli *cli, const struct survey *survey, const json_t *warnings)
{
	const struct plan *plan = survey->plan;

	if (cli->json) {
		cli_print_json(domain_to_json(survey, warnings));
		return;
	}
	printf("%s%s%s: %zu of %zu host%s accepted", plan->domain,
	    plan->is_route ? " by route to " : "", plan->is_route ? plan->next_hop : "",
	    plan->n_hosts - survey->n_refused, plan->n_hosts, plan->n_hosts == 1 ? "" : "s");
	if (survey->n_would_refuse > 0)
		printf(", %zu of them would be refused if partner %s had mode = require: %s",
		    survey->n_would_refuse, survey->partner->name,
		    survey->n_refused + survey->n_would_refuse == plan->n_hosts
			? "no mail would go"
			: "mail would go by the others alone");
	if (plan->exception[0] != '\0')
		printf("; exception of partner %s %s", survey->partner->name, plan->exception);
	putchar('\n');
	if (!outcome_is_ok(&plan->refusal) && !is_told_of_a_host(plan))
		print_outcome("", &plan->refusal);
	print_warnings(warnings);
}

/* What forbids the last host that is left forbids the domain. */
static bool is_told_of_a_host(const struct plan *plan)
{
	for (size_t i = 0; i < plan->n_hosts; i++) {
		if (strcmp(plan->hosts[i].unusable.text, plan->refusal.text) == 0)
			return true;
	}
	return false;
}

/* ---- for programs ---- */

static json_t *host_to_json(const struct survey *survey, const struct survey_host *host)
{
	const struct tls_requirement *tls = &host->host->tls;
	json_t *addresses = json_array();

	for (size_t i = 0; i < host->n_findings; i++)
		json_array_append_new(addresses, address_to_json(host, &host->findings[i]));
	return json_pack("{s:s, s:s, s:i, s:s, s:s, s:b, s:o, s:o, s:o, s:O}", "domain",
	    survey->plan->domain, "host", host->host->name, "preference",
	    (int)host->host->preference, "level", tls_level_name(tls->level), "demand",
	    tls_demand_name(tls->demand), "accepted", outcome_is_ok(&host->verdict), "refusal",
	    cli_refusal_to_json(&host->verdict), "would_refuse", cli_refusal_to_json(&host->would),
	    "addresses", addresses, "warnings", host->warnings);
}

static json_t *address_to_json(const struct survey_host *host, const struct probe_finding *f)
{
	json_t *watches = json_array();

	for (size_t i = 0; f->is_reached && i < host->n_watches; i++)
		json_array_append_new(watches, watch_to_json(&host->watches[i], &f->watches[i]));
	return json_pack("{s:s, s:b, s:b, s:b, s:o, s:o, s:o}", "peer", f->peer, "reached",
	    f->is_reached, "accepted", outcome_is_ok(&f->verdict), "plaintext",
	    outcome_is_ok(&f->verdict) && !f->is_secure, "refusal",
	    cli_refusal_to_json(&f->verdict), "evidence",
	    f->is_secure ? evidence_to_json(&f->evidence) : json_null(), "watches", watches);
}

static json_t *evidence_to_json(const struct tls_evidence *e)
{
	char proof[512], date[CLOCK_DATE_MAX];

	tls_evidence_print_proof(e, proof, sizeof proof);
	clock_print_iso(e->not_after_s, date);
	return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}",
	    "trust", tls_trust_name(e->trust), "achieved", tls_level_name(e->achieved), "authority",
	    e->authority, "protocol", e->protocol, "cipher", e->cipher, "proof", proof, "tlsa",
	    e->tlsa_text, "name", e->name, "fingerprint", e->fingerprint, "public_key",
	    e->public_key, "subject", e->subject, "issuer", e->issuer, "until", date, "sni",
	    e->sni);
}

static json_t *watch_to_json(const struct plan_watch *watch, const struct outcome *outcome)
{
	const struct outcome *first = outcome_is_ok(&watch->unusable) ? outcome : &watch->unusable;

	return json_pack("{s:s, s:s, s:s?, s:b, s:o}", "demand", tls_demand_name(watch->demand),
	    "level", tls_level_name(watch->tls.level), "sni", watch->tls.sni, "passes",
	    outcome_is_ok(first), "refusal", cli_refusal_to_json(first));
}

static json_t *domain_to_json(const struct survey *survey, const json_t *warnings)
{
	const struct plan *plan = survey->plan;
	const char *mode = survey->partner == NULL    ? NULL
			   : survey->partner->observe ? "observe"
						      : "require";

	return json_pack("{s:s, s:s?, s:b, s:i, s:i, s:i, s:s?, s:s?, s:s?, s:o, s:o, s:O}",
	    "domain", plan->domain, "next_hop", plan->is_route ? plan->next_hop : NULL, "accepted",
	    plan->n_hosts > 0 && survey->n_refused == 0, "hosts", (int)plan->n_hosts, "refused",
	    (int)survey->n_refused, "would_refuse", (int)survey->n_would_refuse, "partner",
	    survey->partner == NULL ? NULL : survey->partner->name, "mode", mode, "exception",
	    plan->exception[0] != '\0' ? plan->exception : NULL, "policy",
	    policy_to_json(&plan->sts), "refusal", cli_refusal_to_json(&plan->refusal), "warnings",
	    warnings);
}

/* null without a policy in force. */
static json_t *policy_to_json(const struct sts_finding *sts)
{
	char date[CLOCK_DATE_MAX];

	if (!sts->has_policy)
		return json_null();
	clock_print_iso(sts->expires_s, date);
	return json_pack("{s:s, s:s, s:s, s:s}", "mode", sts_mode_name(sts->policy.mode), "id",
	    sts->id, "until", date, "problem", sts->problem == STS_PROBLEM_NONE ? "" : sts->why);
}
