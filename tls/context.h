/*
 * What many TLS connections share: for the server its certificate and key, for the client the
 * certificate authorities it believes and the sessions it may resume. Both speak TLS 1.2 and 1.3
 * (RFC 8996), without compression, renegotiation and early data. The server gives no tickets and keeps
 * no sessions: submission sessions are long, so little is lost.
 */
#pragma once

#include <stddef.h>

struct tls_context;

enum {
	TLS_RESUME_MAX = 256,    /* sessions that a client keeps; some 20 KB each */
	TLS_RESUME_SAME_MAX = 8, /* of them for one peer and one requirement */
	TLS_RESUME_AGE_S =
	    3600, /* from the full handshake: then the certificate is asked for again */
};

/*
 * certificate: PEM, the leaf first and then its chain; key: PEM, without a passphrase. NULL, and in
 * error which file it was and what is wrong with it, in a whole sentence.
 */
struct tls_context *tls_context_create_server(
    const char *certificate, const char *key, char *error, size_t room);

/*
 * ca_file: the authorities for verify, secure and mta-sts where nothing is pinned; PEM. It is read
 * when it is first needed, and then once.
 */
struct tls_context *tls_context_create_client(const char *ca_file);

/*
 * Reads the CA file now, for a process that is about to give up opening files. -1, and a sentence in
 * error, if it cannot be used; it is tried again when it is needed.
 */
int tls_context_load_ca(struct tls_context *context, char *error, size_t room);

/* Only after all its sessions. */
void tls_context_destroy(struct tls_context **context);
