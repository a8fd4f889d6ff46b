#include "scripted_peer.h"

#include <arpa/inet.h>
#include <assert.h>
#include <event2/buffer.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/net/listener.h"
#include "relay/net/stream.h"

enum { SESSIONS_MAX = 8 };

struct session {
	struct peer *peer;
	struct stream *stream;
	const char *const *script;
	size_t at;
	bool closes;
};

struct peer {
	struct loop *loop;
	struct tls_context *tls;
	struct listener *listener;
	int fd;
	uint16_t port;
	const char *const *const *scripts;
	struct session sessions[SESSIONS_MAX];
	size_t n_sessions;
	size_t n_lines;
	char problem[400], missing[400]; /* for good; until now */
};

static void on_connection(
    int fd, const struct sockaddr *from, socklen_t n, struct listener *listener, void *arg);
static void on_readable(struct stream *stream, void *arg);
static void on_secured(struct stream *stream, const struct outcome *outcome, void *arg);
static void begin(struct peer *p, int fd, const char *const *script);
static void play(struct session *s);
static void hear(struct session *s, const char *line);
static void reset_connection(struct session *s);

static void on_drained(struct stream *stream, void *arg);

static const struct stream_calls calls = {
	.readable = on_readable, .drained = on_drained, .secured = on_secured
};

struct peer *peer_listen(
    struct loop *loop, struct tls_context *tls, const char *const *const *scripts)
{
	struct peer *p = mem_create(sizeof *p);
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof sin;

	p->loop = loop;
	p->tls = tls;
	p->scripts = scripts;
	p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (bind(p->fd, (struct sockaddr *)&sin, n) != 0 || listen(p->fd, 8) != 0 ||
	    getsockname(p->fd, (struct sockaddr *)&sin, &n) != 0)
		abort();
	p->port = ntohs(sin.sin_port);
	p->listener = listener_create(loop, p->fd, on_connection, p);
	return p;
}

struct peer *peer_on(struct loop *loop, int fd, const char *const *script)
{
	struct peer *p = mem_create(sizeof *p);

	p->loop = loop;
	p->fd = -1;
	begin(p, fd, script);
	return p;
}

uint16_t peer_port(const struct peer *p)
{
	return p->port;
}

static void on_connection(
    int fd, const struct sockaddr *from, socklen_t n, struct listener *listener, void *arg)
{
	struct peer *p = arg;

	(void)from, (void)n, (void)listener;
	if (p->scripts[p->n_sessions] == NULL) {
		snprintf(p->problem, sizeof p->problem, "one connection too many");
		close(fd);
		return;
	}
	begin(p, fd, p->scripts[p->n_sessions]);
}

static void begin(struct peer *p, int fd, const char *const *script)
{
	struct session *s = &p->sessions[p->n_sessions++];

	assert(p->n_sessions < SESSIONS_MAX);
	*s = (struct session){ .peer = p, .script = script };
	s->stream = stream_create(p->loop, fd);
	stream_set_calls(s->stream, &calls, s);
	play(s);
}

/* All that is to be said or done before the next line is heard. */
static void play(struct session *s)
{
	const char *item;

	while (s->stream != NULL && (item = s->script[s->at]) != NULL) {
		if (item[0] == '<' || item[0] == '=' || item[0] == '*')
			return;
		s->at++;
		if (strncmp(item, ">> ", 3) == 0) {
			stream_send(s->stream, item + 3, strlen(item + 3));
		} else if (item[0] == '>') {
			stream_send(s->stream, item + 2, strlen(item + 2));
			stream_send(s->stream, "\r\n", 2);
		} else if (item[0] == 'T') {
			stream_start_tls_server(s->stream, s->peer->tls);
			return;
		} else if (item[0] == '~') {
			stream_set_calls(s->stream, NULL, NULL);
			return;
		} else if (strcmp(item, "!!") == 0) {
			reset_connection(s);
		} else if (stream_n_unsent(s->stream) > 0) {
			s->closes = true; /* when that has left */
			return;
		} else {
			stream_destroy(&s->stream);
		}
	}
}

/* What was said goes first, then the reset. */
static void reset_connection(struct session *s)
{
	const struct linger now = { .l_onoff = 1 };
	char bytes[4096];
	ev_ssize_t n;

	n = evbuffer_remove(stream_output(s->stream), bytes, sizeof bytes);
	if (n > 0 && send(stream_fd(s->stream), bytes, (size_t)n, MSG_NOSIGNAL) != n)
		abort();
	setsockopt(stream_fd(s->stream), SOL_SOCKET, SO_LINGER, &now, sizeof now);
	stream_destroy(&s->stream);
}

static void on_secured(struct stream *stream, const struct outcome *outcome, void *arg)
{
	struct session *s = arg;

	(void)stream;
	if (outcome_is_ok(outcome))
		play(s);
	else
		stream_destroy(&s->stream);
}

static void on_drained(struct stream *stream, void *arg)
{
	struct session *s = arg;

	(void)stream;
	if (s->closes)
		stream_destroy(&s->stream);
}

static void on_readable(struct stream *stream, void *arg)
{
	struct session *s = arg;
	char *line;
	size_t n;

	(void)stream;
	while (s->stream != NULL && (line = evbuffer_readln(stream_input(s->stream), &n,
					 EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
		hear(s, line);
		free(line);
		play(s);
	}
}

static void hear(struct session *s, const char *line)
{
	const char *want = s->script[s->at];
	bool fits;

	if (want != NULL && want[0] == '*') {
		s->peer->n_lines++;
		if (strcmp(line, ".") == 0)
			s->at++;
		return;
	}
	fits = want != NULL && (want[0] == '='      ? strcmp(line, want + 2) == 0
				   : want[0] == '<' ? strncmp(line, want + 2, strlen(want + 2)) == 0
						    : false);
	if (!fits && s->peer->problem[0] == '\0')
		snprintf(s->peer->problem, sizeof s->peer->problem, "wanted \"%s\", heard \"%s\"",
		    want != NULL ? want : "(nothing)", line);
	if (want != NULL)
		s->at++;
}

void peer_say(struct peer *p, const char *text)
{
	stream_send(p->sessions[p->n_sessions - 1].stream, text, strlen(text));
}

const char *peer_problem(struct peer *p)
{
	if (p->problem[0] != '\0')
		return p->problem;
	for (size_t i = 0; i < p->n_sessions; i++) {
		const char *next = p->sessions[i].script[p->sessions[i].at];

		if (next != NULL) {
			snprintf(p->missing, sizeof p->missing,
			    "connection %zu never came to \"%s\"", i + 1, next);
			return p->missing;
		}
	}
	if (p->scripts != NULL && p->scripts[p->n_sessions] != NULL) {
		snprintf(p->missing, sizeof p->missing, "only %zu connections came", p->n_sessions);
		return p->missing;
	}
	return NULL;
}

size_t peer_n_content_lines(const struct peer *p)
{
	return p->n_lines;
}

void peer_destroy(struct peer **peer)
{
	struct peer *p = *peer;

	for (size_t i = 0; i < p->n_sessions; i++)
		stream_destroy(&p->sessions[i].stream);
	listener_destroy(&p->listener);
	if (p->fd >= 0)
		close(p->fd);
	free(p);
	*peer = NULL;
}
