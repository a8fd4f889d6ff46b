/*
 * HTTPS against a server of our own: what is asked, whom we trust, and how much of anything we take.
 * "mta-sts.web.test" is its name.
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

#include "play_resolver.h"
#include "play_web.h"
#include "relay/base/buffer.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/lookup/https.h"

#define HOST "mta-sts.web.test"
#define HERE HOST " A 127.0.0.1\n"

struct fixture {
	struct loop *loop;
	struct resolver *resolver;
	struct https *https;
	struct web *web;
	struct forged authority, stranger, leaf, other;
	const struct forged *chain[3];
	char directory[FORGE_PATH_MAX], ca_file[FORGE_PATH_MAX];
	struct config config;
	size_t n_waiting;
	bool is_starting;
	struct https_answer answer;
	char *content;
};

static struct fixture *fixture_start(const char *address, size_t at_once)
{
	struct fixture *f = mem_create(sizeof *f);
	const struct forged *authority[] = { &f->authority, NULL };
	char error[300] = "";

	signal(SIGPIPE, SIG_IGN);
	forge(&f->authority, (struct forge_wish){ .name = "Authority", .is_authority = true });
	forge(&f->stranger, (struct forge_wish){ .name = "Stranger", .is_authority = true });
	forge(&f->leaf, (struct forge_wish){
			    .name = HOST, .alternatives = "DNS:" HOST, .issuer = &f->authority });
	f->chain[0] = &f->leaf;
	forge_make_directory(f->directory);
	forge_write(f->directory, "ca", authority);
	forge_path(f->directory, "ca.pem", f->ca_file);
	f->config.delivery.ca_file = f->ca_file;
	f->config.delivery.allow_loopback = true;
	f->config.delivery.ipv4 = f->config.delivery.ipv6 = true;
	f->loop = loop_create();
	f->resolver = play_resolver_create(f->loop, HERE);
	f->web = web_start(address, f->chain);
	web_say_content(f->web, "hello");
	f->https = https_create(f->loop, &f->config, f->resolver, at_once, error, sizeof error);
	assert_string_equal(error, "");
	assert_non_null(f->https);
	https_set_timeout(f->https, 10000);
	return f;
}

static void fixture_finish(struct fixture *f)
{
	https_destroy(&f->https);
	assert_null(f->https);
	resolver_destroy(&f->resolver);
	web_stop(&f->web);
	loop_destroy(&f->loop);
	forged_finish(&f->authority);
	forged_finish(&f->stranger);
	forged_finish(&f->leaf);
	forged_finish(&f->other);
	forge_remove_directory(f->directory);
	free(f->content);
	free(f);
}

static void on_done(const struct https_answer *answer, void *arg)
{
	struct fixture *f = arg;

	assert_false(f->is_starting);
	f->answer = *answer;
	free(f->content);
	f->content = mem_copy(answer->content != NULL ? answer->content : "", answer->n_content);
	assert_true((answer->problem == HTTPS_OK) == (answer->why[0] == '\0'));
	f->n_waiting--;
}

static struct https_request *ask(struct fixture *f, const struct https_order *order)
{
	struct https_request *request;

	f->n_waiting++;
	f->is_starting = true;
	request = https_start(f->https, order, on_done, f);
	f->is_starting = false;
	return request;
}

static struct https_order get(struct fixture *f)
{
	return (struct https_order){
		.host = HOST, .port = web_port(f->web), .path = "/a/../b", .n_most = 1000
	};
}

static void wait_for_all(struct fixture *f)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (f->n_waiting > 0 && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_int_equal(f->n_waiting, 0);
}

static void fetch(struct fixture *f)
{
	struct https_order order = get(f);

	ask(f, &order);
	wait_for_all(f);
}

static void test_get(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "::1" };

	(void)state;
	for (size_t i = 0; i < 2; i++) {
		struct fixture *f = fixture_start(addresses[i], 1);
		char *said, *name, wanted[200];

		play_resolver_set(f->resolver, i == 0 ? HERE : HOST " AAAA ::1\n");
		/* A proxy of the environment is none of ours. */
		setenv("https_proxy", "http://127.0.0.1:1", 1);
		fetch(f);
		unsetenv("https_proxy");
		assert_string_equal(f->answer.why, "");
		assert_int_equal(f->answer.status, 200);
		assert_string_equal(f->answer.type, "text/plain");
		assert_string_equal(f->content, "hello");
		said = web_last_request(f->web);
		name = web_last_name(f->web);
		snprintf(wanted, sizeof wanted,
		    "GET /a/../b HTTP/1.1\r\nHost: " HOST ":%u\r\nUser-Agent: Zegel/" ZEGEL_VERSION
		    "\r\nAccept: */*\r\n\r\n",
		    web_port(f->web));
		assert_string_equal(said, wanted);
		assert_string_equal(name, HOST);
		free(said);
		free(name);
		fixture_finish(f);
	}
}

