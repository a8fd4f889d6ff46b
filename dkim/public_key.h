/*
 * A published key: the text of a TXT record at SELECTOR._domainkey.DOMAIN (RFC 6376 3.6.1), with
 * the strings of the record joined.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dkim/algorithm.h"
#include "relay/base/buffer.h"

struct dkim_public_key;

/*
 * NULL with a text in why (room bytes): not a key record, revoked (p= empty), not for mail, not for
 * SHA-256, a key type we don't know, RSA below 1024 bits or above 4096.
 */
struct dkim_public_key *dkim_public_key_parse(struct slice record, char *why, size_t room);
void dkim_public_key_destroy(struct dkim_public_key **key);

enum dkim_algorithm dkim_public_key_algorithm(const struct dkim_public_key *key);
bool dkim_public_key_forbids_subdomains(const struct dkim_public_key *key); /* t=s */

bool dkim_public_key_verify(const struct dkim_public_key *key,
    const uint8_t digest[DKIM_DIGEST_SIZE], const uint8_t *signature, size_t n_signature);
