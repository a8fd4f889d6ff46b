/*
 * Our own logins at next hops: against libsasl2's server side as our clients meet it, and against
 * servers that are written here and try things.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/passwords.h"
#include "config/route_passwords.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/proc/client_login.h"
#include "relay/proc/login.h"
#include "tls/scram.h"

#define HOST  "smarthost.example"
#define LOGIN "relay@example.org"

static char verifiers_path[] = "/tmp/zegel-client-login-XXXXXX";
static char secrets_path[] = "/tmp/zegel-client-login-XXXXXX";
static struct secrets verifiers;
static struct secrets secrets;
static struct login_office *server_office;
static struct client_login_office *office;

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

/* Both sides of libsasl2 in one process, as in the auth role. */
static int open_offices(void **state)
{
	char verifier[SCRAM_TEXT_MAX], error[512];

	(void)state;
	write_file(verifiers_path, "");
	write_file(secrets_path, LOGIN " correct horse battery\n"
				       "wrong@example.org not this\n"
				       "utf8@example.org p\xc3\xa4ssw\xc3\xb6rd\n");
	assert_int_equal(scram_make_verifier("correct horse battery", 21, verifier), 0);
	assert_int_equal(
	    passwords_set(verifiers_path, LOGIN, verifier, (gid_t)-1, error, sizeof error), 0);
	assert_int_equal(passwords_set(verifiers_path, "wrong@example.org", verifier, (gid_t)-1,
			     error, sizeof error),
	    0);
	assert_int_equal(scram_make_verifier("p\xc3\xa4ssw\xc3\xb6rd", 10, verifier), 0);
	assert_int_equal(passwords_set(verifiers_path, "utf8@example.org", verifier, (gid_t)-1,
			     error, sizeof error),
	    0);
	assert_int_equal(passwords_load(&verifiers, verifiers_path, error, sizeof error), 0);
	if (route_passwords_load(&secrets, secrets_path, error, sizeof error) != 0)
		fail_msg("%s", error);
	server_office = login_office_create(&verifiers, HOST, error, sizeof error);
	assert_non_null(server_office);
	office = client_login_office_create(&secrets, error, sizeof error);
	assert_non_null(office);
	return 0;
}

static int close_offices(void **state)
{
	(void)state;
	client_login_office_destroy(&office);
	login_office_destroy(&server_office);
	secrets_finish(&secrets);
	secrets_finish(&verifiers);
	unlink(verifiers_path);
	unlink(secrets_path);
	return 0;
}

/* ---- against our own server's side ---- */

/* How it ends for the server; *last is how it ended for us. */
static enum login_step converse(
    const char *login, const char *mechanisms, const char *wants, struct client_login_say *last)
{
	struct client_login *client = client_login_create(office, HOST, login);
	struct login *server = login_create(server_office);
	enum login_step step = LOGIN_BROKEN;
	const uint8_t *challenge;
	size_t n, n_rounds = 0;

	client_login_begin(client, mechanisms, true, last);
	assert_true(last->state == CLIENT_LOGIN_GO_ON || last->state == CLIENT_LOGIN_DONE);
	assert_string_equal(last->mechanism, wants);
	step = login_start(server, last->mechanism,
	    last->has_response ? (const uint8_t *)last->response.bytes : NULL, last->response.n,
	    &challenge, &n);
	while (step == LOGIN_CHALLENGE && n_rounds++ < 10) {
		client_login_go_on(client, (struct slice){ (const char *)challenge, n }, last);
		if (last->state != CLIENT_LOGIN_GO_ON && last->state != CLIENT_LOGIN_DONE)
			break;
		step = login_go_on(server, (const uint8_t *)last->response.bytes, last->response.n,
		    &challenge, &n);
	}
	if (step == LOGIN_DONE)
		assert_string_equal(login_name(server), login);
	client_login_destroy(&client);
	login_destroy(&server);
	return step;
}

