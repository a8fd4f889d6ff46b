/*
 * What the spool promises when the disk behaves: taking in, handing out, settling, and that all of
 * it is there again after a restart.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"
#include "spool_fixture.h"
#include "whole.h"

#define TO(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

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

static void commit_and_find_groups_by_domain(void **state)
{
	struct fixture *f = *state;
	struct found found;
	char id[QUEUE_ID_MAX];

	fixture_accept(f, "shop@example.org", TO("a@one.test", "b@two.test", "c@one.test"), id);
	fixture_find(f, &found, clock_wall_s(), 10, 10, NULL);
	assert_int_equal(found.n, 2);
	assert_int_equal(found.next_due_s, INT64_MAX);
	for (size_t i = 0; i < found.n; i++) {
		const struct spool_job *job = &found.jobs[i];
		bool is_one = strcmp(job->domain, "one.test") == 0;

		assert_string_equal(job->message.id, id);
		assert_string_equal(job->message.sender, "shop@example.org");
		assert_string_equal(job->message.account, "web@example.org");
		assert_string_equal(job->message.from_domain, "example.org");
		assert_int_equal(job->message.n_recipients, is_one ? 2 : 1);
		assert_string_equal(
		    job->message.recipients[0], is_one ? "a@one.test" : "b@two.test");
		assert_int_equal(job->places[0], is_one ? 0 : 1);
		if (is_one) {
			assert_string_equal(job->message.recipients[1], "c@one.test");
			assert_int_equal(job->places[1], 2);
		}
	}
	found_finish(&found);
	/* Handed out and not settled: not again. */
	fixture_find(f, &found, clock_wall_s() + 10000, 10, 10, NULL);
	assert_int_equal(found.n, 0);
}

static void bytes_come_back_whole(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct found found;
	int fd;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	assert_int_equal(found.n, 1);
	fd = spool_open_segment(f->spool, found.jobs[0].message.segment);
	assert_int_not_equal(fd, -1);
	assert_int_equal(extent_check(fd, &found.jobs[0].message.header), 0);
	assert_int_equal(extent_check(fd, &found.jobs[0].message.body), 0);
	close(fd);
	found_finish(&found);
}

static void commit_is_idempotent(void **state)
{
	struct fixture *f = *state;
	struct message m, other;
	struct outcome outcome;

	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	fixture_write(f, &other, "shop@example.org", TO("a@one.test"));
	for (int i = 0; i < 3; i++) {
		outcome = fixture_commit(f, &m);
		assert_true(outcome_is_ok(&outcome));
	}
	assert_int_equal(fixture_count(f).messages, 1);
	memcpy(other.id, m.id, sizeof other.id);
	outcome = fixture_commit(f, &other);
	assert_string_equal(outcome.name, "id-taken");
	assert_int_equal(outcome.code, 451);
	/* After a restart of the queue, and after it was delivered, too. */
	fixture_close(f);
	assert_true(fixture_open(f));
	outcome = fixture_commit(f, &m);
	assert_true(outcome_is_ok(&outcome));
	assert_int_equal(fixture_count(f).messages, 1);
	message_finish(&m);
	message_finish(&other);
}

static void commit_needs_the_bytes(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *what;
		int header, body, offset;
		bool ok;
	} CASES[] = {
		{ "as written", 0, 0, 0, true },
		{ "body one byte too long", 0, 1, 0, false },
		{ "body empty", 0, -28, 0, true },
		{ "no header", -45, 0, 0, false },
		{ "beyond the end", 0, 0, 1000, false },
	};

	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct message m;
		struct outcome outcome;

		fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
		assert_int_equal(m.header.length, 45);
		m.header.length += (uint64_t)(int64_t)CASES[i].header;
		m.body.length += (uint64_t)(int64_t)CASES[i].body;
		m.body.offset += (uint64_t)CASES[i].offset;
		outcome = fixture_commit(f, &m);
		if (outcome_is_ok(&outcome) != CASES[i].ok)
			fail_msg("%s: %s", CASES[i].what, outcome.text);
		if (!CASES[i].ok)
			assert_string_equal(outcome.name, "segment-short");
		message_finish(&m);
	}
	assert_int_equal(fixture_count(f).messages, 2);
}

