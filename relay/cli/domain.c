/*
 * zegel domain: what is signed for, and what DNS must say so that receivers believe it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "dkim/key.h"
#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/cli/cli.h"
#include "relay/cli/records.h"

static int print_keys(
    const struct cli *cli, const struct config *config, const struct config_domain *d);
static void print_policies(
    const struct cli *cli, const struct config *config, const struct config_domain *d);

int cli_domain_list(struct cli *cli)
{
	int status;
	struct config *config = cli_load(cli, &status);

	if (config == NULL)
		return status;
	for (size_t i = 0; i < config->n_domains; i++) {
		const struct config_domain *d = &config->domains[i];

		if (cli->json) {
			cli_print_json(json_pack("{s:s, s:o}", "domain", d->name, "selectors",
			    cli_texts_to_json(d->selectors, d->n_selectors)));
			continue;
		}
		printf("%-30s", d->name);
		for (size_t j = 0; j < d->n_selectors; j++)
			printf(" %s", d->selectors[j]);
		putchar('\n');
	}
	config_destroy(&config);
	return EX_OK;
}

/* Works before the certificate and the rest are there: these records come first. */
int cli_domain_show(struct cli *cli)
{
	const struct config_domain *d;
	char name[DOMAIN_MAX];
	struct config *config;
	int status;

	if (!domain_written(cli->argv[0], name))
		return cli_fail(EX_USAGE, "'%s' is no domain name", cli->argv[0]);
	config = cli_load_unfinished(cli, &status);
	if (config == NULL)
		return status;
	d = config_find_domain(config, name);
	if (config->hostname == NULL)
		status = cli_fail(EX_CONFIG, "hostname is missing in '%s'", cli->config_path);
	else if (d == NULL)
		status = cli_fail(EX_CONFIG,
		    "domain '%s' is not in '%s'; make its keys with: zegel dkim new %s", name,
		    cli->config_path, name);
	else
		status = print_keys(cli, config, d);
	if (d != NULL && config->hostname != NULL)
		print_policies(cli, config, d);
	config_destroy(&config);
	return status;
}

static int print_keys(
    const struct cli *cli, const struct config *config, const struct config_domain *d)
{
	int status = d->n_selectors == 0
			 ? cli_fail(CLI_PROBLEMS,
			       "domain '%s' has no keys; make them with: zegel dkim new %s",
			       d->name, d->name)
			 : EX_OK;

	for (size_t i = 0; i < d->n_selectors; i++) {
		char *path = mem_print("%s/%s/%s.pem", config->dkim_keys, d->name, d->selectors[i]);
		char remark[DKIM_ERROR_MAX];
		struct dkim_key *key = dkim_key_load(path, remark, sizeof remark);

		if (key == NULL)
			status = cli_fail(CLI_PROBLEMS, "%s", remark);
		else
			records_print_key(cli, d->name, d->selectors[i], key);
		dkim_key_destroy(&key);
		free(path);
	}
	return status;
}

static void print_policies(
    const struct cli *cli, const struct config *config, const struct config_domain *d)
{
	char *spf = mem_print("v=spf1 a:%s -all", config->hostname);
	char *dmarc_name = mem_print("_dmarc.%s", d->name);
	char *dmarc = mem_print("v=DMARC1; p=none; rua=mailto:postmaster@%s", d->name);

	records_print_text(cli, d->name, d->name, spf,
	    "SPF: who may send; add what else sends for the domain (RFC 7208)");
	if (strcmp(d->name, config->hostname) != 0)
		records_print_text(cli, d->name, config->hostname, "v=spf1 a -all",
		    "SPF of this relay itself: its bounces have no sender but its name");
	records_print_text(cli, d->name, dmarc_name, dmarc,
	    "DMARC: read the reports, then raise p= to quarantine and reject (RFC 7489)");
	if (!cli->json)
		printf(
		    "; %s needs A and AAAA records, and PTR records of its addresses that name it.\n",
		    config->hostname);
	free(dmarc);
	free(dmarc_name);
	free(spf);
}
