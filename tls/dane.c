#include "tls/dane.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/sha.h>
#include <openssl/x509.h>
#include <stdio.h>

#include "relay/base/encode.h"

static bool is_certificate(const uint8_t *der, size_t n);
static bool is_public_key(const uint8_t *der, size_t n);

/* RFC 6698 7.2 to 7.4 name the numbers. */
enum { USAGE_TA = 2, USAGE_EE = 3, SELECT_CERTIFICATE = 0, SELECT_KEY = 1 };

bool tlsa_is_usable(const struct tlsa_record *record)
{
	if (record->usage != USAGE_TA && record->usage != USAGE_EE)
		return false;
	if (record->selector != SELECT_CERTIFICATE && record->selector != SELECT_KEY)
		return false;
	switch (record->matching) {
	case 0:
		return record->selector == SELECT_CERTIFICATE
			   ? is_certificate(record->data, record->n_data)
			   : is_public_key(record->data, record->n_data);
	case 1: return record->n_data == SHA256_DIGEST_LENGTH;
	case 2: return record->n_data == SHA512_DIGEST_LENGTH;
	default: return false;
	}
}

/* The key must be readable too: OpenSSL refuses a certificate whose key it does not know. */
static bool is_certificate(const uint8_t *der, size_t n)
{
	const uint8_t *at = der;
	X509 *certificate;
	bool whole;

	if (n == 0 || n > LONG_MAX)
		return false;
	certificate = d2i_X509(NULL, &at, (long)n);
	whole = certificate != NULL && at == der + n && X509_get0_pubkey(certificate) != NULL;
	X509_free(certificate);
	ERR_clear_error();
	return whole;
}

static bool is_public_key(const uint8_t *der, size_t n)
{
	const uint8_t *at = der;
	EVP_PKEY *key;
	bool whole;

	if (n == 0 || n > LONG_MAX)
		return false;
	key = d2i_PUBKEY(NULL, &at, (long)n);
	whole = key != NULL && at == der + n;
	EVP_PKEY_free(key);
	ERR_clear_error();
	return whole;
}

void tlsa_print(const struct tlsa_record *record, char *text, size_t room)
{
	char hex[2 * SHA512_DIGEST_LENGTH + 1];
	size_t n = record->n_data;

	if (n > SHA512_DIGEST_LENGTH)
		n = SHA512_DIGEST_LENGTH;
	hex_encode(record->data, n, hex);
	snprintf(text, room, "%u %u %u %s%s", record->usage, record->selector, record->matching,
	    hex, n < record->n_data ? "..." : "");
}
