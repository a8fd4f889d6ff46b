/*
 * One turn does all there is to do for a stream, in this order: handshake, read, tell the owner,
 * write, tell the owner; then it arms what it waits for. The owner's calls on a stream only change
 * its state and ask for a turn, so nobody is ever called from inside a call of theirs.
 */
#include "relay/net/stream.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "relay/base/mem.h"
#include "relay/net/link.h"

enum {
	READ_MAX = 16 * 1024,      /* at once: as much as one TLS record holds */
	DISCARD_MAX = 1024 * 1024, /* of what a peer still says after we have closed */
};

/* What the owner has not been told yet. */
enum { NEWS_SECURED = 1, NEWS_READABLE = 2, NEWS_DRAINED = 4, NEWS_ENDED = 8 };

struct stream {
	struct link link;
	struct loop *loop;
	struct watch *readable, *writable;
	struct timer *soon, *linger;
	const struct stream_calls *calls;
	void *arg;

	struct evbuffer *in, *out;
	struct evbuffer *plain_out; /* while flushing */
	struct outcome secured;
	uint64_t n_received;

	unsigned news;
	bool in_turn, is_dead; /* dead: freed when the turn ends */
	bool input_due;        /* reading may bring something; until it would block */
	bool is_blocked;       /* writing waits for the kernel */
	bool watches_read, watches_write;

	bool has_ended;
	enum stream_end end;
	char end_text[OUTCOME_TEXT_MAX];
	bool write_failed;

	bool is_closing, said_goodbye;
	struct loop_guest stay; /* while closing, until the loop ends */
	bool is_guest;
	size_t n_discarded;
	loop_call *gone;
	void *gone_arg;
};

static void on_readable(int fd, void *arg);
static void on_writable(int fd, void *arg);
static void on_soon(void *arg);
static void on_linger(void *arg);
static void on_loop_end(void *arg);
static void on_input_changed(
    struct evbuffer *buffer, const struct evbuffer_cb_info *change, void *arg);
static void on_output_changed(
    struct evbuffer *buffer, const struct evbuffer_cb_info *change, void *arg);
static void take_turn(struct stream *s);
static void leave_plaintext(struct stream *s);
static void shake(struct stream *s);
static void take_input(struct stream *s);
static bool may_read(const struct stream *s);
static size_t room_for_input(const struct stream *s);
static void keep_input(struct stream *s, const char *bytes, size_t n);
static void give_output(struct stream *s);
static void lose_output(struct stream *s, const char *why);
static void end(struct stream *s, enum stream_end how, const char *why);
static void tell(struct stream *s);
static bool take_news(struct stream *s, unsigned what);
static void wind_up(struct stream *s);
static void arm(struct stream *s);
static void ask_turn(struct stream *s);
static void release(struct stream *s);

struct stream *stream_create(struct loop *loop, int fd)
{
	struct stream *s = mem_create(sizeof *s);

	link_init(&s->link, fd);
	s->loop = loop;
	s->readable = watch_create(loop, fd, WATCH_READ, on_readable, s);
	s->writable = watch_create(loop, fd, WATCH_WRITE, on_writable, s);
	s->soon = timer_create_in(loop, on_soon, s);
	s->linger = timer_create_in(loop, on_linger, s);
	s->in = evbuffer_new();
	s->out = evbuffer_new();
	s->plain_out = evbuffer_new();
	assert(s->in != NULL && s->out != NULL && s->plain_out != NULL);
	evbuffer_add_cb(s->in, on_input_changed, s);
	evbuffer_add_cb(s->out, on_output_changed, s);
	s->input_due = true;
	return s;
}

void stream_set_calls(struct stream *s, const struct stream_calls *calls, void *arg)
{
	s->calls = calls;
	s->arg = arg;
	if (stream_has_input(s))
		s->news |= NEWS_READABLE;
	if (s->has_ended)
		s->news |= NEWS_ENDED;
	ask_turn(s);
}

void stream_start_tls_server(struct stream *s, struct tls_context *context)
{
	link_start_tls_server(&s->link, context);
	leave_plaintext(s);
}

void stream_start_tls_client(struct stream *s, struct tls_context *context,
    const struct tls_requirement *requirement, const char *peer)
{
	link_start_tls_client(&s->link, context, requirement, peer);
	leave_plaintext(s);
}

