/*
 * Our own login at an operator's next hop (RFC 4954, client's side), as the auth role answers it:
 * the secret stays there, the delivery only carries challenges and responses.
 */
#pragma once

/* X(symbol, word) */
#define CLIENT_LOGIN_STATES(X)                                                                     \
	X(CLIENT_LOGIN_GO_ON, "go on") /* say this response */                                     \
	X(CLIENT_LOGIN_DONE, "done")   /* as GO_ON, and no further challenge is expected */        \
	X(CLIENT_LOGIN_NO_SECRET, "no secret")       /* route-passwords has none for the login */  \
	X(CLIENT_LOGIN_NO_MECHANISM, "no mechanism") /* none that both sides know */               \
	X(CLIENT_LOGIN_FAILED,                                                                     \
	    "failed") /* the server's challenge is wrong: it is not who it says */

enum client_login_state {
#define X(symbol, word) symbol,
	CLIENT_LOGIN_STATES(X)
#undef X
};
