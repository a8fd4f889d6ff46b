/*
 * The client's commands as text (RFC 5321 4.1.1), appended to an evbuffer. Names and addresses are
 * ours or were parsed strictly on their way in; a control character, a space or an angle bracket
 * outside quotes in one is a bug, and asserted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "smtp/capability.h"

struct evbuffer;

void smtp_command_ehlo(struct evbuffer *out, const char *hostname);
void smtp_command_helo(struct evbuffer *out, const char *hostname);
void smtp_command_starttls(struct evbuffer *out);

/*
 * RFC 4954 4. A response is the bytes themselves; NULL for none, which is another thing than an empty
 * one. No copy of them is left behind but in out.
 */
void smtp_command_auth(struct evbuffer *out, const char *mechanism, const struct slice *response);
void smtp_command_auth_response(struct evbuffer *out, const struct slice *response);
void smtp_command_auth_cancel(struct evbuffer *out);

struct smtp_command_mail {
	const char *sender; /* "local@domain" as in struct smtp_address; "" for <> */
	uint64_t
	    size_bytes;    /* of the content, CRLF counted as two, dots not stuffed; 0: not said */
	bool body_8bit;    /* the content has bytes above 127 */
	bool requires_tls; /* RFC 8689 4.2: REQUIRETLS */
};

/* SIZE= and BODY=8BITMIME are said only if can offers them; REQUIRETLS must be offered. */
void smtp_command_mail(
    struct evbuffer *out, const struct smtp_command_mail *mail, const struct smtp_capability *can);

void smtp_command_rcpt(struct evbuffer *out, const char *recipient);
void smtp_command_data(struct evbuffer *out);
void smtp_command_rset(struct evbuffer *out);
void smtp_command_quit(struct evbuffer *out);
