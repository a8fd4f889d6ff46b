/*
 * Our own login at an operator's next hop (RFC 4954, client's side), as the auth role answers it:
 * the secret stays there, the delivery only carries challenges and responses.
 *
 * Mechanisms, in this order of preference: SCRAM-SHA-256, SCRAM-SHA-1, PLAIN, LOGIN; no other. PLAIN
 * and LOGIN tell the password, so they are for servers whose certificate was verified.
 *
 * After GO_ON another challenge is due. A server that says 235 (RFC 4954 4) before DONE has not proved
 * that it knows the password: that is no login, whatever it says.
 */
#pragma once

/* X(symbol, word) */
#define CLIENT_LOGIN_STATES(X)                                                                     \
	X(CLIENT_LOGIN_GO_ON, "go on") /* say this response */                                     \
	X(CLIENT_LOGIN_DONE, "done")   /* as GO_ON, and no further challenge is expected */        \
	X(CLIENT_LOGIN_NO_SECRET,                                                                  \
	    "no secret") /* route-passwords has none for the login, or no route has it */          \
	X(CLIENT_LOGIN_NO_MECHANISM, "no mechanism") /* none that both sides know and may use */   \
	X(CLIENT_LOGIN_FAILED,                                                                     \
	    "failed") /* the server's challenge is wrong: it is not who it says */                 \
	X(CLIENT_LOGIN_BROKEN, "broken") /* it cannot be told now */

enum client_login_state {
#define X(symbol, word) symbol,
	CLIENT_LOGIN_STATES(X)
#undef X
};