static void leave_plaintext(struct stream *s)
{
	s->news &= ~(unsigned)NEWS_READABLE;
	evbuffer_drain(s->in, evbuffer_get_length(s->in));
	evbuffer_add_buffer(s->plain_out, s->out);
	ask_turn(s);
}

/* ---- what wakes a stream ---------------------------------------------------------------------- */

static void on_readable(int fd, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	s->input_due = true;
	if (s->link.write_wants_read)
		s->is_blocked = false;
	take_turn(s);
}

static void on_writable(int fd, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	s->is_blocked = false;
	if (s->link.read_wants_write)
		s->input_due = true;
	take_turn(s);
}

static void on_soon(void *arg)
{
	take_turn(arg);
}

static void on_linger(void *arg)
{
	struct stream *s = arg;

	s->is_dead = true;
	take_turn(s);
}

/* The owner took something: there is room to read on, perhaps from what TLS has read ahead. */
static void on_input_changed(
    struct evbuffer *buffer, const struct evbuffer_cb_info *change, void *arg)
{
	struct stream *s = arg;

	(void)buffer;
	if (change->n_deleted > 0 && !s->watches_read && may_read(s))
		ask_turn(s);
}

static void on_output_changed(
    struct evbuffer *buffer, const struct evbuffer_cb_info *change, void *arg)
{
	struct stream *s = arg;

	(void)buffer;
	if (change->n_added > 0 && !s->is_blocked)
		ask_turn(s);
}

/* A turn that is under way looks at everything once more before it ends. */
static void ask_turn(struct stream *s)
{
	if (!s->in_turn && !timer_is_set(s->soon))
		timer_set(s->soon, 0);
}

/* ---- the turn --------------------------------------------------------------------------------- */

static void take_turn(struct stream *s)
{
	s->in_turn = true;
	if (s->link.phase == LINK_FLUSHING)
		give_output(s);
	if (s->link.phase == LINK_SHAKING)
		shake(s);
	take_input(s);
	tell(s);
	give_output(s);
	tell(s);
	if (s->is_closing)
		wind_up(s);
	s->in_turn = false;
	if (s->is_dead)
		release(s);
	else
		arm(s);
}

static void shake(struct stream *s)
{
	if (!link_shake(&s->link, &s->secured))
		return;
	if (s->link.phase == LINK_SECURE) {
		s->input_due = true;
		s->is_blocked = false;
	}
	s->news |= NEWS_SECURED;
}

static void take_input(struct stream *s)
{
	while (s->input_due && !s->is_dead && may_read(s)) {
		char bytes[READ_MAX];
		size_t n;
		enum link_result result = link_read(&s->link, bytes, room_for_input(s), &n);

		if (n > 0)
			keep_input(s, bytes, n);
		explicit_bzero(bytes, n);
		s->input_due = result == LINK_MORE;
		switch (result) {
		case LINK_MORE:
		case LINK_DRY:
		case LINK_BLOCKED: break;
		case LINK_CLOSED: end(s, STREAM_END_CLEAN, s->link.why); break;
		case LINK_TRUNCATED: end(s, STREAM_END_TRUNCATED, s->link.why); break;
		case LINK_FAILED: end(s, STREAM_END_ERROR, s->link.why); break;
		}
	}
}

static bool may_read(const struct stream *s)
{
	if (s->has_ended || !link_is_open(&s->link))
		return false;
	if (s->is_closing)
		return true;
	return s->calls != NULL && evbuffer_get_length(s->in) < STREAM_READ_LIMIT;
}

static size_t room_for_input(const struct stream *s)
{
	size_t room = STREAM_READ_LIMIT - evbuffer_get_length(s->in);

	return s->is_closing || room > READ_MAX ? READ_MAX : room;
}

static void keep_input(struct stream *s, const char *bytes, size_t n)
{
	s->n_received += n;
	if (s->is_closing) {
		s->n_discarded += n;
		if (s->n_discarded > DISCARD_MAX)
			s->is_dead = true;
		return;
	}
	evbuffer_add(s->in, bytes, n);
	s->news |= NEWS_READABLE;
}

