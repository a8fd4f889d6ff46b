/*
 * The two ways a message can be sealed (RFC 8301 3, RFC 8463 3). rsa-sha1 is not among them:
 * nobody may sign with it or believe it any more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* X(symbol, name in a=, name of the key type in k=) */
#define DKIM_ALGORITHMS(X)                                                                         \
	X(DKIM_RSA_SHA256, "rsa-sha256", "rsa")                                                    \
	X(DKIM_ED25519_SHA256, "ed25519-sha256", "ed25519")

enum dkim_algorithm {
#define X(symbol, name, key) symbol,
	DKIM_ALGORITHMS(X)
#undef X
};

enum {
	DKIM_DIGEST_SIZE = 32,      /* SHA-256, of the body and of the header */
	DKIM_RSA_BITS_LEAST = 1024, /* RFC 8301 3.2: below it, verifiers don't believe */
	DKIM_RSA_BITS_MOST = 4096,  /* above it, verifiers need not understand */
	DKIM_ED25519_SIZE = 32,     /* bytes of a public key, RFC 8032 5.1.5 */
	DKIM_SIGNATURE_MAX = 512, /* RSA-4096, the largest that verifiers must know: RFC 8301 3.2 */
	DKIM_ERROR_MAX = 512,     /* room for any text the room makes about something going wrong */
	DKIM_SELECTOR_MAX = 254,  /* 253 letters and the NUL */
};

/* "rsa-sha256" */
const char *dkim_algorithm_name(enum dkim_algorithm algorithm);

/* "rsa" */
const char *dkim_algorithm_key_type(enum dkim_algorithm algorithm);

/*
 * May this be a selector? Letters, digits and inner hyphens in labels separated by dots (RFC 6376
 * 3.1). Nothing else may reach a header field, a DNS name or a file name.
 */
bool dkim_selector_is_valid(const char *text, size_t n);
