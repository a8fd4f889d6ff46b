/*
 * One end of a socketpair between two of our processes: whole messages in order, each perhaps with a
 * descriptor. Sending never waits; what the other end does not take is kept up to a maximum, past
 * which it counts as dead. Callbacks run from the loop alone.
 */
#pragma once

#include "relay/ipc/message.h"

struct loop;
struct channel;

/*
 * The message is valid during the call. A handler that keeps m->fd sets it to -1; otherwise it is
 * closed. Where a descriptor belongs it may still be -1: one end had too many open files. The
 * handler may destroy the channel.
 */
typedef void channel_message(void *arg, struct channel *channel, struct ipc_message *m);

/* The other end is gone or talks nonsense. Called once; nothing follows. */
typedef void channel_closed(void *arg, struct channel *channel);

/* Takes fd over. */
struct channel *channel_create(
    struct loop *loop, int fd, channel_message *message, channel_closed *closed, void *arg);
void channel_destroy(struct channel **channel);

/* Changes who is told; for channels that are handed on inside a process. */
void channel_set_owner(
    struct channel *channel, channel_message *message, channel_closed *closed, void *arg);

/* m->fd, if any, is duplicated: the caller keeps its own. Never fails here; a lost peer is told by
 * closed. */
void channel_send(struct channel *channel, const struct ipc_message *m);

/* Both ends, close-on-exec and non-blocking. -1 with errno. */
int channel_make_pair(int ends[2]);