static void commit_refuses_overflowing_extents(void **state)
{
	struct fixture *f = *state;
	struct message m;
	struct outcome outcome;

	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	m.body.offset = 8;
	m.body.length = UINT64_MAX - 4;
	outcome = fixture_commit(f, &m);
	assert_string_equal(outcome.name, "segment-short");
	m.body.length = 0;
	m.id[3] = '/';
	outcome = fixture_commit(f, &m);
	assert_string_equal(outcome.name, "message-malformed");
	m.id[3] = '0';
	m.segment ^= 1;
	outcome = fixture_commit(f, &m);
	assert_string_equal(outcome.name, "segment-gone");
	message_finish(&m);
}

/* A commit may name a segment that a former queue process gave to an intake that lives on. */
static void commit_into_a_segment_of_before(void **state)
{
	struct fixture *f = *state;
	struct message m;
	struct outcome outcome;

	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	spool_close(&f->spool);
	assert_true(fixture_open(f));
	assert_int_equal(fixture_n_files(f), 1);
	outcome = fixture_commit(f, &m);
	assert_true(outcome_is_ok(&outcome));
	message_finish(&m);
	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	outcome = fixture_commit(f, &m);
	assert_true(outcome_is_ok(&outcome));
	message_finish(&m);
}

static void delivered_is_remembered_and_its_segment_goes(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct found found;
	struct outcome outcome;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	spool_segment_release(f->spool, f->segment);
	assert_int_equal(fixture_count(f).segments, 1);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	outcome = fixture_settle_job(f, &found.jobs[0], RECIPIENT_DELIVERED, 0, NULL);
	assert_true(outcome_is_ok(&outcome));
	found_finish(&found);
	assert_int_equal(fixture_count(f).segments, 0);
	assert_int_equal(fixture_count(f).messages, 0);
	assert_int_equal(fixture_n_files(f), 0);
	assert_string_equal(fixture_list(f, NULL, NULL, false, 10), "");
	assert_string_equal(fixture_list(f, id, NULL, true, 10),
	    "a@one.test delivered 1 mx.test said: 250 2.0.0 said the host|");
	/* For a day. */
	clock_shift_wall(23 * 3600);
	fixture_close(f);
	assert_true(fixture_open(f));
	assert_string_not_equal(fixture_list(f, id, NULL, true, 10), "");
	clock_shift_wall(25 * 3600);
	fixture_close(f);
	assert_true(fixture_open(f));
	assert_string_equal(fixture_list(f, id, NULL, true, 10), "");
}

static void a_shared_segment_lives_as_long_as_its_last_message(void **state)
{
	struct fixture *f = *state;
	char ids[2][QUEUE_ID_MAX];
	struct found found;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), ids[0]);
	fixture_accept(f, "shop@example.org", TO("b@one.test"), ids[1]);
	spool_segment_release(f->spool, f->segment);
	fixture_find(f, &found, clock_wall_s(), 2, 2, NULL);
	assert_int_equal(found.n, 2);
	fixture_settle_job(f, &found.jobs[0], RECIPIENT_DELIVERED, 0, NULL);
	assert_true(f->is_gone);
	assert_int_equal(fixture_n_files(f), 1);
	fixture_settle_job(f, &found.jobs[1], RECIPIENT_FAILED, 0, NULL);
	assert_true(f->is_gone);
	fixture_settle_job(f, &found.jobs[1], RECIPIENT_FAILED, 0, NULL);
	assert_false(f->is_gone); /* it was before */
	assert_int_equal(fixture_n_files(f), 0);
	found_finish(&found);
}

static void an_open_segment_stays_until_released(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct found found;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	fixture_settle_job(f, &found.jobs[0], RECIPIENT_DELIVERED, 0, NULL);
	found_finish(&found);
	assert_int_equal(fixture_n_files(f), 1);
	spool_segment_release(f->spool, f->segment);
	assert_int_equal(fixture_count(f).segments, 0);
	assert_int_equal(fixture_n_files(f), 0);
}

