/*
 * The inside of struct smtp_server, for the files that make it up: server.c (the session and its
 * verb table), verbs.c (what each verb checks and does), content.c (DATA). Nobody else includes it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"
#include "smtp/address.h"
#include "smtp/data.h"
#include "smtp/line.h"
#include "smtp/login.h"
#include "smtp/parameters.h"
#include "smtp/server.h"

enum { CLIENT_NAME_MAX = 256 }; /* RFC 5321 4.5.3.1.2, and the NUL */

enum phase {
	PHASE_COMMAND,
	PHASE_RESPONSE, /* the next line goes on with AUTH */
	PHASE_CONTENT,
	PHASE_ASKING, /* the owner was asked s->want */
	PHASE_OVER,
};

/* RFC 5321 3.3: from MAIL to the reply after the final dot. */
struct transaction {
	bool begun;
	struct smtp_address sender;
	struct smtp_parameters parameters;
	struct smtp_address recipient; /* the one asked about */
	char **recipients;
	size_t n_recipients;
};

/* Syntax and state: false with what to answer in *why. */
typedef bool verb_check(struct smtp_server *s, struct slice rest, struct outcome *why);

/* The owner has answered, or was not asked. */
typedef void verb_proceed(
    struct smtp_server *s, const struct outcome *verdict, struct evbuffer *out);

struct smtp_server {
	struct smtp_server_settings settings;
	enum phase phase;
	enum smtp_want want;   /* while asking */
	verb_proceed *proceed; /* with the answer to it */
	bool secure, logged_in, said_ehlo;
	char client_name[CLIENT_NAME_MAX];
	uint64_t errors_cost;
	uint32_t n_auth_failures;
	uint32_t n_envelope; /* RCPT and DATA since the last MAIL */
	struct smtp_line line;
	struct smtp_login login;
	struct transaction transaction;
	struct smtp_data data;
	struct buffer content;
	bool aborted;
	bool refused;
	struct outcome refusal; /* the last, if refused */
};

/* What must be true before a verb is looked at any further, and what it is. */
enum verb_rule {
	NEEDS_TLS = 1,
	NEEDS_LOGIN = 2,
	NEEDS_HELLO = 4,
	NEEDS_MAIL = 8, /* a transaction */
	NEEDS_NO_MAIL = 16,
	NEEDS_ALL = NEEDS_TLS | NEEDS_LOGIN | NEEDS_HELLO,
	TAKES_NOTHING = 32, /* no argument */
	IS_JUNK = 64,       /* does nothing for the mail */
	IS_ENVELOPE = 128,  /* sent blindly behind MAIL, RFC 2920: refusals are no bad manners */
	ENDS_GROUP = 256,   /* nothing may follow in the same breath */
};

/* X(VERB, name, rules, question or SMTP_WANT_INPUT for none). The order is that of a session. */
#define VERBS(X)                                                                                   \
	X("EHLO", ehlo, IS_JUNK, SMTP_WANT_INPUT)                                                  \
	X("HELO", helo, IS_JUNK, SMTP_WANT_INPUT)                                                  \
	X("STARTTLS", starttls, NEEDS_HELLO | TAKES_NOTHING, SMTP_WANT_INPUT)                      \
	X("AUTH", auth, 0, SMTP_WANT_AUTH)                                                         \
	X("MAIL", mail, NEEDS_ALL | NEEDS_NO_MAIL, SMTP_WANT_MAIL)                                 \
	X("RCPT", rcpt, NEEDS_ALL | NEEDS_MAIL | IS_ENVELOPE, SMTP_WANT_RCPT)                      \
	X("DATA", data, NEEDS_ALL | NEEDS_MAIL | TAKES_NOTHING | IS_ENVELOPE | ENDS_GROUP,         \
	    SMTP_WANT_DATA)                                                                        \
	X("RSET", rset, TAKES_NOTHING | IS_JUNK, SMTP_WANT_INPUT)                                  \
	X("NOOP", noop, IS_JUNK, SMTP_WANT_INPUT)                                                  \
	X("VRFY", vrfy, IS_JUNK, SMTP_WANT_INPUT)                                                  \
	X("HELP", help, IS_JUNK, SMTP_WANT_INPUT)                                                  \
	X("QUIT", quit, TAKES_NOTHING, SMTP_WANT_INPUT)

#define PROTOTYPES(text, name, rules, asks)                                                        \
	verb_check session_check_##name;                                                           \
	verb_proceed session_proceed_##name;
VERBS(PROTOTYPES)
#undef PROTOTYPES

/* A line in answer to 334. */
void session_take_response(struct smtp_server *s, struct slice line, struct evbuffer *out);

/* In PHASE_CONTENT. False: there is content for the owner, or no input is left. */
bool session_read_content(struct smtp_server *s, struct evbuffer *in, struct evbuffer *out);

/* Something follows DATA before it was answered: the session is over. */
void session_refuse_early_content(struct smtp_server *s, struct evbuffer *out);

void session_ask(struct smtp_server *s, enum smtp_want want, verb_proceed *proceed);
void session_end_transaction(struct smtp_server *s);
void session_end(struct smtp_server *s);

/* Says why, which smtp_server_refused() will tell, and ends. */
void session_end_saying(struct smtp_server *s, int code, const char *enhanced, const char *name,
    const char *text, struct evbuffer *out);

/* Says no without ending; told as well. */
void session_say_no(struct smtp_server *s, const struct outcome *why, struct evbuffer *out);

/* Says no to a command; cost weighs against settings.errors, past which it becomes 421. */
enum { COST_NOTHING = 0, COST_JUNK = 1, COST_ERROR = 5 };
void session_refuse(
    struct smtp_server *s, uint64_t cost, const struct outcome *why, struct evbuffer *out);
