/*
 * zegel explain: the plan for a domain, as delivery would make it now, and who demands what.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "relay/cli/cli.h"
#include "relay/cli/resolve.h"
#include "tls/dane.h"

enum { TLSA_TEXT_MAX = 96 };

static int explain(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan);
static void print_plan(const struct plan *plan);
static void print_host(const struct plan *plan, const struct plan_host *host);
static void print_tlsa(const struct plan *plan, const struct plan_host *host);
static void print_requirement(const struct tls_requirement *tls);
static void print_json(const struct plan *plan);
static json_t *host_to_json(const struct plan_host *host);
static json_t *texts_to_json(char *const *texts, size_t n);
static json_t *refusal_to_json(const struct outcome *outcome);

int cli_explain(struct cli *cli)
{
	return resolve_and_use(cli, explain);
}

static int explain(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan)
{
	(void)config, (void)loop;
	if (cli->json)
		print_json(plan);
	else
		print_plan(plan);
	return outcome_is_ok(&plan->refusal) ? EX_OK : CLI_PROBLEMS;
}

static void print_plan(const struct plan *plan)
{
	if (plan->n_hosts == 0)
		printf("%s\n", plan->domain);
	else if (plan->mx_implicit)
		printf("%s: no MX records, so the domain itself is the host (%s)\n", plan->domain,
		    security_name(plan->mx_security));
	else
		printf("%s: %zu MX host%s (%s)\n", plan->domain, plan->n_hosts,
		    plan->n_hosts == 1 ? "" : "s", security_name(plan->mx_security));
	for (size_t i = 0; i < plan->n_hosts; i++)
		print_host(plan, &plan->hosts[i]);
	if (!outcome_is_ok(&plan->refusal))
		printf("Mail %s: %d %s %s [%s]\n",
		    plan->refusal.class == OUTCOME_DEFER ? "waits" : "is returned",
		    plan->refusal.code, plan->refusal.enhanced, plan->refusal.text,
		    plan->refusal.name);
}

static void print_host(const struct plan *plan, const struct plan_host *host)
{
	char text[RESOLVE_ADDRESS_MAX];

	printf("  %5d %s\n", host->preference, host->name);
	for (size_t i = 0; i < host->n_addresses; i++) {
		resolve_print_address(&host->addresses[i], text);
		printf("%s%s", i == 0 ? "        addresses: " : ", ", text);
	}
	if (host->n_addresses > 0)
		printf(" (%s)\n", security_name(host->address_security));
	print_tlsa(plan, host);
	print_requirement(&host->tls);
	if (!outcome_is_ok(&host->unusable))
		printf("        not used: %s [%s]\n", host->unusable.text, host->unusable.name);
}

static void print_tlsa(const struct plan *plan, const struct plan_host *host)
{
	size_t n_used = host->tls.tlsa_pinned ? 0 : host->tls.n_tlsa;
	char text[TLSA_TEXT_MAX];

	switch (host->tlsa_status) {
	case ANSWER_NOT_ASKED:
		if (host->n_addresses > 0)
			puts("        TLSA: not asked, the addresses are not secure");
		return;
	case ANSWER_NODATA:
	case ANSWER_NXDOMAIN: puts("        TLSA: none published"); return;
	case ANSWER_BOGUS:
	case ANSWER_ERROR:
		printf("        TLSA: could not be learned (%s)\n",
		    answer_status_name(host->tlsa_status));
		return;
	case ANSWER_OK: break;
	}
	printf("        TLSA: %zu published at %s (%s), %zu in use%s\n", host->n_tlsa_published,
	    host->tlsa_base, security_name(host->tlsa_security), n_used,
	    n_used > 0                             ? ""
	    : plan->mx_security != SECURITY_SECURE ? ": the MX records are not secure"
	    : host->tls.tlsa_unusable              ? ": none is usable"
						   : "");
	for (size_t i = 0; i < n_used; i++) {
		tlsa_print(&host->tls.tlsa[i], text, sizeof text);
		printf("              %s\n", text);
	}
}

static void print_requirement(const struct tls_requirement *tls)
{
	char text[TLSA_TEXT_MAX];

	printf("        TLS: %s, by %s%s", tls_level_name(tls->level), tls_demand_name(tls->demand),
	    tls->tlsa_unusable ? "; encrypted, but nobody can be authenticated" : "");
	if (tls->sni != NULL)
		printf("; asks for %s", tls->sni);
	for (size_t i = 0; i < tls->n_names; i++)
		printf("%s%s", i == 0 ? "; accepts " : ", ", tls->names[i]);
	for (size_t i = 0; tls->tlsa_pinned && i < tls->n_tlsa; i++) {
		tlsa_print(&tls->tlsa[i], text, sizeof text);
		printf("%s%s", i == 0 ? "; pinned " : " or ", text);
	}
	putchar('\n');
}

static void print_json(const struct plan *plan)
{
	json_t *hosts = json_array();

	for (size_t i = 0; i < plan->n_hosts; i++)
		json_array_append_new(hosts, host_to_json(&plan->hosts[i]));
	cli_print_json(json_pack("{s:s, s:s, s:b, s:o, s:o}", "domain", plan->domain, "mx_security",
	    security_name(plan->mx_security), "mx_implicit", plan->mx_implicit, "hosts", hosts,
	    "refusal", refusal_to_json(&plan->refusal)));
}

static json_t *host_to_json(const struct plan_host *host)
{
	json_t *addresses = json_array(), *tlsa = json_array(), *pins = json_array();
	char text[TLSA_TEXT_MAX];

	for (size_t i = 0; i < host->n_addresses; i++) {
		resolve_print_address(&host->addresses[i], text);
		json_array_append_new(addresses, json_string(text));
	}
	for (size_t i = 0; i < host->tls.n_tlsa; i++) {
		tlsa_print(&host->tls.tlsa[i], text, sizeof text);
		json_array_append_new(host->tls.tlsa_pinned ? pins : tlsa, json_string(text));
	}
	return json_pack("{s:s, s:i, s:o, s:s, s:s, s:s, s:s, s:i, s:o, s:b, s:s, s:s, s:s?, s:o, "
			 "s:o, s:o}",
	    "name", host->name, "preference", (int)host->preference, "addresses", addresses,
	    "address_security", security_name(host->address_security), "tlsa_status",
	    answer_status_name(host->tlsa_status), "tlsa_security",
	    security_name(host->tlsa_security), "tlsa_base", host->tlsa_base, "tlsa_published",
	    (int)host->n_tlsa_published, "tlsa", tlsa, "tlsa_unusable", host->tls.tlsa_unusable,
	    "level", tls_level_name(host->tls.level), "demand", tls_demand_name(host->tls.demand),
	    "sni", host->tls.sni, "names", texts_to_json(host->tls.names, host->tls.n_names),
	    "pins", pins, "unusable", refusal_to_json(&host->unusable));
}

static json_t *texts_to_json(char *const *texts, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(texts[i]));
	return array;
}

/* null if nothing is refused. */
static json_t *refusal_to_json(const struct outcome *outcome)
{
	if (outcome_is_ok(outcome))
		return json_null();
	return json_pack("{s:s, s:i, s:s, s:s, s:s}", "class", outcome_class_name(outcome->class),
	    "code", outcome->code, "enhanced", outcome->enhanced, "name", outcome->name, "text",
	    outcome->text);
}
