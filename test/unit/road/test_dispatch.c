/*
 * Jobs out and results back, with a real spool and deliveries that this test plays: what they tell,
 * in any order, what they never tell, and what they should not be believed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/dispatch.h"
#include "relay/evidence.h"
#include "relay/message_wire.h"
#include "relay/net/loop.h"
#include "relay/outcome.h"
#include "spool_fixture.h"
#include "whole.h"

#define TO(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

enum { JOBS_MAX = 16 };

/* A delivery, as this test plays it. */
struct delivery {
	uint32_t n_before; /* attempts before the one it tells of */
	struct channel *channel;
	struct {
		char id[QUEUE_ID_MAX], domain[64], sender[64], first[64];
		uint32_t places[8];
		size_t n;
		uint32_t n_attempts;
		bool requires_tls, tls_optional;
		enum tls_level tls_floor;
		char header[4096];
	} jobs[JOBS_MAX];
	size_t n_jobs, n_kept, n_gone;
	bool is_lost;
};

struct scene {
	struct fixture f;
	struct config config;
	struct config_domain domain;
	struct asker *keepers;
	struct channel *keeper;
	struct signer *signer;
	struct post_office *office;
	struct dispatch *dispatch;
	struct delivery a, b;
	size_t n_alone;
};

/* ---- what stands around the dispatch ---- */

static void on_sign_ask(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct ipc_message say = { .type = IPC_SIGN_SAY, .fd = -1 };
	ipc_signing signature = { "s1", { "a signature", 11 } };

	(void)arg;
	assert_int_equal(m->type, IPC_SIGN_ASK);
	say.sign_say = (struct ipc_sign_say){ m->number, 1, "", { &signature, 1 } };
	if (m->sign_ask.digests.n == 0)
		say.sign_say.signatures.n = 0;
	channel_send(channel, &say);
}

static void on_lost(void *arg, struct channel *channel)
{
	(void)arg, (void)channel;
}

static void bring_keeper(struct scene *s)
{
	struct ipc_message m = { .type = IPC_KEYS, .fd = -1 };
	ipc_key key = { "example.org", "s1", 1 };
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	s->keeper = channel_create(s->f.loop, ends[1], on_sign_ask, on_lost, s);
	asker_add(s->keepers, channel_create(s->f.loop, ends[0], NULL, NULL, NULL));
	m.keys.keys = (ipc_key_list){ &key, 1 };
	channel_send(s->keeper, &m);
}

static void on_alone(void *arg)
{
	struct scene *s = arg;

	s->n_alone++;
}

static int set_up(void **state)
{
	static char domain[] = "example.org", hostname[] = "mail.example.org", selector[] = "s1";
	static char *selectors[] = { selector };
	struct scene *s = calloc(1, sizeof *s);

	fixture_init(&s->f);
	s->domain = (struct config_domain){ domain, selectors, 1 };
	s->config = (struct config){ .hostname = hostname,
		.domains = &s->domain,
		.n_domains = 1,
		.retry = { 300, 3600, 5 * 86400, 2 * 86400 },
		.delivery = { .connections = 4, .connections_per_domain = 4 } };
	s->keepers = asker_create(s->f.loop, ASKER_PLAIN, 10000);
	s->signer = signer_create(&s->config, s->keepers);
	s->office = post_office_create(&s->config, s->f.spool, s->signer);
	s->dispatch = dispatch_create(s->f.loop, &s->config, s->f.spool, s->office);
	dispatch_on_alone(s->dispatch, on_alone, s);
	dispatch_set_patience(s->dispatch, 10);
	bring_keeper(s);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	clock_shift_wall(0);
	post_office_destroy(&s->office);
	fixture_close(&s->f);
	dispatch_destroy(&s->dispatch);
	signer_destroy(&s->signer);
	asker_destroy(&s->keepers);
	channel_destroy(&s->keeper);
	channel_destroy(&s->a.channel);
	channel_destroy(&s->b.channel);
	fixture_finish(&s->f);
	free(s);
	return 0;
}

