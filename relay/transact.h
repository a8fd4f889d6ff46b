/*
 * One message over one stream that is as safe as it must be: MAIL, RCPT, DATA (RFC 5321 3.3) in as
 * few round trips as the server allows (RFC 2920), the content streamed from the spool. Several
 * recipients travel in one transaction, and each gets its own outcome.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "relay/dialogue.h"
#include "relay/message.h"
#include "relay/net/loop.h"
#include "relay/net/stream.h"
#include "relay/outcome.h"
#include "smtp/capability.h"

struct transact;

/* All of it is the caller's and stays until done. */
struct transact_order {
	struct loop *loop;
	struct stream *stream;
	const char *peer; /* "mx.example[192.0.2.1]:25" */
	const struct smtp_capability *can;
	const struct patience *patience;
	const struct message *message;
	int fd;                   /* of its segment */
	const size_t *recipients; /* their places in message->recipients; at least one */
	size_t n_recipients;
	bool reset_first;  /* the transaction before was left open */
	bool is_reused;    /* the stream was kept from another message */
	bool requires_tls; /* MAIL says REQUIRETLS (RFC 8689 4.2), which can must offer */
};

struct transact_verdict {
	bool is_settled; /* otherwise: for another transaction, or another address */
	struct outcome outcome;
};

struct transact_result {
	const struct transact_verdict *verdicts; /* one for each recipient of the order */
	size_t n_verdicts;
	bool is_over;           /* nothing more can be said on the stream */
	bool is_stale;          /* a stream that was kept is no good any more, but for QUIT */
	bool left_open;         /* RSET must come before another MAIL */
	enum point point;       /* if it is over or stale: where */
	struct outcome trouble; /* and why */
};

/* The stream's calls are nobody's then. */
typedef void transact_done(const struct transact_result *result, void *arg);

/* done is called once, never from inside; the transaction is gone then. */
struct transact *transact_start(const struct transact_order *order, transact_done *done, void *arg);

/* Has the server been told any of the content? Before, it can be cancelled and nothing was sent. */
bool transact_has_begun_content(const struct transact *transact);

/* done is not called; the stream must be destroyed after it. Accepts NULL. */
void transact_cancel(struct transact **transact);
