/*
 * A web server on a loopback address, in a thread of its own, that shows the certificate and says the
 * words a test wants. One connection at a time.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "test/unit/tls/forge.h"

enum web_trick {
	WEB_ANSWERS,
	WEB_DRIPS,    /* a byte each 20 ms */
	WEB_SILENT,   /* nothing after the request */
	WEB_NO_TLS,   /* the words in plaintext, at once */
	WEB_CUTS,     /* the end of TLS is missing */
	WEB_TLS_1_1,  /* speaks nothing newer */
	WEB_NO_SHAKE, /* takes the connection, and that is all */
};

struct web;

/* chain as for forge_write(): what is shown, NULL-terminated; it must live on. */
struct web *web_start(const char *address, const struct forged *const *chain);
void web_stop(struct web **web);
uint16_t web_port(const struct web *web);

void web_show(struct web *web, const struct forged *const *chain);

/* From the next connection on; the words are copied. */
void web_say(struct web *web, enum web_trick trick, const void *words, size_t n);

/* "HTTP/1.1 200 OK", text/plain, and this content. */
void web_say_content(struct web *web, const char *content);

size_t web_n_requests(struct web *web);

/* The last request as it came, and the name asked for by SNI; to be freed. */
char *web_last_request(struct web *web);
char *web_last_name(struct web *web);
