#include "relay/cli/survey.h"

#include <sysexits.h>

#include "relay/base/clock.h"

static void survey_host(const struct config *config, struct loop *loop, struct tls_context *context,
    struct survey *s, struct survey_host *host);
static void judge(struct survey_host *host);
static void judge_without_mercy(struct survey_host *host);
static void finish(struct survey_host *host);

int survey_run(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan)
{
	struct survey s = { .plan = plan,
		.partner = plan->is_route ? NULL : config_find_partner(config, plan->domain) };
	struct tls_context *context = tls_context_create_client(config->delivery.ca_file);
	json_t *warnings;

	for (size_t i = 0; i < plan->n_hosts; i++) {
		struct survey_host host = { .host = &plan->hosts[i] };

		survey_host(config, loop, context, &s, &host);
		survey_print_host(cli, &s, &host);
		fflush(stdout);
		finish(&host);
	}
	warnings = survey_warn_domain(plan, clock_wall_s());
	survey_print_domain(cli, &s, warnings);
	json_decref(warnings);
	tls_context_destroy(&context);
	return plan->n_hosts > 0 && s.n_refused + s.n_would_refuse == 0 ? EX_OK : CLI_PROBLEMS;
}

static void survey_host(const struct config *config, struct loop *loop, struct tls_context *context,
    struct survey *s, struct survey_host *host)
{
	const size_t n = outcome_is_ok(&host->host->unusable) ? host->host->n_addresses : 0;

	for (; host->n_findings < n; host->n_findings++) {
		const struct probe_order order = { .loop = loop,
			.config = config,
			.context = context,
			.host = host->host,
			.address = host->n_findings };

		probe_address(&order, &host->findings[host->n_findings]);
	}
	judge(host);
	judge_without_mercy(host);
	s->n_refused += !outcome_is_ok(&host->verdict);
	s->n_would_refuse += outcome_is_ok(&host->verdict) && !outcome_is_ok(&host->would);
	host->warnings = survey_warn_host(s->plan, host, clock_wall_s());
}

static void judge(struct survey_host *host)
{
	host->verdict = host->host->unusable;
	for (size_t i = 0; i < host->n_findings; i++) {
		const struct probe_finding *f = &host->findings[i];

		if (f->is_reached && outcome_is_ok(&host->verdict))
			host->verdict = f->verdict;
		host->is_reached = host->is_reached || f->is_reached;
	}
	if (host->n_findings > 0 && !host->is_reached)
		host->verdict = host->findings[0].verdict;
	else if (host->n_findings == 0 && outcome_is_ok(&host->verdict))
		outcome_say(&host->verdict, 451, "4.4.1", "connect",
		    "%s has no address to connect to", host->host->name);
}

/* As if mode = require: what the partner's watch says of the host, then of each address. */
static void judge_without_mercy(struct survey_host *host)
{
	outcome_ok(&host->would);
	for (size_t w = 0; w < host->host->n_watches; w++) {
		const struct plan_watch *watch = &host->host->watches[w];

		if (watch->demand != DEMAND_PARTNER)
			continue;
		host->would = watch->unusable;
		for (size_t i = 0; i < host->n_findings; i++) {
			if (host->findings[i].is_reached && outcome_is_ok(&host->would))
				host->would = host->findings[i].watches[w];
		}
	}
}

static void finish(struct survey_host *host)
{
	for (size_t i = 0; i < host->n_findings; i++)
		probe_finish(&host->findings[i]);
	json_decref(host->warnings);
}
