#include "forge.h"

#include <dirent.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"

static void must(bool done)
{
	if (!done)
		abort();
}

static void add_extension(X509 *certificate, X509 *issuer, int nid, const char *value)
{
	X509_EXTENSION *extension;
	X509V3_CTX context;

	X509V3_set_ctx_nodb(&context);
	X509V3_set_ctx(&context, issuer, certificate, NULL, NULL, 0);
	extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
	must(extension != NULL && X509_add_ext(certificate, extension, -1) == 1);
	X509_EXTENSION_free(extension);
}

void forge(struct forged *made, struct forge_wish wish)
{
	const long day = 24 * 60 * 60;
	X509 *c = X509_new();
	X509_NAME *name = X509_get_subject_name(c);
	const struct forged *issuer = wish.issuer != NULL ? wish.issuer : made;
	unsigned char serial[8];

	made->certificate = c;
	made->key = wish.rsa_bits > 0 ? EVP_RSA_gen((unsigned)wish.rsa_bits) : EVP_EC_gen("P-256");
	must(c != NULL && made->key != NULL);
	must(X509_set_version(c, 2) == 1);
	must(getentropy(serial, sizeof serial) == 0);
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(c), *(uint64_t *)(void *)serial >> 1);
	X509_gmtime_adj(X509_getm_notBefore(c), -30 * day);
	X509_gmtime_adj(X509_getm_notAfter(c), (wish.has_expired ? -1 : 30) * day);
	must(X509_NAME_add_entry_by_txt(
		 name, "CN", MBSTRING_UTF8, (const unsigned char *)wish.name, -1, -1, 0) == 1);
	X509_set_issuer_name(c, X509_get_subject_name(issuer->certificate));
	X509_set_pubkey(c, made->key);
	add_extension(c, issuer->certificate, NID_basic_constraints,
	    wish.is_authority ? "critical,CA:TRUE" : "critical,CA:FALSE");
	add_extension(c, issuer->certificate, NID_subject_key_identifier, "hash");
	if (wish.is_authority)
		add_extension(c, issuer->certificate, NID_key_usage, "critical,keyCertSign");
	if (wish.alternatives != NULL)
		add_extension(c, issuer->certificate, NID_subject_alt_name, wish.alternatives);
	must(X509_sign(c, issuer->key, wish.signs_with_sha1 ? EVP_sha1() : EVP_sha256()) > 0);
}

void forged_finish(struct forged *made)
{
	X509_free(made->certificate);
	EVP_PKEY_free(made->key);
	*made = (struct forged){ NULL, NULL };
}

void forge_path(const char *directory, const char *file, char path[FORGE_PATH_MAX])
{
	snprintf(path, FORGE_PATH_MAX, "%s/%s", directory, file);
}

void forge_write(const char *directory, const char *name, const struct forged *const *chain)
{
	char path[FORGE_PATH_MAX];
	FILE *file;

	snprintf(path, sizeof path, "%s/%s.key", directory, name);
	file = fopen(path, "w");
	must(file != NULL);
	must(PEM_write_PrivateKey(file, chain[0]->key, NULL, NULL, 0, NULL, NULL) == 1);
	fclose(file);
	snprintf(path, sizeof path, "%s/%s.pem", directory, name);
	file = fopen(path, "w");
	must(file != NULL);
	for (; *chain != NULL; chain++)
		must(PEM_write_X509(file, (*chain)->certificate) == 1);
	fclose(file);
}

void forge_make_directory(char path[FORGE_PATH_MAX])
{
	const char *parent = getenv("TMPDIR");

	snprintf(path, FORGE_PATH_MAX, "%s/zegel-tls-XXXXXX", parent != NULL ? parent : "/tmp");
	must(mkdtemp(path) != NULL);
}

void forge_remove_directory(const char *path)
{
	char file[FORGE_PATH_MAX + 260];
	DIR *directory = opendir(path);
	struct dirent *entry;

	must(directory != NULL);
	while ((entry = readdir(directory)) != NULL) {
		snprintf(file, sizeof file, "%s/%s", path, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(file);
	}
	closedir(directory);
	rmdir(path);
}

struct tlsa_record forge_tlsa(
    const struct forged *of, uint8_t usage, uint8_t selector, uint8_t matching, bool matches)
{
	struct tlsa_record r = { .usage = usage, .selector = selector, .matching = matching };
	unsigned char *der = NULL, digest[EVP_MAX_MD_SIZE];
	unsigned n_digest = 0;
	struct forged other;
	int n;

	if (!matches) {
		/* Another's of the same shape: wrong, yet usable. */
		forge(&other, (struct forge_wish){ .name = "other.example" });
		r = forge_tlsa(&other, usage, selector, matching, true);
		forged_finish(&other);
		return r;
	}
	n = selector == 0 ? i2d_X509(of->certificate, &der) : i2d_PUBKEY(of->key, &der);
	must(n > 0);
	if (matching == 0) {
		r.data = (uint8_t *)mem_copy(der, (size_t)n);
		r.n_data = (size_t)n;
	} else {
		must(EVP_Digest(der, (size_t)n, digest, &n_digest,
			 matching == 1 ? EVP_sha256() : EVP_sha512(), NULL) == 1);
		r.data = (uint8_t *)mem_copy(digest, n_digest);
		r.n_data = n_digest;
	}
	OPENSSL_free(der);
	return r;
}

void forge_fingerprint(const struct forged *of, char hex[65])
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	must(X509_digest(of->certificate, EVP_sha256(), digest, &n) == 1);
	hex_encode(digest, n, hex);
}
