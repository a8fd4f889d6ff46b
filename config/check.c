/*
 * What only the whole shows: files that must be there, names that must fit each other. Then the
 * arrays are put in the order the finders expect.
 */
#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "config/read.h"
#include "config/values.h"
#include "relay/base/mem.h"

static void check_required(struct reading *r);
static void check_paths(struct reading *r);
static void check_home(struct reading *r, const char *key, const char *path);
static void check_file(
    struct reading *r, const char *section, const char *key, const char *path, bool written);
static void check_keys(struct reading *r, const struct config_domain *d);
static void complain_key(struct reading *r, const struct config_domain *d, const char *selector,
    const char *path, size_t line);
static void check_account(struct reading *r, const struct config_account *a);
static void check_retry(struct reading *r);
static void check_routes(struct reading *r);
static void check_partners(struct reading *r);
static void check_reports(struct reading *r);
static void sort(struct config *c);
static int by_domain(const void *a, const void *b);
static int by_account(const void *a, const void *b);

void check_everything(struct reading *r)
{
	struct config *c = r->config;

	check_required(r);
	check_paths(r);
	check_retry(r);
	for (size_t i = 0; i < c->n_domains; i++)
		check_keys(r, &c->domains[i]);
	sort(c);
	for (size_t i = 0; i < c->n_accounts; i++)
		check_account(r, &c->accounts[i]);
	check_routes(r);
	check_partners(r);
	check_reports(r);
}

static void check_required(struct reading *r)
{
	struct config *c = r->config;
	struct passwd *user;

	if (reading_line(r, "", "hostname") == 0)
		reading_error(r, 0,
		    "hostname is missing: write hostname = mail.example.org, the name "
		    "this machine has in DNS, forwards and backwards");
	else if (c->hostname != NULL && strchr(c->hostname, '.') == NULL)
		reading_warning(r, reading_line(r, "", "hostname"),
		    "hostname = %s has no dot: receivers refuse such a name", c->hostname);
	if (cfg_size(r->cfg, "domain") == 0)
		reading_warning(r, 0, "there is no domain NAME { ... }: no mail could be signed");
	if (cfg_size(r->cfg, "account") == 0)
		reading_warning(r, 0, "there is no account NAME { ... }: nobody could log in");
	if (!c->delivery.ipv4 && !c->delivery.ipv6)
		reading_error(r, reading_line(r, "delivery", "ipv6"),
		    "ipv4 and ipv6 are both off: nothing could be delivered");
	user = geteuid() == 0 ? getpwnam(c->user) : NULL;
	if (geteuid() == 0 && user == NULL)
		reading_warning(r, reading_line(r, "", "user"),
		    "user '%s' does not exist on this machine: serve, as root, needs it to drop to",
		    c->user);
	else if (user != NULL && user->pw_uid == 0)
		reading_warning(
		    r, reading_line(r, "", "user"), "user = %s: no process gives up root", c->user);
}

static void check_paths(struct reading *r)
{
	struct config *c = r->config;
	struct sockaddr_un address;

	check_file(r, "tls", "certificate", c->tls_certificate, true);
	check_file(r, "tls", "key", c->tls_key, true);
	check_file(r, "delivery", "ca-file", c->delivery.ca_file, false);
	check_file(r, "dns", "trust-anchor", c->dns_trust_anchor, false);
	check_home(r, "spool", c->spool);
	if (reading_has(r->cfg, "control"))
		check_home(r, "control", c->control);
	if (c->log[0] == '/')
		check_home(r, "log", c->log);
	if (strlen(c->control) >= sizeof address.sun_path)
		reading_error(r, reading_line(r, "", "control"),
		    "control = %s: a socket's path has at most %zu letters", c->control,
		    sizeof address.sun_path - 1);
}

/* What the relay makes when it starts needs a directory to be made in. path is absolute. */
static void check_home(struct reading *r, const char *key, const char *path)
{
	size_t n = strlen(path);
	char *home = mem_copy_text(path);
	struct stat st;

	while (n > 1 && home[n - 1] == '/')
		n--;
	while (n > 1 && home[n - 1] != '/')
		n--;
	home[n] = '\0';
	if (stat(home, &st) != 0 && (errno == ENOENT || errno == ENOTDIR))
		reading_error(r, reading_line(r, "", key), "%s = %s: there is no directory %s", key,
		    path, home);
	free(home);
}

/* A required file that nobody wrote is missing; a standard one that is not there is a warning. */
static void check_file(
    struct reading *r, const char *section, const char *key, const char *path, bool required)
{
	cfg_t *cfg = cfg_getsec(r->cfg, section);
	bool written = cfg_getnptr(cfg, key, 0) != NULL;
	size_t line = reading_line(r, section, key);
	struct stat st;
	int fd;

	if (path == NULL) {
		if (required && !written)
			reading_error(
			    r, line, "%s is missing: write %s { %s = FILE }", key, section, key);
		return;
	}
	fd = reading_open_file(path, &st);
	if (fd < 0)
		findings_add(&r->findings, written ? FINDING_ERROR : FINDING_WARNING, line,
		    "%s of %s: cannot read '%s': %s%s", key, section, path, strerror(errno),
		    errno == EACCES && geteuid() != 0 ? " (run this as root)" : "");
	else
		close(fd);
}

