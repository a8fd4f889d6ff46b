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

enum { CONFIG_REASON_MAX = 160 }; /* bytes */

/* What a partner gets for a while, instead of what its rule says. Gone by itself at until_s. */
struct config_exception {
	int64_t until_s; /* wall clock; "2026-12-01" is its first second, UTC */
	enum tls_level level;
	char *reason; /* never empty, at most CONFIG_REASON_MAX */
};

struct config_account {
	char *name;     /* the login, lower case */
	char **senders; /* "local@domain" or "@domain", domains canonical; local part as written */
	size_t n_senders;
	enum config_stream stream;
	uint32_t rate_per_hour;   /* 0: none written */
	enum tls_level tls_floor; /* none (not written), encrypt, verify or dane-only */
};

enum { CONFIG_PARTNER_CAS_MAX = 16 };

struct config_certificate {
	uint8_t *der;
	size_t n;
};

struct config_partner {
	char *name; /* canonical; with a leading dot: its subdomains, and not itself */
	enum tls_level level;
	char *
	    *mx; /* host names or "*.name" patterns that the MX must match; also names to verify */
	size_t n_mx;
	char *ca_file;                  /* NULL: the delivery's own */
	struct config_certificate *cas; /* what is in ca_file; at most CONFIG_PARTNER_CAS_MAX */
	size_t n_cas;
	char **fingerprints; /* SHA-256 of certificates, 64 hex digits lower case */
	size_t n_fingerprints;
	char **public_keys; /* SHA-256 of their public keys (SubjectPublicKeyInfo), likewise */
	size_t n_public_keys;
	bool observe; /* mode = observe: the rule is judged and told, and not enforced */
	struct config_exception *exception; /* NULL: none is written; it may be over */
};

/* A next hop the operator wrote: instead of the MX of a domain, or of all. */
struct config_route {
	char *domain; /* canonical; ".x": its subdomains; "*": all without a route of their own */
	char *host;   /* canonical name, or a numeric address */
	bool is_address;
	uint16_t port;        /* 25; with a login 587 */
	enum tls_level level; /* encrypt (the default), may, verify, dane, dane-only; with a login
			       * verify (the default), dane-only, encrypt */
	char *login;          /* whose password is in config->route_passwords; NULL: none */
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
	bool allow_private;       /* policy hosts and report URLs at private addresses; off */
	bool ipv4, ipv6;          /* both on */
	uint32_t connect_timeout; /* seconds per address; 30 */
	uint32_t connections;     /* deliveries at once, per delivery process; 100 */
	uint32_t connections_per_domain; /* 20 */
	uint32_t recipients;             /* per transaction; 100 */
	enum tls_level dane_insecure_mx; /* of hosts with TLSA that insecure MX records name: may
					  * (the default), encrypt, dane; as Postfix's
					  * smtp_tls_dane_insecure_mx_policy */
	bool mta_sts;                    /* on */
	uint16_t mta_sts_port;           /* 443 */
	uint32_t idle_connections;       /* kept for the next message, per delivery process; 50 */
	uint32_t idle_timeout;           /* seconds a connection is kept idle; 5 */
	uint32_t connection_age;         /* seconds; then it gets no further message; 300 */
	uint32_t connection_messages;    /* 500 */
};

/* RFC 8460: to which recipient domains reports go, if they ask for them. */
enum config_tlsrpt_scope { TLSRPT_OFF, TLSRPT_LISTED, TLSRPT_ALL };

struct config_tlsrpt {
	enum config_tlsrpt_scope scope; /* send = off (the default), listed, all */
	char **domains;                 /* for listed; canonical */
	size_t n_domains;
	char *from;         /* "tls-reports@example.org": of a domain of ours, whose key signs */
	char *organization; /* "organization-name"; the hostname */
	char *contact;      /* "contact-info"; from */
};

struct config_dns_check {
	char *signed_name;    /* "internet.nl"; "" for each: do not ask */
	char *broken_name;    /* "dnssec-failed.org" */
	char *unsigned_name;  /* "google.com" */
	uint32_t every_ms;    /* an hour */
	uint32_t patience_ms; /* mail waits so long where DNSSEC has worked before; 4 hours */
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
	struct config_dns_check dns_check;
	bool dns_defer_impaired; /* when-impaired = defer */
	bool dns_forgive_loss; /* when-impaired = opportunistic, and written: then DANE is given up
				  * also where DNSSEC has worked before */

	struct config_domain *domains; /* sorted by name */
	size_t n_domains;
	struct config_account *accounts; /* sorted by name */
	size_t n_accounts;
	struct config_partner *partners;
	size_t n_partners;
	struct config_route *routes;
	size_t n_routes;
	char *route_passwords; /* file; beside the configuration: route-passwords. Lines "LOGIN
				* PASSWORD"; only the auth role and zegel check read it */

	struct config_limits limits;
	struct config_delivery delivery;
	struct config_retry retry;
	struct config_tlsrpt tlsrpt;
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
 * The same for commands that help to write it: what could be read, in order, even if there were
 * errors. Then only user, spool, control, log, passwords and dkim_keys are sure to be there. NULL if
 * there is no such file or it cannot be read.
 */
struct config *config_load_unfinished(const char *path, struct config_remarks *remarks);

void config_destroy(struct config **config);
void config_remarks_finish(struct config_remarks *remarks);

/* NULL if there is none. name is canonical (domains), lower case (accounts). */
const struct config_domain *config_find_domain(const struct config *config, const char *name);
const struct config_account *config_find_account(const struct config *config, const char *name);

/* The rule for a recipient domain: the exact name first, then the longest ".parent". */
const struct config_partner *config_find_partner(const struct config *config, const char *domain);

/* The same for next hops; "*" last. */
const struct config_route *config_find_route(const struct config *config, const char *domain);

/* The exception of a partner's rule that is in force at that time, or NULL. */
const struct config_exception *config_exception_at(
    const struct config_partner *partner, int64_t now_s);