static void logins_that_fit_are_let_in(void **state)
{
	static const struct {
		const char *offered, *wants;
	} cases[] = {
		{ "SCRAM-SHA-256", "SCRAM-SHA-256" },
		{ "PLAIN", "PLAIN" },
		{ "LOGIN", "LOGIN" },
		{ "LOGIN PLAIN", "PLAIN" },
		{ "PLAIN LOGIN SCRAM-SHA-256 SCRAM-SHA-1", "SCRAM-SHA-256" },
		{ "plain Scram-Sha-256", "SCRAM-SHA-256" },
		{ "  ANONYMOUS  EXTERNAL GSSAPI CRAM-MD5 LOGIN  ", "LOGIN" },
		{ "SCRAM-SHA-256-PLUS XPLAIN PLAINX PLAIN", "PLAIN" },
	};
	static const char *const logins[] = { LOGIN, "utf8@example.org" };
	struct client_login_say last;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t k = 0; k < 2; k++) {
			print_message("%s as %s\n", cases[i].offered, logins[k]);
			assert_int_equal(
			    converse(logins[k], cases[i].offered, cases[i].wants, &last),
			    LOGIN_DONE);
			assert_int_equal(last.state, CLIENT_LOGIN_DONE);
		}
	}
}

static void a_wrong_password_is_refused(void **state)
{
	static const char *const all[] = { "SCRAM-SHA-256", "PLAIN", "LOGIN" };
	struct client_login_say last;

	(void)state;
	for (size_t i = 0; i < 3; i++)
		assert_int_equal(
		    converse("wrong@example.org", all[i], all[i], &last), LOGIN_REFUSED);
}

/* ---- what is not begun ---- */

