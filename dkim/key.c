/*
 * The life of a private key in order of time: file, checks, signing, saving, its public record.
 * The PEM text is overwritten as soon as OpenSSL has the key.
 */
#include "dkim/key.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"

enum {
	KEY_FILE_MAX = 65536,
	RSA_BITS_GOOD = 2048,
	ZONE_STRING_MAX = 255, /* RFC 1035 3.3.14 */
};

struct dkim_key {
	EVP_PKEY *pkey;
	enum dkim_algorithm algorithm;
};

static int check_file(int fd, const char *path, size_t *size, char *remark, size_t room);
static char *read_whole(int fd, size_t *size, const char *path, char *remark, size_t room);
static int no_passphrase(char *buffer, int size, int writing, void *arg);
static struct dkim_key *accept_key(EVP_PKEY *pkey, const char *name, char *remark, size_t room);
static int sign_rsa(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *signature, size_t *n);
static int sign_ed25519(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *signature, size_t *n);
static void say_openssl(const char *what, char *error, size_t room);
static int write_whole(int fd, const char *bytes, size_t n);

struct dkim_key *dkim_key_load(const char *path, char *remark, size_t room)
{
	/* Without O_NONBLOCK a FIFO in place of the file would hold us for ever. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct dkim_key *key = NULL;
	char *pem = NULL;
	size_t size;

	if (fd < 0) {
		snprintf(remark, room, "DKIM key %s: %s%s", path, strerror(errno),
		    errno == ENOENT ? "; \"zegel dkim new\" makes one" : "");
		return NULL;
	}
	if (check_file(fd, path, &size, remark, room) == 0)
		pem = read_whole(fd, &size, path, remark, room);
	close(fd);
	if (pem == NULL)
		return NULL;
	key = dkim_key_parse((struct slice){ pem, size }, path, remark, room);
	mem_free_secret(pem, size);
	return key;
}

static int check_file(int fd, const char *path, size_t *size, char *remark, size_t room)
{
	struct stat st;

	if (fstat(fd, &st) != 0) {
		snprintf(remark, room, "DKIM key %s: %s", path, strerror(errno));
		return -1;
	}
	if (!S_ISREG(st.st_mode) || st.st_size > KEY_FILE_MAX) {
		snprintf(remark, room, "DKIM key %s: not a file with one PEM key in it", path);
		return -1;
	}
	/*
	 * Whoever reads a key can write mail in the domain's name. Its group may read it, because
	 * root:zegel 0640 is how a key is given to a keeper that is not root; nobody else may.
	 */
	if ((st.st_mode & (S_IRWXO | S_IWGRP)) != 0) {
		snprintf(remark, room,
		    "DKIM key %s: mode %04o lets others %s it; chmod 0640 it, and if they could "
		    "read it replace it with \"zegel dkim new\"",
		    path, (unsigned)(st.st_mode & 07777),
		    (st.st_mode & S_IRWXO) != 0 ? "have" : "write");
		return -1;
	}
	*size = (size_t)st.st_size;
	return 0;
}

static char *read_whole(int fd, size_t *size, const char *path, char *remark, size_t room)
{
	char *bytes = mem_create(*size + 1);
	size_t at = 0;

	while (at < *size) {
		ssize_t n = read(fd, bytes + at, *size - at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			snprintf(remark, room, "DKIM key %s: %s", path, strerror(errno));
			mem_free_secret(bytes, *size);
			return NULL;
		}
		if (n == 0)
			break;
		at += (size_t)n;
	}
	*size = at;
	return bytes;
}

struct dkim_key *dkim_key_parse(struct slice pem, const char *name, char *remark, size_t room)
{
	bool was_asked = false;
	EVP_PKEY *pkey;
	BIO *bio;

	assert(pem.n <= KEY_FILE_MAX);
	bio = BIO_new_mem_buf(pem.bytes, (int)pem.n);
	if (bio == NULL)
		abort();
	pkey = PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, &was_asked);
	BIO_free(bio);
	ERR_clear_error();
	if (pkey == NULL) {
		snprintf(remark, room, "DKIM key %s: %s", name,
		    was_asked ? "encrypted with a passphrase; write it without one "
				"(openssl pkey -in FILE -out NEW)"
			      : "no private key in PEM form (\"-----BEGIN PRIVATE KEY-----\")");
		return NULL;
	}
	return accept_key(pkey, name, remark, room);
}

