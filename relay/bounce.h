/*
 * The text of a delivery status notification: a multipart/report (RFC 6522) of a part for people, a
 * message/delivery-status (RFC 3464) and the header of the message it is about. It comes from
 * MAILER-DAEMON at the domain the message came from, so that the same key seals it and DMARC
 * aligns. 7 bit, CRLF, no line over 998 letters; what peers said is made printable.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"

struct message;

enum {
	BOUNCE_HEADER_MAX = 8 * 1024,      /* enough for the header buffer */
	BOUNCE_RECIPIENTS_MAX = 1000,      /* in the report; further ones are only counted */
	BOUNCE_ORIGINAL_MAX = 32 * 1024,   /* bytes of the original header that are returned */
	BOUNCE_BODY_MAX = 4 * 1024 * 1024, /* enough for the body buffer */
};

/* One recipient for whom nothing more will be tried. */
struct bounce_recipient {
	const char *address;
	struct outcome outcome; /* of the last attempt; a deferral when the message expired */
};

struct bounce_facts {
	const struct message *message; /* the one that was not delivered */
	const struct bounce_recipient *recipients;
	size_t n_recipients;   /* at least one */
	struct slice original; /* its header block as it was sent */
	const char *hostname;  /* ours */
	const char *queue_id;  /* a new one, of the notification */
	int64_t now_s;         /* wall clock */
};

/* Never for a message that has no sender: no notification about a notification (RFC 5321 6.1). */
bool bounce_is_due(const struct message *message);

/*
 * Appends the header block with its empty line to header, and the body to body. bounce_is_due() was
 * asked before. The envelope is the caller's: from <> to message->sender, from_domain that of the
 * message. False only if a buffer was given a smaller maximum than those above and is full.
 */
bool bounce_write(const struct bounce_facts *facts, struct buffer *header, struct buffer *body);