/* Turns the loop until it holds; fails after ten seconds. */
#define UNTIL(s, what)                                                                             \
	for (int64_t until_ms = clock_monotonic_ms() + 60000; !(what);) {                          \
		loop_run_once((s)->f.loop, false);                                                 \
		if (clock_monotonic_ms() > until_ms)                                               \
			fail_msg("never: %s", #what);                                              \
		usleep(200);                                                                       \
	}

/* As much as happens by itself: a question to the writer comes back after all that was before it. */
static void settle(struct scene *s)
{
	for (int i = 0; i < 4; i++) {
		for (int j = 0; j < 50; j++)
			loop_run_once(s->f.loop, false);
		fixture_count(&s->f);
	}
}

/* ---- the deliveries ---- */

static void on_job(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct delivery *d = arg;
	struct message message;
	uint32_t *places;
	size_t i = d->n_jobs;

	(void)channel;
	if (m->type == IPC_RESULT_KEPT) {
		d->n_kept++;
		d->n_gone += m->result_kept.is_gone;
		return;
	}
	assert_int_equal(m->type, IPC_DELIVER);
	assert_true(m->fd >= 0 && i < JOBS_MAX);
	assert_true(message_decode_job(m->deliver.mail, &message, &places));
	assert_string_equal(message.id, m->deliver.id);
	assert_int_equal(extent_check(m->fd, &message.header), 0);
	assert_int_equal(extent_check(m->fd, &message.body), 0);
	snprintf(d->jobs[i].id, sizeof d->jobs[i].id, "%s", m->deliver.id);
	snprintf(d->jobs[i].domain, sizeof d->jobs[i].domain, "%s", m->deliver.domain);
	snprintf(d->jobs[i].sender, sizeof d->jobs[i].sender, "%s", message.sender);
	snprintf(d->jobs[i].first, sizeof d->jobs[i].first, "%s", message.recipients[0]);
	d->jobs[i].n = message.n_recipients;
	d->jobs[i].n_attempts = m->deliver.n_attempts;
	d->jobs[i].requires_tls = message.requires_tls;
	d->jobs[i].tls_optional = message.tls_optional;
	d->jobs[i].tls_floor = message.tls_floor;
	memcpy(d->jobs[i].places, places,
	    (message.n_recipients < 8 ? message.n_recipients : 8) * sizeof *places);
	assert_true(message.header.length < sizeof d->jobs[i].header);
	assert_true(pread(m->fd, d->jobs[i].header, message.header.length,
			(off_t)message.header.offset) == (ssize_t)message.header.length);
	d->n_jobs++;
	message_finish(&message);
	free(places);
}

static void on_delivery_lost(void *arg, struct channel *channel)
{
	struct delivery *d = arg;

	(void)channel;
	d->is_lost = true;
}

/* It comes, and does not say yet what it holds. */
static void meet(struct scene *s, struct delivery *d)
{
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	*d = (struct delivery){ 0 };
	d->channel = channel_create(s->f.loop, ends[1], on_job, on_delivery_lost, d);
	dispatch_meet(s->dispatch, channel_create(s->f.loop, ends[0], NULL, NULL, NULL));
}

static void say_held(struct delivery *d, const char *id, const char *domain)
{
	struct ipc_message m = { .type = IPC_HELD, .fd = -1 };
	ipc_held held = { id, domain };

	m.held_jobs.jobs = (ipc_held_list){ &held, id != NULL };
	channel_send(d->channel, &m);
}

static void say_leaving(struct delivery *d)
{
	const struct ipc_message m = { .type = IPC_LEAVING, .fd = -1 };

	channel_send(d->channel, &m);
}

static void say_result(struct delivery *d, const char *id, const char *domain,
    enum schedule_feedback feedback, const ipc_result *results, size_t n)
{
	const struct ipc_message m = { .type = IPC_RESULT,
		.fd = -1,
		.result_say = { id, domain, d->n_before, (uint8_t)feedback, "mx.test[192.0.2.1]:25",
		    "TLSv1.3", { (ipc_result *)(uintptr_t)results, n } } };

	channel_send(d->channel, &m);
}

static ipc_result result(uint32_t place, enum recipient_state state)
{
	static const int codes[] = { 450, 250, 550 };
	static const char *const enhanced[] = { "4.2.0", "2.0.0", "5.1.1" };
	ipc_result r = { .recipient = place, .state = (uint8_t)state };

	outcome_say(&r.outcome, codes[state], enhanced[state], "", "said the host");
	return r;
}

/* All recipients of job number i alike. */
static void finish_job(struct delivery *d, size_t i, enum recipient_state state)
{
	ipc_result results[8];

	assert_true(i < d->n_jobs && d->jobs[i].n <= 8);
	for (size_t j = 0; j < d->jobs[i].n; j++)
		results[j] = result(d->jobs[i].places[j], state);
	say_result(
	    d, d->jobs[i].id, d->jobs[i].domain, SCHEDULE_SITE_ANSWERED, results, d->jobs[i].n);
}

static void start_with(struct scene *s, struct delivery *d)
{
	meet(s, d);
	say_held(d, NULL, NULL);
	dispatch_start(s->dispatch);
}

/* The wall clock goes on, and the schedule looks at it. */
static void go_on(struct scene *s, int64_t seconds)
{
	clock_shift_wall(seconds);
	schedule_poke(dispatch_schedule(s->dispatch), 0);
}

static void assert_list(struct scene *s, const char *id, const char *expected)
{
	assert_string_equal(fixture_list(&s->f, id, NULL, true, 10), expected);
}

/* ---- the cases ---- */

/* Where a connection may be at hand; but not at any price, and not with one that goes. */
static void a_domain_stays_with_its_delivery(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	s->config.delivery.connections = 20;
	s->config.delivery.connections_per_domain = 11;
	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	meet(s, &s->a);
	meet(s, &s->b);
	say_held(&s->a, NULL, NULL);
	say_held(&s->b, NULL, NULL);
	dispatch_start(s->dispatch);
	UNTIL(s, s->a.n_jobs == 1);
	fixture_accept(&s->f, "shop@example.org", TO("b@two.test"), id);
	go_on(s, 1);
	UNTIL(s, s->b.n_jobs == 1);
	finish_job(&s->a, 0, RECIPIENT_DELIVERED);
	finish_job(&s->b, 0, RECIPIENT_DELIVERED);
	UNTIL(s, s->a.n_kept == 1 && s->b.n_kept == 1);
	/* Both have nothing to do, then b has ever more: all that a domain may have, and no more. */
	for (size_t i = 0; i < 11; i++)
		fixture_accept(&s->f, "shop@example.org", TO("b@two.test"), id);
	go_on(s, 2);
	UNTIL(s, s->b.n_jobs == 12);
	assert_int_equal(s->a.n_jobs, 1);
	fixture_accept(&s->f, "shop@example.org", TO("b@three.test"), id);
	go_on(s, 3);
	UNTIL(s, s->a.n_jobs == 2);
	assert_string_equal(s->a.jobs[1].domain, "three.test");
	say_leaving(&s->a);
	settle(s);
	fixture_accept(&s->f, "shop@example.org", TO("b@one.test"), id);
	go_on(s, 4);
	UNTIL(s, s->b.n_jobs == 13);
	assert_string_equal(s->b.jobs[12].domain, "one.test");
}

static void a_job_goes_out_and_is_settled(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test", "b@two.test", "c@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 2);
	for (size_t i = 0; i < 2; i++) {
		bool is_one = strcmp(s->a.jobs[i].domain, "one.test") == 0;

		assert_string_equal(s->a.jobs[i].id, id);
		assert_int_equal(s->a.jobs[i].n, is_one ? 2 : 1);
		assert_int_equal(s->a.jobs[i].places[0], is_one ? 0 : 1);
		finish_job(&s->a, i, is_one ? RECIPIENT_DELIVERED : RECIPIENT_WAITING);
	}
	UNTIL(s, s->a.n_kept == 2);
	assert_int_equal(s->a.n_gone, 0); /* one recipient waits */
	/* D7: kept is said when it is on disk. */
	assert_list(s, id,
	    "a@one.test delivered 1 250 2.0.0 said the host|\n"
	    "b@two.test waiting 1 450 4.2.0 said the host|\n"
	    "c@one.test delivered 1 250 2.0.0 said the host|");
	settle(s);
	assert_int_equal(s->a.n_jobs, 2);
	go_on(s, 301);
	UNTIL(s, s->a.n_jobs == 3);
	assert_string_equal(s->a.jobs[2].domain, "two.test");
	assert_int_equal(s->a.jobs[2].n_attempts, 1);
}