static void mixed_results_settle_one_by_one(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct recipient_result results[3] = { 0 };
	int64_t now_s;
	struct found found;
	struct outcome outcome;

	fixture_accept(f, "shop@example.org", TO("a@one.test", "b@one.test", "c@one.test"), id);
	now_s = clock_wall_s();
	fixture_find(f, &found, now_s, 1, 1, NULL);
	found_finish(&found);
	for (uint32_t i = 0; i < 3; i++)
		results[i].recipient = i;
	results[0].state = RECIPIENT_DELIVERED;
	outcome_ok(&results[0].outcome);
	results[1].state = RECIPIENT_FAILED;
	outcome_say(&results[1].outcome, 550, "5.1.1", "", "No such user");
	results[2].state = RECIPIENT_WAITING;
	outcome_say(&results[2].outcome, 451, "4.7.0", "tls-name", "Wrong name");
	outcome = fixture_settle(f, &(struct spool_settlement){ .id = id,
					.results = results,
					.n_results = 3,
					.next_try_s = now_s + 300,
					.host = "",
					.evidence = "" });
	assert_true(outcome_is_ok(&outcome));
	assert_string_equal(fixture_list(f, NULL, NULL, false, 10),
	    "c@one.test waiting 1 451 4.7.0 Wrong name|tls-name");
	assert_string_equal(fixture_list(f, NULL, "shop@example.org", true, 10),
	    "a@one.test delivered 1 250 2.0.0 Ok|\n"
	    "b@one.test failed 1 550 5.1.1 No such user|\n"
	    "c@one.test waiting 1 451 4.7.0 Wrong name|tls-name");
	fixture_find(f, &found, now_s + 299, 1, 1, NULL);
	assert_int_equal(found.n, 0);
	assert_int_equal(found.next_due_s, now_s + 300);
	fixture_find(f, &found, now_s + 300, 1, 1, NULL);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.jobs[0].message.n_recipients, 1);
	assert_int_equal(found.jobs[0].places[0], 2);
	assert_int_equal(found.jobs[0].n_attempts, 1);
	found_finish(&found);
}

static void D8_bounce_is_committed_with_its_cause(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct message bounce;
	struct found found;
	struct outcome outcome;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	fixture_write(f, &bounce, "", TO("shop@example.org"));

	/* Q16: a bounce that can't be taken in leaves the original as it was, and out. */
	bounce.body.length += 1000;
	outcome = fixture_settle_job(f, &found.jobs[0], RECIPIENT_FAILED, 0, &bounce);
	assert_string_equal(outcome.name, "segment-short");
	assert_string_equal(fixture_list(f, id, NULL, true, 10), "a@one.test waiting 0 |");

	bounce.body.length -= 1000;
	outcome = fixture_settle_job(f, &found.jobs[0], RECIPIENT_FAILED, 0, &bounce);
	assert_true(outcome_is_ok(&outcome));
	assert_string_equal(fixture_list(f, NULL, NULL, false, 10), "shop@example.org waiting 0 |");
	/* Said again, it brings no second one. */
	outcome = fixture_settle_job(f, &found.jobs[0], RECIPIENT_FAILED, 0, &bounce);
	assert_true(outcome_is_ok(&outcome));
	assert_int_equal(fixture_count(f).messages, 1);
	found_finish(&found);
	fixture_find(f, &found, clock_wall_s(), 5, 5, NULL);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.jobs[0].message.sender, "");
	assert_string_equal(found.jobs[0].domain, "example.org");
	found_finish(&found);
	message_finish(&bounce);
}

