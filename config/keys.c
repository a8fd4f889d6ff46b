/*
 * The table of keys, and libconfuse's own tables made from it.
 */
#include "config/keys.h"

#include <stdlib.h>
#include <string.h>

#include "config/config.h"
#include "relay/base/mem.h"

#define AT(member) offsetof(struct config, member)
#define MAX32      UINT32_MAX

const struct key keys[] = {
	{ "", "hostname", KEY_HOST, AT(hostname) },
	{ "", "user", KEY_TEXT, AT(user), "zegel" },
	{ "", "spool", KEY_PATH, AT(spool), "/var/lib/zegel" },
	{ "", "control", KEY_PATH, AT(control) },
	{ "", "log", KEY_LOG, AT(log), "syslog" },
	{ "", "passwords", KEY_PATH, AT(passwords), "passwords" },
	{ "", "route-passwords", KEY_PATH, AT(route_passwords), "route-passwords" },
	{ "", "dkim-keys", KEY_PATH, AT(dkim_keys), "dkim" },
	{ "", "processes", KEY_NUMBER, AT(processes), "0", 0, 64 },

	{ "listen", "address", KEY_OTHER },
	{ "listen", "port", KEY_OTHER },
	{ "listen", "tls", KEY_OTHER },

	{ "tls", "certificate", KEY_PATH, AT(tls_certificate) },
	{ "tls", "key", KEY_PATH, AT(tls_key) },

	{ "dns", "forward", KEY_LIST },
	{ "dns", "trust-anchor", KEY_PATH, AT(dns_trust_anchor), "/usr/share/dns/root.key" },
	{ "dns", "when-impaired", KEY_OTHER },
	{ "dns", "check-signed", KEY_NAME, AT(dns_check.signed_name), "internet.nl" },
	{ "dns", "check-broken", KEY_NAME, AT(dns_check.broken_name), "dnssec-failed.org" },
	{ "dns", "check-unsigned", KEY_NAME, AT(dns_check.unsigned_name), "google.com" },
	{ "dns", "broken-patience", KEY_MILLISECONDS, AT(dns_check.patience_ms), "4h", 0,
	    5 * 86400 },
	{ "dns", "check-every", KEY_MILLISECONDS, AT(dns_check.every_ms), "1h", 1, 7 * 86400 },
	{ "dns.stub", "server", KEY_OTHER },

	{ "delivery", "port", KEY_PORT, AT(delivery.port), "25", 1, 65535 },
	{ "delivery", "ca-file", KEY_PATH, AT(delivery.ca_file),
	    "/etc/ssl/certs/ca-certificates.crt" },
	{ "delivery", "tls", KEY_LEVEL, AT(delivery.tls), "dane", 0,
	    KEY_LEVELS(TLS_MAY) | KEY_LEVELS(TLS_DANE) },
	{ "delivery", "allow-loopback", KEY_SWITCH, AT(delivery.allow_loopback), "off" },
	{ "delivery", "allow-private", KEY_SWITCH, AT(delivery.allow_private), "off" },
	{ "delivery", "ipv4", KEY_SWITCH, AT(delivery.ipv4), "on" },
	{ "delivery", "ipv6", KEY_SWITCH, AT(delivery.ipv6), "on" },
	{ "delivery", "connect-timeout", KEY_SECONDS, AT(delivery.connect_timeout), "30", 1, 600 },
	{ "delivery", "connections", KEY_NUMBER, AT(delivery.connections), "100", 1, 10000 },
	{ "delivery", "connections-per-domain", KEY_NUMBER, AT(delivery.connections_per_domain),
	    "20", 1, 10000 },
	{ "delivery", "recipients", KEY_NUMBER, AT(delivery.recipients), "100", 1, 1000 },
	{ "delivery", "dane-insecure-mx", KEY_LEVEL, AT(delivery.dane_insecure_mx), "may", 0,
	    KEY_LEVELS(TLS_MAY) | KEY_LEVELS(TLS_ENCRYPT) | KEY_LEVELS(TLS_DANE) },
	{ "delivery", "mta-sts", KEY_SWITCH, AT(delivery.mta_sts), "on" },
	{ "delivery", "mta-sts-port", KEY_PORT, AT(delivery.mta_sts_port), "443", 1, 65535 },
	{ "delivery", "idle-connections", KEY_NUMBER, AT(delivery.idle_connections), "50", 0,
	    10000 },
	/* Receivers close an idle session after 5 minutes (RFC 5321 4.5.3.2.7), many much sooner. */
	{ "delivery", "idle-timeout", KEY_SECONDS, AT(delivery.idle_timeout), "5s", 1, 300 },
	{ "delivery", "connection-age", KEY_SECONDS, AT(delivery.connection_age), "5m", 1, 3600 },
	{ "delivery", "connection-messages", KEY_NUMBER, AT(delivery.connection_messages), "500", 1,
	    10000 },

	{ "retry", "first", KEY_SECONDS, AT(retry.first), "5m", 1, 86400 },
	{ "retry", "longest", KEY_SECONDS, AT(retry.longest), "1h", 1, 7 * 86400 },
	{ "retry", "expire", KEY_SECONDS, AT(retry.expire), "5d", 1, 30 * 86400 },
	{ "retry", "expire-bulk", KEY_SECONDS, AT(retry.expire_bulk), "2d", 1, 30 * 86400 },

	{ "limits", "message-size", KEY_SIZE64, AT(limits.message_size), "25M", 1024, 1ULL << 31 },
	{ "limits", "header-size", KEY_SIZE, AT(limits.header_size), "100k", 1024, 16 << 20 },
	{ "limits", "header-fields", KEY_NUMBER, AT(limits.header_fields), "1000", 10, 100000 },
	/* RFC 5321 4.5.3.1.6: 998 and CRLF is what every receiver must take. */
	{ "limits", "line-length", KEY_NUMBER, AT(limits.line_length), "998", 78, 65536 },
	/* RFC 5321 4.5.3.1.8: at least 100. */
	{ "limits", "recipients", KEY_NUMBER, AT(limits.recipients), "1000", 1, 10000 },
	{ "limits", "sessions", KEY_NUMBER, AT(limits.sessions), "500", 1, 100000 },
	{ "limits", "sessions-per-client", KEY_NUMBER, AT(limits.sessions_per_client), "50", 1,
	    100000 },
	{ "limits", "errors", KEY_NUMBER, AT(limits.errors), "20", 1, 10000 },
	{ "limits", "auth-failures", KEY_NUMBER, AT(limits.auth_failures), "3", 1, 100 },
	{ "limits", "command-timeout", KEY_SECONDS, AT(limits.command_timeout), "5m", 1, 3600 },
	{ "limits", "data-timeout", KEY_SECONDS, AT(limits.data_timeout), "1h", 1, 86400 },
	{ "limits", "data-rate", KEY_SIZE, AT(limits.data_rate), "500", 0, 1 << 30 },
	{ "limits", "queue-messages", KEY_NUMBER, AT(limits.queue_messages), "1000000", 1, MAX32 },
	{ "limits", "free-space", KEY_SIZE64, AT(limits.free_space), "200M", 0, 1ULL << 50 },

	{ "domain", "dkim", KEY_LIST },

	{ "account", "senders", KEY_LIST },
	{ "account", "rate", KEY_OTHER },
	{ "account", "stream", KEY_OTHER },
	{ "account", "tls-floor", KEY_OTHER },

	{ "partner", "tls", KEY_OTHER },
	{ "partner", "mx", KEY_LIST },
	{ "partner", "ca", KEY_OTHER },
	{ "partner", "fingerprint", KEY_LIST },
	{ "partner", "public-key", KEY_LIST },
	{ "partner", "mode", KEY_OTHER },
	{ "partner.exception", "until", KEY_OTHER },
	{ "partner.exception", "tls", KEY_OTHER },
	{ "partner.exception", "reason", KEY_OTHER },

	{ "route", "host", KEY_OTHER },
	{ "route", "port", KEY_OTHER },
	{ "route", "tls", KEY_OTHER },
	{ "route", "login", KEY_OTHER },

	{ "tls-reports", "send", KEY_OTHER },
	{ "tls-reports", "domains", KEY_LIST },
	{ "tls-reports", "from", KEY_OTHER },
	{ "tls-reports", "organization", KEY_TEXT, AT(tlsrpt.organization) },
	{ "tls-reports", "contact", KEY_OTHER },
};
const size_t n_keys = sizeof keys / sizeof keys[0];

