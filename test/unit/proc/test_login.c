/*
 * Logins against stored verifiers, with clients written by hand: who gets in, under what name, and
 * that nobody learns from a refusal which logins exist.
 */
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/passwords.h"
#include "relay/base/encode.h"
#include "relay/proc/login.h"
#include "tls/scram.h"

#define LONG_USER                                                                                  \
	"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu" \
	"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu" \
	"uuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuuu"

static char path[] = "/tmp/zegel-login-XXXXXX";
static struct secrets passwords;
static struct login_office *office;

static void add(const char *name, const char *password, size_t n)
{
	char verifier[SCRAM_TEXT_MAX], error[512];

	assert_int_equal(scram_make_verifier(password, n, verifier), 0);
	if (passwords_set(path, name, verifier, (gid_t)-1, error, sizeof error) != 0)
		fail_msg("%s", error);
}

static int open_office(void **state)
{
	static char text[1024];
	char error[512];
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	memset(text, 'p', sizeof text);
	add("web@example.org", "secret", 6);
	add("noat", "secret", 6);
	add("one@example.org", "1", 1);
	add("p128@example.org", text, 128);
	add("p1000@example.org", text, 1000);
	add("p1024@example.org", text, 1024);
	add("utf8@example.org", "p\xc3\xa4ssw\xc3\xb6rd", 10);
	if (passwords_load(&passwords, path, error, sizeof error) != 0)
		fail_msg("%s", error);
	office = login_office_create(&passwords, "mail.example.org", error, sizeof error);
	if (office == NULL)
		fail_msg("%s", error);
	return 0;
}

static int close_office(void **state)
{
	(void)state;
	login_office_destroy(&office);
	secrets_finish(&passwords);
	unlink(path);
	return 0;
}

/* ---- PLAIN ---- */

/* n 0: up to the first NUL behind the text is not enough, so each gives its length. */
#define RAW(text) text, sizeof text - 1

static const struct {
	const char *what, *response;
	size_t n;
	const char *name; /* NULL: refused */
} plain_cases[] = {
	{ "right", RAW("\0web@example.org\0secret"), "web@example.org" },
	{ "right, authzid the same", RAW("web@example.org\0web@example.org\0secret"),
	    "web@example.org" },
	{ "A15 upper case", RAW("\0WEB@Example.ORG\0secret"), "web@example.org" },
	{ "A15 upper case authzid", RAW("WEB@example.org\0web@example.org\0secret"),
	    "web@example.org" },
	{ "login without '@'", RAW("\0noat\0secret"), "noat" },
	{ "and with our own name behind it", RAW("\0noat@mail.example.org\0secret"), NULL },
	{ "password of UTF-8", RAW("\0utf8@example.org\0p\xc3\xa4ssw\xc3\xb6rd"),
	    "utf8@example.org" },
	{ "A12 password of 1", RAW("\0one@example.org\0001"), "one@example.org" },
	{ "wrong password", RAW("\0web@example.org\0Secret"), NULL },
	{ "password cut", RAW("\0web@example.org\0secre"), NULL },
	{ "password longer", RAW("\0web@example.org\0secretx"), NULL },
	{ "A12 empty password", RAW("\0web@example.org\0"), NULL },
	{ "empty user", RAW("\0\0secret"), NULL },
	{ "unknown user", RAW("\0nobody@example.org\0secret"), NULL },
	{ "unknown user, part of a known one", RAW("\0web@example.or\0secret"), NULL },
	{ "A6 authzid of another account", RAW("one@example.org\0web@example.org\0secret"), NULL },
	{ "A6 authzid of nobody", RAW("root\0web@example.org\0secret"), NULL },
	{ "A7 no NUL", RAW("web@example.org"), NULL },
	{ "A7 one NUL", RAW("\0web@example.org"), NULL },
	{ "A7 one NUL, two texts", RAW("web@example.org\0secret"), NULL },
	{ "A7 three NULs", RAW("\0web@example.org\0secret\0"), NULL },
	{ "A7 NUL in the password", RAW("\0web@example.org\0secret\0more"), NULL },
	{ "A7 nothing but NULs", RAW("\0\0\0\0"), NULL },
	{ "A3 nothing", RAW(""), NULL },
	{ "A8 CR in the user", RAW("\0web@example.org\r\0secret"), NULL },
	{ "A8 LF in the user", RAW("\0web@example.org\nx\0secret"), NULL },
	{ "A8 TAB in the user", RAW("\0\tweb@example.org\0secret"), NULL },
	{ "A8 space before the user", RAW("\0 web@example.org\0secret"), NULL },
	{ "A8 space behind the user", RAW("\0web@example.org \0secret"), NULL },
	{ "A8 LF in the password", RAW("\0web@example.org\0secret\n"), NULL },
	{ "A8 CR in the password", RAW("\0web@example.org\0\rsecret"), NULL },
	{ "A8 TAB in the password", RAW("\0web@example.org\0sec\tret"), NULL },
	{ "A15 full-width w",
	    RAW("\0\xef\xbd\x97"
		"eb@example.org\0secret"),
	    NULL },
	{ "A15 combining accent",
	    RAW("\0we\xcc\x81"
		"b@example.org\0secret"),
	    NULL },
	{ "A15 zero width joiner", RAW("\0web\xe2\x80\x8d@example.org\0secret"), NULL },
	{ "a user of 264 bytes", RAW("\0" LONG_USER "\0secret"), NULL },
	{ "a user of 792 bytes", RAW("\0" LONG_USER LONG_USER LONG_USER "\0secret"), NULL },
	{ "format characters", RAW("\0%s%n%s@example.org\0secret"), NULL },
};