static void check_keys(struct reading *r, const struct config_domain *d)
{
	size_t line = proof_find_section(&r->proof, "domain", d->name, 0);

	for (size_t i = 0; i < d->n_selectors; i++) {
		char *path =
		    mem_print("%s/%s/%s.pem", r->config->dkim_keys, d->name, d->selectors[i]);
		struct stat st;
		int fd = reading_open_file(path, &st);

		if (fd < 0)
			complain_key(r, d, d->selectors[i], path, line);
		else if ((st.st_mode & (S_IROTH | S_IWOTH | S_IWGRP)) != 0)
			/* Whoever has the key signs as the domain: it is burnt, not only untidy. */
			reading_error(r, line,
			    "DKIM key '%s' is open to more than its owner and the readers in its group: make a new one, or chmod 0640",
			    path);
		if (fd >= 0)
			close(fd);
		for (size_t j = 0; j < i; j++) {
			if (strcmp(d->selectors[i], d->selectors[j]) == 0)
				reading_error(r, line,
				    "dkim of '%s': selector '%s' is written twice", d->name,
				    d->selectors[i]);
		}
		free(path);
	}
}

/* zegel dkim new makes selectors that end in -rsa and -ed. */
static void complain_key(struct reading *r, const struct config_domain *d, const char *selector,
    const char *path, size_t line)
{
	size_t n = strlen(selector);
	bool ours = (n > 4 && strcmp(selector + n - 4, "-rsa") == 0) ||
		    (n > 3 && strcmp(selector + n - 3, "-ed") == 0);

	if (errno == ENOENT)
		reading_error(r, line,
		    "DKIM key of '%s': there is no '%s'; make keys with: zegel dkim new %s %s",
		    d->name, path, d->name, ours ? selector : "");
	else
		reading_error(r, line, "DKIM key of '%s': cannot read '%s': %s%s", d->name, path,
		    strerror(errno), errno == EACCES ? " (run this as root)" : "");
}

/* Mail leaves signed by the domain of its From: or not at all, so a sender needs that domain here. */
static void check_account(struct reading *r, const struct config_account *a)
{
	for (size_t i = 0; i < a->n_senders; i++) {
		const char *domain = strrchr(a->senders[i], '@') + 1;

		if (config_find_domain(r->config, domain) != NULL)
			continue;
		reading_error(r, proof_find_section(&r->proof, "account", a->name, 0),
		    "account '%s' may send as '%s', but there is no domain %s { dkim = ... } to sign "
		    "it",
		    a->name, a->senders[i], domain);
	}
}

static void check_retry(struct reading *r)
{
	const struct config_retry *t = &r->config->retry;

	if (t->first > t->longest)
		reading_error(r, reading_line(r, "retry", "first"),
		    "the first retry (%u s) is later than the longest wait (%u s)", t->first,
		    t->longest);
	if (t->expire < t->first || t->expire_bulk < t->first)
		reading_error(r, reading_line(r, "retry", "expire"),
		    "mail would expire before its first retry (%u s)", t->first);
}

/* Whether each login is in the file is for those to say who may read it. */
static void check_routes(struct reading *r)
{
	struct config *c = r->config;
	struct stat st;
	size_t i = 0, line;
	int fd;

	while (i < c->n_routes && c->routes[i].login == NULL)
		i++;
	if (i == c->n_routes)
		return;
	line = proof_find_section(&r->proof, "route", c->routes[i].domain, 0);
	fd = reading_open_file(c->route_passwords, &st);
	if (fd < 0)
		reading_error(r, line,
		    "login of route '%s': cannot read '%s': %s%s; write the line: %s PASSWORD",
		    c->routes[i].domain, c->route_passwords, strerror(errno),
		    errno == EACCES ? " (run this as root)" : "", c->routes[i].login);
	else if ((st.st_mode & 07777 & ~0640U) != 0)
		reading_error(r, line,
		    "'%s' holds passwords and is open to more than its owner and the readers in its "
		    "group: chmod 0640 it",
		    c->route_passwords);
	if (fd >= 0)
		close(fd);
}

/* What the next hop shows is not what the partner would: its rule cannot be held against it. */
static void check_partners(struct reading *r)
{
	const struct config *c = r->config;

	for (size_t i = 0; i < c->n_partners; i++) {
		const char *name = c->partners[i].name;
		const struct config_route *route = config_find_route(c, name);

		if (route != NULL && route->host != NULL)
			reading_warning(r, proof_find_section(&r->proof, "partner", name, 0),
			    "partner '%s' is not looked at: route '%s' gives its mail to %s, and the tls of "
			    "the route decides",
			    name, route->domain, route->host);
	}
}

/* Reports are judged by their signature (RFC 8460 3): unsigned they are only noise. */
static void check_reports(struct reading *r)
{
	const struct config_tlsrpt *t = &r->config->tlsrpt;
	const char *domain = t->from == NULL ? NULL : strrchr(t->from, '@') + 1;

	if (t->scope == TLSRPT_OFF || domain == NULL ||
	    config_find_domain(r->config, domain) != NULL)
		return;
	reading_error(r, reading_line(r, "tls-reports", "from"),
	    "from = %s: there is no domain %s { dkim = ... } to sign the reports", t->from, domain);
}

static void sort(struct config *c)
{
	if (c->n_domains > 0)
		qsort(c->domains, c->n_domains, sizeof *c->domains, by_domain);
	if (c->n_accounts > 0)
		qsort(c->accounts, c->n_accounts, sizeof *c->accounts, by_account);
}

static int by_domain(const void *a, const void *b)
{
	return strcmp(
	    ((const struct config_domain *)a)->name, ((const struct config_domain *)b)->name);
}

static int by_account(const void *a, const void *b)
{
	return strcmp(
	    ((const struct config_account *)a)->name, ((const struct config_account *)b)->name);
}