static void test_post(void **state)
{
	struct fixture *f = fixture_start("127.0.0.1", 1);
	struct https_order order = get(f);
	char *said;

	(void)state;
	order.n_most = 0;
	order.type = "application/tlsrpt+gzip";
	order.content = "{\"a\":\"\xc3\xa4\"}";
	order.n_content = 10;
	ask(f, &order);
	wait_for_all(f);
	/* The server had something to say; nobody listened. */
	assert_int_equal(f->answer.problem, HTTPS_OK);
	assert_int_equal(f->answer.status, 200);
	assert_int_equal(f->answer.n_content, 0);
	said = web_last_request(f->web);
	assert_int_equal(strncmp(said, "POST /a/../b HTTP/1.1\r\n", 23), 0);
	assert_non_null(strstr(said, "\r\nContent-Type: application/tlsrpt+gzip\r\n"));
	assert_non_null(strstr(said, "\r\nContent-Length: 10\r\n"));
	assert_null(strstr(said, "Expect:"));
	assert_string_equal(strstr(said, "\r\n\r\n") + 4, order.content);
	free(said);
	fixture_finish(f);
}

#define PLAIN "Content-Type: text/plain\r\n"

static void test_answers(void **state)
{
	static const struct {
		const char *name;
		enum web_trick trick;
		const char *words;
		enum https_problem problem;
		unsigned status;
		const char *type, *content;
	} table[] = {
		{ "no length, and a right end", WEB_ANSWERS,
		    "HTTP/1.1 200 OK\r\n" PLAIN "\r\nhello", HTTPS_OK, 200, "text/plain", "hello" },
		{ "in chunks", WEB_ANSWERS,
		    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n",
		    HTTPS_OK, 200, "", "hello" },
		{ "in chunks, and cut off behind them", WEB_CUTS,
		    "HTTP/1.1 200 OK\r\ntransfer-encoding: CHUNKED\r\n\r\n3\r\nhel\r\n0\r\n\r\n",
		    HTTPS_OK, 200, "", "hel" },
		{ "in chunks, and cut off within", WEB_CUTS,
		    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
		    HTTPS_FAILURE },
		{ "one byte at a time", WEB_DRIPS, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
		    HTTPS_OK, 200, "", "ok" },
		{ "a parameter", WEB_ANSWERS,
		    "HTTP/1.0 200 OK\r\nContent-Type: TEXT/plain; charset=\"utf-8\"\r\n\r\nx",
		    HTTPS_OK, 200, "TEXT/plain; charset=\"utf-8\"", "x" },
		{ "packed, though nobody asked for it", WEB_ANSWERS,
		    "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
		    HTTPS_OK, 200, "", "abc" },
		{ "a redirect is not followed", WEB_ANSWERS,
		    "HTTP/1.1 302 Found\r\nLocation: https://" HOST
		    "/c\r\nContent-Length: 0\r\n\r\n",
		    HTTPS_OK, 302, "", "" },
		{ "500", WEB_ANSWERS, "HTTP/1.1 500 No\r\nContent-Length: 1\r\n\r\nx", HTTPS_OK,
		    500, "", "x" },
		{ "nothing but a status", WEB_ANSWERS, "HTTP/1.1 204 None\r\n\r\n", HTTPS_OK, 204,
		    "", "" },
		{ "shorter than it says", WEB_ANSWERS,
		    "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello", HTTPS_FAILURE },
		{ "no length, and cut off", WEB_CUTS, "HTTP/1.1 200 OK\r\n" PLAIN "\r\nhello",
		    HTTPS_FAILURE },
		{ "no HTTP", WEB_ANSWERS, "220 mx.test ESMTP\r\n", HTTPS_FAILURE },
		{ "HTTP/0.9", WEB_ANSWERS, "hello", HTTPS_FAILURE },
		{ "nothing", WEB_ANSWERS, "", HTTPS_FAILURE },
		{ "no TLS", WEB_NO_TLS, "HTTP/1.1 200 OK\r\n\r\nhello", HTTPS_FAILURE },
		{ "TLS 1.1", WEB_TLS_1_1, "HTTP/1.1 200 OK\r\n\r\nhello", HTTPS_FAILURE },
	};
	struct fixture *f = fixture_start("127.0.0.1", 1);

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		web_say(f->web, table[i].trick, table[i].words, strlen(table[i].words));
		fetch(f);
		if (f->answer.problem != table[i].problem || f->answer.status != table[i].status ||
		    (table[i].problem == HTTPS_OK &&
			(strcmp(f->answer.type, table[i].type) != 0 ||
			    strcmp(f->content, table[i].content) != 0)))
			fail_msg("%s: problem %d (%s), status %u, \"%s\", \"%s\"", table[i].name,
			    (int)f->answer.problem, f->answer.why, f->answer.status, f->answer.type,
			    f->content);
	}
	fixture_finish(f);
}