static enum login_step plain(const char *response, size_t n, char name[300])
{
	struct login *login = login_create(office);
	const uint8_t *challenge;
	size_t n_challenge;
	enum login_step step;

	assert_non_null(login);
	step = login_start(login, "PLAIN", (const uint8_t *)response, n, &challenge, &n_challenge);
	snprintf(name, 300, "%s", login_name(login));
	login_destroy(&login);
	return step;
}

static void plain_logins(void **state)
{
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof plain_cases / sizeof plain_cases[0]; i++) {
		enum login_step step = plain(plain_cases[i].response, plain_cases[i].n, name);

		if (step != (plain_cases[i].name != NULL ? LOGIN_DONE : LOGIN_REFUSED))
			fail_msg("%s: step %d, \"%s\"", plain_cases[i].what, step, name);
		if (step == LOGIN_DONE)
			assert_string_equal(name, plain_cases[i].name);
		/* What goes to the log is clean whatever was claimed (A8). */
		for (const char *c = name; *c != '\0'; c++)
			assert_in_range(*c, '!', '~');
	}
}

static void A12_passwords_of_many_lengths(void **state)
{
	static const struct {
		const char *user;
		size_t n;
	} right[] = { { "p128@example.org", 128 }, { "p1000@example.org", 1000 },
		{ "p1024@example.org", 1024 } };
	static const size_t wrong[] = { 1023, 1025, 2000, 10000 };
	static char response[11000];
	char name[300];

	(void)state;
	for (size_t i = 0; i < sizeof right / sizeof right[0]; i++) {
		size_t n = (size_t)snprintf(response + 1, 100, "%s", right[i].user) + 2;

		response[0] = '\0';
		memset(response + n, 'p', right[i].n);
		assert_int_equal(plain(response, n + right[i].n, name), LOGIN_DONE);
		assert_string_equal(name, right[i].user);
		assert_int_equal(plain(response, n + right[i].n - 1, name), LOGIN_REFUSED);
	}
	for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		size_t n = sizeof "p1024@example.org" + 1;

		memcpy(response, "\0p1024@example.org\0", n);
		memset(response + n, 'p', wrong[i]);
		assert_int_equal(plain(response, n + wrong[i], name), LOGIN_REFUSED);
	}
}

static void A2_plain_without_initial_response(void **state)
{
	struct login *login = login_create(office);
	const uint8_t *challenge;
	size_t n_challenge = 77;

	(void)state;
	assert_int_equal(
	    login_start(login, "PLAIN", NULL, 0, &challenge, &n_challenge), LOGIN_CHALLENGE);
	assert_int_equal(n_challenge, 0);
	assert_int_equal(login_go_on(login, (const uint8_t *)"\0web@example.org\0secret", 23,
			     &challenge, &n_challenge),
	    LOGIN_DONE);
	assert_string_equal(login_name(login), "web@example.org");
	login_destroy(&login);
}

/* ---- LOGIN ---- */

static enum login_step say(struct login *login, const char *text, size_t n)
{
	const uint8_t *challenge;
	size_t n_challenge;

	return login_go_on(login, (const uint8_t *)text, n, &challenge, &n_challenge);
}

