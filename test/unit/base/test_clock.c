/*
 * Dates as they are written, and queue ids, which are made of time: unique, valid, in order.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/queue_id.h"

static void dates(void **state)
{
	static const struct {
		int64_t wall_s;
		const char *date, *iso;
	} cases[] = {
		{ 0, "Thu, 1 Jan 1970 00:00:00 +0000", "1970-01-01T00:00:00Z" },
		{ 951782400, "Tue, 29 Feb 2000 00:00:00 +0000", "2000-02-29T00:00:00Z" },
		{ 1795296283, "Sat, 21 Nov 2026 21:24:43 +0000", "2026-11-21T21:24:43Z" },
		{ 2147483648, "Tue, 19 Jan 2038 03:14:08 +0000", "2038-01-19T03:14:08Z" },
		{ -1, "Wed, 31 Dec 1969 23:59:59 +0000", "1969-12-31T23:59:59Z" },
		{ 253402300799, "Fri, 31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59Z" },
		/* what no year of four digits holds */
		{ INT64_MAX, "Fri, 31 Dec 9999 23:59:59 +0000", "9999-12-31T23:59:59Z" },
		{ INT64_MIN, "Sat, 1 Jan 0000 00:00:00 +0000", "0000-01-01T00:00:00Z" },
	};
	char date[CLOCK_DATE_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		clock_print_date(cases[i].wall_s, date);
		assert_string_equal(date, cases[i].date);
		clock_print_iso(cases[i].wall_s, date);
		/* the year 0 has no width of four everywhere */
		if (cases[i].wall_s != INT64_MIN)
			assert_string_equal(date, cases[i].iso);
	}
}

static void Q14_wall_clock_shifts_and_monotonic_does_not(void **state)
{
	int64_t wall_s = clock_wall_s(), monotonic_ms = clock_monotonic_ms();

	(void)state;
	clock_shift_wall(-400 * INT64_C(86400));
	assert_in_range(clock_wall_s() + 400 * INT64_C(86400) - wall_s, 0, 60);
	assert_in_range(clock_monotonic_ms() - monotonic_ms, 0, 60000);
	clock_shift_wall(0);
	assert_in_range(clock_wall_s() - wall_s, 0, 60);
}

static int compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void ids_are_unique_and_valid(void **state)
{
	enum { N = 50000 };
	char(*ids)[QUEUE_ID_MAX] = calloc(N, sizeof *ids);

	(void)state;
	for (size_t i = 0; i < N; i++) {
		queue_id_make(ids[i]);
		assert_int_equal(strlen(ids[i]), QUEUE_ID_LENGTH);
		assert_true(queue_id_is_valid(ids[i], strlen(ids[i])));
	}
	qsort(ids, N, sizeof *ids, compare);
	for (size_t i = 1; i < N; i++)
		assert_string_not_equal(ids[i], ids[i - 1]);
	free(ids);
}

static void ids_follow_time(void **state)
{
	char first[QUEUE_ID_MAX], second[QUEUE_ID_MAX];

	(void)state;
	queue_id_make(first);
	clock_shift_wall(1);
	queue_id_make(second);
	assert_true(strcmp(first, second) < 0);
	clock_shift_wall(-60 * INT64_C(365) * 86400); /* before the epoch: still an id */
	queue_id_make(second);
	assert_true(queue_id_is_valid(second, strlen(second)));
	clock_shift_wall(0);
}

/* A child goes on from its parent's memory, and must not go on with its ids. */
static void ids_of_a_fork_differ(void **state)
{
	char ours[QUEUE_ID_MAX], theirs[QUEUE_ID_MAX] = "";
	int ends[2], status;
	pid_t child;

	(void)state;
	queue_id_make(ours);
	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0) {
		char id[QUEUE_ID_MAX];

		queue_id_make(id);
		_exit(write(ends[1], id, sizeof id) != (ssize_t)sizeof id);
	}
	assert_int_equal(read(ends[0], theirs, sizeof theirs), (ssize_t)sizeof theirs);
	assert_int_equal(waitpid(child, &status, 0), child);
	queue_id_make(ours);
	/* after the 9 letters of time: process and counter */
	assert_string_not_equal(ours + 9, theirs + 9);
	close(ends[0]);
	close(ends[1]);
}

static void C5_ids_that_are_none(void **state)
{
	static const char *const bad[] = { "", "../../etc/passwd", "*", "0123456789ABCD",
		"0123456789ABCDEF", "0123456789ABCDI", "0123456789ABCDL", "0123456789ABCDO",
		"0123456789ABCDU", "0123456789abcde", "0123456789ABC E", "0123456789ABC/E",
		"0123456789ABCD\n", "0123456789ABCD\xc3" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (queue_id_is_valid(bad[i], strlen(bad[i])))
			fail_msg("\"%s\"", bad[i]);
	}
	assert_false(queue_id_is_valid("0123456789ABCD\0", 15));
	assert_true(queue_id_is_valid("0123456789ABCDE and more", 15));
}

static void C5_ids_as_they_are_typed(void **state)
{
	static const struct {
		const char *typed, *id;
	} table[] = {
		{ "0123456789ABCDE", "0123456789ABCDE" },
		{ "0123456789abcde", "0123456789ABCDE" },
		{ "0123456789abcdef", "" }, /* not the one it begins with */
		{ "0123456789ABCDE ", "" },
		{ "abc", "ABC" },
		{ "", "" },
	};
	char id[QUEUE_ID_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		queue_id_fold(table[i].typed, id);
		assert_string_equal(id, table[i].id);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(dates),
		cmocka_unit_test(Q14_wall_clock_shifts_and_monotonic_does_not),
		cmocka_unit_test(ids_are_unique_and_valid),
		cmocka_unit_test(ids_follow_time),
		cmocka_unit_test(ids_of_a_fork_differ),
		cmocka_unit_test(C5_ids_that_are_none),
		cmocka_unit_test(C5_ids_as_they_are_typed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
