#include "relay/cli/resolve.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/cli/ask.h"
#include "relay/cli/kept.h"
#include "relay/lookup/facts.h"

/* What makes plans, one after the other. */
struct planner {
	const struct config *config;
	struct loop *loop;
	struct resolver *resolver;
	struct sts *sts; /* NULL: MTA-STS is off */
	bool
	    is_impaired; /* the running relay says so: the resolver here validates nothing either */

	/* the present one */
	struct route_question question;
	struct plan *plan;
};

static int open_planner(const struct config *config, struct planner *planner);
static bool relay_is_impaired(const struct config *config);
static void close_planner(struct planner *planner);
static void make_plan(
    struct planner *planner, const char *domain, const struct route_wish *wish, struct plan *plan);
static void on_facts(const struct facts *facts, void *arg);

int resolve_and_use(struct cli *cli, resolve_use *use)
{
	char domain[DOMAIN_MAX];
	const char *const domains[] = { domain };
	struct config *config;
	int status = resolve_read_domain(cli->argv[0], domain);

	if (status != EX_OK)
		return status;
	config = cli_load(cli, &status);
	if (config == NULL)
		return status;
	status = resolve_each(cli, config, domains, 1, use);
	config_destroy(&config);
	return status;
}

int resolve_read_domain(const char *argument, char domain[DOMAIN_MAX])
{
	const char *at = strrchr(argument, '@');
	const char *name = at != NULL ? at + 1 : argument;

	if (domain_written(name, domain))
		return EX_OK;
	return cli_fail(EX_USAGE, "'%s' is no domain name", name);
}

int resolve_each(struct cli *cli, const struct config *config, const char *const *domains, size_t n,
    resolve_use *use)
{
	const struct route_wish nothing = { .floor = TLS_NONE };
	struct planner planner;
	int status = open_planner(config, &planner), one;

	if (status != EX_OK)
		return status;
	for (size_t i = 0; i < n; i++) {
		struct plan plan;

		make_plan(&planner, domains[i], &nothing, &plan);
		one = use(cli, config, planner.loop, &plan);
		if (one != EX_OK)
			status = one;
		plan_finish(&plan);
	}
	close_planner(&planner);
	return status;
}

int resolve_plan(const struct config *config, const char *domain, const struct route_wish *wish,
    struct plan *plan)
{
	struct planner planner;
	int status = open_planner(config, &planner);

	if (status != EX_OK)
		return status;
	make_plan(&planner, domain, wish, plan);
	close_planner(&planner);
	return EX_OK;
}

/* An impaired resolver is used as the lookup role uses it: without validation, unless all waits. */
static int open_planner(const struct config *config, struct planner *planner)
{
	struct config without = *config;
	char error[512];

	*planner = (struct planner){ .config = config, .is_impaired = relay_is_impaired(config) };
	if (planner->is_impaired && !config->dns_defer_impaired)
		without.dns_trust_anchor = NULL;
	planner->loop = loop_create();
	planner->resolver = resolver_create(planner->loop, &without, error, sizeof error);
	if (planner->resolver != NULL && config->delivery.mta_sts)
		planner->sts = sts_create(planner->loop, config, planner->resolver, true, NULL,
		    NULL, error, sizeof error);
	if (planner->resolver != NULL && (planner->sts != NULL || !config->delivery.mta_sts))
		return EX_OK;
	close_planner(planner);
	return cli_fail(EX_CONFIG, "%s", error);
}

static bool relay_is_impaired(const struct config *config)
{
	json_t *end;
	bool is_impaired;

	cli_ask_if_running(
	    config, json_pack("{s:s}", "command", "status"), cli_ignore_line, NULL, &end);
	is_impaired = strcmp(cli_text(json_object_get(end, "resolver"), "state"), "impaired") == 0;
	json_decref(end);
	return is_impaired;
}

static void close_planner(struct planner *planner)
{
	sts_destroy(&planner->sts);
	resolver_destroy(&planner->resolver);
	loop_destroy(&planner->loop);
}

static void make_plan(
    struct planner *planner, const char *domain, const struct route_wish *wish, struct plan *plan)
{
	const struct config_route *route = config_find_route(planner->config, domain);

	planner->question = (struct route_question){
		.domain = domain, .route = route, .wish = *wish, .now_s = clock_wall_s()
	};
	planner->plan = plan;
	if (planner->sts != NULL && route == NULL)
		kept_load(planner->config, domain, planner->sts);
	facts_gather(&(struct facts_order){ .loop = planner->loop,
			 .resolver = planner->resolver,
			 .sts = planner->sts,
			 .domain = route != NULL ? route->host : domain,
			 .is_host = route != NULL,
			 .is_impaired = planner->is_impaired,
			 .port = route != NULL ? route->port : planner->config->delivery.port },
	    on_facts, planner);
	loop_run(planner->loop);
}

static void on_facts(const struct facts *facts, void *arg)
{
	struct planner *planner = arg;
	uint64_t *shuffle = &planner->question.shuffle;

	/* Without randomness the order of equal hosts is less fair, and nothing worse. */
	if (getrandom(shuffle, sizeof *shuffle, GRND_NONBLOCK) != sizeof *shuffle)
		*shuffle = 0;
	route_find(planner->config, facts, &planner->question, planner->plan);
	loop_stop(planner->loop);
}

void resolve_print_address(const union plan_address *address, char *text)
{
	const void *bytes = address->any.sa_family == AF_INET6
				? (const void *)&address->ipv6.sin6_addr
				: (const void *)&address->ipv4.sin_addr;

	inet_ntop(address->any.sa_family, bytes, text, RESOLVE_ADDRESS_MAX);
}