static void A11_login_mechanism(void **state)
{
	static const struct {
		const char *user, *password;
		bool is_initial;
		const char *name;
	} cases[] = {
		{ "web@example.org", "secret", false, "web@example.org" },
		{ "web@example.org", "secret", true, "web@example.org" },
		{ "Web@Example.org", "secret", true, "web@example.org" },
		{ "web@example.org", "wrong", false, NULL },
		{ "nobody@example.org", "secret", false, NULL },
		{ "nobody@example.org", "secret", true, NULL },
		{ "web@example.org", "", false, NULL },
		{ "", "secret", false, NULL },
		{ "web@example.org\r\n", "secret", false, NULL },
		{ LONG_USER, "secret", false, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct login *login = login_create(office);
		const char *user = cases[i].user;
		const uint8_t *challenge;
		size_t n_challenge, n = strlen(user);
		enum login_step step =
		    login_start(login, "LOGIN", cases[i].is_initial ? (const uint8_t *)user : NULL,
			cases[i].is_initial ? n : 0, &challenge, &n_challenge);

		assert_int_equal(step, LOGIN_CHALLENGE);
		assert_true(n_challenge > 0);
		if (!cases[i].is_initial)
			step = say(login, user, n);
		/* An unknown user is asked for the password like a known one. */
		if (n > 0 && n < 100) {
			assert_int_equal(step, LOGIN_CHALLENGE);
			step = say(login, cases[i].password, strlen(cases[i].password));
		} else if (step == LOGIN_CHALLENGE) {
			step = say(login, cases[i].password, strlen(cases[i].password));
		}
		if (step != (cases[i].name != NULL ? LOGIN_DONE : LOGIN_REFUSED))
			fail_msg("%s, %s: %d", user, cases[i].password, step);
		if (cases[i].name != NULL)
			assert_string_equal(login_name(login), cases[i].name);
		login_destroy(&login);
	}
}

/* ---- SCRAM-SHA-256, RFC 5802 and 7677 ---- */

struct scram {
	struct login *login;
	char first_bare[400], server_first[600], final[800];
	char salt[100], nonce[400];
	unsigned iterations;
};

static enum login_step scram_begin(struct scram *s, const char *user, const char *header)
{
	char message[600];
	const uint8_t *challenge;
	size_t n = 0;
	enum login_step step;
	const char *salt, *count;

	memset(s, 0, sizeof *s);
	s->login = login_create(office);
	snprintf(s->first_bare, sizeof s->first_bare, "n=%s,r=fyko+d2lbbFgONRv9qkxdawL", user);
	snprintf(message, sizeof message, "%s%s", header, s->first_bare);
	step = login_start(
	    s->login, "SCRAM-SHA-256", (const uint8_t *)message, strlen(message), &challenge, &n);
	if (step != LOGIN_CHALLENGE)
		return step;
	snprintf(s->server_first, sizeof s->server_first, "%.*s", (int)n, (const char *)challenge);
	salt = strstr(s->server_first, ",s=");
	count = strstr(s->server_first, ",i=");
	assert_non_null(salt);
	assert_non_null(count);
	snprintf(s->nonce, sizeof s->nonce, "%.*s", (int)(salt - s->server_first - 2),
	    s->server_first + 2);
	snprintf(s->salt, sizeof s->salt, "%.*s", (int)(count - salt - 3), salt + 3);
	s->iterations = (unsigned)atoi(count + 3);
	return step;
}

static void keyed(const void *key, const char *text, uint8_t out[32])
{
	HMAC(EVP_sha256(), key, 32, (const uint8_t *)text, strlen(text), out, NULL);
}

/* The client's proof, and the server's signature that is to come. */
static enum login_step scram_finish(
    struct scram *s, const char *password, const char *binding, char verdict[200])
{
	uint8_t salt[100], salted[32], client[32], stored[32], server[32], signature[32],
	    expected[32];
	char without[600], all[1800], text[100];
	const uint8_t *challenge;
	size_t n_salt, n = 0;
	enum login_step step;

	assert_true(base64_decode(s->salt, strlen(s->salt), salt, &n_salt));
	PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, (int)n_salt, (int)s->iterations,
	    EVP_sha256(), 32, salted);
	keyed(salted, "Client Key", client);
	keyed(salted, "Server Key", server);
	EVP_Digest(client, 32, stored, NULL, EVP_sha256(), NULL);
	snprintf(without, sizeof without, "c=%s,r=%s", binding, s->nonce);
	snprintf(all, sizeof all, "%s,%s,%s", s->first_bare, s->server_first, without);
	keyed(stored, all, signature);
	keyed(server, all, expected);
	for (int i = 0; i < 32; i++)
		client[i] ^= signature[i];
	base64_encode(client, 32, text);
	snprintf(s->final, sizeof s->final, "%s,p=%s", without, text);
	step = login_go_on(s->login, (const uint8_t *)s->final, strlen(s->final), &challenge, &n);
	snprintf(verdict, 200, "%.*s", (int)n, n > 0 ? (const char *)challenge : "");
	if (step == LOGIN_CHALLENGE) { /* the server's proof, which the client takes in silence */
		base64_encode(expected, 32, text);
		assert_string_equal(verdict + 2, text);
		step = login_go_on(s->login, (const uint8_t *)"", 0, &challenge, &n);
	}
	return step;
}

