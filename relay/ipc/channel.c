#include "relay/ipc/channel.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/base/wire.h"
#include "relay/net/loop.h"

enum {
	RETRY_MS = 20,  /* when the kernel is short of memory or of descriptors in flight */
	HEAD_BYTES = 8, /* length of the fields, type, whether a descriptor comes along */
	READ_BYTES = 65536,
	CHUNK_BYTES = 65536,
	FRAME_MAX = 4194304 + HEAD_BYTES, /* the largest message of the table */
	UNSENT_MAX = 64 << 20,
	FDS_MAX = 64, /* received and not yet asked for by a frame */
};

/* Bytes to send; a descriptor travels with the first of them. */
struct chunk {
	TAILQ_ENTRY(chunk) link;
	struct buffer bytes;
	size_t n_sent;
	int fd;
};

struct channel {
	int fd;
	struct watch *readable, *writable;
	struct timer *flush; /* gathers what one turn of the loop sends into one write */
	channel_message *message;
	channel_closed *closed;
	void *arg;
	TAILQ_HEAD(chunk_list, chunk) unsent;
	size_t n_unsent;
	struct buffer in;
	int fds[FDS_MAX]; /* -1: one that could not be received */
	size_t n_fds;
	bool is_lost;
	bool is_deaf;    /* the other end reads no more; what it said last is still to be read */
	bool *destroyed; /* set while a handler runs, so that it may destroy us */
};

static void on_readable(int fd, void *arg);
static void on_writable(int fd, void *arg);
static void on_flush(void *arg);

struct channel *channel_create(
    struct loop *loop, int fd, channel_message *message, channel_closed *closed, void *arg)
{
	struct channel *c = mem_create(sizeof *c);

	c->fd = fd;
	TAILQ_INIT(&c->unsent);
	buffer_init_secret(&c->in, FRAME_MAX + READ_BYTES);
	c->readable = watch_create(loop, fd, WATCH_READ, on_readable, c);
	c->writable = watch_create(loop, fd, WATCH_WRITE, on_writable, c);
	c->flush = timer_create_in(loop, on_flush, c);
	channel_set_owner(c, message, closed, arg);
	watch_on(c->readable);
	return c;
}

void channel_destroy(struct channel **channel)
{
	struct channel *c = *channel;
	struct chunk *chunk;

	if (c == NULL)
		return;
	*channel = NULL;
	if (c->destroyed != NULL)
		*c->destroyed = true;
	while ((chunk = TAILQ_FIRST(&c->unsent)) != NULL) {
		TAILQ_REMOVE(&c->unsent, chunk, link);
		if (chunk->fd >= 0)
			close(chunk->fd);
		buffer_finish(&chunk->bytes);
		free(chunk);
	}
	for (size_t i = 0; i < c->n_fds; i++) {
		if (c->fds[i] >= 0)
			close(c->fds[i]);
	}
	buffer_finish(&c->in);
	watch_destroy(&c->readable);
	watch_destroy(&c->writable);
	timer_destroy(&c->flush);
	close(c->fd);
	free(c);
}

void channel_set_owner(
    struct channel *c, channel_message *message, channel_closed *closed, void *arg)
{
	c->message = message;
	c->closed = closed;
	c->arg = arg;
}

/* ---- sending ---- */

/* Frames without a descriptor share a chunk; one with a descriptor begins its own. */
static struct chunk *chunk_for(struct channel *c, int fd)
{
	struct chunk *chunk = TAILQ_LAST(&c->unsent, chunk_list);

	if (chunk != NULL && fd < 0 && chunk->bytes.n < CHUNK_BYTES)
		return chunk;
	chunk = mem_create(sizeof *chunk);
	buffer_init_secret(&chunk->bytes, FRAME_MAX + CHUNK_BYTES);
	chunk->fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
	TAILQ_INSERT_TAIL(&c->unsent, chunk, link);
	return chunk;
}

