#include "relay/dialogue.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "relay/net/peer.h"

static void on_readable(struct stream *stream, void *arg);
static void on_drained(struct stream *stream, void *arg);
static void on_ended(struct stream *stream, enum stream_end end, void *arg);
static void on_timer(void *arg);
static enum flow await_either(struct dialogue *d, int64_t timeout_ms);
static bool take_reply(struct dialogue *d);
static void wake(struct dialogue *d, enum dialogue_got got);

static const struct stream_calls calls = {
	.readable = on_readable,
	.drained = on_drained,
	.ended = on_ended,
};

const struct patience patience_default = {
	.banner_ms = 300 * 1000,
	.command_ms = 300 * 1000,
	.reused_ms = 20 * 1000,
	.data_ms = 120 * 1000,
	.piece_ms = 180 * 1000,
	.dot_ms = 600 * 1000,
	.tls_ms = 60 * 1000,
	.search_ms = 600 * 1000,
	.longest_ms = 2 * 3600 * 1000,
	.hurried_ms = 2 * 1000,
};

void dialogue_init(struct dialogue *d, struct loop *loop, loop_call *wake_call, void *arg)
{
	*d = (struct dialogue){ .wake = wake_call, .arg = arg };
	smtp_reply_init(&d->reply);
	d->timer = timer_create_in(loop, on_timer, d);
}

void dialogue_finish(struct dialogue *d)
{
	dialogue_detach(d);
	timer_destroy(&d->timer);
	smtp_reply_finish(&d->reply);
}

void dialogue_attach(struct dialogue *d, struct stream *stream, const char *peer)
{
	d->stream = stream;
	d->has_ended = false;
	peer_print_host(peer, d->who, sizeof d->who);
	stream_set_calls(stream, &calls, d);
}

void dialogue_detach(struct dialogue *d)
{
	if (d->stream != NULL)
		stream_set_calls(d->stream, NULL, NULL);
	d->stream = NULL;
	d->awaits = d->awaits_drain = false;
	timer_cancel(d->timer);
}

/* ---- waiting ---- */

enum flow dialogue_await_reply(struct dialogue *d, int64_t timeout_ms)
{
	d->awaits_drain = false;
	return await_either(d, timeout_ms);
}

enum flow dialogue_await_drain(struct dialogue *d, int64_t timeout_ms)
{
	d->awaits_drain = true;
	return await_either(d, timeout_ms);
}

/* Replies that came together are taken one after the other, without waiting for the loop. */
static enum flow await_either(struct dialogue *d, int64_t timeout_ms)
{
	assert(d->stream != NULL && !d->awaits);
	if (take_reply(d)) {
		d->got = GOT_REPLY;
		return FLOW_GO;
	}
	if (d->has_ended) {
		d->got = GOT_LOST;
		return FLOW_GO;
	}
	d->awaits = true;
	timer_set(d->timer, timeout_ms);
	return FLOW_WAIT;
}

static bool take_reply(struct dialogue *d)
{
	return smtp_reply_read(&d->reply, stream_input(d->stream)) != SMTP_REPLY_MORE;
}

static void on_readable(struct stream *stream, void *arg)
{
	struct dialogue *d = arg;

	(void)stream;
	if (d->awaits && take_reply(d))
		wake(d, GOT_REPLY);
}

static void on_drained(struct stream *stream, void *arg)
{
	struct dialogue *d = arg;

	(void)stream;
	if (d->awaits && d->awaits_drain)
		wake(d, GOT_DRAINED);
}

/* In whatever way: a reply that is whole was taken before, and one that isn't won't be. */
static void on_ended(struct stream *stream, enum stream_end end, void *arg)
{
	struct dialogue *d = arg;

	(void)stream, (void)end;
	d->has_ended = true;
	if (d->awaits)
		wake(d, GOT_LOST);
}

static void on_timer(void *arg)
{
	wake(arg, GOT_TIMEOUT);
}

/* The owner may finish the dialogue: it is not touched after this. */
static void wake(struct dialogue *d, enum dialogue_got got)
{
	timer_cancel(d->timer);
	d->awaits = false;
	d->got = got;
	d->wake(d->arg);
}

/* ---- what was got ---- */

/*
 * A server in step answers what was said and nothing else. What comes unasked would be taken for
 * the answer to the next command, and so on to the end: an acceptance that was never given.
 */
bool dialogue_spoke_early(struct dialogue *d, enum point point, struct outcome *outcome)
{
	if (!stream_has_input(d->stream))
		return false;
	take_reply(d);
	dialogue_say_early(d, point, outcome);
	return true;
}

void dialogue_say_early(const struct dialogue *d, enum point point, struct outcome *outcome)
{
	struct slice line = smtp_reply_line(&d->reply, 0);

	outcome_say(outcome, 451, "4.5.0", "reply-early",
	    "%s talks without being asked, while %s: \"%d %.*s\"", d->who, point_words(point),
	    d->reply.code, line.n < 200 ? (int)line.n : 200, line.bytes);
}

void dialogue_outcome(
    const struct dialogue *d, enum point point, int wanted, struct outcome *outcome)
{
	const char *how;

	switch (d->got) {
	case GOT_REPLY: smtp_reply_outcome(&d->reply, wanted, d->who, outcome); return;
	case GOT_TIMEOUT:
		outcome_say(outcome, 451, "4.4.2", "timeout",
		    "conversation with %s timed out while %s", d->who, point_words(point));
		return;
	case GOT_LOST:
		how = stream_end_text(d->stream);
		outcome_say(outcome, 451, "4.4.2", "connection-lost",
		    "lost connection with %s while %s%s%s%s", d->who, point_words(point),
		    strcmp(how, "lost connection") == 0 ? "" : " (",
		    strcmp(how, "lost connection") == 0 ? "" : how,
		    strcmp(how, "lost connection") == 0 ? "" : ")");
		return;
	case GOT_DRAINED: assert(false); /* nothing was said */
	}
}

bool dialogue_is_over(const struct dialogue *d, int wanted)
{
	int class = d->reply.code / 100;

	return d->got != GOT_REPLY || d->reply.error != NULL || d->reply.code == 421 ||
	       (class != wanted && class != 4 && class != 5);
}
