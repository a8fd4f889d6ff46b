/*
 * The queue's dealings with the lookup role: it hands each that comes the MTA-STS policies that are
 * kept, keeps what they fetch, and remembers what they say of the resolver (that DNSSEC has worked
 * here, for good: dnssec_mark.h). Lives in the queue role.
 */
#pragma once

#include "relay/ipc/asker.h"
#include "relay/lookup/contract.h"
#include "relay/net/loop.h"
#include "relay/spool.h"

struct queue_lookup;

/* directory: of the spool; the text is the caller's, and stays. */
struct queue_lookup *queue_lookup_create(
    struct loop *loop, struct spool *spool, const char *directory);

/* After the spool is closed, whose callbacks run into it. */
void queue_lookup_destroy(struct queue_lookup **lookup);

/* A lookup process; takes the channel over. */
void queue_lookup_meet(struct queue_lookup *lookup, struct channel *channel);

/* What was heard last; unknown before. */
const struct contract_verdict *queue_lookup_resolver(const struct queue_lookup *lookup);

/* For questions: TEXTS_ASK and POST_ASK. */
struct asker *queue_lookup_asker(struct queue_lookup *lookup);
