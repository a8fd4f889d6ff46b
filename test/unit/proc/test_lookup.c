/*
 * The lookup role between a queue and a delivery that the test plays, with a resolver and a web server
 * that it plays too.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/buffer.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/ipc/channel.h"
#include "relay/lookup/contract.h"
#include "relay/lookup/facts.h"
#include "relay/proc/role.h"
#include "test/unit/lookup/play_resolver.h"
#include "test/unit/lookup/play_web.h"

#define MAIL   "d.test MX secure 10 mx.d.test\nmx.d.test A secure 192.0.2.1\n"
#define WEB    "mta-sts.d.test A 127.0.0.1\nreports.test A 127.0.0.1\n"
#define RECORD "_mta-sts.d.test TXT v=STSv1; id=1;\n"
#define POLICY "version: STSv1\nmode: enforce\nmx: mx.d.test\nmax_age: 86400\n"

enum { SAID_MAX = 1 << 20 };

/* The other end of a channel to the role, and what it heard: a line for each message. */
struct end {
	struct channel *channel;
	struct buffer said;
};

struct fixture {
	struct house house;
	struct config config;
	void *self;
	struct resolver *resolver; /* the one the role made */
	struct end queue, delivery;
	struct web *web;
	struct forged authority, leaf;
	const struct forged *chain[2];
	char directory[FORGE_PATH_MAX], ca_file[FORGE_PATH_MAX];
	bool has_left;
	const char *script;
};

/* The role has nothing but the configuration to make it from, which is a fixture's own. */
struct resolver *resolver_create(
    struct loop *loop, const struct config *config, char *error, size_t room)
{
	struct fixture *f =
	    (struct fixture *)(void *)((char *)config - offsetof(struct fixture, config));

	(void)error, (void)room;
	f->resolver = play_resolver_create(loop, f->script);
	return f->resolver;
}

static void on_leave(void *arg)
{
	struct fixture *f = arg;

	f->has_left = true;
	loop_stop(f->house.loop);
}

static void wait_until_it_leaves(struct fixture *f)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (!f->has_left && clock_monotonic_ms() < until)
		loop_run_once(f->house.loop, true);
	assert_true(f->has_left);
}

static void print_facts(const struct facts *facts, struct buffer *out)
{
	buffer_print(out, " %s %zu hosts%s", facts->domain, facts->n_hosts,
	    facts->is_impaired ? " impaired" : "");
	if (facts->sts_asked)
		buffer_print(out, " sts=%s", facts->sts.has_policy ? facts->sts.id : "none");
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct end *end = arg;
	struct facts facts;

	(void)channel;
	buffer_print(&end->said, "%s", ipc_type_name(m->type));
	switch ((int)m->type) {
	case IPC_FACTS_SAY:
		assert_true(facts_decode(m->facts_say.facts.bytes, m->facts_say.facts.n, &facts));
		buffer_print(&end->said, " %llu", (unsigned long long)m->number);
		print_facts(&facts, &end->said);
		facts_finish(&facts);
		break;
	case IPC_POLICY_KEEP:
		buffer_print(&end->said, " %s '%s' %zu", m->policy_keep.domain, m->policy_keep.id,
		    strlen(m->policy_keep.policy));
		break;
	case IPC_RESOLVER:
		buffer_print(&end->said, " %s",
		    contract_state_name((enum contract_state)m->resolver_say.state));
		break;
	case IPC_TEXTS_SAY:
		buffer_print(&end->said, " %llu %s", (unsigned long long)m->number,
		    answer_status_name((enum answer_status)m->texts_say.status));
		for (size_t i = 0; i < m->texts_say.strings.n; i++)
			buffer_print(&end->said, " '%s'", m->texts_say.strings.items[i].text);
		break;
	case IPC_POST_SAY:
		buffer_print(&end->said, " %llu %d %s", (unsigned long long)m->number,
		    m->post_say.outcome.code, m->post_say.outcome.name);
		break;
	default: fail_msg("nobody should say %s", ipc_type_name(m->type));
	}
	buffer_add_text(&end->said, "\n");
}

static void on_closed(void *arg, struct channel *channel)
{
	struct end *end = arg;

	(void)channel;
	channel_destroy(&end->channel);
}

