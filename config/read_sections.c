/*
 * The sections that are more than values, each read in a file of its own or here: what to listen
 * on, DNS and domains. Each thing is judged alone; what it means for others, in check.c.
 */
#include "config/read.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/base/number.h"

static void read_listens(struct reading *r);
static void read_listen(struct reading *r, cfg_t *section, size_t line);
static void add_listen(
    struct reading *r, const char *address, uint16_t port, bool implicit, size_t line);
static void read_dns(struct reading *r);
static void read_domain(struct reading *r, cfg_t *section);

void read_sections(struct reading *r)
{
	read_listens(r);
	read_dns(r);
	for (unsigned i = 0; i < cfg_size(r->cfg, "domain"); i++)
		read_domain(r, cfg_getnsec(r->cfg, "domain", i));
	read_accounts(r);
	read_partners(r);
	read_routes(r);
	read_reports(r);
}

static void read_listens(struct reading *r)
{
	for (unsigned i = 0; i < cfg_size(r->cfg, "listen"); i++)
		read_listen(r, cfg_getnsec(r->cfg, "listen", i),
		    proof_find_section(&r->proof, "listen", NULL, i));
	if (cfg_size(r->cfg, "listen") == 0) {
		/* RFC 6409 and RFC 8314 3.3 */
		add_listen(r, "0.0.0.0", 587, false, 0);
		add_listen(r, "::", 587, false, 0);
		add_listen(r, "0.0.0.0", 465, true, 0);
		add_listen(r, "::", 465, true, 0);
	}
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
	static const char *const words[] = { "opportunistic", "defer" };
	static const char form[] = "must be a numeric address and port, as 127.0.0.1@53";
	struct config *c = r->config;
	cfg_t *dns = cfg_getsec(r->cfg, "dns");
	const struct written *impaired = reading_value(dns, "when-impaired", 0);
	char server[VALUE_SERVER_MAX];

	c->dns_forgive_loss = impaired != NULL && strcmp(impaired->text, words[0]) == 0;
	c->dns_defer_impaired = impaired != NULL && strcmp(impaired->text, words[1]) == 0;
	if (impaired != NULL && !c->dns_forgive_loss && !c->dns_defer_impaired)
		reading_error_word(r, impaired, "when-impaired", words, 2);
	for (unsigned i = 0; i < reading_count(dns, "forward"); i++) {
		const struct written *w = reading_value(dns, "forward", i);

		if (w != NULL && value_parse_server(w->text, server))
			reading_add_text(
			    &c->dns_forwarders, &c->n_dns_forwarders, mem_copy_text(server));
		else if (w != NULL)
			reading_error(r, w->line, "forward = %s: %s", w->text, form);
	}
	for (unsigned i = 0; i < cfg_size(dns, "stub"); i++) {
		cfg_t *stub = cfg_getnsec(dns, "stub", i);
		const struct written *w = reading_value(stub, "server", 0);
		const char *title = cfg_title(stub);
		char zone[DOMAIN_MAX] = ".";

		if (title[0] == PROOF_SPOILED)
			continue;
		if (strcmp(title, ".") != 0 && !domain_written(title, zone)) {
			reading_error(
			    r, reading_section_line(r, stub), "stub '%s' is no domain name", title);
		} else if (w == NULL || !value_parse_server(w->text, server)) {
			reading_error(r, w == NULL ? reading_section_line(r, stub) : w->line,
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

	if (title[0] == PROOF_SPOILED)
		return;
	if (!domain_written(title, name)) {
		reading_error(
		    r, reading_section_line(r, section), "domain '%s' is no domain name", title);
		return;
	}
	for (size_t i = 0; i < c->n_domains; i++) {
		if (strcmp(c->domains[i].name, name) == 0) {
			reading_error(r, reading_section_line(r, section),
			    "domain '%s' is written twice", name);
			return;
		}
	}
	c->domains = mem_resize(c->domains, c->n_domains + 1, sizeof *c->domains);
	d = &c->domains[c->n_domains++];
	*d = (struct config_domain){ .name = mem_copy_text(name) };
	for (unsigned i = 0; i < reading_count(section, "dkim"); i++) {
		const struct written *w = reading_value(section, "dkim", i);

		if (w != NULL && value_is_selector(w->text))
			reading_add_text(&d->selectors, &d->n_selectors, mem_copy_text(w->text));
		else if (w != NULL)
			reading_error(r, w->line, "dkim: '%s' is no selector", w->text);
	}
	if (reading_count(section, "dkim") == 0)
		reading_error(r, reading_section_line(r, section),
		    "domain '%s' has no dkim = {SELECTOR}: its mail could not be signed; make keys "
		    "with: zegel dkim new %s",
		    name, name);
}