static void restart_finds_everything(void **state)
{
	struct fixture *f = *state;
	char ids[20][QUEUE_ID_MAX], to[64];
	int64_t now_s;
	struct found found;

	for (int i = 0; i < 20; i++) {
		snprintf(to, sizeof to, "u%d@d%d.test", i, i % 3);
		fixture_accept(f, "shop@example.org", TO(to), ids[i]);
	}
	now_s = clock_wall_s();
	fixture_find(f, &found, now_s, 5, 5, NULL);
	assert_int_equal(found.n, 5);
	fixture_settle_job(f, &found.jobs[0], RECIPIENT_DELIVERED, 0, NULL);
	fixture_settle_job(f, &found.jobs[1], RECIPIENT_WAITING, now_s + 500, NULL);
	assert_false(f->is_gone);
	found_finish(&found);
	fixture_close(f);
	assert_true(fixture_open(f));
	assert_int_equal(fixture_count(f).messages, 19);
	assert_int_equal(fixture_count(f).recipients_waiting, 19);
	/* What was out is due again; what was deferred, later. */
	fixture_find(f, &found, clock_wall_s(), 64, 64, NULL);
	assert_int_equal(found.n, 18);
	assert_int_equal(found.next_due_s, now_s + 500);
	found_finish(&found);
}

static void find_is_fair_and_bounded(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], to[64];
	struct found found;

	for (int i = 0; i < 30; i++)
		fixture_accept(f, "shop@example.org", TO("a@big.test"), id);
	for (int i = 0; i < 4; i++) {
		snprintf(to, sizeof to, "a@small%d.test", i);
		fixture_accept(f, "shop@example.org", TO(to), id);
	}
	fixture_find(f, &found, clock_wall_s(), 10, 3, NULL);
	assert_int_equal(found.n, 3 + 4);
	assert_true(found.next_due_s <= clock_wall_s()); /* more of big.test */
	found_finish(&found);
	fixture_find(f, &found, clock_wall_s(), 10, 20, TO("big.test"));
	assert_int_equal(found.n, 0);
	assert_int_equal(found.next_due_s, INT64_MAX);
	fixture_find(f, &found, clock_wall_s(), 10, 20, NULL);
	assert_int_equal(found.n, 10);
	found_finish(&found);
	fixture_find(f, &found, clock_wall_s(), 0, 20, NULL);
	assert_int_equal(found.n, 0);
	assert_true(found.next_due_s <= clock_wall_s());
}

static void find_news(
    struct fixture *f, size_t limit, const char *const *except, const char *expected)
{
	struct found found;
	char domains[256] = "";
	size_t n = 0;

	fixture_find_news(f, &found, clock_wall_s() + 1, limit, 1, except);
	for (size_t i = 0; i < found.n; i++)
		n += (size_t)snprintf(domains + n, sizeof domains - n, "%s ", found.jobs[i].domain);
	assert_string_equal(domains, expected);
	found_finish(&found);
}

/* The latest first, once; what nobody has asked for yet waits in the old order. */
static void news_are_found_first(void **state)
{
	struct fixture *f = *state;
	struct found found;
	char id[QUEUE_ID_MAX];

	fixture_accept(f, "shop@example.org", TO("a@one.test", "a@two.test"), id);
	fixture_accept(f, "shop@example.org", TO("a@three.test"), id);
	fixture_accept(f, "shop@example.org", TO("b@one.test"), id);
	fixture_accept(f, "shop@example.org", TO("a@four.test"), id);
	find_news(f, 2, TO("four.test"), "one.test three.test ");
	find_news(f, 2, NULL, "two.test ");
	find_news(f, 2, NULL, "");
	fixture_find(f, &found, clock_wall_s() + 1, 10, 10, NULL);
	assert_int_equal(found.n, 2);
	found_finish(&found);
	/* After a restart nothing is new. */
	fixture_close(f);
	assert_true(fixture_open(f));
	find_news(f, 10, NULL, "");
	fixture_find(f, &found, clock_wall_s() + 1, 10, 10, NULL);
	assert_int_equal(found.n, 5);
	found_finish(&found);
}

static void give_back_puts_off_without_counting(void **state)
{
	struct fixture *f = *state;
	int64_t now_s;
	char id[QUEUE_ID_MAX];
	struct found found;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	now_s = clock_wall_s();
	fixture_find(f, &found, now_s, 1, 1, NULL);
	found_finish(&found);
	spool_give_back(f->spool, id, "one.test", now_s + 100);
	fixture_find(f, &found, now_s + 50, 1, 1, NULL);
	assert_int_equal(found.n, 0);
	assert_int_equal(found.next_due_s, now_s + 100);
	fixture_find(f, &found, now_s + 100, 1, 1, NULL);
	assert_int_equal(found.n, 1);
	assert_int_equal(found.jobs[0].n_attempts, 0);
	found_finish(&found);
	spool_give_back(f->spool, id, "one.test", 0);
	fixture_find(f, &found, now_s + 100, 1, 1, NULL);
	assert_int_equal(found.n, 1);
	found_finish(&found);
}

