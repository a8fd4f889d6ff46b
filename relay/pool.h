/*
 * The idle connections of a delivery process: kept after a message for the next one to the same host
 * and address, if what they have achieved covers what that one requires. Holds a few, for a short
 * while; a peer that closes or talks meanwhile is dropped at once. Knows no message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "relay/connection.h"
#include "relay/net/loop.h"
#include "relay/plan.h"

struct pool;

struct pool *pool_create(struct loop *loop, const struct config_delivery *config);

/* Closes what is idle at once; what parts goes on parting. Accepts NULL. */
void pool_destroy(struct pool **pool);

/*
 * A connection to one of the host's addresses, from number first on, that covers what the plan
 * requires of the host (connection_covers()): the caller's now, and *at the address it leads to. NULL
 * if there is none, or its server has just said something or gone. Of those used within the last second the one with the fewest messages, so that not
 * one after the other is used up while there is much to send; otherwise the one used last, so that those
 * there are too many of grow old.
 */
struct connection *pool_take(struct pool *pool, const struct plan *plan,
    const struct plan_host *host, size_t first, size_t *at);

/*
 * Keeps it for another message, if it is good for one: ready, in step with its server, not too old or
 * too often used. Otherwise, or if the pool is full (then with the one idle longest), QUIT.
 * *connection is NULL then. Nobody may be called by its stream any more.
 */
void pool_keep(struct pool *pool, struct connection **connection);

/*
 * QUIT, and the stream goes by itself, within PART_MS. RFC 5321 4.1.1.10 has us wait for 221 before
 * closing; what was delivered does not wait for that (D6).
 */
void pool_part(struct pool *pool, struct connection **connection);

/*
 * Nothing is kept from now on, and what is idle parts. quiet is called from the loop, each time when
 * the last of those that part has gone.
 */
void pool_stop(struct pool *pool, loop_call *quiet, void *arg);

/* None idle, none parting. */
bool pool_is_quiet(const struct pool *pool);
