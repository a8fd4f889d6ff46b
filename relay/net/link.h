/*
 * The lower half of a stream: a socket, in plaintext and later in TLS, that is asked to move bytes now
 * and says what came of it. Knows no loop and no owner, and keeps no bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "tls/session.h"

struct evbuffer;

enum link_phase {
	LINK_PLAIN,
	LINK_FLUSHING, /* the last plaintext goes out before the handshake */
	LINK_SHAKING,
	LINK_SECURE,
	LINK_BROKEN, /* nothing can be said any more */
};

enum link_result {
	LINK_MORE,      /* bytes were moved, and there may be more to move at once */
	LINK_DRY,       /* all was moved that can be for now; when reading, perhaps nothing */
	LINK_BLOCKED,   /* writing: the kernel takes no more for now */
	LINK_CLOSED,    /* reading: the peer said that this was all */
	LINK_TRUNCATED, /* reading: the connection ended, and the peer has not said so */
	LINK_FAILED,
};

struct link {
	int fd; /* its own */
	enum link_phase phase;
	struct tls_session *tls;                 /* NULL in plaintext */
	enum tls_step shake_wants;               /* while shaking: which of the two it waits for */
	bool read_wants_write, write_wants_read; /* TLS: rare, but legal */
	char why[OUTCOME_TEXT_MAX];              /* after CLOSED, TRUNCATED and FAILED */
};

void link_init(struct link *link, int fd);
void link_finish(struct link *link);

/* In plaintext. The link is flushing now; what it has to flush is the caller's. */
void link_start_tls_server(struct link *link, struct tls_context *context);
void link_start_tls_client(struct link *link, struct tls_context *context,
    const struct tls_requirement *requirement, const char *peer);

/* True when the handshake is over: the link is secure or broken, and outcome says which. */
bool link_shake(struct link *link, struct outcome *outcome);

/* Can bytes be moved? */
bool link_is_open(const struct link *link);

/* MORE, DRY, CLOSED, TRUNCATED or FAILED; in each of them *n bytes were read, at most room. */
enum link_result link_read(struct link *link, char *bytes, size_t room, size_t *n);

/* Drains what it sends. While flushing too. DRY, BLOCKED or FAILED. */
enum link_result link_write(struct link *link, struct evbuffer *out);

/* Says that nothing more will be sent. DRY or BLOCKED; a peer that has gone need not hear it. */
enum link_result link_say_goodbye(struct link *link);
