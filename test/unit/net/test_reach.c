/* Dial and secure: from a host of the plan to a stream that shows what is required, or why not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tls/forge.h"
#include "play.h"
#include "relay/dial.h"
#include "relay/secure.h"
#include "tls/openssl.h"

enum { HOLE_MAX = 8, PATIENCE_MS = 150 };

/* A place on the loopback that answers, refuses, or swallows every SYN. */
struct place {
	union plan_address address;
	int fd;
	int fillers[HOLE_MAX];
};

struct told {
	struct dial_result dialed;
	struct outcome secured;
	int n;
};

static struct {
	char directory[FORGE_PATH_MAX];
	struct tlsa_record pin;
	struct tls_context *client, *server;
} world;

static int make_world(void **state)
{
	char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX], error[500];
	struct forged self;

	(void)state;
	forge_make_directory(world.directory);
	forge(&self, (struct forge_wish){ .name = "mx.example" });
	forge_write(world.directory, "self", (const struct forged *[]){ &self, NULL });
	world.pin = forge_tlsa(&self, 3, 0, 1, true);
	forged_finish(&self);
	forge_path(world.directory, "self.pem", certificate);
	forge_path(world.directory, "self.key", key);
	world.client = tls_context_create_client("/nonexistent/ca.pem");
	world.server = tls_context_create_server(certificate, key, error, sizeof error);
	assert_non_null(world.server);
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	free(world.pin.data);
	tls_context_destroy(&world.client);
	tls_context_destroy(&world.server);
	forge_remove_directory(world.directory);
	return 0;
}

static void place_open(struct place *p, const char *address, int backlog)
{
	bool is_ipv6 = strchr(address, ':') != NULL;
	socklen_t n = is_ipv6 ? sizeof p->address.ipv6 : sizeof p->address.ipv4;

	*p = (struct place){ .fd = -1 };
	p->address.any.sa_family = is_ipv6 ? AF_INET6 : AF_INET;
	if (is_ipv6)
		inet_pton(AF_INET6, address, &p->address.ipv6.sin6_addr);
	else
		inet_pton(AF_INET, address, &p->address.ipv4.sin_addr);
	for (int i = 0; i < HOLE_MAX; i++)
		p->fillers[i] = -1;
	p->fd = socket(p->address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(p->fd, &p->address.any, n), 0);
	assert_int_equal(getsockname(p->fd, &p->address.any, &n), 0);
	if (backlog >= 0)
		assert_int_equal(listen(p->fd, backlog), 0);
}