static void nothing_goes_out_before_all_have_told(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	meet(s, &s->a);
	meet(s, &s->b);
	say_held(&s->a, NULL, NULL);
	settle(s);
	assert_null(dispatch_schedule(s->dispatch));
	dispatch_start(s->dispatch);
	settle(s);
	assert_int_equal(s->a.n_jobs + s->b.n_jobs, 0);
	/* The other dies before it has said a word: nobody waits for it. */
	channel_destroy(&s->b.channel);
	UNTIL(s, s->a.n_jobs == 1);
}

/* Runs until it has no delivery any more; the log of that must have these words. */
static void lose_the_last(struct scene *s, struct delivery *d, const char *words)
{
	char *path = mem_print("%s-log", s->f.directory), text[4096] = "", error[200];
	FILE *f;

	assert_int_equal(log_open(path, LOG_LEVEL_INFO, error, sizeof error), 0);
	channel_destroy(&d->channel);
	UNTIL(s, s->n_alone == 1);
	assert_int_equal(log_open("stderr", LOG_LEVEL_INFO, error, sizeof error), 0);
	f = fopen(path, "r");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof text - 1, f) > 0);
	fclose(f);
	unlink(path);
	free(path);
	assert_non_null(strstr(text, words));
}

static void a_delivery_that_dies_gives_its_job_back(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	lose_the_last(s, &s->a, "[attempt-broken-off]");
	assert_false(dispatch_has_deliveries(s->dispatch));
	meet(s, &s->b);
	say_held(&s->b, NULL, NULL);
	settle(s);
	assert_int_equal(s->b.n_jobs, 0); /* not at once */
	go_on(s, 11);
	UNTIL(s, s->b.n_jobs == 1);
	assert_int_equal(s->b.jobs[0].n_attempts, 0); /* that was none */
	finish_job(&s->b, 0, RECIPIENT_DELIVERED);
	UNTIL(s, s->b.n_kept == 1);
}