/* Without it OpenSSL would ask at the terminal. */
static int no_passphrase(char *buffer, int size, int writing, void *arg)
{
	bool *was_asked = arg;

	(void)buffer, (void)size, (void)writing;
	*was_asked = true;
	return -1;
}

/* Takes pkey over. */
static struct dkim_key *accept_key(EVP_PKEY *pkey, const char *name, char *remark, size_t room)
{
	int type = EVP_PKEY_get_base_id(pkey), bits = EVP_PKEY_get_bits(pkey);
	struct dkim_key *key;

	if (room > 0)
		remark[0] = '\0';
	if (type != EVP_PKEY_RSA && type != EVP_PKEY_ED25519) {
		snprintf(remark, room, "DKIM key %s: of type %s; only RSA and Ed25519 seal mail",
		    name, EVP_PKEY_get0_type_name(pkey));
		EVP_PKEY_free(pkey);
		return NULL;
	}
	if (type == EVP_PKEY_RSA && (bits < DKIM_RSA_BITS_LEAST || bits > DKIM_RSA_BITS_MOST)) {
		snprintf(remark, room,
		    "DKIM key %s: RSA of %d bits; receivers accept %d to %d (RFC 8301 3.2), make "
		    "one of %d with \"zegel dkim new\"",
		    name, bits, DKIM_RSA_BITS_LEAST, DKIM_RSA_BITS_MOST, RSA_BITS_GOOD);
		EVP_PKEY_free(pkey);
		return NULL;
	}
	if (type == EVP_PKEY_RSA && bits < RSA_BITS_GOOD)
		snprintf(remark, room,
		    "DKIM key %s: RSA of %d bits is weak; make one of %d with \"zegel dkim new\"",
		    name, bits, RSA_BITS_GOOD);
	key = mem_create(sizeof *key);
	key->pkey = pkey;
	key->algorithm = type == EVP_PKEY_RSA ? DKIM_RSA_SHA256 : DKIM_ED25519_SHA256;
	return key;
}

struct dkim_key *dkim_key_generate(enum dkim_algorithm algorithm)
{
	struct dkim_key *key = mem_create(sizeof *key);

	key->algorithm = algorithm;
	switch (algorithm) {
	case DKIM_RSA_SHA256:
		key->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)RSA_BITS_GOOD);
		break;
	case DKIM_ED25519_SHA256: key->pkey = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519"); break;
	}
	/* Fails only without memory or without randomness: no machine to make keys on. */
	if (key->pkey == NULL)
		abort();
	return key;
}

void dkim_key_destroy(struct dkim_key **key)
{
	if (*key == NULL)
		return;
	EVP_PKEY_free((*key)->pkey);
	free(*key);
	*key = NULL;
}

enum dkim_algorithm dkim_key_algorithm(const struct dkim_key *key)
{
	return key->algorithm;
}

int dkim_key_sign(const struct dkim_key *key, const uint8_t digest[DKIM_DIGEST_SIZE],
    uint8_t signature[DKIM_SIGNATURE_MAX], size_t *n_signature, char *error, size_t room)
{
	int result = -1;

	*n_signature = DKIM_SIGNATURE_MAX;
	switch (key->algorithm) {
	case DKIM_RSA_SHA256: result = sign_rsa(key->pkey, digest, signature, n_signature); break;
	case DKIM_ED25519_SHA256:
		result = sign_ed25519(key->pkey, digest, signature, n_signature);
		break;
	}
	if (result != 0)
		say_openssl("signing failed", error, room);
	return result;
}

