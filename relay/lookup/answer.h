/*
 * One answer of the DNS, taken out of its packet into plain records. Everything a packet can bring
 * is bounded here, and names that no mail host can have are told apart, so that what stands behind
 * this header never sees a raw name, a missing field or an endless list.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/domain.h"
#include "relay/lookup/security.h"
#include "tls/requirement.h"

enum {
	ANSWER_MX_MAX = 1000,      /* looked at; the facts keep fewer */
	ANSWER_ADDRESSES_MAX = 16, /* of one family */
	ANSWER_TLSA_MAX = 64,
	ANSWER_TLSA_BYTES_MAX = 16384, /* of all records of one name together */
	ANSWER_TEXTS_MAX = 100,        /* TXT records; all of them fit into a packet's 64 KB */
	ANSWER_LINKS_MAX = 10,         /* of a CNAME chain */
	ANSWER_TTL_MAX = 86400,        /* seconds */
	ANSWER_WHY_MAX = 160,
};

/* The numbers of the DNS (RFC 1035 3.2.2, 3.3.14, RFC 3596, RFC 6698). */
enum record_type {
	RECORD_A = 1,
	RECORD_CNAME = 5,
	RECORD_MX = 15,
	RECORD_TXT = 16,
	RECORD_AAAA = 28,
	RECORD_TLSA = 52,
};

/* X(symbol, word) */
#define ANSWER_STATUSES(X)                                                                         \
	X(ANSWER_NOT_ASKED, "not asked")                                                           \
	X(ANSWER_OK, "ok")                 /* records of the type asked for */                     \
	X(ANSWER_NODATA, "no data")        /* the name is there, such records are not */           \
	X(ANSWER_NXDOMAIN, "no such name") /* RFC 8020: nor anything below it */                   \
	X(ANSWER_BOGUS, "bogus") /* DNSSEC says that somebody changed it, or let it rot */         \
	X(ANSWER_ERROR, "error") /* SERVFAIL, REFUSED, timeout, a broken packet */

enum answer_status {
#define X(symbol, word) symbol,
	ANSWER_STATUSES(X)
#undef X
};

const char *answer_status_name(enum answer_status status);

/* What a question brought, without the records. */
struct finding {
	enum answer_status status;
	enum security security;
	char why[ANSWER_WHY_MAX]; /* printable; "" unless the status is bogus or error */
};

/* Did the DNS leave it open whether there are such records? */
bool finding_is_failure(const struct finding *finding);

enum mx_kind {
	MX_HOST,
	MX_NULL,    /* ".", RFC 7505 */
	MX_INVALID, /* an IPv4 address, or what no host name has; host is its printable form, cut */
};

struct mx_record {
	uint16_t preference;
	enum mx_kind kind;
	char host[DOMAIN_MAX]; /* lower case, without the last dot; "." for MX_NULL */
};

struct answer_address {
	uint8_t family;    /* 4 or 6 */
	uint8_t bytes[16]; /* network order; the first 4 of IPv4 */
};

struct answer {
	struct finding finding;
	char name[DOMAIN_MAX]; /* the end of the CNAME chain; the name asked for without one */
	size_t n_links;        /* CNAMEs followed */
	uint32_t ttl_s;        /* the least of all records used, RFC 2308 5 for a negative answer */

	/* At most one of these has anything in it: what was asked for. */
	struct mx_record *mx; /* in the packet's order */
	size_t n_mx;
	struct answer_address *addresses;
	size_t n_addresses;
	struct tlsa_record *tlsa; /* those of a known usage, selector and matching type first */
	size_t n_tlsa;
	size_t n_tlsa_malformed; /* shorter than their three numbers, RFC 6698 2.1 */
	char **texts;            /* of TXT records, each with its strings joined (RFC 7208 3.3) */
	size_t n_texts;
};

/*
 * Reads the packet that answers (name, type). Never fails: what can't be read is an answer whose
 * status is ANSWER_ERROR and whose why says what was wrong. name is canonical, or has a service
 * prefix as _25._tcp.mx.example. security is that of the whole packet. A NUL in a TXT record becomes
 * DEL, which means as little in all that is read from such records. answer_finish() it.
 */
void answer_read(const void *packet, size_t n_packet, const char *name, enum record_type type,
    enum security security, struct answer *answer);

/* An answer without a packet: why is made printable and cut. */
void answer_fail(struct answer *answer, enum answer_status status, const char *why);

void answer_finish(struct answer *answer);
