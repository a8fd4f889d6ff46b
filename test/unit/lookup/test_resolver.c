/*
 * The resolver against a name server of our own in the same loop, which answers as a case wants:
 * forged, late, not at all, or right. The server owns "test."; nothing is signed here (signed zones
 * are in test/scenario/test_lookup.py).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "packet.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/lookup/resolver.h"

#define GOOD   "192.0.2.1"
#define FORGED "198.51.100.66"

enum trick {
	TRICK_NONE,
	TRICK_WRONG_ID,
	TRICK_WRONG_QUESTION,
	TRICK_NO_QUESTION,
	TRICK_TWO_QUESTIONS,
	TRICK_WRONG_OWNER,
	TRICK_OTHER_SOURCE,
	TRICK_LOWER_CASE, /* the question comes back in lower case, twice: no forgery but a habit */
	TRICK_SILENCE,
	TRICK_SERVFAIL,
	TRICK_REFUSED,
	TRICK_CUT, /* truncated, and no TCP to ask again */
	TRICK_GARBAGE,
};

struct server {
	struct loop *loop;
	struct watch *watch;
	int fd, other_fd;
	uint16_t port;
	enum trick trick;
	size_t n_asked;      /* A questions below a.test or b.test */
	bool was_last_asked; /* last.test */
};

struct fixture {
	struct loop *loop;
	struct server server;
	struct resolver *resolver;
	size_t n_waiting;
	struct finding finding;
	char address[INET_ADDRSTRLEN];
	bool is_starting;
};

static struct fixture *fixture_start(enum trick trick, int64_t timeout_ms);
static void fixture_finish(struct fixture *f);
static void server_start(struct server *s, struct loop *loop, enum trick trick);
static void server_stop(struct server *s);
static int bind_loopback(uint16_t *port);
static void on_question(int fd, void *arg);
static void reply(struct server *s, struct packet *p, const struct sockaddr_in *to);
static void forge(struct server *s, const struct packet *question, const struct sockaddr_in *to);
static void make_answer(const struct packet *question, const char *address, struct packet *p);
static bool read_question(const struct packet *p, char name[DOMAIN_MAX], unsigned *type);
static void ask(struct fixture *f, const char *name);
static void wait_for_all(struct fixture *f);
static void on_answer(const struct answer *answer, void *arg);

static struct fixture *fixture_start(enum trick trick, int64_t timeout_ms)
{
	struct fixture *f = mem_create(sizeof *f);
	char server[40], error[200] = "";
	struct config_stub stub = { (char *)"test", server };
	struct config config = { .dns_stubs = &stub, .n_dns_stubs = 1 };

	f->loop = loop_create();
	server_start(&f->server, f->loop, trick);
	snprintf(server, sizeof server, "127.0.0.1@%d", f->server.port);
	f->resolver = resolver_create(f->loop, &config, error, sizeof error);
	assert_string_equal(error, "");
	assert_non_null(f->resolver);
	resolver_set_timeout(f->resolver, timeout_ms);
	return f;
}

static void fixture_finish(struct fixture *f)
{
	resolver_destroy(&f->resolver);
	assert_null(f->resolver);
	server_stop(&f->server);
	loop_destroy(&f->loop);
	free(f);
}

static void server_start(struct server *s, struct loop *loop, enum trick trick)
{
	uint16_t other;

	s->loop = loop;
	s->trick = trick;
	s->fd = bind_loopback(&s->port);
	s->other_fd = bind_loopback(&other);
	s->watch = watch_create(loop, s->fd, WATCH_READ, on_question, s);
	watch_on(s->watch);
}

static void server_stop(struct server *s)
{
	watch_destroy(&s->watch);
	close(s->fd);
	close(s->other_fd);
}

static int bind_loopback(uint16_t *port)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof address;

	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	*port = ntohs(address.sin_port);
	return fd;
}

static void on_question(int fd, void *arg)
{
	struct server *s = arg;
	struct packet *p = mem_create(sizeof *p);
	struct sockaddr_in from;
	socklen_t n_from = sizeof from;
	ssize_t n;

	while ((n = recvfrom(fd, p->bytes, sizeof p->bytes, 0, (struct sockaddr *)&from, &n_from)) >
	       0) {
		p->n = (size_t)n;
		reply(s, p, &from);
	}
	free(p);
}

