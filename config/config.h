/*
 * What the operator wrote, checked and complete: every default is filled in, every name canonical,
 * every path absolute. Made once by config_load() and never changed; a reload makes another.
 * Reads files, resolves nothing, opens nothing but the configuration itself and checks that the
 * files it names are there.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/tls_level.h"

struct config_listen {
	char *address; /* numeric IPv4 or IPv6 */
	uint16_t port;
	bool implicit_tls; /* RFC 8314 3.3, as on 465; otherwise STARTTLS is required */
};

struct config_stub {
	char *zone;
	char *server; /* "address@port" */
};

struct config_domain {
	char *name; /* canonical */
	char **selectors;
	size_t n_selectors;
};

enum config_stream { STREAM_ORDINARY, STREAM_BULK };

struct config_account {
	char *name;     /* the login, lower case */
	char **senders; /* "local@domain" or "@domain", domains canonical; local part as written */
	size_t n_senders;
	enum config_stream stream;
	uint32_t rate_per_hour; /* 0: none written */
};

struct config_partner {
	char *name; /* canonical; with a leading dot: its subdomains, and not itself */
	enum tls_level level;
	char *
	    *mx; /* host names or "*.name" patterns that the MX must match; also names to verify */
	size_t n_mx;
	char *ca_file;       /* NULL: the delivery's own */
	char **fingerprints; /* SHA-256 of certificates, 64 hex digits lower case */
	size_t n_fingerprints;
};

/* What a session may use before it is refused. Each has a key of the same name under limits. */
struct config_limits {
	uint64_t message_size;        /* bytes; 25 MB */
	uint32_t header_size;         /* bytes; 102400 */
	uint32_t header_fields;       /* 1000 */
	uint32_t line_length;         /* bytes of content between CRLFs; 998 */
	uint32_t recipients;          /* per message; 1000 */
	uint32_t sessions;            /* at once, per intake; 500 */
	uint32_t sessions_per_client; /* at once, per address and intake; 50 */
	uint32_t errors;              /* bad commands before 421; 20 */
	uint32_t auth_failures;       /* per session before 421; 3 */
	uint32_t command_timeout;     /* seconds; 300 */
	uint32_t data_timeout;   /* seconds; 3600, for the whole of DATA besides the least rate */
	uint32_t data_rate;      /* bytes a second at least, measured over a minute; 500 */
	uint32_t queue_messages; /* messages kept; 1,000,000 */
	uint64_t free_space;     /* bytes to leave on the disk; 200 MB */
};

struct config_delivery {
	uint16_t port;            /* 25 */
	char *ca_file;            /* /etc/ssl/certs/ca-certificates.crt */
	enum tls_level tls;       /* for everybody without a rule: may, or dane (the default) */
	bool allow_loopback;      /* MX at 127.0.0.0/8 or ::1; off */
	bool ipv4, ipv6;          /* both on */
	uint32_t connect_timeout; /* seconds per address; 30 */
	uint32_t connections;     /* deliveries at once, per delivery process; 100 */
	uint32_t connections_per_domain; /* 20 */
	uint32_t recipients;             /* per transaction; 100 */
};

struct config_retry {
	uint32_t first;       /* seconds; 300 */
	uint32_t longest;     /* seconds; 3600 */
	uint32_t expire;      /* seconds; 5 days */
	uint32_t expire_bulk; /* seconds; 2 days */
};

struct config {
	char *path;      /* of the file itself, absolute */
	char *hostname;  /* canonical; what we call ourselves in banner, EHLO, Received */
	char *user;      /* to drop root to; "zegel" */
	char *spool;     /* directory; /var/lib/zegel */
	char *control;   /* socket; SPOOL/control */
	char *log;       /* "syslog", "stderr" or a path; syslog */
	char *passwords; /* file of verifiers; beside the configuration: passwords */
	char *dkim_keys; /* directory; beside the configuration: dkim */
	char *tls_certificate, *tls_key;
	uint32_t processes; /* intakes, and deliveries; 0 written: one per core */

	struct config_listen *listens; /* 587 STARTTLS and 465 implicit on every address */
	size_t n_listens;

	char **dns_forwarders; /* "address@port"; none: we resolve from the root ourselves */
	size_t n_dns_forwarders;
	struct config_stub *dns_stubs;
	size_t n_dns_stubs;
	char *dns_trust_anchor; /* file; /usr/share/dns/root.key */

	struct config_domain *domains; /* sorted by name */
	size_t n_domains;
	struct config_account *accounts; /* sorted by name */
	size_t n_accounts;
	struct config_partner *partners;
	size_t n_partners;

	struct config_limits limits;
	struct config_delivery delivery;
	struct config_retry retry;
};

/* One thing to tell the operator: "FILE:LINE: what, and what was meant". */
struct config_remarks {
	char **texts;
	size_t n;
	size_t n_errors; /* the others are warnings */
};

/*
 * Reads and checks everything, and goes on after a mistake so that all are told at once.
 * NULL if there were errors. The caller owns both results.
 */
struct config *config_load(const char *path, struct config_remarks *remarks);

/*
 * The same for commands that help to write it: what could be read, even if there were errors. Then
 * only user, spool, control, log, passwords and dkim_keys are sure to be there. NULL if there is no
 * such file or it cannot be read.
 */
struct config *config_load_unfinished(const char *path, struct config_remarks *remarks);

void config_destroy(struct config **config);
void config_remarks_finish(struct config_remarks *remarks);

/* NULL if there is none. name is canonical (domains), lower case (accounts). */
const struct config_domain *config_find_domain(const struct config *config, const char *name);
const struct config_account *config_find_account(const struct config *config, const char *name);

/* The rule for a recipient domain: the exact name first, then the longest ".parent". */
const struct config_partner *config_find_partner(const struct config *config, const char *domain);
