#include "relay/net/loop.h"

#include <assert.h>
#include <event2/event.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

/* 2.1.11 and older lose events on a descriptor that is closed and reused in one turn. */
_Static_assert(LIBEVENT_VERSION_NUMBER >= 0x02010c00, "libevent 2.1.12 or newer is needed");

enum { SIGNALS_MAX = 8 };

struct signal_watch {
	struct event *event;
	loop_call *call;
	void *arg;
};

struct deferred {
	TAILQ_ENTRY(deferred) link;
	loop_call *call;
	void *arg;
};

struct loop {
	struct event_base *base;
	struct event *soon; /* active while something is deferred */
	TAILQ_HEAD(, deferred) deferred;
	LIST_HEAD(, loop_guest) guests;
	struct signal_watch signals[SIGNALS_MAX];
	int n_signals;
};

struct timer {
	struct event *event;
	loop_call *call;
	void *arg;
};

struct watch {
	struct event *event;
	loop_ready *call;
	void *arg;
};

static void free_wiped(void *memory);
static void on_soon(evutil_socket_t fd, short what, void *arg);

struct loop *loop_create(void)
{
	struct loop *loop = mem_create(sizeof *loop);
	struct event_config *wishes = event_config_new();

	assert(wishes != NULL);
	event_set_mem_functions(malloc, realloc, free_wiped);
	/* The environment of whoever starts the daemon must not choose its event mechanism. */
	event_config_set_flag(wishes, EVENT_BASE_FLAG_IGNORE_ENV);
	loop->base = event_base_new_with_config(wishes);
	event_config_free(wishes);
	assert(loop->base != NULL);
	loop->soon = evtimer_new(loop->base, on_soon, loop);
	assert(loop->soon != NULL);
	TAILQ_INIT(&loop->deferred);
	LIST_INIT(&loop->guests);
	return loop;
}

/* Passwords, ours and our clients', come through the buffers of libevent, which moves them about. */
static void free_wiped(void *memory)
{
	if (memory != NULL)
		explicit_bzero(memory, malloc_usable_size(memory));
	free(memory);
}

void loop_destroy(struct loop **loop)
{
	struct deferred *deferred;
	struct loop_guest *guest;

	if (*loop == NULL)
		return;
	while ((guest = LIST_FIRST(&(*loop)->guests)) != NULL) {
		LIST_REMOVE(guest, link);
		guest->end(guest->arg);
	}
	while ((deferred = TAILQ_FIRST(&(*loop)->deferred)) != NULL) {
		TAILQ_REMOVE(&(*loop)->deferred, deferred, link);
		free(deferred);
	}
	event_free((*loop)->soon);
	for (int i = 0; i < (*loop)->n_signals; i++)
		event_free((*loop)->signals[i].event);
	event_base_free((*loop)->base);
	free(*loop);
	*loop = NULL;
}

void loop_run(struct loop *loop)
{
	event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
}

void loop_stop(struct loop *loop)
{
	event_base_loopbreak(loop->base);
}

void loop_run_once(struct loop *loop, bool wait)
{
	event_base_loop(loop->base, EVLOOP_ONCE | (wait ? 0 : EVLOOP_NONBLOCK));
}

struct event_base *loop_event_base(struct loop *loop)
{
	return loop->base;
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct timer *timer = arg;

	(void)fd, (void)what;
	timer->call(timer->arg);
}

struct timer *timer_create_in(struct loop *loop, loop_call *call, void *arg)
{
	struct timer *timer = mem_create(sizeof *timer);

	timer->call = call;
	timer->arg = arg;
	timer->event = evtimer_new(loop->base, on_timer, timer);
	assert(timer->event != NULL);
	return timer;
}

void timer_destroy(struct timer **timer)
{
	if (*timer == NULL)
		return;
	event_free((*timer)->event);
	free(*timer);
	*timer = NULL;
}

void timer_set(struct timer *timer, int64_t wait_ms)
{
	struct timeval wait;

	if (wait_ms < 0)
		wait_ms = 0;
	wait.tv_sec = wait_ms / 1000;
	wait.tv_usec = wait_ms % 1000 * 1000;
	evtimer_add(timer->event, &wait);
}

void timer_cancel(struct timer *timer)
{
	evtimer_del(timer->event);
}

bool timer_is_set(const struct timer *timer)
{
	return evtimer_pending(timer->event, NULL) != 0;
}

static void on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct watch *watch = arg;

	(void)what;
	watch->call(fd, watch->arg);
}

struct watch *watch_create(
    struct loop *loop, int fd, enum watch_for what, loop_ready *call, void *arg)
{
	struct watch *watch = mem_create(sizeof *watch);
	short events =
	    (short)((what & WATCH_READ ? EV_READ : 0) | (what & WATCH_WRITE ? EV_WRITE : 0));

	watch->call = call;
	watch->arg = arg;
	watch->event = event_new(loop->base, fd, (short)(events | EV_PERSIST), on_ready, watch);
	assert(watch->event != NULL);
	return watch;
}

void watch_destroy(struct watch **watch)
{
	if (*watch == NULL)
		return;
	event_free((*watch)->event);
	free(*watch);
	*watch = NULL;
}

void watch_on(struct watch *watch)
{
	event_add(watch->event, NULL);
}

void watch_off(struct watch *watch)
{
	event_del(watch->event);
}

static void on_signal(evutil_socket_t number, short what, void *arg)
{
	struct signal_watch *watch = arg;

	(void)number, (void)what;
	watch->call(watch->arg);
}

void loop_on_signal(struct loop *loop, int signal_number, loop_call *call, void *arg)
{
	struct signal_watch *watch;

	assert(loop->n_signals < SIGNALS_MAX);
	watch = &loop->signals[loop->n_signals++];
	watch->call = call;
	watch->arg = arg;
	watch->event = evsignal_new(loop->base, signal_number, on_signal, watch);
	assert(watch->event != NULL);
	event_add(watch->event, NULL);
}

/* Those deferred by the calls made here wait for the next turn. */
static void on_soon(evutil_socket_t fd, short what, void *arg)
{
	TAILQ_HEAD(, deferred) now = TAILQ_HEAD_INITIALIZER(now);
	struct loop *loop = arg;
	struct deferred *deferred;

	(void)fd, (void)what;
	TAILQ_CONCAT(&now, &loop->deferred, link);
	while ((deferred = TAILQ_FIRST(&now)) != NULL) {
		struct deferred call = *deferred;

		TAILQ_REMOVE(&now, deferred, link);
		free(deferred);
		call.call(call.arg);
	}
}

void loop_defer(struct loop *loop, loop_call *call, void *arg)
{
	struct deferred *deferred = mem_create(sizeof *deferred);
	static const struct timeval now;

	deferred->call = call;
	deferred->arg = arg;
	TAILQ_INSERT_TAIL(&loop->deferred, deferred, link);
	evtimer_add(loop->soon, &now);
}

void loop_host(struct loop *loop, struct loop_guest *guest, loop_call *end, void *arg)
{
	guest->end = end;
	guest->arg = arg;
	LIST_INSERT_HEAD(&loop->guests, guest, link);
}

void loop_leave(struct loop_guest *guest)
{
	LIST_REMOVE(guest, link);
}
