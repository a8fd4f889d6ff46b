/*
 * What a server says in answer to EHLO that it can do (RFC 5321 4.1.1.1). Unknown keywords are
 * passed over, and so is a known one whose parameters make no sense: it is as if not offered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "smtp/reply.h"

/* X(field, keyword) of those without parameters that matter to us. */
#define SMTP_CAPABILITIES(X)                                                                       \
	X(starttls, "STARTTLS")                         /* RFC 3207 */                             \
	X(pipelining, "PIPELINING")                     /* RFC 2920 */                             \
	X(eight_bit_mime, "8BITMIME")                   /* RFC 6152 */                             \
	X(smtputf8, "SMTPUTF8")                         /* RFC 6531 */                             \
	X(dsn, "DSN")                                   /* RFC 3461 */                             \
	X(chunking, "CHUNKING")                         /* RFC 3030 */                             \
	X(binary_mime, "BINARYMIME")                    /* RFC 3030 */                             \
	X(requiretls, "REQUIRETLS")                     /* RFC 8689 */                             \
	X(enhanced_status_codes, "ENHANCEDSTATUSCODES") /* RFC 2034 */

struct smtp_capability {
#define FIELD(field, keyword) bool field;
	SMTP_CAPABILITIES(FIELD)
#undef FIELD
	bool size;         /* RFC 1870: SIZE= may be said */
	uint64_t size_max; /* 0: no limit is known */
	char auth[256];    /* mechanisms, upper case, a space between; "" for none, RFC 4954 */

	/* RFC 9422; 0: not said. A malformed or second LIMITS makes all of them 0. */
	uint64_t mail_max, recipient_max, recipient_domain_max;
};

/* ehlo is whole and positive; its first line is a greeting and is passed over. */
void smtp_capability_read(struct smtp_capability *c, const struct smtp_reply *ehlo);

/* After HELO: a server that can do nothing. */
void smtp_capability_none(struct smtp_capability *c);
