/*
 * A client and a server of ours on two ends of a socketpair, and as many turns as they need.
 */
#pragma once

#include "tls/session.h"

struct meeting {
	int fd[2]; /* client, server */
	struct tls_session *client, *server;
};

/* Creates both; server_context may be NULL for a peer that the test plays itself on fd[1]. */
void meet(struct meeting *m, struct tls_context *client, struct tls_context *server,
    const struct tls_requirement *requirement);

/* The same with a name for the server: sessions with it may be resumed. */
void meet_peer(struct meeting *m, struct tls_context *client, struct tls_context *server,
    const struct tls_requirement *requirement, const char *peer);

/* Both handshakes until the client's is over; returns its last step. */
enum tls_step meet_shake(struct meeting *m);

void meet_finish(struct meeting *m);
