/*
 * The schedule over a real spool: fair, bounded, and patient with what is down.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"
#include "relay/schedule.h"
#include "spool_fixture.h"

#define TO(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

enum { STARTED_MAX = 256 };

/* Stands for the queue role: remembers what was started. */
struct owner {
	struct fixture f;
	struct schedule *schedule;
	struct spool_job jobs[STARTED_MAX];
	bool site_down[STARTED_MAX]; /* the started with site_down */
	bool hurries[STARTED_MAX];
	char why[64]; /* its name */
	bool is_done[STARTED_MAX];
	size_t n;
};

static void on_start(
    void *arg, struct spool_job *job, const struct outcome *site_down, bool hurries)
{
	struct owner *o = arg;

	assert_true(o->n < STARTED_MAX);
	o->jobs[o->n] = *job;
	o->site_down[o->n] = site_down != NULL;
	o->hurries[o->n] = hurries;
	if (site_down != NULL)
		snprintf(o->why, sizeof o->why, "%s", site_down->name);
	o->n++;
}

static int set_up(void **state)
{
	struct owner *o = mem_create(sizeof *o);

	fixture_init(&o->f);
	*state = o;
	return 0;
}

static int tear_down(void **state)
{
	struct owner *o = *state;

	fixture_finish(&o->f); /* the spool is closed first */
	schedule_destroy(&o->schedule);
	for (size_t i = 0; i < o->n; i++)
		spool_job_finish(&o->jobs[i]);
	free(o);
	return 0;
}

static void start_schedule_wide(
    struct owner *o, uint32_t connections, uint32_t per_domain, uint32_t window, int64_t slow_ms)
{
	struct schedule_settings settings = {
		.first_s = 1,
		.longest_s = 3600,
		.connections = connections,
		.connections_per_domain = per_domain,
		.window = window,
		.slow_ms = slow_ms,
	};

	o->schedule = schedule_create(o->f.loop, o->f.spool, &settings, on_start, o);
}

static void start_schedule_slow(
    struct owner *o, uint32_t connections, uint32_t per_domain, int64_t slow_ms)
{
	start_schedule_wide(o, connections, per_domain, 2 * connections, slow_ms);
}

static void start_schedule(struct owner *o, uint32_t connections, uint32_t per_domain)
{
	start_schedule_slow(o, connections, per_domain, 0);
}

static void accept_for(struct owner *o, const char *address, size_t n)
{
	char id[QUEUE_ID_MAX];

	for (size_t i = 0; i < n; i++)
		fixture_accept(&o->f, "shop@example.org", TO(address), id);
}

/* Until nothing happens any more: the spool has answered everything, the schedule had its turns. */
static void settle_down(struct owner *o)
{
	size_t n;

	do {
		n = o->n;
		for (int i = 0; i < 3; i++)
			fixture_count(&o->f);
	} while (o->n > n);
}

static void wait_for(struct owner *o, size_t n)
{
	int64_t deadline_ms = clock_monotonic_ms() + 60000;

	while (o->n < n) {
		loop_run_once(o->f.loop, true);
		assert_true(clock_monotonic_ms() < deadline_ms);
	}
}

static size_t count_of(const struct owner *o, const char *domain, bool under_way)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n; i++)
		n += strcmp(o->jobs[i].domain, domain) == 0 && !(under_way && o->is_done[i]);
	return n;
}

/* Settles the next job of this domain that is under way. */
static void finish_one(struct owner *o, const char *domain, enum recipient_state state,
    int64_t next_try_s, enum schedule_feedback feedback)
{
	struct outcome why;
	size_t i;

	for (i = 0; i < o->n; i++) {
		if (!o->is_done[i] && strcmp(o->jobs[i].domain, domain) == 0)
			break;
	}
	assert_true(i < o->n);
	o->is_done[i] = true;
	fixture_settle_job(&o->f, &o->jobs[i], state, next_try_s, NULL);
	outcome_say(&why, 451, "4.4.1", "unreachable", "No host could be reached");
	schedule_done(o->schedule, domain, feedback, feedback == SCHEDULE_SITE_DOWN ? &why : NULL);
	if (state == RECIPIENT_WAITING)
		schedule_poke(o->schedule, next_try_s);
}