static void reply(struct server *s, struct packet *question, const struct sockaddr_in *to)
{
	struct packet *p = mem_create(sizeof *p);
	char name[DOMAIN_MAX];
	unsigned type;

	make_answer(question, GOOD, p);
	/* The names above (asked for by QNAME minimisation) are answered honestly. */
	if (read_question(question, name, &type) && type == RECORD_A && strchr(name, '.') != NULL) {
		s->n_asked++;
		s->was_last_asked |= strncasecmp(name, "last.", 5) == 0;
		forge(s, question, to);
		if (s->trick == TRICK_SILENCE || s->trick == TRICK_SERVFAIL ||
		    s->trick == TRICK_REFUSED || s->trick == TRICK_CUT ||
		    s->trick == TRICK_GARBAGE) {
			free(p);
			return;
		}
		for (size_t i = 12; s->trick == TRICK_LOWER_CASE && p->bytes[i] != 0; i++) {
			if (p->bytes[i] >= 'A' && p->bytes[i] <= 'Z')
				p->bytes[i] |= 0x20;
		}
	}
	sendto(s->fd, p->bytes, p->n, 0, (const struct sockaddr *)to, sizeof *to);
	free(p);
}

/* What comes before, or instead of, the right answer. */
static void forge(struct server *s, const struct packet *question, const struct sockaddr_in *to)
{
	struct packet *p = mem_create(sizeof *p);
	int fd = s->fd;

	make_answer(question, FORGED, p);
	switch (s->trick) {
	case TRICK_NONE:
	case TRICK_LOWER_CASE:
	case TRICK_SILENCE: free(p); return;
	case TRICK_WRONG_ID: p->bytes[0] ^= 0xff; break;
	case TRICK_WRONG_QUESTION: p->bytes[13] ^= 1; break;
	case TRICK_NO_QUESTION: p->bytes[5] = 0; break;
	case TRICK_TWO_QUESTIONS: p->bytes[5] = 2; break;
	case TRICK_WRONG_OWNER:
		packet_start(p, (uint16_t)(question->bytes[0] << 8 | question->bytes[1]), 0, "", 1);
		memcpy(p->bytes, question->bytes, question->n);
		p->n = question->n;
		p->bytes[2] |= 0x80;
		p->bytes[10] = p->bytes[11] =
		    0; /* EDNS is cut off with what follows the question */
		p->n = 12 + strlen((const char *)p->bytes + 12) + 1 + 4;
		packet_add(p, PACKET_ANSWER, "victim.test. 300 IN A " FORGED);
		break;
	case TRICK_OTHER_SOURCE: fd = s->other_fd; break;
	case TRICK_SERVFAIL: p->bytes[3] |= 2; break;
	case TRICK_REFUSED: p->bytes[3] |= 5; break;
	case TRICK_CUT:
		p->bytes[2] |= 2;
		p->bytes[7] = 0;
		p->n = 12 + strlen((const char *)p->bytes + 12) + 1 + 4;
		break;
	case TRICK_GARBAGE: memset(p->bytes + 2, 0xff, p->n - 2); break;
	}
	sendto(fd, p->bytes, p->n, 0, (const struct sockaddr *)to, sizeof *to);
	free(p);
}

/* The question as it came, without EDNS, and one address for A; nothing for other types. */
static void make_answer(const struct packet *question, const char *address, struct packet *p)
{
	char name[DOMAIN_MAX], record[DOMAIN_MAX + 40];
	unsigned type;

	memcpy(p->bytes, question->bytes, question->n);
	p->n = 12 + strlen((const char *)p->bytes + 12) + 1 + 4;
	p->bytes[2] = 0x84;
	p->bytes[3] = 0;
	memset(p->bytes + 6, 0, 6);
	if (!read_question(question, name, &type) || type != RECORD_A) {
		packet_add(p, PACKET_AUTHORITY, "test. 300 IN SOA a.test. b.test. 1 2 3 4 60");
		return;
	}
	snprintf(record, sizeof record, "%s. 300 IN A %s", name, address);
	packet_add(p, PACKET_ANSWER, record);
}

