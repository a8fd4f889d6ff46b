/*
 * A private key: read once, kept as OpenSSL wants it, forgotten with its memory overwritten. Its
 * type says the algorithm. Only the keeper and the key commands ever hold one.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dkim/algorithm.h"
#include "relay/base/buffer.h"

struct dkim_key;

/*
 * Reads a PEM file (PKCS#8 or PKCS#1, not encrypted). NULL with a text in remark (room bytes) that
 * says what is wrong, with which file, and what to do: not there, readable by everybody or writable
 * by its group, not a key, an RSA key below 1024 bits (RFC 8301 3.2) or above 4096. With a key,
 * remark is "" or a warning: an RSA key below 2048 bits.
 */
struct dkim_key *dkim_key_load(const char *path, char *remark, size_t room);

/* The same of a text that is already here; name is what remarks call it. */
struct dkim_key *dkim_key_parse(struct slice pem, const char *name, char *remark, size_t room);

/* A new key: RSA of 2048 bits, or Ed25519. */
struct dkim_key *dkim_key_generate(enum dkim_algorithm algorithm);

void dkim_key_destroy(struct dkim_key **key);

/*
 * Writes it as PKCS#8 PEM to a new file of mode 0600, synced; a file that is there already is never
 * overwritten. -1 with a text in error.
 */
int dkim_key_save(const struct dkim_key *key, const char *path, char *error, size_t room);

enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key);

/* -1 with a text in error if the machine fails; never the caller's fault. */
int dkim_key_sign(const struct dkim_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
    uint8_t signature[DKIM_SIGNATURE_MAX], size_t *n_signature, char *error, size_t room);

/*
 * The text of the TXT record to publish, "v=DKIM1; k=rsa; p=...": the key as SubjectPublicKeyInfo
 * for RSA (RFC 6376 3.6.1), as 32 raw bytes for Ed25519 (RFC 8463 4). Allocated.
 */
char *dkim_key_record(const struct dkim_key *key);

/*
 * The same as lines for a zone file, with strings of at most 255 bytes (RFC 1035 3.3.14):
 * SELECTOR._domainkey.DOMAIN. IN TXT ( "..." ). Allocated; ends in a newline.
 */
char *dkim_key_zone_record(const struct dkim_key *key, const char *domain, const char *selector);