static void meet(struct fixture *f, enum role role, struct end *end)
{
	int pair[2];

	channel_destroy(&end->channel);
	assert_int_equal(channel_make_pair(pair), 0);
	end->channel = channel_create(f->house.loop, pair[0], on_message, on_closed, end);
	role_lookup.meet(f->self, role, channel_create(f->house.loop, pair[1], NULL, NULL, NULL));
}

static struct fixture *fixture_start(const char *script)
{
	struct fixture *f = mem_create(sizeof *f);
	const struct forged *authority[] = { &f->authority, NULL };

	signal(SIGPIPE, SIG_IGN);
	forge(&f->authority, (struct forge_wish){ .name = "Authority", .is_authority = true });
	forge(&f->leaf, (struct forge_wish){ .name = "x",
			    .alternatives = "DNS:mta-sts.d.test,DNS:reports.test",
			    .issuer = &f->authority });
	f->chain[0] = &f->leaf;
	forge_make_directory(f->directory);
	forge_write(f->directory, "ca", authority);
	forge_path(f->directory, "ca.pem", f->ca_file);
	f->web = web_start("127.0.0.1", f->chain);
	web_say_content(f->web, POLICY);
	f->script = script;
	f->config = (struct config){
		.spool = f->directory,
		.delivery = { .ca_file = f->ca_file,
		    .allow_loopback = true,
		    .ipv4 = true,
		    .mta_sts = true,
		    .mta_sts_port = web_port(f->web) },
		.tlsrpt = { .scope = TLSRPT_ALL },
	};
	f->house = (struct house){
		.config = &f->config, .loop = loop_create(), .leave = on_leave, .leave_arg = f
	};
	buffer_init(&f->queue.said, SAID_MAX);
	buffer_init(&f->delivery.said, SAID_MAX);
	return f;
}

static void begin(struct fixture *f)
{
	f->self = role_lookup.create(&f->house);
	assert_non_null(f->self);
	meet(f, ROLE_DELIVERY, &f->delivery);
}

static void fixture_finish(struct fixture *f)
{
	if (f->self != NULL)
		role_lookup.destroy(f->self);
	channel_destroy(&f->queue.channel);
	channel_destroy(&f->delivery.channel);
	buffer_finish(&f->queue.said);
	buffer_finish(&f->delivery.said);
	web_stop(&f->web);
	loop_destroy(&f->house.loop);
	forged_finish(&f->authority);
	forged_finish(&f->leaf);
	forge_remove_directory(f->directory);
	free(f);
}

/* Until the end has heard just this. */
static void hears(struct fixture *f, struct end *end, const char *wanted)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (end->said.n < strlen(wanted) && clock_monotonic_ms() < until)
		loop_run_once(f->house.loop, true);
	assert_string_equal(buffer_text(&end->said), wanted);
	buffer_clear(&end->said);
}

static void run_a_while(struct fixture *f)
{
	for (int i = 0; i < 200; i++)
		loop_run_once(f->house.loop, false);
}

static void ask_facts(struct fixture *f, struct end *end, uint64_t number, const char *domain,
    bool is_host, uint32_t port)
{
	struct ipc_message m = { .type = IPC_FACTS_ASK, .fd = -1 };

	(void)f;
	m.facts_ask = (struct ipc_facts_ask){ number, domain, is_host, port };
	channel_send(end->channel, &m);
}

static void give_policies(struct fixture *f, const char *domain, bool is_last)
{
	struct ipc_message m = { .type = IPC_POLICIES, .fd = -1 };
	int64_t now_s = clock_wall_s();
	ipc_policy policy = { domain, "7", POLICY, now_s, now_s + 86400 };

	m.policies_say.policies = (ipc_policy_list){ &policy, domain != NULL };
	m.policies_say.is_last = is_last;
	channel_send(f->queue.channel, &m);
}

static void post(struct fixture *f, uint64_t number, const char *url)
{
	struct ipc_message m = { .type = IPC_POST_ASK, .fd = -1 };

	m.post_ask =
	    (struct ipc_post_ask){ number, url, "application/tlsrpt+gzip", { "report", 6 } };
	channel_send(f->queue.channel, &m);
}