/* T20: the name, the dates, the authority; a common name is no name. */
static void t20_certificates(void **state)
{
	static const struct {
		const char *name, *common, *alternatives;
		bool is_strange, has_expired;
		enum https_problem problem;
	} table[] = {
		{ "right", "x", "DNS:" HOST, false, false, HTTPS_OK },
		{ "a star", "x", "DNS:*.web.test", false, false, HTTPS_OK },
		{ "one of several", "x", "DNS:a.test,DNS:" HOST, false, false, HTTPS_OK },
		{ "another name", HOST, "DNS:a.test", false, false, HTTPS_CERTIFICATE },
		{ "the parent", HOST, "DNS:web.test", false, false, HTTPS_CERTIFICATE },
		{ "a star for two labels", HOST, "DNS:*.test", false, false, HTTPS_CERTIFICATE },
		{ "a child", HOST, "DNS:a." HOST, false, false, HTTPS_CERTIFICATE },
		{ "a star within a label", HOST, "DNS:m*.web.test", false, false,
		    HTTPS_CERTIFICATE },
		{ "a common name alone", HOST, NULL, false, false, HTTPS_CERTIFICATE },
		{ "a common name beside an address", HOST, "IP:127.0.0.1", false, false,
		    HTTPS_CERTIFICATE },
		{ "expired", HOST, "DNS:" HOST, false, true, HTTPS_CERTIFICATE },
		{ "of a stranger", HOST, "DNS:" HOST, true, false, HTTPS_CERTIFICATE },
	};
	struct fixture *f = fixture_start("127.0.0.1", 1);

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct forged leaf;
		const struct forged *chain[] = { &leaf, NULL };

		forge(&leaf, (struct forge_wish){ .name = table[i].common,
				 .alternatives = table[i].alternatives,
				 .has_expired = table[i].has_expired,
				 .issuer = table[i].is_strange ? &f->stranger : &f->authority });
		web_show(f->web, chain);
		fetch(f);
		if (f->answer.problem != table[i].problem)
			fail_msg("%s: problem %d (%s)", table[i].name, (int)f->answer.problem,
			    f->answer.why);
		web_show(f->web, f->chain);
		forged_finish(&leaf);
	}
	fixture_finish(f);
}

/* Exactly as much as was wanted, one byte more, and a header without end. */
static void t20_sizes(void **state)
{
	struct fixture *f = fixture_start("127.0.0.1", 1);
	struct buffer b;

	(void)state;
	buffer_init(&b, 1 << 20);
	buffer_print(&b, "HTTP/1.1 200 OK\r\n\r\n%01000d", 0);
	web_say(f->web, WEB_ANSWERS, b.bytes, b.n);
	fetch(f);
	assert_int_equal(f->answer.problem, HTTPS_OK);
	assert_int_equal(f->answer.n_content, 1000);
	buffer_add_text(&b, "0");
	web_say(f->web, WEB_ANSWERS, b.bytes, b.n);
	fetch(f);
	assert_int_equal(f->answer.problem, HTTPS_SIZE);
	assert_string_equal(f->answer.why, "the answer is longer than 1000 bytes");

	buffer_clear(&b);
	buffer_add_text(&b, "HTTP/1.1 200 OK\r\n");
	while (b.n <= HTTPS_HEADER_MAX)
		buffer_print(&b, "X-Filler: %0100d\r\n", 0);
	buffer_add_text(&b, "\r\nhello");
	web_say(f->web, WEB_ANSWERS, b.bytes, b.n);
	fetch(f);
	assert_int_equal(f->answer.problem, HTTPS_SIZE);
	buffer_finish(&b);
	fixture_finish(f);
}

