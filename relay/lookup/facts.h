/*
 * What the DNS says about delivering to one domain: its MX hosts, their addresses, their TLSA
 * records (RFC 7672 2), and how much of it is secure. Facts only: what follows from them is decided
 * in relay/route.c. They travel from the lookup role to the deliveries as bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/lookup/answer.h"
#include "relay/lookup/resolver.h"
#include "relay/lookup/sts.h"
#include "relay/net/loop.h"

enum {
	FACTS_HOSTS_MAX = 20,
	FACTS_ADDRESSES_MAX = 2 * ANSWER_ADDRESSES_MAX,
	FACTS_ENCODED_MAX = 512 * 1024, /* no facts are longer as bytes */

	/*
	 * Asked about at once, best preference first, which is two questions for each: a domain whose
	 * servers do not answer holds no more of the resolver's places than that, whatever it publishes.
	 */
	FACTS_HOSTS_AT_ONCE = 5,
	FACTS_TIME_MS = 80000, /* for all; what has no answer by then has failed */
};

struct facts_host {
	char name[DOMAIN_MAX]; /* as the MX record says it */
	uint16_t preference;
	enum mx_kind kind; /* nothing was asked about anything but MX_HOST */

	struct finding ipv4, ipv6; /* one may fail and the other serve */
	struct answer_address addresses[FACTS_ADDRESSES_MAX];
	size_t n_addresses;
	char expanded[DOMAIN_MAX]; /* the end of the CNAME chain; name without one */

	/*
	 * The TLSA records of the delivery port under tlsa_base: the expanded name if the chain to it is secure
	 * and it has some, else the name. Not asked where the addresses aren't secure (RFC 7672 2.2.2);
	 * one family that is suffices, since it shows the zone to be signed, and what is found holds for
	 * the addresses of both. An error at the first name is the finding: the second isn't asked then.
	 */
	struct finding tlsa;
	char tlsa_base[DOMAIN_MAX]; /* "" if not asked */
	struct tlsa_record *records;
	size_t n_records;
	size_t n_malformed; /* published too, but not even records */
};

struct facts {
	char domain[DOMAIN_MAX];
	struct finding mx;
	char expanded[DOMAIN_MAX]; /* of the domain itself, if it is a CNAME */
	bool null_mx;              /* the only MX is ".", RFC 7505: there are no hosts */
	bool implicit_mx;          /* no MX: the domain is its own host, RFC 5321 5.1 */
	bool is_host;              /* no MX was asked for: domain is the host that was named */
	bool is_impaired; /* the resolver does not validate: nothing here is secure, and some of it
			   * may be so only because of that */
	bool sts_asked;
	struct sts_finding sts;   /* of the domain; not asked for a host */
	struct facts_host *hosts; /* best preference first; equals as they came; none twice */
	size_t n_hosts;
	uint32_t ttl_s; /* the facts are good for so long: at most a day, 0 if something failed */
};

struct gathering;

/* The facts are the gathering's own; both are gone when this returns. */
typedef void facts_done(const struct facts *facts, void *arg);

/* What to ask about, and whom. All of it is copied. */
struct facts_order {
	struct loop *loop;
	struct resolver *resolver; /* while is_impaired: one that validates nothing */
	struct sts *sts;           /* NULL: MTA-STS is not asked for */
	const char *domain;        /* canonical; with is_host a host's name, or a numeric address */
	bool is_host;              /* the operator named it: no MX, no MTA-STS */
	bool is_impaired;
	uint16_t port; /* TLSA records of _port._tcp; 25, but for tests and submission next hops */
	int64_t time_ms; /* for tests; 0: FACTS_TIME_MS */
};

/*
 * Asks all there is to ask, as much at once as its share of the resolver allows, and nothing about a
 * numeric address. done is called exactly once, never from inside this, and after FACTS_TIME_MS at the
 * latest.
 */
struct gathering *facts_gather(const struct facts_order *order, facts_done *done, void *arg);

/* No callback any more; sets *gathering to NULL, and NULL is nothing. */
void facts_cancel(struct gathering **gathering);

void facts_finish(struct facts *facts);

/* Into a buffer with room for FACTS_ENCODED_MAX more. */
void facts_encode(const struct facts *facts, struct buffer *out);

/* False, with nothing to finish, unless the bytes are exactly what facts_encode() could write. */
bool facts_decode(const void *bytes, size_t n, struct facts *facts);
