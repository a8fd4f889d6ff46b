/*
 * What the keeper holds: keys by domain and selector. Domains are canonical, selectors compare
 * without regard to case as the DNS names they are part of.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dkim/key.h"

struct dkim_keyring;

struct dkim_keyring_entry {
	const char *domain;
	const char *selector;
	const struct dkim_key *key;
};

struct dkim_keyring *dkim_keyring_create(void);
void dkim_keyring_destroy(struct dkim_keyring **ring);

/* Takes the key over; one that had the same domain and selector is destroyed. */
void dkim_keyring_add(
    struct dkim_keyring *ring, const char *domain, const char *selector, struct dkim_key *key);

/* NULL if there is none. */
const struct dkim_key *dkim_keyring_find(
    const struct dkim_keyring *ring, const char *domain, const char *selector);

/* In the order they were added; what at gives is valid until the next add. */
size_t dkim_keyring_n(const struct dkim_keyring *ring);
struct dkim_keyring_entry dkim_keyring_at(const struct dkim_keyring *ring, size_t i);

/* -1 with a text in error: no such key, or dkim_key_sign() failed. */
int dkim_keyring_sign(const struct dkim_keyring *ring, const char *domain, const char *selector,
    const uint8_t digest[DKIM_DIGEST_SIZE], uint8_t signature[DKIM_SIGNATURE_MAX],
    size_t *n_signature, char *error, size_t room);