static void give_output(struct stream *s)
{
	bool is_flushing = s->link.phase == LINK_FLUSHING;
	struct evbuffer *out = is_flushing ? s->plain_out : s->out;
	bool had_some = evbuffer_get_length(out) > 0;

	if (s->is_dead || s->is_blocked || s->write_failed)
		return;
	if (!is_flushing && !link_is_open(&s->link))
		return;
	switch (link_write(&s->link, out)) {
	case LINK_DRY: break;
	case LINK_BLOCKED: s->is_blocked = true; return;
	case LINK_MORE:
	case LINK_CLOSED:
	case LINK_TRUNCATED:
	case LINK_FAILED: lose_output(s, s->link.why); return;
	}
	if (is_flushing)
		shake(s);
	else if (had_some)
		s->news |= NEWS_DRAINED;
}

/* What the peer said before it stopped listening, a refusal most likely, is read before the end. */
static void lose_output(struct stream *s, const char *why)
{
	char kept[sizeof s->end_text];

	snprintf(kept, sizeof kept, "%s", why);
	s->write_failed = true;
	evbuffer_drain(s->out, evbuffer_get_length(s->out));
	evbuffer_drain(s->plain_out, evbuffer_get_length(s->plain_out));
	if (s->link.phase == LINK_FLUSHING) {
		outcome_say(
		    &s->secured, 454, "4.7.5", "tls-handshake", "TLS handshake failed: %s", kept);
		s->link.phase = LINK_BROKEN;
		s->news |= NEWS_SECURED;
		return;
	}
	s->input_due = true;
	take_input(s);
	if (!s->has_ended || s->end != STREAM_END_ERROR) {
		s->has_ended = false;
		end(s, STREAM_END_ERROR, kept);
	}
}

static void end(struct stream *s, enum stream_end how, const char *why)
{
	s->has_ended = true;
	s->end = how;
	snprintf(s->end_text, sizeof s->end_text, "%s", why);
	s->news |= NEWS_ENDED;
}

/* In the order in which things happened. A call may change the calls, close or destroy the stream. */
static void tell(struct stream *s)
{
	if (take_news(s, NEWS_SECURED) && s->calls->secured != NULL) {
		struct outcome outcome = s->secured;

		s->calls->secured(s, &outcome, s->arg);
	}
	if (take_news(s, NEWS_READABLE) && s->calls->readable != NULL)
		s->calls->readable(s, s->arg);
	if (take_news(s, NEWS_DRAINED) && s->calls->drained != NULL && stream_n_unsent(s) == 0)
		s->calls->drained(s, s->arg);
	if (take_news(s, NEWS_ENDED) && s->calls->ended != NULL)
		s->calls->ended(s, s->end, s->arg);
}

static bool take_news(struct stream *s, unsigned what)
{
	if (s->is_dead || s->calls == NULL || (s->news & what) == 0)
		return false;
	s->news &= ~what;
	return true;
}

/* After stream_close(): when all is said, say so, and wait for the peer to close as well. */
static void wind_up(struct stream *s)
{
	bool can_talk = link_is_open(&s->link) && !s->write_failed &&
			!(s->has_ended && s->end != STREAM_END_CLEAN);

	if (!can_talk) {
		s->is_dead = true;
		return;
	}
	if (stream_n_unsent(s) > 0)
		return;
	if (!s->said_goodbye) {
		if (link_say_goodbye(&s->link) == LINK_BLOCKED) {
			s->is_blocked = true;
			return;
		}
		s->said_goodbye = true;
	}
	if (s->has_ended)
		s->is_dead = true;
}

static void arm(struct stream *s)
{
	const struct link *link = &s->link;
	bool is_shaking = link->phase == LINK_SHAKING;
	bool reads = is_shaking ? link->shake_wants == TLS_STEP_WANT_READ
				: may_read(s) || link->write_wants_read;
	bool writes = is_shaking
			  ? link->shake_wants == TLS_STEP_WANT_WRITE
			  : (s->is_blocked && !link->write_wants_read) || link->read_wants_write;

	if (reads != s->watches_read)
		(reads ? watch_on : watch_off)(s->readable);
	if (writes != s->watches_write)
		(writes ? watch_on : watch_off)(s->writable);
	s->watches_read = reads;
	s->watches_write = writes;

	/* Things that no descriptor will wake us for. */
	if ((s->input_due && may_read(s)) || (s->news != 0 && s->calls != NULL) ||
	    (link->phase == LINK_FLUSHING && !s->is_blocked) ||
	    (!is_shaking && link->phase != LINK_BROKEN && !s->is_blocked && !s->write_failed &&
		evbuffer_get_length(s->out) > 0))
		ask_turn(s);
}

