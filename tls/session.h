/*
 * One TLS connection over a connected, non-blocking socket, which it does not own. Every call does
 * what can be done now and says what it waits for. On the client's side the handshake is done only
 * when the server has also shown what the requirement asks: there is no way to write to a server
 * that was not judged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "tls/context.h"
#include "tls/evidence.h"
#include "tls/requirement.h"

struct tls_session;

enum tls_step {
	TLS_STEP_DONE,       /* it happened: *n bytes, or the handshake, or the close */
	TLS_STEP_WANT_READ,  /* call again when the socket is readable */
	TLS_STEP_WANT_WRITE, /* call again when the socket is writable */
	TLS_STEP_CLOSED,     /* the peer said close_notify: all it sent has arrived */
	TLS_STEP_TRUNCATED,  /* the connection ended without it: something may be missing */
	TLS_STEP_FAILED,     /* tls_session_outcome() says why; nothing more will work */
};

/*
 * Both return at once. The context outlives the session; requirement and peer are copied. Where peer
 * ("mx.example[192.0.2.1]:25") is not NULL a session before it, with the same peer and an equal
 * requirement, may be resumed: then the certificates that were shown there are judged again.
 */
struct tls_session *tls_session_create_server(struct tls_context *context, int fd);
struct tls_session *tls_session_create_client(struct tls_context *context, int fd,
    const struct tls_requirement *requirement, const char *peer);
void tls_session_destroy(struct tls_session **session);

/* DONE, WANT_* or FAILED. A connection that ends in mid-handshake has FAILED. */
enum tls_step tls_session_handshake(struct tls_session *s);

/* At most room bytes, *n of them with DONE. Read until it wants: it reads ahead of what it gives. */
enum tls_step tls_session_read(struct tls_session *s, void *bytes, size_t room, size_t *n);

/* True if bytes have been read from the socket already, of which it will not wake anybody. */
bool tls_session_has_pending(const struct tls_session *s);

/*
 * Takes *n <= size bytes with DONE. After WANT_* the next write must begin with the same bytes, which
 * may have moved and may be followed by more. After FAILED reading may still give what the peer had sent before.
 */
enum tls_step tls_session_write(struct tls_session *s, const void *bytes, size_t size, size_t *n);

/* Sends close_notify; does not wait for the peer's. DONE, WANT_WRITE or FAILED. */
enum tls_step tls_session_shutdown(struct tls_session *s);

/*
 * Holds what the server has shown against another requirement, as if the handshake had been for it:
 * the same verifier, the same verdicts. evidence (may be NULL) is that of the session with the new
 * verdict in it. For a session whose handshake is done; asks nothing of the peer.
 */
void tls_session_judge(const struct tls_session *s, const struct tls_requirement *requirement,
    struct tls_evidence *evidence, struct outcome *verdict);

/* Complete once the handshake is done; after a failed verdict it tells what was presented. */
const struct tls_evidence *tls_session_evidence(const struct tls_session *s);

/*
 * Why a call FAILED: always a temporary 4.7.x, whose text tells what was presented and what was
 * required, with a stable name:
 *	tls-handshake		the handshake did not come to an end
 *	tls-connection		the connection broke later
 *	tls-no-certificate	a certificate was needed and none was shown
 *	tls-ca-file		our own CA file cannot be used
 *	partner-tls-name	the certificate has none of the required names
 *	partner-tls-untrusted	no authority we believe, or none of those pinned, vouches for it
 *	partner-tls-expired	it, or one above it, is not valid today
 *	fingerprint-mismatch	certificates and keys are pinned, and it is none of them
 *	dane-mismatch		no TLSA record matches
 *	dane-tls-name		one does, of usage 2, and the certificate has none of the names
 *	dane-tls-expired	likewise, and something in the chain is not valid today
 *	dane-tls-untrusted	one does, and the chain is not sound, or its keys are too weak
 *	dane-missing		dane-only, and there are no usable TLSA records
 * The three partner-tls names begin with "sts-" instead of "partner-" where the level is mta-sts
 * (sts-tls-name, sts-tls-untrusted, sts-tls-expired), and with neither (tls-name...) where the demand
 * is not a partner rule's.
 */
const struct outcome *tls_session_outcome(const struct tls_session *s);
