/*
 * The wire form of an AUTH exchange (RFC 4954): mechanism, initial response, responses, all out of
 * base64. What they mean is for the verifier. Holds secrets, which are overwritten when no longer
 * needed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"

enum { SMTP_MECHANISM_MAX = 21 }; /* 20 letters, RFC 4422 3.1 */

/* One message of the client in an exchange. */
struct smtp_auth {
	const char *mechanism; /* upper case; one of those offered */
	bool is_first;         /* a new exchange, which ends any older one */
	bool has_response;     /* false: no initial response was given (RFC 4954 4) */
	const uint8_t *response;
	size_t n_response;
};

struct smtp_login {
	struct smtp_auth auth;
	char mechanism[SMTP_MECHANISM_MAX];
	uint8_t *response;
	size_t room;
};

void smtp_login_init(struct smtp_login *l);

/* Overwrites and frees the response. */
void smtp_login_forget(struct smtp_login *l);

/*
 * The arguments of AUTH: a mechanism out of the list ("PLAIN LOGIN"), and a response in base64, "="
 * for an empty one. False with *why: 501 5.5.4 without a mechanism, 504 5.5.4 for one that is not
 * offered, 501 5.5.2 for bad base64.
 */
bool smtp_login_begin(
    struct smtp_login *l, struct slice arguments, const char *mechanisms, struct outcome *why);

/* A line in answer to a challenge. False with *why: 501 5.7.0 for "*", 501 5.5.2 as above. */
bool smtp_login_respond(struct smtp_login *l, struct slice line, struct outcome *why);
