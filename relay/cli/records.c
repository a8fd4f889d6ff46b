/*
 * Records as lines or as JSON.
 */
#include "relay/cli/records.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/base/mem.h"

static void print_json(const char *domain, const char *name, const char *value, const char *why);

void records_print_text(
    const struct cli *cli, const char *domain, const char *name, const char *value, const char *why)
{
	if (cli->json)
		print_json(domain, name, value, why);
	else
		printf("; %s\n%s. IN TXT \"%s\"\n", why, name, value);
}

void records_print_key(
    const struct cli *cli, const char *domain, const char *selector, const struct dkim_key *key)
{
	char *name = mem_print("%s._domainkey.%s", selector, domain);
	char *value = dkim_key_record(key);
	char *lines = dkim_key_zone_record(key, domain, selector);
	char *why = mem_print("DKIM, %s", dkim_algorithm_name(dkim_key_algorithm(key)));

	if (cli->json)
		print_json(domain, name, value, why);
	else
		printf("; %s\n%s", why, lines);
	free(why);
	free(lines);
	free(value);
	free(name);
}

static void print_json(const char *domain, const char *name, const char *value, const char *why)
{
	cli_print_json(json_pack("{s:s, s:s, s:s, s:s, s:s}", "domain", domain, "name", name,
	    "type", "TXT", "value", value, "what", why));
}
