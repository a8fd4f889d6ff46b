/*
 * One submission session, as its two files share it: submit.c serves it, submit_login.c asks auth who
 * it is. Private to them.
 */
#pragma once

#include <stdint.h>
#include <sys/queue.h>

#include "relay/net/peer.h"
#include "relay/net/stream.h"
#include "relay/submit.h"
#include "smtp/server.h"

enum { MECHANISM_MAX = 32 };

/* What a session waits for, other than more input. */
enum busy { BUSY_NOT, BUSY_TLS, BUSY_AUTH, BUSY_AUTH_DELAY, BUSY_CONTENT, BUSY_ACCEPT };

struct submit {
	TAILQ_ENTRY(submit) link;
	struct submit_house *house;
	struct stream *stream; /* NULL once the client is gone while a commit is under way */
	struct smtp_server *smtp;
	char client[PEER_ADDRESS_MAX];        /* its address */
	const struct config_account *account; /* NULL until the login */
	struct accept *accept;
	struct timer *deadline, *delay;
	enum busy busy;

	uint64_t auth_question, auth_peer, auth_exchange;
	char auth_mechanism[MECHANISM_MAX];

	size_t recipients_weight; /* of the present transaction, by accept_weight() */
	int64_t content_began_ms; /* of the present DATA */
	uint64_t received_before; /* at the last rate check */
};

/* Goes on with what the client has sent, once nothing is waited for. */
void submit_serve(struct submit *s);

/* The protocol wants a login: one question of the exchange goes to auth. */
void submit_ask_login(struct submit *s);

/* The exchange ends here; auth need not remember it. */
void submit_forget_login(struct submit *s);

/* The wait after a failed login is over: 535. The call of s->delay. */
void submit_refuse_login(void *session);