static void scram_logins(void **state)
{
	static const struct {
		const char *what, *user, *password, *header, *binding, *name;
	} cases[] = {
		{ "right", "web@example.org", "secret", "n,,", "biws", "web@example.org" },
		{ "could bind, we cannot", "web@example.org", "secret", "y,,", "eSws",
		    "web@example.org" },
		{ "upper case", "WEB@example.org", "secret", "n,,", "biws", "web@example.org" },
		{ "authzid the same", "web@example.org", "secret", "n,a=web@example.org,",
		    "bixhPXdlYkBleGFtcGxlLm9yZyw=", "web@example.org" },
		{ "without '@'", "noat", "secret", "n,,", "biws", "noat" },
		{ "wrong", "web@example.org", "wrong", "n,,", "biws", NULL },
		{ "unknown", "nobody@example.org", "secret", "n,,", "biws", NULL },
		{ "A6 authzid of another", "web@example.org", "secret", "n,a=one@example.org,",
		    "bixhPW9uZUBleGFtcGxlLm9yZyw=", NULL },
		{ "binding changed", "web@example.org", "secret", "n,,", "eSws", NULL },
	};
	char verdict[200];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		struct scram s;
		enum login_step step = scram_begin(&s, cases[i].user, cases[i].header);

		if (step == LOGIN_CHALLENGE)
			step = scram_finish(&s, cases[i].password, cases[i].binding, verdict);
		if (step != (cases[i].name != NULL ? LOGIN_DONE : LOGIN_REFUSED))
			fail_msg("%s: %d %s", cases[i].what, step, verdict);
		if (cases[i].name != NULL)
			assert_string_equal(login_name(s.login), cases[i].name);
		login_destroy(&s.login);
	}
}

/* An unknown user has a salt, the same tomorrow, and is refused at the same step. */
static void A18_scram_does_not_tell_who_exists(void **state)
{
	struct scram known, unknown, again, other;
	char verdict[200];

	(void)state;
	assert_int_equal(scram_begin(&known, "web@example.org", "n,,"), LOGIN_CHALLENGE);
	assert_int_equal(scram_begin(&unknown, "nobody@example.org", "n,,"), LOGIN_CHALLENGE);
	assert_int_equal(scram_begin(&again, "Nobody@Example.org", "n,,"), LOGIN_CHALLENGE);
	assert_int_equal(scram_begin(&other, "somebody@example.org", "n,,"), LOGIN_CHALLENGE);
	assert_string_equal(unknown.salt, again.salt);
	assert_string_not_equal(unknown.salt, other.salt);
	assert_int_equal(strlen(unknown.salt), strlen(known.salt));
	assert_int_equal(unknown.iterations, known.iterations);
	assert_int_equal(strlen(unknown.server_first), strlen(known.server_first));
	assert_int_equal(scram_finish(&known, "wrong", "biws", verdict), LOGIN_REFUSED);
	assert_int_equal(scram_finish(&unknown, "wrong", "biws", verdict), LOGIN_REFUSED);
	login_destroy(&known.login);
	login_destroy(&unknown.login);
	login_destroy(&again.login); /* abandoned */
	login_destroy(&other.login);
}

