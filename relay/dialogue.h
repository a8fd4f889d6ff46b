/*
 * The replies of a server, one at a time, each within its time: what attempt and transact share.
 * Does not own the stream and decides nothing; it says what was said, or that nothing was.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/net/loop.h"
#include "relay/net/stream.h"
#include "relay/outcome.h"
#include "relay/step.h"
#include "smtp/reply.h"

/* How long each wait may last. */
struct patience {
	int64_t banner_ms;  /* RFC 5321 4.5.3.2.1: 5 min; from connect to the whole of it (R2) */
	int64_t command_ms; /* 4.5.3.2.2, .3: EHLO, STARTTLS, MAIL, RCPT, RSET 5 min */
	int64_t reused_ms;  /* for the first reply on a kept connection, then a fresh one is made;
			     * ours: 20 s */
	int64_t data_ms;    /* 4.5.3.2.4: 2 min */
	int64_t piece_ms;   /* 4.5.3.2.5: 3 min for 64 KB: also the least rate, 364 bytes/s (R20) */
	int64_t dot_ms;     /* 4.5.3.2.6: 10 min */
	int64_t tls_ms;     /* for a handshake; ours: 1 min */
	int64_t search_ms;  /* no other address is begun after this; ours: 10 min (R25) */
	int64_t longest_ms; /* an attempt never lasts longer; ours: 2 h */
	int64_t
	    hurried_ms; /* to connect, per address, where others wait for our place; ours: 2 s */
};

extern const struct patience patience_default;

enum dialogue_got {
	GOT_REPLY,   /* d->reply is whole, or broken */
	GOT_DRAINED, /* all the output has left */
	GOT_TIMEOUT,
	GOT_LOST,
};

struct dialogue {
	struct stream *stream; /* NULL while detached */
	struct timer *timer;
	char who[OUTCOME_WHO_MAX]; /* "mx.example[192.0.2.1]" */
	struct smtp_reply reply;
	enum dialogue_got got; /* why the owner was woken */
	bool has_ended;
	bool awaits, awaits_drain;
	loop_call *wake;
	void *arg;
};

/* wake is called from the loop when a wait is over; it may finish the dialogue. */
void dialogue_init(struct dialogue *d, struct loop *loop, loop_call *wake, void *arg);
void dialogue_finish(struct dialogue *d);

/* From now on (until detached) the stream's calls come here. peer may end in ":port". */
void dialogue_attach(struct dialogue *d, struct stream *stream, const char *peer);
void dialogue_detach(struct dialogue *d);

/* FLOW_GO if a reply, or the end, is there already; else FLOW_WAIT, and wake comes. */
enum flow dialogue_await_reply(struct dialogue *d, int64_t timeout_ms);

/* The same until all the output has left; a reply before that ends the wait too. */
enum flow dialogue_await_drain(struct dialogue *d, int64_t timeout_ms);

/*
 * True if the server has talked before we did: a reply to nothing (R11). *outcome says so then.
 * Asked before a command, when no reply is due.
 */
bool dialogue_spoke_early(struct dialogue *d, enum point point, struct outcome *outcome);

/* The same of a reply that was got while none was due. */
void dialogue_say_early(const struct dialogue *d, enum point point, struct outcome *outcome);

/* What was got, as an outcome; ok if it is a reply that begins with the digit wanted, 2 or 3. */
void dialogue_outcome(
    const struct dialogue *d, enum point point, int wanted, struct outcome *outcome);

/* Nothing more can be said on this connection: lost, late, out of step, 421. */
bool dialogue_is_over(const struct dialogue *d, int wanted);
