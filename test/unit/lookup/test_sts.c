/*
 * The policies of "d.test" and its neighbours, from record to answer (T20, T22), with a web server of
 * our own as every policy host.
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
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lookup/sts.h"
#include "relay/lookup/sts_judge.h"
#include "relay/lookup/sts_cache.h"

#define POLICY_HOST "mta-sts.d.test A 127.0.0.1\n"
#define RECORD(id)  "_mta-sts.d.test TXT v=STSv1; id=" id ";\n"
#define GOOD        POLICY_HOST RECORD("1")
#define POLICY      "version: STSv1\nmode: enforce\nmx: mx.d.test\nmax_age: 86400\n"
#define OTHER       "version: STSv1\nmode: testing\nmx: *.d.test\nmax_age: 1000\n"

struct fixture {
	struct loop *loop;
	struct resolver *resolver;
	struct sts *sts;
	struct web *web;
	struct forged authority, leaf;
	const struct forged *chain[2];
	char directory[FORGE_PATH_MAX], ca_file[FORGE_PATH_MAX];
	struct config config;
	struct buffer kept; /* lines "DOMAIN ID N-BYTES SECONDS" or "DOMAIN forget" */
	size_t n_waiting, n_answered;
	bool is_starting;
	struct sts_finding finding;
};

static void sts_start(struct fixture *f, bool is_loaded);
static void on_keep(void *arg, const struct sts_kept *kept);
static void on_found(const struct sts_finding *finding, void *arg);

static struct fixture *fixture_start(const char *script)
{
	struct fixture *f = mem_create(sizeof *f);
	const struct forged *authority[] = { &f->authority, NULL };

	signal(SIGPIPE, SIG_IGN);
	clock_shift_wall(0); /* a test that failed has not put it back */
	forge(&f->authority, (struct forge_wish){ .name = "Authority", .is_authority = true });
	forge(&f->leaf, (struct forge_wish){ .name = "x",
			    .alternatives = "DNS:mta-sts.d.test,DNS:mta-sts.e.test",
			    .issuer = &f->authority });
	f->chain[0] = &f->leaf;
	forge_make_directory(f->directory);
	forge_write(f->directory, "ca", authority);
	forge_path(f->directory, "ca.pem", f->ca_file);
	f->loop = loop_create();
	f->resolver = play_resolver_create(f->loop, script);
	f->web = web_start("127.0.0.1", f->chain);
	web_say_content(f->web, POLICY);
	f->config.delivery.ca_file = f->ca_file;
	f->config.delivery.allow_loopback = true;
	f->config.delivery.ipv4 = true;
	f->config.delivery.mta_sts_port = web_port(f->web);
	buffer_init(&f->kept, 1 << 20);
	sts_start(f, true);
	return f;
}

static void sts_start(struct fixture *f, bool is_loaded)
{
	char error[300] = "";

	sts_destroy(&f->sts);
	f->sts = sts_create(
	    f->loop, &f->config, f->resolver, is_loaded, on_keep, f, error, sizeof error);
	assert_string_equal(error, "");
	assert_non_null(f->sts);
	sts_set_timeout(f->sts, 5000);
}

static void fixture_finish(struct fixture *f)
{
	sts_destroy(&f->sts);
	assert_null(f->sts);
	clock_shift_wall(0);
	resolver_destroy(&f->resolver);
	web_stop(&f->web);
	loop_destroy(&f->loop);
	forged_finish(&f->authority);
	forged_finish(&f->leaf);
	forge_remove_directory(f->directory);
	sts_finding_finish(&f->finding);
	buffer_finish(&f->kept);
	free(f);
}

static void on_keep(void *arg, const struct sts_kept *kept)
{
	struct fixture *f = arg;

	if (*kept->policy == '\0')
		buffer_print(&f->kept, "%s forget\n", kept->domain);
	else
		buffer_print(&f->kept, "%s %s %zu %lld\n", kept->domain, kept->id,
		    strlen(kept->policy), (long long)(kept->expires_s - kept->fetched_s));
}

static void on_found(const struct sts_finding *finding, void *arg)
{
	struct fixture *f = arg;

	assert_false(f->is_starting);
	assert_true((finding->problem == STS_PROBLEM_NONE) == (finding->why[0] == '\0'));
	sts_finding_finish(&f->finding);
	sts_finding_copy(&f->finding, finding);
	f->n_answered++;
	f->n_waiting--;
}

static struct sts_question *start(struct fixture *f, const char *domain)
{
	struct sts_question *question;

	f->n_waiting++;
	f->is_starting = true;
	question = sts_ask(f->sts, domain, on_found, f);
	f->is_starting = false;
	return question;
}

static void wait_for_all(struct fixture *f)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (f->n_waiting > 0 && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_int_equal(f->n_waiting, 0);
}

/* Until that has been kept, without anybody asking. */
static void wait_for_kept(struct fixture *f, const char *line)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (strcmp(buffer_text(&f->kept), line) != 0 && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_string_equal(buffer_text(&f->kept), line);
	buffer_clear(&f->kept);
}

