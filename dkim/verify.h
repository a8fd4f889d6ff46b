/*
 * Judges one seal of a whole message, given the key record (RFC 6376 6.1). Asks nobody: the caller
 * brings the record. Stricter than RFC 6376 where that protects: rsa-sha1 and short keys are not
 * believed (RFC 8301), l= is not believed (RFC 6376 8.2).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dkim/signature.h"
#include "relay/base/buffer.h"

/* X(symbol, word) */
#define DKIM_VERDICTS(X)                                                                           \
	X(DKIM_PASS, "pass")                                                                       \
	X(DKIM_NO_SIGNATURE, "no such signature in the message")                                   \
	X(DKIM_BAD_MESSAGE, "not a message")                                                       \
	X(DKIM_BAD_SIGNATURE, "the DKIM-Signature field is broken")                                \
	X(DKIM_BAD_RECORD, "the key record can't be used")                                         \
	X(DKIM_EXPIRED, "the seal has expired or is not valid yet")                                \
	X(DKIM_BODY_CHANGED, "the body was changed")                                               \
	X(DKIM_HEADER_CHANGED, "the header was changed or the key is another")

enum dkim_verdict {
#define X(symbol, word) symbol,
	DKIM_VERDICTS(X)
#undef X
};

const char *dkim_verdict_name(enum dkim_verdict verdict);

struct dkim_result {
	enum dkim_verdict verdict;
	char text[DKIM_ERROR_MAX]; /* one line: the verdict and its cause; may hold peer's bytes */
};

/*
 * The DKIM-Signature fields from the top, which from 0. The signature points into message.
 * False with the reason in result: DKIM_BAD_MESSAGE, DKIM_NO_SIGNATURE or DKIM_BAD_SIGNATURE.
 */
bool dkim_verify_find(struct slice message, size_t which, struct dkim_signature *signature,
    struct dkim_result *result);

/* now_s is the wall clock, for t= and x=. True if the verdict is DKIM_PASS. */
bool dkim_verify(struct slice message, size_t which, struct slice record, int64_t now_s,
    struct dkim_result *result);