/* T22: what asks for MTA-STS waits until the queue has said what was kept; a host waits for nothing. */
static void t22_facts_wait_for_the_queue(void **state)
{
	struct fixture *f = fixture_start(MAIL WEB "_mta-sts.d.test TXT ERROR\n"
						   "_mta-sts.e.test TXT ERROR\n");

	(void)state;
	begin(f);
	ask_facts(f, &f->delivery, 1, "d.test", false, 25);
	ask_facts(f, &f->delivery, 2, "mx.d.test", true, 587);
	hears(f, &f->delivery, "FACTS_SAY 2 mx.d.test 1 hosts\n");
	ask_facts(f, &f->delivery, 3, "2001:db8::1", true, 25);
	hears(f, &f->delivery, "FACTS_SAY 3 2001:db8::1 1 hosts\n");
	meet(f, ROLE_QUEUE, &f->queue);
	hears(f, &f->queue, "RESOLVER not checked\n");
	give_policies(f, "d.test", false);
	give_policies(f, "e.test", false);
	run_a_while(f);
	assert_int_equal(f->delivery.said.n, 0);
	give_policies(f, NULL, true);
	hears(f, &f->delivery, "FACTS_SAY 1 d.test 1 hosts sts=7\n");
	fixture_finish(f);
}

/* What is fetched goes to the queue; to a new queue what it does not have. */
static void t22_policies_are_kept(void **state)
{
	struct fixture *f = fixture_start(MAIL WEB RECORD);

	(void)state;
	begin(f);
	meet(f, ROLE_QUEUE, &f->queue);
	give_policies(f, NULL, true);
	ask_facts(f, &f->delivery, 1, "d.test", false, 25);
	hears(f, &f->delivery, "FACTS_SAY 1 d.test 1 hosts sts=1\n");
	hears(f, &f->queue, "RESOLVER not checked\nPOLICY_KEEP d.test '1' 58\n");
	channel_destroy(&f->queue.channel);
	run_a_while(f);
	/* Without a queue nothing is lost either. */
	play_resolver_set(f->resolver, MAIL WEB "_mta-sts.d.test TXT v=STSv1; id=2;\n");
	ask_facts(f, &f->delivery, 2, "d.test", false, 25);
	hears(f, &f->delivery, "FACTS_SAY 2 d.test 1 hosts sts=2\n");
	meet(f, ROLE_QUEUE, &f->queue);
	give_policies(f, NULL, true);
	hears(f, &f->queue, "RESOLVER not checked\nPOLICY_KEEP d.test '2' 58\n");
	fixture_finish(f);
}

static void test_without_mta_sts(void **state)
{
	struct fixture *f = fixture_start(MAIL WEB RECORD);

	(void)state;
	f->config.delivery.mta_sts = false;
	f->config.tlsrpt.scope = TLSRPT_OFF;
	f->config.delivery.ca_file = NULL; /* then nobody asks for it */
	begin(f);
	ask_facts(f, &f->delivery, 1, "d.test", false, 25);
	hears(f, &f->delivery, "FACTS_SAY 1 d.test 1 hosts\n");
	assert_int_equal(play_resolver_count(f->resolver, "_mta-sts.d.test", "TXT"), 0);
	meet(f, ROLE_QUEUE, &f->queue);
	give_policies(f, "d.test", true);
	post(f, 5, "https://reports.test/");
	hears(f, &f->queue, "RESOLVER not checked\nPOST_SAY 5 450 post-off\n");
	fixture_finish(f);
}

static void test_texts(void **state)
{
	struct fixture *f = fixture_start("_smtp._tls.d.test TXT v=TLSRPTv1; rua=mailto:a@d.test\n"
					  "_smtp._tls.d.test TXT another\n"
					  "_smtp._tls.e.test TXT ERROR\n");
	static const char *const names[] = { "_smtp._tls.d.test", "_smtp._tls.e.test",
		"_smtp._tls.f.test", "no name" };
	struct ipc_message m = { .type = IPC_TEXTS_ASK, .fd = -1 };

	(void)state;
	begin(f);
	meet(f, ROLE_QUEUE, &f->queue);
	hears(f, &f->queue, "RESOLVER not checked\n");
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		m.texts_ask = (struct ipc_texts_ask){ 0, names[i] };
		channel_send(f->queue.channel, &m);
		run_a_while(f);
	}
	hears(f, &f->queue,
	    "TEXTS_SAY 0 ok 'v=TLSRPTv1; rua=mailto:a@d.test' 'another'\n"
	    "TEXTS_SAY 0 error\nTEXTS_SAY 0 no such name\n");
	/* Only a queue is answered. */
	m.texts_ask = (struct ipc_texts_ask){ 0, names[0] };
	channel_send(f->delivery.channel, &m);
	run_a_while(f);
	assert_int_equal(f->delivery.said.n, 0);
	fixture_finish(f);
}

