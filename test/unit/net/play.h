/*
 * Two streams on one loop, joined by a socketpair, and what they have lived through. A guard ends a
 * test that waits for something which does not come.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"
#include "relay/net/loop.h"
#include "relay/net/stream.h"

struct side {
	struct stream *stream;
	struct buffer got;
	int n_readable, n_drained, n_secured, n_ended;
	size_t most_input;
	enum stream_end end;
	struct outcome secured;
	bool takes;  /* on readable, moves the input into got */
	bool leaves; /* destroys the stream in whatever call comes first */
};

struct play {
	struct loop *loop;
	struct side client, server;
	int raw; /* the other end of the client, where there is no server */
};

/* kind is SOCK_STREAM or SOCK_SEQPACKET. */
void play_start(struct play *p, int kind, bool with_server);
void play_finish(struct play *p);

/* Turns the loop until check is true of the play. */
void play_until(struct play *p, bool (*check)(struct play *));

/* Turns it for that long; how many turns were needed. */
int play_for(struct play *p, int64_t wait_ms);

extern const struct stream_calls side_calls; /* with a side as the argument */
