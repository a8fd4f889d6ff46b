/*
 * TLS reports on their way (RFC 8460 5), with the lookup and the keeper as this test plays them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/ipc/channel.h"
#include "relay/lookup/answer.h"
#include "relay/net/loop.h"
#include "relay/tlsrpt.h"
#include "spool_fixture.h"

enum { DAY_S = 86400 };

struct scene {
	struct fixture f;
	struct config config;
	struct config_domain domain;
	struct asker *keepers, *lookups;
	struct channel *keeper, *lookup;
	struct signer *signer;
	struct post_office *office;
	struct tlsrpt *tlsrpt;
	/* what the lookup says, and what it heard */
	enum answer_status status;
	const char *record; /* NULL: none */
	int code;           /* to a POST */
	size_t n_asked, n_posted, n_queued;
	char asked[300], url[1000], type[40];
	struct buffer posted;
	bool is_closed;
	size_t n_closed;
	int64_t shift_s;
};

static void on_lookup_asked(void *arg, struct channel *channel, struct ipc_message *m);
static void on_sign_ask(void *arg, struct channel *channel, struct ipc_message *m);
static void on_lost(void *arg, struct channel *channel);
static void on_queued(void *arg);
static void bring_keeper(struct scene *s);
static void open_reports(struct scene *s);
static void close_reports(struct scene *s);

