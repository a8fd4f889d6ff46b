#include "relay/net/link.h"

#include <assert.h>
#include <errno.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

enum {
	RECORD_MAX = 16 * 1024, /* RFC 8446 5.1: as much as one TLS record holds */
	PIECES_MAX = 16,
};

static void start_tls(struct link *l, struct tls_session *tls);
static enum link_result read_plain(struct link *l, char *bytes, size_t room, size_t *n);
static enum link_result read_secure(struct link *l, char *bytes, size_t room, size_t *n);
static enum link_result write_plain(struct link *l, struct evbuffer *out);
static enum link_result write_secure(struct link *l, struct evbuffer *out);
static bool would_block(void);
static enum link_result end(struct link *l, enum link_result how, const char *why);

void link_init(struct link *l, int fd)
{
	*l = (struct link){ .fd = fd, .phase = LINK_PLAIN };
}

void link_start_tls_server(struct link *l, struct tls_context *context)
{
	start_tls(l, tls_session_create_server(context, l->fd));
}

void link_start_tls_client(struct link *l, struct tls_context *context,
    const struct tls_requirement *requirement, const char *peer)
{
	start_tls(l, tls_session_create_client(context, l->fd, requirement, peer));
}

static void start_tls(struct link *l, struct tls_session *tls)
{
	assert(l->phase == LINK_PLAIN);
	l->tls = tls;
	l->phase = LINK_FLUSHING;
}

bool link_shake(struct link *l, struct outcome *outcome)
{
	l->phase = LINK_SHAKING;
	l->shake_wants = tls_session_handshake(l->tls);
	switch (l->shake_wants) {
	case TLS_STEP_WANT_READ:
	case TLS_STEP_WANT_WRITE: return false;
	case TLS_STEP_DONE: l->phase = LINK_SECURE; break;
	case TLS_STEP_CLOSED:
	case TLS_STEP_TRUNCATED:
	case TLS_STEP_FAILED: l->phase = LINK_BROKEN; break;
	}
	*outcome = *tls_session_outcome(l->tls);
	return true;
}

bool link_is_open(const struct link *l)
{
	return l->phase == LINK_PLAIN || l->phase == LINK_SECURE;
}

enum link_result link_read(struct link *l, char *bytes, size_t room, size_t *n)
{
	*n = 0;
	return l->phase == LINK_SECURE ? read_secure(l, bytes, room, n)
				       : read_plain(l, bytes, room, n);
}

/* A short read saves the call that would say that there is no more. */
static enum link_result read_plain(struct link *l, char *bytes, size_t room, size_t *n)
{
	ssize_t got = recv(l->fd, bytes, room, 0);

	if (got > 0) {
		*n = (size_t)got;
		return *n == room ? LINK_MORE : LINK_DRY;
	}
	if (got == 0)
		return end(l, LINK_CLOSED, "lost connection");
	return would_block() ? LINK_DRY : end(l, LINK_FAILED, strerror(errno));
}

static enum link_result read_secure(struct link *l, char *bytes, size_t room, size_t *n)
{
	l->read_wants_write = false;
	switch (tls_session_read(l->tls, bytes, room, n)) {
	case TLS_STEP_DONE:
		return *n == room || tls_session_has_pending(l->tls) ? LINK_MORE : LINK_DRY;
	case TLS_STEP_WANT_READ: return LINK_DRY;
	case TLS_STEP_WANT_WRITE: l->read_wants_write = true; return LINK_DRY;
	case TLS_STEP_CLOSED: return end(l, LINK_CLOSED, "lost connection");
	case TLS_STEP_TRUNCATED:
		return end(l, LINK_TRUNCATED, "lost connection without a TLS close_notify");
	case TLS_STEP_FAILED: break;
	}
	return end(l, LINK_FAILED, tls_session_outcome(l->tls)->text);
}

enum link_result link_write(struct link *l, struct evbuffer *out)
{
	return l->phase == LINK_SECURE ? write_secure(l, out) : write_plain(l, out);
}

/* MSG_NOSIGNAL, which evbuffer_write() cannot: a peer that has gone is no reason to die. */
static enum link_result write_plain(struct link *l, struct evbuffer *out)
{
	struct evbuffer_iovec pieces[PIECES_MAX];
	struct msghdr message = { .msg_iov = pieces };
	ssize_t n;
	int n_pieces;

	while (evbuffer_get_length(out) > 0) {
		n_pieces = evbuffer_peek(out, -1, NULL, pieces, PIECES_MAX);
		message.msg_iovlen = (size_t)(n_pieces < PIECES_MAX ? n_pieces : PIECES_MAX);
		n = sendmsg(l->fd, &message, MSG_NOSIGNAL);
		if (n < 0)
			return would_block() ? LINK_BLOCKED : end(l, LINK_FAILED, strerror(errno));
		evbuffer_drain(out, (size_t)n);
	}
	return LINK_DRY;
}

/* A record is filled as far as the output goes; after "wants" it only grows, as OpenSSL demands. */
static enum link_result write_secure(struct link *l, struct evbuffer *out)
{
	size_t n;

	l->write_wants_read = false;
	while ((n = evbuffer_get_length(out)) > 0) {
		if (n > RECORD_MAX)
			n = RECORD_MAX;
		switch (tls_session_write(l->tls, evbuffer_pullup(out, (ev_ssize_t)n), n, &n)) {
		case TLS_STEP_DONE: evbuffer_drain(out, n); break;
		case TLS_STEP_WANT_READ: l->write_wants_read = true; return LINK_BLOCKED;
		case TLS_STEP_WANT_WRITE: return LINK_BLOCKED;
		case TLS_STEP_CLOSED:
		case TLS_STEP_TRUNCATED:
		case TLS_STEP_FAILED: return end(l, LINK_FAILED, tls_session_outcome(l->tls)->text);
		}
	}
	return LINK_DRY;
}

static bool would_block(void)
{
	return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
}

static enum link_result end(struct link *l, enum link_result how, const char *why)
{
	snprintf(l->why, sizeof l->why, "%s", why);
	return how;
}

enum link_result link_say_goodbye(struct link *l)
{
	if (l->tls != NULL && tls_session_shutdown(l->tls) == TLS_STEP_WANT_WRITE)
		return LINK_BLOCKED;
	shutdown(l->fd, SHUT_WR);
	return LINK_DRY;
}

void link_finish(struct link *l)
{
	tls_session_destroy(&l->tls);
	close(l->fd);
}