static void what_cannot_begin_says_why(void **state)
{
	static const struct {
		const char *login, *offered;
		bool is_verified;
		enum client_login_state wants;
		const char *words;
	} cases[] = {
		{ "nobody@example.org", "PLAIN", true, CLIENT_LOGIN_NO_SECRET, "no password" },
		{ "RELAY@example.org", "PLAIN", true, CLIENT_LOGIN_NO_SECRET, "no password" },
		{ "", "PLAIN", true, CLIENT_LOGIN_NO_SECRET, "no password" },
		{ LOGIN, "", true, CLIENT_LOGIN_NO_MECHANISM, "offers \"\"" },
		{ LOGIN, "ANONYMOUS", true, CLIENT_LOGIN_NO_MECHANISM, "ANONYMOUS" },
		{ LOGIN, "EXTERNAL GSSAPI", true, CLIENT_LOGIN_NO_MECHANISM, "GSSAPI" },
		{ LOGIN, "\x1b[2J", true, CLIENT_LOGIN_NO_MECHANISM, "offers" },
		{ LOGIN, "PLAIN", false, CLIENT_LOGIN_NO_MECHANISM, "tls = verify" },
		{ LOGIN, "LOGIN PLAIN CRAM-MD5", false, CLIENT_LOGIN_NO_MECHANISM, "not verified" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct client_login *c = client_login_create(office, HOST, cases[i].login);
		struct client_login_say say;

		client_login_begin(c, cases[i].offered, cases[i].is_verified, &say);
		assert_int_equal(say.state, cases[i].wants);
		assert_non_null(strstr(say.problem, cases[i].words));
		assert_null(strchr(say.problem, 0x1b));
		assert_false(say.has_response);
		client_login_destroy(&c);
	}
}

/* Who did not show a certificate is told nothing that the password could be read from. */
static void without_a_verified_server_only_a_proof_is_given(void **state)
{
	struct client_login *c = client_login_create(office, HOST, LOGIN);
	struct client_login_say say;

	(void)state;
	client_login_begin(c, "LOGIN PLAIN SCRAM-SHA-1", false, &say);
	assert_int_equal(say.state, CLIENT_LOGIN_GO_ON);
	assert_string_equal(say.mechanism, "SCRAM-SHA-1");
	client_login_destroy(&c);
}

/* ---- byte for byte ---- */

static void assert_response(const struct client_login_say *say, const char *bytes, size_t n)
{
	assert_true(say->has_response);
	assert_int_equal(say->response.n, n);
	assert_memory_equal(say->response.bytes, bytes, n);
}
#define ASSERT_RESPONSE(say, literal) assert_response(say, literal, sizeof literal - 1)

static void PLAIN_is_one_response_that_acts_for_nobody_else(void **state)
{
	struct client_login *c = client_login_create(office, HOST, LOGIN);
	struct client_login_say say;

	(void)state;
	client_login_begin(c, "PLAIN", true, &say);
	assert_int_equal(say.state, CLIENT_LOGIN_DONE);
	ASSERT_RESPONSE(&say, "\0relay@example.org\0correct horse battery");
	/* A server that asks once more gets nothing. */
	client_login_go_on(c, slice_of("and now?"), &say);
	assert_int_equal(say.state, CLIENT_LOGIN_FAILED);
	assert_false(say.has_response);
	client_login_destroy(&c);
}

static void LOGIN_answers_two_challenges_whatever_they_say(void **state)
{
	struct client_login *c = client_login_create(office, HOST, LOGIN);
	struct client_login_say say;

	(void)state;
	client_login_begin(c, "LOGIN", true, &say);
	assert_int_equal(say.state, CLIENT_LOGIN_GO_ON);
	assert_false(say.has_response);
	client_login_go_on(c, slice_of("Username:"), &say);
	assert_int_equal(say.state, CLIENT_LOGIN_GO_ON);
	ASSERT_RESPONSE(&say, "relay@example.org");
	client_login_go_on(c, slice_of(""), &say);
	assert_int_equal(say.state, CLIENT_LOGIN_DONE);
	ASSERT_RESPONSE(&say, "correct horse battery");
	client_login_go_on(c, slice_of("Password again:"), &say);
	assert_int_equal(say.state, CLIENT_LOGIN_FAILED);
	client_login_destroy(&c);
}

/* ---- servers that try things ---- */

/* What the server answers to our first message: $ is our nonce. */
static const struct {
	const char *title, *first;
	const char *second; /* to our proof; NULL: it does not come to that */
	const char *words;
} hostile[] = {
	{ "nothing", "", NULL, "malformed" },
	{ "no attributes", "hello", NULL, "malformed" },
	{ "no rounds", "r=$x,s=c2FsdHNhbHQ=", NULL, "malformed" },
	{ "rounds elsewhere", "i=4096,r=$x,s=c2FsdHNhbHQ=", NULL, "malformed" },
	{ "rounds of nothing", "r=$x,s=c2FsdHNhbHQ=,i=", NULL, "malformed" },
	{ "no number", "r=$x,s=c2FsdHNhbHQ=,i=4096x", NULL, "malformed" },
	{ "a negative one", "r=$x,s=c2FsdHNhbHQ=,i=-4096", NULL, "malformed" },
	{ "one round", "r=$x,s=c2FsdHNhbHQ=,i=1", NULL, "between 4096 and" },
	{ "few rounds", "r=$x,s=c2FsdHNhbHQ=,i=4095", NULL, "between 4096 and" },
	{ "rounds for years", "r=$x,s=c2FsdHNhbHQ=,i=4294967295", NULL, "between 4096 and" },
	{ "more than that", "r=$x,s=c2FsdHNhbHQ=,i=99999999999999999999", NULL, "malformed" },
	{ "an extension we must know", "m=x,r=$x,i=4096", NULL, "does not fit" },
	{ "another nonce", "r=other,s=c2FsdHNhbHQ=,i=4096", NULL, "does not fit" },
	{ "our nonce alone, as a replay has it", "r=$,s=c2FsdHNhbHQ=,i=4096", "v=AAAA",
	    "does not fit" },
	{ "a salt that is none", "r=$x,s=****,i=4096", NULL, "does not fit" },
	{ "an error at once", "e=unknown-user", NULL, "e=unknown-user" },
	{ "a wrong signature", "r=$x,s=c2FsdHNhbHQ=,i=4096",
	    "v=AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=", "does not fit" },
	{ "no signature", "r=$x,s=c2FsdHNhbHQ=,i=4096", "", "does not fit" },
	{ "something else", "r=$x,s=c2FsdHNhbHQ=,i=4096", "r=$x,s=c2FsdHNhbHQ=,i=1",
	    "does not fit" },
	{ "our proof refused", "r=$x,s=c2FsdHNhbHQ=,i=4096", "e=invalid-proof\x1b[2J",
	    "is it the right one" },
};

/* With our nonce where a $ stands. */
static void fill(const char *with, const char *nonce, char *text, size_t room)
{
	size_t n = strcspn(with, "$");

	snprintf(text, room, "%.*s%s%s", (int)n, with, with[n] == '$' ? nonce : "",
	    with[n] == '$' ? with + n + 1 : "");
}

static void servers_that_do_not_know_the_password_get_no_login(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof hostile / sizeof *hostile; i++) {
		struct client_login *c = client_login_create(office, HOST, LOGIN);
		struct client_login_say say;
		char nonce[200] = "", challenge[500];

		print_message("%s\n", hostile[i].title);
		client_login_begin(c, "SCRAM-SHA-256", false, &say);
		assert_int_equal(say.state, CLIENT_LOGIN_GO_ON);
		assert_int_equal(
		    sscanf(say.response.bytes, "n,,n=relay@example.org,r=%199s", nonce), 1);
		assert_true(strlen(nonce) >= 16);
		fill(hostile[i].first, nonce, challenge, sizeof challenge);
		client_login_go_on(c, slice_of(challenge), &say);
		if (hostile[i].second != NULL && say.state == CLIENT_LOGIN_GO_ON) {
			assert_null(strstr(say.response.bytes, "correct"));
			fill(hostile[i].second, nonce, challenge, sizeof challenge);
			client_login_go_on(c, slice_of(challenge), &say);
		}
		assert_int_equal(say.state, CLIENT_LOGIN_FAILED);
		assert_non_null(strstr(say.problem, hostile[i].words));
		assert_null(strchr(say.problem, 0x1b));
		assert_false(say.has_response);
		/* And over it is. */
		client_login_go_on(c, slice_of("r="), &say);
		assert_int_equal(say.state, CLIENT_LOGIN_FAILED);
		client_login_begin(c, "PLAIN", true, &say);
		assert_int_equal(say.state, CLIENT_LOGIN_BROKEN);
		client_login_destroy(&c);
	}
}

