/*
 * TLS reports in the spool: what is counted, when it is due, and that a day is reported once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/spool_tlsrpt.h"
#include "spool_fixture.h"

#define TO(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

enum { DAY_S = 86400, HEARD_MAX = 64 };

/* What came of a call. */
struct heard {
	bool done;
	size_t n, n_left_out;
	struct outcome outcome;
	int64_t numbers[HEARD_MAX], starts[HEARD_MAX], ends[HEARD_MAX];
	int64_t first_try_s;
	uint32_t n_tries;
	char uris[200];
	char *text; /* the report as JSON; of a list, the last */
};

static int set_up(void **state)
{
	struct fixture *f = mem_create(sizeof *f);

	fixture_init(f);
	/* Noon: no test sees a midnight it did not make. */
	clock_shift_wall(DAY_S / 2 - clock_wall_s() % DAY_S);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fixture_finish(f);
	clock_shift_wall(0);
	free(f);
	return 0;
}

static void on_counted(void *arg, size_t n_left_out)
{
	struct heard *heard = arg;

	heard->n_left_out = n_left_out;
	heard->done = true;
}

static size_t count_several(struct fixture *f, const struct tls_count *counts, size_t n)
{
	struct heard heard = { 0 };

	spool_tlsrpt_count(f->spool, counts, n, on_counted, &heard);
	assert_false(heard.done);
	fixture_run(f, &heard.done);
	return heard.n_left_out;
}

/* One of a session; text as "mx" stands for all that differs between failures. */
static size_t count(struct fixture *f, const char *domain, enum tls_result result, const char *mx)
{
	char strings[] = "3 1 1 AB\n3 1 1 CD\n", patterns[] = "";
	struct tls_count one = {
		.type = TLS_POLICY_TLSA, .strings = strings, .patterns = patterns, .result = result
	};

	snprintf(one.report_domain, sizeof one.report_domain, "%s", domain);
	snprintf(one.domain, sizeof one.domain, "mx.%s", domain);
	snprintf(one.mx, sizeof one.mx, "%s", mx);
	snprintf(one.address, sizeof one.address, "192.0.2.1");
	snprintf(one.sender, sizeof one.sender, "192.0.2.2");
	snprintf(one.reason, sizeof one.reason, "tls-name");
	return count_several(f, &one, 1);
}

static void on_due(void *arg, const struct spool_tlsrpt *due, size_t n)
{
	struct heard *heard = arg;

	for (size_t i = 0; i < n && i < HEARD_MAX; i++) {
		heard->numbers[i] = due[i].number;
		heard->starts[i] = due[i].start_s;
		heard->ends[i] = due[i].end_s;
		heard->first_try_s = due[i].first_try_s;
		heard->n_tries = due[i].n_tries;
		snprintf(heard->uris, sizeof heard->uris, "%s", due[i].uris);
	}
	heard->n = n;
	heard->done = true;
}

static struct heard find_due(struct fixture *f)
{
	struct heard heard = { 0 };

	spool_tlsrpt_find_due(f->spool, HEARD_MAX, on_due, &heard);
	fixture_run(f, &heard.done);
	return heard;
}

static void on_read(void *arg, const struct spool_tlsrpt *about, struct tls_report *report)
{
	struct heard *heard = arg;

	if (about == NULL) {
		assert_null(report);
		heard->done = true;
		return;
	}
	report->organization = mem_copy_text("o");
	report->contact = mem_copy_text("c");
	report->id = mem_copy_text("i");
	free(heard->text);
	heard->text = tls_report_write(report);
	heard->numbers[heard->n] = about->number;
	heard->starts[heard->n] = about->start_s;
	heard->ends[heard->n++] = about->end_s;
}

/* Free its text. */
static struct heard list(struct fixture *f, const char *domain)
{
	struct heard heard = { 0 };

	spool_tlsrpt_list(f->spool, domain, on_read, &heard);
	fixture_run(f, &heard.done);
	return heard;
}

