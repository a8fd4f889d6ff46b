/*
 * zegel partner check: what tls probe says, of the domains that have a rule of their own, so that one
 * sees before the mail does what a rule refuses, or would refuse if it was required.
 */
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/cli/cli.h"
#include "relay/cli/resolve.h"
#include "relay/cli/survey.h"

static int check_one(struct cli *cli, const struct config *config, const char *name);
static int check_all(struct cli *cli, const struct config *config);
static void tell_of_subdomains(const struct cli *cli, const struct config_partner *p);

int cli_partner_check(struct cli *cli)
{
	int status;
	struct config *config = cli_load(cli, &status);

	if (config == NULL)
		return status;
	status = cli->argc > 0 ? check_one(cli, config, cli->argv[0]) : check_all(cli, config);
	config_destroy(&config);
	return status;
}

static int check_one(struct cli *cli, const struct config *config, const char *name)
{
	char domain[DOMAIN_MAX];
	const char *const domains[] = { domain };

	if (name[0] == '.')
		return cli_fail(EX_USAGE,
		    "the rule '%s' is for what is below %s: name one of those, as mail%s", name,
		    name + 1, name);
	if (!domain_written(name, domain))
		return cli_fail(EX_USAGE, "'%s' is no domain name", name);
	if (config_find_partner(config, domain) == NULL)
		return cli_fail(EX_NOUSER,
		    "there is no rule for %s: see zegel partner list, or try zegel tls probe %s",
		    domain, domain);
	return resolve_each(cli, config, domains, 1, survey_run);
}

static int check_all(struct cli *cli, const struct config *config)
{
	const char **domains = mem_resize(NULL, config->n_partners + 1, sizeof *domains);
	size_t n = 0;
	int status;

	for (size_t i = 0; i < config->n_partners; i++) {
		if (config->partners[i].name[0] == '.')
			tell_of_subdomains(cli, &config->partners[i]);
		else
			domains[n++] = config->partners[i].name;
	}
	status = resolve_each(cli, config, domains, n, survey_run);
	free(domains);
	return status;
}

static void tell_of_subdomains(const struct cli *cli, const struct config_partner *p)
{
	if (cli->json)
		cli_print_json(json_pack("{s:s, s:n}", "partner", p->name, "accepted"));
	else
		printf(
		    "%s: not looked at, as it is for many domains: name one, as in zegel partner "
		    "check mail%s\n",
		    p->name, p->name);
}