/* Not told from inside a call: the closed callback comes from the loop. */
static void lose(struct channel *c, const char *why)
{
	if (c->is_lost)
		return;
	log_debug("a channel between our processes is closed: %s", why);
	c->is_lost = true;
	watch_off(c->readable);
	watch_off(c->writable);
	timer_set(c->flush, 0);
}

void channel_send(struct channel *c, const struct ipc_message *m)
{
	struct chunk *chunk;
	struct buffer *b;
	size_t start, n;

	assert((m->fd >= 0) <= ipc_type_has_fd(m->type));
	if (c->is_lost || c->is_deaf)
		return;
	chunk = chunk_for(c, m->fd);
	b = &chunk->bytes;
	start = b->n;
	wire_put_u32(b, 0);
	wire_put_u8(b, (uint8_t)m->type);
	wire_put_u8(b, chunk->fd >= 0 && start == 0);
	wire_put_u8(b, 0);
	wire_put_u8(b, 0);
	/* What does not fit its own table is a bug of ours, not the peer's. */
	if (!ipc_message_encode(m, b)) {
		log_error("a %s message is larger than its maximum", ipc_type_name(m->type));
		abort();
	}
	n = b->n - start - HEAD_BYTES;
	for (int i = 0; i < 4; i++)
		b->bytes[start + (size_t)i] = (char)(n >> (24 - 8 * i));
	c->n_unsent += n + HEAD_BYTES;
	if (c->n_unsent > UNSENT_MAX) {
		lose(c, "the other end takes nothing");
		return;
	}
	if (!timer_is_set(c->flush))
		timer_set(c->flush, 0);
}

enum sent { SENT, SENT_NOT_YET, SENT_LATER, SENT_NEVER };

static enum sent why_not_sent(int error)
{
	switch (error) {
	case EAGAIN:
	case EINTR: return SENT_NOT_YET;
	case ENOBUFS:
	case ENOMEM:
	case ETOOMANYREFS: return SENT_LATER; /* the peer lives, and is owed all of it */
	default: return SENT_NEVER;
	}
}

static enum sent send_chunk(struct channel *c, struct chunk *chunk)
{
	union {
		char room[CMSG_SPACE(sizeof(int))];
		struct cmsghdr align;
	} control = { 0 };
	struct iovec bytes = { chunk->bytes.bytes + chunk->n_sent, chunk->bytes.n - chunk->n_sent };
	struct msghdr message = { .msg_iov = &bytes, .msg_iovlen = 1 };
	ssize_t n;

	if (chunk->fd >= 0) {
		struct cmsghdr *head;

		message.msg_control = control.room;
		message.msg_controllen = sizeof control.room;
		head = CMSG_FIRSTHDR(&message);
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &chunk->fd, sizeof(int));
	}
	n = sendmsg(c->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	if (n < 0)
		return why_not_sent(errno);
	if (chunk->fd >= 0) {
		close(chunk->fd);
		chunk->fd = -1;
	}
	chunk->n_sent += (size_t)n;
	c->n_unsent -= (size_t)n;
	return chunk->n_sent == chunk->bytes.n ? SENT : SENT_NOT_YET;
}

static void flush(struct channel *c)
{
	struct chunk *chunk;

	while ((chunk = TAILQ_FIRST(&c->unsent)) != NULL) {
		switch (send_chunk(c, chunk)) {
		case SENT: break;
		case SENT_NOT_YET: watch_on(c->writable); return;
		case SENT_LATER:
			watch_off(c->writable);
			timer_set(c->flush, RETRY_MS);
			return;
		case SENT_NEVER:
			c->is_deaf = true;
			watch_off(c->writable);
			return;
		}
		TAILQ_REMOVE(&c->unsent, chunk, link);
		buffer_finish(&chunk->bytes);
		free(chunk);
	}
	watch_off(c->writable);
}

static void on_flush(void *arg)
{
	struct channel *c = arg;

	if (c->is_lost)
		c->closed(c->arg, c);
	else
		flush(c);
}

