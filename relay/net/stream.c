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
#include <sys/uio.h>
#include <unistd.h>

#include "relay/base/mem.h"

enum {
	RECORD_MAX = 16 * 1024, /* RFC 8446 5.1: as much as one TLS record holds */
	PIECES_MAX = 16,
	DISCARD_MAX = 1024 * 1024, /* of what a peer still says after we have closed */
};

enum phase {
	PHASE_PLAIN,
	PHASE_FLUSHING, /* the last plaintext goes out before the handshake */
	PHASE_SHAKING,
	PHASE_SECURE,
	PHASE_BROKEN, /* nothing can be said any more */
};

/* What the owner has not been told yet. */
enum { NEWS_SECURED = 1, NEWS_READABLE = 2, NEWS_DRAINED = 4, NEWS_ENDED = 8 };

struct stream {
	int fd;
	struct loop *loop;
	struct watch *readable, *writable;
	struct timer *soon, *linger;
	const struct stream_calls *calls;
	void *arg;

	enum phase phase;
	struct tls_session *tls;
	enum tls_step shake_wants;
	struct outcome secured;

	struct evbuffer *in, *out;
	struct evbuffer *plain_out; /* while flushing */
	size_t read_limit;
	uint64_t n_received, n_sent;

	unsigned news;
	bool in_turn, is_dead; /* dead: freed when the turn ends */
	bool is_paused;
	bool input_due;  /* reading may bring something; until it would block */
	bool is_blocked; /* writing waits for the kernel */
	bool write_wants_read, read_wants_write; /* TLS: rare, but legal */
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

static void start_tls(struct stream *s, struct tls_session *tls);
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
static void shake(struct stream *s);
static void take_input(struct stream *s);
static bool may_read(const struct stream *s);
static bool read_plain(struct stream *s, size_t room);
static bool read_secure(struct stream *s, size_t room);
static void keep_input(struct stream *s, const char *bytes, size_t n);
static void give_output(struct stream *s);
static void write_plain(struct stream *s, struct evbuffer *out);
static void write_secure(struct stream *s);
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

	s->fd = fd;
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
	s->read_limit = STREAM_READ_LIMIT;
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
	start_tls(s, tls_session_create_server(context, s->fd));
}

void stream_start_tls_client(struct stream *s, struct tls_context *context,
    const struct tls_requirement *requirement, const char *peer)
{
	start_tls(s, tls_session_create_client(context, s->fd, requirement, peer));
}

static void start_tls(struct stream *s, struct tls_session *tls)
{
	assert(s->phase == PHASE_PLAIN);
	s->tls = tls;
	s->phase = PHASE_FLUSHING;
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
	if (s->write_wants_read)
		s->is_blocked = false;
	take_turn(s);
}

static void on_writable(int fd, void *arg)
{
	struct stream *s = arg;

	(void)fd;
	s->is_blocked = false;
	if (s->read_wants_write)
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
	if (s->phase == PHASE_FLUSHING)
		give_output(s);
	if (s->phase == PHASE_SHAKING)
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
	s->shake_wants = tls_session_handshake(s->tls);
	switch (s->shake_wants) {
	case TLS_STEP_WANT_READ:
	case TLS_STEP_WANT_WRITE: return;
	case TLS_STEP_DONE:
		s->phase = PHASE_SECURE;
		s->input_due = true;
		s->is_blocked = false;
		break;
	case TLS_STEP_CLOSED:
	case TLS_STEP_TRUNCATED:
	case TLS_STEP_FAILED: s->phase = PHASE_BROKEN; break;
	}
	s->secured = *tls_session_outcome(s->tls);
	s->news |= NEWS_SECURED;
}

static void take_input(struct stream *s)
{
	while (s->input_due && !s->is_dead && may_read(s)) {
		size_t room = RECORD_MAX;

		if (!s->is_closing && room > s->read_limit - evbuffer_get_length(s->in))
			room = s->read_limit - evbuffer_get_length(s->in);
		s->input_due =
		    s->phase == PHASE_SECURE ? read_secure(s, room) : read_plain(s, room);
	}
}

static bool may_read(const struct stream *s)
{
	if (s->has_ended || (s->phase != PHASE_PLAIN && s->phase != PHASE_SECURE))
		return false;
	if (s->is_closing)
		return true;
	return s->calls != NULL && !s->is_paused && evbuffer_get_length(s->in) < s->read_limit;
}

