/*
 * zegel account: logins and their passwords. What an account may do is written in the configuration,
 * by hand; only verifiers are written here.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "config/passwords.h"
#include "config/values.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "relay/cli/cli.h"
#include "relay/cli/terminal.h"
#include "tls/scram.h"

static int load_passwords(const struct config *config, struct secrets *p);
static void print_account(const struct cli *cli, const struct config_account *a, bool has_password);
static int set_password(struct cli *cli, bool is_new);
static char *login_of(const char *name);
static int store(const struct config *config, const char *login);
static void print_next(const struct cli *cli, const struct config *config, const char *login);

int cli_account_list(struct cli *cli)
{
	struct secrets passwords;
	int status;
	struct config *config = cli_load(cli, &status);

	if (config == NULL)
		return status;
	status = load_passwords(config, &passwords);
	for (size_t i = 0; status == EX_OK && i < config->n_accounts; i++) {
		const struct config_account *a = &config->accounts[i];

		print_account(cli, a, secrets_find(&passwords, a->name) != NULL);
	}
	secrets_finish(&passwords);
	config_destroy(&config);
	return status;
}

/* A file that is not there yet has no logins. Finish p in any case. */
static int load_passwords(const struct config *config, struct secrets *p)
{
	char error[512];

	if (passwords_load(p, config->passwords, error, sizeof error) == 0 || errno == ENOENT)
		return EX_OK;
	return cli_fail(errno == EACCES ? EX_NOPERM : EX_CONFIG, "%s", error);
}

static void print_account(const struct cli *cli, const struct config_account *a, bool has_password)
{
	const char *stream = a->stream == STREAM_BULK ? "bulk" : "ordinary";

	if (cli->json) {
		cli_print_json(json_pack("{s:s, s:o, s:s, s:b}", "account", a->name, "senders",
		    cli_texts_to_json(a->senders, a->n_senders), "stream", stream, "password",
		    has_password));
		return;
	}
	printf("%-30s %-8s %s ", a->name, stream, has_password ? "password   " : "no password");
	for (size_t i = 0; i < a->n_senders; i++)
		printf(" %s", a->senders[i]);
	putchar('\n');
}

int cli_account_add(struct cli *cli)
{
	return set_password(cli, true);
}

int cli_account_passwd(struct cli *cli)
{
	return set_password(cli, false);
}

static int set_password(struct cli *cli, bool is_new)
{
	struct secrets passwords = { 0 };
	struct config *config;
	char *login;
	int status;

	if (!value_is_login(cli->argv[0]))
		return cli_fail(EX_USAGE,
		    "'%s' is no login: printable ASCII without spaces, ':', '\"' and '\\'",
		    cli->argv[0]);
	config = cli_load_unfinished(cli, &status);
	if (config == NULL)
		return status;
	login = login_of(cli->argv[0]);
	status = load_passwords(config, &passwords);
	if (status == EX_OK && is_new && secrets_find(&passwords, login) != NULL)
		status = cli_fail(EX_CANTCREAT,
		    "'%s' has a password already; change it with: zegel account passwd %s", login,
		    login);
	else if (status == EX_OK && !is_new && secrets_find(&passwords, login) == NULL)
		status = cli_fail(EX_NOUSER,
		    "'%s' has no password yet; give it one with: zegel account add %s", login,
		    login);
	if (status == EX_OK)
		status = store(config, login);
	if (status == EX_OK)
		print_next(cli, config, login);
	secrets_finish(&passwords);
	free(login);
	config_destroy(&config);
	return status;
}

/* Logins compare without regard to case, so that Alice has one password and not two. */
static char *login_of(const char *name)
{
	char *login = mem_copy_text(name);

	text_lower(login);
	return login;
}

static int store(const struct config *config, const char *login)
{
	char password[SCRAM_PASSWORD_MAX + 1], verifier[SCRAM_TEXT_MAX], error[512];
	const char *refusal;
	int status = EX_OK;
	size_t n;

	if (terminal_read_password(
		"Password: ", password, sizeof password, &n, error, sizeof error) != 0)
		status = cli_fail(EX_DATAERR, "%s", error);
	else if ((refusal = scram_refuse_password(password, n)) != NULL)
		status = cli_fail(EX_DATAERR, "%s", refusal);
	else if (scram_make_verifier(password, n, verifier) != 0)
		status = cli_fail(EX_OSERR, "the machine has no random bytes to give");
	else if (passwords_set(
		     config->passwords, login, verifier, (gid_t)-1, error, sizeof error) != 0)
		status = cli_fail(EX_CANTCREAT, "%s", error);
	explicit_bzero(password, sizeof password);
	explicit_bzero(verifier, sizeof verifier);
	return status;
}

static void print_next(const struct cli *cli, const struct config *config, const char *login)
{
	bool configured = config_find_account(config, login) != NULL;
	const char *at = strrchr(login, '@');
	const char *domain = at != NULL              ? at + 1
			     : config->n_domains > 0 ? config->domains[0].name
						     : "example.org";

	if (cli->json) {
		cli_print_json(json_pack("{s:s, s:b}", "account", login, "configured", configured));
		return;
	}
	printf("# '%s' has its password, in %s.\n", login, config->passwords);
	if (!configured)
		printf("# It may send nothing yet: write in %s which addresses are its own, as\n\n"
		       "account %s {\n    senders = {\"%s%s\"}\n}\n\n",
		    cli->config_path, login, at != NULL ? "" : "@", at != NULL ? login : domain);
	puts("# The relay knows it once it has reloaded: systemctl reload zegel");
}
