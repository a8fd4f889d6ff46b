/*
 * The file of verifiers, and the verifiers in it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "config/passwords.h"
#include "relay/base/encode.h"
#include "tls/scram.h"

/* The password "pencil" with the salt and count of RFC 7677 3, whose ServerSignature it gives. */
#define PENCIL                                                                                     \
	"SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ=="                                              \
	"$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"                                           \
	"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static char directory[64], path[128];

static int make_place(void **state)
{
	(void)state;
	snprintf(directory, sizeof directory, "/tmp/zegel-passwords-XXXXXX");
	assert_non_null(mkdtemp(directory));
	snprintf(path, sizeof path, "%s/passwords", directory);
	return 0;
}

static int remove_place(void **state)
{
	(void)state;
	unlink(path);
	/* Fails if a temporary file was left behind. */
	assert_int_equal(rmdir(directory), 0);
	return 0;
}

static void write_file(const char *text, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

/* ---- the file ------------------------------------------------------- */

static void what_is_set_is_found(void **state)
{
	struct secrets p;
	char error[256];
	struct stat st;

	(void)state;
	assert_int_equal(passwords_set(path, "web@example.org", PENCIL, (gid_t)-1, error, 256), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	assert_int_equal(
	    passwords_set(path, "a@example.org", PENCIL "A", (gid_t)-1, error, 256), 0);
	assert_int_equal(passwords_load(&p, path, error, sizeof error), 0);
	assert_int_equal(p.n, 2);
	assert_string_equal(secrets_find(&p, "web@example.org"), PENCIL);
	assert_string_equal(secrets_find(&p, "a@example.org"), PENCIL "A");
	assert_null(secrets_find(&p, "web@example.or"));
	assert_null(secrets_find(&p, ""));
	secrets_finish(&p);
	assert_null(secrets_find(&p, "a@example.org"));
}

static void setting_again_replaces_and_keeps_the_rest(void **state)
{
	char error[256], text[2048];
	struct stat st;
	FILE *f;
	size_t n;

	(void)state;
	write_file("# kept\n\nWeb@example.org:" PENCIL "\nwebs:" PENCIL, 0600);
	assert_int_equal(
	    passwords_set(path, "web@example.org", PENCIL "B", (gid_t)-1, error, 256), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	f = fopen(path, "r");
	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	assert_string_equal(text, "# kept\n\nwebs:" PENCIL "\nweb@example.org:" PENCIL "B\n");
}

static void a_file_that_cannot_be_written_stays(void **state)
{
	char error[256];

	(void)state;
	assert_int_equal(
	    passwords_set("/nonexistent/passwords", "a", PENCIL, (gid_t)-1, error, sizeof error),
	    -1);
	assert_non_null(strstr(error, "'/nonexistent': No such file"));
	/* A directory in the place of the file: the rename fails, and nothing is left behind. */
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(passwords_set(path, "a", PENCIL, (gid_t)-1, error, sizeof error), -1);
	assert_int_equal(rmdir(path), 0);
}

/* Two commands at once: none of the lines may be lost. */
static void writers_wait_for_each_other(void **state)
{
	enum { WRITERS = 8 };
	struct secrets p;
	char error[256], login[16];
	int status;

	(void)state;
	for (int i = 0; i < WRITERS; i++) {
		if (fork() == 0) {
			snprintf(login, sizeof login, "user%d", i);
			_exit(
			    passwords_set(path, login, PENCIL, (gid_t)-1, error, sizeof error) == 0
				? 0
				: 1);
		}
	}
	for (int i = 0; i < WRITERS; i++) {
		assert_true(wait(&status) > 0);
		assert_int_equal(status, 0);
	}
	assert_int_equal(passwords_load(&p, path, error, sizeof error), 0);
	assert_int_equal(p.n, WRITERS);
	secrets_finish(&p);
}

static void broken_files_are_refused(void **state)
{
	static const struct {
		const char *text;
		mode_t mode;
		const char *told;
	} cases[] = {
		{ "a:" PENCIL "\nb\n", 0600, "passwords:2: must be LOGIN:SCRAM-SHA-256$" },
		{ "a:secret\n", 0600, "STOREDKEY:SERVERKEY [passwords-line]" },
		{ ":" PENCIL "\n", 0600, "passwords:1: must be" },
		{ "a b:" PENCIL "\n", 0600, "passwords:1: must be" },
		{ "a:" PENCIL " \n", 0600, "passwords:1: must be" },
		{ "a:" PENCIL "\nb:" PENCIL "\nA:" PENCIL "\n", 0600, "login 'a' is there twice" },
		{ "a:" PENCIL "\n", 0644, "closed to others: chmod 0640 it [passwords-mode]" },
	};
	struct secrets p;
	char error[256];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		write_file(cases[i].text, cases[i].mode);
		assert_int_equal(passwords_load(&p, path, error, sizeof error), -1);
		assert_int_equal(p.n, 0);
		if (strstr(error, cases[i].told) == NULL)
			fail_msg("%s", error);
	}
	assert_int_equal(unlink(path), 0);
	assert_int_equal(passwords_load(&p, path, error, sizeof error), -1);
	assert_int_equal(errno, ENOENT);
}

/* ---- the verifiers -------------------------------------------------- */

static void rfc_7677_example(void **state)
{
	unsigned char salt[16];
	char text[SCRAM_TEXT_MAX];
	size_t n;

	(void)state;
	assert_true(base64_decode("W22ZaJ0SNY7soEsUEjb6gQ==", 24, salt, &n));
	assert_int_equal(scram_make_verifier_salted("pencil", 6, salt, n, 4096, text), 0);
	assert_string_equal(text, PENCIL);
	assert_true(scram_check_password(PENCIL, "pencil", 6));
	assert_false(scram_check_password(PENCIL, "pencil", 5));
	assert_false(scram_check_password(PENCIL, "pencil\0", 7));
	assert_false(scram_check_password(PENCIL, "Pencil", 6));
	assert_false(scram_check_password(PENCIL, "", 0));
}

/* A12: one byte, many bytes, too many. */
static void a12_passwords_of_all_lengths(void **state)
{
	static const size_t lengths[] = { 1, 2, 63, 64, 65, 128, 1023, 1024 };
	char password[SCRAM_PASSWORD_MAX + 1], text[SCRAM_TEXT_MAX], again[SCRAM_TEXT_MAX];

	(void)state;
	memset(password, 'p', sizeof password);
	for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
		assert_null(scram_refuse_password(password, lengths[i]));
		assert_int_equal(scram_make_verifier(password, lengths[i], text), 0);
		assert_int_equal(scram_make_verifier(password, lengths[i], again), 0);
		assert_string_not_equal(text, again);
		assert_true(scram_verifier_is_valid(text));
		assert_true(scram_check_password(text, password, lengths[i]));
		assert_false(scram_check_password(text, password, lengths[i] - 1));
	}
	assert_non_null(scram_refuse_password(password, SCRAM_PASSWORD_MAX + 1));
	assert_int_equal(scram_make_verifier(password, SCRAM_PASSWORD_MAX + 1, text), -1);
	assert_non_null(scram_refuse_password("", 0));
}

/* A8: none of these could be sent by a client that follows RFC 4013. */
static void a8_control_characters_are_refused(void **state)
{
	(void)state;
	assert_non_null(scram_refuse_password("a\nb", 3));
	assert_non_null(scram_refuse_password("a\tb", 3));
	assert_non_null(scram_refuse_password("a\0b", 3));
	assert_non_null(scram_refuse_password("ab\x7f", 3));
	assert_null(scram_refuse_password("pässword with spaces", 21));
}

static void broken_verifiers_fit_nothing(void **state)
{
	static const char *const texts[] = { "", "SCRAM-SHA-256", "SCRAM-SHA-256$", "pencil",
		"SCRAM-SHA-1$4096:W22ZaJ0SNY7soEsUEjb6gQ==$a:b",
		"SCRAM-SHA-256$4095:W22ZaJ0SNY7soEsUEjb6gQ=="
		"$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$999999999:W22ZaJ0SNY7soEsUEjb6gQ=="
		"$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		"SCRAM-SHA-256$4096:$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"
		"wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=",
		PENCIL "=", PENCIL ":", "x" PENCIL };
	char text[sizeof PENCIL];

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		assert_false(scram_verifier_is_valid(texts[i]));
		assert_false(scram_check_password(texts[i], "pencil", 6));
	}
	for (size_t n = 0; n < sizeof PENCIL - 1; n++) {
		memcpy(text, PENCIL, n);
		text[n] = '\0';
		assert_false(scram_verifier_is_valid(text));
	}
}