static void on_writable(int fd, void *arg)
{
	(void)fd;
	flush(arg);
}

/* ---- receiving ---- */

/*
 * A descriptor for which this process has no number left is lost on the way (MSG_CTRUNC). Its place
 * is kept, so that its frame comes without one, and the next frame does not get another's.
 */
static void keep_descriptors(struct channel *c, struct msghdr *message)
{
	if (CMSG_FIRSTHDR(message) == NULL && (message->msg_flags & MSG_CTRUNC) != 0) {
		log_error("a descriptor could not be received: too many open files");
		if (c->n_fds < FDS_MAX)
			c->fds[c->n_fds++] = -1;
	}
	for (struct cmsghdr *h = CMSG_FIRSTHDR(message); h != NULL; h = CMSG_NXTHDR(message, h)) {
		size_t n = (h->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (h->cmsg_level != SOL_SOCKET || h->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			int fd;

			memcpy(&fd, CMSG_DATA(h) + i * sizeof(int), sizeof fd);
			if (c->n_fds < FDS_MAX)
				c->fds[c->n_fds++] = fd;
			else
				close(fd);
		}
	}
}

static bool receive(struct channel *c)
{
	union {
		char room[CMSG_SPACE(4 * sizeof(int))];
		struct cmsghdr align;
	} control;
	char bytes[READ_BYTES];
	struct iovec into = { bytes, sizeof bytes };
	struct msghdr message = { .msg_iov = &into,
		.msg_iovlen = 1,
		.msg_control = control.room,
		.msg_controllen = sizeof control.room };
	ssize_t n = recvmsg(c->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	bool fits;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return true;
	if (n <= 0) {
		lose(c, n == 0 ? "the other end is gone" : strerror(errno));
		return false;
	}
	keep_descriptors(c, &message);
	fits = buffer_add(&c->in, bytes, (size_t)n);
	explicit_bzero(bytes, (size_t)n);
	if (!fits)
		lose(c, "a frame is too long");
	return fits;
}

/* False if there is no whole frame at `from`, or it is none of ours. */
static bool next_frame(struct channel *c, size_t from, struct ipc_message *m, size_t *n_frame)
{
	struct wire_reader r;
	uint32_t length;
	bool has_fd;

	wire_reader_init(&r, c->in.bytes + from, c->in.n - from);
	length = wire_get_u32(&r);
	*m = (struct ipc_message){ .type = (enum ipc_type)wire_get_u8(&r), .fd = -1 };
	has_fd = wire_get_u8(&r) != 0;
	wire_get_u8(&r);
	wire_get_u8(&r);
	if (r.failed)
		return false;
	if (m->type >= IPC_N_TYPES || length > ipc_type_most_bytes(m->type) ||
	    (has_fd && !ipc_type_has_fd(m->type))) {
		lose(c, "a frame is not of our table");
		return false;
	}
	if (r.left < length)
		return false;
	if ((has_fd && c->n_fds == 0) || !ipc_message_decode(m, r.at, length)) {
		lose(c, "a frame does not decode");
		return false;
	}
	if (has_fd) {
		m->fd = c->fds[0];
		memmove(c->fds, c->fds + 1, --c->n_fds * sizeof c->fds[0]);
	}
	*n_frame = HEAD_BYTES + length;
	return true;
}

static void on_readable(int fd, void *arg)
{
	struct channel *c = arg;
	struct ipc_message m;
	bool destroyed = false;
	size_t from = 0, n_frame;

	(void)fd;
	if (!receive(c))
		return;
	c->destroyed = &destroyed;
	while (!c->is_lost && next_frame(c, from, &m, &n_frame)) {
		from += n_frame;
		c->message(c->arg, c, &m);
		if (m.fd >= 0)
			close(m.fd);
		ipc_message_finish(&m);
		if (destroyed)
			return;
	}
	c->destroyed = NULL;
	if (from > 0)
		buffer_drop_front(&c->in, from);
}

int channel_make_pair(int ends[2])
{
	return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends);
}