static void its_last_word_counts_though_it_died(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	finish_job(&s->a, 0, RECIPIENT_DELIVERED);
	loop_run_once(s->f.loop, false); /* its word leaves it */
	channel_destroy(&s->a.channel);
	UNTIL(s, s->n_alone == 1);
	settle(s);
	assert_list(s, id, "a@one.test delivered 1 250 2.0.0 said the host|");
}

static void what_an_earlier_queue_handed_out_is_not_sent_twice(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX], other[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	fixture_accept(&s->f, "shop@example.org", TO("b@one.test"), other);
	meet(s, &s->a);
	meet(s, &s->b);
	say_held(&s->a, id, "one.test");
	say_held(&s->b, NULL, NULL);
	dispatch_start(s->dispatch);
	UNTIL(s, s->a.n_jobs + s->b.n_jobs == 1);
	settle(s);
	assert_int_equal(s->a.n_jobs, 0);
	assert_string_equal(s->b.jobs[0].id, other);
	/* Now it brings what came of it. */
	say_result(&s->a, id, "one.test", SCHEDULE_SITE_ANSWERED,
	    &(ipc_result){ 0, RECIPIENT_DELIVERED, result(0, RECIPIENT_DELIVERED).outcome }, 1);
	UNTIL(s, s->a.n_kept == 1);
	assert_int_equal(s->a.n_gone, 1); /* it says that the message has gone */
	assert_list(s, id, "a@one.test delivered 1 250 2.0.0 said the host|");
}

static void a_result_may_come_before_the_job_is_known(void **state)
{
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_DELIVERED);
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	meet(s, &s->a);
	say_held(&s->a, id, "one.test");
	say_result(&s->a, id, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	settle(s);
	assert_int_equal(s->a.n_kept, 0);
	dispatch_start(s->dispatch);
	UNTIL(s, s->a.n_kept == 1);
	assert_int_equal(s->a.n_jobs, 0);
	assert_list(s, id, "a@one.test delivered 1 250 2.0.0 said the host|");
}

/* The queue before had stored it, and died before it said so: it is heard once more, and known. */
static void a_result_that_was_stored_is_acknowledged(void **state)
{
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_WAITING);
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	finish_job(&s->a, 0, RECIPIENT_WAITING);
	UNTIL(s, s->a.n_kept == 1);
	meet(s, &s->b);
	say_held(&s->b, id, "one.test");
	say_result(&s->b, id, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	UNTIL(s, s->b.n_kept == 1);
	assert_list(s, id, "a@one.test waiting 1 450 4.2.0 said the host|");
}

/* It comes while the job falls due again: the new attempt is made all the same. */
static void a_result_of_before_is_no_new_attempt(void **state)
{
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_WAITING);
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	finish_job(&s->a, 0, RECIPIENT_WAITING);
	UNTIL(s, s->a.n_kept == 1);
	meet(s, &s->b);
	say_held(&s->b, id, "one.test");
	say_result(&s->b, id, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	go_on(s, 400);
	UNTIL(s, s->a.n_jobs + s->b.n_jobs == 2);
	UNTIL(s, s->b.n_kept == 1);
	assert_list(s, id, "a@one.test waiting 1 450 4.2.0 said the host|");
}

static void what_was_held_and_lost_is_given_to_another(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	meet(s, &s->a);
	say_held(&s->a, id, "one.test");
	dispatch_start(s->dispatch);
	meet(s, &s->b);
	say_held(&s->b, NULL, NULL);
	settle(s);
	assert_int_equal(s->a.n_jobs + s->b.n_jobs, 0);
	channel_destroy(&s->a.channel);
	settle(s);
	go_on(s, 11);
	UNTIL(s, s->b.n_jobs == 1);
	assert_string_equal(s->b.jobs[0].id, id);
}

/* However long that is: as long as the job may go out again, what came of it is not forgotten. */
static void a_result_is_kept_until_the_turn_of_its_job(void **state)
{
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_DELIVERED);
	char id[QUEUE_ID_MAX], other[QUEUE_ID_MAX];

	s->config.delivery.connections_per_domain = 1;
	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), other);
	fixture_accept(&s->f, "shop@example.org", TO("b@one.test"), id);
	meet(s, &s->a);
	say_held(&s->a, id, "one.test");
	meet(s, &s->b);
	say_held(&s->b, NULL, NULL);
	dispatch_start(s->dispatch);
	UNTIL(s, s->b.n_jobs == 1);
	assert_string_equal(s->b.jobs[0].id, other);
	say_result(&s->a, id, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	for (int i = 0; i < 10; i++) { /* of a few milliseconds each, as patience is here */
		settle(s);
		usleep(10000);
	}
	assert_int_equal(s->a.n_kept, 0);
	finish_job(&s->b, 0, RECIPIENT_DELIVERED);
	UNTIL(s, s->a.n_kept == 1);
	assert_int_equal(s->b.n_jobs, 1);
	assert_list(s, id, "b@one.test delivered 1 250 2.0.0 said the host|");
}

