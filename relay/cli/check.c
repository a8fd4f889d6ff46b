/*
 * zegel check: everything that can be found out before the relay starts, and without asking the
 * network. Mistakes in the configuration end in 78; problems in what it names, in 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/passwords.h"
#include "config/route_passwords.h"
#include "dkim/key.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/cli/cli.h"
#include "relay/lookup/resolver.h"
#include "tls/certificate.h"
#include "tls/context.h"
#include "tls/dane.h"
#include "tls/scram.h"

enum { DAY_S = 86400, CERTIFICATE_DAYS = 14 };

struct checking {
	struct cli *cli;
	size_t n_errors, n_warnings;
};

static int check(struct checking *c, const struct config *config);
static void check_certificate(struct checking *c, const struct config *config);
static void check_own(
    struct checking *c, const struct config *config, const struct tls_context *server);
static void check_resolver(struct checking *c, const struct config *config);
static void check_authorities(struct checking *c, const struct config *config);
static void check_pinned_authorities(struct checking *c, const struct config_partner *partner);
static void check_keys(struct checking *c, const struct config *config);
static void check_passwords(struct checking *c, const struct config *config);
static void check_route_passwords(struct checking *c, const struct config *config);
static bool needs_login(const struct config *config, const char *login);
static void tell(struct checking *c, bool is_error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void print(struct checking *c, bool is_error, const char *text);

int cli_check(struct cli *cli)
{
	struct checking c = { .cli = cli };
	struct config_remarks remarks;
	struct config *config;
	int status;

	if (access(cli->config_path, R_OK) != 0) {
		config = cli_load(cli, &status); /* says why */
		config_destroy(&config);
		return status;
	}
	config = config_load(cli->config_path, &remarks);
	for (size_t i = 0; i < remarks.n; i++)
		print(&c, strstr(remarks.texts[i], ": warning: ") == NULL, remarks.texts[i]);
	config_remarks_finish(&remarks);
	status = config == NULL ? EX_CONFIG : check(&c, config);
	if (cli->json)
		cli_print_json(json_pack("{s:s, s:I, s:I}", "checked", cli->config_path, "errors",
		    (json_int_t)c.n_errors, "warnings", (json_int_t)c.n_warnings));
	else if (c.n_errors + c.n_warnings > 0)
		printf("%s: %zu error%s, %zu warning%s\n", cli->config_path, c.n_errors,
		    c.n_errors == 1 ? "" : "s", c.n_warnings, c.n_warnings == 1 ? "" : "s");
	else
		printf("%s: good: %zu domain%s, %zu account%s, %zu partner%s\n", cli->config_path,
		    config->n_domains, config->n_domains == 1 ? "" : "s", config->n_accounts,
		    config->n_accounts == 1 ? "" : "s", config->n_partners,
		    config->n_partners == 1 ? "" : "s");
	config_destroy(&config);
	return status;
}

/* The configuration is right: now what it names. */
static int check(struct checking *c, const struct config *config)
{
	check_certificate(c, config);
	check_resolver(c, config);
	check_authorities(c, config);
	check_keys(c, config);
	check_passwords(c, config);
	check_route_passwords(c, config);
	return c->n_errors > 0 ? CLI_PROBLEMS : EX_OK;
}

static void check_certificate(struct checking *c, const struct config *config)
{
	char error[512];
	struct tls_context *server = tls_context_create_server(
	    config->tls_certificate, config->tls_key, error, sizeof error);

	if (server == NULL)
		tell(c, true, "%s", error);
	else
		check_own(c, config, server);
	tls_context_destroy(&server);
}

/* Clients that look would go away. */
static void check_own(
    struct checking *c, const struct config *config, const struct tls_context *server)
{
	struct tls_certificate own;
	bool is_for_name;
	char when[CLOCK_DATE_MAX];

	tls_certificate_own(server, config->hostname, &own, &is_for_name);
	clock_print_iso(own.not_after_s, when);
	if (own.not_after_s <= clock_wall_s())
		tell(c, true, "TLS certificate %s ended %s: renew it", config->tls_certificate,
		    when);
	else if (own.not_after_s - clock_wall_s() < CERTIFICATE_DAYS * DAY_S)
		tell(c, false, "TLS certificate %s ends %s: renew it", config->tls_certificate,
		    when);
	if (!is_for_name)
		tell(c, false,
		    "TLS certificate %s is of %s, not of the hostname %s: clients must know this server by "
		    "a name of the certificate",
		    config->tls_certificate, own.subject, config->hostname);
}

/* Made as the lookup role makes it; nothing is asked. */
static void check_resolver(struct checking *c, const struct config *config)
{
	struct loop *loop = loop_create();
	char error[512];
	struct resolver *resolver = resolver_create(loop, config, error, sizeof error);

	if (resolver == NULL)
		tell(c, true, "%s", error);
	else if (!resolver_validates(resolver))
		tell(c, false,
		    "the DNSSEC trust anchor %s has no DS or DNSKEY record: nothing could be validated, "
		    "and DANE would be impaired",
		    config->dns_trust_anchor);
	resolver_destroy(&resolver);
	loop_destroy(&loop);
}

static void check_authorities(struct checking *c, const struct config *config)
{
	struct tls_context *client = tls_context_create_client(config->delivery.ca_file);
	char error[512];

	/* Without partners that need them nobody may miss the standard authorities. */
	if (access(config->delivery.ca_file, F_OK) == 0 &&
	    tls_context_load_ca(client, error, sizeof error) != 0)
		tell(c, true, "%s", error);
	for (size_t i = 0; i < config->n_partners; i++)
		check_pinned_authorities(c, &config->partners[i]);
	tls_context_destroy(&client);
}

