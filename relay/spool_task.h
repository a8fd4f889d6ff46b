/*
 * Work for the spool's writer whose meaning is in a file of its own (spool_policies.c,
 * spool_tlsrpt.c): what it does with the database runs in the writer's thread, its answer in the
 * loop's. Private to the spool.
 */
#pragma once

#include "relay/spool_request.h"
#include "relay/spool_store.h"

struct task_calls {
	/* In the turn's transaction; when the disk fails it waits, and runs again from the start. */
	bool changes;

	/* The writer's thread. 0, or -1 when the database failed. */
	int (*run)(struct store *store, struct spool_request *request);

	/* The loop's thread; may be NULL. With has_more it runs again after this. */
	void (*answer)(struct spool_request *request);

	/* Frees work. */
	void (*finish)(void *work);
};

/* Takes work over; message, if not NULL, is part of it, and its bytes are synced first. */
void spool_ask(
    struct spool *spool, const struct task_calls *calls, void *work, struct message *message);
