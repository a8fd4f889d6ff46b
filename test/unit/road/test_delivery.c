/*
 * The delivery role between a queue and a lookup that the test plays: a job comes, its result is
 * kept until a queue has it on disk, over the death of one.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/evidence.h"
#include "relay/lookup/facts.h"
#include "relay/message_wire.h"
#include "relay/proc/role.h"
#include "relay/schedule.h"
#include "sample_message.h"
#include "scripted_peer.h"

enum { HEARD_MAX = 8, PATIENCE_MS = 60000 };

#define LINES(...)   ((const char *const[]){ __VA_ARGS__, NULL })
#define SCRIPTS(...) ((const char *const *const[]){ __VA_ARGS__, NULL })

/* A queue, and what it has heard. */
struct queue {
	struct channel *channel;
	enum ipc_type heard[HEARD_MAX];
	size_t n_heard;
	size_t n_held;
	uint8_t feedback, state;
	uint32_t place;
	size_t n_results;
	size_t n_counts;
	char counted[200];
	char host[OUTCOME_WHO_MAX], evidence[EVIDENCE_MAX], text[OUTCOME_TEXT_MAX];
};

struct act {
	struct house house;
	struct config config;
	struct peer *peer;
	struct message message;
	int fd;
	void *role;
	struct channel *lookup;
	struct queue queue;
	bool has_left;
};

/* ---- the neighbours ---- */

static void on_lookup(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct facts_host host = { .name = "mx.example",
		.preference = 10,
		.kind = MX_HOST,
		.ipv4 = { ANSWER_OK, SECURITY_INSECURE, "" },
		.ipv6 = { ANSWER_NODATA, SECURITY_INSECURE, "" },
		.addresses = { { 4, { 127, 0, 0, 1 } } },
		.n_addresses = 1,
		.expanded = "mx.example",
		.tlsa = { ANSWER_NOT_ASKED, SECURITY_INSECURE, "" } };
	const struct facts facts = { .domain = "example.net",
		.mx = { ANSWER_OK, SECURITY_INSECURE, "" },
		.expanded = "example.net",
		.hosts = &host,
		.n_hosts = 1,
		.ttl_s = 60 };
	struct ipc_message answer = { .type = IPC_FACTS_SAY, .fd = -1, .number = m->number };
	struct buffer encoded;

	(void)arg;
	assert_int_equal(m->type, IPC_FACTS_ASK);
	assert_string_equal(m->facts_ask.domain, "example.net");
	buffer_init(&encoded, FACTS_ENCODED_MAX);
	facts_encode(&facts, &encoded);
	answer.facts_say.facts = (struct slice){ encoded.bytes, encoded.n };
	channel_send(channel, &answer);
	buffer_finish(&encoded);
}

static void on_queue(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct queue *queue = arg;

	(void)channel;
	if (m->type != IPC_COUNTS) {
		assert_true(queue->n_heard < HEARD_MAX);
		queue->heard[queue->n_heard++] = m->type;
	}
	if (m->type == IPC_HELD)
		queue->n_held = m->held_jobs.jobs.n;
	for (size_t i = 0; m->type == IPC_COUNTS && i < m->counts_say.counts.n; i++) {
		const ipc_count *count = &m->counts_say.counts.items[i];

		queue->n_counts++;
		snprintf(queue->counted, sizeof queue->counted, "%u %u %s %s %s %s %s", count->type,
		    count->result, count->report_domain, count->domain, count->mx, count->address,
		    count->reason);
	}
	if (m->type != IPC_RESULT)
		return;
	queue->feedback = m->result_say.feedback;
	queue->n_results = m->result_say.results.n;
	snprintf(queue->host, sizeof queue->host, "%s", m->result_say.host);
	snprintf(queue->evidence, sizeof queue->evidence, "%s", m->result_say.evidence);
	if (queue->n_results == 0)
		return;
	queue->place = m->result_say.results.items[0].recipient;
	queue->state = m->result_say.results.items[0].state;
	snprintf(
	    queue->text, sizeof queue->text, "%s", m->result_say.results.items[0].outcome.text);
}

