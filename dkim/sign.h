/*
 * Makes a DKIM-Signature field in two halves, because the key lives in another process: first the
 * field without its value and the digest to be signed, then the whole field around the signature.
 * Always c=relaxed/relaxed, the fields of dkim/select.h, and never l=: a seal covers all or it is
 * none (RFC 6376 8.2).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dkim/algorithm.h"
#include "relay/base/buffer.h"

struct dkim_seal {
	const char *domain;   /* d=: canonical, A-labels */
	const char *selector; /* s= */
	enum dkim_algorithm algorithm;
	int64_t time_s;           /* t=: the wall clock now, never later than now */
	const uint8_t *body_hash; /* DKIM_DIGEST_SIZE bytes of the relaxed body */
};

/*
 * header is the final header block, CRLF lines, with or without the empty line at its end; what is
 * added or changed afterwards breaks the seal (but other DKIM-Signature fields may be added on top).
 * On success *field is an allocated text "DKIM-Signature: ... b=" without a CRLF at its end, and
 * digest is what the key signs: RSASSA-PKCS1-v1_5 with SHA-256 over it, or PureEdDSA of these bytes.
 * -1 with a text in error (room bytes) if the block can't be sealed: it is not a header block, it
 * has no From field, or the domain or selector is none.
 */
int dkim_sign_prepare(const struct dkim_seal *seal, struct slice header, char **field,
    uint8_t digest[DKIM_DIGEST_SIZE], char *error, size_t room);

/*
 * The whole field, CRLF at its end, to be put at the top of the header block. Allocated. Lines are
 * at most 78 letters (RFC 5322 2.1.1) unless a domain or selector alone is longer; every fold is
 * CRLF and a space.
 */
char *dkim_sign_finish(const char *field, const uint8_t *signature, size_t n_signature);