/* False when there is no more for now: a short read saves the call that would say so. */
static bool read_plain(struct stream *s, size_t room)
{
	char bytes[RECORD_MAX];
	ssize_t n = recv(s->fd, bytes, room, 0);

	if (n > 0) {
		keep_input(s, bytes, (size_t)n);
		return (size_t)n == room;
	}
	if (n == 0)
		end(s, STREAM_END_CLEAN, "lost connection");
	else if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
		end(s, STREAM_END_ERROR, strerror(errno));
	return false;
}

static bool read_secure(struct stream *s, size_t room)
{
	char bytes[RECORD_MAX];
	size_t n;

	s->read_wants_write = false;
	switch (tls_session_read(s->tls, bytes, room, &n)) {
	case TLS_STEP_DONE:
		keep_input(s, bytes, n);
		return n == room || tls_session_has_pending(s->tls);
	case TLS_STEP_WANT_READ: return false;
	case TLS_STEP_WANT_WRITE: s->read_wants_write = true; return false;
	case TLS_STEP_CLOSED: end(s, STREAM_END_CLEAN, "lost connection"); return false;
	case TLS_STEP_TRUNCATED:
		end(s, STREAM_END_TRUNCATED, "lost connection without a TLS close_notify");
		return false;
	case TLS_STEP_FAILED:
		end(s, STREAM_END_ERROR, tls_session_outcome(s->tls)->text);
		return false;
	}
	return false;
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
	bool had_some = evbuffer_get_length(s->out) > 0;

	if (s->is_dead || s->is_blocked || s->write_failed)
		return;
	switch (s->phase) {
	case PHASE_FLUSHING:
		write_plain(s, s->plain_out);
		if (s->phase == PHASE_FLUSHING && evbuffer_get_length(s->plain_out) == 0) {
			s->phase = PHASE_SHAKING;
			shake(s);
		}
		return;
	case PHASE_PLAIN: write_plain(s, s->out); break;
	case PHASE_SECURE: write_secure(s); break;
	case PHASE_SHAKING:
	case PHASE_BROKEN: return;
	}
	if (had_some && evbuffer_get_length(s->out) == 0 && !s->write_failed)
		s->news |= NEWS_DRAINED;
}

/* MSG_NOSIGNAL, which evbuffer_write() cannot: a peer that has gone is no reason to die. */
static void write_plain(struct stream *s, struct evbuffer *out)
{
	struct evbuffer_iovec pieces[PIECES_MAX];
	struct msghdr message = { .msg_iov = pieces };
	ssize_t n;
	int n_pieces;

	while (evbuffer_get_length(out) > 0) {
		n_pieces = evbuffer_peek(out, -1, NULL, pieces, PIECES_MAX);
		message.msg_iovlen = (size_t)(n_pieces < PIECES_MAX ? n_pieces : PIECES_MAX);
		n = sendmsg(s->fd, &message, MSG_NOSIGNAL);
		if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR)) {
			s->is_blocked = true;
			return;
		}
		if (n < 0) {
			lose_output(s, strerror(errno));
			return;
		}
		s->n_sent += (size_t)n;
		evbuffer_drain(out, (size_t)n);
	}
}

/* A record is filled as far as the output goes; after "wants" it only grows, as OpenSSL demands. */
static void write_secure(struct stream *s)
{
	size_t n;

	s->write_wants_read = false;
	while ((n = evbuffer_get_length(s->out)) > 0) {
		if (n > RECORD_MAX)
			n = RECORD_MAX;
		switch (tls_session_write(s->tls, evbuffer_pullup(s->out, (ev_ssize_t)n), n, &n)) {
		case TLS_STEP_DONE:
			s->n_sent += n;
			evbuffer_drain(s->out, n);
			break;
		case TLS_STEP_WANT_READ:
			s->write_wants_read = true;
			s->is_blocked = true;
			return;
		case TLS_STEP_WANT_WRITE: s->is_blocked = true; return;
		case TLS_STEP_CLOSED:
		case TLS_STEP_TRUNCATED:
		case TLS_STEP_FAILED: lose_output(s, tls_session_outcome(s->tls)->text); return;
		}
	}
}

