/*
 * What a finished handshake shows, whoever the peer is: protocol, cipher, and the certificate in a
 * few printable words.
 */
#include "tls/openssl.h"

#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <string.h>

#include "relay/base/encode.h"
#include "relay/base/log.h"

static void collect_certificate(X509 *certificate, struct tls_evidence *e);
static void print_subject(X509 *certificate, char *text, size_t room);
static void print_issuer(X509 *certificate, char *text, size_t room);
static bool print_part(const X509_NAME *name, int nid, char *text, size_t room);

void collect_evidence(SSL *ssl, struct tls_evidence *e)
{
	X509 *certificate = SSL_get0_peer_certificate(ssl);
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

	*e = (struct tls_evidence){ .trust = TLS_ANONYMOUS, .achieved = TLS_ENCRYPT };
	snprintf(e->protocol, sizeof e->protocol, "%s", SSL_get_version(ssl));
	snprintf(e->cipher, sizeof e->cipher, "%s", SSL_get_cipher_name(ssl));
	e->bits = SSL_get_cipher_bits(ssl, &e->of_bits);
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
	print_subject(certificate, e->subject, sizeof e->subject);
	print_issuer(certificate, e->issuer, sizeof e->issuer);
}

/* The names it is for say more than its subject (RFC 6125 6.4.4): the common name is a fallback. */
static void print_subject(X509 *certificate, char *text, size_t room)
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

static void print_issuer(X509 *certificate, char *text, size_t room)
{
	const X509_NAME *issuer = X509_get_issuer_name(certificate);

	if (!print_part(issuer, NID_commonName, text, room))
		print_part(issuer, NID_organizationName, text, room);
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
