/*
 * What the memory of right passwords knows, and what it must not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "relay/proc/login_memory.h"
#include "tls/scram.h"

struct trial {
	const char *about, *verifier, *password;
	size_t n;
	bool is_known;
};

/* Noted before: "verifier one" with "secret". */
static const struct trial trials[] = {
	{ "the same two", "verifier one", "secret", 6, true },
	{ "another password", "verifier one", "Secret", 6, false },
	{ "a longer one", "verifier one", "secret!", 7, false },
	{ "a shorter one", "verifier one", "secre", 5, false },
	{ "none", "verifier one", "", 0, false },
	{ "the verifier of a changed password", "verifier two", "secret", 6, false },
	{ "the border moved", "verifier on", "esecret", 7, false },
};

static void test_knows_what_was_noted(void **state)
{
	struct login_memory *memory = login_memory_create();

	(void)state;
	assert_non_null(memory);
	assert_false(login_memory_knows(memory, "verifier one", "secret", 6));
	login_memory_note(memory, "verifier one", "secret", 6);
	for (size_t i = 0; i < sizeof trials / sizeof trials[0]; i++) {
		const struct trial *t = &trials[i];

		if (login_memory_knows(memory, t->verifier, t->password, t->n) != t->is_known)
			fail_msg("%s", t->about);
	}
	login_memory_destroy(&memory);
	assert_null(memory);
}

/* Each process has a key of its own: digests of one mean nothing in another. */
static void test_is_alone(void **state)
{
	struct login_memory *one = login_memory_create(), *other = login_memory_create();

	(void)state;
	login_memory_note(one, "verifier", "secret", 6);
	assert_false(login_memory_knows(other, "verifier", "secret", 6));
	login_memory_destroy(&one);
	login_memory_destroy(&other);
}

/* A12: what is too long to be a password is never known, and noting it harms nobody. */
static void test_A12_too_long(void **state)
{
	struct login_memory *memory = login_memory_create();
	char password[SCRAM_PASSWORD_MAX + 1];

	(void)state;
	memset(password, 'x', sizeof password);
	login_memory_note(memory, "verifier", password, sizeof password);
	assert_false(login_memory_knows(memory, "verifier", password, sizeof password));
	login_memory_note(memory, "verifier", password, sizeof password - 1);
	assert_true(login_memory_knows(memory, "verifier", password, sizeof password - 1));
	login_memory_destroy(&memory);
}

/* More logins than slots: some are forgotten, none is mistaken for another. */
static void test_forgets_when_full(void **state)
{
	struct login_memory *memory = login_memory_create();
	size_t n_known = 0;

	(void)state;
	for (int i = 0; i < 4 * LOGIN_MEMORY_SLOTS; i++)
		login_memory_note(memory, "verifier", (const char *)&i, sizeof i);
	for (int i = 0; i < 8 * LOGIN_MEMORY_SLOTS; i++) {
		bool is_known = login_memory_knows(memory, "verifier", (const char *)&i, sizeof i);

		assert_true(!is_known || i < 4 * LOGIN_MEMORY_SLOTS);
		n_known += is_known;
	}
	assert_in_range(n_known, LOGIN_MEMORY_SLOTS / 2, LOGIN_MEMORY_SLOTS);
	login_memory_destroy(&memory);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_knows_what_was_noted),
		cmocka_unit_test(test_is_alone),
		cmocka_unit_test(test_A12_too_long),
		cmocka_unit_test(test_forgets_when_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
