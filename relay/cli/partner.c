/*
 * zegel partner list: the rules for partners as they are written, and which of their exceptions are in
 * force.
 */
#include <stdio.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/cli/cli.h"

enum { DAY_S = 86400 };

static void print_human(const struct config_partner *p);
static void print_texts(const char *title, char *const *texts, size_t n);
static void print_exception(const struct config_partner *p);
static void print_json(const struct config_partner *p);
static json_t *exception_to_json(const struct config_partner *p);

int cli_partner_list(struct cli *cli)
{
	int status;
	struct config *config = cli_load(cli, &status);

	for (size_t i = 0; config != NULL && i < config->n_partners; i++) {
		if (cli->json)
			print_json(&config->partners[i]);
		else
			print_human(&config->partners[i]);
	}
	config_destroy(&config);
	return status;
}

static void print_human(const struct config_partner *p)
{
	printf("%-30s %-12s %s\n", p->name, tls_level_name(p->level),
	    p->observe ? "observe" : "require");
	print_texts("hosts", p->mx, p->n_mx);
	if (p->ca_file != NULL)
		printf("    authorities: %zu in %s\n", p->n_cas, p->ca_file);
	print_texts("certificates", p->fingerprints, p->n_fingerprints);
	print_texts("public keys", p->public_keys, p->n_public_keys);
	if (p->exception != NULL)
		print_exception(p);
}

static void print_texts(const char *title, char *const *texts, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (i == 0)
			printf("    %s:", title);
		printf("%s%s", i == 0 ? " " : ", ", texts[i]);
	}
	if (n > 0)
		putchar('\n');
}

static void print_exception(const struct config_partner *p)
{
	const struct config_exception *e = p->exception;
	int64_t now_s = clock_wall_s();
	long long days = (e->until_s - now_s) / DAY_S;
	char until[CLOCK_DATE_MAX];

	clock_print_iso(e->until_s, until);
	printf("    exception: %s until %s (%s): ", tls_level_name(e->level), until, e->reason);
	if (config_exception_at(p, now_s) == NULL)
		puts("over, remove it");
	else if (days == 0)
		puts("in force, ends within a day");
	else
		printf("in force for %lld day%s more\n", days, days == 1 ? "" : "s");
}

static void print_json(const struct config_partner *p)
{
	cli_print_json(json_pack("{s:s, s:s, s:s, s:o, s:s?, s:i, s:o, s:o, s:o}", "partner",
	    p->name, "level", tls_level_name(p->level), "mode", p->observe ? "observe" : "require",
	    "mx", cli_texts_to_json(p->mx, p->n_mx), "ca_file", p->ca_file, "authorities",
	    (int)p->n_cas, "fingerprints", cli_texts_to_json(p->fingerprints, p->n_fingerprints),
	    "public_keys", cli_texts_to_json(p->public_keys, p->n_public_keys), "exception",
	    exception_to_json(p)));
}

/* null if none is written. */
static json_t *exception_to_json(const struct config_partner *p)
{
	const struct config_exception *e = p->exception;
	char until[CLOCK_DATE_MAX];

	if (e == NULL)
		return json_null();
	clock_print_iso(e->until_s, until);
	return json_pack("{s:s, s:s, s:s, s:b}", "until", until, "level", tls_level_name(e->level),
	    "reason", e->reason, "in_force", config_exception_at(p, clock_wall_s()) != NULL);
}
