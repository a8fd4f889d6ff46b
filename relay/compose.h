/*
 * The header block that leaves: the client's, with our trace field on top, what is missing added,
 * and what must not travel taken out. All that stays is byte-identical and in its order. Sealing
 * comes after; nothing changes the header but sign.
 *
 * Added: Received; Date and Message-ID if there is none (RFC 6409 8).
 * Taken out: Bcc and Resent-Bcc (RFC 5322 3.6.3), Return-Path (RFC 5321 4.4: only final delivery
 * writes it), Authentication-Results in our name (RFC 8601 5), and every DKIM-Signature: one that
 * nobody verified does not leave under our seal.
 * Kept: Received and Delivered-To, because loops are detected by them.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"

struct header;

enum { COMPOSE_MESSAGE_ID_MAX = 256 };

struct compose_facts {
	const char *hostname;    /* ours */
	const char *client_name; /* of EHLO; a name that is an address, or none, is not repeated */
	const char *tls_version; /* "TLSv1.3" */
	const char *tls_cipher;  /* "TLS_AES_256_GCM_SHA384" */
	const char *queue_id;
	int64_t now_s; /* wall clock */
};

/*
 * Appends the block and its empty line to out, whose maximum the caller chose. message_id becomes
 * the Message-ID for logs and the spool, "<...>", printable, cut if need be. *why is filled either
 * way; false with 552 5.3.4 header-too-large when out is full.
 */
bool compose_header(const struct compose_facts *facts, const struct header *header,
    struct buffer *out, char message_id[COMPOSE_MESSAGE_ID_MAX], struct outcome *why);
