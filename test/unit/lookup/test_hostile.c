/*
 * What the owner of a domain, or somebody on the way to it, may try with its policy host: lifetimes of
 * a second, addresses that lead elsewhere, answers whose end is hidden.
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
#include "relay/lookup/sts.h"
#include "relay/lookup/sts_cache.h"

#define HOST "mta-sts.d.test"
#define HERE HOST " A 127.0.0.1\n"

struct fixture {
	struct loop *loop;
	struct resolver *resolver;
	struct web *web;
	struct forged authority, leaf;
	const struct forged *chain[2];
	char directory[FORGE_PATH_MAX], ca_file[FORGE_PATH_MAX];
	struct config config;
	struct https *https;
	struct sts *sts;
	bool is_done, is_forgotten;
	enum https_problem problem;
	char why[HTTPS_WHY_MAX];
	char mode[16];
};

static int set_up(void **state)
{
	struct fixture *f = mem_create(sizeof *f);
	const struct forged *authority[] = { &f->authority, NULL };

	signal(SIGPIPE, SIG_IGN);
	forge(&f->authority, (struct forge_wish){ .name = "Authority", .is_authority = true });
	forge(&f->leaf, (struct forge_wish){
			    .name = HOST, .alternatives = "DNS:" HOST, .issuer = &f->authority });
	f->chain[0] = &f->leaf;
	forge_make_directory(f->directory);
	forge_write(f->directory, "ca", authority);
	forge_path(f->directory, "ca.pem", f->ca_file);
	f->loop = loop_create();
	f->resolver = play_resolver_create(f->loop, HERE "_mta-sts.d.test TXT v=STSv1; id=1;\n");
	f->web = web_start("127.0.0.1", f->chain);
	f->config.delivery.ca_file = f->ca_file;
	f->config.delivery.ipv4 = f->config.delivery.ipv6 = true;
	f->config.delivery.allow_loopback = true;
	f->config.delivery.mta_sts_port = web_port(f->web);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	https_destroy(&f->https);
	sts_destroy(&f->sts);
	resolver_destroy(&f->resolver);
	web_stop(&f->web);
	loop_destroy(&f->loop);
	forged_finish(&f->authority);
	forged_finish(&f->leaf);
	forge_remove_directory(f->directory);
	free(f);
	return 0;
}

static void wait_for(struct fixture *f, const bool *flag)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (!*flag && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_true(*flag);
}

static void on_answer(const struct https_answer *answer, void *arg)
{
	struct fixture *f = arg;

	f->problem = answer->problem;
	strcpy(f->why, answer->why);
	f->is_done = true;
}

static void fetch(struct fixture *f)
{
	char error[300];

	https_destroy(&f->https);
	f->https = https_create(f->loop, &f->config, f->resolver, 1, error, sizeof error);
	assert_non_null(f->https);
	https_set_timeout(f->https, 5000);
	f->is_done = false;
	https_start(f->https,
	    &(struct https_order){
		.host = HOST, .port = web_port(f->web), .path = "/", .n_most = 1000 },
	    on_answer, f);
	wait_for(f, &f->is_done);
}

/* Of the link's own addresses, of many, of everybody: IPv6 that is IPv4 is no way around. */
static void T20_addresses_in_other_clothes(void **state)
{
	static const char *const scripts[] = { HOST " AAAA ::ffff:169.254.169.254\n",
		HOST " AAAA ::ffff:224.0.0.1\n", HOST " AAAA ::ffff:255.255.255.255\n" };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) {
		play_resolver_set(f->resolver, scripts[i]);
		fetch(f);
		assert_int_equal(f->problem, HTTPS_ADDRESS);
		assert_string_equal(f->why, HOST " has no address that may be connected to");
	}
	/* What may be connected to may be so written. */
	play_resolver_set(f->resolver, HOST " AAAA ::ffff:127.0.0.1\n");
	web_say_content(f->web, "hello");
	fetch(f);
	assert_int_equal(f->problem, HTTPS_OK);
}

