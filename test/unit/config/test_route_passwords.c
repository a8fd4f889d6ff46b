/*
 * The file of our own passwords at next hops.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/route_passwords.h"

static int make_file(void **state)
{
	char *path = strdup("/tmp/zegel-route-passwords-XXXXXX");
	int fd = mkstemp(path);

	assert_true(fd >= 0);
	close(fd);
	*state = path;
	return 0;
}

static int remove_file(void **state)
{
	unlink(*state);
	free(*state);
	return 0;
}

static void write_file(const char *path, const char *text, size_t n, mode_t mode)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(text, 1, n, f), n);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void lines_are_logins_and_passwords(void **state)
{
	static const char text[] = "# ours at the smarthost\n"
				   "\n"
				   "relay@example.org correct horse: \"battery\" # staple \n"
				   "Other \t p\xc3\xa9\r\n"
				   "other x";
	struct secrets p;
	char error[256];

	write_file(*state, text, sizeof text - 1, 0640);
	assert_int_equal(route_passwords_load(&p, *state, error, sizeof error), 0);
	assert_int_equal(p.n, 3);
	assert_string_equal(
	    secrets_find(&p, "relay@example.org"), "correct horse: \"battery\" # staple ");
	assert_string_equal(secrets_find(&p, "Other"), "p\xc3\xa9");
	assert_string_equal(secrets_find(&p, "other"), "x");
	assert_null(secrets_find(&p, "OTHER"));
	secrets_finish(&p);
	assert_int_equal(p.n, 0);
	assert_null(secrets_find(&p, "other"));
	secrets_finish(&p);

	write_file(*state, "", 0, 0600);
	assert_int_equal(route_passwords_load(&p, *state, error, sizeof error), 0);
	assert_null(secrets_find(&p, "other"));
	secrets_finish(&p);
}

static void what_is_no_such_file_is_told(void **state)
{
	static char overlong[1100] = "a ";
	static const struct {
		const char *text;
		size_t n;
		mode_t mode;
		const char *told;
	} files[] = {
		{ "a b\n", 4, 0644, "chmod 0640 it [route-passwords-mode]" },
		{ "a b\n", 4, 0660, "chmod 0640 it [route-passwords-mode]" },
		{ "a b\n", 4, 0641, "chmod 0640 it [route-passwords-mode]" },
		{ "a b\n", 4, 0700, "chmod 0640 it [route-passwords-mode]" },
		{ "a b\nc\n", 6, 0600, ":2: must be LOGIN PASSWORD" },
		{ "a \n", 3, 0600, ":1: must be LOGIN PASSWORD" },
		{ " a b\n", 5, 0600, ":1: must be LOGIN PASSWORD" },
		{ "\xc3\xa9 c\n", 5, 0600, ":1: must be LOGIN PASSWORD" },
		{ "a b\0c\n", 6, 0600, ":1: must be LOGIN PASSWORD" },
		{ overlong, sizeof overlong, 0600, ":1: must be LOGIN PASSWORD" },
		{ "a b\nc d\na e\n", 12, 0600, "login 'a' is there twice" },
	};
	struct secrets p;
	char error[256];

	memset(overlong + 2, 'x', sizeof overlong - 2);
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
		write_file(*state, files[i].text, files[i].n, files[i].mode);
		assert_int_equal(route_passwords_load(&p, *state, error, sizeof error), -1);
		assert_int_equal(errno, 0);
		if (strstr(error, files[i].told) == NULL)
			fail_msg("%zu: %s", i, error);
	}
	assert_int_equal(route_passwords_load(&p, "/nonexistent/file", error, sizeof error), -1);
	assert_int_equal(errno, ENOENT);
	assert_non_null(strstr(error, "No such file or directory [route-passwords-file]"));
	assert_int_equal(route_passwords_load(&p, "/dev", error, sizeof error), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    lines_are_logins_and_passwords, make_file, remove_file),
		cmocka_unit_test_setup_teardown(
		    what_is_no_such_file_is_told, make_file, remove_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
