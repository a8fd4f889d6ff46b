/*
 * One call of OpenSSL, and the only place that decides what its failure means.
 */
#include "dkim/digest.h"

#include <stdlib.h>

#include <openssl/evp.h>

void dkim_digest(const void *bytes, size_t n, uint8_t digest[DKIM_DIGEST_SIZE])
{
	/* Fails only when memory does, and then we stop as everywhere. */
	if (EVP_Digest(bytes, n, digest, NULL, EVP_sha256(), NULL) != 1)
		abort();
}