static void O7_one_destination_never_blocks_another(void **state)
{
	struct owner *o = *state;

	accept_for(o, "a@slow.test", 100);
	accept_for(o, "b@one.test", 1);
	accept_for(o, "c@two.test", 3);
	start_schedule(o, 10, 4);
	wait_for(o, 4 + 1 + 3);
	settle_down(o);
	/* slow.test never answers: it has its four, the others all of theirs. */
	assert_int_equal(o->n, 8);
	assert_int_equal(count_of(o, "slow.test", true), 4);
	assert_int_equal(count_of(o, "one.test", true), 1);
	assert_int_equal(count_of(o, "two.test", true), 3);
	/* What comes later is not blocked either. */
	finish_one(o, "one.test", RECIPIENT_DELIVERED, 0, SCHEDULE_SITE_ANSWERED);
	accept_for(o, "d@three.test", 2);
	schedule_poke(o->schedule, 0);
	wait_for(o, 10);
	assert_int_equal(count_of(o, "three.test", true), 2);
}

static void takes_turns(void **state)
{
	struct owner *o = *state;
	size_t n = 0;

	accept_for(o, "a@big.test", 20);
	accept_for(o, "b@small.test", 4);
	start_schedule(o, 6, 6);
	wait_for(o, 5);
	settle_down(o);
	/* The last place is for a third. */
	assert_int_equal(o->n, 5);
	/* In turn, though twenty of one came first. */
	for (size_t i = 0; i < 5; i++)
		n += strcmp(o->jobs[i].domain, "small.test") == 0;
	assert_in_range(n, 2, 3);
	accept_for(o, "c@third.test", 1);
	schedule_poke(o->schedule, 0);
	wait_for(o, 6);
	assert_int_equal(count_of(o, "third.test", true), 1);
}

/* Many slow destinations, each within its own limit, fill neither the places nor the window. */
static void O7_many_destinations_never_block_another(void **state)
{
	struct owner *o = *state;
	char address[64];

	for (int i = 0; i < 10; i++) {
		snprintf(address, sizeof address, "a@slow%d.test", i);
		accept_for(o, address, 30);
	}
	start_schedule(o, 40, 10);
	wait_for(o, 35);
	settle_down(o);
	assert_true(o->n < 40);
	accept_for(o, "b@good.test", 1);
	schedule_poke(o->schedule, 0);
	wait_for(o, o->n + 1);
	settle_down(o);
	assert_int_equal(count_of(o, "good.test", true), 1);
}

/* What has been under way for long gives its place away, but not without end. */
static void R25_slow_jobs_do_not_count(void **state)
{
	struct owner *o = *state;
	char address[64];
	struct schedule_counts counts;
	int64_t until_ms;

	for (int i = 0; i < 20; i++) {
		snprintf(address, sizeof address, "a@slow%d.test", i);
		accept_for(o, address, 1);
	}
	start_schedule_slow(o, 4, 2, 50);
	wait_for(o, 16);
	until_ms = clock_monotonic_ms() + 300;
	while (clock_monotonic_ms() < until_ms)
		fixture_count(&o->f);
	schedule_count(o->schedule, &counts);
	assert_int_equal(counts.started, 16);
	for (size_t i = 0; i < 20; i++) {
		wait_for(o, i + 1);
		finish_one(o, o->jobs[i].domain, RECIPIENT_DELIVERED, 0, SCHEDULE_SITE_ANSWERED);
	}
	schedule_count(o->schedule, &counts);
	assert_int_equal(counts.started, 0);
}

