/*
 * Where a domain wants its TLS reports: the TXT record at _smtp._tls.DOMAIN (RFC 8460 3) and the URIs
 * in it. Pure; what strangers publish is bounded here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "smtp/address.h"

enum {
	TLSRPT_URIS_MAX = 4,   /* that a report goes to; further ones are passed over */
	TLSRPT_URI_MAX = 1000, /* with its NUL; a longer one is passed over */
};

enum tlsrpt_record_kind {
	TLSRPT_RECORD_NONE,    /* none, or more than one: no reports are wanted */
	TLSRPT_RECORD_INVALID, /* not by the grammar, or no URI that we can use */
	TLSRPT_RECORD_READ,
};

struct tlsrpt_record {
	char uris[TLSRPT_URIS_MAX][TLSRPT_URI_MAX]; /* as written; printable, no white space */
	size_t n_uris;
};

/* texts: each TXT record with its strings joined. */
enum tlsrpt_record_kind tlsrpt_record_read(
    const char *const *texts, size_t n_texts, struct tlsrpt_record *record);

enum tlsrpt_uri_kind { TLSRPT_URI_UNUSABLE, TLSRPT_URI_MAILTO, TLSRPT_URI_HTTPS };

/* For mailto (RFC 6068), address is filled; its header fields are passed over. */
enum tlsrpt_uri_kind tlsrpt_uri_read(const char *uri, size_t n, struct smtp_address *address);
