/*
 * A connected TCP stream, in plaintext and later in TLS, between two buffers on our loop. What is
 * put into the output goes out when the loop turns, all of it in as few writes and TLS records as
 * hold it; what arrives stands in the input until it is taken.
 *
 * What has left a buffer is wiped: it may have been a password.
 *
 * Calls come from the loop only, never from inside a function of this file. In any of them the stream
 * may be destroyed. Time limits are the owner's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/net/loop.h"
#include "tls/session.h"

struct evbuffer;
struct stream;

enum stream_end {
	STREAM_END_CLEAN,     /* the peer closed: FIN in plaintext, close_notify in TLS */
	STREAM_END_TRUNCATED, /* TLS, and the connection ended without close_notify */
	STREAM_END_ERROR,     /* reset, or broken TLS; stream_end_text() */
};

/* Each may be NULL. */
struct stream_calls {
	/* There is more in stream_input() than before. Not called again for bytes left there. */
	void (*readable)(struct stream *stream, void *arg);

	/* The last of the output has been handed to the kernel. */
	void (*drained)(struct stream *stream, void *arg);

	/* The handshake ended: ok, or why not; then the stream is good for nothing but the end. */
	void (*secured)(struct stream *stream, const struct outcome *outcome, void *arg);

	/*
	 * Nothing more will arrive; called once, after readable for what came before. Unless it was an
	 * error, output can still be sent.
	 */
	void (*ended)(struct stream *stream, enum stream_end end, void *arg);
};

enum { STREAM_READ_LIMIT = 64 * 1024 }; /* bytes in the input: then the kernel keeps the rest */

/*
 * Owns fd from now on, which is connected and non-blocking. Reads nothing before the first
 * stream_set_calls().
 */
struct stream *stream_create(struct loop *loop, int fd);

/*
 * Who is told from now on. If input is already there (or the end), readable (or ended) is called
 * again. With NULL nothing is read either, and an end is not noticed.
 */
void stream_set_calls(struct stream *stream, const struct stream_calls *calls, void *arg);

/* Closes at once; output not yet sent is lost. */
void stream_destroy(struct stream **stream);

/*
 * The stream is no more the owner's: no calls come. It sends the rest of the output, says
 * close_notify and FIN, discards what arrives (so that no reset overtakes our last reply), and goes
 * when the peer has closed or after linger_ms. gone (may be NULL) is called from the loop when it has.
 */
void stream_close(struct stream **stream, int64_t linger_ms, loop_call *gone, void *arg);

/* Take from it; reading goes on by itself when it holds less than STREAM_READ_LIMIT. */
struct evbuffer *stream_input(struct stream *stream);
bool stream_has_input(const struct stream *stream);

/* Nothing has come that was not taken, no end either, not even what the loop has yet to read. */
bool stream_is_silent(const struct stream *stream);

/* Put into it; it is sent when the loop turns. */
struct evbuffer *stream_output(struct stream *stream);
void stream_send(struct stream *stream, const void *bytes, size_t n);
size_t stream_n_unsent(const struct stream *stream);

/*
 * Sends what is in the output in plaintext, throws away plaintext input that was read already
 * (RFC 3207 4.2), and shakes hands; then secured is called. Output added meanwhile waits for it, and
 * is never sent if it fails. A client must first ask stream_has_input(): a server that talks before
 * the handshake is not to be trusted with more than a defer.
 */
void stream_start_tls_server(struct stream *stream, struct tls_context *context);

/* peer ("mx.example[192.0.2.1]:25") and the requirement name the sessions that may be resumed. */
void stream_start_tls_client(struct stream *stream, struct tls_context *context,
    const struct tls_requirement *requirement, const char *peer);

/* NULL until the handshake succeeded, and for plaintext. */
const struct tls_evidence *stream_evidence(const struct stream *stream);

/* The same after a handshake that failed too: what was presented, as far as it went. */
const struct tls_evidence *stream_presented(const struct stream *stream);

/*
 * tls_session_judge() for its session. In plaintext ok if the requirement allows that, otherwise
 * 4.7.4 [starttls-missing]; evidence then says achieved=none. Not while a handshake is under way, nor
 * after it failed.
 */
void stream_judge(const struct stream *stream, const struct tls_requirement *requirement,
    struct tls_evidence *evidence, struct outcome *verdict);

/* After ended: "lost connection", "Connection reset by peer"... */
const char *stream_end_text(const struct stream *stream);

/* Bytes of content that came since the start, for least rates. */
uint64_t stream_n_received(const struct stream *stream);

int stream_fd(const struct stream *stream);