/* Nobody hands it out again: the delivery need not wait. */
static void a_result_of_what_was_removed_is_acknowledged(void **state)
{
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_DELIVERED);
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("b@one.test"), id);
	meet(s, &s->a);
	say_held(&s->a, id, "one.test");
	say_result(&s->a, id, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	settle(s);
	assert_int_equal(s->a.n_kept, 0);
	assert_int_equal(fixture_remove(&s->f, id), 1);
	UNTIL(s, s->a.n_kept == 1);
	assert_int_equal(s->a.n_gone, 0);
}

static void a_result_of_no_job_is_acknowledged(void **state)
{
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_DELIVERED);

	start_with(s, &s->a);
	say_result(&s->a, "0123456789ABCDE", "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	UNTIL(s, s->a.n_kept == 1);
}

static void a_result_of_anothers_job_is_not_believed(void **state)
{
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_DELIVERED);
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	meet(s, &s->b);
	say_held(&s->b, NULL, NULL);
	say_result(&s->b, id, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	UNTIL(s, s->b.n_kept == 1);
	settle(s);
	assert_list(s, id, "a@one.test waiting 0 |");
	finish_job(&s->a, 0, RECIPIENT_WAITING);
	UNTIL(s, s->a.n_kept == 1);
	assert_list(s, id, "a@one.test waiting 1 450 4.2.0 said the host|");
}