/* RFC 8460 5.4: by POST; what the answer means for a report. */
static void test_posts(void **state)
{
	static const struct {
		const char *words, *says;
	} table[] = {
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", "250 " },
		{ "HTTP/1.1 201 Created\r\n\r\n", "250 " },
		{ "HTTP/1.1 204 None\r\n\r\n", "250 " },
		{ "HTTP/1.1 301 Moved\r\nLocation: https://reports.test/\r\n\r\n",
		    "451 post-failed" },
		{ "HTTP/1.1 400 No\r\n\r\n", "554 post-refused" },
		{ "HTTP/1.1 404 No\r\n\r\n", "554 post-refused" },
		{ "HTTP/1.1 429 Slower\r\n\r\n", "451 post-failed" },
		{ "HTTP/1.1 503 Later\r\n\r\n", "451 post-failed" },
		{ "no HTTP", "451 post-failed" },
	};
	struct fixture *f = fixture_start(WEB);
	char url[200], says[200];

	(void)state;
	begin(f);
	meet(f, ROLE_QUEUE, &f->queue);
	hears(f, &f->queue, "RESOLVER not checked\n");
	snprintf(url, sizeof url, "https://reports.test:%u/v1", web_port(f->web));
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		web_say(f->web, WEB_ANSWERS, table[i].words, strlen(table[i].words));
		post(f, i, url);
		snprintf(says, sizeof says, "POST_SAY %zu %s\n", i, table[i].says);
		hears(f, &f->queue, says);
	}
	assert_int_equal(web_n_requests(f->web), sizeof table / sizeof *table);
	post(f, 1, "http://reports.test/");
	hears(f, &f->queue, "POST_SAY 1 550 post-url\n");
	/* Its certificate has other names. */
	play_resolver_set(f->resolver, "other.test A 127.0.0.1\n");
	snprintf(url, sizeof url, "https://other.test:%u/", web_port(f->web));
	post(f, 2, url);
	hears(f, &f->queue, "POST_SAY 2 451 post-failed\n");
	assert_int_equal(web_n_requests(f->web), sizeof table / sizeof *table);
	fixture_finish(f);
}

/* N16: what it finds out about its resolver it says, and it asks another while DNSSEC does not work. */
static void n16_the_resolver(void **state)
{
	struct fixture *f = fixture_start(MAIL WEB "signed.test A secure 192.0.2.1\n");

	(void)state;
	f->config.dns_check = (struct config_dns_check){ (char *)"signed.test", (char *)"",
		(char *)"", 100, 3600000 };
	begin(f);
	meet(f, ROLE_QUEUE, &f->queue);
	give_policies(f, NULL, true);
	hears(f, &f->queue, "RESOLVER unknown\nRESOLVER validates\n");
	play_resolver_set(f->resolver, MAIL WEB "signed.test A BOGUS\n");
	hears(f, &f->queue, "RESOLVER validates\nRESOLVER validates\nRESOLVER broken\n");
	ask_facts(f, &f->delivery, 1, "d.test", false, 25);
	hears(f, &f->delivery, "FACTS_SAY 1 d.test 1 hosts sts=none\n");
	play_resolver_set(f->resolver, MAIL WEB "signed.test A 192.0.2.1\n");
	hears(f, &f->queue, "RESOLVER impaired\n");
	ask_facts(f, &f->delivery, 2, "d.test", false, 25);
	hears(f, &f->delivery, "FACTS_SAY 2 d.test 1 hosts impaired sts=none\n");
	/* One that comes in the middle hears it at once. */
	meet(f, ROLE_QUEUE, &f->queue);
	hears(f, &f->queue, "RESOLVER impaired\n");
	fixture_finish(f);
}

/* What is nobody's question, or no question, is passed over. */
static void test_nonsense(void **state)
{
	struct fixture *f = fixture_start(MAIL);

	(void)state;
	begin(f);
	ask_facts(f, &f->delivery, 1, "no domain", false, 25);
	ask_facts(f, &f->delivery, 2, "2001:db8::1", false, 25);
	ask_facts(f, &f->delivery, 3, "d.test", true, 0);
	ask_facts(f, &f->delivery, 4, "d.test", true, 65536);
	ask_facts(f, &f->delivery, 5, "mx.d.test", true, 25);
	hears(f, &f->delivery, "FACTS_SAY 5 mx.d.test 1 hosts\n");
	fixture_finish(f);
}