static int set_up(void **state)
{
	static char domain[] = "shop.example", hostname[] = "mail.shop.example", selector[] = "s1";
	static char from[] = "tls-reports@shop.example", contact[] = "tls@shop.example";
	static char *selectors[] = { selector };
	struct scene *s = mem_create(sizeof *s);
	int ends[2];

	fixture_init(&s->f);
	s->shift_s = DAY_S / 2 - time(NULL) % DAY_S;
	clock_shift_wall(s->shift_s); /* noon */
	s->domain = (struct config_domain){ domain, selectors, 1 };
	s->config = (struct config){ .hostname = hostname,
		.domains = &s->domain,
		.n_domains = 1,
		.tlsrpt = { .scope = TLSRPT_ALL,
		    .from = from,
		    .organization = domain,
		    .contact = contact } };
	s->status = ANSWER_OK;
	s->code = 250;
	buffer_init(&s->posted, 1 << 20);
	s->keepers = asker_create(s->f.loop, ASKER_PLAIN, 10000);
	s->lookups = asker_create(s->f.loop, ASKER_PLAIN, 10000);
	s->signer = signer_create(&s->config, s->keepers);
	bring_keeper(s);
	assert_int_equal(channel_make_pair(ends), 0);
	s->lookup = channel_create(s->f.loop, ends[1], on_lookup_asked, on_lost, s);
	asker_add(s->lookups, channel_create(s->f.loop, ends[0], NULL, NULL, NULL));
	open_reports(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	close_reports(s);
	signer_destroy(&s->signer);
	asker_destroy(&s->keepers);
	asker_destroy(&s->lookups);
	channel_destroy(&s->keeper);
	channel_destroy(&s->lookup);
	buffer_finish(&s->posted);
	fixture_finish(&s->f);
	clock_shift_wall(0);
	free(s);
	return 0;
}

static void open_reports(struct scene *s)
{
	s->office = post_office_create(&s->config, s->f.spool, s->signer);
	s->tlsrpt = tlsrpt_create(&(struct tlsrpt_house){
	    s->f.loop, &s->config, s->f.spool, s->office, s->lookups, on_queued, s });
}

static void close_reports(struct scene *s)
{
	tlsrpt_stop(s->tlsrpt);
	post_office_destroy(&s->office);
	fixture_close(&s->f);
	tlsrpt_destroy(&s->tlsrpt);
}

static void on_queued(void *arg)
{
	struct scene *s = arg;

	s->n_queued++;
}

static void restart(struct scene *s)
{
	close_reports(s);
	assert_true(fixture_open(&s->f));
	open_reports(s);
}

static void bring_keeper(struct scene *s)
{
	struct ipc_message m = { .type = IPC_KEYS, .fd = -1 };
	ipc_key key = { "shop.example", "s1", 1 };
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	s->keeper = channel_create(s->f.loop, ends[1], on_sign_ask, on_lost, s);
	asker_add(s->keepers, channel_create(s->f.loop, ends[0], NULL, NULL, NULL));
	m.keys.keys = (ipc_key_list){ &key, 1 };
	channel_send(s->keeper, &m);
}

static void on_sign_ask(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct ipc_message say = { .type = IPC_SIGN_SAY, .fd = -1 };
	ipc_signing signature = { "s1", { "a signature", 11 } };

	(void)arg;
	say.sign_say = (struct ipc_sign_say){ m->number, 1, "", { &signature, 1 } };
	channel_send(channel, &say);
}

static void on_lost(void *arg, struct channel *channel)
{
	(void)arg, (void)channel;
}

static void on_lookup_asked(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct scene *s = arg;
	struct ipc_message say = { .fd = -1 };
	ipc_string record = { s->record };

	if (m->type == IPC_TEXTS_ASK) {
		s->n_asked++;
		snprintf(s->asked, sizeof s->asked, "%s", m->texts_ask.name);
		say.type = IPC_TEXTS_SAY;
		say.texts_say = (struct ipc_texts_say){ m->number, (uint8_t)s->status, "",
			{ &record, s->record != NULL } };
	} else {
		assert_int_equal(m->type, IPC_POST_ASK);
		s->n_posted++;
		snprintf(s->url, sizeof s->url, "%s", m->post_ask.url);
		snprintf(s->type, sizeof s->type, "%s", m->post_ask.type);
		buffer_clear(&s->posted);
		buffer_add(&s->posted, m->post_ask.content.bytes, m->post_ask.content.n);
		say.type = IPC_POST_SAY;
		say.post_say.number = m->number;
		outcome_say(&say.post_say.outcome, s->code, s->code == 250 ? "2.0.0" : "4.4.2", "",
		    "answered\x1b");
	}
	channel_send(channel, &say);
}

/* Turns the loop until it holds; fails after ten seconds. */
#define UNTIL(s, what)                                                                             \
	for (int64_t until_ms = clock_monotonic_ms() + 60000; !(what);) {                          \
		loop_run_once((s)->f.loop, false);                                                 \
		if (clock_monotonic_ms() > until_ms)                                               \
			fail_msg("never: %s", #what);                                              \
		usleep(200);                                                                       \
	}

static void on_closed(void *arg, size_t n)
{
	struct scene *s = arg;

	s->n_closed = n;
	s->is_closed = true;
}

static void on_listed(void *arg, const struct spool_tlsrpt *about, struct tls_report *report)
{
	struct scene *s = arg;

	(void)report;
	if (about != NULL)
		s->n_closed++;
	else
		s->is_closed = true;
}

/* Reports that are still in the spool. */
static size_t n_left(struct scene *s)
{
	s->is_closed = false;
	s->n_closed = 0;
	spool_tlsrpt_list(s->f.spool, NULL, on_listed, s);
	fixture_run(&s->f, &s->is_closed);
	return s->n_closed;
}

static void count(struct scene *s, const char *domain, enum tls_result result)
{
	ipc_count item = { TLS_POLICY_NONE, domain, domain, "", "", (uint8_t)result, "mx.test",
		"192.0.2.1", "192.0.2.2", "" };
	struct ipc_counts_say say = { { &item, 1 } };

	tlsrpt_count(s->tlsrpt, &say);
}

/* How many were closed. */
static size_t send_now(struct scene *s, const char *domain)
{
	s->is_closed = false;
	tlsrpt_send_now(s->tlsrpt, domain, on_closed, s);
	fixture_run(&s->f, &s->is_closed);
	return s->n_closed;
}

/* Anything that is due would have begun by now, and have come as far as it can. */
static void let_be(struct scene *s)
{
	send_now(s, "nobody.test");
	for (int i = 0; i < 6; i++) {
		for (int j = 0; j < 50; j++)
			loop_run_once(s->f.loop, false);
		fixture_count(&s->f);
	}
}

/* The mail in the queue, its header and body; false if there is none. */
static bool read_mail(struct scene *s, char *text, size_t room)
{
	struct found found;
	const struct message *m = &found.jobs[0].message;
	bool is_there;
	size_t n;
	int fd;

	fixture_find(&s->f, &found, clock_wall_s() + 10, 1, 1, NULL);
	is_there = found.n > 0;
	if (is_there) {
		assert_true(m->is_report && m->tls_optional && !m->requires_tls);
		assert_string_equal(m->sender, "");
		assert_string_equal(m->from_domain, "shop.example");
		assert_int_equal(m->expires_s - m->arrived_s, DAY_S);
		fd = spool_open_segment(s->f.spool, m->segment);
		n = m->header.length + m->body.length;
		assert_true(n < room);
		assert_int_equal(
		    pread(fd, text, m->header.length, (off_t)m->header.offset), m->header.length);
		assert_int_equal(
		    pread(fd, text + m->header.length, m->body.length, (off_t)m->body.offset),
		    m->body.length);
		text[n] = '\0';
		close(fd);
	}
	found_finish(&found);
	return is_there;
}

static void by_mail(void **state)
{
	struct scene *s = *state;
	char text[8000];

	s->record = "v=TLSRPTv1;rua=mailto:reports%2Btls@bank.test";
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	assert_int_equal(send_now(s, NULL), 1);
	UNTIL(s, n_left(s) == 0);
	assert_string_equal(s->asked, "_smtp._tls.bank.test");
	UNTIL(s, s->n_queued == 1);
	assert_true(read_mail(s, text, sizeof text));
	assert_memory_equal(text, "DKIM-Signature: ", 16);
	assert_non_null(strstr(text, "d=shop.example;"));
	assert_null(strstr(text, "l="));
	assert_non_null(strstr(text, "\r\nTo: <reports+tls@bank.test>\r\n"));
	assert_non_null(strstr(text, "\r\nTLS-Report-Submitter: shop.example\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Type: application/tlsrpt+gzip\r\n"));
	assert_int_equal(s->n_posted, 0);
	restart(s); /* once only */
	let_be(s);
	assert_int_equal(fixture_count(&s->f).messages, 1);
	assert_int_equal(s->n_asked, 1);
}

static void by_https(void **state)
{
	struct scene *s = *state;

	s->record = "v=TLSRPTv1;rua=https://bank.test/tlsrpt";
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	send_now(s, "bank.test");
	UNTIL(s, n_left(s) == 0);
	assert_string_equal(s->url, "https://bank.test/tlsrpt");
	assert_string_equal(s->type, "application/tlsrpt+gzip");
	assert_memory_equal(s->posted.bytes, "\x1f\x8b", 2);
	restart(s);
	let_be(s);
	assert_int_equal(s->n_posted, 1);
	assert_int_equal(fixture_count(&s->f).messages, 0);
}

static void what_failed_is_tried_again_and_nothing_else(void **state)
{
	struct scene *s = *state;

	s->record = "v=TLSRPTv1;rua=https://bank.test/a,mailto:reports@bank.test";
	s->code = 450;
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	send_now(s, "bank.test");
	UNTIL(s, fixture_count(&s->f).messages == 1);
	let_be(s);
	assert_int_equal(s->n_posted, 1);
	assert_int_equal(n_left(s), 1);
	restart(s);
	let_be(s);
	assert_int_equal(s->n_posted, 1); /* its time has not come */
	clock_shift_wall(s->shift_s + TLSRPT_RETRY_FIRST_S + 5);
	let_be(s);
	assert_int_equal(s->n_posted, 2);
	clock_shift_wall(s->shift_s + 3 * TLSRPT_RETRY_FIRST_S);
	let_be(s);
	assert_int_equal(s->n_posted, 2); /* the wait has grown */
	s->code = 250;
	clock_shift_wall(s->shift_s + 3 * TLSRPT_RETRY_FIRST_S + 10);
	let_be(s);
	assert_int_equal(s->n_posted, 3);
	assert_int_equal(n_left(s), 0);
	assert_int_equal(fixture_count(&s->f).messages, 1);
	assert_int_equal(s->n_asked, 1);
}

static void after_a_day_it_is_given_up(void **state)
{
	struct scene *s = *state;
	int n_rounds = 0;

	s->record = "v=TLSRPTv1;rua=https://bank.test/a";
	s->code = 450;
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	send_now(s, "bank.test");
	let_be(s);
	for (int64_t at_s = 0; n_left(s) > 0; at_s += 600, n_rounds++) {
		assert_true(at_s <= DAY_S);
		clock_shift_wall(s->shift_s + at_s);
		let_be(s);
	}
	assert_true(s->n_posted >= 6 && s->n_posted <= 9); /* the wait doubles */
	assert_true(n_rounds > 60);                        /* for most of the day */
}

static void refused_for_good_it_is_not_tried_again(void **state)
{
	struct scene *s = *state;

	s->record = "v=TLSRPTv1;rua=https://bank.test/a,mailto:reports@bank.test";
	s->code = 550;
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	send_now(s, "bank.test");
	UNTIL(s, n_left(s) == 0);
	assert_int_equal(s->n_posted, 1);
	assert_int_equal(
	    fixture_count(&s->f).messages, 1); /* the other place gets it all the same */
}

static void the_record_is_asked_again(void **state)
{
	struct scene *s = *state;

	s->status = ANSWER_ERROR;
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	send_now(s, "bank.test");
	let_be(s);
	assert_int_equal(s->n_asked, 1);
	assert_int_equal(n_left(s), 1);
	s->status = ANSWER_BOGUS;
	clock_shift_wall(s->shift_s + TLSRPT_RETRY_FIRST_S + 5);
	let_be(s);
	assert_int_equal(s->n_asked, 2);
	s->status = ANSWER_OK;
	s->record = "v=TLSRPTv1;rua=https://bank.test/a";
	clock_shift_wall(s->shift_s + 4 * TLSRPT_RETRY_FIRST_S);
	let_be(s);
	assert_int_equal(s->n_posted, 1);
	assert_int_equal(n_left(s), 0);
}

static void who_does_not_ask_gets_none(void **state)
{
	static const struct {
		enum answer_status status;
		const char *record;
	} CASES[] = {
		{ ANSWER_NODATA, NULL },
		{ ANSWER_NXDOMAIN, NULL },
		{ ANSWER_OK, "v=spf1 -all" },
		{ ANSWER_OK, "v=TLSRPTv1;rua=http://bank.test/" },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		s->status = CASES[i].status;
		s->record = CASES[i].record;
		count(s, "bank.test", TLS_RESULT_SUCCESS);
		assert_int_equal(send_now(s, "bank.test"), 1);
		UNTIL(s, n_left(s) == 0);
		assert_int_equal(s->n_asked, i + 1);
		/* What is counted in the second that was closed would be that report's. */
		clock_shift_wall(s->shift_s + 10 * (int64_t)(i + 1));
	}
	assert_int_equal(s->n_posted, 0);
	assert_int_equal(fixture_count(&s->f).messages, 0);
}

static void who_may_have_none_is_not_asked(void **state)
{
	static char listed[] = "listed.test";
	static char *domains[] = { listed };
	struct scene *s = *state;

	s->record = "v=TLSRPTv1;rua=https://bank.test/a";
	s->config.tlsrpt.scope = TLSRPT_OFF;
	assert_false(tlsrpt_allows(&s->config, "bank.test"));
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	/* Its day is over: what was counted goes. */
	clock_shift_wall(s->shift_s + DAY_S);
	let_be(s);
	UNTIL(s, n_left(s) == 0);
	assert_int_equal(s->n_asked, 0);

	s->config.tlsrpt.scope = TLSRPT_LISTED;
	s->config.tlsrpt.domains = domains;
	s->config.tlsrpt.n_domains = 1;
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	count(s, "listed.test", TLS_RESULT_SUCCESS);
	assert_int_equal(send_now(s, NULL), 1);
	UNTIL(s, n_left(s) == 1); /* the other is kept, to be seen */
	assert_int_equal(s->n_posted, 1);
	assert_string_equal(s->asked, "_smtp._tls.listed.test");
}

/* A report that waits for one place, and reports are switched off. */
static void switched_off_it_stops(void **state)
{
	struct scene *s = *state;

	s->record = "v=TLSRPTv1;rua=https://bank.test/a";
	s->code = 450;
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	send_now(s, NULL);
	let_be(s);
	assert_int_equal(s->n_posted, 1);
	s->config.tlsrpt.scope = TLSRPT_OFF;
	s->config.tlsrpt.from = NULL;
	restart(s);
	clock_shift_wall(s->shift_s + TLSRPT_RETRY_FIRST_S + 5);
	let_be(s);
	assert_int_equal(s->n_posted, 1);
	assert_int_equal(n_left(s), 0);
}

static void K17_without_a_signature_it_waits(void **state)
{
	struct scene *s = *state;
	char text[8000];

	s->record = "v=TLSRPTv1;rua=mailto:reports@bank.test";
	channel_destroy(&s->keeper);
	count(s, "bank.test", TLS_RESULT_SUCCESS);
	send_now(s, NULL);
	UNTIL(s, s->n_asked == 1);
	let_be(s);
	assert_false(read_mail(s, text, sizeof text));
	assert_int_equal(n_left(s), 1);
	bring_keeper(s);
	clock_shift_wall(s->shift_s + TLSRPT_RETRY_FIRST_S + 5);
	let_be(s);
	assert_true(read_mail(s, text, sizeof text));
	assert_memory_equal(text, "DKIM-Signature: ", 16);
}

static void many_are_sent_in_turn(void **state)
{
	enum { N = 3 * TLSRPT_AT_ONCE };
	struct scene *s = *state;

	s->record = "v=TLSRPTv1;rua=https://bank.test/a";
	for (int i = 0; i < N; i++) {
		char domain[32];

		snprintf(domain, sizeof domain, "d%d.test", i);
		count(s, domain, TLS_RESULT_EXPIRED);
	}
	assert_int_equal(send_now(s, NULL), N);
	UNTIL(s, n_left(s) == 0);
	assert_int_equal(s->n_posted, N);
}

static void counts_out_of_bounds_are_not_counted(void **state)
{
	struct scene *s = *state;
	char *large = mem_create(TLS_COUNT_STRINGS_MAX + 2);
	const ipc_count good = { 0, "bank.test", "mx", "s", "", 0, "mx", "::1", "::2", "r" };
	ipc_count items[8];
	struct ipc_counts_say say = { { items, 7 } };

	memset(large, 'x', TLS_COUNT_STRINGS_MAX + 1);
	for (int i = 0; i < 7; i++)
		items[i] = good;
	items[0].type = 3;
	items[1].result = 12;
	items[2].report_domain = "";
	items[3].report_domain = large;
	items[4].strings = large;
	items[5].address = large;
	items[6].reason = large;
	tlsrpt_count(s->tlsrpt, &say);
	assert_int_equal(n_left(s), 0);
	large[TLS_COUNT_STRINGS_MAX] = '\0';
	items[0] = good;
	items[0].strings = large;
	tlsrpt_count(s->tlsrpt, &say);
	assert_int_equal(n_left(s), 1);
	free(large);
}

static void ended_at_any_moment_it_leaves_nothing(void **state)
{
	struct scene *s = *state;

	s->record = "v=TLSRPTv1;rua=https://bank.test/a,mailto:reports@bank.test";
	for (int i = 0; i < 30; i++) {
		char domain[32];

		snprintf(domain, sizeof domain, "d%d.test", i);
		count(s, domain, TLS_RESULT_SUCCESS);
		tlsrpt_send_now(s->tlsrpt, NULL, on_closed, s);
		for (int j = 0; j < i % 15; j++) {
			loop_run_once(s->f.loop, false);
			if (j % 2 == 0)
				fixture_count(&s->f); /* and the spool goes on */
		}
		restart(s);
	}
	send_now(s, NULL);
	UNTIL(s, n_left(s) == 0);
	/* By mail each of them exactly once; a POST may be repeated. */
	assert_int_equal(fixture_count(&s->f).messages, 30);
	assert_true(s->n_posted >= 30);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(by_mail),
		CASE(by_https),
		CASE(what_failed_is_tried_again_and_nothing_else),
		CASE(after_a_day_it_is_given_up),
		CASE(refused_for_good_it_is_not_tried_again),
		CASE(the_record_is_asked_again),
		CASE(who_does_not_ask_gets_none),
		CASE(who_may_have_none_is_not_asked),
		CASE(switched_off_it_stops),
		CASE(K17_without_a_signature_it_waits),
		CASE(many_are_sent_in_turn),
		CASE(counts_out_of_bounds_are_not_counted),
		CASE(ended_at_any_moment_it_leaves_nothing),
	};

	return cmocka_run_group_tests_name("sending TLS reports", tests, NULL, NULL);
}
