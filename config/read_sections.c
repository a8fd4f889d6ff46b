/*
 * The sections an operator writes more than once: what to listen on, stub zones, domains, accounts
 * and partners. Each thing of them is judged alone here; what it means for others, in check.c.
 */
#include "config/read.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "relay/base/domain.h"
#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "relay/base/number.h"

enum { FINGERPRINT_BYTES = 32 }; /* SHA-256 */

static void read_listens(struct reading *r);
static void read_listen(struct reading *r, cfg_t *section, size_t line);
static void add_listen(
    struct reading *r, const char *address, uint16_t port, bool implicit, size_t line);
static void read_dns(struct reading *r);
static void read_domain(struct reading *r, cfg_t *section);
static void read_account(struct reading *r, cfg_t *section);
static void read_account_manner(struct reading *r, struct config_account *a, cfg_t *section);
static void read_partner(struct reading *r, cfg_t *section);
static void read_partner_level(
    struct reading *r, struct config_partner *p, cfg_t *section, size_t line);
static void read_partner_lists(struct reading *r, struct config_partner *p, cfg_t *section);
static void add_text(char ***texts, size_t *n, char *text);
static size_t line_of(const struct reading *r, cfg_t *section);

void read_sections(struct reading *r)
{
	struct config *c = r->config;

	read_listens(r);
	read_dns(r);
	for (unsigned i = 0; i < cfg_size(r->cfg, "domain"); i++)
		read_domain(r, cfg_getnsec(r->cfg, "domain", i));
	for (unsigned i = 0; i < cfg_size(r->cfg, "account"); i++)
		read_account(r, cfg_getnsec(r->cfg, "account", i));
	for (unsigned i = 0; i < cfg_size(r->cfg, "partner"); i++)
		read_partner(r, cfg_getnsec(r->cfg, "partner", i));
	if (c->n_listens == 0 && cfg_size(r->cfg, "listen") == 0) {
		/* RFC 6409 and RFC 8314 3.3 */
		add_listen(r, "0.0.0.0", 587, false, 0);
		add_listen(r, "::", 587, false, 0);
		add_listen(r, "0.0.0.0", 465, true, 0);
		add_listen(r, "::", 465, true, 0);
	}
}

static void read_listens(struct reading *r)
{
	for (unsigned i = 0; i < cfg_size(r->cfg, "listen"); i++)
		read_listen(r, cfg_getnsec(r->cfg, "listen", i),
		    proof_find_section(&r->proof, "listen", NULL, i));
}

static void read_listen(struct reading *r, cfg_t *section, size_t line)
{
	static const char *const words[] = { "starttls", "implicit" };
	const struct written *address = reading_value(section, "address", 0);
	const struct written *port = reading_value(section, "port", 0);
	const struct written *tls = reading_value(section, "tls", 0);
	char text[INET6_ADDRSTRLEN];
	uint64_t number = 0;
	bool implicit;

	if (tls != NULL && strcmp(tls->text, words[0]) != 0 && strcmp(tls->text, words[1]) != 0) {
		reading_error_word(r, tls, "tls", words, 2);
		return;
	}
	if (port != NULL &&
	    (!number_parse(port->text, strlen(port->text), 65535, &number) || number == 0)) {
		reading_error(r, port->line, "port = %s: must be from 1 to 65535", port->text);
		return;
	}
	if (number == 25) {
		reading_error(r, port->line,
		    "port = 25: that is for servers, people and programs submit on 587 or 465");
		return;
	}
	implicit = tls != NULL ? strcmp(tls->text, "implicit") == 0 : number == 465;
	if (number == 0)
		number = implicit ? 465 : 587;
	if (address != NULL && !value_parse_address(address->text, text)) {
		reading_error(r, address->line,
		    "address = %s: must be a numeric IPv4 or IPv6 address, as 192.0.2.1 or ::",
		    address->text);
	} else if (address != NULL) {
		add_listen(r, text, (uint16_t)number, implicit, line);
	} else {
		add_listen(r, "0.0.0.0", (uint16_t)number, implicit, line);
		add_listen(r, "::", (uint16_t)number, implicit, line);
	}
}

static void add_listen(
    struct reading *r, const char *address, uint16_t port, bool implicit, size_t line)
{
	struct config *c = r->config;

	for (size_t i = 0; i < c->n_listens; i++) {
		if (c->listens[i].port == port && strcmp(c->listens[i].address, address) == 0) {
			reading_error(r, line, "port %u of %s is listened on twice", port, address);
			return;
		}
	}
	c->listens = mem_resize(c->listens, c->n_listens + 1, sizeof *c->listens);
	c->listens[c->n_listens++] = (struct config_listen){
		.address = mem_copy_text(address), .port = port, .implicit_tls = implicit
	};
}