static void scram_nonsense_is_refused(void **state)
{
	static const char *const firsts[] = { "", "n", "n,,", "n,,n=web@example.org", "x,,n=a,r=b",
		"n,,r=b,n=a", "n,,n=,r=fyko", "n,,n=web@example.org,r=", "p=tls-exporter,,n=a,r=b",
		"n,,m=ext,n=web@example.org,r=fyko", "n,a=,n=web@example.org,r=fyko",
		"n,,n=web=40example.org,r=fyko", "n,,n=a=2Cb,r=\x01" };
	static const char *const finals[] = { "", "c=biws", "c=biws,r=x",
		"c=biws,r=x,p=", "c=biws,r=x,p=AAAA", "p=AAAA", ",,,,", "c=,r=,p=" };
	const uint8_t *challenge;
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof firsts / sizeof firsts[0]; i++) {
		struct login *login = login_create(office);
		enum login_step step = login_start(login, "SCRAM-SHA-256",
		    (const uint8_t *)firsts[i], strlen(firsts[i]), &challenge, &n);

		if (step == LOGIN_CHALLENGE)
			step = say(login, "c=biws,r=x,p=AAAA", 17);
		if (step != LOGIN_REFUSED)
			fail_msg("\"%s\": %d", firsts[i], step);
		login_destroy(&login);
	}
	for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++) {
		struct scram s;

		assert_int_equal(scram_begin(&s, "web@example.org", "n,,"), LOGIN_CHALLENGE);
		if (say(s.login, finals[i], strlen(finals[i])) != LOGIN_REFUSED)
			fail_msg("\"%s\"", finals[i]);
		login_destroy(&s.login);
	}
}

/* ---- what else ---- */

static void A17_other_mechanisms_are_refused(void **state)
{
	static const char *const others[] = { "ANONYMOUS", "EXTERNAL", "NTLM", "DIGEST-MD5",
		"CRAM-MD5", "GSSAPI", "GS2-KRB5", "OTP", "SCRAM-SHA-1", "SCRAM-SHA-512",
		"SCRAM-SHA-256-PLUS", "XOAUTH2", "OAUTHBEARER", "", "PLAINX", "PLAI", "../PLAIN" };

	(void)state;
	for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
		struct login *login = login_create(office);
		const uint8_t *challenge;
		size_t n;
		enum login_step step = login_start(login, others[i],
		    (const uint8_t *)"\0web@example.org\0secret", 23, &challenge, &n);

		if (step != LOGIN_REFUSED)
			fail_msg("%s: %d", others[i], step);
		login_destroy(&login);
	}
}

static int64_t cpu_of(const char *response, size_t n)
{
	struct timespec before, after;
	char name[300];

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
	for (int i = 0; i < 8; i++)
		assert_int_equal(plain(response, n, name), LOGIN_REFUSED);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
	return (after.tv_sec - before.tv_sec) * INT64_C(1000000000) + after.tv_nsec -
	       before.tv_nsec;
}

/* The work of a password check is done for nobody too: the most of three tries, of CPU time. */
static void A18_unknown_user_costs_the_same(void **state)
{
	int64_t known = 0, unknown = 0;

	(void)state;
	for (int i = 0; i < 3; i++) {
		int64_t a = cpu_of(RAW("\0web@example.org\0wrong1"));
		int64_t b = cpu_of(RAW("\0nobody@example.org\0wrong1"));

		known = i == 0 || a < known ? a : known;
		unknown = i == 0 || b < unknown ? b : unknown;
	}
	if (unknown < known / 2 || unknown > known * 2)
		fail_msg("%lld ns for a known user, %lld ns for an unknown one", (long long)known,
		    (long long)unknown);
}

/* Many exchanges open at once, in turns, some abandoned: none disturbs another. */
static void exchanges_are_apart(void **state)
{
	struct scram s[20];
	char verdict[200];

	(void)state;
	for (size_t i = 0; i < 20; i++)
		assert_int_equal(scram_begin(&s[i],
				     i % 2 == 0 ? "web@example.org" : "nobody@example.org", "n,,"),
		    LOGIN_CHALLENGE);
	for (size_t i = 20; i-- > 0;) {
		if (i % 3 != 0)
			assert_int_equal(scram_finish(&s[i], "secret", "biws", verdict),
			    i % 2 == 0 ? LOGIN_DONE : LOGIN_REFUSED);
		login_destroy(&s[i].login);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(plain_logins),
		cmocka_unit_test(A12_passwords_of_many_lengths),
		cmocka_unit_test(A2_plain_without_initial_response),
		cmocka_unit_test(A11_login_mechanism),
		cmocka_unit_test(scram_logins),
		cmocka_unit_test(A18_scram_does_not_tell_who_exists),
		cmocka_unit_test(scram_nonsense_is_refused),
		cmocka_unit_test(A17_other_mechanisms_are_refused),
		cmocka_unit_test(A18_unknown_user_costs_the_same),
		cmocka_unit_test(exchanges_are_apart),
	};

	return cmocka_run_group_tests(tests, open_office, close_office);
}
