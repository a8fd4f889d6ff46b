/*
 * What a web server must show, for a library that has its TLS from OpenSSL too and speaks it itself
 * (libcurl): here is the part that only OpenSSL can be told.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* How many certificates a PEM text holds that can be read; those of a CA file. */
size_t tls_webpki_count(const char *pem, size_t n);

/*
 * ssl_ctx is an SSL_CTX that verifies its peers: from now on a peer's certificate must also have host,
 * canonical, among its DNS names (RFC 8461 3.3: a DNS-ID, so the common name never counts), and
 * TLS 1.2 is the least. *ended, which must outlive the connection, becomes true when the peer says that
 * nothing more comes: what ends otherwise may have been cut off. False if OpenSSL refuses.
 */
bool tls_webpki_demand(void *ssl_ctx, const char *host, bool *ended);
