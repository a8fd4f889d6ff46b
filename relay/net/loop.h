/*
 * One event loop per process: timers, readable and writable descriptors, signals, and calls put off
 * until the present one has returned. The only header through which the rest meets libevent.
 * Callbacks run from loop_run() alone, never from inside a call that arms them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct event_base;
struct loop;
struct timer;
struct watch;

typedef void loop_call(void *arg);
typedef void loop_ready(int fd, void *arg);

struct loop *loop_create(void);
void loop_destroy(struct loop **loop);

/* Runs until loop_stop(). */
void loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Runs what is due now and returns; for tests. */
void loop_run_once(struct loop *loop, bool wait);

/* For libraries that want the event_base itself (libunbound). */
struct event_base *loop_event_base(struct loop *loop);

/* A timer that is not set; it fires once per timer_set(). */
struct timer *timer_create_in(struct loop *loop, loop_call *call, void *arg);
void timer_destroy(struct timer **timer);
void timer_set(struct timer *timer, int64_t wait_ms);
void timer_cancel(struct timer *timer);
bool timer_is_set(const struct timer *timer);

enum watch_for { WATCH_READ = 1, WATCH_WRITE = 2 };

/* A watch that is off. It stays on, once on, until turned off. Does not own fd. */
struct watch *watch_create(
    struct loop *loop, int fd, enum watch_for what, loop_ready *call, void *arg);
void watch_destroy(struct watch **watch);
void watch_on(struct watch *watch);
void watch_off(struct watch *watch);

/* A call for each delivery of signal number; lives as long as the loop. */
void loop_on_signal(struct loop *loop, int signal_number, loop_call *call, void *arg);

/* Calls once, soon, from loop_run(). Not to be taken back: arg must live until then. */
void loop_defer(struct loop *loop, loop_call *call, void *arg);

/*
 * What lives on in the loop without an owner is its guest: loop_destroy() calls end for each that has
 * not left by then, which destroys it (and so may leave).
 */
struct loop_guest {
	LIST_ENTRY(loop_guest) link;
	loop_call *end;
	void *arg;
};
void loop_host(struct loop *loop, struct loop_guest *guest, loop_call *end, void *arg);
void loop_leave(struct loop_guest *guest);
