/*
 * The record's terms first, then the key in it; what OpenSSL complains of is not passed on.
 */
#include "dkim/public_key.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "dkim/signature.h"
#include "dkim/tags.h"
#include "relay/base/mem.h"

enum {
	KEY_MAX = 2048, /* bytes; RSA-4096 takes 550 */
};

struct dkim_public_key {
	EVP_PKEY *pkey;
	enum dkim_algorithm algorithm;
	bool forbids_subdomains;
};

static bool read_terms(
    const struct dkim_tags *tags, struct dkim_public_key *key, char *why, size_t room);
static bool list_has(const struct dkim_tags *tags, const char *name, const char *word);
static EVP_PKEY *read_key(enum dkim_algorithm algorithm, const uint8_t *bytes, size_t n);
static bool verify_rsa(EVP_PKEY *pkey, const uint8_t *digest, const uint8_t *signature, size_t n);
static bool verify_ed25519(
    EVP_PKEY *pkey, const uint8_t *digest, const uint8_t *signature, size_t n);

struct dkim_public_key *dkim_public_key_parse(struct slice record, char *why, size_t room)
{
	struct dkim_public_key *key = mem_create(sizeof *key);
	const struct dkim_tag *published;
	uint8_t bytes[KEY_MAX];
	struct dkim_tags tags;
	size_t n;
	int bits;

	if (!dkim_tags_parse(record, &tags)) {
		snprintf(why, room, "not a list of tags (RFC 6376 3.6.1)");
		goto fail;
	}
	if (!read_terms(&tags, key, why, room))
		goto fail;
	published = dkim_tags_find(&tags, "p");
	if (published == NULL || published->value.n == 0) {
		snprintf(why, room,
		    published == NULL ? "tag p= is missing" : "p= is empty: the key was revoked");
		goto fail;
	}
	if (dkim_tag_base64(published->value, bytes, sizeof bytes, &n))
		key->pkey = read_key(key->algorithm, bytes, n);
	ERR_clear_error();
	if (key->pkey == NULL) {
		snprintf(why, room, "p= is not a public key of type %s",
		    dkim_algorithm_key_type(key->algorithm));
		goto fail;
	}
	bits = EVP_PKEY_get_bits(key->pkey);
	if (key->algorithm == DKIM_RSA_SHA256 &&
	    (bits < DKIM_RSA_BITS_LEAST || bits > DKIM_RSA_BITS_MOST)) {
		snprintf(why, room, "RSA of %d bits; %d to %d are believed (RFC 8301 3.2)", bits,
		    DKIM_RSA_BITS_LEAST, DKIM_RSA_BITS_MOST);
		goto fail;
	}
	return key;
fail:
	dkim_public_key_destroy(&key);
	return NULL;
}

/* Everything in the record besides the key: what it is, and what it may be used for. */
static bool read_terms(
    const struct dkim_tags *tags, struct dkim_public_key *key, char *why, size_t room)
{
	const struct dkim_tag *version = dkim_tags_find(tags, "v");
	const struct dkim_tag *type = dkim_tags_find(tags, "k");
	const char *wrong = NULL;

	/* Of the records without v= we believe what RFC 6376 3.6.1 says: it is recommended. */
	if (version != NULL &&
	    (version != &tags->tags[0] || !slice_equals(version->value, "DKIM1")))
		wrong = "v= is not DKIM1, or is not the first tag";
	else if (type == NULL || slice_equals(type->value, "rsa"))
		key->algorithm = DKIM_RSA_SHA256;
	else if (slice_equals(type->value, "ed25519"))
		key->algorithm = DKIM_ED25519_SHA256;
	else
		wrong = "k= names a key type we don't know";
	if (wrong == NULL && dkim_tags_find(tags, "h") != NULL && !list_has(tags, "h", "sha256"))
		wrong = "h= does not allow sha256";
	if (wrong == NULL && dkim_tags_find(tags, "s") != NULL && !list_has(tags, "s", "*") &&
	    !list_has(tags, "s", "email"))
		wrong = "s= does not allow mail";
	if (wrong != NULL)
		snprintf(why, room, "%s", wrong);
	key->forbids_subdomains = list_has(tags, "t", "s");
	return wrong == NULL;
}

static bool list_has(const struct dkim_tags *tags, const char *name, const char *word)
{
	const struct dkim_tag *tag = dkim_tags_find(tags, name);
	struct slice left, next;

	if (tag == NULL)
		return false;
	left = tag->value;
	while (dkim_signature_next_name(&left, &next)) {
		if (slice_equals(next, word))
			return true;
	}
	return false;
}

static EVP_PKEY *read_key(enum dkim_algorithm algorithm, const uint8_t *bytes, size_t n)
{
	const uint8_t *at = bytes;
	EVP_PKEY *pkey = NULL;

	if (algorithm == DKIM_ED25519_SHA256)
		return n != DKIM_ED25519_SIZE
			   ? NULL
			   : EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, bytes, n);
	/* Both forms that readings of RFC 6376 3.6.1 led to: SubjectPublicKeyInfo, RSAPublicKey. */
	if (d2i_PUBKEY(&pkey, &at, (long)n) == NULL) {
		at = bytes;
		d2i_PublicKey(EVP_PKEY_RSA, &pkey, &at, (long)n);
	}
	if (pkey != NULL && (EVP_PKEY_get_base_id(pkey) != EVP_PKEY_RSA || at != bytes + n)) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	return pkey;
}

void dkim_public_key_destroy(struct dkim_public_key **key)
{
	if (*key == NULL)
		return;
	EVP_PKEY_free((*key)->pkey);
	free(*key);
	*key = NULL;
}

enum dkim_algorithm dkim_public_key_algorithm(const struct dkim_public_key *key)
{
	return key->algorithm;
}

bool dkim_public_key_forbids_subdomains(const struct dkim_public_key *key)
{
	return key->forbids_subdomains;
}

bool dkim_public_key_verify(const struct dkim_public_key *key,
    const uint8_t digest[DKIM_DIGEST_SIZE], const uint8_t *signature, size_t n_signature)
{
	bool is_good = false;

	switch (key->algorithm) {
	case DKIM_RSA_SHA256:
		is_good = verify_rsa(key->pkey, digest, signature, n_signature);
		break;
	case DKIM_ED25519_SHA256:
		is_good = verify_ed25519(key->pkey, digest, signature, n_signature);
		break;
	}
	ERR_clear_error();
	return is_good;
}

static bool verify_rsa(EVP_PKEY *pkey, const uint8_t *digest, const uint8_t *signature, size_t n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	bool is_good = ctx != NULL && EVP_PKEY_verify_init(ctx) == 1 &&
		       EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
		       EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
		       EVP_PKEY_verify(ctx, signature, n, digest, DKIM_DIGEST_SIZE) == 1;

	EVP_PKEY_CTX_free(ctx);
	return is_good;
}

static bool verify_ed25519(
    EVP_PKEY *pkey, const uint8_t *digest, const uint8_t *signature, size_t n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool is_good = ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
		       EVP_DigestVerify(ctx, signature, n, digest, DKIM_DIGEST_SIZE) == 1;

	EVP_MD_CTX_free(ctx);
	return is_good;
}
