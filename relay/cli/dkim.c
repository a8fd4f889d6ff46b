/*
 * zegel dkim new: a pair of keys, RSA for everybody and Ed25519 for those who know it (RFC 8463).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <time.h>
#include <unistd.h>

#include "config/values.h"
#include "dkim/key.h"
#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/cli/cli.h"
#include "relay/cli/records.h"

/* The keys that are made, and how their selectors end. */
static const struct kind {
	const char *ending;
	enum dkim_algorithm algorithm;
} kinds[] = { { "-rsa", DKIM_RSA_SHA256 }, { "-ed", DKIM_ED25519_SHA256 } };
enum { N_KINDS = sizeof kinds / sizeof kinds[0] };

struct made {
	char *selector, *path;
	struct dkim_key *key;
};

static int name_keys(struct cli *cli, const char *keys, const char *domain, struct made *made);
static char *base_of_today(void);
static int make_keys(const char *keys, const char *domain, struct made *made);
static int make_directory(const char *path);
static void print_next(
    const struct cli *cli, const struct config *config, const char *domain, struct made *made);

int cli_dkim_new(struct cli *cli)
{
	struct made made[N_KINDS] = { { 0 } };
	char domain[DOMAIN_MAX];
	struct config *config;
	int status;

	if (!domain_written(cli->argv[0], domain))
		return cli_fail(EX_USAGE, "'%s' is no domain name", cli->argv[0]);
	config = cli_load_unfinished(cli, &status);
	if (config == NULL)
		return status;
	status = name_keys(cli, config->dkim_keys, domain, made);
	if (status == EX_OK)
		status = make_keys(config->dkim_keys, domain, made);
	if (status == EX_OK)
		print_next(cli, config, domain, made);
	for (size_t i = 0; i < N_KINDS; i++) {
		dkim_key_destroy(&made[i].key);
		free(made[i].selector);
		free(made[i].path);
	}
	config_destroy(&config);
	return status;
}

/* Both, or the one whose ending was written. */
static int name_keys(struct cli *cli, const char *keys, const char *domain, struct made *made)
{
	char *base = cli->argc > 1 ? mem_copy_text(cli->argv[1]) : base_of_today();
	bool both = true;
	int status = EX_OK;

	for (size_t i = 0; i < N_KINDS; i++) {
		size_t n = strlen(kinds[i].ending);

		if (strlen(base) > n && strcmp(base + strlen(base) - n, kinds[i].ending) == 0) {
			made[i].selector = mem_copy_text(base);
			both = false;
		}
	}
	for (size_t i = 0; i < N_KINDS; i++) {
		if (both)
			made[i].selector = mem_print("%s%s", base, kinds[i].ending);
		if (made[i].selector == NULL)
			continue;
		if (status == EX_OK && !value_is_selector(made[i].selector))
			status = cli_fail(EX_USAGE,
			    "'%s' is no selector: letters, digits and inner hyphens, in labels "
			    "separated by dots",
			    base);
		made[i].path = mem_print("%s/%s/%s.pem", keys, domain, made[i].selector);
		if (status == EX_OK && access(made[i].path, F_OK) == 0)
			status = cli_fail(EX_CANTCREAT,
			    "'%s' is there already and stays as it is; name another selector",
			    made[i].path);
	}
	free(base);
	return status;
}

/* "z2611": the year and month, so that one sees how old a key is. */
static char *base_of_today(void)
{
	time_t now = (time_t)clock_wall_s();
	struct tm date;

	gmtime_r(&now, &date);
	return mem_print("z%02d%02d", date.tm_year % 100, date.tm_mon + 1);
}

/* With nothing done by halves: a pair of which one could not be saved is taken away. */
static int make_keys(const char *keys, const char *domain, struct made *made)
{
	char *directory = mem_print("%s/%s", keys, domain);
	char error[DKIM_ERROR_MAX];
	int status = make_directory(keys) != 0 ? -1 : make_directory(directory);

	if (status != 0) {
		int failure = errno;

		status = cli_fail(failure == EACCES || failure == EPERM ? EX_NOPERM : EX_CANTCREAT,
		    "cannot make the directory '%s': %s", directory, strerror(failure));
		free(directory);
		return status;
	}
	free(directory);
	for (size_t i = 0; i < N_KINDS; i++) {
		if (made[i].selector == NULL)
			continue;
		made[i].key = dkim_key_generate(kinds[i].algorithm);
		if (dkim_key_save(made[i].key, made[i].path, error, sizeof error) == 0)
			continue;
		for (size_t j = 0; j < i; j++) {
			if (made[j].path != NULL)
				unlink(made[j].path);
		}
		return cli_fail(EX_CANTCREAT, "%s", error);
	}
	return EX_OK;
}

static int make_directory(const char *path)
{
	return mkdir(path, 0700) == 0 || errno == EEXIST ? 0 : -1;
}

static void print_next(
    const struct cli *cli, const struct config *config, const char *domain, struct made *made)
{
	const char *comma = "";

	if (!cli->json) {
		printf(
		    "# Made in %s/%s. Publish these records first:\n\n", config->dkim_keys, domain);
	}
	for (size_t i = 0; i < N_KINDS; i++) {
		if (made[i].key != NULL)
			records_print_key(cli, domain, made[i].selector, made[i].key);
	}
	if (cli->json)
		return;
	printf(
	    "\n# Once they can be seen everywhere, write in %s and reload:\n\ndomain %s { dkim = {",
	    cli->config_path, domain);
	for (size_t i = 0; i < N_KINDS; i++) {
		if (made[i].key == NULL)
			continue;
		printf("%s%s", comma, made[i].selector);
		comma = ", ";
	}
	puts("} }");
}