static void assert_lists(struct fixture *f, const char *domain, size_t n, const char *part)
{
	struct heard heard = list(f, domain);

	assert_int_equal(heard.n, n);
	if (n > 0 && strstr(heard.text, part) == NULL)
		fail_msg("no %s in %s", part, heard.text);
	free(heard.text);
}

static void on_changed(void *arg, size_t n)
{
	struct heard *heard = arg;

	heard->n = n;
	heard->done = true;
}

static size_t close_now(struct fixture *f, const char *domain)
{
	struct heard heard = { 0 };

	spool_tlsrpt_close(f->spool, domain, on_changed, &heard);
	fixture_run(f, &heard.done);
	return heard.n;
}

static void on_moved(void *arg, const struct outcome *outcome)
{
	struct heard *heard = arg;

	heard->outcome = *outcome;
	heard->done = true;
}

static struct outcome move(
    struct fixture *f, int64_t number, const char *uris, int64_t next_s, const struct message *mail)
{
	struct heard heard = { 0 };

	spool_tlsrpt_move(f->spool,
	    &(struct spool_tlsrpt_move){
		number, uris[0] == '\0', uris, next_s, clock_wall_s(), 3, mail },
	    on_moved, &heard);
	fixture_run(f, &heard.done);
	return heard.outcome;
}

static void counts_are_summed(void **state)
{
	struct fixture *f = *state;
	char strings[] = "version: STSv1\nmode: enforce\n",
	     patterns[] = "*.one.test\nmx.two.test\n";
	struct tls_count sts = { .type = TLS_POLICY_STS,
		.report_domain = "one.test",
		.domain = "one.test",
		.strings = strings,
		.patterns = patterns,
		.result = TLS_RESULT_STS_FETCH };

	for (int i = 0; i < 3; i++)
		count(f, "one.test", TLS_RESULT_SUCCESS, "mx.one.test");
	for (int i = 0; i < 2; i++)
		count(f, "one.test", TLS_RESULT_EXPIRED, "mx.one.test");
	count(f, "one.test", TLS_RESULT_EXPIRED, "mx2.one.test");
	count_several(f, &sts, 1);
	fixture_close(f);
	assert_true(fixture_open(f));
	count(f, "one.test", TLS_RESULT_SUCCESS, "mx.one.test");
	count(f, "two.test", TLS_RESULT_SUCCESS, "mx.two.test");
	assert_lists(f, NULL, 2, "\"policy-domain\":\"mx.two.test\"");
	assert_lists(f, "one.test", 1,
	    "\"policies\":[{\"policy\":{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 AB\","
	    "\"3 1 1 CD\"],\"policy-domain\":\"mx.one.test\"},\"summary\":{"
	    "\"total-successful-session-count\":4,\"total-failure-session-count\":3},"
	    "\"failure-details\":[{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":"
	    "\"192.0.2.2\",\"receiving-mx-hostname\":\"mx.one.test\",\"receiving-ip\":"
	    "\"192.0.2.1\",\"failure-reason-code\":\"tls-name\",\"failed-session-count\":2},"
	    "{\"result-type\":\"certificate-expired\",\"sending-mta-ip\":\"192.0.2.2\","
	    "\"receiving-mx-hostname\":\"mx2.one.test\",\"receiving-ip\":\"192.0.2.1\","
	    "\"failure-reason-code\":\"tls-name\",\"failed-session-count\":1}]},"
	    "{\"policy\":{\"policy-type\":\"sts\",\"policy-string\":[\"version: STSv1\","
	    "\"mode: enforce\"],\"policy-domain\":\"one.test\",\"mx-host\":[\"*.one.test\","
	    "\"mx.two.test\"]},\"summary\":{\"total-successful-session-count\":0,"
	    "\"total-failure-session-count\":1},\"failure-details\":[{\"result-type\":"
	    "\"sts-policy-fetch-error\",\"failed-session-count\":1}]}]}");
	assert_lists(f, "three.test", 0, "");
}

