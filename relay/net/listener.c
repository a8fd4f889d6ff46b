#include "relay/net/listener.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"

enum {
	REST_MS = 500,
	AT_ONCE = 16, /* connections a turn: those who are already here get their turn too */
};

struct listener {
	struct watch *watch;
	struct timer *rest;
	listener_call *call;
	void *arg;
	int fd, spare_fd;
	bool is_stopped;
	bool has_complained;
	bool in_call, is_dead;
};

static void on_waiting(int fd, void *arg);
static bool take_one(struct listener *l);
static void take_rest(struct listener *l, int why);
static void on_rested(void *arg);
static void release(struct listener *l);

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

struct listener *listener_create(struct loop *loop, int listen_fd, listener_call *call, void *arg)
{
	struct listener *l = mem_create(sizeof *l);
	int flags = fcntl(listen_fd, F_GETFL);

	assert(flags >= 0 && call != NULL);
	fcntl(listen_fd, F_SETFL, flags | O_NONBLOCK);
	l->fd = listen_fd;
	l->spare_fd = open_spare();
	l->call = call;
	l->arg = arg;
	l->watch = watch_create(loop, listen_fd, WATCH_READ, on_waiting, l);
	l->rest = timer_create_in(loop, on_rested, l);
	watch_on(l->watch);
	return l;
}

static void on_waiting(int fd, void *arg)
{
	struct listener *l = arg;

	(void)fd;
	l->in_call = true;
	for (int i = 0; i < AT_ONCE && !l->is_dead && !l->is_stopped; i++) {
		if (!take_one(l))
			break;
	}
	l->in_call = false;
	if (l->is_dead)
		release(l);
}

static bool take_one(struct listener *l)
{
	struct sockaddr_storage peer = { 0 };
	socklen_t n_peer = sizeof peer;
	const int on = 1;
	int fd = accept4(l->fd, (struct sockaddr *)&peer, &n_peer, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd >= 0) {
		if (l->has_complained)
			log_info("connections are taken again");
		l->has_complained = false;
		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
		l->call(fd, (struct sockaddr *)&peer, n_peer, l, l->arg);
		return true;
	}
	switch (errno) {
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
	case ENOMEM: take_rest(l, errno); return false;
	case EAGAIN:
#if EWOULDBLOCK != EAGAIN
	case EWOULDBLOCK:
#endif
		return false;
	default: return true; /* that one client has gone (accept(2)); the next may be there */
	}
}

/*
 * A level-triggered event would fire without end: the client can't be taken, and so keeps waiting.
 * The spare descriptor lets one go, who would otherwise be the one we wake for.
 */
static void take_rest(struct listener *l, int why)
{
	if (!l->has_complained)
		log_warning("cannot take a connection: %s; resting for %d ms at a time (raise "
			    "LimitNOFILE, or lower the number of sessions)",
		    strerror(why), REST_MS);
	l->has_complained = true;
	if (l->spare_fd >= 0) {
		close(l->spare_fd);
		close(accept4(l->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
		l->spare_fd = open_spare();
	}
	watch_off(l->watch);
	timer_set(l->rest, REST_MS);
}

static void on_rested(void *arg)
{
	struct listener *l = arg;

	if (l->spare_fd < 0)
		l->spare_fd = open_spare();
	if (!l->is_stopped)
		watch_on(l->watch);
}

void listener_stop(struct listener *l)
{
	l->is_stopped = true;
	watch_off(l->watch);
}

void listener_resume(struct listener *l)
{
	l->is_stopped = false;
	if (!timer_is_set(l->rest))
		watch_on(l->watch);
}

void listener_destroy(struct listener **listener)
{
	struct listener *l = *listener;

	*listener = NULL;
	if (l == NULL)
		return;
	l->is_dead = true;
	if (!l->in_call)
		release(l);
}

static void release(struct listener *l)
{
	watch_destroy(&l->watch);
	timer_destroy(&l->rest);
	if (l->spare_fd >= 0)
		close(l->spare_fd);
	free(l);
}
