/*
 * What the files of this room share, and nobody else may see: the only header with OpenSSL in it.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "tls/evidence.h"
#include "tls/requirement.h"

enum { TLS_CA_FILES_MAX = 256 };

struct tls_ca {
	char *path;
	X509_STORE *store;
};

struct tls_context {
	SSL_CTX *ctx;
	BIO_METHOD *transport;
	char *ca_file;      /* the default; NULL on the server's side */
	struct tls_ca *cas; /* those read so far */
	size_t n_cas;
};

/* A socket under OpenSSL, without SIGPIPE. */
struct transport {
	int fd;
	int error; /* errno of the call that failed; 0 */
	bool at_end;
};

BIO_METHOD *transport_method(void);

/* The authorities of a file, or of the context's own; NULL, and a sentence in error. */
X509_STORE *context_find_ca(
    struct tls_context *context, const char *ca_file, char *error, size_t room);

/* The most telling of OpenSSL's queued errors, in its words; the queue is emptied. "" if none. */
void openssl_take_error(char *text, size_t room);

/*
 * Before the handshake: what the requirement means for this connection. False, and the refusal, if
 * it cannot be met whatever the server shows.
 */
bool judge_prepare(SSL *ssl, struct tls_context *context, const struct tls_requirement *r,
    struct outcome *refusal);

/* After it: everything into evidence, and the verdict. */
void judge_server(SSL *ssl, const struct tls_requirement *r, struct tls_evidence *evidence,
    struct outcome *verdict);

/* What a server of ours can tell of a client. */
void collect_evidence(SSL *ssl, struct tls_evidence *evidence);
