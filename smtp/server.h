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
#include "relay/base/outcome.h"
#include "smtp/login.h"
#include "smtp/address.h"

struct evbuffer;
struct smtp_server;

struct smtp_server_settings {
	const char *hostname;  /* outlives the session */
	uint64_t message_size; /* advertised and enforced */
	uint32_t recipients;
	uint32_t errors; /* bad commands before 421, or five times as many that do nothing (NOOP,
				      RSET, VRFY...); an accepted message forgives them */
	uint32_t auth_failures; /* the last of them is answered 421 */
	uint32_t line_length;   /* of content, without CRLF */
	uint32_t header_size;
	const char *mechanisms; /* "PLAIN LOGIN SCRAM-SHA-256", after TLS */
};

/* What the session wants before it goes on. */
enum smtp_want {
	SMTP_WANT_INPUT,    /* more bytes: everything given was consumed, or is half a line */
	SMTP_WANT_STARTTLS, /* send what is in out, handshake, then smtp_server_secured() */
	SMTP_WANT_AUTH,     /* ask auth about smtp_server_auth(), then smtp_server_auth_answer() */
	SMTP_WANT_MAIL,     /* may this sender? smtp_server_answer() */
	SMTP_WANT_RCPT,     /* may this recipient? smtp_server_answer() */
	SMTP_WANT_DATA,     /* is there room to begin? smtp_server_answer(): ok becomes 354 */
	SMTP_WANT_CONTENT,  /* take smtp_server_content(), then call input again */
	SMTP_WANT_ACCEPT,   /* the end-of-data came: smtp_server_answer() with the final verdict */
	SMTP_WANT_CLOSE,    /* send what is in out, then close */
};

struct smtp_server *smtp_server_create(const struct smtp_server_settings *settings);
void smtp_server_destroy(struct smtp_server **session);

/* The 220 banner into out; with implicit TLS the session is secure from the start. */
void smtp_server_greet(struct smtp_server *s, bool secure, struct evbuffer *out);

/*
 * A refusal in place of the banner, and the session is over: 421 4.3.2 for too many, 554 5.5.0 for a
 * client that talks before it was greeted, and so on.
 */
void smtp_server_turn_away(struct smtp_server *s, const struct outcome *why, struct evbuffer *out);

/*
 * Consumes from in, replies into out, says what is wanted next. Every reply has an enhanced code
 * but 220, 334, 354 and those to EHLO and HELO (RFC 2034 3). Calling it while a want is unanswered
 * gives the same want again, or CLOSE: content that arrives before its 354 ends the session with
 * 554 (RFC 2920 3.1 has DATA last in a group), since its lines would pass for commands if DATA is
 * refused. So the owner passes on what arrives while it thinks about SMTP_WANT_DATA.
 */
enum smtp_want smtp_server_input(struct smtp_server *s, struct evbuffer *in, struct evbuffer *out);

/*
 * After the handshake that SMTP_WANT_STARTTLS asked for. The owner has discarded all plaintext that
 * was already read behind the command (RFC 3207 4.2); everything the session knew is forgotten.
 */
void smtp_server_secured(struct smtp_server *s);

/*
 * What SMTP_WANT_AUTH is about; valid until the answer. An exchange that the client gave up is not
 * announced: the next one begins with is_first.
 */
const struct smtp_auth *smtp_server_auth(const struct smtp_server *s);

enum smtp_auth_verdict {
	SMTP_AUTH_CHALLENGE, /* 334 with the challenge */
	SMTP_AUTH_DONE,      /* 235 */
	SMTP_AUTH_REFUSED,   /* 535 5.7.8, always in the same words */
	SMTP_AUTH_BROKEN,    /* 454 4.7.0: we cannot tell now */
};
void smtp_server_auth_answer(struct smtp_server *s, enum smtp_auth_verdict verdict,
    const uint8_t *challenge, size_t n_challenge, struct evbuffer *out);

/* Valid from SMTP_WANT_MAIL until the transaction ends: with the answer to ACCEPT, or before. */
const struct smtp_address *smtp_server_sender(const struct smtp_server *s);
uint64_t smtp_server_declared_size(const struct smtp_server *s); /* SIZE=, or 0 */
bool smtp_server_requires_tls(const struct smtp_server *s);      /* REQUIRETLS, RFC 8689 2 */

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

/*
 * True, once, after a transaction for which SMTP_WANT_DATA was said yes to ended without
 * SMTP_WANT_ACCEPT.
 */
bool smtp_server_aborted(struct smtp_server *s);

/*
 * The verdict for SMTP_WANT_MAIL, RCPT, DATA or ACCEPT. The reply to a yes is ours, but for ACCEPT.
 * A verdict of 421 ends the session as well. Nothing happens if the session is over by now: the
 * client was told something else.
 */
void smtp_server_answer(struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out);

/*
 * What the session refused by itself since the last call (the latest, if several were pipelined), for
 * logs: bad commands, content against the rules. False if nothing. The owner's verdicts are not
 * among them, but for the one given to smtp_server_refuse_content().
 */
bool smtp_server_refused(struct smtp_server *s, struct outcome *why);

/*
 * The owner refuses the content before its end (the disk is full, the body is too large): the rest is
 * swallowed, then this is the reply. Only between SMTP_WANT_DATA and SMTP_WANT_ACCEPT.
 */
void smtp_server_refuse_content(struct smtp_server *s, const struct outcome *why);

/*
 * The name in EHLO or HELO, "" if none was given: letters, digits and any of "-._:[]", '?' in place of
 * everything else; for Received and logs.
 */
const char *smtp_server_client_name(const struct smtp_server *s);
bool smtp_server_said_ehlo(const struct smtp_server *s);

/* True between 354 and the final dot: other deadlines apply. */
bool smtp_server_in_content(const struct smtp_server *s);

/* 421 with the reason (idle too long, shutting down), and the session is over. */
void smtp_server_dismiss(struct smtp_server *s, const struct outcome *why, struct evbuffer *out);