static void read_dns(struct reading *r)
{
	static const char form[] = "must be a numeric address and port, as 127.0.0.1@53";
	struct config *c = r->config;
	cfg_t *dns = cfg_getsec(r->cfg, "dns");
	char server[VALUE_SERVER_MAX];

	for (unsigned i = 0; i < reading_count(dns, "forward"); i++) {
		const struct written *w = reading_value(dns, "forward", i);

		if (w != NULL && value_parse_server(w->text, server))
			add_text(&c->dns_forwarders, &c->n_dns_forwarders, mem_copy_text(server));
		else if (w != NULL)
			reading_error(r, w->line, "forward = %s: %s", w->text, form);
	}
	for (unsigned i = 0; i < cfg_size(dns, "stub"); i++) {
		cfg_t *stub = cfg_getnsec(dns, "stub", i);
		const struct written *w = reading_value(stub, "server", 0);
		const char *title = cfg_title(stub);
		char zone[DOMAIN_MAX] = ".";

		if (strcmp(title, ".") != 0 && !domain_canonical(title, strlen(title), zone)) {
			reading_error(r, line_of(r, stub), "stub '%s' is no domain name", title);
		} else if (w == NULL || !value_parse_server(w->text, server)) {
			reading_error(r, w == NULL ? line_of(r, stub) : w->line,
			    "server of stub '%s': %s", title, form);
		} else {
			c->dns_stubs =
			    mem_resize(c->dns_stubs, c->n_dns_stubs + 1, sizeof *c->dns_stubs);
			c->dns_stubs[c->n_dns_stubs++] =
			    (struct config_stub){ .zone = mem_copy_text(zone),
				    .server = mem_copy_text(server) };
		}
	}
}

static void read_domain(struct reading *r, cfg_t *section)
{
	struct config *c = r->config;
	struct config_domain *d;
	const char *title = cfg_title(section);
	char name[DOMAIN_MAX];

	if (!domain_canonical(title, strlen(title), name)) {
		reading_error(r, line_of(r, section), "domain '%s' is no domain name", title);
		return;
	}
	for (size_t i = 0; i < c->n_domains; i++) {
		if (strcmp(c->domains[i].name, name) == 0) {
			reading_error(r, line_of(r, section), "domain '%s' is written twice", name);
			return;
		}
	}
	c->domains = mem_resize(c->domains, c->n_domains + 1, sizeof *c->domains);
	d = &c->domains[c->n_domains++];
	*d = (struct config_domain){ .name = mem_copy_text(name) };
	for (unsigned i = 0; i < reading_count(section, "dkim"); i++) {
		const struct written *w = reading_value(section, "dkim", i);

		if (w != NULL && value_is_selector(w->text))
			add_text(&d->selectors, &d->n_selectors, mem_copy_text(w->text));
		else if (w != NULL)
			reading_error(r, w->line, "dkim: '%s' is no selector", w->text);
	}
	if (reading_count(section, "dkim") == 0)
		reading_error(r, line_of(r, section),
		    "domain '%s' has no dkim = {SELECTOR}: its mail could not be signed; make keys "
		    "with: zegel dkim new %s",
		    name, name);
}

static void read_account(struct reading *r, cfg_t *section)
{
	struct config *c = r->config;
	const char *title = cfg_title(section);
	size_t line = line_of(r, section);
	struct config_account a = { .name = mem_copy_text(title) };

	for (char *s = a.name; *s != '\0'; s++)
		*s = (char)tolower((unsigned char)*s);
	if (!value_is_login(title))
		reading_error(
		    r, line, "account '%s': a login is printable ASCII without spaces", title);
	for (size_t i = 0; i < c->n_accounts; i++) {
		if (strcmp(c->accounts[i].name, a.name) == 0)
			reading_error(r, line,
			    "account '%s' is written twice (letter case does "
			    "not count)",
			    title);
	}
	for (unsigned i = 0; i < reading_count(section, "senders"); i++) {
		const struct written *w = reading_value(section, "senders", i);
		char *sender = w == NULL ? NULL : value_parse_sender(w->text);

		if (sender != NULL)
			add_text(&a.senders, &a.n_senders, sender);
		else if (w != NULL)
			reading_error(r, w->line,
			    "senders: '%s' is no address; write \"local@domain\", or \"@domain\" for "
			    "all of it",
			    w->text);
	}
	if (reading_count(section, "senders") == 0)
		reading_error(r, line,
		    "account '%s' has no senders = {ADDRESS}: it could send nothing", title);
	read_account_manner(r, &a, section);
	c->accounts = mem_resize(c->accounts, c->n_accounts + 1, sizeof *c->accounts);
	c->accounts[c->n_accounts++] = a;
}

static void read_account_manner(struct reading *r, struct config_account *a, cfg_t *section)
{
	static const char *const streams[] = { "ordinary", "bulk" };
	const struct written *rate = reading_value(section, "rate", 0);
	const struct written *stream = reading_value(section, "stream", 0);

	if (stream != NULL && strcmp(stream->text, streams[1]) == 0)
		a->stream = STREAM_BULK;
	else if (stream != NULL && strcmp(stream->text, streams[0]) != 0)
		reading_error_word(r, stream, "stream", streams, 2);
	if (rate != NULL && !value_parse_rate(rate->text, &a->rate_per_hour))
		reading_error(r, rate->line,
		    "rate = %s: must be messages in a time, as 300/hour (second, minute, hour, day)",
		    rate->text);
	else if (rate != NULL)
		reading_warning(r, rate->line,
		    "rate = %s is understood, but this version does not enforce rates", rate->text);
}

