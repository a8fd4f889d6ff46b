/*
 * tls-reports { ... }: to whom we report how TLS with them went (RFC 8460).
 */
#include <stdlib.h>
#include <string.h>

#include "config/read.h"
#include "config/values.h"
#include "relay/base/domain.h"
#include "relay/base/mem.h"

static void read_scope(struct reading *r, cfg_t *section);
static void read_domains(struct reading *r, cfg_t *section);
static void read_contact(struct reading *r, cfg_t *section);
static char *read_address(struct reading *r, cfg_t *section, const char *key, const char *example);

void read_reports(struct reading *r)
{
	struct config_tlsrpt *t = &r->config->tlsrpt;
	cfg_t *section = cfg_getsec(r->cfg, "tls-reports");

	read_scope(r, section);
	read_domains(r, section);
	t->from = read_address(r, section, "from", "tls-reports@example.org");
	if (t->from == NULL && t->scope != TLSRPT_OFF && reading_value(section, "from", 0) == NULL)
		reading_error(r, reading_line(r, "tls-reports", "send"),
		    "tls-reports has no from = ADDRESS: of a domain whose mail is signed here, as "
		    "tls-reports@example.org");
	read_contact(r, section);
}

static void read_scope(struct reading *r, cfg_t *section)
{
	static const char *const words[] = { "off", "listed", "all" };
	const struct written *w = reading_value(section, "send", 0);

	for (size_t i = 0; w != NULL && i < 3; i++) {
		if (strcmp(w->text, words[i]) == 0) {
			r->config->tlsrpt.scope = (enum config_tlsrpt_scope)i;
			return;
		}
	}
	if (w != NULL)
		reading_error_word(r, w, "send", words, 3);
}

static void read_domains(struct reading *r, cfg_t *section)
{
	struct config_tlsrpt *t = &r->config->tlsrpt;
	size_t line = reading_line(r, "tls-reports", "send");
	char domain[DOMAIN_MAX];

	for (unsigned i = 0; i < reading_count(section, "domains"); i++) {
		const struct written *w = reading_value(section, "domains", i);

		if (w != NULL && domain_written(w->text, domain))
			reading_add_text(&t->domains, &t->n_domains, mem_copy_text(domain));
		else if (w != NULL)
			reading_error(r, w->line, "domains: '%s' is no domain name", w->text);
	}
	if (t->scope == TLSRPT_LISTED && reading_count(section, "domains") == 0)
		reading_error(r, line,
		    "send = listed needs domains = {DOMAIN}: those that reports may go to");
	if (t->scope != TLSRPT_LISTED && t->n_domains > 0)
		reading_warning(r, reading_line(r, "tls-reports", "domains"),
		    "domains is not used with send = %s: write send = listed",
		    t->scope == TLSRPT_ALL ? "all" : "off");
}

/*
 * RFC 8460 4.4: contact-info is a mail address. Its domain is the TLS-Report-Submitter (5.3), whose
 * signature the report must have (3), and that is of the domain of from.
 */
static void read_contact(struct reading *r, cfg_t *section)
{
	struct config_tlsrpt *t = &r->config->tlsrpt;
	const struct written *w = reading_value(section, "contact", 0);

	t->contact = w == NULL ? mem_copy_text(t->from)
			       : read_address(r, section, "contact", "postmaster@example.org");
	if (w == NULL || t->contact == NULL || t->from == NULL ||
	    strcmp(strrchr(t->contact, '@'), strrchr(t->from, '@')) == 0)
		return;
	reading_error(r, w->line,
	    "contact = %s: must be of the domain of from = %s, whose keys sign the reports: receivers "
	    "ignore those that another domain has signed",
	    t->contact, t->from);
}

/* NULL without one, and with one that is none, which is told. */
static char *read_address(struct reading *r, cfg_t *section, const char *key, const char *example)
{
	const struct written *w = reading_value(section, key, 0);
	char *address = w == NULL ? NULL : value_parse_sender(w->text);

	if (address != NULL && address[0] != '@')
		return address;
	free(address);
	if (w != NULL)
		reading_error(
		    r, w->line, "%s = %s: must be a mail address, as %s", key, w->text, example);
	return NULL;
}
