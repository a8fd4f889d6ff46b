/*
 * A list, because a domain has two keys and most servers a few domains.
 */
#include "dkim/keyring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "relay/base/mem.h"

struct held_key {
	char *domain;
	char *selector;
	struct dkim_key *key;
};

struct dkim_keyring {
	struct held_key *keys;
	size_t n;
};

static struct held_key *find(
    const struct dkim_keyring *ring, const char *domain, const char *selector);

struct dkim_keyring *dkim_keyring_create(void)
{
	return mem_create(sizeof(struct dkim_keyring));
}

void dkim_keyring_add(
    struct dkim_keyring *ring, const char *domain, const char *selector, struct dkim_key *key)
{
	struct held_key *held = find(ring, domain, selector);

	if (held != NULL) {
		dkim_key_destroy(&held->key);
		held->key = key;
		return;
	}
	ring->keys = mem_resize(ring->keys, ring->n + 1, sizeof *ring->keys);
	ring->keys[ring->n++] =
	    (struct held_key){ mem_copy_text(domain), mem_copy_text(selector), key };
}

const struct dkim_key *dkim_keyring_find(
    const struct dkim_keyring *ring, const char *domain, const char *selector)
{
	const struct held_key *held = find(ring, domain, selector);

	return held == NULL ? NULL : held->key;
}

/* A thousand comparisons cost a hundredth of the signature that follows. */
static struct held_key *find(
    const struct dkim_keyring *ring, const char *domain, const char *selector)
{
	for (size_t i = 0; i < ring->n; i++) {
		if (strcmp(ring->keys[i].domain, domain) == 0 &&
		    strcasecmp(ring->keys[i].selector, selector) == 0)
			return &ring->keys[i];
	}
	return NULL;
}

size_t dkim_keyring_n(const struct dkim_keyring *ring)
{
	return ring->n;
}

struct dkim_keyring_entry dkim_keyring_at(const struct dkim_keyring *ring, size_t i)
{
	const struct held_key *held = &ring->keys[i];

	return (struct dkim_keyring_entry){ held->domain, held->selector, held->key };
}

int dkim_keyring_sign(const struct dkim_keyring *ring, const char *domain, const char *selector,
    const uint8_t digest[DKIM_DIGEST_SIZE], uint8_t signature[DKIM_SIGNATURE_MAX],
    size_t *n_signature, char *error, size_t room)
{
	const struct dkim_key *key = dkim_keyring_find(ring, domain, selector);

	if (key == NULL) {
		snprintf(error, room,
		    "the keeper has no key for domain \"%.253s\" and selector "
		    "\"%.253s\"",
		    domain, selector);
		return -1;
	}
	return dkim_key_sign(key, digest, signature, n_signature, error, room);
}

void dkim_keyring_destroy(struct dkim_keyring **ring)
{
	if (*ring == NULL)
		return;
	for (size_t i = 0; i < (*ring)->n; i++) {
		free((*ring)->keys[i].domain);
		free((*ring)->keys[i].selector);
		dkim_key_destroy(&(*ring)->keys[i].key);
	}
	free((*ring)->keys);
	free(*ring);
	*ring = NULL;
}
