/*
 * From the addresses of one host to a connection that is as safe as the plan demands, on which mail
 * may go: connect, greeting, EHLO, STARTTLS, EHLO once more, our login where the plan has one. Sends
 * nothing of a message.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "relay/base/outcome.h"
#include "relay/connection.h"
#include "relay/dialogue.h"
#include "relay/ipc/asker.h"
#include "relay/net/loop.h"
#include "relay/outcome.h"
#include "relay/plan.h"
#include "tls/context.h"

struct approach;

/* All of it is the caller's and stays until done. */
struct approach_order {
	struct loop *loop;
	const struct config *config;
	struct tls_context *tls;
	struct asker *auth; /* for our login, where the plan has one */
	const struct patience *patience;
	const struct plan *plan;
	const struct plan_host *host; /* of the plan */
	size_t address;               /* the first to try, then those after it */
	const char *message_id;       /* for the log */
	bool has_waited;              /* the message was deferred before */
	bool hurries;                 /* no longer to connect than patience->hurried_ms */
};

struct approach_result {
	/* The callee's; NULL if none of the addresses could be connected. Ready if outcome is ok. */
	struct connection *connection;
	size_t at;                  /* the address it leads to; n_addresses without one */
	char peer[OUTCOME_WHO_MAX]; /* "mx.example[192.0.2.1]:25", the last tried */
	struct outcome outcome;     /* ok, or the trouble */
	enum point point;           /* where that was */
	bool is_over;               /* nothing more can be said to it, not even QUIT */
	struct outcome without_tls; /* not ok: the trouble with TLS that made it plaintext */
};

/* The stream's calls are nobody's then. */
typedef void approach_done(const struct approach_result *result, void *arg);

/* done is called once, never from inside; the approach is gone then. */
struct approach *approach_start(const struct approach_order *order, approach_done *done, void *arg);

/* done is not called. Accepts NULL. */
void approach_cancel(struct approach **approach);