/* A delivery that asks without end is not answered without end, and others are. */
static void test_too_many_questions(void **state)
{
	struct fixture *f = fixture_start(MAIL "slow.test MX SILENCE\n");
	struct ipc_message m = { .type = IPC_FACTS_ASK, .fd = -1 };

	(void)state;
	f->config.delivery.connections = 100;
	f->config.delivery.mta_sts = false;
	f->config.tlsrpt.scope = TLSRPT_OFF;
	begin(f);
	for (uint64_t i = 0; i < 5000; i++) {
		m.facts_ask = (struct ipc_facts_ask){ i, "slow.test", 0, 25 };
		channel_send(f->delivery.channel, &m);
		if (i % 100 == 0)
			run_a_while(f);
	}
	run_a_while(f);
	assert_int_equal(play_resolver_count(f->resolver, "slow.test", "MX"), 1000);
	meet(f, ROLE_DELIVERY, &f->queue); /* another */
	ask_facts(f, &f->queue, 7, "d.test", false, 25);
	hears(f, &f->queue, "FACTS_SAY 7 d.test 1 hosts\n");
	fixture_finish(f);
}

/* It leaves at once, or when what was being posted has gone; and it can end at any time. */
static void test_drain(void **state)
{
	struct fixture *f = fixture_start(WEB "d.test MX SILENCE\n");
	char url[200];

	(void)state;
	begin(f);
	meet(f, ROLE_QUEUE, &f->queue);
	ask_facts(f, &f->delivery, 1, "d.test", false, 25);
	web_say(f->web, WEB_SILENT, "", 0);
	snprintf(url, sizeof url, "https://reports.test:%u/", web_port(f->web));
	post(f, 1, url);
	while (web_n_requests(f->web) == 0)
		loop_run_once(f->house.loop, true);
	role_lookup.drain(f->self, DRAIN_FINISH);
	run_a_while(f);
	assert_false(f->has_left);
	role_lookup.drain(f->self, DRAIN_NOW);
	wait_until_it_leaves(f);
	/* Who asked is gone, and with it the last thing to wait for. */
	f->has_left = false;
	channel_destroy(&f->queue.channel);
	wait_until_it_leaves(f);
	fixture_finish(f);

	f = fixture_start(WEB);
	begin(f);
	role_lookup.drain(f->self, DRAIN_FINISH);
	wait_until_it_leaves(f);
	fixture_finish(f);
}

/* What became of the last post is heard, though the role ends with it: otherwise it went twice. */
static void test_last_words(void **state)
{
	struct fixture *f = fixture_start(WEB);
	char url[200];

	(void)state;
	begin(f);
	meet(f, ROLE_QUEUE, &f->queue);
	hears(f, &f->queue, "RESOLVER not checked\n");
	web_say(f->web, WEB_ANSWERS, "HTTP/1.1 204 None\r\n\r\n", 21);
	snprintf(url, sizeof url, "https://reports.test:%u/", web_port(f->web));
	post(f, 1, url);
	while (web_n_requests(f->web) == 0)
		loop_run_once(f->house.loop, true);
	role_lookup.drain(f->self, DRAIN_FINISH);
	wait_until_it_leaves(f);
	role_lookup.destroy(f->self);
	f->self = NULL;
	hears(f, &f->queue, "POST_SAY 1 250 \n");
	fixture_finish(f);
}

static void test_no_authorities(void **state)
{
	struct fixture *f = fixture_start(WEB);

	(void)state;
	assert_int_equal(remove(f->ca_file), 0);
	assert_null(role_lookup.create(&f->house));
	f->config.delivery.mta_sts = false;
	assert_null(role_lookup.create(&f->house));
	fixture_finish(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t22_facts_wait_for_the_queue),
		cmocka_unit_test(t22_policies_are_kept),
		cmocka_unit_test(test_without_mta_sts),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_posts),
		cmocka_unit_test(n16_the_resolver),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_too_many_questions),
		cmocka_unit_test(test_drain),
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_no_authorities),
	};

	return cmocka_run_group_tests_name("lookup role", tests, NULL, NULL);
}