/* ---- the end ---------------------------------------------------------------------------------- */

void stream_close(struct stream **stream, int64_t linger_ms, loop_call *gone, void *arg)
{
	struct stream *s = *stream;

	*stream = NULL;
	s->calls = NULL;
	s->news = 0;
	s->is_closing = true;
	s->gone = gone;
	s->gone_arg = arg;
	s->input_due = true;
	evbuffer_drain(s->in, evbuffer_get_length(s->in));
	timer_set(s->linger, linger_ms);
	loop_host(s->loop, &s->stay, on_loop_end, s);
	s->is_guest = true;
	ask_turn(s);
}

/* Whom gone would tell has gone before. */
static void on_loop_end(void *arg)
{
	struct stream *s = arg;

	s->is_guest = false;
	s->gone = NULL;
	stream_destroy(&s);
}

void stream_destroy(struct stream **stream)
{
	struct stream *s = *stream;

	*stream = NULL;
	if (s == NULL)
		return;
	s->is_dead = true;
	s->calls = NULL;
	if (!s->in_turn)
		release(s);
}

static void release(struct stream *s)
{
	loop_call *gone = s->gone;
	void *arg = s->gone_arg;

	if (s->is_guest)
		loop_leave(&s->stay);
	watch_destroy(&s->readable);
	watch_destroy(&s->writable);
	timer_destroy(&s->soon);
	timer_destroy(&s->linger);
	evbuffer_free(s->in);
	evbuffer_free(s->out);
	evbuffer_free(s->plain_out);
	link_finish(&s->link);
	free(s);
	if (gone != NULL)
		gone(arg);
}

/* ---- small questions -------------------------------------------------------------------------- */

struct evbuffer *stream_input(struct stream *s)
{
	return s->in;
}

bool stream_has_input(const struct stream *s)
{
	return evbuffer_get_length(s->in) > 0;
}

bool stream_is_silent(const struct stream *s)
{
	char byte;

	return !stream_has_input(s) && !s->has_ended &&
	       recv(stream_fd(s), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == -1 &&
	       errno == EAGAIN;
}

struct evbuffer *stream_output(struct stream *s)
{
	return s->out;
}

void stream_send(struct stream *s, const void *bytes, size_t n)
{
	evbuffer_add(s->out, bytes, n);
}

size_t stream_n_unsent(const struct stream *s)
{
	return evbuffer_get_length(s->plain_out) + evbuffer_get_length(s->out);
}

const struct tls_evidence *stream_evidence(const struct stream *s)
{
	return s->link.phase == LINK_SECURE ? tls_session_evidence(s->link.tls) : NULL;
}

const struct tls_evidence *stream_presented(const struct stream *s)
{
	return s->link.tls != NULL ? tls_session_evidence(s->link.tls) : NULL;
}

void stream_judge(const struct stream *s, const struct tls_requirement *requirement,
    struct tls_evidence *evidence, struct outcome *verdict)
{
	assert(link_is_open(&s->link));
	if (s->link.phase == LINK_SECURE) {
		tls_session_judge(s->link.tls, requirement, evidence, verdict);
		return;
	}
	if (evidence != NULL)
		*evidence = (struct tls_evidence){ .achieved = TLS_NONE };
	outcome_ok(verdict);
	if (!tls_requirement_allows_plaintext(requirement))
		outcome_say(verdict, 454, "4.7.4", "starttls-missing",
		    "The connection is in plaintext, and tls=%s by %s does not accept that",
		    tls_level_name(requirement->level), tls_demand_words(requirement->demand));
}

const char *stream_end_text(const struct stream *s)
{
	return s->end_text;
}

uint64_t stream_n_received(const struct stream *s)
{
	return s->n_received;
}

int stream_fd(const struct stream *s)
{
	return s->link.fd;
}
