/*
 * What a web server must show, for a library that has its TLS from OpenSSL too and speaks it itself
 * (libcurl): here is the part that only OpenSSL can be told.
 */
#pragma once

#include <stdbool.h>

#include "tls/context.h"

/*
 * ssl_ctx is an SSL_CTX that verifies its peers: from now on it believes the authorities of context (a
 * client's, and loaded) and nobody else, a peer's certificate must have host, canonical, among its DNS
 * names (RFC 8461 3.3: a DNS-ID, so the common name never counts), and TLS 1.2 is the least. *ended,
 * which must outlive the connection, becomes true when the peer says that nothing more comes: what ends
 * otherwise may have been cut off. False if OpenSSL refuses.
 */
bool tls_webpki_demand(struct tls_context *context, void *ssl_ctx, const char *host, bool *ended);
