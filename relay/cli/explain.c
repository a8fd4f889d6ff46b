/*
 * zegel explain: the plan for a domain as delivery would make it now, or for a message from somebody
 * to somebody: whether it may be sent, whether it would go, and why.
 */
#include "relay/cli/explain.h"

#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/cli/cli.h"
#include "relay/cli/resolve.h"
#include "smtp/path.h"

static int explain(const struct cli *cli, const struct config *config,
    const struct smtp_address *sender, const char *domain);
static int show(const struct cli *cli, const struct explanation *e);
static int read_sender(const char *argument, struct smtp_address *sender);
static void decide_host(const struct plan_host *host, char *text, size_t room);
static const char *list_names(const struct tls_requirement *tls, char *text, size_t room);

int cli_explain(struct cli *cli)
{
	struct smtp_address sender = { 0 };
	bool has_sender = cli->argc > 1;
	char domain[DOMAIN_MAX];
	struct config *config;
	int status = EX_OK;

	if (cli->requires_tls && cli->tls_optional)
		return cli_fail(EX_USAGE,
		    "with REQUIRETLS a TLS-Required: No counts for nothing (RFC 8689 4.1): ask for "
		    "one of them");
	if (has_sender)
		status = read_sender(cli->argv[0], &sender);
	if (status == EX_OK)
		status = resolve_read_domain(cli->argv[cli->argc - 1], domain);
	if (status != EX_OK)
		return status;
	config = cli_load(cli, &status);
	if (config == NULL)
		return status;
	status = explain(cli, config, has_sender ? &sender : NULL, domain);
	config_destroy(&config);
	return status;
}

/* Where accounts differ in what they demand, the plan is for the one that demands most. */
static int explain(const struct cli *cli, const struct config *config,
    const struct smtp_address *sender, const char *domain)
{
	struct explanation e = { .config = config,
		.sender = "",
		.wish = { .floor = TLS_NONE,
		    .requires_tls = cli->requires_tls,
		    .tls_optional = cli->tls_optional } };
	struct grant grant = { 0 };
	struct plan plan;
	int status;

	if (sender != NULL) {
		grant_find(config, sender, &grant);
		e.grant = &grant;
		e.sender = sender->text;
	}
	if (grant.strictest != NULL)
		e.wish.floor = grant.strictest->tls_floor;
	status = resolve_plan(config, domain, &e.wish, &plan);
	if (status == EX_OK) {
		e.plan = &plan;
		e.now_s = clock_wall_s();
		status = show(cli, &e);
		plan_finish(&plan);
	}
	grant_finish(&grant);
	return status;
}

static int show(const struct cli *cli, const struct explanation *e)
{
	if (cli->json)
		cli_print_json(explain_to_json(e));
	else
		explain_print(e);
	return explain_is_well(e) ? EX_OK : CLI_PROBLEMS;
}

/* "web@shop.example", also in angle brackets; "<>" is the sender of notifications. */
static int read_sender(const char *argument, struct smtp_address *sender)
{
	char path[SMTP_ADDRESS_MAX + 2];
	struct outcome why;
	size_t n_used;
	int n = snprintf(path, sizeof path, argument[0] == '<' ? "%s" : "<%s>", argument);

	if (n > 0 && (size_t)n < sizeof path &&
	    smtp_path_parse(path, (size_t)n, SMTP_PATH_REVERSE, sender, &n_used, &why) &&
	    n_used == (size_t)n)
		return EX_OK;
	return cli_fail(EX_USAGE, "'%s' is no mail address to send from", argument);
}

bool explain_is_well(const struct explanation *e)
{
	return outcome_is_ok(&e->plan->refusal) &&
	       (e->grant == NULL || outcome_is_ok(&e->grant->refusal));
}

int64_t explain_policy_age_s(const struct explanation *e)
{
	const struct sts_finding *sts = &e->plan->sts;
	int64_t age_s = e->now_s - (sts->expires_s - (int64_t)sts->policy.max_age_s);

	return sts->has_policy && age_s > 0 ? age_s : 0;
}

void explain_decide(const struct explanation *e, char text[EXPLAIN_DECISION_MAX])
{
	const struct plan *plan = e->plan;
	char how[EXPLAIN_DECISION_MAX / 2];

	text[0] = '\0';
	if (e->grant != NULL && !outcome_is_ok(&e->grant->refusal)) {
		snprintf(text, EXPLAIN_DECISION_MAX, "The mail is refused: %d %s %s [%s]",
		    e->grant->refusal.code, e->grant->refusal.enhanced, e->grant->refusal.text,
		    e->grant->refusal.name);
		return;
	}
	if (!outcome_is_ok(&plan->refusal)) {
		snprintf(text, EXPLAIN_DECISION_MAX, "Mail %s: %d %s %s [%s]",
		    plan->refusal.class == OUTCOME_DEFER ? "waits" : "is returned",
		    plan->refusal.code, plan->refusal.enhanced, plan->refusal.text,
		    plan->refusal.name);
		return;
	}
	for (size_t i = 0; i < plan->n_hosts; i++) {
		const struct plan_host *host = &plan->hosts[i];

		if (!outcome_is_ok(&host->unusable))
			continue;
		decide_host(host, how, sizeof how);
		snprintf(text, EXPLAIN_DECISION_MAX, "Mail goes to %s first, %s (%s by %s)%s%s",
		    host->name, how, tls_level_name(host->tls.level),
		    tls_demand_name(host->tls.demand),
		    plan->needs_requiretls ? ", and if it offers REQUIRETLS" : "",
		    tls_requirement_allows_plaintext(&host->tls) ? "" : ", or not to this host");
		return;
	}
}

static void decide_host(const struct plan_host *host, char *text, size_t room)
{
	const struct tls_requirement *tls = &host->tls;
	char names[EXPLAIN_DECISION_MAX / 4];

	if (tls->level == TLS_NONE)
		snprintf(text, room, "in plaintext even if it offers TLS");
	else if (tls_requirement_allows_plaintext(tls))
		snprintf(text, room, "over TLS if it offers it and otherwise in plaintext");
	else if (tls->tlsa_pinned)
		snprintf(text, room, "over TLS with %s that the partner rule pins",
		    tls->n_tlsa == 1 ? "the certificate, key or authority"
				     : "one of the certificates, keys or authorities");
	else if (tls->n_tlsa > 0)
		snprintf(text, room, "over TLS that its TLSA records prove");
	else if (tls->level == TLS_ENCRYPT || tls->tlsa_unusable)
		snprintf(text, room, "over TLS, whoever answers");
	else
		snprintf(text, room, "over TLS with a certificate for %s by a trusted authority",
		    list_names(tls, names, sizeof names));
}

static const char *list_names(const struct tls_requirement *tls, char *text, size_t room)
{
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < tls->n_names && n < room; i++)
		n += (size_t)snprintf(
		    text + n, room - n, "%s%s", i == 0 ? "" : " or ", tls->names[i]);
	return text;
}
