/*
 * What is asked of a configuration while mail flows, and its end.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

#include "config/certificates.h"
#include "relay/base/text.h"

static int is_domain(const void *name, const void *domain);
static int is_account(const void *name, const void *account);
static void free_sections(struct config *c);
static void free_partner(struct config_partner *p);

const struct config_domain *config_find_domain(const struct config *config, const char *name)
{
	return config->n_domains == 0 ? NULL
				      : bsearch(name, config->domains, config->n_domains,
					    sizeof *config->domains, is_domain);
}

static int is_domain(const void *name, const void *domain)
{
	return strcmp(name, ((const struct config_domain *)domain)->name);
}

const struct config_account *config_find_account(const struct config *config, const char *name)
{
	return config->n_accounts == 0 ? NULL
				       : bsearch(name, config->accounts, config->n_accounts,
					     sizeof *config->accounts, is_account);
}

static int is_account(const void *name, const void *account)
{
	return strcmp(name, ((const struct config_account *)account)->name);
}

/* "mx.bank.example", then ".bank.example", then ".example". */
const struct config_partner *config_find_partner(const struct config *config, const char *domain)
{
	const char *name = domain;

	while (name != NULL) {
		for (size_t i = 0; i < config->n_partners; i++) {
			if (strcmp(config->partners[i].name, name) == 0)
				return &config->partners[i];
		}
		name = strchr(name[0] == '.' ? name + 1 : name, '.');
	}
	return NULL;
}

const struct config_route *config_find_route(const struct config *config, const char *domain)
{
	const char *name = domain;

	for (;;) {
		for (size_t i = 0; i < config->n_routes; i++) {
			if (strcmp(config->routes[i].domain, name) == 0)
				return &config->routes[i];
		}
		if (strcmp(name, "*") == 0)
			return NULL;
		name = strchr(name[0] == '.' ? name + 1 : name, '.');
		if (name == NULL)
			name = "*";
	}
}

const struct config_exception *config_exception_at(
    const struct config_partner *partner, int64_t now_s)
{
	if (partner->exception == NULL || now_s >= partner->exception->until_s)
		return NULL;
	return partner->exception;
}

void config_destroy(struct config **config)
{
	struct config *c = *config;

	if (c == NULL)
		return;
	free(c->path);
	free(c->hostname);
	free(c->user);
	free(c->spool);
	free(c->control);
	free(c->log);
	free(c->passwords);
	free(c->dkim_keys);
	free(c->tls_certificate);
	free(c->tls_key);
	for (size_t i = 0; i < c->n_listens; i++)
		free(c->listens[i].address);
	free(c->listens);
	text_free_list(c->dns_forwarders, c->n_dns_forwarders);
	for (size_t i = 0; i < c->n_dns_stubs; i++) {
		free(c->dns_stubs[i].zone);
		free(c->dns_stubs[i].server);
	}
	free(c->dns_stubs);
	free(c->dns_trust_anchor);
	free(c->dns_check.signed_name);
	free(c->dns_check.broken_name);
	free(c->dns_check.unsigned_name);
	free_sections(c);
	free(c->route_passwords);
	free(c->delivery.ca_file);
	text_free_list(c->tlsrpt.domains, c->tlsrpt.n_domains);
	free(c->tlsrpt.from);
	free(c->tlsrpt.organization);
	free(c->tlsrpt.contact);
	free(c);
	*config = NULL;
}

static void free_sections(struct config *c)
{
	for (size_t i = 0; i < c->n_domains; i++) {
		free(c->domains[i].name);
		text_free_list(c->domains[i].selectors, c->domains[i].n_selectors);
	}
	free(c->domains);
	for (size_t i = 0; i < c->n_accounts; i++) {
		free(c->accounts[i].name);
		text_free_list(c->accounts[i].senders, c->accounts[i].n_senders);
	}
	free(c->accounts);
	for (size_t i = 0; i < c->n_partners; i++)
		free_partner(&c->partners[i]);
	free(c->partners);
	for (size_t i = 0; i < c->n_routes; i++) {
		free(c->routes[i].domain);
		free(c->routes[i].host);
		free(c->routes[i].login);
	}
	free(c->routes);
}

static void free_partner(struct config_partner *p)
{
	free(p->name);
	text_free_list(p->mx, p->n_mx);
	free(p->ca_file);
	certificates_free(p->cas, p->n_cas);
	text_free_list(p->fingerprints, p->n_fingerprints);
	text_free_list(p->public_keys, p->n_public_keys);
	if (p->exception != NULL)
		free(p->exception->reason);
	free(p->exception);
}

void config_remarks_finish(struct config_remarks *remarks)
{
	text_free_list(remarks->texts, remarks->n);
	*remarks = (struct config_remarks){ 0 };
}
