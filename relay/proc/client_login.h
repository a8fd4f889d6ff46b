/*
 * The client's side of libsasl2 behind our own words: our logins at the operator's next hops, with
 * the mechanisms of relay/client_login.h and no other. Only the auth role has it, beside the server's
 * side (login.h); it holds the passwords, and nothing it logs has any.
 *
 * What a server may ask for is bounded: SCRAM with fewer than 4096 rounds (RFC 7677 4), which makes
 * an overheard proof easy to guess from, or with so many that they keep this process from its other
 * work (and libsasl2 knows no more), is refused.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/secrets.h"
#include "relay/base/buffer.h"
#include "relay/client_login.h"

enum { CLIENT_LOGIN_ROUNDS_LEAST = 4096, CLIENT_LOGIN_ROUNDS_MOST = 65536 };

struct client_login_office;
struct client_login;

/* One per process; passwords outlives it. NULL with a text in error. */
struct client_login_office *client_login_office_create(
    const struct secrets *passwords, char *error, size_t room);
void client_login_office_destroy(struct client_login_office **office);

/* What to say to the server now, or why there is nothing to be said. */
struct client_login_say {
	enum client_login_state state;
	const char *mechanism; /* "" before one was chosen */
	bool has_response;     /* false: none goes with the AUTH command */
	struct slice response; /* valid until the next call */
	char problem[200];     /* of a state that ends the exchange; without secrets, printable */
};

/* One exchange with a host, as one login. Never NULL: what is wrong is told by begin. */
struct client_login *client_login_create(
    struct client_login_office *office, const char *host, const char *login);
void client_login_destroy(struct client_login **exchange);

/* mechanisms: those the server offers, a space between. */
void client_login_begin(struct client_login *exchange, const char *mechanisms, bool is_verified,
    struct client_login_say *say);

/* With each challenge that follows. */
void client_login_go_on(
    struct client_login *exchange, struct slice challenge, struct client_login_say *say);