const struct section sections[] = {
	{ "listen", SECTION_MANY, "listen { ... }" },
	{ "tls", SECTION_ONE, "tls { ... }" },
	{ "dns", SECTION_ONE, "dns { ... }" },
	{ "dns.stub", SECTION_NAMED, "stub ZONE { ... }" },
	{ "delivery", SECTION_ONE, "delivery { ... }" },
	{ "retry", SECTION_ONE, "retry { ... }" },
	{ "limits", SECTION_ONE, "limits { ... }" },
	{ "domain", SECTION_NAMED, "domain NAME { ... }" },
	{ "account", SECTION_NAMED, "account NAME { ... }" },
	{ "partner", SECTION_NAMED, "partner DOMAIN { ... }" },
	{ "partner.exception", SECTION_OPTIONAL, "exception { ... }" },
	{ "route", SECTION_NAMED, "route DOMAIN { ... }" },
	{ "tls-reports", SECTION_ONE, "tls-reports { ... }" },
};
const size_t n_sections = sizeof sections / sizeof sections[0];

static void note_home(const char **home, size_t *n, const char *section, size_t n_section);
static cfg_opt_t *create_table(const char *section, cfg_callback_t take);
static const char *name_within(const char *section, const char *outer);
static const char *last_word(const char *section);