static void check_pinned_authorities(struct checking *c, const struct config_partner *partner)
{
	for (size_t i = 0; i < partner->n_cas; i++) {
		const struct config_certificate *ca = &partner->cas[i];

		struct tls_certificate read;
		char end[CLOCK_DATE_MAX];

		if (!tlsa_is_usable(&(struct tlsa_record){ 2, 0, 0, ca->der, ca->n }) ||
		    !tls_certificate_read(ca->der, ca->n, &read)) {
			tell(c, true,
			    "partner '%s': certificate %zu of %s cannot be read; remove it from the "
			    "file, or ask the partner for it once more",
			    partner->name, i + 1, partner->ca_file);
			continue;
		}
		clock_print_iso(read.not_after_s, end);
		if (read.not_after_s <= clock_wall_s())
			tell(c, false,
			    "partner '%s': certificate %zu of %s (%s) ended %s, and vouches for nobody; "
			    "ask the partner for its successor",
			    partner->name, i + 1, partner->ca_file, read.subject, end);
		if (!read.is_authority)
			tell(c, false,
			    "partner '%s': certificate %zu of %s (%s) is no authority, and vouches for "
			    "nobody else; to accept it alone write tls = fingerprint",
			    partner->name, i + 1, partner->ca_file, read.subject);
	}
}

static void check_keys(struct checking *c, const struct config *config)
{
	for (size_t i = 0; i < config->n_domains; i++) {
		const struct config_domain *d = &config->domains[i];

		for (size_t j = 0; j < d->n_selectors; j++) {
			char *path =
			    mem_print("%s/%s/%s.pem", config->dkim_keys, d->name, d->selectors[j]);
			char remark[DKIM_ERROR_MAX];
			struct dkim_key *key = dkim_key_load(path, remark, sizeof remark);

			if (key == NULL || remark[0] != '\0')
				tell(c, key == NULL, "%s", remark);
			dkim_key_destroy(&key);
			free(path);
		}
	}
}

static void check_passwords(struct checking *c, const struct config *config)
{
	struct secrets passwords;
	char error[512];

	if (passwords_load(&passwords, config->passwords, error, sizeof error) != 0 &&
	    errno != ENOENT)
		tell(c, true, "%s", error);
	for (size_t i = 0; i < passwords.n; i++) {
		const struct secret *p = &passwords.entries[i];

		if (!scram_verifier_is_valid(p->text))
			tell(c, true,
			    "%s: the verifier of '%s' is broken or too weak; make it anew with: zegel "
			    "account passwd %s",
			    config->passwords, p->login, p->login);
		if (config_find_account(config, p->login) == NULL)
			tell(c, false,
			    "%s: '%s' has a password but is no account: it cannot log in",
			    config->passwords, p->login);
	}
	for (size_t i = 0; i < config->n_accounts; i++) {
		const char *name = config->accounts[i].name;

		if (secrets_find(&passwords, name) == NULL)
			tell(c, false,
			    "account '%s' has no password and cannot log in; give it one with: zegel "
			    "account add %s",
			    name, name);
	}
	secrets_finish(&passwords);
}

/* Its absence was told with the configuration, if a route needs it. */
static void check_route_passwords(struct checking *c, const struct config *config)
{
	struct secrets passwords;
	char error[512];

	if (route_passwords_load(&passwords, config->route_passwords, error, sizeof error) != 0 &&
	    errno != ENOENT)
		tell(c, true, "%s", error);
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_route *route = &config->routes[i];

		if (route->login != NULL && secrets_find(&passwords, route->login) == NULL)
			tell(c, true,
			    "route '%s': there is no password for the login '%s', so its mail would "
			    "wait: write the line \"%s PASSWORD\" in %s",
			    route->domain, route->login, route->login, config->route_passwords);
	}
	for (size_t i = 0; i < passwords.n; i++) {
		if (!needs_login(config, passwords.entries[i].login))
			tell(c, false,
			    "%s: no route has the login '%s': remove a password that nobody needs",
			    config->route_passwords, passwords.entries[i].login);
	}
	secrets_finish(&passwords);
}

static bool needs_login(const struct config *config, const char *login)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		const char *written = config->routes[i].login;

		if (written != NULL && strcmp(written, login) == 0)
			return true;
	}
	return false;
}

static void tell(struct checking *c, bool is_error, const char *format, ...)
{
	char sentence[1024], text[1100];
	va_list args;

	va_start(args, format);
	vsnprintf(sentence, sizeof sentence, format, args);
	va_end(args);
	snprintf(text, sizeof text, "%s%s", is_error ? "" : "warning: ", sentence);
	print(c, is_error, text);
}

static void print(struct checking *c, bool is_error, const char *text)
{
	char escaped[1200];
	json_t *string;

	c->n_errors += is_error;
	c->n_warnings += !is_error;
	if (!c->cli->json) {
		puts(text);
		return;
	}
	/* A file may hold any bytes, JSON only UTF-8. */
	string = json_string(text);
	if (string == NULL)
		string = json_string(log_escape(text, strlen(text), escaped, sizeof escaped));
	cli_print_json(
	    json_pack("{s:s, s:o}", "kind", is_error ? "error" : "warning", "text", string));
}
