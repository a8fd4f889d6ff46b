/*
 * RFC 5802 on OpenSSL's PBKDF2 and HMAC. Keys and what they are made from are overwritten after use.
 */
#include "tls/scram.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "relay/base/encode.h"
#include "relay/base/number.h"

enum { KEY_SIZE = 32, SALT_MOST = 64 };

static const char SCHEME[] = "SCRAM-SHA-256$";

struct verifier {
	unsigned iterations;
	uint8_t salt[SALT_MOST];
	size_t n_salt;
	uint8_t stored_key[KEY_SIZE], server_key[KEY_SIZE];
};

static bool derive(struct verifier *v, const char *password, size_t n);
static bool keyed_hash(const void *key, size_t n_key, const char *text, uint8_t hash[KEY_SIZE]);
static void print(const struct verifier *v, char text[SCRAM_TEXT_MAX]);
static bool parse(const char *text, struct verifier *v);
static bool parse_part(const char **at, char end, void *bytes, size_t room, size_t *n_bytes);

const char *scram_refuse_password(const char *password, size_t n)
{
	if (n == 0)
		return "the password is empty";
	if (n > SCRAM_PASSWORD_MAX)
		return "the password is longer than 1024 bytes";
	for (size_t i = 0; i < n; i++) {
		/* RFC 4013 2.3 prohibits them, so a SCRAM client could never send this password. */
		if ((unsigned char)password[i] < ' ' || password[i] == 0x7f)
			return "the password has a control character in it";
	}
	return NULL;
}

int scram_make_verifier(const char *password, size_t n, char text[SCRAM_TEXT_MAX])
{
	uint8_t salt[SCRAM_SALT_SIZE];

	text[0] = '\0';
	if (RAND_bytes(salt, sizeof salt) != 1)
		return -1;
	return scram_make_verifier_salted(password, n, salt, sizeof salt, SCRAM_ITERATIONS, text);
}

int scram_make_verifier_salted(const char *password, size_t n, const void *salt, size_t n_salt,
    unsigned iterations, char text[SCRAM_TEXT_MAX])
{
	struct verifier v = { .iterations = iterations, .n_salt = n_salt };
	int result = -1;

	text[0] = '\0';
	if (n_salt > 0 && n_salt <= SALT_MOST) {
		memcpy(v.salt, salt, n_salt);
		if (derive(&v, password, n)) {
			print(&v, text);
			result = 0;
		}
	}
	OPENSSL_cleanse(&v, sizeof v);
	return result;
}