/* Far more than there are places for, and none of them ends. What comes for others goes at once. */
static void O8_the_dead_do_not_delay_the_living(void **state)
{
	struct owner *o = *state;
	char address[64];
	size_t n;

	for (int i = 0; i < 100; i++) {
		snprintf(address, sizeof address, "a@dead%d.test", i);
		accept_for(o, address, 1);
	}
	start_schedule_wide(o, 8, 2, 32, 300);
	wait_for(o, 8);
	assert_true(o->hurries[0]);
	for (int i = 0; i < 3; i++) {
		snprintf(address, sizeof address, "b@good%d.test", i);
		accept_for(o, address, 1);
		schedule_poke(o->schedule, 0);
		settle_down(o);
		n = o->n;
		snprintf(address, sizeof address, "good%d.test", i);
		while (count_of(o, address, false) == 0)
			wait_for(o, o->n + 1);
		assert_true(o->n <= n + 8);
	}
}

/* Neither places nor window are filled by what was tried in vain before; and none of it is lost. */
static void O8_retries_leave_places_to_the_rest(void **state)
{
	struct owner *o = *state;
	struct found found;
	char address[64];
	int64_t now_s = clock_wall_s(), rested_ms;

	for (int i = 0; i < 40; i++) {
		snprintf(address, sizeof address, "a@dead%d.test", i);
		accept_for(o, address, 1);
	}
	fixture_find(&o->f, &found, now_s + 1, 40, 1, NULL);
	assert_int_equal(found.n, 40);
	for (size_t i = 0; i < found.n; i++)
		fixture_settle_job(&o->f, &found.jobs[i], RECIPIENT_WAITING, now_s, NULL);
	found_finish(&found);
	start_schedule_slow(o, 8, 2, 60000);
	wait_for(o, 6);
	settle_down(o);
	assert_int_equal(o->n, 6);
	assert_false(o->hurries[5]);
	accept_for(o, "b@good.test", 1);
	schedule_poke(o->schedule, 0);
	wait_for(o, 7);
	assert_int_equal(count_of(o, "good.test", true), 1);
	/* Nor is new mail for what is known to be down. */
	accept_for(o, "c@down.test", 1);
	schedule_poke(o->schedule, 0);
	wait_for(o, 8);
	finish_one(o, "down.test", RECIPIENT_DELIVERED, 0, SCHEDULE_SITE_DOWN);
	rested_ms = clock_monotonic_ms() + 1100;
	while (clock_monotonic_ms() < rested_ms)
		fixture_count(&o->f);
	accept_for(o, "d@down.test", 1);
	schedule_poke(o->schedule, 0);
	settle_down(o);
	assert_int_equal(o->n, 8);
	for (int round = 1; o->n < 43; round++) {
		assert_true(round < 20);
		for (size_t i = 0; i < o->n; i++) {
			if (!o->is_done[i])
				finish_one(o, o->jobs[i].domain, RECIPIENT_DELIVERED, 0,
				    SCHEDULE_SITE_ANSWERED);
		}
		clock_shift_wall(31 * round);
		schedule_poke(o->schedule, 0);
		settle_down(o);
	}
	clock_shift_wall(0);
}

static void everything_is_started_once(void **state)
{
	struct owner *o = *state;

	accept_for(o, "a@big.test", 60);
	accept_for(o, "b@small.test", 7);
	start_schedule(o, 5, 3);
	for (size_t i = 0; i < 67; i++) {
		struct schedule_counts counts;

		wait_for(o, i + 1);
		schedule_count(o->schedule, &counts);
		assert_true(counts.started <= 5);
		assert_true(counts.started + counts.waiting <= 10); /* the window */
		assert_true(count_of(o, "big.test", true) <= 3);
		finish_one(o, o->jobs[i].domain, RECIPIENT_DELIVERED, 0, SCHEDULE_SITE_ANSWERED);
	}
	settle_down(o);
	assert_int_equal(o->n, 67);
	assert_int_equal(fixture_count(&o->f).messages, 0);
}

