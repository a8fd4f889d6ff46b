/*
 * Questions to the DNS, answered with DNSSEC validated in this process: libunbound in our own event
 * loop, with its cache. Equal questions on their way are asked once. Nothing here reads
 * /etc/resolv.conf or /etc/hosts: forwarders and stub zones are what the configuration says, and
 * without forwarders names are resolved from the root.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/lookup/answer.h"
#include "relay/net/loop.h"

struct resolver;
struct query;

enum {
	RESOLVER_TIMEOUT_MS = 30000, /* of a question, whatever the servers do meanwhile */

	/*
	 * Different questions on their way; others wait their turn. One that is slow gives its place
	 * up to the next, so that servers that do not answer delay nobody else, until there are too many
	 * of them.
	 */
	RESOLVER_IN_FLIGHT_MAX = 500,
	RESOLVER_SLOW_MS = 2000,
	RESOLVER_SLOW_MAX = 1500,
};

/* The answer is the resolver's own and gone when this returns. */
typedef void resolver_done(const struct answer *answer, void *arg);

/*
 * Uses config->dns_forwarders, dns_stubs and dns_trust_anchor (NULL: nothing is secure), and only
 * now. Both loop and error (room bytes) are the caller's. NULL with a text in error if the trust
 * anchor can't be read or an address isn't one.
 */
struct resolver *resolver_create(
    struct loop *loop, const struct config *config, char *error, size_t room);

/* Whether there was a trust anchor: without one nothing it finds is secure. */
bool resolver_validates(const struct resolver *resolver);

/*
 * Another, that asks the same servers and has nothing in its cache yet. With validates it believes the
 * trust anchor that like read; without, nobody, and nothing it finds is secure. Opens no file.
 */
struct resolver *resolver_create_like(const struct resolver *like, const struct config *config,
    bool validates, char *error, size_t room);

/* Drops what is on its way without a callback. Not from inside a callback. */
void resolver_destroy(struct resolver **resolver);

/* For tests: how long a question may take from now on. */
void resolver_set_timeout(struct resolver *resolver, int64_t timeout_ms);

/*
 * Asks for name, which is canonical or has a service prefix. done is called exactly once, never
 * from inside this, at the latest after the timeout; *query is the caller's until then.
 */
struct query *resolver_start(struct resolver *resolver, const char *name, enum record_type type,
    resolver_done *done, void *arg);

/* No callback any more; sets *query to NULL, and NULL is nothing. */
void query_cancel(struct query **query);