static void on_closed(void *arg, struct channel *channel)
{
	(void)arg, (void)channel;
}

static void on_leave(void *arg)
{
	struct act *act = arg;

	act->has_left = true;
}

static struct channel *introduce(
    struct act *act, enum role role, channel_message *message, void *arg)
{
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	role_delivery.meet(
	    act->role, role, channel_create(act->house.loop, ends[0], NULL, NULL, NULL));
	return channel_create(act->house.loop, ends[1], message, on_closed, arg);
}

static void new_queue(struct act *act)
{
	channel_destroy(&act->queue.channel);
	act->queue = (struct queue){ 0 };
	act->queue.channel = introduce(act, ROLE_QUEUE, on_queue, &act->queue);
}

/* ---- the stage ---- */

static void set_stage(struct act *act, const char *const *const *scripts)
{
	*act = (struct act){ 0 };
	act->house = (struct house){
		.config = &act->config, .loop = loop_create(), .leave = on_leave, .leave_arg = act
	};
	act->peer = peer_listen(act->house.loop, NULL, scripts);
	act->config.hostname = (char *)(uintptr_t) "relay.example.org";
	act->config.delivery = (struct config_delivery){ .port = peer_port(act->peer),
		.ca_file = (char *)(uintptr_t) "/etc/ssl/certs/ca-certificates.crt",
		.tls = TLS_DANE,
		.allow_loopback = true,
		.ipv4 = true,
		.connect_timeout = 5,
		.recipients = 100 };
	act->fd = sample_message_make(&act->message, "Subject: x\r\n\r\n", "hello\r\n", 1);
	act->role = role_delivery.create(&act->house);
	assert_non_null(act->role);
	act->lookup = introduce(act, ROLE_LOOKUP, on_lookup, act);
	new_queue(act);
}

static void clear_stage(struct act *act)
{
	role_delivery.destroy(act->role);
	channel_destroy(&act->lookup);
	channel_destroy(&act->queue.channel);
	peer_destroy(&act->peer);
	for (int i = 0; i < 20; i++)
		loop_run_once(act->house.loop, false);
	message_finish(&act->message);
	close(act->fd);
	loop_destroy(&act->house.loop);
}

static void deliver(struct act *act, int fd)
{
	const uint32_t place = 7;
	struct ipc_message m = { .type = IPC_DELIVER,
		.fd = fd,
		.deliver = { .id = act->message.id, .domain = "example.net" } };
	struct buffer mail;

	buffer_init(&mail, MESSAGE_WIRE_MAX);
	message_encode_job(&act->message, &place, &mail);
	m.deliver.mail = (struct slice){ mail.bytes, mail.n };
	channel_send(act->queue.channel, &m);
	buffer_finish(&mail);
}

static void say_kept(struct act *act)
{
	const struct ipc_message m = {
		.type = IPC_RESULT_KEPT, .fd = -1, .result_kept = { act->message.id, "example.net" }
	};

	channel_send(act->queue.channel, &m);
}

static void run_until_heard(struct act *act, size_t n)
{
	int64_t end_ms = clock_monotonic_ms() + PATIENCE_MS;

	while (act->queue.n_heard < n && clock_monotonic_ms() < end_ms)
		loop_run_once(act->house.loop, false);
	assert_int_equal(act->queue.n_heard, n);
}

static void run_a_while(struct act *act)
{
	for (int i = 0; i < 50; i++)
		loop_run_once(act->house.loop, false);
}

static const char *const takes[] = { "> 220 hi", "= EHLO relay.example.org", "> 250 mx", "< MAIL",
	"> 250 ok", "< RCPT", "> 250 ok", "= DATA", "> 354 go", "*", "> 250 queued", "= QUIT",
	"> 221 bye", "!", NULL };