const char *keys_home(const char *name)
{
	const char *home = NULL;
	size_t n = 0;

	for (size_t i = 0; i < n_keys; i++) {
		if (strcmp(keys[i].name, name) == 0)
			note_home(&home, &n, keys[i].section, strlen(keys[i].section));
	}
	for (size_t i = 0; i < n_sections; i++) {
		const char *word = last_word(sections[i].name);

		if (strcmp(word, name) == 0)
			note_home(&home, &n, sections[i].name,
			    word == sections[i].name ? 0 : (size_t)(word - sections[i].name) - 1);
	}
	return n == 1 ? home : NULL;
}

/* section: its first n_section letters are the name of the one that knows it. */
static void note_home(const char **home, size_t *n, const char *section, size_t n_section)
{
	++*n;
	*home = "";
	for (size_t i = 0; i < n_sections; i++) {
		if (strlen(sections[i].name) == n_section &&
		    strncmp(sections[i].name, section, n_section) == 0)
			*home = last_word(sections[i].name);
	}
}

cfg_opt_t *keys_create_options(cfg_callback_t take)
{
	return create_table("", take);
}

static cfg_opt_t *create_table(const char *section, cfg_callback_t take)
{
	cfg_opt_t *table = mem_create((n_keys + n_sections + 1) * sizeof *table);
	size_t n = 0;

	for (size_t i = 0; i < n_keys; i++) {
		if (strcmp(keys[i].section, section) != 0)
			continue;
		table[n].name = keys[i].name;
		table[n].type = CFGT_PTR;
		table[n].flags = keys[i].kind == KEY_LIST ? CFGF_LIST : CFGF_NONE;
		table[n].parsecb = take;
		table[n++].freecb = free;
	}
	for (size_t i = 0; i < n_sections; i++) {
		const char *name = name_within(sections[i].name, section);

		if (name == NULL)
			continue;
		table[n].name = name;
		table[n].type = CFGT_SEC;
		if (sections[i].kind == SECTION_OPTIONAL)
			table[n].flags = CFGF_NODEFAULT;
		if (sections[i].kind == SECTION_MANY)
			table[n].flags = CFGF_MULTI;
		if (sections[i].kind == SECTION_NAMED)
			table[n].flags = CFGF_MULTI | CFGF_TITLE;
		table[n++].subopts = create_table(sections[i].name, take);
	}
	return table; /* ended by zeros, as libconfuse's CFG_END() */
}

/* "stub" for "dns.stub" in "dns"; NULL if the section stands elsewhere. */
static const char *name_within(const char *section, const char *outer)
{
	const char *dot = strchr(section, '.');
	size_t n = dot == NULL ? 0 : (size_t)(dot - section);

	if (strlen(outer) != n || strncmp(section, outer, n) != 0)
		return NULL;
	return dot == NULL ? section : dot + 1;
}

static const char *last_word(const char *section)
{
	const char *dot = strrchr(section, '.');

	return dot == NULL ? section : dot + 1;
}

void keys_destroy_options(cfg_opt_t **options)
{
	if (*options == NULL)
		return;
	for (cfg_opt_t *o = *options; o->name != NULL; o++)
		keys_destroy_options(&o->subopts);
	free(*options);
	*options = NULL;
}
