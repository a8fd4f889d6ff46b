/*
 * An explanation for people, in the order in which mail meets it: the account, the next hop, the
 * policies, each host, the decision.
 */
#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/cli/explain.h"
#include "relay/cli/resolve.h"
#include "tls/dane.h"

enum { HOUR_S = 3600, DAY_S = 86400 };

static void print_grant(const struct explanation *e);
static void print_next_hop(const struct explanation *e);
static void print_policy(const struct explanation *e);
static void print_age(int64_t age_s);
static void print_partner(const struct explanation *e);
static void print_host(const struct explanation *e, const struct plan_host *host);
static void print_tlsa(const struct plan *plan, const struct plan_host *host);
static const char *why_unused(const struct plan *plan, const struct plan_host *host);
static void print_requirement(const struct tls_requirement *tls);
static void print_watch(const struct plan_watch *watch);

void explain_print(const struct explanation *e)
{
	const struct plan *plan = e->plan;
	char decision[EXPLAIN_DECISION_MAX];

	if (e->grant != NULL)
		print_grant(e);
	print_next_hop(e);
	if (plan->is_impaired)
		puts(
		    "  DANE IMPAIRED: the resolver does not validate DNSSEC, so nothing is secure");
	if (!plan->is_route)
		print_policy(e);
	print_partner(e);
	if (e->wish.requires_tls)
		puts("  REQUIRETLS: whoever gets it must offer that too, and show who he is");
	if (e->wish.tls_optional)
		puts("  TLS-Required: No: what the receiver asks of TLS is waived, not what is "
		     "asked here");
	for (size_t i = 0; i < plan->n_hosts; i++)
		print_host(e, &plan->hosts[i]);
	explain_decide(e, decision);
	puts(decision);
}

static void print_grant(const struct explanation *e)
{
	const struct grant *grant = e->grant;

	printf("%s\n", *e->sender != '\0' ? e->sender : "<>");
	for (size_t i = 0; i < grant->n_accounts; i++) {
		const struct config_account *account = grant->accounts[i];

		printf("  account %s may send as it, in the envelope and in From:", account->name);
		if (account->tls_floor != TLS_NONE)
			printf("; tls-floor %s", tls_level_name(account->tls_floor));
		puts(grant->n_accounts > 1 && account == grant->strictest &&
			     account->tls_floor != TLS_NONE
			 ? " (the plan below is for this one)"
			 : "");
	}
	if (grant->n_accounts > 0 && grant->domain != NULL) {
		printf("  signed for %s by", grant->domain->name);
		for (size_t i = 0; i < grant->domain->n_selectors; i++)
			printf("%s %s", i == 0 ? "" : " and", grant->domain->selectors[i]);
		putchar('\n');
	}
	if (!outcome_is_ok(&grant->refusal))
		printf("  not sent: %s [%s]\n", grant->refusal.text, grant->refusal.name);
}

static void print_next_hop(const struct explanation *e)
{
	const struct plan *plan = e->plan;

	if (plan->is_route) {
		const struct config_route *route = config_find_route(e->config, plan->domain);

		printf("%s: route %s to %s, port %u%s%s\n", plan->domain, route->domain,
		    route->host, route->port, *plan->login != '\0' ? ", logging in as " : "",
		    plan->login);
	} else if (plan->n_hosts == 0)
		printf("%s\n", plan->domain);
	else if (plan->mx_implicit)
		printf("%s: no MX records, so the domain itself is the host (%s)\n", plan->domain,
		    security_name(plan->mx_security));
	else
		printf("%s: %zu MX host%s (%s)\n", plan->domain, plan->n_hosts,
		    plan->n_hosts == 1 ? "" : "s", security_name(plan->mx_security));
}