/* The most rounds a server may ask for do not keep the process from its clients for long. */
static void the_most_rounds_take_no_second_of_a_fast_machine(void **state)
{
	struct client_login *c = client_login_create(office, HOST, LOGIN);
	struct client_login_say say;
	char nonce[200], challenge[500];
	int64_t began_ms;

	(void)state;
	client_login_begin(c, "SCRAM-SHA-256", true, &say);
	assert_int_equal(sscanf(say.response.bytes, "n,,n=relay@example.org,r=%199s", nonce), 1);
	snprintf(challenge, sizeof challenge, "r=%sx,s=c2FsdHNhbHQ=,i=%d", nonce,
	    CLIENT_LOGIN_ROUNDS_MOST);
	began_ms = clock_monotonic_ms();
	client_login_go_on(c, slice_of(challenge), &say);
	assert_int_equal(say.state, CLIENT_LOGIN_GO_ON);
	print_message("%lld ms\n", (long long)(clock_monotonic_ms() - began_ms));
	assert_true(clock_monotonic_ms() - began_ms < 20000); /* a slow one, with others on it */
	client_login_destroy(&c);
}

/* The client goes at any step: nothing stays behind (the sanitizer looks). */
static void exchanges_end_at_any_step(void **state)
{
	struct client_login *c = NULL;
	struct client_login_say say;

	(void)state;
	client_login_destroy(&c);
	for (int moment = 0; moment < 4; moment++) {
		c = client_login_create(office, HOST, LOGIN);
		if (moment == 1)
			client_login_begin(c, "SCRAM-SHA-256", true, &say);
		if (moment == 2)
			client_login_begin(c, "PLAIN", true, &say);
		if (moment == 3)
			client_login_go_on(c, slice_of("x"), &say); /* before it began */
		client_login_destroy(&c);
		assert_null(c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(logins_that_fit_are_let_in),
		cmocka_unit_test(a_wrong_password_is_refused),
		cmocka_unit_test(what_cannot_begin_says_why),
		cmocka_unit_test(without_a_verified_server_only_a_proof_is_given),
		cmocka_unit_test(PLAIN_is_one_response_that_acts_for_nobody_else),
		cmocka_unit_test(LOGIN_answers_two_challenges_whatever_they_say),
		cmocka_unit_test(servers_that_do_not_know_the_password_get_no_login),
		cmocka_unit_test(the_most_rounds_take_no_second_of_a_fast_machine),
		cmocka_unit_test(exchanges_end_at_any_step),
	};

	return cmocka_run_group_tests_name("proc/client_login", tests, open_offices, close_offices);
}