/* What the peer said before it stopped listening, a refusal most likely, is read before the end. */
static void lose_output(struct stream *s, const char *why)
{
	char kept[sizeof s->end_text];

	snprintf(kept, sizeof kept, "%s", why);
	s->write_failed = true;
	evbuffer_drain(s->out, evbuffer_get_length(s->out));
	evbuffer_drain(s->plain_out, evbuffer_get_length(s->plain_out));
	if (s->phase == PHASE_FLUSHING) {
		outcome_say(
		    &s->secured, 454, "4.7.5", "tls-handshake", "TLS handshake failed: %s", kept);
		s->phase = PHASE_BROKEN;
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
	bool can_talk = (s->phase == PHASE_PLAIN || s->phase == PHASE_SECURE) && !s->write_failed &&
			!(s->has_ended && s->end != STREAM_END_CLEAN);

	if (!can_talk) {
		s->is_dead = true;
		return;
	}
	if (stream_n_unsent(s) > 0)
		return;
	if (!s->said_goodbye) {
		if (s->tls != NULL && tls_session_shutdown(s->tls) == TLS_STEP_WANT_WRITE) {
			s->is_blocked = true;
			return;
		}
		s->said_goodbye = true;
		shutdown(s->fd, SHUT_WR);
	}
	if (s->has_ended)
		s->is_dead = true;
}

static void arm(struct stream *s)
{
	bool reads = s->phase == PHASE_SHAKING ? s->shake_wants == TLS_STEP_WANT_READ
					       : may_read(s) || s->write_wants_read;
	bool writes = s->phase == PHASE_SHAKING
			  ? s->shake_wants == TLS_STEP_WANT_WRITE
			  : (s->is_blocked && !s->write_wants_read) || s->read_wants_write;

	if (reads != s->watches_read)
		(reads ? watch_on : watch_off)(s->readable);
	if (writes != s->watches_write)
		(writes ? watch_on : watch_off)(s->writable);
	s->watches_read = reads;
	s->watches_write = writes;

	/* Things that no descriptor will wake us for. */
	if ((s->input_due && may_read(s)) || (s->news != 0 && s->calls != NULL) ||
	    (s->phase == PHASE_FLUSHING && !s->is_blocked) ||
	    (s->phase != PHASE_SHAKING && s->phase != PHASE_BROKEN && !s->is_blocked &&
		!s->write_failed && evbuffer_get_length(s->out) > 0))
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
	tls_session_destroy(&s->tls);
	watch_destroy(&s->readable);
	watch_destroy(&s->writable);
	timer_destroy(&s->soon);
	timer_destroy(&s->linger);
	evbuffer_free(s->in);
	evbuffer_free(s->out);
	evbuffer_free(s->plain_out);
	close(s->fd);
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

void stream_set_read_limit(struct stream *s, size_t size_bytes)
{
	assert(size_bytes > 0);
	s->read_limit = size_bytes;
	ask_turn(s);
}

void stream_pause(struct stream *s)
{
	s->is_paused = true;
	ask_turn(s);
}

void stream_resume(struct stream *s)
{
	s->is_paused = false;
	s->input_due = true;
	ask_turn(s);
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
	return s->phase == PHASE_SECURE ? tls_session_evidence(s->tls) : NULL;
}

void stream_judge(const struct stream *s, const struct tls_requirement *requirement,
    struct tls_evidence *evidence, struct outcome *verdict)
{
	assert(s->phase == PHASE_PLAIN || s->phase == PHASE_SECURE);
	if (s->phase == PHASE_SECURE) {
		tls_session_judge(s->tls, requirement, evidence, verdict);
		return;
	}
	if (evidence != NULL)
		*evidence = (struct tls_evidence){ .achieved = TLS_NONE };
	outcome_ok(verdict);
	if (!tls_requirement_allows_plaintext(requirement))
		outcome_say(verdict, 454, "4.7.4", "starttls-missing",
		    "The connection is in plaintext, and tls=%s by %s rule does not accept that",
		    tls_level_name(requirement->level), tls_demand_name(requirement->demand));
}

const char *stream_end_text(const struct stream *s)
{
	return s->end_text;
}

uint64_t stream_n_received(const struct stream *s)
{
	return s->n_received;
}

uint64_t stream_n_sent(const struct stream *s)
{
	return s->n_sent;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}