/* A18: an unknown login shows the same salt each time, and another than its neighbour. */
static void a18_fake_verifiers_look_like_real_ones(void **state)
{
	char one[SCRAM_TEXT_MAX], again[SCRAM_TEXT_MAX], other[SCRAM_TEXT_MAX],
	    elsewhere[SCRAM_TEXT_MAX], real[SCRAM_TEXT_MAX];

	(void)state;
	assert_int_equal(scram_fake_verifier("secret", 6, "alice", one), 0);
	assert_int_equal(scram_fake_verifier("secret", 6, "alice", again), 0);
	assert_int_equal(scram_fake_verifier("secret", 6, "alicf", other), 0);
	assert_int_equal(scram_fake_verifier("Secret", 6, "alice", elsewhere), 0);
	assert_int_equal(scram_make_verifier("pencil", 6, real), 0);
	assert_string_equal(one, again);
	assert_string_not_equal(one, other);
	assert_string_not_equal(one, elsewhere);
	assert_true(scram_verifier_is_valid(one));
	assert_int_equal(strlen(one), strlen(real));
	assert_memory_equal(one, real, strlen("SCRAM-SHA-256$10000:"));
	assert_false(scram_check_password(one, "", 0) || scram_check_password(one, "alice", 5));
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, make_place, remove_place)
	const struct CMUnitTest tests[] = {
		TEST(what_is_set_is_found),
		TEST(setting_again_replaces_and_keeps_the_rest),
		TEST(a_file_that_cannot_be_written_stays),
		TEST(writers_wait_for_each_other),
		TEST(broken_files_are_refused),
		cmocka_unit_test(rfc_7677_example),
		cmocka_unit_test(a12_passwords_of_all_lengths),
		cmocka_unit_test(a8_control_characters_are_refused),
		cmocka_unit_test(broken_verifiers_fit_nothing),
		cmocka_unit_test(a18_fake_verifiers_look_like_real_ones),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
