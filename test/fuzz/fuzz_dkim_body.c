/*
 * The hash of a body does not depend on how it was cut into pieces, and the canonical form of a
 * canonical form is itself. Input: simple or relaxed, how to cut, the body.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dkim/body_hash.h"
#include "relay/base/buffer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void keep(void *arg, const void *bytes, size_t n)
{
	buffer_add(arg, bytes, n);
}

static void hash_in_pieces(enum dkim_canonical how, const uint8_t *body, size_t n, size_t piece,
    uint8_t digest[DKIM_DIGEST_SIZE])
{
	struct dkim_body_hash *hash = dkim_body_hash_create(how);

	for (size_t at = 0; at < n; at += piece)
		dkim_body_hash_update(hash, body + at, n - at < piece ? n - at : piece);
	dkim_body_hash_finish(hash, digest);
	dkim_body_hash_destroy(&hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t whole[DKIM_DIGEST_SIZE], pieces[DKIM_DIGEST_SIZE], again[DKIM_DIGEST_SIZE];
	struct dkim_canonical_body body;
	enum dkim_canonical how;
	struct buffer canonical;

	if (size < 2)
		return 0;
	how = data[0] % 2 == 0 ? DKIM_SIMPLE : DKIM_RELAXED;
	hash_in_pieces(how, data + 2, size - 2, size, whole);
	hash_in_pieces(how, data + 2, size - 2, (size_t)data[1] % 7 + 1, pieces);
	assert(memcmp(whole, pieces, sizeof whole) == 0);

	buffer_init(&canonical, size + 2);
	dkim_canonical_body_init(&body, how, keep, &canonical);
	dkim_canonical_body_update(&body, (const char *)data + 2, size - 2);
	dkim_canonical_body_finish(&body);
	assert(!canonical.overflowed);
	hash_in_pieces(how, (const uint8_t *)buffer_text(&canonical), canonical.n, size, again);
	assert(memcmp(whole, again, sizeof whole) == 0);
	buffer_finish(&canonical);
	return 0;
}