static void read_partner(struct reading *r, cfg_t *section)
{
	struct config *c = r->config;
	struct config_partner p = { 0 };
	const char *title = cfg_title(section);
	const char *name = title[0] == '.' ? title + 1 : title;
	const struct written *ca = reading_value(section, "ca", 0);
	char domain[DOMAIN_MAX];
	size_t line = line_of(r, section);

	if (!domain_canonical(name, strlen(name), domain)) {
		reading_error(r, line,
		    "partner '%s' is no domain name; write bank.example, or .bank.example for what "
		    "is below it",
		    title);
		return;
	}
	p.name = mem_print("%s%s", name == title ? "" : ".", domain);
	for (size_t i = 0; i < c->n_partners; i++) {
		if (strcmp(c->partners[i].name, p.name) == 0)
			reading_error(r, line, "partner '%s' is written twice", p.name);
	}
	read_partner_lists(r, &p, section);
	if (ca != NULL)
		p.ca_file = reading_path(r, ca->text);
	read_partner_level(r, &p, section, line);
	c->partners = mem_resize(c->partners, c->n_partners + 1, sizeof *c->partners);
	c->partners[c->n_partners++] = p;
}

static void read_partner_lists(struct reading *r, struct config_partner *p, cfg_t *section)
{
	for (unsigned i = 0; i < reading_count(section, "mx"); i++) {
		const struct written *w = reading_value(section, "mx", i);
		char *pattern = w == NULL ? NULL : value_parse_pattern(w->text);

		if (pattern != NULL)
			add_text(&p->mx, &p->n_mx, pattern);
		else if (w != NULL)
			reading_error(r, w->line,
			    "mx: '%s' is no host name; write mx.bank.example or \"*.bank.example\"",
			    w->text);
	}
	for (unsigned i = 0; i < reading_count(section, "fingerprint"); i++) {
		const struct written *w = reading_value(section, "fingerprint", i);
		unsigned char bytes[FINGERPRINT_BYTES];
		char hex[2 * FINGERPRINT_BYTES + 1];
		size_t n;

		if (w == NULL)
			continue;
		if (!hex_decode(w->text, strlen(w->text), bytes, sizeof bytes, &n) ||
		    n != sizeof bytes) {
			reading_error(r, w->line,
			    "fingerprint: '%s' is no SHA-256 of a certificate (64 hexadecimal digits)",
			    w->text);
			continue;
		}
		hex_encode(bytes, sizeof bytes, hex);
		add_text(&p->fingerprints, &p->n_fingerprints, mem_copy_text(hex));
	}
}

/* The level, and whether what it needs is there: a rule that cannot be kept would hold all mail. */
static void read_partner_level(
    struct reading *r, struct config_partner *p, cfg_t *section, size_t line)
{
#define X(symbol, word) word,
	static const char *const words[] = { TLS_LEVELS(
	    X) }; /* the last, mta-sts, is no operator's */
#undef X
	const size_t n_words = sizeof words / sizeof words[0] - 1;
	const struct written *w = reading_value(section, "tls", 0);
	bool by_ca;

	if (w == NULL || !tls_level_parse(w->text, &p->level) || p->level == TLS_MTA_STS) {
		if (w != NULL)
			reading_error_word(r, w, "tls", words, n_words);
		else
			reading_error(r, line, "partner '%s' has no tls = LEVEL", p->name);
		return;
	}
	by_ca = p->level == TLS_SECURE || p->level == TLS_VERIFY;
	if (p->level == TLS_SECURE && reading_count(section, "mx") == 0)
		reading_error(r, w->line,
		    "tls = secure needs mx = {NAME}: the names its certificates must show, since those "
		    "from DNS could be forged");
	if (p->level == TLS_FINGERPRINT && reading_count(section, "fingerprint") == 0)
		reading_error(r, w->line,
		    "tls = fingerprint needs fingerprint = {SHA256}: print it with: zegel tls probe %s",
		    p->name);
	if (p->level != TLS_FINGERPRINT && p->n_fingerprints > 0)
		reading_warning(r, w->line, "fingerprint is not used with tls = %s", w->text);
	if (!by_ca && p->ca_file != NULL)
		reading_warning(r, w->line, "ca is not used with tls = %s", w->text);
}

static void add_text(char ***texts, size_t *n, char *text)
{
	*texts = mem_resize(*texts, *n + 1, sizeof **texts);
	(*texts)[(*n)++] = text;
}

static size_t line_of(const struct reading *r, cfg_t *section)
{
	return proof_find_section(&r->proof, cfg_name(section), cfg_title(section), 0);
}