static void what_is_counted_is_bounded(void **state)
{
	struct fixture *f = *state;
	char text[40], patterns[] = "";
	struct tls_count one = { .type = TLS_POLICY_TLSA,
		.report_domain = "one.test",
		.strings = text,
		.patterns = patterns };
	struct heard heard;
	size_t n_left_out = 0;

	for (int i = 0; i < SPOOL_TLSRPT_DETAILS_MAX + 10; i++) {
		snprintf(text, sizeof text, "mx%d.one.test", i);
		assert_int_equal(count(f, "one.test", TLS_RESULT_EXPIRED, text), 0);
	}
	snprintf(
	    text, sizeof text, "\"total-failure-session-count\":%d", SPOOL_TLSRPT_DETAILS_MAX + 10);
	assert_lists(f, "one.test", 1, text);
	heard = list(f, "one.test");
	assert_null(strstr(heard.text, "mx70.one.test"));
	free(heard.text);
	for (int i = 0; i < SPOOL_TLSRPT_POLICIES_MAX + 5; i++) {
		snprintf(text, sizeof text, "3 1 1 %d", i);
		n_left_out += count_several(f, &one, 1);
	}
	assert_int_equal(n_left_out, 6); /* one policy was there before */
}

static void a_day_is_due_when_it_is_over(void **state)
{
	struct fixture *f = *state;
	int64_t noon_s = clock_wall_s(), midnight_s = noon_s - noon_s % DAY_S + DAY_S;
	int64_t shift_s = DAY_S / 2 - time(NULL) % DAY_S;
	struct heard heard;

	for (int i = 0; i < 40; i++) {
		char domain[20];

		snprintf(domain, sizeof domain, "d%d.test", i);
		count(f, domain, TLS_RESULT_SUCCESS, "mx.test");
	}
	assert_int_equal(find_due(f).n, 0);
	clock_shift_wall(shift_s + midnight_s - noon_s - 60);
	assert_int_equal(find_due(f).n, 0);
	/* Spread over some hours: not all in the first half, not all in the second. */
	clock_shift_wall(shift_s + midnight_s - noon_s + SPOOL_TLSRPT_SPREAD_S / 2);
	heard = find_due(f);
	assert_true(heard.n > 3 && heard.n < 37);
	clock_shift_wall(shift_s + midnight_s - noon_s + SPOOL_TLSRPT_SPREAD_S + 60);
	heard = find_due(f);
	assert_int_equal(heard.n, 40);
	assert_int_equal(heard.starts[0], midnight_s - DAY_S);
	assert_int_equal(heard.ends[0], midnight_s);
	/* What is counted now is another day's. */
	count(f, "d1.test", TLS_RESULT_SUCCESS, "mx.test");
	assert_lists(f, "d1.test", 2, "\"total-successful-session-count\":1");
	/* Nobody sent them for days: they go. */
	clock_shift_wall(shift_s + midnight_s - noon_s + SPOOL_TLSRPT_KEPT_S + 60);
	fixture_close(f);
	assert_true(fixture_open(f));
	assert_lists(f, NULL, 1, "");
}

static void one_closed_early_is_followed_by_another(void **state)
{
	struct fixture *f = *state;
	int64_t midnight_s = clock_wall_s() - clock_wall_s() % DAY_S;
	int64_t shift_s = DAY_S / 2 - time(NULL) % DAY_S;
	struct heard first, second;
	struct outcome outcome;

	count(f, "one.test", TLS_RESULT_SUCCESS, "mx.one.test");
	count(f, "two.test", TLS_RESULT_SUCCESS, "mx.two.test");
	assert_int_equal(close_now(f, "three.test"), 0);
	assert_int_equal(close_now(f, "one.test"), 1);
	first = find_due(f);
	assert_int_equal(first.n, 1);
	assert_int_equal(first.starts[0], midnight_s);
	assert_true(first.ends[0] <= clock_wall_s() && first.ends[0] > midnight_s + DAY_S / 3);
	clock_shift_wall(shift_s + 100);
	count(f, "one.test", TLS_RESULT_SUCCESS, "mx.one.test");
	outcome = move(f, first.numbers[0], "", 0, NULL);
	assert_true(outcome_is_ok(&outcome));
	assert_int_equal(find_due(f).n, 0);
	count(f, "one.test", TLS_RESULT_SUCCESS, "mx.one.test");
	second = list(f, "one.test");
	assert_int_equal(second.n, 1);
	assert_int_equal(second.starts[0], first.ends[0]);
	assert_int_equal(second.ends[0], midnight_s + DAY_S);
	assert_non_null(strstr(second.text, "\"total-successful-session-count\":2"));
	free(second.text);
	assert_int_equal(close_now(f, NULL), 2);
	assert_int_equal(find_due(f).n, 2);
}