/* "MODE ID PROBLEM", "none PROBLEM" */
static const char *ask(struct fixture *f, const char *domain)
{
	static const char *const problems[] = {
#define X(symbol, word) [symbol] = word,
		STS_PROBLEMS(X)
#undef X
	};
	static char says[100];

	start(f, domain);
	wait_for_all(f);
	if (f->finding.has_policy)
		snprintf(says, sizeof says, "%s %s %s", sts_mode_name(f->finding.policy.mode),
		    f->finding.id, problems[f->finding.problem]);
	else
		snprintf(says, sizeof says, "without %s", problems[f->finding.problem]);
	return says;
}

static void test_a_policy_is_found(void **state)
{
	struct fixture *f = fixture_start(GOOD);
	char *said;

	(void)state;
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	assert_string_equal(f->finding.policy.mx[0], "mx.d.test");
	assert_string_equal(f->finding.text, POLICY);
	assert_in_range(f->finding.expires_s - clock_wall_s(), 86390, 86400);
	assert_string_equal(buffer_text(&f->kept), "d.test 1 58 86400\n");
	said = web_last_request(f->web);
	assert_int_equal(strncmp(said, "GET /.well-known/mta-sts.txt HTTP/1.1\r\n", 39), 0);
	free(said);
	/* From then on the record is looked at, and nothing is fetched. */
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	assert_int_equal(web_n_requests(f->web), 1);
	assert_int_equal(play_resolver_count(f->resolver, "_mta-sts.d.test", "TXT"), 2);
	fixture_finish(f);
}

/* What strangers write goes into reports and terminals. */
static void test_text_for_reports(void **state)
{
	static const struct {
		const char *written, *text;
	} table[] = {
		{ "version: STSv1\r\nmode: none\r\n", "version: STSv1\nmode: none\n" },
		{ "version: STSv1\nodd=\xc3\xa9\x1b[1m\t\r.\n", "version: STSv1\nodd=???[1m??.\n" },
		{ "", "" },
	};
	static char longest[2 * STS_TEXT_MAX];
	struct sts_finding finding = { 0 };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		sts_finding_set_text(&finding, table[i].written);
		assert_string_equal(finding.text, table[i].text);
		sts_finding_finish(&finding);
	}
	memset(longest, 'a', sizeof longest - 1);
	sts_finding_set_text(&finding, longest);
	assert_int_equal(strlen(finding.text), STS_TEXT_MAX - 1);
	sts_finding_finish(&finding);
}

