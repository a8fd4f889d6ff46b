/*
 * Our login at an operator's next hop (RFC 4954): asks the auth role what to say, says it, and hands it
 * each challenge, until the server has let us in or there is a reason why not. Knows no password,
 * keeps no response longer than it takes to write it, and logs none.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/ipc/asker.h"
#include "relay/net/loop.h"
#include "relay/net/stream.h"

struct authenticate;

struct authenticate_order {
	struct loop *loop;
	struct asker *auth;
	struct stream
	    *stream;      /* in TLS, EHLO is answered; the caller's, who does not listen to it */
	const char *peer; /* "smart.example[192.0.2.1]:587" */
	const char *host; /* as the route names it */
	const char *login;
	const char *mechanisms; /* struct smtp_capability auth */
	bool is_verified;       /* the server has shown who it is: a password may be told */
	int64_t reply_ms;       /* for each reply */
};

/*
 * ok, or temporary, for what is wrong is the operator's affair and not the message's:
 *	login-not-offered	the server offers no AUTH
 *	login-no-password	we have none for this login
 *	login-no-mechanism	none that both sides know and may use
 *	login-refused		the server says no; with its words
 *	login-not-proved	it does not know the password itself, so it is not who it says
 *	login-unavailable	our auth role does not answer
 * or what dialogue.h says of a lost connection or a broken reply. is_over: nothing more can be said.
 */
typedef void authenticate_done(const struct outcome *outcome, bool is_over, void *arg);

/* All texts are copied. done is called once, never from inside; the authenticate is gone then. */
struct authenticate *authenticate_start(
    const struct authenticate_order *order, authenticate_done *done, void *arg);

/* done is not called; the stream must be destroyed after it. Accepts NULL. */
void authenticate_cancel(struct authenticate **authenticate);
