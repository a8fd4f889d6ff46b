/*
 * What a certificate in a file says of itself, for who looks after it: no chain is built, nobody is
 * believed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "tls/context.h"

struct tls_certificate {
	char subject[128];   /* its DNS names, or its common name; printable, cut */
	int64_t not_after_s; /* wall clock; 0 if that is no date */
	bool
	    is_authority; /* may vouch for others (RFC 5280 4.2.1.9), or is one of old that says nothing */
};

/* False if it is none. */
bool tls_certificate_read(const uint8_t *der, size_t n, struct tls_certificate *certificate);

/* The server's own, and whether it is for this name. */
void tls_certificate_own(const struct tls_context *server, const char *name,
    struct tls_certificate *certificate, bool *is_for_name);
