/*
 * Verifiers of passwords for SCRAM-SHA-256 (RFC 5802, RFC 7677), as text in the form of RFC 5803:
 * SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY. The password cannot be had back from it, and
 * whoever steals it cannot log in with it.
 *
 * Passwords are bytes. SASLprep (RFC 4013) is not applied: it leaves printable ASCII as it is, and
 * for the rest it wants tables of Unicode 3.2. Who uses other letters should type them composed
 * (NFC), as keyboards do; then clients that do apply it arrive at the same bytes.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	/*
	 * RFC 7677 4 wants 4096 at least and more where it can be paid. PLAIN and LOGIN pay it on our
	 * side at each login: 10,000 are some 2.5 ms of one core, that is 400 logins a second on it.
	 */
	SCRAM_ITERATIONS = 10000,
	SCRAM_ITERATIONS_LEAST = 4096,
	SCRAM_ITERATIONS_MOST =
	    1000000, /* else a verifier could keep the auth role busy for minutes */
	SCRAM_SALT_SIZE = 16,
	SCRAM_PASSWORD_MAX = 1024,
	SCRAM_TEXT_MAX = 256,
	SCRAM_DIGEST_SIZE = 32,
};

/* NULL if this may be a password, else what is wrong with it: empty, too long, control characters. */
const char *scram_refuse_password(const char *password, size_t n);

/* With a salt of its own. -1 if the machine has no random bytes to give; text is then "". */
int scram_make_verifier(const char *password, size_t n, char text[SCRAM_TEXT_MAX]);

/* With this salt and count, for vectors and for what must come out the same again. */
int scram_make_verifier_salted(const char *password, size_t n, const void *salt, size_t n_salt,
    unsigned iterations, char text[SCRAM_TEXT_MAX]);

/* Is it whole, and of a strength we accept? */
bool scram_verifier_is_valid(const char *text);

/*
 * Does the password fit the verifier? The time it takes depends on the count alone, not on the
 * password; false at once for a verifier that is not valid or a password too long to be one.
 */
bool scram_check_password(const char *text, const char *password, size_t n);

/*
 * The verifier of a login that does not exist: always the same for a name and a secret of the
 * machine, so that nobody learns which logins exist (RFC 5802 9). No password fits it.
 */
int scram_fake_verifier(
    const void *secret, size_t n_secret, const char *login, char text[SCRAM_TEXT_MAX]);

/*
 * HMAC-SHA-256 under key of a verifier and a password: the same only for the same two. -1 if it
 * cannot be computed.
 */
int scram_digest(const void *key, size_t n_key, const char *verifier, const char *password,
    size_t n_password, uint8_t digest[SCRAM_DIGEST_SIZE]);
