/*
 * The hash that goes into bh=: SHA-256 over the canonical body, while the body streams by. Memory
 * stays the same whatever the size; pieces may end anywhere, between CR and LF too.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dkim/algorithm.h"
#include "dkim/canonical.h"

struct dkim_body_hash;

struct dkim_body_hash *dkim_body_hash_create(enum dkim_canonical how);
void dkim_body_hash_destroy(struct dkim_body_hash **hash);

/* Body bytes as they go on the wire: CRLF lines, not dot-stuffed, without the header's empty line. */
void dkim_body_hash_update(struct dkim_body_hash *hash, const void *bytes, size_t n);

/* Once, after the last byte; then only destroy. */
void dkim_body_hash_finish(struct dkim_body_hash *hash, uint8_t digest[DKIM_DIGEST_SIZE]);