struct outs {
	size_t n_out, n;
	bool done;
};

static void count_outs(void *arg, const struct spool_entry *entry)
{
	struct outs *outs = arg;

	outs->done = entry == NULL;
	if (entry == NULL)
		return;
	outs->n++;
	outs->n_out += entry->is_out;
}

static struct outs list_outs(struct fixture *f, const char *id)
{
	struct outs outs = { 0 };

	spool_list(f->spool, id, NULL, true, 10, count_outs, &outs);
	fixture_run(f, &outs.done);
	return outs;
}

/* Whoever asks why hears which recipients are being tried at this moment. */
static void list_tells_what_is_out(void **state)
{
	struct fixture *f = *state;
	struct found found;
	char id[QUEUE_ID_MAX];

	fixture_accept(f, "shop@example.org", TO("a@one.test", "b@two.test", "c@one.test"), id);
	assert_int_equal(list_outs(f, id).n, 3);
	assert_int_equal(list_outs(f, id).n_out, 0);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	assert_int_equal(found.n, 1);
	assert_int_equal(list_outs(f, id).n_out, found.jobs[0].message.n_recipients);
	spool_give_back(f->spool, id, found.jobs[0].domain, clock_wall_s());
	assert_int_equal(list_outs(f, id).n_out, 0);
	found_finish(&found);
}

static void D10_set_aside_stays_for_the_operator(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], other[QUEUE_ID_MAX];
	struct found found;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_accept(f, "shop@example.org", TO("b@one.test"), other);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	found_finish(&found);
	spool_set_aside(f->spool, id, "body-damaged");
	fixture_find(f, &found, clock_wall_s() + 10000, 5, 5, NULL);
	assert_int_equal(found.n, 1); /* the rest goes on */
	found_finish(&found);
	assert_string_equal(
	    fixture_list(f, id, NULL, false, 5), "a@one.test set aside 0 |body-damaged");
	fixture_close(f);
	assert_true(fixture_open(f));
	fixture_find(f, &found, clock_wall_s() + 10000, 5, 5, NULL);
	assert_int_equal(found.n, 1);
	found_finish(&found);
	assert_int_equal(fixture_retry(f, NULL), 1);
	assert_int_equal(fixture_retry(f, id), 1);
	fixture_find(f, &found, clock_wall_s(), 5, 5, NULL);
	assert_int_equal(found.n, 1);
	assert_string_equal(found.jobs[0].message.id, id);
	found_finish(&found);
}

static void retry_makes_due_what_it_names(void **state)
{
	static const struct {
		const char *what;
		size_t n;
	} CASES[] = {
		{ "@one.test", 2 },
		{ "@ONE.test", 0 }, /* domains are canonical by then */
		{ "a@one.test", 1 },
		{ "A@one.test", 1 },
		{ "nobody@one.test", 0 },
		{ "../../etc/passwd", 0 }, /* C5 */
		{ "*", 0 },
		{ "", 0 },
		{ NULL, 3 },
	};
	struct fixture *f = *state;
	int64_t later_s = clock_wall_s() + 3000;
	char id[QUEUE_ID_MAX];
	struct found found;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_accept(f, "shop@example.org", TO("b@one.test"), id);
	fixture_accept(f, "shop@example.org", TO("c@two.test"), id);
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		fixture_find(f, &found, clock_wall_s(), 5, 5, NULL);
		for (size_t k = 0; k < found.n; k++)
			fixture_settle_job(f, &found.jobs[k], RECIPIENT_WAITING, later_s, NULL);
		found_finish(&found);
		if (fixture_retry(f, CASES[i].what) != CASES[i].n)
			fail_msg("retry %s", CASES[i].what);
		fixture_find(f, &found, clock_wall_s(), 5, 5, NULL);
		if (found.n != CASES[i].n)
			fail_msg("due after retry %s: %zu", CASES[i].what, found.n);
		for (size_t k = 0; k < found.n; k++)
			spool_give_back(
			    f->spool, found.jobs[k].message.id, found.jobs[k].domain, 0);
		found_finish(&found);
	}
	assert_int_equal(fixture_retry(f, id), 1);
}