static void test_job_comes_and_goes(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, SCRIPTS(takes));
	deliver(&act, act.fd);
	run_until_heard(&act, 2);
	assert_int_equal(act.queue.heard[0], IPC_HELD);
	assert_int_equal(act.queue.n_held, 0);
	assert_int_equal(act.queue.heard[1], IPC_RESULT);
	assert_int_equal(act.queue.feedback, SCHEDULE_SITE_ANSWERED);
	assert_int_equal(act.queue.n_results, 1);
	assert_int_equal(act.queue.place, 7);
	assert_int_equal(act.queue.state, RECIPIENT_DELIVERED);
	assert_string_equal(act.queue.text, "queued");
	assert_int_equal(strncmp(act.queue.host, "mx.example[127.0.0.1]:", 22), 0);
	assert_string_equal(
	    act.queue.evidence, "required=may by=default achieved=none host=mx.example");
	say_kept(&act);
	run_a_while(&act);
	new_queue(&act);
	run_until_heard(&act, 1);
	assert_int_equal(act.queue.n_held, 0);
	clear_stage(&act);
}

/* D7: the result outlives the queue that asked for it, and is sent once over SMTP all the same. */
static void test_result_outlives_a_queue(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, SCRIPTS(takes));
	deliver(&act, act.fd);
	run_until_heard(&act, 2);
	new_queue(&act);
	run_until_heard(&act, 2);
	assert_int_equal(act.queue.heard[0], IPC_HELD);
	assert_int_equal(act.queue.n_held, 1);
	assert_int_equal(act.queue.heard[1], IPC_RESULT);
	assert_int_equal(act.queue.state, RECIPIENT_DELIVERED);
	deliver(&act, act.fd); /* a queue that asks again hears it again */
	run_until_heard(&act, 3);
	assert_int_equal(act.queue.heard[2], IPC_RESULT);
	assert_null(
	    strstr(peer_problem(act.peer) != NULL ? peer_problem(act.peer) : "", "too many"));
	clear_stage(&act);
}

static void test_drain_waits_for_the_disk(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, SCRIPTS(takes));
	deliver(&act, act.fd);
	run_a_while(&act);
	role_delivery.drain(act.role, DRAIN_FINISH);
	assert_false(act.has_left);
	run_until_heard(&act, 2);
	run_a_while(&act);
	assert_false(act.has_left);
	say_kept(&act);
	run_a_while(&act);
	assert_true(act.has_left);
	clear_stage(&act);
}

static void test_idle_or_hurried_it_leaves_at_once(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, SCRIPTS(LINES("~")));
	role_delivery.drain(act.role, DRAIN_SOON);
	assert_true(act.has_left);
	act.has_left = false;
	deliver(&act, act.fd);
	run_a_while(&act);
	role_delivery.drain(act.role, DRAIN_SOON);
	assert_false(act.has_left);
	role_delivery.drain(act.role, DRAIN_NOW);
	assert_true(act.has_left);
	clear_stage(&act);
}

/* Nothing can be said of recipients that were not told: the queue gives it to another. */
static void test_job_without_a_descriptor(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, SCRIPTS(LINES("~")));
	deliver(&act, -1);
	run_until_heard(&act, 2);
	assert_int_equal(act.queue.heard[1], IPC_RESULT);
	assert_int_equal(act.queue.n_results, 0);
	assert_int_equal(act.queue.feedback, SCHEDULE_NOT_TRIED);
	clear_stage(&act);
}

/* A plaintext session, told once; of our own reports nothing is, and nothing if nobody reports. */
static void test_counts(void **state)
{
	static const struct {
		bool is_report, is_waived;
		size_t n;
	} rows[] = { { false, false, 1 }, { true, false, 0 }, { false, true, 0 } };

	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct act act;

		set_stage(&act, SCRIPTS(takes));
		act.message.is_report = rows[i].is_report;
		act.message.tls_optional = rows[i].is_waived;
		deliver(&act, act.fd);
		run_until_heard(&act, 2);
		assert_int_equal(act.queue.heard[1], IPC_RESULT);
		run_a_while(&act);
		assert_int_equal(act.queue.n_counts, rows[i].n);
		if (rows[i].n > 0)
			assert_string_equal(act.queue.counted,
			    "2 1 example.net example.net mx.example 127.0.0.1 starttls-missing");
		clear_stage(&act);
	}
}

