/*
 * What is asked of a configuration while mail flows, and its end.
 */
#include "config/config.h"

#include <stdlib.h>
#include <string.h>

static void free_texts(char **texts, size_t n);

const struct config_domain *config_find_domain(const struct config *config, const char *name)
{
	size_t from = 0, to = config->n_domains;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = strcmp(name, config->domains[middle].name);

		if (order == 0)
			return &config->domains[middle];
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
}

const struct config_account *config_find_account(const struct config *config, const char *name)
{
	size_t from = 0, to = config->n_accounts;

	while (from < to) {
		size_t middle = from + (to - from) / 2;
		int order = strcmp(name, config->accounts[middle].name);

		if (order == 0)
			return &config->accounts[middle];
		if (order < 0)
			to = middle;
		else
			from = middle + 1;
	}
	return NULL;
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
	free_texts(c->dns_forwarders, c->n_dns_forwarders);
	for (size_t i = 0; i < c->n_dns_stubs; i++) {
		free(c->dns_stubs[i].zone);
		free(c->dns_stubs[i].server);
	}
	free(c->dns_stubs);
	free(c->dns_trust_anchor);
	for (size_t i = 0; i < c->n_domains; i++) {
		free(c->domains[i].name);
		free_texts(c->domains[i].selectors, c->domains[i].n_selectors);
	}
	free(c->domains);
	for (size_t i = 0; i < c->n_accounts; i++) {
		free(c->accounts[i].name);
		free_texts(c->accounts[i].senders, c->accounts[i].n_senders);
	}
	free(c->accounts);
	for (size_t i = 0; i < c->n_partners; i++) {
		free(c->partners[i].name);
		free_texts(c->partners[i].mx, c->partners[i].n_mx);
		free(c->partners[i].ca_file);
		free_texts(c->partners[i].fingerprints, c->partners[i].n_fingerprints);
	}
	free(c->partners);
	free(c->delivery.ca_file);
	free(c);
	*config = NULL;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}

void config_remarks_finish(struct config_remarks *remarks)
{
	free_texts(remarks->texts, remarks->n);
	*remarks = (struct config_remarks){ 0 };
}