static void print_policy(const struct explanation *e)
{
	const struct sts_finding *sts = &e->plan->sts;
	char until[CLOCK_DATE_MAX];

	if (sts->has_policy) {
		clock_print_iso(sts->expires_s, until);
		printf("  MTA-STS: %s, id %s, ", sts_mode_name(sts->policy.mode), sts->id);
		print_age(explain_policy_age_s(e));
		printf(" old, valid until %s; hosts", until);
		for (size_t i = 0; i < sts->policy.n_mx; i++)
			printf("%s %s", i == 0 ? "" : ",", sts->policy.mx[i]);
		puts(sts->policy.n_mx == 0 ? " none" : "");
	} else {
		puts("  MTA-STS: no policy");
	}
	if (sts->problem != STS_PROBLEM_NONE)
		printf("  MTA-STS: the last try to learn the policy failed: %s\n", sts->why);
}

static void print_age(int64_t age_s)
{
	if (age_s < HOUR_S)
		printf("%d minutes", (int)(age_s / 60));
	else if (age_s < 2 * DAY_S)
		printf("%d hours", (int)(age_s / HOUR_S));
	else
		printf("%d days", (int)(age_s / DAY_S));
}

static void print_partner(const struct explanation *e)
{
	const struct config_partner *partner;

	if (*e->plan->partner == '\0')
		return;
	partner = config_find_partner(e->config, e->plan->domain);
	printf("  partner %s: tls=%s, %s\n", partner->name, tls_level_name(partner->level),
	    partner->observe ? "observed, not required" : "required");
	if (*e->plan->exception != '\0')
		printf("  partner %s: exception in force %s\n", partner->name, e->plan->exception);
}

static void print_host(const struct explanation *e, const struct plan_host *host)
{
	char text[RESOLVE_ADDRESS_MAX];

	if (e->plan->is_route)
		printf("        %s\n", host->name);
	else
		printf("  %5d %s\n", host->preference, host->name);
	for (size_t i = 0; i < host->n_addresses; i++) {
		resolve_print_address(&host->addresses[i], text);
		printf("%s%s", i == 0 ? "        addresses: " : ", ", text);
	}
	if (host->n_addresses > 0)
		printf(" (%s)\n", security_name(host->address_security));
	print_tlsa(e->plan, host);
	print_requirement(&host->tls);
	for (size_t i = 0; i < host->n_watches; i++)
		print_watch(&host->watches[i]);
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
	    n_used > 0 ? "" : why_unused(plan, host));
	for (size_t i = 0; i < n_used; i++) {
		tlsa_print(&host->tls.tlsa[i], text, sizeof text);
		printf("              %s\n", text);
	}
}

static const char *why_unused(const struct plan *plan, const struct plan_host *host)
{
	if (host->tlsa_security != SECURITY_SECURE)
		return ": they are not secure";
	if (host->has_tlsa_policy)
		return ": none is usable";
	if (!plan->is_route && !plan->mx_implicit && plan->mx_security != SECURITY_SECURE)
		return ": the MX records are not secure";
	return ": the level does not ask for them";
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

static void print_watch(const struct plan_watch *watch)
{
	printf("        %s: ", watch->demand == DEMAND_PARTNER ? "observed" : "watched");
	if (!outcome_is_ok(&watch->unusable)) {
		printf("%s by %s would refuse the host: %s [%s]\n",
		    tls_level_name(watch->tls.level), tls_demand_name(watch->demand),
		    watch->unusable.text, watch->unusable.name);
		return;
	}
	printf("%s by %s would want", tls_level_name(watch->tls.level),
	    tls_demand_name(watch->demand));
	if (watch->tls.n_tlsa > 0)
		printf(" one of %zu %s", watch->tls.n_tlsa,
		    watch->tls.tlsa_pinned ? "pins" : "TLSA records");
	else
		printf(watch->tls.n_names == 0 ? " TLS" : " a certificate");
	for (size_t i = 0; i < watch->tls.n_names; i++)
		printf("%s%s", i == 0 ? " for " : " or ", watch->tls.names[i]);
	puts(": \"zegel tls probe\" tries it");
}