/* It goes when its receivers have been told QUIT, and no sooner. */
static void test_drain_parts_with_receivers(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, SCRIPTS(takes));
	act.config.delivery.idle_connections = 5;
	act.config.delivery.idle_timeout = 60;
	act.config.delivery.connection_age = act.config.delivery.connection_messages = 100;
	deliver(&act, act.fd);
	run_until_heard(&act, 2);
	say_kept(&act);
	run_a_while(&act);
	assert_string_equal(peer_problem(act.peer), "connection 1 never came to \"= QUIT\"");
	role_delivery.drain(act.role, DRAIN_FINISH);
	assert_false(act.has_left);
	run_a_while(&act);
	assert_null(peer_problem(act.peer));
	assert_true(act.has_left);
	clear_stage(&act);
}

/*
 * What another configuration demands this one does not know: until content is said, wherever it is
 * at, it begins nothing more, and the job is another's.
 */
static void test_what_is_not_begun_is_left_to_others(void **state)
{
	const struct {
		const char *name;
		const char *const *script;
		bool goes_on;
	} cases[] = {
		{ "no banner yet", LINES("~"), false },
		{ "EHLO", LINES("> 220 hi", "= EHLO relay.example.org", "~"), false },
		{ "MAIL", LINES("> 220 hi", "= EHLO relay.example.org", "> 250 mx", "< MAIL", "~"),
		    false },
		{ "DATA",
		    LINES("> 220 hi", "= EHLO relay.example.org", "> 250 mx", "< MAIL", "> 250 ok",
			"< RCPT", "> 250 ok", "= DATA", "~"),
		    false },
		{ "content",
		    LINES("> 220 hi", "= EHLO relay.example.org", "> 250 mx", "< MAIL", "> 250 ok",
			"< RCPT", "> 250 ok", "= DATA", "> 354 go", "*", "~"),
		    true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const size_t heard = cases[i].goes_on ? 2 : 3;
		struct act act;

		set_stage(&act, SCRIPTS(cases[i].script));
		deliver(&act, act.fd);
		for (int turn = 0; turn < 2000; turn++)
			loop_run_once(act.house.loop, false);
		role_delivery.drain(act.role, DRAIN_FINISH);
		run_until_heard(&act, heard);
		run_a_while(&act);
		assert_int_equal(act.queue.heard[1], IPC_LEAVING);
		if (act.queue.n_heard != heard)
			fail_msg("%s: it was told %zu things", cases[i].name, act.queue.n_heard);
		assert_false(act.has_left);
		if (!cases[i].goes_on) {
			assert_int_equal(act.queue.heard[2], IPC_RESULT);
			assert_int_equal(act.queue.n_results, 0);
			assert_int_equal(act.queue.feedback, SCHEDULE_NOT_TRIED);
			/* Nor is what was on its way begun. */
			act.message.id[0] ^= 1;
			deliver(&act, act.fd);
			run_until_heard(&act, 4);
			assert_int_equal(act.queue.heard[3], IPC_RESULT);
			assert_int_equal(act.queue.n_results, 0);
			act.message.id[0] ^= 1;
			say_kept(&act);
			run_a_while(&act);
			assert_true(act.has_left);
		}
		clear_stage(&act);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_job_comes_and_goes),
		cmocka_unit_test(test_result_outlives_a_queue),
		cmocka_unit_test(test_drain_waits_for_the_disk),
		cmocka_unit_test(test_idle_or_hurried_it_leaves_at_once),
		cmocka_unit_test(test_job_without_a_descriptor),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_drain_parts_with_receivers),
		cmocka_unit_test(test_what_is_not_begun_is_left_to_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
