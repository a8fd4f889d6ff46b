/*
 * The mail that a TLS report travels in (RFC 8460 5.3): a multipart/report of a part for people and
 * the compressed report. 7 bit, CRLF. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/tls_report.h"

enum {
	TLSRPT_FILE_NAME_MAX = 640,
	TLSRPT_HEADER_MAX = 8 * 1024,      /* enough for the header buffer */
	TLSRPT_BODY_MAX = 4 * 1024 * 1024, /* enough for the body buffer */
	TLSRPT_GZIP_MAX = 1900 * 1024,     /* of the compressed report; a larger one isn't sent */
};

struct tlsrpt_mail_facts {
	const struct tls_report *report;
	uint64_t number;       /* of the report; part of the file's name */
	const char *domain;    /* about which it is */
	struct slice gzip;     /* the report, compressed */
	const char *from, *to; /* addresses */
	const char *hostname;  /* ours */
	const char *queue_id;  /* of the mail */
	int64_t now_s;         /* wall clock */
};

/* The domain of "contact-info": TLS-Report-Submitter must be the same (RFC 8460 5.3). */
const char *tlsrpt_submitter(const struct tls_report *report);

/* "SUBMITTER!DOMAIN!START!END!NUMBER.json.gz", RFC 8460 5.1 */
void tlsrpt_file_name(const struct tls_report *report, const char *domain, uint64_t number,
    char name[TLSRPT_FILE_NAME_MAX]);

/* Appends the header block with its empty line, and the body. False only if a buffer is too small. */
bool tlsrpt_mail_write(
    const struct tlsrpt_mail_facts *facts, struct buffer *header, struct buffer *body);
