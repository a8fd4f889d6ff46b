#include "relay/cli/resolve.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/random.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/lookup/facts.h"
#include "relay/route.h"

struct resolving {
	struct loop *loop;
	const struct config *config;
	struct plan *plan;
};

static int read_domain(const char *argument, char domain[DOMAIN_MAX]);
static void make_plan(struct loop *loop, struct resolver *resolver, const struct config *config,
    const char *domain, struct plan *plan);
static void on_facts(const struct facts *facts, void *arg);

int resolve_and_use(struct cli *cli, resolve_use *use)
{
	char domain[DOMAIN_MAX];
	const char *const domains[] = { domain };
	struct config *config;
	int status = read_domain(cli->argv[0], domain);

	if (status != EX_OK)
		return status;
	config = cli_load(cli, &status);
	if (config == NULL)
		return status;
	status = resolve_each(cli, config, domains, 1, use);
	config_destroy(&config);
	return status;
}

static int read_domain(const char *argument, char domain[DOMAIN_MAX])
{
	const char *at = strrchr(argument, '@');
	const char *name = at != NULL ? at + 1 : argument;

	if (domain_canonical(name, strlen(name), domain))
		return EX_OK;
	return cli_fail(EX_USAGE, "'%s' is no domain name", name);
}

int resolve_each(struct cli *cli, const struct config *config, const char *const *domains, size_t n,
    resolve_use *use)
{
	struct loop *loop = loop_create();
	char error[512];
	struct resolver *resolver = resolver_create(loop, config, error, sizeof error);
	int status = EX_OK;

	if (resolver == NULL)
		status = cli_fail(EX_CONFIG, "%s", error);
	for (size_t i = 0; resolver != NULL && i < n; i++) {
		struct plan plan;
		int one;

		make_plan(loop, resolver, config, domains[i], &plan);
		one = use(cli, config, loop, &plan);
		if (one != EX_OK)
			status = one;
		plan_finish(&plan);
	}
	resolver_destroy(&resolver);
	loop_destroy(&loop);
	return status;
}

static void make_plan(struct loop *loop, struct resolver *resolver, const struct config *config,
    const char *domain, struct plan *plan)
{
	struct resolving resolving = { loop, config, plan };

	facts_gather(&(struct facts_order){ .loop = loop,
			 .resolver = resolver,
			 .domain = domain,
			 .port = config->delivery.port },
	    on_facts, &resolving);
	loop_run(loop);
}

static void on_facts(const struct facts *facts, void *arg)
{
	struct resolving *resolving = arg;
	uint64_t shuffle = 0;

	/* Without randomness the order of equal hosts is less fair, and nothing worse. */
	if (getrandom(&shuffle, sizeof shuffle, GRND_NONBLOCK) != sizeof shuffle)
		shuffle = 0;
	route_find(resolving->config, facts,
	    &(struct route_question){
		.domain = facts->domain, .now_s = clock_wall_s(), .shuffle = shuffle },
	    resolving->plan);
	loop_stop(resolving->loop);
}

void resolve_print_address(const union plan_address *address, char *text)
{
	const void *bytes = address->any.sa_family == AF_INET6
				? (const void *)&address->ipv6.sin6_addr
				: (const void *)&address->ipv4.sin_addr;

	inet_ntop(address->any.sa_family, bytes, text, RESOLVE_ADDRESS_MAX);
}