/* RFC 6376 3.3.2: RSASSA-PKCS1-v1_5 over what is already the SHA-256 */
static int sign_rsa(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *signature, size_t *n)
{
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(pkey, NULL);
	int result = -1;

	if (ctx != NULL && EVP_PKEY_sign_init(ctx) == 1 &&
	    EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PADDING) == 1 &&
	    EVP_PKEY_CTX_set_signature_md(ctx, EVP_sha256()) == 1 &&
	    EVP_PKEY_sign(ctx, signature, n, digest, DKIM_DIGEST_SIZE) == 1)
		result = 0;
	EVP_PKEY_CTX_free(ctx);
	return result;
}

/* RFC 8463 3: PureEdDSA, whose message is the SHA-256 */
static int sign_ed25519(EVP_PKEY *pkey, const uint8_t *digest, uint8_t *signature, size_t *n)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	int result = -1;

	if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, pkey) == 1 &&
	    EVP_DigestSign(ctx, signature, n, digest, DKIM_DIGEST_SIZE) == 1)
		result = 0;
	EVP_MD_CTX_free(ctx);
	return result;
}

static void say_openssl(const char *what, char *error, size_t room)
{
	unsigned long code = ERR_get_error();
	const char *reason = ERR_reason_error_string(code);

	snprintf(error, room, "%s: %s", what, reason != NULL ? reason : "OpenSSL does not say why");
	ERR_clear_error();
}

int dkim_key_save(const struct dkim_key *key, const char *path, char *error, size_t room)
{
	BIO *bio = BIO_new(BIO_s_mem());
	int fd, result, saved_errno;
	char *pem;
	long n;

	if (bio == NULL ||
	    PEM_write_bio_PKCS8PrivateKey(bio, key->pkey, NULL, NULL, 0, NULL, NULL) != 1)
		abort();
	n = BIO_get_mem_data(bio, &pem);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) {
		snprintf(error, room, "can't write the DKIM key %s: %s%s", path, strerror(errno),
		    errno == EEXIST ? "; a key is never overwritten, choose another selector" : "");
		result = -1;
	} else {
		result = write_whole(fd, pem, (size_t)n) == 0 && fsync(fd) == 0 ? 0 : -1;
		saved_errno = errno;
		close(fd);
		if (result != 0) {
			unlink(path);
			snprintf(error, room, "can't write the DKIM key %s: %s", path,
			    strerror(saved_errno));
		}
	}
	explicit_bzero(pem, (size_t)n);
	BIO_free(bio);
	return result;
}

static int write_whole(int fd, const char *bytes, size_t n)
{
	while (n > 0) {
		ssize_t written = write(fd, bytes, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -1;
		bytes += written;
		n -= (size_t)written;
	}
	return 0;
}

char *dkim_key_record(const struct dkim_key *key)
{
	uint8_t raw[DKIM_ED25519_SIZE], *bytes = NULL;
	char *base64, *record;
	size_t n = sizeof raw;

	if (key->algorithm == DKIM_ED25519_SHA256) {
		if (EVP_PKEY_get_raw_public_key(key->pkey, raw, &n) != 1)
			abort();
	} else {
		int length = i2d_PUBKEY(key->pkey, &bytes);

		if (length <= 0)
			abort();
		n = (size_t)length;
	}
	base64 = mem_create(BASE64_ROOM(n));
	base64_encode(bytes != NULL ? bytes : raw, n, base64);
	/* No s=: for every service (RFC 6376 3.6.1), and so for the reports of RFC 8460 3, which asks for it. */
	record = mem_print("v=DKIM1; k=%s; p=%s", dkim_algorithm_key_type(key->algorithm), base64);
	OPENSSL_free(bytes);
	free(base64);
	return record;
}

char *dkim_key_zone_record(const struct dkim_key *key, const char *domain, const char *selector)
{
	char *record = dkim_key_record(key);
	size_t n = strlen(record);
	struct buffer text;

	buffer_init(&text, 16384);
	buffer_print(&text, "%s._domainkey.%s. IN TXT (", selector, domain);
	for (size_t at = 0; at < n; at += ZONE_STRING_MAX)
		buffer_print(&text, "\n\t\"%.*s\"", (int)ZONE_STRING_MAX, record + at);
	buffer_add_text(&text, " )\n");
	assert(!text.overflowed);
	free(record);
	return buffer_take(&text);
}