/* Other recipients of the same message, states that are none, and one recipient twice. */
static void only_the_recipients_of_the_job_are_settled(void **state)
{
	struct scene *s = *state;
	ipc_result results[5] = { result(0, RECIPIENT_DELIVERED), result(1, RECIPIENT_DELIVERED),
		result(0, RECIPIENT_FAILED), result(77, RECIPIENT_FAILED),
		result(2, RECIPIENT_DELIVERED) };
	char id[QUEUE_ID_MAX];
	size_t i;

	results[4].state = 200;
	fixture_accept(&s->f, "shop@example.org", TO("a@one.test", "b@two.test", "c@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 2);
	i = strcmp(s->a.jobs[0].domain, "one.test") == 0 ? 0 : 1;
	say_result(&s->a, id, s->a.jobs[i].domain, SCHEDULE_SITE_ANSWERED, results, 5);
	UNTIL(s, s->a.n_kept == 1);
	assert_list(s, id,
	    "a@one.test delivered 1 250 2.0.0 said the host|\n"
	    "b@two.test waiting 0 |\n"
	    "c@one.test waiting 0 |");
}

static void D8_failure_is_settled_with_its_notification(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	finish_job(&s->a, 0, RECIPIENT_FAILED);
	UNTIL(s, s->a.n_kept == 1);
	assert_list(s, id, "a@one.test failed 1 550 5.1.1 said the host|");
	UNTIL(s, s->a.n_jobs == 2);
	assert_string_equal(s->a.jobs[1].sender, "");
	assert_string_equal(s->a.jobs[1].first, "shop@example.org");
	assert_string_equal(s->a.jobs[1].domain, "example.org");
	assert_int_equal(strncmp(s->a.jobs[1].header, "DKIM-Signature:", 15), 0);
	assert_non_null(strstr(s->a.jobs[1].header, "multipart/report"));
	/* No notification of a notification. */
	finish_job(&s->a, 1, RECIPIENT_FAILED);
	UNTIL(s, s->a.n_kept == 2);
	settle(s);
	assert_int_equal(s->a.n_jobs, 2);
}

/* RFC 8689 5: what says the same about a message demands the same; a waiver is for its own. */
static void a_notification_demands_as_much_as_its_message(void **state)
{
	struct scene *s = *state;
	struct message m;

	start_with(s, &s->a);
	for (size_t i = 0; i < 4; i++) {
		fixture_write(&s->f, &m, "shop@example.org", TO("a@one.test"));
		m.requires_tls = i == 1;
		m.tls_optional = i == 2;
		m.tls_floor = i == 3 ? TLS_VERIFY : TLS_NONE;
		assert_string_equal(fixture_commit(&s->f, &m).text, "Ok");
		schedule_poke(dispatch_schedule(s->dispatch), 0);
		message_finish(&m);
		UNTIL(s, s->a.n_jobs == 2 * i + 1);
		assert_int_equal(s->a.jobs[2 * i].requires_tls, i == 1);
		assert_int_equal(s->a.jobs[2 * i].tls_optional, i == 2);
		finish_job(&s->a, 2 * i, RECIPIENT_FAILED);
		UNTIL(s, s->a.n_jobs == 2 * i + 2);
		assert_string_equal(s->a.jobs[2 * i + 1].sender, "");
		assert_int_equal(s->a.jobs[2 * i + 1].requires_tls, i == 1);
		assert_false(s->a.jobs[2 * i + 1].tls_optional);
		assert_int_equal(s->a.jobs[2 * i + 1].tls_floor, i == 3 ? TLS_VERIFY : TLS_NONE);
		finish_job(&s->a, 2 * i + 1, RECIPIENT_DELIVERED);
	}
}

/* Q16: as long as nobody can be told, the original is kept. */
static void Q16_notification_that_cannot_be_made_is_tried_again(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	channel_destroy(&s->keeper);
	settle(s);
	finish_job(&s->a, 0, RECIPIENT_FAILED);
	for (int i = 0; i < 5; i++)
		settle(s);
	assert_int_equal(s->a.n_kept, 0);
	assert_list(s, id, "a@one.test waiting 0 |");
	/* Its delivery may end meanwhile: the result is not forgotten. */
	meet(s, &s->b);
	say_held(&s->b, NULL, NULL);
	channel_destroy(&s->a.channel);
	settle(s);
	assert_list(s, id, "a@one.test waiting 0 |");
	bring_keeper(s);
	UNTIL(s, s->b.n_jobs == 1);
	assert_string_equal(s->b.jobs[0].sender, "");
	assert_list(s, id, "a@one.test failed 1 550 5.1.1 said the host|");
}

/* Not for ever in the way of others: after some tries its delivery waits like any other. */
static void Q16_without_notification_it_has_not_failed(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	channel_destroy(&s->keeper);
	finish_job(&s->a, 0, RECIPIENT_FAILED);
	UNTIL(s, s->a.n_kept == 1);
	assert_list(s, id, "a@one.test waiting 1 550 5.1.1 said the host|");
}

static void expired_fails_after_its_last_attempt(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	clock_shift_wall(6 * 86400); /* D9: only now, after a fresh attempt */
	finish_job(&s->a, 0, RECIPIENT_WAITING);
	UNTIL(s, s->a.n_kept == 1);
	assert_list(s, id, "a@one.test failed 1 450 4.2.0 said the host|");
	UNTIL(s, s->a.n_jobs == 2);
	assert_string_equal(s->a.jobs[1].sender, "");
}

static void D10_corrupt_is_set_aside(void **state)
{
	struct scene *s = *state;
	ipc_result results[2] = { result(0, RECIPIENT_WAITING), result(1, RECIPIENT_WAITING) };
	char id[QUEUE_ID_MAX];

	outcome_say_corrupt(&results[1].outcome, "its body");
	fixture_accept(&s->f, "shop@example.org", TO("a@one.test", "b@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	say_result(&s->a, id, "one.test", SCHEDULE_NOT_TRIED, results, 2);
	UNTIL(s, s->a.n_kept == 1);
	settle(s);
	assert_non_null(strstr(fixture_list(&s->f, id, NULL, true, 10), "a@one.test set aside"));
	assert_non_null(strstr(fixture_list(&s->f, id, NULL, true, 10), "its body"));
	go_on(s, 10000);
	settle(s);
	assert_int_equal(s->a.n_jobs, 1);
}

static void who_is_leaving_is_given_nothing_new(void **state)
{
	struct scene *s = *state;
	char ids[3][QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), ids[0]);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	say_leaving(&s->a);
	meet(s, &s->b);
	say_held(&s->b, NULL, NULL);
	settle(s);
	for (int i = 1; i < 3; i++)
		fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), ids[i]);
	go_on(s, 0);
	UNTIL(s, s->b.n_jobs == 2);
	assert_int_equal(s->a.n_jobs, 1);
	finish_job(&s->a, 0, RECIPIENT_DELIVERED); /* what it has is still its own */
	UNTIL(s, s->a.n_kept == 1);
	assert_list(s, ids[0], "a@one.test delivered 1 250 2.0.0 said the host|");
	/* With nobody else, mail waits. */
	say_leaving(&s->b);
	settle(s);
	fixture_accept(&s->f, "shop@example.org", TO("a@two.test"), ids[0]);
	go_on(s, 0);
	settle(s);
	assert_int_equal(s->a.n_jobs, 1);
	assert_int_equal(s->b.n_jobs, 2);
}

static void a_job_that_could_not_begin_is_given_back(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	say_result(&s->a, id, "one.test", SCHEDULE_NOT_TRIED, NULL, 0);
	UNTIL(s, s->a.n_kept == 1);
	settle(s);
	assert_int_equal(s->a.n_jobs, 1);
	assert_list(s, id, "a@one.test waiting 0 |");
	go_on(s, 11);
	UNTIL(s, s->a.n_jobs == 2);
}

/* A delivery that leaves for another configuration gives it back: the next has it at once. */
static void what_a_leaving_delivery_has_not_begun_goes_to_the_next(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	meet(s, &s->b);
	say_held(&s->b, NULL, NULL);
	say_leaving(&s->a);
	say_result(&s->a, id, "one.test", SCHEDULE_NOT_TRIED, NULL, 0);
	UNTIL(s, s->b.n_jobs == 1);
	assert_int_equal(s->a.n_kept, 1);
	assert_int_equal(s->b.jobs[0].n_attempts, 0);
	finish_job(&s->b, 0, RECIPIENT_DELIVERED);
	UNTIL(s, s->b.n_kept == 1);
}

static void others_share_the_failure_of_a_site(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX], other[QUEUE_ID_MAX];
	ipc_result r = result(0, RECIPIENT_WAITING);

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	say_result(&s->a, id, "one.test", SCHEDULE_SITE_DOWN, &r, 1);
	UNTIL(s, s->a.n_kept == 1);
	fixture_accept(&s->f, "shop@example.org", TO("b@one.test"), other);
	go_on(s, 0);
	settle(s);
	assert_list(s, other, "b@one.test waiting 1 450 4.2.0 said the host|");
	assert_int_equal(s->a.n_jobs, 1);
	/* And those of others go their way. */
	fixture_accept(&s->f, "shop@example.org", TO("c@two.test"), other);
	go_on(s, 0);
	UNTIL(s, s->a.n_jobs == 2);
}