/* T20: at each point where a server can stop. */
static void t20_slow(void **state)
{
	static const char words[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nabc";
	static const enum web_trick tricks[] = { WEB_SILENT, WEB_DRIPS, WEB_NO_SHAKE };
	struct fixture *f = fixture_start("127.0.0.1", 1);

	(void)state;
	https_set_timeout(f->https, 400);
	for (size_t i = 0; i < sizeof tricks / sizeof *tricks; i++) {
		int64_t before = clock_monotonic_ms();

		web_say(f->web, tricks[i], words, sizeof words - 1);
		fetch(f);
		assert_int_equal(f->answer.problem, HTTPS_TIME);
		assert_in_range(clock_monotonic_ms() - before, 390, 30000);
	}
	play_resolver_set(f->resolver, HOST " A SILENCE\n");
	fetch(f);
	assert_int_equal(f->answer.problem, HTTPS_TIME);
	fixture_finish(f);
}

static void test_addresses(void **state)
{
	static const struct {
		const char *name, *script;
		bool no_loopback, no_ipv6;
		enum https_problem problem;
		const char *why;
	} table[] = {
		{ "the first does not answer", HOST " A 127.1.2.3\n" HERE, false, false, HTTPS_OK,
		    "" },
		{ "the other family does not answer", HOST " AAAA ::1\n" HERE, false, false,
		    HTTPS_OK, "" },
		{ "the other family fails", HOST " AAAA ERROR\n" HERE, false, false, HTTPS_OK, "" },
		{ "none", "", false, false, HTTPS_ADDRESS, HOST " has no address" },
		{ "bogus", HOST " A BOGUS\n", false, false, HTTPS_BOGUS,
		    "the address of " HOST ": a signature is false" },
		{ "nobody answers there", HOST " A 127.1.2.3\n", false, false, HTTPS_FAILURE,
		    NULL },
		{ "loopback", HERE, true, false, HTTPS_ADDRESS,
		    HOST " has no address that may be connected to" },
		{ "this host", HOST " A 0.0.0.0\n" HOST " AAAA ::\n", true, false, HTTPS_ADDRESS,
		    NULL },
		{ "loopback in IPv6's clothes", HOST " AAAA ::ffff:127.0.0.1\n", true, false,
		    HTTPS_ADDRESS, NULL },
		{ "the link's own", HOST " A 169.254.169.254\n" HOST " AAAA fe80::1\n", false,
		    false, HTTPS_ADDRESS, NULL },
		{ "the link's own, in other clothes", HOST " AAAA ::ffff:169.254.169.254\n", false,
		    false, HTTPS_ADDRESS, NULL },
		{ "a private network", HOST " A 10.1.2.3\n" HOST " AAAA fd00::1\n", false, false,
		    HTTPS_ADDRESS,
		    HOST " is at a private address: if it is a host of yours, write delivery { "
			 "allow-private = on }" },
		{ "a private network, and not", HOST " A 192.168.1.1\n" HERE, false, false,
		    HTTPS_OK, "" },
		{ "many at once", HOST " A 224.0.0.1\n" HOST " AAAA ff02::1\n", false, false,
		    HTTPS_ADDRESS, NULL },
		{ "everybody", HOST " A 255.255.255.255\n", false, false, HTTPS_ADDRESS, NULL },
		{ "a family that is off", HOST " AAAA ::1\n", false, true, HTTPS_ADDRESS, NULL },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture *f = fixture_start("127.0.0.1", 1);
		char error[300];

		https_destroy(&f->https);
		f->config.delivery.allow_loopback = !table[i].no_loopback;
		f->config.delivery.ipv6 = !table[i].no_ipv6;
		f->https = https_create(f->loop, &f->config, f->resolver, 1, error, sizeof error);
		play_resolver_set(f->resolver, table[i].script);
		fetch(f);
		if (f->answer.problem != table[i].problem ||
		    (table[i].why != NULL && strcmp(table[i].why, f->answer.why) != 0))
			fail_msg("%s: problem %d (%s)", table[i].name, (int)f->answer.problem,
			    f->answer.why);
		fixture_finish(f);
	}
}

/* Two run, the others wait; who waits in vain is told so; who is cancelled makes room. */
static void test_at_once(void **state)
{
	struct fixture *f = fixture_start("127.0.0.1", 2);
	struct https_request *first, *last;
	struct https_order order = get(f);

	(void)state;
	play_resolver_set(f->resolver, HOST " A SILENCE\n");
	https_set_timeout(f->https, 300);
	first = ask(f, &order);
	ask(f, &order);
	last = ask(f, &order);
	ask(f, &order);
	assert_int_equal(play_resolver_count(f->resolver, HOST, "A"), 2);
	https_cancel(&last);
	assert_null(last);
	https_cancel(&first);
	assert_int_equal(play_resolver_count(f->resolver, HOST, "A"), 3);
	f->n_waiting -= 2;
	for (int i = 0; i < 2 + 2 * HTTPS_SLOW_TIMES; i++)
		ask(f, &order);
	https_set_timeout(f->https, 50);
	ask(f, &order);
	while (f->n_waiting == 2 + 2 + 2 * HTTPS_SLOW_TIMES + 1)
		loop_run_once(f->loop, true);
	assert_int_equal(f->answer.problem, HTTPS_BUSY);
	wait_for_all(f);
	assert_int_equal(f->answer.problem, HTTPS_TIME);

	play_resolver_set(f->resolver, HERE);
	https_set_timeout(f->https, 10000);
	for (int i = 0; i < 20; i++)
		ask(f, &order);
	wait_for_all(f);
	assert_int_equal(f->answer.problem, HTTPS_OK);
	assert_int_equal(web_n_requests(f->web), 20);
	/* What is under way at the end ends without a word. */
	for (int i = 0; i < 5; i++)
		ask(f, &order);
	for (int i = 0; i < 3; i++)
		loop_run_once(f->loop, true);
	f->n_waiting = 100;
	https_destroy(&f->https);
	assert_in_range(f->n_waiting, 95, 100);
	fixture_finish(f);
}

/* O7: servers that do not answer hold no place for long, and no more than so many of them run at once. */
static void O7_slow_servers_delay_nobody_else(void **state)
{
	struct fixture *f = fixture_start("127.0.0.1", 1);
	struct https_order order = get(f), other = order;
	int64_t before = clock_monotonic_ms();

	(void)state;
	other.host = "other.test";
	play_resolver_set(f->resolver, HOST " A SILENCE\n");
	https_set_timeout(f->https, 4000);
	ask(f, &order);
	ask(f, &order);
	ask(f, &other);
	while (f->n_waiting == 3)
		loop_run_once(f->loop, true);
	assert_int_equal(f->answer.problem, HTTPS_ADDRESS);
	assert_true(clock_monotonic_ms() - before < 2000);
	for (int i = 0; i < 4; i++)
		ask(f, &order);
	while (play_resolver_count(f->resolver, HOST, "A") < 1 + HTTPS_SLOW_TIMES)
		loop_run_once(f->loop, true);
	/* The last of them becomes slow too. */
	loop_run_once(f->loop, true);
	loop_run_once(f->loop, true);
	assert_true(clock_monotonic_ms() - before < 4000);
	assert_int_equal(play_resolver_count(f->resolver, HOST, "A"), 1 + HTTPS_SLOW_TIMES);
	wait_for_all(f);
	assert_int_equal(f->answer.problem, HTTPS_TIME);
	fixture_finish(f);
}

/* No file is opened after the start: trust was read, and is not read again. */
static void test_authorities(void **state)
{
	struct fixture *f = fixture_start("127.0.0.1", 1);
	char error[300];
	FILE *file;

	(void)state;
	assert_int_equal(remove(f->ca_file), 0);
	fetch(f);
	assert_int_equal(f->answer.problem, HTTPS_OK);
	assert_null(https_create(f->loop, &f->config, f->resolver, 1, error, sizeof error));
	assert_non_null(strstr(error, f->ca_file));
	file = fopen(f->ca_file, "w");
	fputs("no certificate\n", file);
	fclose(file);
	assert_null(https_create(f->loop, &f->config, f->resolver, 1, error, sizeof error));
	assert_non_null(strstr(error, "holds no certificate in PEM"));
	fixture_finish(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_get),
		cmocka_unit_test(test_post),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(t20_certificates),
		cmocka_unit_test(t20_sizes),
		cmocka_unit_test(t20_slow),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_at_once),
		cmocka_unit_test(O7_slow_servers_delay_nobody_else),
		cmocka_unit_test(test_authorities),
	};

	return cmocka_run_group_tests_name("https", tests, NULL, NULL);
}