static void how_far_one_has_come_is_kept(void **state)
{
	struct fixture *f = *state;
	int64_t now_s = clock_wall_s();
	struct outcome outcome;
	struct heard due;

	count(f, "one.test", TLS_RESULT_SUCCESS, "mx.one.test");
	close_now(f, NULL);
	due = find_due(f);
	assert_int_equal(due.first_try_s, 0);
	assert_string_equal(due.uris, "");
	move(f, due.numbers[0], "mailto:a@one.test\nhttps://one.test/\n", now_s, NULL);
	fixture_close(f);
	assert_true(fixture_open(f));
	due = find_due(f);
	assert_int_equal(due.n, 1);
	assert_true(due.first_try_s >= now_s);
	assert_int_equal(due.n_tries, 3);
	assert_string_equal(due.uris, "mailto:a@one.test\nhttps://one.test/\n");
	assert_int_equal(close_now(f, NULL), 0); /* it has begun to go out */
	move(f, due.numbers[0], "https://one.test/\n", now_s + 1000, NULL);
	assert_int_equal(find_due(f).n, 0);
	outcome = move(f, due.numbers[0], "", 0, NULL);
	assert_true(outcome_is_ok(&outcome));
	assert_lists(f, NULL, 0, "");
	/* A second time it is gone, and that is no error. */
	outcome = move(f, due.numbers[0], "https://one.test/\n", now_s, NULL);
	assert_true(outcome_is_ok(&outcome));
	assert_lists(f, NULL, 0, "");
}

static void D8_the_mail_comes_in_with_the_move(void **state)
{
	struct fixture *f = *state;
	struct outcome outcome;
	struct message mail;
	struct heard due;
	struct found found;

	count(f, "one.test", TLS_RESULT_SUCCESS, "mx.one.test");
	close_now(f, NULL);
	due = find_due(f);
	fixture_write(f, &mail, "", TO("reports@one.test"));
	mail.is_report = mail.tls_optional = true;
	fixture_close(f); /* its segment is swept at the next start */
	assert_true(fixture_open(f));
	outcome = move(f, due.numbers[0], "", 0, &mail);
	assert_string_equal(outcome.name, "segment-gone");
	assert_int_equal(find_due(f).n, 1); /* neither has happened */
	assert_int_equal(fixture_count(f).messages, 0);
	fixture_new_segment(f);
	message_finish(&mail);
	fixture_write(f, &mail, "", TO("reports@one.test"));
	mail.is_report = mail.tls_optional = true;
	outcome = move(f, due.numbers[0], "", 0, &mail);
	assert_true(outcome_is_ok(&outcome));
	assert_int_equal(find_due(f).n, 0);
	fixture_find(f, &found, clock_wall_s() + 10, 10, 10, NULL);
	assert_int_equal(found.n, 1);
	assert_true(found.jobs[0].message.is_report && found.jobs[0].message.tls_optional);
	found_finish(&found);
	/* Once only: the report is gone, and with it a second mail about it. */
	queue_id_make(mail.id);
	outcome = move(f, due.numbers[0], "", 0, &mail);
	assert_true(outcome_is_ok(&outcome));
	assert_int_equal(fixture_count(f).messages, 1);
	message_finish(&mail);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(counts_are_summed),
		CASE(what_is_counted_is_bounded),
		CASE(a_day_is_due_when_it_is_over),
		CASE(one_closed_early_is_followed_by_another),
		CASE(how_far_one_has_come_is_kept),
		CASE(D8_the_mail_comes_in_with_the_move),
	};

	return cmocka_run_group_tests_name("spool TLS reports", tests, NULL, NULL);
}
