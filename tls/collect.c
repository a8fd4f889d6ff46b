/*
 * What a finished handshake shows, whoever the peer is: protocol, cipher, and the certificate in a
 * few printable words.
 */
#include "tls/openssl.h"

#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "relay/base/clock.h"
#include "relay/base/encode.h"
#include "relay/base/log.h"
#include "tls/context.h"

static void collect_certificate(X509 *certificate, struct tls_evidence *e);
static void collect_public_key(X509 *certificate, char hex[2 * SHA256_DIGEST_LENGTH + 1]);
static bool is_allowed(SSL *ssl, int operation, int bits, const SSL_CIPHER *cipher);
static void print_owner(const X509_NAME *owner, char *text, size_t room);
static bool print_part(const X509_NAME *name, int nid, char *text, size_t room);

void collect_evidence(SSL *ssl, struct tls_evidence *e)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	*e = (struct tls_evidence){ .achieved = TLS_ENCRYPT };
	e->trust = certificate != NULL ? TLS_UNTRUSTED : TLS_ANONYMOUS;
	snprintf(e->protocol, sizeof e->protocol, "%s", SSL_get_version(ssl));
	snprintf(e->cipher, sizeof e->cipher, "%s", SSL_get_cipher_name(ssl));
	e->bits = SSL_get_cipher_bits(ssl, &e->of_bits);
	e->is_resumed = SSL_session_reused(ssl) == 1;
	if (sni != NULL)
		log_escape(sni, strlen(sni), e->sni, sizeof e->sni);
	if (certificate != NULL)
		collect_certificate(certificate, e);
}

static void collect_certificate(X509 *certificate, struct tls_evidence *e)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	unsigned n = 0;

	if (X509_digest(certificate, EVP_sha256(), digest, &n) == 1)
		hex_encode(digest, n, e->fingerprint);
	collect_public_key(certificate, e->public_key);
	collect_subject(certificate, e->subject, sizeof e->subject);
	print_owner(X509_get_issuer_name(certificate), e->issuer, sizeof e->issuer);
	e->not_after_s = collect_end(certificate);
}

static void collect_public_key(X509 *certificate, char hex[2 * SHA256_DIGEST_LENGTH + 1])
{
	unsigned char *der = NULL, digest[SHA256_DIGEST_LENGTH];
	int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(certificate), &der);

	if (n > 0)
		hex_encode(SHA256(der, (size_t)n, digest), sizeof digest, hex);
	OPENSSL_free(der);
}

void collect_authority(X509 *certificate, char *text, size_t room)
{
	print_owner(X509_get_subject_name(certificate), text, room);
}

int64_t collect_end(X509 *certificate)
{
	struct tm date;

	return ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &date) == 1 ? timegm(&date) : 0;
}

/*
 * OpenSSL's own rule is asked about what was negotiated; certificates are the verifier's. A signature
 * with SHA-1 (RFC 9155), or with it and MD5, counts there as 64 bits of security.
 */
bool collect_weakness(SSL *ssl)
{
	enum { SHA1_BITS = 64 };
	const SSL_CIPHER *cipher = SSL_get_current_cipher(ssl);
	EVP_PKEY *key = NULL;
	int digest = NID_undef;
	bool is_weak =
	    !is_allowed(ssl, SSL_SECOP_CIPHER_CHECK, SSL_CIPHER_get_bits(cipher, NULL), cipher);

	if (SSL_get_peer_tmp_key(ssl, &key) == 1) {
		is_weak |= !is_allowed(ssl,
		    EVP_PKEY_get_base_id(key) == EVP_PKEY_DH ? SSL_SECOP_TMP_DH
							     : SSL_SECOP_CURVE_CHECK,
		    EVP_PKEY_get_security_bits(key), NULL);
		EVP_PKEY_free(key);
	}
	if (SSL_get_peer_signature_nid(ssl, &digest) == 1 &&
	    (digest == NID_sha1 || digest == NID_md5_sha1))
		is_weak |= !is_allowed(ssl, SSL_SECOP_SIGALG_CHECK, SHA1_BITS, NULL);
	/* RFC 5746 4.1: TLS 1.3 cannot renegotiate. */
	if (SSL_version(ssl) < TLS1_3_VERSION && SSL_get_secure_renegotiation_support(ssl) != 1)
		is_weak = true;
	return is_weak;
}

int64_t collect_lifetime_ms(SSL *ssl)
{
	STACK_OF(X509) *chain = SSL_get_peer_cert_chain(ssl);
	int64_t now_s = clock_wall_s(), end_s = now_s + TLS_RESUME_AGE_S;

	for (int i = 0; i < sk_X509_num(chain); i++) {
		int64_t not_after_s = collect_end(sk_X509_value(chain, i));

		if (not_after_s < end_s)
			end_s = not_after_s;
	}
	return (end_s - now_s) * 1000;
}

static bool is_allowed(SSL *ssl, int operation, int bits, const SSL_CIPHER *cipher)
{
	SSL_CTX *ctx = SSL_get_SSL_CTX(ssl);

	return SSL_CTX_get_security_callback(ctx)(NULL, ctx, operation, bits, NID_undef,
		   (void *)(uintptr_t)cipher, SSL_CTX_get0_security_ex_data(ctx)) == 1;
}

/* The names it is for say more than its subject (RFC 6125 6.4.4): the common name is a fallback. */
void collect_subject(X509 *certificate, char *text, size_t room)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(certificate, NID_subject_alt_name, NULL, NULL);
	size_t used = 0;

	text[0] = '\0';
	for (int i = 0; i < sk_GENERAL_NAME_num(names) && used + 3 < room; i++) {
		const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

		if (name->type != GEN_DNS)
			continue;
		if (used > 0)
			used += (size_t)snprintf(text + used, room - used, ", ");
		log_escape((const char *)ASN1_STRING_get0_data(name->d.dNSName),
		    (size_t)ASN1_STRING_length(name->d.dNSName), text + used, room - used);
		used = strlen(text);
	}
	GENERAL_NAMES_free(names);
	if (used == 0)
		print_part(X509_get_subject_name(certificate), NID_commonName, text, room);
}

static void print_owner(const X509_NAME *owner, char *text, size_t room)
{
	if (!print_part(owner, NID_commonName, text, room))
		print_part(owner, NID_organizationName, text, room);
}

static bool print_part(const X509_NAME *name, int nid, char *text, size_t room)
{
	int at = X509_NAME_get_index_by_NID(name, nid, -1);
	unsigned char *utf8 = NULL;
	int n;

	text[0] = '\0';
	if (at < 0)
		return false;
	n = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(name, at)));
	if (n < 0)
		return false;
	log_escape((const char *)utf8, (size_t)n, text, room);
	OPENSSL_free(utf8);
	return n > 0;
}
