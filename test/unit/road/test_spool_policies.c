/*
 * What the spool keeps of MTA-STS (RFC 8461 3.3).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/spool_policies.h"
#include "spool_fixture.h"

struct heard {
	bool done, has_failed;
	size_t n, n_parts, largest_part;
	char last[80]; /* "domain id policy" of the last one */
};

static int set_up(void **state)
{
	struct fixture *f = mem_create(sizeof *f);

	fixture_init(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	clock_shift_wall(0);
	fixture_finish(f);
	free(f);
	return 0;
}

static void on_found(void *arg, const struct sts_kept *policies, size_t n, bool is_last)
{
	struct heard *heard = arg;
	size_t size = 0;

	assert_false(heard->done || heard->has_failed);
	for (size_t i = 0; i < n; i++) {
		size += strlen(policies[i].policy);
		snprintf(heard->last, sizeof heard->last, "%s %s %s", policies[i].domain,
		    policies[i].id, policies[i].policy);
	}
	heard->n += n;
	heard->n_parts++;
	if (size > heard->largest_part)
		heard->largest_part = size;
	heard->done = is_last;
	heard->has_failed = n == 0 && !is_last;
}

static struct heard read_all(struct fixture *f)
{
	struct heard heard = { 0 };

	spool_policies_read(f->spool, on_found, &heard);
	assert_false(heard.done); /* never from inside the call */
	fixture_run(f, &heard.done);
	return heard;
}

static struct heard find(struct fixture *f, const char *domain)
{
	struct heard heard = { 0 };

	spool_policy_find(f->spool, domain, on_found, &heard);
	fixture_run(f, &heard.done);
	assert_int_equal(heard.n_parts, 1);
	return heard;
}

static void keep(struct fixture *f, const char *domain, const char *policy, int64_t for_s)
{
	int64_t now_s = clock_wall_s();

	spool_policy_keep(
	    f->spool, &(struct sts_kept){ domain, "20260101", policy, now_s, now_s + for_s });
}

static void T22_a_policy_survives_a_restart(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(find(f, "one.test").n, 0);
	keep(f, "one.test", "mode: enforce", 100);
	keep(f, "two.test", "mode: testing", 100);
	assert_string_equal(find(f, "one.test").last, "one.test 20260101 mode: enforce");
	keep(f, "one.test", "mode: none", 100); /* a newer one takes its place */
	fixture_close(f);
	assert_true(fixture_open(f));
	assert_int_equal(read_all(f).n, 2);
	assert_string_equal(find(f, "one.test").last, "one.test 20260101 mode: none");
	keep(f, "one.test", "", 0); /* forgotten */
	assert_int_equal(find(f, "one.test").n, 0);
	assert_string_equal(read_all(f).last, "two.test 20260101 mode: testing");
}

/* A clock that was ahead is no reason to lose what is in force when it is put right. */
static void T22_what_has_expired_is_not_found_and_stays(void **state)
{
	struct fixture *f = *state;

	keep(f, "one.test", "mode: enforce", 50);
	keep(f, "two.test", "mode: enforce", 500);
	clock_shift_wall(60);
	assert_int_equal(find(f, "one.test").n, 0);
	assert_int_equal(find(f, "two.test").n, 1);
	fixture_close(f); /* the start keeps house */
	clock_shift_wall(3600 * 24 * 365);
	assert_true(fixture_open(f));
	assert_int_equal(find(f, "two.test").n, 0);
	assert_int_equal(read_all(f).n, 2);
	clock_shift_wall(0);
	assert_int_equal(find(f, "one.test").n, 1);
	keep(f, "one.test", "", 0);
	assert_int_equal(read_all(f).n, 1);
}

static void many_policies_come_in_parts(void **state)
{
	enum { N = 3000, N_TEXT = 2000 };
	struct fixture *f = *state;
	char domain[32], *text = mem_create(N_TEXT + 1);
	struct heard heard;

	memset(text, 'x', N_TEXT);
	for (int i = 0; i < N; i++) {
		snprintf(domain, sizeof domain, "d%d.test", i);
		keep(f, domain, text, 1000);
	}
	heard = read_all(f);
	assert_int_equal(heard.n, N);
	assert_true(heard.n_parts > (size_t)N * N_TEXT / SPOOL_POLICIES_PART);
	assert_true(heard.largest_part <= SPOOL_POLICIES_PART);
	free(text);
}

/* The first page of the table is no page any more. */
static void damage_policies(struct fixture *f)
{
	char *path = mem_print("%s/queue.db", f->directory);
	sqlite3_stmt *row;
	sqlite3 *db;
	FILE *file;
	long at;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(
	    sqlite3_prepare_v2(db,
		"SELECT (rootpage - 1) * page_size FROM sqlite_master, pragma_page_size"
		" WHERE type = 'table' AND name = 'sts_policies'",
		-1, &row, NULL),
	    SQLITE_OK);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	at = (long)sqlite3_column_int64(row, 0);
	sqlite3_finalize(row);
	sqlite3_close(db);
	file = fopen(path, "r+");
	assert_non_null(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_int_equal(fwrite("no page", 1, 7, file), 7);
	assert_int_equal(fclose(file), 0);
	free(path);
}

/* Otherwise mail would go as if no domain had a policy. */
static void T22_a_database_that_can_not_be_read_is_not_one_without_policies(void **state)
{
	struct fixture *f = *state;
	struct heard heard = { 0 };

	keep(f, "one.test", "mode: enforce", 100);
	assert_int_equal(read_all(f).n, 1);
	fixture_close(f);
	damage_policies(f);
	assert_true(fixture_open(f));
	spool_policies_read(f->spool, on_found, &heard);
	fixture_run(f, &heard.has_failed);
	assert_false(heard.done);
	assert_int_equal(heard.n, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(T22_a_policy_survives_a_restart),
		CASE(T22_what_has_expired_is_not_found_and_stays),
		CASE(many_policies_come_in_parts),
		CASE(T22_a_database_that_can_not_be_read_is_not_one_without_policies),
	};

	return cmocka_run_group_tests_name("spool policies", tests, NULL, NULL);
}
