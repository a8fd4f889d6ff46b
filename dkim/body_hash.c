/*
 * The canonical body goes straight into OpenSSL's SHA-256; nothing is kept of it.
 */
#include "dkim/body_hash.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/evp.h>

#include "relay/base/mem.h"

struct dkim_body_hash {
	EVP_MD_CTX *sha256;
	struct dkim_canonical_body body;
	bool is_finished;
};

static dkim_canonical_sink add;

struct dkim_body_hash *dkim_body_hash_create(enum dkim_canonical how)
{
	struct dkim_body_hash *hash = mem_create(sizeof *hash);

	/* These fail only when memory does, and then we stop as everywhere. */
	hash->sha256 = EVP_MD_CTX_new();
	if (hash->sha256 == NULL || EVP_DigestInit_ex(hash->sha256, EVP_sha256(), NULL) != 1)
		abort();
	dkim_canonical_body_init(&hash->body, how, add, hash);
	return hash;
}

void dkim_body_hash_update(struct dkim_body_hash *hash, const void *bytes, size_t n)
{
	assert(!hash->is_finished);
	dkim_canonical_body_update(&hash->body, bytes, n);
}

static void add(void *arg, const void *bytes, size_t n)
{
	struct dkim_body_hash *hash = arg;

	if (EVP_DigestUpdate(hash->sha256, bytes, n) != 1)
		abort();
}

void dkim_body_hash_finish(struct dkim_body_hash *hash, uint8_t digest[DKIM_DIGEST_SIZE])
{
	assert(!hash->is_finished);
	hash->is_finished = true;
	dkim_canonical_body_finish(&hash->body);
	if (EVP_DigestFinal_ex(hash->sha256, digest, NULL) != 1)
		abort();
}

void dkim_body_hash_destroy(struct dkim_body_hash **hash)
{
	if (*hash == NULL)
		return;
	EVP_MD_CTX_free((*hash)->sha256);
	free(*hash);
	*hash = NULL;
}
