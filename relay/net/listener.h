/*
 * Takes connections from a socket that already listens. When the process has no descriptors left it
 * rests for a moment instead of spinning: a spare descriptor is given up to turn one waiting client
 * away, and the log hears of it once until connections are taken again.
 */
#pragma once

#include "relay/net/loop.h"

#include <sys/socket.h>

struct listener;

/* fd is non-blocking, close-on-exec, TCP_NODELAY, and the callee's. */
typedef void listener_call(
    int fd, const struct sockaddr *peer, socklen_t n_peer, struct listener *listener, void *arg);

/* Does not own listen_fd, which it makes non-blocking. It takes connections at once. */
struct listener *listener_create(struct loop *loop, int listen_fd, listener_call *call, void *arg);

/* May be called from inside the call. */
void listener_destroy(struct listener **listener);

/* No connections are taken until listener_resume(); they wait in the kernel. */
void listener_stop(struct listener *listener);
void listener_resume(struct listener *listener);
