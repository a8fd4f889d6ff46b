/*
 * The server's side of SMTP submission (RFC 5321, 6409), without sockets: bytes come in, replies go
 * out, and the session says what it wants of its owner. It knows syntax and the order of commands;
 * it never decides who may send what. Verbs stand in one table, each with a check (syntax, state)
 * and a proceed (after the owner answered).
 *
 * The owner calls smtp_server_input() whenever bytes arrived or it has answered a want. Until a
 * want is answered nothing more is consumed, so pipelined commands wait their turn.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/domain.h"
#include "relay/base/outcome.h"

struct evbuffer;
struct smtp_server;

enum { SMTP_ADDRESS_MAX = 321 }; /* 64 + "@" + 255 and the NUL: RFC 5321 4.5.3.1 */

struct smtp_server_settings {
	const char *hostname;	   /* outlives the session */
	uint64_t message_size;	   /* advertised and enforced */
	uint32_t recipients;
	uint32_t errors;	   /* bad or empty commands before 421; NOOP, RSET and the like count as junk */
	uint32_t auth_failures;
	uint32_t line_length;	   /* of content, without CRLF */
	uint32_t header_size;
	const char *mechanisms;	   /* "PLAIN LOGIN SCRAM-SHA-256", after TLS */
};

/* What the session wants before it goes on. */
enum smtp_want {
	SMTP_WANT_INPUT,    /* more bytes: everything given was consumed, or is half a line */
	SMTP_WANT_STARTTLS, /* send what is in out, handshake, then smtp_server_secured() */
	SMTP_WANT_AUTH,	    /* ask auth about smtp_server_auth(), then smtp_server_auth_answer() */
	SMTP_WANT_MAIL,	    /* may this sender? smtp_server_answer() */
	SMTP_WANT_RCPT,	    /* may this recipient? smtp_server_answer() */
	SMTP_WANT_DATA,	    /* is there room to begin? smtp_server_answer(): ok becomes 354 */
	SMTP_WANT_CONTENT,  /* take smtp_server_content(), then call input again */
	SMTP_WANT_ACCEPT,   /* the end-of-data came: smtp_server_answer() with the final verdict */
	SMTP_WANT_CLOSE,    /* send what is in out, then close */
};

/* An address out of MAIL or RCPT, RFC 5321 4.1.2. */
struct smtp_address {
	char text[SMTP_ADDRESS_MAX];  /* "local@domain" with the domain canonical; "" for <> */
	char local[65];		      /* unquoted */
	char domain[DOMAIN_MAX];      /* canonical; "" for <> */
};

struct smtp_server *smtp_server_create(const struct smtp_server_settings *settings);
void smtp_server_destroy(struct smtp_server **session);

/* The 220 banner into out; with implicit TLS the session is secure from the start. */
void smtp_server_greet(struct smtp_server *s, bool secure, struct evbuffer *out);

/* A refusal in place of the banner, and the session is over: 421 4.3.2 for too many, and so on. */
void smtp_server_turn_away(struct smtp_server *s, const struct outcome *why, struct evbuffer *out);

/* Consumes from in, replies into out, says what is wanted next. Every reply has an enhanced code. */
enum smtp_want smtp_server_input(struct smtp_server *s, struct evbuffer *in, struct evbuffer *out);

/*
 * After the handshake that SMTP_WANT_STARTTLS asked for. The owner has discarded all plaintext that
 * was already read behind the command (RFC 3207 4.2); everything the session knew is forgotten.
 */
void smtp_server_secured(struct smtp_server *s);

/* What SMTP_WANT_AUTH is about. The response is decoded from base64; valid until the answer. */
struct smtp_auth {
	const char *mechanism; /* upper case; one of settings.mechanisms */
	bool is_first;	       /* a new exchange */
	bool has_response;     /* false: no initial response was given (RFC 4954 4) */
	const uint8_t *response;
	size_t n_response;
};
const struct smtp_auth *smtp_server_auth(const struct smtp_server *s);

enum smtp_auth_verdict {
	SMTP_AUTH_CHALLENGE, /* 334 with the challenge */
	SMTP_AUTH_DONE,	     /* 235 */
	SMTP_AUTH_REFUSED,   /* 535 5.7.8, always in the same words */
	SMTP_AUTH_BROKEN,    /* 454 4.7.0: we cannot tell now */
};
void smtp_server_auth_answer(struct smtp_server *s, enum smtp_auth_verdict verdict,
    const uint8_t *challenge, size_t n_challenge, struct evbuffer *out);

/* Valid from SMTP_WANT_MAIL until the transaction ends. */
const struct smtp_address *smtp_server_sender(const struct smtp_server *s);
uint64_t smtp_server_declared_size(const struct smtp_server *s); /* SIZE=, or 0 */
bool smtp_server_body_is_8bit(const struct smtp_server *s);	 /* BODY=8BITMIME */

/* The recipient being asked about, and those accepted so far, each once. */
const struct smtp_address *smtp_server_recipient(const struct smtp_server *s);
size_t smtp_server_n_recipients(const struct smtp_server *s);
const char *smtp_server_recipient_at(const struct smtp_server *s, size_t i);

/*
 * Content as it arrived, dots unstuffed, CRLF at every line's end, the final dot line not included.
 * Pieces may end anywhere. Once the content breaks a rule (a bare CR or LF, a NUL, a line or a
 * message too long) no more is given; the session swallows the rest to the true end and then refuses
 * by itself, without SMTP_WANT_ACCEPT: smtp_server_aborted() tells the owner to forget the message.
 */
struct slice smtp_server_content(const struct smtp_server *s);

/* True, once, after a transaction with content ended without SMTP_WANT_ACCEPT. */
bool smtp_server_aborted(struct smtp_server *s);

/* The verdict for SMTP_WANT_MAIL, RCPT, DATA or ACCEPT. */
void smtp_server_answer(struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out);

/*
 * The owner refuses the content before its end (the disk is full, the body is too large): the rest is
 * swallowed, then this is the reply. Only between SMTP_WANT_DATA and SMTP_WANT_ACCEPT.
 */
void smtp_server_refuse_content(struct smtp_server *s, const struct outcome *why);

/* "EHLO name" as the client gave it, escaped; for Received and logs. */
const char *smtp_server_client_name(const struct smtp_server *s);
bool smtp_server_is_secure(const struct smtp_server *s);
bool smtp_server_said_ehlo(const struct smtp_server *s);

/* True between 354 and the final dot: other deadlines apply. */
bool smtp_server_in_content(const struct smtp_server *s);

/* 421 with the reason (idle too long, shutting down), and the session is over. */
void smtp_server_dismiss(
    struct smtp_server *s, const struct outcome *why, struct evbuffer *out);
