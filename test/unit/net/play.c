#include "play.h"

#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { GUARD_MS = 20000, GOT_MAX = 64 * 1024 * 1024 };

static void on_readable(struct stream *stream, void *arg)
{
	struct evbuffer *input = stream_input(stream);
	struct side *side = arg;
	size_t n = evbuffer_get_length(input);

	side->n_readable++;
	if (n > side->most_input)
		side->most_input = n;
	if (side->takes) {
		buffer_add(&side->got, evbuffer_pullup(input, -1), n);
		evbuffer_drain(input, n);
	}
	if (side->leaves)
		stream_destroy(&side->stream);
}

static void on_drained(struct stream *stream, void *arg)
{
	struct side *side = arg;

	(void)stream;
	side->n_drained++;
	if (side->leaves)
		stream_destroy(&side->stream);
}

static void on_secured(struct stream *stream, const struct outcome *outcome, void *arg)
{
	struct side *side = arg;

	(void)stream;
	side->n_secured++;
	side->secured = *outcome;
	if (side->leaves)
		stream_destroy(&side->stream);
}

static void on_ended(struct stream *stream, enum stream_end end, void *arg)
{
	struct side *side = arg;

	(void)stream;
	side->n_ended++;
	side->end = end;
	if (side->leaves)
		stream_destroy(&side->stream);
}

const struct stream_calls side_calls = { on_readable, on_drained, on_secured, on_ended };

static void prepare(struct side *side, struct loop *loop, int fd)
{
	side->stream = stream_create(loop, fd);
	side->takes = true;
	buffer_init(&side->got, GOT_MAX);
	stream_set_calls(side->stream, &side_calls, side);
}

void play_start(struct play *p, int kind, bool with_server)
{
	int fd[2];

	*p = (struct play){ .raw = -1 };
	p->loop = loop_create();
	if (socketpair(AF_UNIX, kind | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fd) != 0)
		abort();
	prepare(&p->client, p->loop, fd[0]);
	if (with_server)
		prepare(&p->server, p->loop, fd[1]);
	else
		p->raw = fd[1];
}

void play_finish(struct play *p)
{
	stream_destroy(&p->client.stream);
	stream_destroy(&p->server.stream);
	buffer_finish(&p->client.got);
	buffer_finish(&p->server.got);
	if (p->raw >= 0)
		close(p->raw);
	loop_destroy(&p->loop);
}

static void on_guard(void *arg)
{
	(void)arg;
	fprintf(stderr, "play: nothing comes any more\n");
	abort();
}

void play_until(struct play *p, bool (*check)(struct play *))
{
	struct timer *guard = timer_create_in(p->loop, on_guard, NULL);

	timer_set(guard, GUARD_MS);
	while (!check(p))
		loop_run_once(p->loop, true);
	timer_destroy(&guard);
}

static void on_over(void *arg)
{
	*(bool *)arg = true;
}

int play_for(struct play *p, int64_t wait_ms)
{
	bool is_over = false;
	int n_turns = 0;
	struct timer *timer = timer_create_in(p->loop, on_over, &is_over);

	timer_set(timer, wait_ms);
	for (; !is_over; n_turns++)
		loop_run_once(p->loop, true);
	timer_destroy(&timer);
	return n_turns;
}