/* Without the end of TLS only what says its own length is whole, however that is spelt. */
static void T20_the_end_of_an_answer(void **state)
{
	static const struct {
		const char *words;
		enum https_problem problem;
	} table[] = {
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		    HTTPS_OK },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding:chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
		    HTTPS_OK },
		{ "HTTP/1.1 200 OK\r\ntransfer-encoding: \t Chunked \r\n\r\n2\r\nok\r\n0\r\n\r\n",
		    HTTPS_OK },
		{ "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n2\r\nok\r\n0\r\n\r\n", HTTPS_OK },
		{ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n",
		    HTTPS_FAILURE },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok", HTTPS_OK },
		{ "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok", HTTPS_FAILURE },
		{ "HTTP/1.1 200 OK\r\n\r\nok", HTTPS_FAILURE },
		{ "HTTP/1.1 200 OK\r\nX-Transfer-Encoding: chunked\r\n\r\nok", HTTPS_FAILURE },
		/* What an interim answer says of itself is not said of the last one. */
		{ "HTTP/1.1 103 Soon\r\nTransfer-Encoding: chunked\r\n\r\n"
		  "HTTP/1.1 200 OK\r\n\r\nok",
		    HTTPS_FAILURE },
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		web_say(f->web, WEB_CUTS, table[i].words, strlen(table[i].words));
		fetch(f);
		if (f->problem != table[i].problem)
			fail_msg("%zu: problem %d (%s)", i, (int)f->problem, f->why);
	}
}

static void on_keep(void *arg, const struct sts_kept *kept)
{
	struct fixture *f = arg;

	f->is_forgotten = *kept->policy == '\0';
}

static void on_found(const struct sts_finding *finding, void *arg)
{
	struct fixture *f = arg;

	strcpy(f->mode, finding->has_policy ? sts_mode_name(finding->policy.mode) : "");
	f->is_done = true;
}

/* A policy that lives for seconds is left to end: one mail does not make a fetch each second. */
static void T22_a_short_life_is_no_reason_to_ask_without_end(void **state)
{
	struct fixture *f = *state;
	char error[300];

	for (int life_s = 1; life_s <= 3; life_s++) {
		char *policy =
		    mem_print("version: STSv1\nmode: enforce\nmx: a.test\nmax_age: %d\n", life_s);

		web_say_content(f->web, policy);
		free(policy);
		sts_destroy(&f->sts);
		f->sts = sts_create(
		    f->loop, &f->config, f->resolver, true, on_keep, f, error, sizeof error);
		assert_non_null(f->sts);
		sts_set_grace(f->sts, 0);
		f->is_done = false;
		sts_ask(f->sts, "d.test", on_found, f);
		wait_for(f, &f->is_done);
		assert_string_equal(f->mode, "enforce");
		wait_for(f, &f->is_forgotten);
		f->is_forgotten = false;
		assert_int_equal(web_n_requests(f->web), life_s);
	}
}

static void keep_in(struct sts_cache *cache, const char *name, const char *text)
{
	struct sts_policy policy;
	char why[STS_WHY_MAX];

	assert_true(sts_policy_read(text, strlen(text), &policy, why, sizeof why));
	sts_cache_keep(cache, sts_cache_use(cache, name, 0), &policy,
	    &(struct sts_kept){ .domain = name, .id = "1", .policy = text, .expires_s = 100 }, 0);
}

/* A few hundred domains with policies as long as they may be push out each other, and nobody else. */
static void T22_long_policies_do_not_push_out_short_ones(void **state)
{
	enum { N_SHORT = 10, N_LONG = STS_BYTES_MAX / STS_POLICY_MAX + 10 };
	static const char text[] = "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 100\n";
	char *filled = mem_create(STS_POLICY_MAX + 1), name[32];
	struct sts_domain *surplus;
	struct sts_cache cache;
	size_t n_dropped = 0;

	(void)state;
	memset(filled, '\n', STS_POLICY_MAX);
	memcpy(filled, text, sizeof text - 1);
	sts_cache_init(&cache);
	for (int i = 0; i < N_SHORT; i++) {
		snprintf(name, sizeof name, "short%d.test", i);
		keep_in(&cache, name, text);
	}
	/* What is remembered without a policy takes none of that room. */
	sts_cache_use(&cache, "failed.test", 0);
	for (int i = 0; i < N_LONG; i++) {
		snprintf(name, sizeof name, "long%d.test", i);
		keep_in(&cache, name, filled);
		while ((surplus = sts_cache_surplus(&cache)) != NULL) {
			/* The longest unused of them. */
			snprintf(name, sizeof name, "long%zu.test", n_dropped++);
			assert_string_equal(surplus->name, name);
			sts_cache_drop(&cache, &surplus);
		}
	}
	assert_in_range(n_dropped, 10, 12);
	assert_int_equal(cache.domains.n, N_SHORT + 1 + N_LONG - n_dropped);
	sts_cache_finish(&cache);
	free(filled);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(T20_addresses_in_other_clothes),
		CASE(T20_the_end_of_an_answer),
		CASE(T22_long_policies_do_not_push_out_short_ones),
		CASE(T22_a_short_life_is_no_reason_to_ask_without_end),
	};

	return cmocka_run_group_tests_name("hostile policy hosts", tests, NULL, NULL);
}