/* RFC 8689 5: whoever waives the receiver's TLS policies is not held back by what they refused. */
static void send_waiver_after(struct scene *s, const struct outcome *failure)
{
	char id[QUEUE_ID_MAX];
	ipc_result r = result(0, RECIPIENT_WAITING);
	struct message m;

	r.outcome = *failure;
	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	say_result(&s->a, id, "one.test", SCHEDULE_SITE_DOWN, &r, 1);
	UNTIL(s, s->a.n_kept == 1);
	fixture_write(&s->f, &m, "shop@example.org", TO("b@one.test"));
	m.tls_optional = true;
	assert_string_equal(fixture_commit(&s->f, &m).text, "Ok");
	message_finish(&m);
	go_on(s, 0);
	UNTIL(s, s->a.n_jobs == 2);
	assert_true(s->a.jobs[1].tls_optional);
	finish_job(&s->a, 1, RECIPIENT_DELIVERED);
	UNTIL(s, s->a.n_kept == 2);
}

static void a_waiver_goes_where_tls_has_failed(void **state)
{
	struct outcome failure;

	outcome_say(&failure, 454, "4.7.5", "dane-mismatch", "no record matches");
	send_waiver_after(*state, &failure);
}

/* It may have been TLS that the server did not like. */
static void a_waiver_goes_where_the_connection_was_lost(void **state)
{
	struct outcome failure;

	outcome_say(&failure, 451, "4.4.2", "connection-lost", "while sending STARTTLS");
	send_waiver_after(*state, &failure);
}

static void C6_removed_while_it_is_out(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	assert_int_equal(fixture_remove(&s->f, id), 1);
	finish_job(&s->a, 0, RECIPIENT_FAILED);
	UNTIL(s, s->a.n_kept == 1);
	settle(s);
	assert_int_equal(s->a.n_jobs, 1); /* nobody is told of what was removed on purpose */
	assert_list(s, id, "a@one.test removed 0 |");
}

static void after_the_end_nothing_goes_out(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX], other[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	start_with(s, &s->a);
	UNTIL(s, s->a.n_jobs == 1);
	dispatch_stop(s->dispatch);
	fixture_accept(&s->f, "shop@example.org", TO("b@two.test"), other);
	go_on(s, 0);
	settle(s);
	assert_int_equal(s->a.n_jobs, 1);
	finish_job(&s->a, 0, RECIPIENT_DELIVERED); /* but results are still taken */
	UNTIL(s, s->a.n_kept == 1);
	assert_list(s, id, "a@one.test delivered 1 250 2.0.0 said the host|");
}