static bool read_question(const struct packet *p, char name[DOMAIN_MAX], unsigned *type)
{
	size_t at = 12, n = 0;

	while (at < p->n && p->bytes[at] != 0 && n + p->bytes[at] + 1 < DOMAIN_MAX) {
		if (n > 0)
			name[n++] = '.';
		memcpy(name + n, p->bytes + at + 1, p->bytes[at]);
		n += p->bytes[at];
		at += p->bytes[at] + 1u;
	}
	name[n] = '\0';
	*type = at + 2 < p->n ? (unsigned)(p->bytes[at + 1] << 8 | p->bytes[at + 2]) : 0;
	return at + 4 < p->n;
}

static void ask(struct fixture *f, const char *name)
{
	f->n_waiting++;
	f->is_starting = true;
	resolver_start(f->resolver, name, RECORD_A, on_answer, f);
	f->is_starting = false;
}

static void wait_for_all(struct fixture *f)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (f->n_waiting > 0 && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_int_equal(f->n_waiting, 0);
}

static void on_answer(const struct answer *answer, void *arg)
{
	struct fixture *f = arg;

	assert_false(f->is_starting);
	f->n_waiting--;
	f->finding = answer->finding;
	*f->address = '\0';
	if (answer->n_addresses > 0)
		inet_ntop(AF_INET, answer->addresses[0].bytes, f->address, sizeof f->address);
}

/*
 * N1 to N5, N21: a forged answer comes first, the right one behind it. The right one counts; where
 * only the question section is wrong, libunbound may give the server up instead: an error, which
 * defers mail, and never a belief.
 */
