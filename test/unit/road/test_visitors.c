/*
 * Who is at the door: sessions are counted, failures cost more each time, and neither is remembered
 * without end (A9, O2).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "relay/visitors.h"

static void sessions_are_counted(void **state)
{
	struct visitors *v = visitors_create();

	(void)state;
	assert_int_equal(visitors_enter(v, "192.0.2.1"), 1);
	assert_int_equal(visitors_enter(v, "192.0.2.1"), 2);
	assert_int_equal(visitors_enter(v, "2001:db8::1"), 1);
	visitors_leave(v, "192.0.2.1");
	assert_int_equal(visitors_enter(v, "192.0.2.1"), 2);
	visitors_leave(v, "192.0.2.1");
	visitors_leave(v, "192.0.2.1");
	visitors_leave(v, "192.0.2.1"); /* who is not there cannot leave */
	visitors_leave(v, "198.51.100.1");
	assert_int_equal(visitors_enter(v, "192.0.2.1"), 1);
	visitors_destroy(&v);
	visitors_destroy(&v);
}

static void leaving_twice_is_leaving_once(void **state)
{
	struct visitors *v = visitors_create();

	(void)state;
	visitors_enter(v, "192.0.2.1");
	visitors_note_failure(v, "192.0.2.1", 1); /* so that it is remembered */
	visitors_leave(v, "192.0.2.1");
	visitors_leave(v, "192.0.2.1");
	assert_int_equal(visitors_enter(v, "192.0.2.1"), 1);
	visitors_destroy(&v);
}

static void A9_the_delay_grows_and_is_forgotten(void **state)
{
	static const int64_t delays[] = { 500, 1000, 2000, 4000, 8000, 8000, 8000 };
	struct visitors *v = visitors_create();
	int64_t now_ms = 1000000;

	(void)state;
	for (size_t i = 0; i < sizeof delays / sizeof delays[0]; i++) {
		/* each in a session of its own */
		visitors_enter(v, "192.0.2.1");
		assert_int_equal(visitors_note_failure(v, "192.0.2.1", now_ms), delays[i]);
		visitors_leave(v, "192.0.2.1");
		now_ms += 1000;
	}
	for (int i = 0; i < 1000; i++) {
		visitors_enter(v, "192.0.2.1");
		assert_int_equal(
		    visitors_note_failure(v, "192.0.2.1", now_ms), VISITORS_DELAY_MAX_MS);
		visitors_leave(v, "192.0.2.1");
	}
	visitors_enter(v, "192.0.2.2");
	assert_int_equal(visitors_note_failure(v, "192.0.2.2", now_ms), 500);
	visitors_enter(v, "192.0.2.1");
	now_ms += VISITORS_FORGET_MS + 1;
	assert_int_equal(visitors_note_failure(v, "192.0.2.1", now_ms), 500);
	assert_int_equal(visitors_note_failure(v, "203.0.113.9", now_ms), 500); /* not here */
	visitors_destroy(&v);
}

static void O2_addresses_past_the_most_are_not_remembered(void **state)
{
	struct visitors *v = visitors_create();
	char address[32];

	(void)state;
	for (int i = 0; i < 3 * VISITORS_MAX; i++) {
		snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		visitors_enter(v, address);
		visitors_note_failure(v, address, 1000000);
		visitors_leave(v, address);
	}
	/* The first are, the last are not; their sessions are counted all the same. */
	visitors_enter(v, "10.0.0.0");
	assert_int_equal(visitors_note_failure(v, "10.0.0.0", 1000000), 1000);
	assert_int_equal(visitors_enter(v, address), 1);
	assert_int_equal(visitors_note_failure(v, address, 1000000), 500);
	visitors_destroy(&v);
}

/* Its record is old and swept away in the very call. */
static void failure_of_one_that_is_swept(void **state)
{
	struct visitors *v = visitors_create();
	char address[32];

	(void)state;
	for (int i = 0; i < VISITORS_MAX; i++) {
		snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16, i >> 8 & 255, i & 255);
		visitors_enter(v, address);
		visitors_note_failure(v, address, 1);
		visitors_leave(v, address);
	}
	assert_int_equal(visitors_note_failure(v, address, 2 + VISITORS_FORGET_MS), 500);
	assert_int_equal(visitors_enter(v, address), 1);
	visitors_destroy(&v);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sessions_are_counted),
		cmocka_unit_test(leaving_twice_is_leaving_once),
		cmocka_unit_test(A9_the_delay_grows_and_is_forgotten),
		cmocka_unit_test(O2_addresses_past_the_most_are_not_remembered),
		cmocka_unit_test(failure_of_one_that_is_swept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
