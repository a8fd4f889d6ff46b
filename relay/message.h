/*
 * A message in our care: who sent it to whom, where its bytes lie, and what became of each
 * recipient. These are the shapes that submit, spool, schedule, attempt, report and bounce share.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/base/queue_id.h"
#include "relay/base/tls_level.h"

/* A run of bytes in a segment of the spool, with the CRC-32 that proves it whole. */
struct extent {
	uint64_t offset;
	uint64_t length;
	uint32_t checksum;
};

struct message {
	char id[QUEUE_ID_MAX];
	uint64_t segment;     /* number of the segment that holds both extents */
	struct extent header; /* the final header block with its empty line */
	struct extent body;   /* both CRLF throughout, not dot-stuffed */
	char *sender;         /* "" for a notification */
	char *account;        /* who logged in; "" for our own mail */
	char *
	    from_domain; /* of From:, whose key sealed it; the notification is sealed with it too */
	char *message_id;  /* for logs */
	int64_t arrived_s; /* wall clock */
	int64_t expires_s; /* wall clock */
	bool is_8bit;      /* the body has bytes above 127 */
	bool is_bulk;      /* of an account with stream = bulk */
	bool requires_tls; /* MAIL FROM had REQUIRETLS (RFC 8689 2) */
	bool tls_optional; /* its header has TLS-Required: No (RFC 8689 3), and not requires_tls */
	bool is_report;    /* our own TLS report: never itself the subject of one (RFC 8460 3) */
	enum tls_level
	    tls_floor; /* of the account when it was accepted: what it is held to should the
				   * account be no more */
	char **recipients;
	size_t n_recipients;
};

/* Frees what it owns, not itself; finishing twice is harmless. */
void message_finish(struct message *m);

/* A deep copy into memory that holds no message yet; texts that are NULL become "". */
void message_copy(struct message *to, const struct message *from);

enum recipient_state {
	RECIPIENT_WAITING,
	RECIPIENT_DELIVERED,
	RECIPIENT_FAILED,
};

/* What an attempt brought for one recipient, as outcome.c decided it. */
struct recipient_result {
	uint32_t recipient;         /* its place in the message */
	enum recipient_state state; /* waiting: deferred */
	struct outcome outcome;
};