static void nonsense_from_a_delivery_changes_nothing(void **state)
{
	struct scene *s = *state;
	struct ipc_message m = { .type = IPC_SEGMENT_ASK, .fd = -1 };
	ipc_result r = result(0, RECIPIENT_DELIVERED);
	char id[QUEUE_ID_MAX], long_text[2000];

	memset(long_text, 'x', sizeof long_text);
	long_text[sizeof long_text - 1] = '\0';
	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	meet(s, &s->a);
	say_held(&s->a, long_text, long_text);
	say_held(&s->a, "", "");
	say_held(&s->a, "../../etc/passwd", "%s%n");
	dispatch_start(s->dispatch);
	UNTIL(s, s->a.n_jobs == 1);
	channel_send(s->a.channel, &m);
	say_result(&s->a, id, "one.test", (enum schedule_feedback)77, &r, 1);
	say_result(&s->a, long_text, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
	say_held(&s->a, id, "one.test");
	settle(s);
	assert_list(s, id, "a@one.test waiting 0 |");
	assert_false(s->a.is_lost);
	finish_job(&s->a, 0, RECIPIENT_DELIVERED);
	UNTIL(s, strstr(fixture_list(&s->f, id, NULL, true, 10), "delivered") != NULL);
}

static void on_entry(void *arg, const struct spool_entry *entry)
{
	size_t *n_bytes = arg;

	if (entry != NULL)
		*n_bytes = strlen(entry->host) + strlen(entry->evidence);
}

/* One that was taken over ends nobody, fills nothing, and keeps no mail from the others. */
static void a_hostile_delivery_is_held_to_its_bounds(void **state)
{
	static const size_t sizes[] = { 15, 16, 255, 256, 2000, 2048, 2049, 100000 };
	struct scene *s = *state;
	ipc_result r = result(0, RECIPIENT_WAITING);
	struct ipc_message m = { .type = IPC_RESULT, .fd = -1 };
	char id[QUEUE_ID_MAX], *text;
	size_t n_bytes = 0;

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	meet(s, &s->a);
	say_held(&s->a, NULL, NULL);
	say_held(&s->a, id, "one.test"); /* nobody gave it to it */
	dispatch_start(s->dispatch);
	UNTIL(s, s->a.n_jobs == 1);
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		text = mem_create(sizes[i] + 1);
		memset(text, 'X', sizes[i]);
		say_result(&s->a, text, "one.test", SCHEDULE_SITE_ANSWERED, &r, 1);
		say_result(&s->a, id, text, SCHEDULE_SITE_ANSWERED, &r, 1);
		say_result(&s->a, "0123456789ABCDE", text, SCHEDULE_SITE_ANSWERED, &r, 1);
		settle(s);
		free(text);
	}
	assert_false(s->a.is_lost);
	text = mem_create(1000001);
	memset(text, 'e', 1000000);
	m.result_say = (struct ipc_result_say){ id, "one.test", 0, SCHEDULE_SITE_ANSWERED, text,
		text, { &r, 1 } };
	s->a.n_kept = 0;
	channel_send(s->a.channel, &m);
	UNTIL(s, s->a.n_kept == 1);
	free(text);
	assert_list(s, id, "a@one.test waiting 1 450 4.2.0 said the host|");
	spool_list(s->f.spool, id, NULL, true, 10, on_entry, &n_bytes);
	UNTIL(s, n_bytes > 0);
	assert_int_equal(n_bytes, OUTCOME_WHO_MAX - 1 + EVIDENCE_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_domain_stays_with_its_delivery),
		T(a_job_goes_out_and_is_settled),
		T(nothing_goes_out_before_all_have_told),
		T(a_delivery_that_dies_gives_its_job_back),
		T(its_last_word_counts_though_it_died),
		T(what_an_earlier_queue_handed_out_is_not_sent_twice),
		T(a_result_may_come_before_the_job_is_known),
		T(a_result_that_was_stored_is_acknowledged),
		T(a_result_of_before_is_no_new_attempt),
		T(what_was_held_and_lost_is_given_to_another),
		T(a_result_is_kept_until_the_turn_of_its_job),
		T(a_result_of_what_was_removed_is_acknowledged),
		T(a_result_of_no_job_is_acknowledged),
		T(a_result_of_anothers_job_is_not_believed),
		T(only_the_recipients_of_the_job_are_settled),
		T(D8_failure_is_settled_with_its_notification),
		T(a_notification_demands_as_much_as_its_message),
		T(Q16_notification_that_cannot_be_made_is_tried_again),
		T(Q16_without_notification_it_has_not_failed),
		T(expired_fails_after_its_last_attempt),
		T(D10_corrupt_is_set_aside),
		T(who_is_leaving_is_given_nothing_new),
		T(a_job_that_could_not_begin_is_given_back),
		T(what_a_leaving_delivery_has_not_begun_goes_to_the_next),
		T(others_share_the_failure_of_a_site),
		T(a_waiver_goes_where_tls_has_failed),
		T(a_waiver_goes_where_the_connection_was_lost),
		T(C6_removed_while_it_is_out),
		T(after_the_end_nothing_goes_out),
		T(nonsense_from_a_delivery_changes_nothing),
		T(a_hostile_delivery_is_held_to_its_bounds),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
