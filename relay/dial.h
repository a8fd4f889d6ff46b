/*
 * From a host of the plan to a connected stream: its addresses one after the other, each with its
 * own time, so that a black hole on one costs that and no more.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/net/loop.h"
#include "relay/net/stream.h"
#include "relay/plan.h"

struct dial;

struct dial_result {
	struct stream *stream;      /* the callee's now; NULL if no address answered */
	char peer[OUTCOME_WHO_MAX]; /* "mx.example[192.0.2.1]:25": the one connected, or the last */
	size_t at;                  /* its place in host->addresses */
	struct outcome outcome;     /* ok, or 4.4.1 with all the addresses tried [connect] */
};

typedef void dial_done(const struct dial_result *result, void *arg);

/*
 * Tries host->addresses from number first on (0, or one behind a host that connected but was no
 * good). host is copied from. done is called once, never from inside; the dial is gone then.
 */
struct dial *dial_start(struct loop *loop, const struct plan_host *host, size_t first,
    int64_t timeout_ms_per_address, dial_done *done, void *arg);

/* done is not called. Accepts NULL. */
void dial_cancel(struct dial **dial);