static void deferred_comes_back_in_time(void **state)
{
	struct owner *o = *state;
	int64_t begin_ms;

	accept_for(o, "a@one.test", 1);
	start_schedule(o, 5, 3);
	wait_for(o, 1);
	begin_ms = clock_wall_ms();
	finish_one(o, "one.test", RECIPIENT_WAITING, clock_wall_s() + 2, SCHEDULE_SITE_ANSWERED);
	wait_for(o, 2);
	assert_in_range(clock_wall_ms() - begin_ms, 1000, 30000);
	assert_int_equal(o->jobs[1].n_attempts, 1);
	assert_false(o->site_down[1]);
}

static void a_site_that_is_down_rests_as_a_whole(void **state)
{
	struct owner *o = *state;
	int64_t later_s = clock_wall_s() + 1000;
	struct schedule_counts counts;

	accept_for(o, "a@down.test", 3);
	accept_for(o, "b@up.test", 1);
	start_schedule(o, 10, 1);
	wait_for(o, 2);
	settle_down(o);
	assert_int_equal(o->n, 2);
	/* The first is dialled in vain: the second shares its failure without being dialled. */
	finish_one(o, "down.test", RECIPIENT_WAITING, later_s, SCHEDULE_SITE_DOWN);
	wait_for(o, 3);
	assert_true(o->site_down[2]);
	assert_string_equal(o->why, "unreachable");
	schedule_count(o->schedule, &counts);
	assert_int_equal(counts.sites_down, 1);
	finish_one(o, "down.test", RECIPIENT_WAITING, later_s, SCHEDULE_NOT_TRIED);
	wait_for(o, 4);
	assert_true(o->site_down[3]);
	finish_one(o, "down.test", RECIPIENT_WAITING, later_s, SCHEDULE_NOT_TRIED);
	assert_false(o->site_down[0] || o->site_down[1]);
	settle_down(o);
	assert_int_equal(o->n, 4);
}

static void after_its_rest_a_site_is_tried_alone(void **state)
{
	struct owner *o = *state;
	int64_t until_ms;

	accept_for(o, "a@down.test", 1);
	start_schedule(o, 10, 5);
	wait_for(o, 1);
	/* No longer than the first retry, which is a second here. */
	finish_one(o, "down.test", RECIPIENT_WAITING, clock_wall_s() + 1000, SCHEDULE_SITE_DOWN);
	until_ms = clock_monotonic_ms() + 1100;
	while (clock_monotonic_ms() < until_ms)
		fixture_count(&o->f);
	accept_for(o, "b@down.test", 4);
	schedule_poke(o->schedule, 0);
	wait_for(o, 2);
	settle_down(o);
	assert_int_equal(o->n, 2);
	assert_false(o->site_down[1]);
	/* It answers: the others follow, side by side. */
	finish_one(o, "down.test", RECIPIENT_DELIVERED, 0, SCHEDULE_SITE_ANSWERED);
	wait_for(o, 5);
	assert_int_equal(count_of(o, "down.test", true), 3);
	assert_false(o->site_down[2] || o->site_down[3] || o->site_down[4]);
}

static void wake_ends_every_rest(void **state)
{
	struct owner *o = *state;
	struct schedule_counts counts;

	accept_for(o, "a@down.test", 1);
	start_schedule(o, 10, 1);
	wait_for(o, 1);
	finish_one(o, "down.test", RECIPIENT_WAITING, clock_wall_s() + 1000, SCHEDULE_SITE_DOWN);
	assert_int_equal(fixture_retry(&o->f, NULL), 1);
	schedule_wake(o->schedule);
	wait_for(o, 2);
	assert_false(o->site_down[1]);
	schedule_count(o->schedule, &counts);
	assert_int_equal(counts.sites_down, 0);
	assert_int_equal(counts.started, 1);
}

static void stopped_starts_nothing(void **state)
{
	struct owner *o = *state;

	accept_for(o, "a@one.test", 5);
	start_schedule(o, 2, 2);
	wait_for(o, 2);
	schedule_stop(o->schedule);
	finish_one(o, "one.test", RECIPIENT_DELIVERED, 0, SCHEDULE_SITE_ANSWERED);
	schedule_poke(o->schedule, 0);
	settle_down(o);
	assert_int_equal(o->n, 2);
}

