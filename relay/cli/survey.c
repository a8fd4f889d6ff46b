#include "relay/cli/survey.h"

#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/cli/resolve.h"

static bool plan_after(const struct config *config, const struct config_partner *partner,
    const char *domain, struct plan *after);
static void survey_host(const struct config *config, struct loop *loop, struct tls_context *context,
    struct survey *s, struct survey_host *host);
static void gather_watches(const struct survey *s, struct survey_host *host);
static void judge(struct survey_host *host);
static struct outcome judge_watch(const struct survey_host *host, enum tls_demand demand);
static void finish(struct survey_host *host);

int survey_run(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan)
{
	struct survey s = { .plan = plan,
		.partner = plan->is_route ? NULL : config_find_partner(config, plan->domain) };
	struct tls_context *context = tls_context_create_client(config->delivery.ca_file);
	struct plan after = { 0 };
	json_t *warnings;

	if (s.partner != NULL && plan_after(config, s.partner, plan->domain, &after))
		s.after = &after;
	survey_print_rule(cli, &s);
	for (size_t i = 0; i < plan->n_hosts; i++) {
		struct survey_host host = { .host = &plan->hosts[i] };

		survey_host(config, loop, context, &s, &host);
		survey_print_host(cli, &s, &host);
		fflush(stdout);
		finish(&host);
	}
	warnings = survey_warn_domain(&s, clock_wall_s());
	survey_print_domain(cli, &s, warnings);
	json_decref(warnings);
	plan_finish(&after);
	tls_context_destroy(&context);
	return plan->n_hosts > 0 && s.n_refused + s.n_would_refuse == 0 ? EX_OK : CLI_PROBLEMS;
}

/* What the plan will be when the exception in force has ended. False if there is none. */
static bool plan_after(const struct config *config, const struct config_partner *partner,
    const char *domain, struct plan *after)
{
	const struct route_wish nothing = { .floor = TLS_NONE };
	struct config without = *config;
	bool is_planned;

	if (partner->observe || config_exception_at(partner, clock_wall_s()) == NULL)
		return false;
	without.partners = mem_resize(NULL, config->n_partners, sizeof *without.partners);
	memcpy(without.partners, config->partners, config->n_partners * sizeof *without.partners);
	without.partners[partner - config->partners].exception = NULL;
	is_planned = resolve_plan(&without, domain, &nothing, after) == EX_OK;
	free(without.partners);
	return is_planned;
}

static void survey_host(const struct config *config, struct loop *loop, struct tls_context *context,
    struct survey *s, struct survey_host *host)
{
	const size_t n = outcome_is_ok(&host->host->unusable) ? host->host->n_addresses : 0;
	struct outcome later;

	gather_watches(s, host);
	for (; host->n_findings < n; host->n_findings++) {
		const struct probe_order order = { .loop = loop,
			.config = config,
			.context = context,
			.host = host->host,
			.address = host->n_findings,
			.watches = host->watches,
			.n_watches = host->n_watches };

		probe_address(&order, &host->findings[host->n_findings]);
	}
	judge(host);
	host->would = judge_watch(host, DEMAND_PARTNER);
	later = judge_watch(host, DEMAND_EXCEPTION);
	s->n_refused += !outcome_is_ok(&host->verdict);
	s->n_would_refuse += outcome_is_ok(&host->verdict) && !outcome_is_ok(&host->would);
	s->n_needing += !host->is_reached || !outcome_is_ok(&later);
	host->warnings = survey_warn_host(host, clock_wall_s());
}

static void gather_watches(const struct survey *s, struct survey_host *host)
{
	for (; host->n_watches < host->host->n_watches; host->n_watches++)
		host->watches[host->n_watches] = host->host->watches[host->n_watches];
	for (size_t i = 0; s->after != NULL && i < s->after->n_hosts; i++) {
		const struct plan_host *later = &s->after->hosts[i];

		if (strcmp(later->name, host->host->name) != 0)
			continue;
		host->watches[host->n_watches++] = (struct plan_watch){
			.demand = DEMAND_EXCEPTION, .tls = later->tls, .unusable = later->unusable
		};
		return;
	}
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

/* What a watch says of the host as a whole, then of the first address that it would refuse. */
static struct outcome judge_watch(const struct survey_host *host, enum tls_demand demand)
{
	struct outcome verdict;

	outcome_ok(&verdict);
	for (size_t w = 0; w < host->n_watches; w++) {
		if (host->watches[w].demand != demand)
			continue;
		verdict = host->watches[w].unusable;
		for (size_t i = 0; i < host->n_findings; i++) {
			if (host->findings[i].is_reached && outcome_is_ok(&verdict))
				verdict = host->findings[i].watches[w];
		}
	}
	return verdict;
}

static void finish(struct survey_host *host)
{
	for (size_t i = 0; i < host->n_findings; i++)
		probe_finish(&host->findings[i]);
	json_decref(host->warnings);
}