static void retry_of_many_goes_by_portions(void **state)
{
	struct fixture *f = *state;
	size_t n = 2500, n_done = 0;
	char id[QUEUE_ID_MAX];
	struct found found;

	fixture_close(f);
	f->settings.queue_messages = 10000;
	assert_true(fixture_open(f));
	fixture_new_segment(f);
	for (size_t i = 0; i < n; i++)
		fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	assert_int_equal(fixture_retry(f, NULL), n);
	assert_int_equal(fixture_retry(f, "@one.test"), n);
	assert_int_equal(fixture_retry(f, "a@one.test"), n);
	do {
		fixture_find(f, &found, clock_wall_s(), 64, 64, NULL);
		n_done += found.n;
		for (size_t i = 0; i < found.n; i += 16)
			fixture_settle_job(f, &found.jobs[i], RECIPIENT_DELIVERED, 0, NULL);
		found_finish(&found);
	} while (found.next_due_s != INT64_MAX);
	assert_int_equal(n_done, n);
}

static void remove_leaves_no_notification(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct message bounce;
	struct found found;
	struct outcome outcome;

	fixture_accept(f, "shop@example.org", TO("a@one.test", "b@two.test"), id);
	/* C6: while it is being delivered. */
	fixture_find(f, &found, clock_wall_s(), 5, 5, NULL);
	assert_int_equal(fixture_remove(f, id), 2);
	assert_int_equal(fixture_remove(f, id), 0);
	assert_int_equal(fixture_remove(f, "nothing"), 0);
	fixture_write(f, &bounce, "", TO("shop@example.org"));
	outcome = fixture_settle_job(f, &found.jobs[0], RECIPIENT_FAILED, 0, &bounce);
	assert_true(outcome_is_ok(&outcome));
	assert_int_equal(fixture_count(f).messages, 0);
	assert_int_equal(fixture_count(f).recipients_waiting, 0);
	assert_string_equal(
	    fixture_list(f, id, NULL, true, 5), "a@one.test removed 0 |\nb@two.test removed 0 |");
	found_finish(&found);
	message_finish(&bounce);
}

static void list_has_a_limit_and_parts(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	const char *text;
	size_t lines = 0;

	for (int i = 0; i < 300; i++)
		fixture_accept(f, "shop@example.org", TO("a@b.c", "d@e.f"), id);
	assert_string_equal(fixture_list(f, NULL, NULL, false, 3),
	    "a@b.c waiting 0 |\nd@e.f waiting 0 |\na@b.c "
	    "waiting 0 |");
	assert_string_equal(fixture_list(f, NULL, "d@e.f", false, 1), "d@e.f waiting 0 |");
	text = fixture_list(f, NULL, "d@e.f", false, 290);
	for (; *text != '\0'; text++)
		lines += *text == '\n';
	assert_int_equal(lines, 289);
	assert_string_equal(fixture_list(f, NULL, "d@e.", true, 5), "");
	assert_string_equal(fixture_list(f, "NOBODY", NULL, true, 5), "");
}

static void D9_a_next_try_beyond_reason_is_not_believed(void **state)
{
	struct fixture *f = *state;
	int64_t now_s = clock_wall_s();
	char id[QUEUE_ID_MAX];
	struct found found;

	/* Q14: stored while the clock was 400 days ahead. */
	clock_shift_wall(400 * 24 * 3600);
	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	fixture_settle_job(f, &found.jobs[0], RECIPIENT_WAITING, clock_wall_s() + 300, NULL);
	found_finish(&found);
	fixture_close(f);
	clock_shift_wall(0);
	assert_true(fixture_open(f));
	fixture_find(f, &found, now_s + 3600 + 60, 1, 1, NULL);
	assert_int_equal(found.n, 1);
	found_finish(&found);
	/* The same while we run. */
	clock_shift_wall(400 * 24 * 3600);
	spool_give_back(f->spool, id, "one.test", clock_wall_s() + 300);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	assert_int_equal(found.n, 0);
	clock_shift_wall(0);
	fixture_find(f, &found, now_s + 3600 + 60, 1, 1, NULL);
	assert_int_equal(found.n, 1);
	found_finish(&found);
}

