/*
 * Where an intake puts messages down before they are committed: the segment that is its own for
 * small messages, and one more for each large one. The queue makes segments and sends their
 * descriptors; an intake can open nothing. Bytes put down are in the kernel's care only: the commit
 * makes them durable.
 */
#pragma once

#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"
#include "relay/ipc/asker.h"
#include "relay/message.h"

struct shelf;

enum { SHELF_SEGMENT_SIZE = 64 << 20 }; /* past this an intake asks for a new segment */

struct shelf *shelf_create(struct asker *queue);
void shelf_destroy(struct shelf **shelf);

/* A file to append to, by one writer. */
struct shelf_place {
	uint64_t segment;
	int fd;
	uint64_t size; /* where the next byte will stand */
};

struct shelf_request;

typedef void shelf_found(void *arg, const struct outcome *outcome, struct shelf_place *place);

/* The segment for small messages, if there is one now; otherwise it is to be asked for. */
struct shelf_place *shelf_shared(struct shelf *shelf);

/*
 * Asks for a segment: the shared one (size_bytes 0; then the place is the shelf's), or one for a
 * large message (the callee closes place->fd). found is called once, from the loop, with place NULL
 * unless outcome is ok; the request is gone then.
 */
struct shelf_request *shelf_ask(
    struct shelf *shelf, uint64_t size_bytes, shelf_found *found, void *arg);

/* No callback; a segment that comes all the same is given back. Accepts NULL. */
void shelf_cancel(struct shelf_request **request);

/* Nothing more will be appended to it by us. */
void shelf_give_back(struct shelf *shelf, uint64_t segment);

/* The shared segment is not to be trusted (a write or a sync failed): the next find asks anew. */
void shelf_drop(struct shelf *shelf, uint64_t segment);

/*
 * Appends pieces, all or an outcome: 452 4.3.1 [disk-full], 451 4.3.0 [disk-error]. *at grows by
 * them: begin with zeros; nothing else may be appended in between. What a failed write left behind
 * is never referred to.
 */
bool shelf_append(struct shelf_place *place, const struct slice *pieces, size_t n_pieces,
    struct extent *at, struct outcome *why);