static void place_close(struct place *p)
{
	for (int i = 0; i < HOLE_MAX; i++) {
		if (p->fillers[i] >= 0)
			close(p->fillers[i]);
	}
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

/* Once the backlog is full the kernel drops what knocks. */
static void place_open_hole(struct place *p, const char *address)
{
	socklen_t n;

	place_open(p, address, 0);
	n = p->address.any.sa_family == AF_INET6 ? sizeof p->address.ipv6 : sizeof p->address.ipv4;
	for (int i = 0; i < HOLE_MAX; i++) {
		p->fillers[i] =
		    socket(p->address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		assert_true(
		    connect(p->fillers[i], &p->address.any, n) == 0 || errno == EINPROGRESS);
		usleep(1000);
	}
}

/* Bound, so that nobody else comes to listen there. */
static void place_open_refusing(struct place *p, const char *address)
{
	place_open(p, address, -1);
}

static void on_dialed(const struct dial_result *result, void *arg)
{
	struct told *a = arg;

	a->n++;
	a->dialed = *result;
}

static void dial_all(
    struct loop *loop, struct place *const *places, size_t n, size_t first, struct told *a)
{
	struct plan_host host = { .name = "mx.example", .n_addresses = n };

	*a = (struct told){ .n = 0 };
	for (size_t i = 0; i < n; i++)
		host.addresses[i] = places[i]->address;
	dial_start(loop, &host, first, PATIENCE_MS, on_dialed, a);
	memset(&host, 0xff, sizeof host);
	assert_int_equal(a->n, 0); /* never from inside start */
	while (a->n == 0)
		loop_run_once(loop, true);
	loop_run_once(loop, false);
	assert_int_equal(a->n, 1);
}

static void r30_addresses_in_order(void **state)
{
	struct place good, other, refuses, hole;
	struct loop *loop = loop_create();
	char peer[OUTCOME_WHO_MAX];
	struct told a;

	(void)state;
	place_open(&good, "127.0.0.1", 16);
	place_open(&other, "127.0.0.2", 16);
	place_open_refusing(&refuses, "127.0.0.1");
	place_open_hole(&hole, "::1");

	const struct {
		struct place *places[3];
		size_t n, first, at;
	} table[] = {
		{ { &good, &other }, 2, 0, 0 },
		{ { &good, &other }, 2, 1, 1 },
		{ { &refuses, &good }, 2, 0, 1 },
		{ { &hole, &good }, 2, 0, 1 }, /* the black hole on IPv6 */
		{ { &hole, &refuses, &other }, 3, 0, 2 },
	};
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct place *reached = table[i].places[table[i].at];
		char address[INET_ADDRSTRLEN];

		dial_all(loop, table[i].places, table[i].n, table[i].first, &a);
		assert_true(outcome_is_ok(&a.dialed.outcome));
		assert_int_equal(a.dialed.at, table[i].at);
		inet_ntop(AF_INET, &reached->address.ipv4.sin_addr, address, sizeof address);
		snprintf(peer, sizeof peer, "mx.example[%s]:%u", address,
		    ntohs(reached->address.ipv4.sin_port));
		assert_string_equal(a.dialed.peer, peer);
		assert_true(fcntl(stream_fd(a.dialed.stream), F_GETFD) & FD_CLOEXEC);
		assert_true(fcntl(stream_fd(a.dialed.stream), F_GETFL) & O_NONBLOCK);
		stream_destroy(&a.dialed.stream);
	}
	place_close(&good);
	place_close(&other);
	place_close(&hole);
	place_close(&refuses);
	loop_destroy(&loop);
}

static void nobody_answers(void **state)
{
	struct place refuses, hole;
	struct loop *loop = loop_create();
	char expected[OUTCOME_TEXT_MAX];
	struct told a;

	(void)state;
	place_open_refusing(&refuses, "127.0.0.1");
	place_open_hole(&hole, "::1");
	dial_all(loop, (struct place *[]){ &hole, &refuses }, 2, 0, &a);
	assert_null(a.dialed.stream);
	assert_int_equal(a.dialed.outcome.class, OUTCOME_DEFER);
	assert_string_equal(a.dialed.outcome.enhanced, "4.4.1");
	assert_string_equal(a.dialed.outcome.name, "connect");
	snprintf(expected, sizeof expected,
	    "connect to mx.example[::1]:%u: Connection timed out; "
	    "connect to mx.example[127.0.0.1]:%u: Connection refused",
	    ntohs(hole.address.ipv6.sin6_port), ntohs(refuses.address.ipv4.sin_port));
	assert_string_equal(a.dialed.outcome.text, expected);

	dial_all(loop, NULL, 0, 0, &a);
	assert_string_equal(a.dialed.outcome.text, "mx.example has no address to connect to");
	dial_all(loop, (struct place *[]){ &refuses }, 1, 1, &a);
	assert_string_equal(a.dialed.outcome.text, "mx.example has no other address to connect to");
	place_close(&hole);
	place_close(&refuses);
	loop_destroy(&loop);
}

static void dial_cancelled(void **state)
{
	struct plan_host host = { .name = "mx.example", .n_addresses = 1 };
	struct play p;
	struct told a = { .n = 0 };
	struct place hole;
	struct dial *dial;

	(void)state;
	play_start(&p, SOCK_STREAM, false);
	place_open_hole(&hole, "127.0.0.1");
	host.addresses[0] = hole.address;
	dial = dial_start(p.loop, &host, 0, 50, on_dialed, &a);
	dial_cancel(&dial);
	assert_null(dial);
	dial = dial_start(p.loop, &host, 0, 50, on_dialed, &a);
	play_for(&p, 20);
	dial_cancel(&dial);
	play_for(&p, 100);
	assert_int_equal(a.n, 0);
	dial_cancel(&dial);
	place_close(&hole);
	play_finish(&p);
}

static void on_secured(const struct outcome *outcome, void *arg)
{
	struct told *a = arg;

	a->n++;
	a->secured = *outcome;
}

static struct secure *secure(struct play *p, const struct tls_requirement *r, struct told *a)
{
	struct secure *s;

	*a = (struct told){ .n = 0 };
	s = secure_start(p->loop, p->client.stream, world.client, r, "mx.example[192.0.2.1]:25",
	    PATIENCE_MS, on_secured, a);
	assert_int_equal(a->n, 0);
	return s;
}

static void wait_for(struct play *p, struct told *a)
{
	while (a->n == 0)
		loop_run_once(p->loop, true);
	play_for(p, 20);
	assert_int_equal(a->n, 1);
}

static void secured_as_required(void **state)
{
	uint8_t wrong[32] = { 0 };
	struct tlsa_record wrong_pin = { 3, 0, 1, wrong, sizeof wrong };
	struct tls_requirement r = { .level = TLS_FINGERPRINT,
		.demand = DEMAND_PARTNER,
		.tlsa = &world.pin,
		.n_tlsa = 1,
		.tlsa_pinned = true };
	struct play p;
	struct told a;

	(void)state;
	play_start(&p, SOCK_STREAM, true);
	stream_start_tls_server(p.server.stream, world.server);
	secure(&p, &r, &a);
	wait_for(&p, &a);
	assert_true(outcome_is_ok(&a.secured));
	assert_int_equal(stream_evidence(p.client.stream)->achieved, TLS_FINGERPRINT);
	stream_send(p.server.stream, "250 x\r\n", 7);
	play_for(&p, 20);
	stream_set_calls(p.client.stream, &side_calls, &p.client);
	play_for(&p, 20);
	assert_string_equal(buffer_text(&p.client.got), "250 x\r\n");
	play_finish(&p);

	r.tlsa = &wrong_pin;
	play_start(&p, SOCK_STREAM, true);
	stream_start_tls_server(p.server.stream, world.server);
	secure(&p, &r, &a);
	stream_send(p.client.stream, "EHLO secret\r\n", 13);
	wait_for(&p, &a);
	assert_string_equal(a.secured.name, "fingerprint-mismatch");
	assert_string_equal(a.secured.who, "mx.example[192.0.2.1]:25");
	assert_null(stream_evidence(p.client.stream));
	stream_destroy(&p.client.stream);
	play_for(&p, 20);
	assert_int_equal(p.server.got.n, 0);
	play_finish(&p);
}

/* Is a connection that is there already good enough for the next message? */
static void stream_is_judged_later(void **state)
{
	uint8_t wrong[32] = { 0 };
	struct tlsa_record wrong_pin = { 3, 0, 1, wrong, sizeof wrong };
	struct tls_requirement may = { .level = TLS_MAY }, encrypt = { .level = TLS_ENCRYPT };
	struct tls_requirement pinned = {
		.level = TLS_FINGERPRINT, .tlsa = &world.pin, .n_tlsa = 1, .tlsa_pinned = true
	};
	struct tls_evidence evidence;
	struct outcome verdict;
	struct play p;
	struct told a;

	(void)state;
	play_start(&p, SOCK_STREAM, true);
	stream_judge(p.client.stream, &may, &evidence, &verdict);
	assert_true(outcome_is_ok(&verdict));
	assert_int_equal(evidence.achieved, TLS_NONE);
	stream_judge(p.client.stream, &encrypt, NULL, &verdict);
	assert_string_equal(verdict.name, "starttls-missing");
	assert_string_equal(verdict.enhanced, "4.7.4");

	stream_start_tls_server(p.server.stream, world.server);
	secure(&p, &encrypt, &a);
	wait_for(&p, &a);
	stream_judge(p.client.stream, &may, &evidence, &verdict);
	assert_true(outcome_is_ok(&verdict));
	assert_int_equal(evidence.achieved, TLS_ENCRYPT);
	stream_judge(p.client.stream, &pinned, &evidence, &verdict);
	assert_true(outcome_is_ok(&verdict));
	assert_int_equal(evidence.achieved, TLS_FINGERPRINT);
	pinned.tlsa = &wrong_pin;
	stream_judge(p.client.stream, &pinned, &evidence, &verdict);
	assert_string_equal(verdict.name, "fingerprint-mismatch");
	assert_int_equal(evidence.achieved, TLS_ENCRYPT);
	assert_int_equal(stream_evidence(p.client.stream)->achieved, TLS_ENCRYPT);
	play_finish(&p);
}

/* R28: talk behind the 220, before the handshake. */
static void r28_early_input(void **state)
{
	struct tls_requirement r = { .level = TLS_MAY };
	struct play p;
	struct told a;

	(void)state;
	play_start(&p, SOCK_STREAM, false);
	p.client.takes = false;
	assert_int_equal(send(p.raw, "250 injected\r\n", 14, 0), 14);
	play_for(&p, 20);
	secure(&p, &r, &a);
	wait_for(&p, &a);
	assert_string_equal(a.secured.name, "starttls-early-input");
	assert_int_equal(a.secured.class, OUTCOME_DEFER);
	play_finish(&p);
}

/* R28, R29: the talk comes a moment later, where a handshake is expected. */
static void r28_plaintext_in_the_handshake(void **state)
{
	struct tls_requirement r = { .level = TLS_MAY };
	struct play p;
	struct told a;

	(void)state;
	play_start(&p, SOCK_STREAM, false);
	secure(&p, &r, &a);
	assert_int_equal(send(p.raw, "250 injected\r\n", 14, 0), 14);
	wait_for(&p, &a);
	assert_string_equal(a.secured.name, "tls-handshake");
	play_finish(&p);
}

/* T28: nothing comes, or only the first bytes of a record. */
static void t28_stalled_handshake(void **state)
{
	struct tls_requirement r = { .level = TLS_MAY };
	struct play p;
	struct told a;

	(void)state;
	for (size_t n = 0; n < 4; n++) {
		play_start(&p, SOCK_STREAM, false);
		secure(&p, &r, &a);
		assert_int_equal(send(p.raw, "\x16\x03\x03", n, 0), n);
		wait_for(&p, &a);
		assert_string_equal(a.secured.name, "tls-timeout");
		play_finish(&p);
	}
}

/* T28: the first flight of the server's but for a byte, or the whole of it and no second. */
static void t28_stalled_at_each_flight(void **state)
{
	static const struct {
		int version;
		size_t missing;
	} table[] = { { TLS1_3_VERSION, 1 }, { TLS1_2_VERSION, 1 }, { TLS1_2_VERSION, 0 } };
	struct tls_requirement r = { .level = TLS_MAY };
	struct tls_session *server;
	char flight[16 * 1024];
	struct play p;
	struct told a;
	int fd[2];

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		ssize_t n = -1;

		SSL_CTX_set_max_proto_version(world.server->ctx, table[i].version);
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
		play_start(&p, SOCK_STREAM, false);
		secure(&p, &r, &a);
		for (int turn = 0; turn < 100 && n < 0; turn++) {
			loop_run_once(p.loop, false);
			n = recv(p.raw, flight, sizeof flight, 0);
		}
		assert_true(n > 0);
		assert_int_equal(send(fd[1], flight, (size_t)n, 0), n);
		server = tls_session_create_server(world.server, fd[0]);
		assert_int_equal(tls_session_handshake(server), TLS_STEP_WANT_READ);
		n = recv(fd[1], flight, sizeof flight, 0) - (ssize_t)table[i].missing;
		assert_int_equal(send(p.raw, flight, (size_t)n, 0), n);
		wait_for(&p, &a);
		assert_string_equal(a.secured.name, "tls-timeout");
		tls_session_destroy(&server);
		close(fd[0]);
		close(fd[1]);
		play_finish(&p);
	}
	SSL_CTX_set_max_proto_version(world.server->ctx, 0);
}

static void secure_cancelled(void **state)
{
	struct tls_requirement r = { .level = TLS_MAY };
	struct secure *s;
	struct play p;
	struct told a;

	(void)state;
	play_start(&p, SOCK_STREAM, false);
	s = secure(&p, &r, &a);
	play_for(&p, 20);
	secure_cancel(&s);
	stream_destroy(&p.client.stream);
	play_for(&p, 200);
	assert_int_equal(a.n, 0);
	secure_cancel(&s);
	play_finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(r30_addresses_in_order),
		cmocka_unit_test(nobody_answers),
		cmocka_unit_test(dial_cancelled),
		cmocka_unit_test(secured_as_required),
		cmocka_unit_test(stream_is_judged_later),
		cmocka_unit_test(r28_early_input),
		cmocka_unit_test(r28_plaintext_in_the_handshake),
		cmocka_unit_test(t28_stalled_handshake),
		cmocka_unit_test(t28_stalled_at_each_flight),
		cmocka_unit_test(secure_cancelled),
	};

	return cmocka_run_group_tests(tests, make_world, end_world);
}