static void test_forged_answers_are_ignored(void **state)
{
	static const struct {
		const char *name;
		enum trick trick;
		bool may_fail;
	} cases[] = {
		{ "honest", TRICK_NONE },
		{ "N1 wrong id", TRICK_WRONG_ID },
		{ "N2 wrong question", TRICK_WRONG_QUESTION, .may_fail = true },
		{ "N3 no question", TRICK_NO_QUESTION, .may_fail = true },
		{ "N3 two questions", TRICK_TWO_QUESTIONS, .may_fail = true },
		{ "N5 another source", TRICK_OTHER_SOURCE },
		{ "N21 case is not kept", TRICK_LOWER_CASE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture *f = fixture_start(cases[i].trick, 10000);

		ask(f, "a.test");
		wait_for_all(f);
		if (f->finding.status == ANSWER_OK && strcmp(f->address, FORGED) == 0)
			fail_msg("%s: the forged answer was believed", cases[i].name);
		if (!(cases[i].may_fail && f->finding.status == ANSWER_ERROR) &&
		    (f->finding.status != ANSWER_OK || strcmp(f->address, GOOD) != 0))
			fail_msg("%s: %s %s", cases[i].name, answer_status_name(f->finding.status),
			    f->finding.why);
		assert_int_equal(f->finding.security, SECURITY_INSECURE);
		fixture_finish(f);
	}
}

/* N4: records of somebody else in an answer of ours are neither ours nor kept for them. */
static void test_wrong_owner(void **state)
{
	struct fixture *f = fixture_start(TRICK_WRONG_OWNER, 5000);

	(void)state;
	ask(f, "a.test");
	wait_for_all(f);
	assert_string_not_equal(f->address, FORGED);
	f->server.trick = TRICK_NONE;
	ask(f, "victim.test");
	wait_for_all(f);
	assert_string_equal(f->address, GOOD);
	fixture_finish(f);
}

/* N13, N6: what a server says in trouble is an error, never an answer. */
static void test_trouble_is_an_error(void **state)
{
	static const struct {
		const char *name;
		enum trick trick;
	} cases[] = {
		{ "N13 SERVFAIL", TRICK_SERVFAIL },
		{ "N13 REFUSED", TRICK_REFUSED },
		{ "N13 silence", TRICK_SILENCE },
		{ "N6 cut, and no TCP", TRICK_CUT },
		{ "garbage", TRICK_GARBAGE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct fixture *f = fixture_start(cases[i].trick, 1500);
		int64_t before = clock_monotonic_ms();

		ask(f, "a.test");
		wait_for_all(f);
		if (f->finding.status != ANSWER_ERROR || *f->finding.why == '\0')
			fail_msg("%s: %s", cases[i].name, answer_status_name(f->finding.status));
		assert_true(clock_monotonic_ms() - before < 30000);
		fixture_finish(f);
	}
}

static void test_timeout_comes_in_time(void **state)
{
	struct fixture *f = fixture_start(TRICK_SILENCE, 300);
	int64_t before = clock_monotonic_ms();

	(void)state;
	ask(f, "a.test");
	wait_for_all(f);
	assert_int_equal(f->finding.status, ANSWER_ERROR);
	assert_string_equal(f->finding.why, "no answer in time");
	assert_in_range(clock_monotonic_ms() - before, 290, 30000);
	fixture_finish(f);
}

/* O7: as many as are asked at once get no answer; one that waited behind them still has its time. */
static void test_time_begins_with_the_asking(void **state)
{
	struct fixture *f = fixture_start(TRICK_SILENCE, 300);
	int64_t before = clock_monotonic_ms();
	char name[32];

	(void)state;
	for (int i = 0; i < RESOLVER_IN_FLIGHT_MAX; i++) {
		snprintf(name, sizeof name, "s%d.test", i);
		ask(f, name);
	}
	ask(f, "last.test");
	wait_for_all(f);
	/* libunbound may know by then that the server is dead: that is an answer too. */
	if (strcmp(f->finding.why, "no answer in time") == 0)
		assert_true(clock_monotonic_ms() - before >= 590);
	fixture_finish(f);
}

/*
 * O7, R25: as many as are asked at once get no answer for a long time. They do not count for ever: who is
 * asked next has an answer soon.
 */
static void O7_slow_servers_delay_nobody_else(void **state)
{
	struct fixture *f = fixture_start(TRICK_SILENCE, 20000);
	struct server honest;
	char slow[40], quick[40], name[32], error[200] = "";
	struct config_stub stubs[] = { { (char *)"test", slow }, { (char *)"honest", quick } };
	struct config config = { .dns_stubs = stubs, .n_dns_stubs = 2 };
	int64_t before;

	(void)state;
	server_start(&honest, f->loop, TRICK_NONE);
	snprintf(slow, sizeof slow, "127.0.0.1@%d", f->server.port);
	snprintf(quick, sizeof quick, "127.0.0.1@%d", honest.port);
	resolver_destroy(&f->resolver);
	f->resolver = resolver_create(f->loop, &config, error, sizeof error);
	assert_non_null(f->resolver);
	before = clock_monotonic_ms();
	for (int i = 0; i < RESOLVER_IN_FLIGHT_MAX; i++) {
		snprintf(name, sizeof name, "s%d.test", i);
		ask(f, name);
	}
	ask(f, "a.honest");
	while (*f->address == '\0' && clock_monotonic_ms() - before < 20000)
		loop_run_once(f->loop, true);
	assert_string_equal(f->address, GOOD);
	assert_true(clock_monotonic_ms() - before < RESOLVER_SLOW_MS + 1500);
	assert_in_range(f->n_waiting, RESOLVER_IN_FLIGHT_MAX / 2, RESOLVER_IN_FLIGHT_MAX);
	resolver_destroy(&f->resolver);
	server_stop(&honest);
	fixture_finish(f);
}

static void fail_if_called(const struct answer *answer, void *arg)
{
	(void)answer, (void)arg;
	fail_msg("the callback of a cancelled query came");
}

/* One that nobody waits for any more when its turn comes is not asked. */
static void test_nobody_waits(void **state)
{
	struct fixture *f = fixture_start(TRICK_SILENCE, 300);
	struct query *query;
	char name[32];

	(void)state;
	for (int i = 0; i < RESOLVER_IN_FLIGHT_MAX; i++) {
		snprintf(name, sizeof name, "s%d.test", i);
		ask(f, name);
	}
	query = resolver_start(f->resolver, "last.test", RECORD_A, fail_if_called, NULL);
	query_cancel(&query);
	wait_for_all(f);
	assert_true(f->server.n_asked > 0);
	assert_false(f->server.was_last_asked);
	fixture_finish(f);
}

/* A second time it comes out of the cache, from inside libunbound's own call, and still later. */
static void test_cached_answer_is_deferred(void **state)
{
	struct fixture *f = fixture_start(TRICK_NONE, 5000);
	size_t n_asked;

	(void)state;
	ask(f, "a.test");
	wait_for_all(f);
	n_asked = f->server.n_asked;
	ask(f, "a.test");
	assert_int_equal(f->n_waiting, 1);
	wait_for_all(f);
	assert_string_equal(f->address, GOOD);
	assert_int_equal(f->server.n_asked, n_asked);
	fixture_finish(f);
}

/* N22: a thousand askers of two names; each gets its answer, the server sees two questions. */
static void test_equal_questions_are_asked_once(void **state)
{
	struct fixture *f = fixture_start(TRICK_NONE, 5000);

	(void)state;
	for (int i = 0; i < 1000; i++)
		ask(f, i % 2 == 0 ? "a.test" : "b.test");
	wait_for_all(f);
	assert_int_equal(f->server.n_asked, 2);
	fixture_finish(f);
}

struct heart {
	struct timer *timer;
	int64_t last_ms, longest_ms;
};

static void on_beat(void *arg)
{
	struct heart *heart = arg;
	int64_t now = clock_monotonic_ms();

	if (now - heart->last_ms > heart->longest_ms)
		heart->longest_ms = now - heart->last_ms;
	heart->last_ms = now;
	timer_set(heart->timer, 20);
}

/* N22: a thousand names without an answer: the loop stays free, and all of them end in time. */
static void test_many_slow_questions(void **state)
{
	struct fixture *f = fixture_start(TRICK_SILENCE, 1000);
	struct heart heart = { .last_ms = clock_monotonic_ms() };
	int64_t before = clock_monotonic_ms();

	(void)state;
	heart.timer = timer_create_in(f->loop, on_beat, &heart);
	timer_set(heart.timer, 20);
	for (int i = 0; i < 1000; i++) {
		char name[40];

		snprintf(name, sizeof name, "slow%d.test", i);
		ask(f, name);
	}
	wait_for_all(f);
	assert_int_equal(f->finding.status, ANSWER_ERROR);
	assert_true(clock_monotonic_ms() - before < 30000);
	assert_true(heart.longest_ms < 5000);
	timer_destroy(&heart.timer);
	fixture_finish(f);
}

static void test_cancel(void **state)
{
	struct fixture *f = fixture_start(TRICK_NONE, 5000);
	struct query *query = resolver_start(f->resolver, "a.test", RECORD_A, fail_if_called, NULL);

	(void)state;
	/* Another of the same question goes on. */
	ask(f, "a.test");
	query_cancel(&query);
	assert_null(query);
	query_cancel(&query);
	wait_for_all(f);
	assert_string_equal(f->address, GOOD);
	/* And one that is cancelled when its answer is already there. */
	query = resolver_start(f->resolver, "a.test", RECORD_A, fail_if_called, NULL);
	query_cancel(&query);
	ask(f, "b.test");
	wait_for_all(f);
	fixture_finish(f);
}

/* Whatever is on its way when the process ends. */
static void test_destroy_with_questions(void **state)
{
	struct fixture *f = fixture_start(TRICK_SILENCE, 5000);

	(void)state;
	resolver_start(f->resolver, "a.test", RECORD_A, fail_if_called, NULL);
	resolver_start(f->resolver, "b.test", RECORD_A, fail_if_called, NULL);
	for (int i = 0; i < 10; i++)
		loop_run_once(f->loop, false);
	fixture_finish(f);
}

/* Another has nothing of the first one's cache, and may outlive it. */
static void test_another_like_it(void **state)
{
	struct fixture *f = fixture_start(TRICK_NONE, 5000);
	char server[40], error[200] = "";
	struct config_stub stub = { (char *)"test", server };
	struct config config = { .dns_stubs = &stub, .n_dns_stubs = 1 };
	struct resolver *other;

	(void)state;
	snprintf(server, sizeof server, "127.0.0.1@%d", f->server.port);
	ask(f, "a.test");
	wait_for_all(f);
	for (int validates = 0; validates < 2; validates++) {
		size_t n_asked = f->server.n_asked;

		other =
		    resolver_create_like(f->resolver, &config, validates == 1, error, sizeof error);
		assert_string_equal(error, "");
		resolver_destroy(&f->resolver);
		f->resolver = other;
		ask(f, "a.test");
		wait_for_all(f);
		assert_string_equal(f->address, GOOD);
		assert_true(f->server.n_asked > n_asked);
	}
	fixture_finish(f);
}

static void test_trust_anchors(void **state)
{
	static const struct {
		const char *name, *text;
		bool is_good;
	} table[] = {
		{ "nothing", "", true },
		{ "a comment", "; nothing\n\n", true },
		{ "a key", ". 172800 IN DNSKEY 257 3 13 ( AAAA\n BBBB ) ; a key\n", true },
		{ "a digest, without a last line end",
		    "$TTL 60\n$ORIGIN test.\nx IN DS 1 13 2 "
		    "0101010101010101010101010101010101010101010101010101010101010101",
		    true },
		{ "another record", "test. IN A 192.0.2.1\n", true },
		{ "no record", "this is no zone file\n", false },
		{ "a key that is none", ". IN DNSKEY 257 3\n", false },
	};
	struct loop *loop = loop_create();
	char path[] = "/tmp/zegel-anchor-XXXXXX";
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct config config = { .dns_trust_anchor = path };
		char error[200] = "";
		struct resolver *resolver, *other;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(
		    pwrite(fd, table[i].text, strlen(table[i].text), 0), strlen(table[i].text));
		resolver = resolver_create(loop, &config, error, sizeof error);
		if ((resolver != NULL) != table[i].is_good || (*error == '\0') != table[i].is_good)
			fail_msg("%s: %s", table[i].name, error);
		if (resolver == NULL)
			continue;
		other = resolver_create_like(resolver, &config, true, error, sizeof error);
		assert_non_null(other);
		resolver_destroy(&other);
		resolver_destroy(&resolver);
	}
	close(fd);
	unlink(path);
	loop_destroy(&loop);
}

static void test_bad_settings(void **state)
{
	struct config_stub stub = { (char *)"test", (char *)"not an address" };
	char *forwarder = (char *)"nowhere@";
	static const char no_file[] = "/nonexistent/root.key";
	struct config configs[] = {
		{ .dns_stubs = &stub, .n_dns_stubs = 1 },
		{ .dns_forwarders = &forwarder, .n_dns_forwarders = 1 },
		{ .dns_trust_anchor = (char *)no_file },
		{ .dns_trust_anchor = (char *)"/dev/null/x" },
	};
	struct loop *loop = loop_create();

	(void)state;
	for (size_t i = 0; i < sizeof configs / sizeof *configs; i++) {
		char error[200] = "";

		assert_null(resolver_create(loop, &configs[i], error, sizeof error));
		assert_string_not_equal(error, "");
	}
	loop_destroy(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forged_answers_are_ignored),
		cmocka_unit_test(test_wrong_owner),
		cmocka_unit_test(test_trouble_is_an_error),
		cmocka_unit_test(test_timeout_comes_in_time),
		cmocka_unit_test(test_time_begins_with_the_asking),
		cmocka_unit_test(O7_slow_servers_delay_nobody_else),
		cmocka_unit_test(test_nobody_waits),
		cmocka_unit_test(test_cached_answer_is_deferred),
		cmocka_unit_test(test_equal_questions_are_asked_once),
		cmocka_unit_test(test_many_slow_questions),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_destroy_with_questions),
		cmocka_unit_test(test_another_like_it),
		cmocka_unit_test(test_trust_anchors),
		cmocka_unit_test(test_bad_settings),
	};

	return cmocka_run_group_tests_name("resolver", tests, NULL, NULL);
}