static void queue_at_its_cap_is_452(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct message m;
	struct outcome outcome;

	fixture_close(f);
	f->settings.queue_messages = 2;
	assert_true(fixture_open(f));
	fixture_new_segment(f);
	assert_true(spool_has_room(f->spool, 1000, &outcome));
	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	outcome = fixture_commit(f, &m);
	assert_int_equal(outcome.code, 452);
	assert_string_equal(outcome.enhanced, "4.3.1");
	assert_string_equal(outcome.name, "queue-full");
	assert_false(spool_has_room(f->spool, 0, &outcome));
	assert_string_equal(outcome.name, "queue-full");
	message_finish(&m);
}

static void D5_space_is_refused_before_it_is_gone(void **state)
{
	struct fixture *f = *state;
	struct outcome outcome;
	struct message m;
	uint64_t number;

	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	fixture_close(f);
	f->settings.free_space = UINT64_MAX;
	assert_true(fixture_open(f));
	assert_false(spool_has_room(f->spool, 0, &outcome));
	assert_int_equal(outcome.code, 452);
	assert_string_equal(outcome.enhanced, "4.3.1");
	assert_string_equal(outcome.name, "disk-full");
	assert_int_equal(spool_segment_create(f->spool, &number, &outcome), -1);
	outcome = fixture_commit(f, &m);
	assert_string_equal(outcome.name, "disk-full");
	assert_int_equal(fixture_count(f).messages, 0);
	fixture_close(f);
	f->settings.free_space = 0;
	assert_true(fixture_open(f));
	assert_true(spool_has_room(f->spool, 0, &outcome));
	assert_false(spool_has_room(f->spool, UINT64_MAX, &outcome));
	outcome = fixture_commit(f, &m);
	assert_true(outcome_is_ok(&outcome));
	message_finish(&m);
}

static void close_stores_what_was_asked(void **state)
{
	struct fixture *f = *state;
	struct message m;
	bool dummy = false;

	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	spool_commit(f->spool, &m, (spool_committed *)(void (*)(void))abort, &dummy);
	fixture_close(f); /* the callback does not run any more */
	assert_true(fixture_open(f));
	assert_int_equal(fixture_count(f).messages, 1);
	message_finish(&m);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(commit_and_find_groups_by_domain),
		CASE(bytes_come_back_whole),
		CASE(commit_is_idempotent),
		CASE(commit_needs_the_bytes),
		CASE(commit_refuses_overflowing_extents),
		CASE(commit_into_a_segment_of_before),
		CASE(delivered_is_remembered_and_its_segment_goes),
		CASE(a_shared_segment_lives_as_long_as_its_last_message),
		CASE(an_open_segment_stays_until_released),
		CASE(mixed_results_settle_one_by_one),
		CASE(D8_bounce_is_committed_with_its_cause),
		CASE(restart_finds_everything),
		CASE(find_is_fair_and_bounded),
		CASE(news_are_found_first),
		CASE(give_back_puts_off_without_counting),
		CASE(list_tells_what_is_out),
		CASE(D10_set_aside_stays_for_the_operator),
		CASE(retry_makes_due_what_it_names),
		CASE(retry_of_many_goes_by_portions),
		CASE(remove_leaves_no_notification),
		CASE(list_has_a_limit_and_parts),
		CASE(D9_a_next_try_beyond_reason_is_not_believed),
		CASE(queue_at_its_cap_is_452),
		CASE(D5_space_is_refused_before_it_is_gone),
		CASE(close_stores_what_was_asked),
	};

	return cmocka_run_group_tests_name("spool", tests, NULL, NULL);
}
