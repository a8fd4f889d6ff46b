/*
 * What the tests of attempts share: servers that play scripts on loopback, a certificate for
 * mx.example and its authority, a message, and a plan for hosts that demand this or that of TLS.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../tls/forge.h"
#include "relay/attempt.h"
#include "relay/evidence.h"
#include "scripted_peer.h"

enum { PEERS_MAX = 6, RECIPIENTS_MAX = 4 };

#define LINES(...)   ((const char *const[]){ __VA_ARGS__, NULL })
#define SCRIPTS(...) ((const char *const *const[]){ __VA_ARGS__, NULL })
#define HELLO        "> 220 hi", "= EHLO relay.example.org", "> 250-mx", "> 250 PIPELINING"
#define HELLO_TLS    "> 220 hi", "= EHLO relay.example.org", "> 250-mx", "> 250 STARTTLS"
#define SHAKE                                                                                      \
	"= STARTTLS", "> 220 go", "T", "= EHLO relay.example.org", "> 250-mx", "> 250 PIPELINING"
#define GROUP1 "< MAIL FROM:<me@example.org>", "< RCPT TO:<r1@", "= DATA"
#define GROUP3                                                                                     \
	"< MAIL FROM:<me@example.org>", "< RCPT TO:<r1@", "< RCPT TO:<r2@", "< RCPT TO:<r3@",      \
	    "= DATA"
#define CONTENT "= Subject: x", "= ", "= hello", "= ."
#define TAKEN                                                                                      \
	GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "> 250 queued", "= QUIT",             \
	    "> 221 bye", "!"
#define TAKES     SCRIPTS(LINES(HELLO, TAKEN))
#define TAKES_TLS SCRIPTS(LINES(HELLO_TLS, SHAKE, TAKEN))
/* A server that must not be asked. */
#define NOBODY ((const char *const *const[]){ NULL })

#define QUITS "= QUIT", "> 221 bye", "!"

/* What the host must show. The certificate is for mx.example, by the authority in ca.pem. */
enum demand {
	MAY,
	NONE,
	ENCRYPT,
	DANE,       /* by a TLSA record that matches */
	DANE_WRONG, /* by one that doesn't */
	DANE_UNUSABLE,
	SECURE,
	SECURE_OTHER_NAME,
};

struct host {
	const char *const *const *scripts; /* NULL: nobody listens */
	enum demand demand;
	bool same;     /* another address of the host before */
	bool unusable; /* as route says, for good */
};

struct wanted {
	int code;
	const char *says; /* in its text, or its whole stable name */
};

/* For servers that fall silent, and for all the others, on a machine however busy. */
extern const struct patience hurry, calm;

/* What all scenes share. */
struct stage {
	char directory[FORGE_PATH_MAX], ca[FORGE_PATH_MAX];
	struct forged authority, server;
	struct tls_context *server_tls, *client_tls;
};

struct act {
	struct loop *loop;
	struct peer *peers[PEERS_MAX];
	int closed[PEERS_MAX]; /* sockets that do not listen */
	size_t n_peers;
	struct plan plan;
	struct message message;
	int fd;
	struct config config;
	struct attempt_house house;
	bool is_done;
	enum schedule_feedback feedback;
	char host[OUTCOME_WHO_MAX], evidence[EVIDENCE_MAX];
	struct outcome outcomes[RECIPIENTS_MAX];
	size_t n_counts; /* for TLS reports */
	int64_t setup_ms, transfer_ms;
};

/* For cmocka: a stage for a group of tests. */
int stage_set_up(void **state);
int stage_tear_down(void **state);

/* A loop, a pool that keeps nothing, a message, and nobody to send it to yet. */
void act_begin(struct act *act, const struct stage *stage, size_t n_recipients,
    const struct patience *patience);

/* Another host of the plan, or another address of the one before. */
void act_add_host(struct act *act, const struct stage *stage, const struct host *host);

/* The message to all the hosts; act_done() takes what comes of it, and stops the loop. */
struct attempt *act_attempt(struct act *act, uint32_t n_attempts);
void act_done(const struct attempt_result *result, void *arg);

/* Until all the scripts have been played to their end, or for a while; what went wrong, or NULL. */
const char *act_settle(struct act *act);

void act_end(struct act *act);

/* Fails if the recipient got something else. */
void wanted_check(const char *name, const struct wanted *wanted, const struct outcome *got);

/* What the host must show, for tests that change it; the requirement is finished first. */
void demand_set(const struct stage *stage, enum demand what, struct tls_requirement *tls);