static void test_records(void **state)
{
	static const struct {
		const char *name, *script, *says;
	} table[] = {
		{ "none", POLICY_HOST, "without none" },
		{ "one of something else", POLICY_HOST "_mta-sts.d.test TXT v=spf1 -all\n",
		    "without none" },
		{ "two", GOOD RECORD("2"), "without none" },
		{ "unreadable", POLICY_HOST "_mta-sts.d.test TXT v=STSv1; id=a-b;\n",
		    "without invalid" },
		{ "a failure", POLICY_HOST "_mta-sts.d.test TXT ERROR\n", "without dns" },
		{ "bogus", POLICY_HOST "_mta-sts.d.test TXT BOGUS\n", "without bogus" },
		{ "a policy host that is not there", RECORD("1"), "without fetch" },
		{ "a policy host that is bogus", RECORD("1") "mta-sts.d.test A BOGUS\n",
		    "without bogus" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture *f = fixture_start(table[i].script);
		const char *says = ask(f, "d.test");

		if (strcmp(says, table[i].says) != 0)
			fail_msg("%s: %s (%s)", table[i].name, says, f->finding.why);
		assert_int_equal(web_n_requests(f->web), 0);
		assert_string_equal(buffer_text(&f->kept), "");
		fixture_finish(f);
	}
}

/* The DNS has names of 253 letters: there is no room for a record, or for a policy host. */
static void test_long_names(void **state)
{
	struct fixture *f = fixture_start("");
	char name[DOMAIN_MAX];

	(void)state;
	for (size_t n = 240; n <= 253; n++) {
		memset(name, 'a', n);
		for (size_t i = 50; i < n - 1; i += 50)
			name[i] = '.';
		name[n] = '\0';
		assert_string_equal(ask(f, name), "without none");
	}
	fixture_finish(f);
}

#define OK    "HTTP/1.1 200 OK\r\n"
#define PLAIN "Content-Type: text/plain\r\n"

static void t20_answers_of_the_policy_host(void **state)
{
	static const struct {
		const char *name, *words, *says;
	} table[] = {
		{ "LF", OK PLAIN "\r\n" POLICY, "enforce 1 none" },
		{ "CRLF",
		    OK PLAIN
		    "\r\nversion: STSv1\r\nmode: testing\r\nmx: mx.d.test\r\nmax_age: 9\r\n",
		    "testing 1 none" },
		{ "mode none", OK PLAIN "\r\nversion: STSv1\nmode: none\nmax_age: 9\n",
		    "none 1 none" },
		{ "a parameter", OK "Content-Type: Text/Plain ; charset=utf-8\r\n\r\n" POLICY,
		    "enforce 1 none" },
		{ "text/html", OK "Content-Type: text/html\r\n\r\n" POLICY, "without invalid" },
		{ "text/plainer", OK "Content-Type: text/plainer\r\n\r\n" POLICY,
		    "without invalid" },
		{ "no type", OK "\r\n" POLICY, "without invalid" },
		{ "no policy", OK PLAIN "\r\nhello\n", "without invalid" },
		{ "nothing", OK PLAIN "\r\n", "without invalid" },
		{ "packed", OK PLAIN "Content-Encoding: gzip\r\n\r\n\x1f\x8b\x08",
		    "without invalid" },
		{ "a redirect",
		    "HTTP/1.1 301 Moved\r\nLocation: https://mta-sts.e.test/\r\n" PLAIN
		    "\r\n" POLICY,
		    "without fetch" },
		{ "a redirect that is kept for ever",
		    "HTTP/1.1 308 Moved\r\nLocation: /policy\r\n" PLAIN "\r\n" POLICY,
		    "without fetch" },
		{ "500", "HTTP/1.1 500 No\r\n" PLAIN "\r\n" POLICY, "without fetch" },
		{ "404", "HTTP/1.1 404 No\r\n" PLAIN "\r\n" POLICY, "without fetch" },
		{ "201", "HTTP/1.1 201 Made\r\n" PLAIN "\r\n" POLICY, "without fetch" },
		{ "204", "HTTP/1.1 204 None\r\n" PLAIN "\r\n", "without fetch" },
		{ "206", "HTTP/1.1 206 Part\r\n" PLAIN "\r\n" POLICY, "without fetch" },
		{ "no HTTP", "220 mx.test ESMTP\r\n", "without fetch" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture *f = fixture_start(GOOD);
		const char *says;

		web_say(f->web, WEB_ANSWERS, table[i].words, strlen(table[i].words));
		says = ask(f, "d.test");
		if (strcmp(says, table[i].says) != 0)
			fail_msg("%s: %s (%s)", table[i].name, says, f->finding.why);
		assert_int_equal(web_n_requests(f->web), 1);
		assert_true(f->finding.has_policy == (f->kept.n > 0));
		fixture_finish(f);
	}
}

static void t20_64_kb(void **state)
{
	struct fixture *f = fixture_start(GOOD);
	struct buffer b;

	(void)state;
	buffer_init(&b, 1 << 20);
	buffer_add_text(&b, POLICY "x: ");
	while (b.n < STS_POLICY_MAX)
		buffer_add_text(&b, "x");
	web_say_content(f->web, b.bytes);
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	buffer_add_text(&b, "x");
	web_say_content(f->web, b.bytes);
	play_resolver_set(f->resolver, POLICY_HOST RECORD("2"));
	assert_string_equal(ask(f, "d.test"), "enforce 1 fetch");
	assert_string_equal(f->finding.why,
	    "the policy of d.test can't be fetched: the answer is longer than 65536 bytes");
	buffer_finish(&b);
	fixture_finish(f);
}

static void t20_slow_body(void **state)
{
	struct fixture *f = fixture_start(GOOD);
	static const char words[] = OK PLAIN "Content-Length: 58\r\n\r\n" POLICY;
	int64_t before = clock_monotonic_ms();

	(void)state;
	sts_set_timeout(f->sts, 500);
	web_say(f->web, WEB_DRIPS, words, sizeof words - 1);
	assert_string_equal(ask(f, "d.test"), "without fetch");
	assert_in_range(clock_monotonic_ms() - before, 490, 30000);
	fixture_finish(f);
}

static void t20_certificates(void **state)
{
	struct fixture *f = fixture_start(GOOD);
	struct forged wrong, expired;
	const struct forged *wrong_chain[] = { &wrong, NULL },
			    *expired_chain[] = { &expired, NULL };

	(void)state;
	forge(&wrong, (struct forge_wish){ .name = "mta-sts.d.test",
			  .alternatives = "DNS:d.test,DNS:mta-sts.e.test",
			  .issuer = &f->authority });
	forge(&expired, (struct forge_wish){ .name = "x",
			    .alternatives = "DNS:mta-sts.d.test",
			    .has_expired = true,
			    .issuer = &f->authority });
	web_show(f->web, wrong_chain);
	assert_string_equal(ask(f, "d.test"), "without webpki");
	assert_non_null(strstr(f->finding.why, "the certificate of mta-sts.d.test: "));
	web_show(f->web, expired_chain);
	play_resolver_set(f->resolver, POLICY_HOST RECORD("2"));
	assert_string_equal(ask(f, "d.test"), "without webpki");
	assert_non_null(strstr(f->finding.why, "expired"));
	assert_int_equal(web_n_requests(f->web), 0);
	web_show(f->web, f->chain);
	forged_finish(&wrong);
	forged_finish(&expired);
	fixture_finish(f);
}

/* What was not even tried says nothing of the domain. */
static void t20_no_time_to_look(void **state)
{
	const struct https_answer answer = { .problem = HTTPS_BUSY, .why = "others" };
	struct sts_trouble trouble;
	struct sts_policy policy;

	(void)state;
	assert_false(sts_judge_policy("d.test", &answer, &policy, &trouble));
	assert_int_equal(trouble.problem, STS_PROBLEM_BUSY);
	assert_string_equal(trouble.why, "the policy of d.test can't be fetched now: others");
}

/* A failure is not repeated at once, unless the record says that something has changed. */
static void t20_failures_are_remembered(void **state)
{
	struct fixture *f = fixture_start(GOOD);

	(void)state;
	web_say(f->web, WEB_ANSWERS, "HTTP/1.1 500 No\r\n\r\n", 19);
	for (int i = 0; i < 5; i++) {
		assert_string_equal(ask(f, "d.test"), "without fetch");
		assert_int_equal(web_n_requests(f->web), 1);
	}
	web_say_content(f->web, POLICY);
	play_resolver_set(f->resolver, POLICY_HOST RECORD("2"));
	assert_string_equal(ask(f, "d.test"), "enforce 2 none");
	/* What failed before has left no trace. */
	play_resolver_set(f->resolver, GOOD);
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	assert_int_equal(web_n_requests(f->web), 3);
	fixture_finish(f);
}

static void t22_a_new_id_is_fetched(void **state)
{
	struct fixture *f = fixture_start(GOOD);

	(void)state;
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	web_say_content(f->web, OTHER);
	play_resolver_set(f->resolver, POLICY_HOST RECORD("2"));
	assert_string_equal(ask(f, "d.test"), "testing 2 none");
	assert_string_equal(f->finding.policy.mx[0], "*.d.test");
	assert_string_equal(f->finding.text, OTHER);
	assert_string_equal(buffer_text(&f->kept), "d.test 1 58 86400\nd.test 2 56 1000\n");
	fixture_finish(f);
}

/* RFC 8461 5.1: whatever fails, what is kept is in force until its max_age, and no longer. */
static void t22_kept_whatever_fails(void **state)
{
	static const struct {
		const char *name, *script;
		enum web_trick trick;
		const char *words, *says;
	} table[] = {
		{ "no record", POLICY_HOST, WEB_ANSWERS, OK, "enforce 1 gone" },
		{ "the record fails", POLICY_HOST "_mta-sts.d.test TXT ERROR\n", WEB_ANSWERS, OK,
		    "enforce 1 dns" },
		{ "the record is unreadable", POLICY_HOST "_mta-sts.d.test TXT v=STSv1; x\n",
		    WEB_ANSWERS, OK, "enforce 1 invalid" },
		{ "two records", GOOD RECORD("2"), WEB_ANSWERS, OK, "enforce 1 gone" },
		{ "a new id, and 500", POLICY_HOST RECORD("2"), WEB_ANSWERS,
		    "HTTP/1.1 500 No\r\n\r\n", "enforce 1 fetch" },
		{ "a new id, and no policy", POLICY_HOST RECORD("2"), WEB_ANSWERS,
		    OK PLAIN "\r\nversion: STSv2\n", "enforce 1 invalid" },
		{ "a new id, and nobody at the policy host",
		    "mta-sts.d.test A 127.9.9.9\n" RECORD("2"), WEB_ANSWERS, OK,
		    "enforce 1 fetch" },
		{ "a new id, and no TLS", POLICY_HOST RECORD("2"), WEB_NO_TLS, OK "\r\n" POLICY,
		    "enforce 1 fetch" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture *f = fixture_start(GOOD);
		const char *says;

		ask(f, "d.test");
		buffer_clear(&f->kept);
		play_resolver_set(f->resolver, table[i].script);
		web_say(f->web, table[i].trick, table[i].words, strlen(table[i].words));
		for (int again = 0; again < 2; again++) {
			says = ask(f, "d.test");
			if (strcmp(says, table[i].says) != 0)
				fail_msg("%s: %s (%s)", table[i].name, says, f->finding.why);
		}
		assert_string_equal(buffer_text(&f->kept), "");
		clock_shift_wall(86390);
		says = ask(f, "d.test");
		if (strncmp(says, "enforce", 7) != 0)
			fail_msg("%s, shortly before the end: %s", table[i].name, says);
		clock_shift_wall(86401);
		says = ask(f, "d.test");
		if (strncmp(says, "without", 7) != 0)
			fail_msg("%s, after the end: %s", table[i].name, says);
		fixture_finish(f);
	}
}

static void load(struct fixture *f, const char *domain, const char *id, const char *policy,
    int64_t fetched_s, int64_t expires_s)
{
	sts_load(f->sts, &(struct sts_kept){ .domain = domain,
			     .id = id,
			     .policy = policy,
			     .fetched_s = fetched_s,
			     .expires_s = expires_s });
}

/* What is due now is done, and answered. */
static void sweep(struct fixture *f)
{
	sts_loaded(f->sts);
	for (int i = 0; i < 20; i++)
		loop_run_once(f->loop, false);
}

static size_t count_lines(const char *path, const char *what)
{
	char line[2000];
	FILE *file = fopen(path, "r");
	size_t n = 0;

	assert_non_null(file);
	while (fgets(line, sizeof line, file) != NULL)
		n += strstr(line, what) != NULL;
	fclose(file);
	return n;
}

static void wait_for_lines(struct fixture *f, const char *path, const char *what, size_t n)
{
	int64_t until = clock_monotonic_ms() + 20000;

	while (count_lines(path, what) < n && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_int_equal(count_lines(path, what), n);
}

/* A restart with the policy host down: nobody is told "no policy" before what was kept is there. */
static void t22_survives_a_restart(void **state)
{
	struct fixture *f = fixture_start(POLICY_HOST "_mta-sts.d.test TXT ERROR\n");
	int64_t now_s = clock_wall_s();

	(void)state;
	web_say(f->web, WEB_ANSWERS, "", 0);
	sts_start(f, false);
	start(f, "d.test");
	for (int i = 0; i < 20; i++)
		loop_run_once(f->loop, false);
	assert_int_equal(f->n_answered, 0);
	assert_int_equal(play_resolver_count(f->resolver, "_mta-sts.d.test", "TXT"), 0);
	load(f, "d.test", "1", POLICY, now_s - 1000, now_s - 1000 + 86400);
	sts_loaded(f->sts);
	wait_for_all(f);
	assert_true(f->finding.has_policy);
	assert_string_equal(f->finding.id, "1");
	assert_int_equal(f->finding.expires_s, now_s - 1000 + 86400);
	assert_int_equal(web_n_requests(f->web), 0);
	fixture_finish(f);
}

static void t22_what_can_not_be_loaded(void **state)
{
	struct fixture *f = fixture_start("");
	int64_t now_s = clock_wall_s();

	(void)state;
	load(f, "d.test", "1", "version: STSv2\n", now_s, now_s + 1000);
	load(f, "d.test", "", POLICY, now_s, now_s + 1000);
	load(f, "d.test", "123456789012345678901234567890123", POLICY, now_s, now_s + 1000);
	load(f, "D.test", "1", POLICY, now_s, now_s + 1000);
	assert_string_equal(buffer_text(&f->kept), "d.test forget\nd.test forget\nd.test forget\n");
	assert_string_equal(ask(f, "d.test"), "without none");
	/* More than max_age allows, and a clock that was ahead then. */
	load(f, "d.test", "1", POLICY, now_s - 400, now_s + 1000000);
	assert_string_equal(ask(f, "d.test"), "enforce 1 gone");
	assert_int_equal(f->finding.expires_s, now_s - 400 + 86400);
	load(f, "e.test", "1", POLICY, now_s + 1000000, now_s + 1000000 + 86400);
	assert_string_equal(ask(f, "e.test"), "enforce 1 gone");
	assert_in_range(f->finding.expires_s, now_s + 86399, now_s + 86402);
	/* And one that is set back now: so long as it would have been. */
	clock_shift_wall(-500000);
	assert_string_equal(ask(f, "d.test"), "enforce 1 gone");
	assert_in_range(f->finding.expires_s, now_s - 500000 + 86399, now_s - 500000 + 86402);
	fixture_finish(f);
}

/*
 * A clock that is wrong at the start and put right later, in either direction, ends no policy: what is out
 * of force meanwhile is there again, and as long as it was meant to be.
 */
static void t22_a_clock_that_is_put_right(void **state)
{
	static const struct {
		const char *name;
		int64_t wrong_s;
		const char *says;
	} table[] = {
		{ "decades ago", -50LL * 365 * 86400, "enforce 1 dns" },
		{ "a day ahead", 2 * 86400, "without dns" },
		{ "years ahead", 3LL * 365 * 86400, "without dns" },
	};
	int64_t now_s = clock_wall_s();

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture *f = fixture_start("_mta-sts.d.test TXT ERROR\n");

		for (int is_running = 0; is_running < 2; is_running++) {
			sts_start(f, false);
			clock_shift_wall(is_running ? 0 : table[i].wrong_s);
			load(f, "d.test", "1", POLICY, now_s - 1000, now_s - 1000 + 86400);
			sts_loaded(f->sts);
			clock_shift_wall(table[i].wrong_s);
			if (strcmp(ask(f, "d.test"), table[i].says) != 0)
				fail_msg("%s: %s", table[i].name, ask(f, "d.test"));
			if (f->finding.has_policy)
				assert_in_range(
				    f->finding.expires_s - clock_wall_s(), 86390, 86400);
			for (int64_t shift_s = table[i].wrong_s;; shift_s = 0) {
				clock_shift_wall(shift_s);
				load(f, "d.test", "1", POLICY, now_s - 1000, now_s - 1000 + 86400);
				sweep(f);
				if (shift_s == 0)
					break;
			}
			assert_string_equal(ask(f, "d.test"), "enforce 1 dns");
			assert_int_equal(f->finding.expires_s, now_s - 1000 + 86400);
			assert_string_equal(buffer_text(&f->kept), "");
		}
		fixture_finish(f);
	}
}

/* What has expired is forgotten after a time that no clock can cut short. */
static void t22_what_has_expired_is_forgotten(void **state)
{
	struct fixture *f = fixture_start("");
	int64_t now_s = clock_wall_s();

	(void)state;
	load(f, "d.test", "1", POLICY, now_s - 86401, now_s - 1);
	sweep(f);
	assert_string_equal(buffer_text(&f->kept), "");
	load(f, "d.test", "1", POLICY, now_s - 86401, now_s - 1);
	sts_set_grace(f->sts, 0);
	sweep(f);
	assert_string_equal(buffer_text(&f->kept), "d.test forget\n");
	sweep(f);
	assert_string_equal(buffer_text(&f->kept), "d.test forget\n");
	fixture_finish(f);
}

/* Its owner has ended it while whoever stores it was away: one that comes back with it hears it again. */
static void t22_what_was_ended_does_not_come_back(void **state)
{
	struct fixture *f = fixture_start(GOOD);
	int64_t now_s = clock_wall_s();

	(void)state;
	ask(f, "d.test");
	web_say_content(f->web, "version: STSv1\nmode: none\nmax_age: 0\n");
	play_resolver_set(f->resolver, POLICY_HOST RECORD("2"));
	assert_string_equal(ask(f, "d.test"), "none 2 none");
	play_resolver_set(f->resolver, POLICY_HOST);
	sweep(f);
	buffer_clear(&f->kept);
	for (int i = 0; i < 2; i++) {
		load(f, "d.test", "1", POLICY, now_s, now_s + 86400);
		sts_loaded(f->sts);
		assert_string_equal(buffer_text(&f->kept), "d.test forget\n");
		assert_string_equal(ask(f, "d.test"), "without none");
		buffer_clear(&f->kept);
	}
	/* A new one is another. */
	web_say_content(f->web, POLICY);
	play_resolver_set(f->resolver, POLICY_HOST RECORD("3"));
	assert_string_equal(ask(f, "d.test"), "enforce 3 none");
	load(f, "d.test", "1", POLICY, now_s, now_s + 86400);
	assert_string_equal(buffer_text(&f->kept), "d.test 3 58 86400\n");
	fixture_finish(f);
}

/* RFC 8461 10.2: a record that is gone is said once, and again after it was back; not if it may go. */
static void t22_a_record_that_vanishes_is_said(void **state)
{
	static const char none[] = "version: STSv1\nmode: none\nmax_age: 86400\n";
	struct fixture *f = fixture_start(GOOD);
	char path[FORGE_PATH_MAX], error[200];

	(void)state;
	forge_path(f->directory, "log", path);
	assert_int_equal(log_open(path, LOG_LEVEL_INFO, error, sizeof error), 0);
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	for (size_t n = 1; n <= 2; n++) {
		play_resolver_set(f->resolver, POLICY_HOST);
		for (int again = 0; again < 3; again++) {
			assert_string_equal(ask(f, "d.test"), "enforce 1 gone");
			assert_string_equal(f->finding.why,
			    "the record _mta-sts.d.test is gone, or there is more than one");
			play_resolver_set(f->resolver, POLICY_HOST RECORD("1") RECORD("2"));
		}
		assert_int_equal(count_lines(path, "[mta-sts-gone]"), n);
		/* That it can't be learned now says nothing. */
		play_resolver_set(f->resolver, POLICY_HOST "_mta-sts.d.test TXT ERROR\n");
		assert_string_equal(ask(f, "d.test"), "enforce 1 dns");
		play_resolver_set(f->resolver, POLICY_HOST);
		ask(f, "d.test");
		assert_int_equal(count_lines(path, "[mta-sts-gone]"), n);
		play_resolver_set(f->resolver, GOOD);
		assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	}
	play_resolver_set(f->resolver, POLICY_HOST "_mta-sts.d.test TXT v=STSv1; id=?\n");
	ask(f, "d.test");
	ask(f, "d.test");
	assert_int_equal(count_lines(path, "[mta-sts-invalid]"), 1);
	/* At the refresh, which nobody waits for. */
	play_resolver_set(f->resolver, GOOD);
	ask(f, "d.test");
	play_resolver_set(f->resolver, POLICY_HOST);
	clock_shift_wall(86000);
	sts_loaded(f->sts);
	wait_for_lines(f, path, "[mta-sts-gone]", 3);
	web_say_content(f->web, none);
	play_resolver_set(f->resolver, POLICY_HOST RECORD("2"));
	assert_string_equal(ask(f, "d.test"), "none 2 none");
	play_resolver_set(f->resolver, POLICY_HOST);
	assert_string_equal(ask(f, "d.test"), "none 2 none");
	assert_int_equal(count_lines(path, "[mta-sts-gone]"), 3);
	log_close();
	fixture_finish(f);
}

/* An owner that is new is told what it does not have. */
static void t22_a_new_owner(void **state)
{
	struct fixture *f = fixture_start(GOOD);
	int64_t now_s;

	(void)state;
	ask(f, "d.test");
	now_s = f->finding.expires_s - 86400;
	load(f, "e.test", "1", OTHER, now_s, now_s + 1000);
	buffer_clear(&f->kept);
	sts_loaded(f->sts);
	assert_string_equal(buffer_text(&f->kept), "d.test 1 58 86400\n");
	load(f, "d.test", "1", POLICY, now_s, now_s + 86400);
	load(f, "e.test", "1", OTHER, now_s - 1, now_s + 999);
	buffer_clear(&f->kept);
	sts_loaded(f->sts);
	assert_string_equal(buffer_text(&f->kept), "e.test 1 56 1000\n");
	fixture_finish(f);
}

/* Without mail, before the end. */
static void t22_refreshed_before_the_end(void **state)
{
	struct fixture *f = fixture_start(GOOD);

	(void)state;
	web_say_content(f->web, "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 1000\n");
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	wait_for_kept(f, "d.test 1 54 1000\n");
	clock_shift_wall(950);
	sts_loaded(f->sts);
	wait_for_kept(f, "d.test 1 54 1000\nd.test 1 54 1000\n");
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	assert_int_equal(web_n_requests(f->web), 2);
	fixture_finish(f);
}

/* What the web has been asked it may not have answered yet. */
static void ask_until(struct fixture *f, const char *domain, const char *wanted)
{
	int64_t until = clock_monotonic_ms() + 60000;
	const char *says = ask(f, domain);

	while (strcmp(says, wanted) != 0 && clock_monotonic_ms() < until)
		says = ask(f, domain);
	assert_string_equal(says, wanted);
}

static void wait_for_records(struct fixture *f, size_t n)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (play_resolver_count(f->resolver, "_mta-sts.d.test", "TXT") < n &&
	       clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_int_equal(play_resolver_count(f->resolver, "_mta-sts.d.test", "TXT"), n);
}

static void wait_for_requests(struct fixture *f, size_t n)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (web_n_requests(f->web) < n && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_int_equal(web_n_requests(f->web), n);
}

/* A refresh that fails leaves what there is, and comes again. */
static void t22_refreshed_after_a_failure(void **state)
{
	struct fixture *f = fixture_start(GOOD);

	(void)state;
	ask(f, "d.test");
	web_say(f->web, WEB_ANSWERS, "HTTP/1.1 500 No\r\n\r\n", 19);
	clock_shift_wall(80000);
	sts_loaded(f->sts);
	wait_for_requests(f, 2);
	ask_until(f, "d.test", "enforce 1 fetch");
	web_say_content(f->web, OTHER);
	clock_shift_wall(86000);
	buffer_clear(&f->kept);
	sts_loaded(f->sts);
	wait_for_kept(f, "d.test 1 58 86400\nd.test 1 56 1000\n");
	assert_string_equal(ask(f, "d.test"), "testing 1 none");
	assert_int_equal(web_n_requests(f->web), 3);
	fixture_finish(f);
}

/* A day later, though it is good for a year; its record can't be learned: fetched all the same. */
static void t22_refreshed_every_day(void **state)
{
	struct fixture *f = fixture_start(GOOD);

	(void)state;
	web_say_content(f->web, "version: STSv1\nmode: enforce\nmx: a.test\nmax_age: 31557600\n");
	ask(f, "d.test");
	wait_for_kept(f, "d.test 1 58 31557600\n");
	web_say_content(f->web, POLICY);
	play_resolver_set(f->resolver, POLICY_HOST "_mta-sts.d.test TXT ERROR\n");
	clock_shift_wall(86400 / 2 - 10);
	sts_loaded(f->sts);
	wait_for_kept(f, "d.test 1 58 31557600\n");
	clock_shift_wall(86400);
	sts_loaded(f->sts);
	wait_for_kept(f, "d.test 1 58 31557600\nd.test 1 58 86400\n");
	fixture_finish(f);
}

/* Its owner took the record away: it is not refreshed, and forgotten at its end. */
static void t22_ends_when_the_record_is_gone(void **state)
{
	struct fixture *f = fixture_start(GOOD);

	(void)state;
	ask(f, "d.test");
	wait_for_kept(f, "d.test 1 58 86400\n");
	play_resolver_set(f->resolver, POLICY_HOST);
	clock_shift_wall(86000);
	sts_loaded(f->sts);
	wait_for_kept(f, "d.test 1 58 86400\n");
	wait_for_records(f, 2);
	assert_string_equal(ask(f, "d.test"), "enforce 1 gone");
	clock_shift_wall(86401);
	assert_string_equal(ask(f, "d.test"), "without none");
	sts_set_grace(f->sts, 0);
	sts_loaded(f->sts);
	wait_for_kept(f, "d.test 1 58 86400\nd.test forget\n");
	assert_string_equal(ask(f, "d.test"), "without none");
	assert_int_equal(web_n_requests(f->web), 1);
	fixture_finish(f);
}

static void test_max_age_0(void **state)
{
	struct fixture *f = fixture_start(GOOD);

	(void)state;
	ask(f, "d.test");
	buffer_clear(&f->kept);
	web_say_content(f->web, "version: STSv1\nmode: testing\nmx: a.test\nmax_age: 0\n");
	play_resolver_set(f->resolver, POLICY_HOST RECORD("2"));
	for (size_t i = 2; i <= 3; i++) {
		assert_string_equal(ask(f, "d.test"), "testing 2 none");
		assert_int_equal(web_n_requests(f->web), i);
	}
	assert_string_equal(buffer_text(&f->kept), "d.test forget\n");
	fixture_finish(f);
}

/* A hundred questions of one domain are one fetch; one that is cancelled hears nothing. */
static void test_one_fetch_for_all(void **state)
{
	struct fixture *f = fixture_start(GOOD);
	struct sts_question *question;

	(void)state;
	question = start(f, "d.test");
	for (int i = 0; i < 100; i++)
		start(f, "d.test");
	sts_cancel(&question);
	assert_null(question);
	f->n_waiting--;
	wait_for_all(f);
	assert_int_equal(f->n_answered, 100);
	assert_int_equal(web_n_requests(f->web), 1);
	assert_int_equal(play_resolver_count(f->resolver, "_mta-sts.d.test", "TXT"), 1);
	fixture_finish(f);
}

/* While a policy host does not answer, others' policies are found, and this one's question waits. */
static void test_slow_host_is_its_own_trouble(void **state)
{
	struct fixture *f = fixture_start(GOOD "_mta-sts.e.test TXT v=STSv1; id=1;\n"
					       "mta-sts.e.test A SILENCE\n");
	struct sts_question *slow = start(f, "e.test");

	(void)state;
	f->n_waiting--;
	assert_string_equal(ask(f, "d.test"), "enforce 1 none");
	assert_int_equal(f->n_answered, 1);
	sts_cancel(&slow);
	/* And at the end of everything no question is left behind. */
	start(f, "e.test");
	start(f, "f.test");
	sts_destroy(&f->sts);
	assert_int_equal(f->n_answered, 1);
	fixture_finish(f);
}

static struct sts_domain *keep_in(struct sts_cache *cache, const char *name, const char *text)
{
	struct sts_domain *domain = sts_cache_use(cache, name, 0);
	struct sts_policy policy;
	char why[100];

	assert_true(sts_policy_read(text, strlen(text), &policy, why, sizeof why));
	sts_cache_keep(cache, domain, &policy,
	    &(struct sts_kept){
		.domain = name, .id = "1", .policy = text, .fetched_s = 0, .expires_s = 100 },
	    0);
	return domain;
}

static void test_cache_is_bounded(void **state)
{
	struct sts_cache cache;
	struct sts_domain *surplus;

	(void)state;
	sts_cache_init(&cache);
	assert_int_equal(cache.domains_max, STS_DOMAINS_MAX);
	assert_int_equal(cache.bytes_max, STS_BYTES_MAX);
	cache.domains_max = 3;
	keep_in(&cache, "a.test", POLICY);
	keep_in(&cache, "b.test", POLICY);
	keep_in(&cache, "c.test", POLICY);
	assert_null(sts_cache_surplus(&cache));
	/* What has no policy goes first, though it was used last; then the longest unused. */
	sts_cache_use(&cache, "failed.test", 0);
	assert_string_equal(sts_cache_surplus(&cache)->name, "failed.test");
	keep_in(&cache, "d.test", POLICY);
	sts_cache_use(&cache, "a.test", 0);
	surplus = sts_cache_surplus(&cache);
	sts_cache_drop(&cache, &surplus);
	surplus = sts_cache_surplus(&cache);
	assert_string_equal(surplus->name, "b.test");
	/* But not while anything is under way for it. */
	surplus->record = (struct query *)(void *)&cache;
	assert_string_equal(sts_cache_surplus(&cache)->name, "c.test");
	surplus->record = NULL;
	sts_cache_drop(&cache, &surplus);
	assert_null(sts_cache_surplus(&cache));
	cache.bytes_max = 3 * strlen(POLICY) - 1;
	assert_string_equal(sts_cache_surplus(&cache)->name, "c.test");
	/* What has expired goes before what is in force. */
	sts_cache_find(&cache, "d.test")->over_ms = 1;
	assert_string_equal(sts_cache_surplus(&cache)->name, "d.test");
	sts_cache_find(&cache, "d.test")->over_ms = 0;
	keep_in(&cache, "c.test", "version: STSv1\nmode: none\nmax_age: 1");
	assert_null(sts_cache_surplus(&cache));
	assert_null(sts_cache_find(&cache, "b.test"));
	sts_cache_finish(&cache);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_policy_is_found),
		cmocka_unit_test(test_text_for_reports),
		cmocka_unit_test(test_records),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(t20_answers_of_the_policy_host),
		cmocka_unit_test(t20_64_kb),
		cmocka_unit_test(t20_slow_body),
		cmocka_unit_test(t20_certificates),
		cmocka_unit_test(t20_no_time_to_look),
		cmocka_unit_test(t20_failures_are_remembered),
		cmocka_unit_test(t22_a_new_id_is_fetched),
		cmocka_unit_test(t22_kept_whatever_fails),
		cmocka_unit_test(t22_survives_a_restart),
		cmocka_unit_test(t22_what_can_not_be_loaded),
		cmocka_unit_test(t22_a_clock_that_is_put_right),
		cmocka_unit_test(t22_what_has_expired_is_forgotten),
		cmocka_unit_test(t22_what_was_ended_does_not_come_back),
		cmocka_unit_test(t22_a_record_that_vanishes_is_said),
		cmocka_unit_test(t22_a_new_owner),
		cmocka_unit_test(t22_refreshed_before_the_end),
		cmocka_unit_test(t22_refreshed_after_a_failure),
		cmocka_unit_test(t22_refreshed_every_day),
		cmocka_unit_test(t22_ends_when_the_record_is_gone),
		cmocka_unit_test(test_max_age_0),
		cmocka_unit_test(test_one_fetch_for_all),
		cmocka_unit_test(test_slow_host_is_its_own_trouble),
		cmocka_unit_test(test_cache_is_bounded),
	};

	return cmocka_run_group_tests_name("sts", tests, NULL, NULL);
}