/* ---- when again ---- */

static void wait_grows_to_the_longest(void **state)
{
	static const struct {
		uint32_t first_s, longest_s, n_attempts, wait_s;
	} CASES[] = {
		{ 300, 3600, 0, 300 },
		{ 300, 3600, 1, 300 },
		{ 300, 3600, 2, 600 },
		{ 300, 3600, 3, 1200 },
		{ 300, 3600, 4, 2400 },
		{ 300, 3600, 5, 3600 },
		{ 300, 3600, 6, 3600 },
		{ 300, 3600, UINT32_MAX, 3600 },
		{ 1, 5, 1, 1 },
		{ 1, 5, 3, 4 },
		{ 1, 5, 4, 5 },
		{ 0, 0, 1, 1 },
		{ 600, 300, 1, 300 },
		{ UINT32_MAX, UINT32_MAX, 2, UINT32_MAX },
	};
	char id[QUEUE_ID_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct schedule_settings settings = { .first_s = CASES[i].first_s,
			.longest_s = CASES[i].longest_s };

		for (int k = 0; k < 50; k++) {
			uint32_t wait_s;

			queue_id_make(id);
			wait_s = schedule_wait_s(&settings, CASES[i].n_attempts, id);
			assert_in_range(
			    wait_s, CASES[i].wait_s - CASES[i].wait_s / 10, CASES[i].wait_s);
			assert_int_equal(
			    wait_s, schedule_wait_s(&settings, CASES[i].n_attempts, id));
		}
	}
}

static void messages_deferred_together_return_apart(void **state)
{
	struct schedule_settings settings = { .first_s = 300, .longest_s = 3600 };
	bool seen[301] = { false };
	size_t n_different = 0;
	char id[QUEUE_ID_MAX];

	(void)state;
	for (int i = 0; i < 200; i++) {
		uint32_t wait_s;

		queue_id_make(id);
		wait_s = schedule_wait_s(&settings, 1, id);
		n_different += !seen[wait_s];
		seen[wait_s] = true;
	}
	assert_true(n_different > 20); /* of 31 */
}

static void D9_the_last_try_is_at_the_end(void **state)
{
	struct schedule_settings settings = { .first_s = 300, .longest_s = 3600 };
	const char *id = "06AGW7B580Z0V22";
	uint32_t wait_s = schedule_wait_s(&settings, 1, id);

	(void)state;
	assert_int_equal(schedule_next_try(&settings, 1, id, 1000, 100000), 1000 + wait_s);
	assert_int_equal(schedule_next_try(&settings, 1, id, 1000, 1100), 1100);
	assert_int_equal(schedule_next_try(&settings, 1, id, 1200, 1100), 1200 + wait_s);
	assert_false(schedule_is_last_try(1099, 1100));
	assert_true(schedule_is_last_try(1100, 1100));
	/* The clock jumped past the end: the attempt just made was the last, none is spared. */
	assert_true(schedule_is_last_try(1100 + 400 * 86400, 1100));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(O7_one_destination_never_blocks_another),
		CASE(O7_many_destinations_never_block_another),
		CASE(R25_slow_jobs_do_not_count),
		CASE(takes_turns),
		CASE(O8_the_dead_do_not_delay_the_living),
		CASE(O8_retries_leave_places_to_the_rest),
		CASE(everything_is_started_once),
		CASE(deferred_comes_back_in_time),
		CASE(a_site_that_is_down_rests_as_a_whole),
		CASE(after_its_rest_a_site_is_tried_alone),
		CASE(wake_ends_every_rest),
		CASE(stopped_starts_nothing),
		cmocka_unit_test(wait_grows_to_the_longest),
		cmocka_unit_test(messages_deferred_together_return_apart),
		cmocka_unit_test(D9_the_last_try_is_at_the_end),
	};

	return cmocka_run_group_tests_name("schedule", tests, NULL, NULL);
}
