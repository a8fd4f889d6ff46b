/*
 * The people in the house: which roles there are, who talks to whom, and what each must offer to be
 * run as a process. A boundary is there because it buys a secret, a privilege or a core.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "relay/ipc/channel.h"
#include "relay/net/loop.h"

/* R(SYMBOL, name, tag in the log) */
#define ROLES(R)                                                                                   \
	R(INTAKE, intake, "smtpd")                                                                 \
	R(AUTH, auth, "saslauth")                                                                  \
	R(KEEPER, keeper, "keeper")                                                                \
	R(LOOKUP, lookup, "lookup")                                                                \
	R(DELIVERY, delivery, "smtp")                                                              \
	R(QUEUE, queue, "qmgr")

enum role {
#define R(SYMBOL, name, tag) ROLE_##SYMBOL,
	ROLES(R)
#undef R
	    N_ROLES
};

/* L(one, other): these have a channel between them. */
#define ROLE_LINKS(L)                                                                              \
	L(INTAKE, AUTH)                                                                            \
	L(INTAKE, KEEPER)                                                                          \
	L(INTAKE, QUEUE)                                                                           \
	L(QUEUE, KEEPER)                                                                           \
	L(QUEUE, DELIVERY)                                                                         \
	L(QUEUE, LOOKUP)                                                                           \
	L(DELIVERY, LOOKUP)                                                                        \
	L(DELIVERY, AUTH)

const char *role_name(enum role role);
const char *role_tag(enum role role);
bool role_is_linked(enum role one, enum role other);

/* A socket the parent bound. */
struct listen_socket {
	int fd;
	char *address;
	uint16_t port;
	bool implicit_tls;
};

/* What a process of any role is given. */
struct house {
	const struct config *config;
	struct loop *loop;
	struct channel *parent;
	const struct listen_socket *listens; /* intake: its own */
	size_t n_listens;
	int control_fd;   /* queue: listens for the command line */
	loop_call *leave; /* there is nothing more to do for this process: it ends */
	void *leave_arg;
};

enum drain_how {
	DRAIN_FINISH, /* as long as what is under way takes: another configuration has taken over */
	DRAIN_SOON,   /* within DRAIN_SOON_MS: the daemon ends */
	DRAIN_NOW,    /* what is under way is left as it is */
};

enum { DRAIN_SOON_MS = 5000 };

/* What a role is, to the process that runs it. self is whatever create gave. */
struct role_calls {
	/* Still with the parent's privileges: reads its secrets. NULL, with the reason logged, if it
	 * cannot do its work. */
	void *(*create)(struct house *house);

	/* Root is dropped, the loop is about to run. False, with the reason logged, if it cannot do its
	 * work after all. May be NULL. */
	bool (*begin)(void *self);

	/* A channel to another role, to be taken over. */
	void (*meet)(void *self, enum role role, struct channel *channel);

	/* What else the parent says. May be NULL. */
	void (*told)(void *self, struct ipc_message *m);

	/* Take nothing new, finish, then house->leave. */
	void (*drain)(void *self, enum drain_how how);

	void (*destroy)(void *self);
};

/* One for each role, in relay/proc/NAME.c. */
#define R(SYMBOL, name, tag) extern const struct role_calls role_##name;
ROLES(R)
#undef R

const struct role_calls *role_calls_of(enum role role);
