/*
 * Keeper and road in one function.
 */
#include "seal.h"

#include <stdlib.h>

#include "dkim/body_hash.h"
#include "dkim/sign.h"

char *seal_message(const struct dkim_key *key, const char *domain, const char *selector,
    int64_t time_s, struct slice header, struct slice body, size_t *n, char *error)
{
	uint8_t hash_of_body[DKIM_DIGEST_SIZE], digest[DKIM_DIGEST_SIZE];
	struct dkim_body_hash *hash = dkim_body_hash_create(DKIM_RELAXED);
	uint8_t signature[DKIM_SIGNATURE_MAX];
	struct buffer message;
	char *field, *whole;
	size_t n_signature;
	struct dkim_seal seal = {
		.domain = domain,
		.selector = selector,
		.algorithm = dkim_key_algorithm(key),
		.time_s = time_s,
		.body_hash = hash_of_body,
	};

	dkim_body_hash_update(hash, body.bytes, body.n);
	dkim_body_hash_finish(hash, hash_of_body);
	dkim_body_hash_destroy(&hash);
	if (dkim_sign_prepare(&seal, header, &field, digest, error, DKIM_ERROR_MAX) != 0)
		return NULL;
	if (dkim_key_sign(key, digest, signature, &n_signature, error, DKIM_ERROR_MAX) != 0) {
		free(field);
		return NULL;
	}
	whole = dkim_sign_finish(field, signature, n_signature);
	buffer_init(&message, SIZE_MAX / 2);
	buffer_add_text(&message, whole);
	buffer_add(&message, header.bytes, header.n);
	buffer_add(&message, body.bytes, body.n);
	free(whole);
	free(field);
	*n = message.n;
	return buffer_take(&message);
}
