/*
 * route DOMAIN { ... }: the operator's own next hops, instead of what the DNS says.
 */
#include <string.h>

#include "config/keys.h"
#include "config/read.h"
#include "config/values.h"
#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/base/number.h"

enum { PORT_RELAY = 25, PORT_IMPLICIT = 465, PORT_SUBMISSION = 587 };

static void read_route(struct reading *r, cfg_t *section);
static char *read_title(struct reading *r, cfg_t *section, size_t line);
static void read_host(struct reading *r, struct config_route *route, cfg_t *section, size_t line);
static void read_login(struct reading *r, struct config_route *route, cfg_t *section);
static void read_port(struct reading *r, struct config_route *route, cfg_t *section);
static void check_not_ourselves(struct reading *r, const struct config_route *route, size_t line);
static bool is_listened_on(const struct config_listen *listen, const struct config_route *route);
static void read_level(struct reading *r, struct config_route *route, cfg_t *section, size_t line);

void read_routes(struct reading *r)
{
	for (unsigned i = 0; i < cfg_size(r->cfg, "route"); i++)
		read_route(r, cfg_getnsec(r->cfg, "route", i));
}

static void read_route(struct reading *r, cfg_t *section)
{
	struct config *c = r->config;
	size_t line = reading_section_line(r, section);
	struct config_route route = { .domain = read_title(r, section, line) };

	if (route.domain == NULL)
		return;
	for (size_t i = 0; i < c->n_routes; i++) {
		if (strcmp(c->routes[i].domain, route.domain) == 0)
			reading_error(r, line, "route '%s' is written twice", route.domain);
	}
	read_host(r, &route, section, line);
	read_login(r, &route, section);
	read_port(r, &route, section);
	if (route.host != NULL)
		check_not_ourselves(r, &route, reading_value(section, "host", 0)->line);
	read_level(r, &route, section, line);
	c->routes = mem_resize(c->routes, c->n_routes + 1, sizeof *c->routes);
	c->routes[c->n_routes++] = route;
}

static char *read_title(struct reading *r, cfg_t *section, size_t line)
{
	const char *title = cfg_title(section);
	const char *name = title[0] == '.' ? title + 1 : title;
	char domain[DOMAIN_MAX];

	if (strcmp(title, "*") == 0)
		return mem_copy_text(title);
	if (title[0] == PROOF_SPOILED)
		return NULL;
	if (domain_written(name, domain))
		return mem_print("%s%s", name == title ? "" : ".", domain);
	reading_error(r, line,
	    "route '%s' is no domain name; write bank.example, .bank.example for what is below it, or "
	    "\"*\" for all",
	    title);
	return NULL;
}

static void read_host(struct reading *r, struct config_route *route, cfg_t *section, size_t line)
{
	const struct written *w = reading_value(section, "host", 0);
	char text[DOMAIN_MAX];

	if (!reading_has(section, "host"))
		reading_error(r, line, "route '%s' has no host = NAME", route->domain);
	if (w == NULL)
		return;
	if (value_parse_address(w->text, text)) {
		route->host = mem_copy_text(text);
		route->is_address = true;
	} else if (domain_written(w->text, text)) {
		route->host = mem_copy_text(text);
	} else {
		reading_error(r, w->line,
		    "host = %s: must be a host name, as smtp.example.net, or a numeric address without "
		    "brackets",
		    w->text);
	}
}

static void read_login(struct reading *r, struct config_route *route, cfg_t *section)
{
	const struct written *w = reading_value(section, "login", 0);

	if (w == NULL)
		return;
	if (value_is_route_login(w->text))
		route->login = mem_copy_text(w->text);
	else
		reading_error(r, w->line,
		    "login = %s: must be printable ASCII without spaces, and no '#' at its beginning",
		    w->text);
}

static void read_port(struct reading *r, struct config_route *route, cfg_t *section)
{
	const struct written *w = reading_value(section, "port", 0);
	uint64_t port = route->login != NULL ? PORT_SUBMISSION : PORT_RELAY;

	if (w != NULL && (!number_parse(w->text, strlen(w->text), 65535, &port) || port == 0))
		reading_error(r, w->line, "port = %s: must be from 1 to 65535", w->text);
	else if (port == PORT_IMPLICIT)
		reading_error(r, w->line,
		    "port = 465: there TLS comes first, and to next hops only STARTTLS is spoken; most "
		    "hosts have it on port 587");
	route->port = (uint16_t)port;
}

/* Mail for ourselves would come back until its hops are counted out. */
static void check_not_ourselves(struct reading *r, const struct config_route *route, size_t line)
{
	const struct config *c = r->config;
	bool ours = c->hostname != NULL && strcmp(c->hostname, route->host) == 0;

	for (size_t i = 0; i < c->n_listens; i++)
		ours |= is_listened_on(&c->listens[i], route);
	if (ours)
		reading_error(r, line,
		    "host = %s: that is this server itself, its mail would come back", route->host);
}

static bool is_listened_on(const struct config_listen *listen, const struct config_route *route)
{
	bool loopback = strncmp(route->host, "127.", 4) == 0 || strcmp(route->host, "::1") == 0;
	bool any = strcmp(listen->address, "0.0.0.0") == 0 || strcmp(listen->address, "::") == 0;

	return route->is_address && listen->port == route->port &&
	       (strcmp(listen->address, route->host) == 0 || (any && loopback));
}

static void read_level(struct reading *r, struct config_route *route, cfg_t *section, size_t line)
{
	static const unsigned allowed = KEY_LEVELS(TLS_MAY) | KEY_LEVELS(TLS_ENCRYPT) |
					KEY_LEVELS(TLS_VERIFY) | KEY_LEVELS(TLS_DANE) |
					KEY_LEVELS(TLS_DANE_ONLY);
	const struct written *w = reading_value(section, "tls", 0);

	route->level = route->login != NULL && !route->is_address ? TLS_VERIFY : TLS_ENCRYPT;
	if (w != NULL && !reading_level(r, w, "tls", allowed, &route->level))
		return;
	if (w != NULL)
		line = w->line;
	if (route->is_address && route->level >= TLS_VERIFY) {
		reading_error(r, line,
		    "tls = %s: an address has no name, so no certificate and no TLSA record is of it: "
		    "write host = NAME",
		    tls_level_name(route->level));
	} else if (route->login != NULL && route->level == TLS_DANE) {
		reading_error(r, line,
		    "tls = dane with a login: without TLSA records that is as may, and the password "
		    "would go in clear: write dane-only, or verify");
	} else if (route->login != NULL && route->level < TLS_ENCRYPT) {
		reading_error(r, line,
		    "tls = %s with a login: the password would go in clear: write verify, or at "
		    "least encrypt",
		    tls_level_name(route->level));
	} else if (route->login != NULL && route->level == TLS_ENCRYPT) {
		reading_warning(r, line,
		    "route '%s': tls = encrypt with a login: anybody may answer as %s, so only SCRAM is "
		    "used, which does not tell the password, and no PLAIN or LOGIN: write host = "
		    "NAME and tls = verify",
		    route->domain, route->host == NULL ? "the host" : route->host);
	}
}