/* RFC 5802 3: the keys of a password, from the salt and count that are in v already. */
static bool derive(struct verifier *v, const char *password, size_t n)
{
	uint8_t salted[KEY_SIZE], client_key[KEY_SIZE];
	bool good =
	    n <= SCRAM_PASSWORD_MAX &&
	    PKCS5_PBKDF2_HMAC(password, (int)n, v->salt, (int)v->n_salt, (int)v->iterations,
		EVP_sha256(), KEY_SIZE, salted) == 1 &&
	    keyed_hash(salted, sizeof salted, "Client Key", client_key) &&
	    keyed_hash(salted, sizeof salted, "Server Key", v->server_key) &&
	    EVP_Digest(client_key, sizeof client_key, v->stored_key, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_cleanse(salted, sizeof salted);
	OPENSSL_cleanse(client_key, sizeof client_key);
	return good;
}

static bool keyed_hash(const void *key, size_t n_key, const char *text, uint8_t hash[KEY_SIZE])
{
	return HMAC(EVP_sha256(), key, (int)n_key, (const uint8_t *)text, strlen(text), hash,
		   NULL) != NULL;
}

static void print(const struct verifier *v, char text[SCRAM_TEXT_MAX])
{
	char salt[BASE64_ROOM(SALT_MOST)], stored[BASE64_ROOM(KEY_SIZE)],
	    server[BASE64_ROOM(KEY_SIZE)];

	base64_encode(v->salt, v->n_salt, salt);
	base64_encode(v->stored_key, KEY_SIZE, stored);
	base64_encode(v->server_key, KEY_SIZE, server);
	snprintf(
	    text, SCRAM_TEXT_MAX, "%s%u:%s$%s:%s", SCHEME, v->iterations, salt, stored, server);
}

bool scram_verifier_is_valid(const char *text)
{
	struct verifier v;
	bool good = parse(text, &v);

	OPENSSL_cleanse(&v, sizeof v);
	return good;
}

bool scram_check_password(const char *text, const char *password, size_t n)
{
	struct verifier wanted, shown;
	bool fits = false;

	if (parse(text, &wanted)) {
		shown = wanted;
		/* To HMAC a password and the same with NULs behind it are one (RFC 2104 2). */
		fits = derive(&shown, password, n) && scram_refuse_password(password, n) == NULL &&
		       CRYPTO_memcmp(shown.stored_key, wanted.stored_key, KEY_SIZE) == 0;
		OPENSSL_cleanse(&shown, sizeof shown);
	}
	OPENSSL_cleanse(&wanted, sizeof wanted);
	return fits;
}

static bool parse(const char *text, struct verifier *v)
{
	const char *at;
	size_t digits, n_stored, n_server;
	uint64_t iterations;

	*v = (struct verifier){ 0 };
	if (strncmp(text, SCHEME, sizeof SCHEME - 1) != 0)
		return false;
	at = text + sizeof SCHEME - 1;
	digits = strspn(at, "0123456789");
	if (!number_parse(at, digits, SCRAM_ITERATIONS_MOST, &iterations) ||
	    iterations < SCRAM_ITERATIONS_LEAST || at[digits] != ':')
		return false;
	v->iterations = (unsigned)iterations;
	at += digits + 1;
	return parse_part(&at, '$', v->salt, sizeof v->salt, &v->n_salt) && v->n_salt > 0 &&
	       parse_part(&at, ':', v->stored_key, KEY_SIZE, &n_stored) && n_stored == KEY_SIZE &&
	       parse_part(&at, '\0', v->server_key, KEY_SIZE, &n_server) && n_server == KEY_SIZE;
}

/* The base64 up to end, which is stepped over. */
static bool parse_part(const char **at, char end, void *bytes, size_t room, size_t *n_bytes)
{
	uint8_t decoded[SALT_MOST + 3];
	size_t n = strcspn(*at, "$:");

	if ((*at)[n] != end || n / 4 * 3 > sizeof decoded ||
	    !base64_decode(*at, n, decoded, n_bytes) || *n_bytes > room)
		return false;
	memcpy(bytes, decoded, *n_bytes);
	*at += n + (end != '\0');
	return true;
}

int scram_fake_verifier(
    const void *secret, size_t n_secret, const char *login, char text[SCRAM_TEXT_MAX])
{
	struct verifier v = { .iterations = SCRAM_ITERATIONS, .n_salt = SCRAM_SALT_SIZE };
	uint8_t seed[KEY_SIZE];
	bool good;

	text[0] = '\0';
	/* Keys out of the same secret by another text each: nobody knows a password behind them. */
	good = keyed_hash(secret, n_secret, login, seed) &&
	       keyed_hash(seed, sizeof seed, "salt", v.stored_key);
	memcpy(v.salt, v.stored_key, SCRAM_SALT_SIZE);
	good = good && keyed_hash(seed, sizeof seed, "stored", v.stored_key) &&
	       keyed_hash(seed, sizeof seed, "server", v.server_key);
	if (good)
		print(&v, text);
	OPENSSL_cleanse(seed, sizeof seed);
	OPENSSL_cleanse(&v, sizeof v);
	return good ? 0 : -1;
}

int scram_digest(const void *key, size_t n_key, const char *verifier, const char *password,
    size_t n_password, uint8_t digest[SCRAM_DIGEST_SIZE])
{
	uint8_t both[SCRAM_TEXT_MAX + SCRAM_PASSWORD_MAX];
	size_t n_verifier = strlen(verifier) + 1; /* its NUL keeps the two apart */
	unsigned n_digest = SCRAM_DIGEST_SIZE;
	bool made;

	if (n_verifier > SCRAM_TEXT_MAX || n_password > SCRAM_PASSWORD_MAX)
		return -1;
	memcpy(both, verifier, n_verifier);
	memcpy(both + n_verifier, password, n_password);
	made = HMAC(EVP_sha256(), key, (int)n_key, both, n_verifier + n_password, digest,
		   &n_digest) != NULL;
	OPENSSL_cleanse(both, sizeof both);
	return made ? 0 : -1;
}
