/* Streams in plaintext and TLS: what goes out, what comes in, in which order it is told, how it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <event2/buffer.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../tls/forge.h"
#include "play.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"

static struct {
	char directory[FORGE_PATH_MAX];
	struct tls_context *client, *server;
	struct tls_requirement encrypt;
} world = { .encrypt = { .level = TLS_ENCRYPT } };

static int make_world(void **state)
{
	char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX], error[500];
	struct forged self;

	(void)state;
	forge_make_directory(world.directory);
	forge(&self, (struct forge_wish){ .name = "mx.example" });
	forge_write(world.directory, "self", (const struct forged *[]){ &self, NULL });
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
	tls_context_destroy(&world.client);
	tls_context_destroy(&world.server);
	forge_remove_directory(world.directory);
	return 0;
}

static bool both_secured(struct play *p)
{
	return p->client.n_secured > 0 && p->server.n_secured > 0;
}

static bool client_secured(struct play *p)
{
	return p->client.n_secured > 0;
}

static bool server_got_some(struct play *p)
{
	return p->server.got.n > 0;
}

static bool client_got_some(struct play *p)
{
	return p->client.got.n > 0;
}

static bool client_ended(struct play *p)
{
	return p->client.n_ended > 0;
}

static bool server_ended(struct play *p)
{
	return p->server.n_ended > 0;
}

static bool client_drained(struct play *p)
{
	return p->client.n_drained > 0;
}

static void start_secure(struct play *p)
{
	play_start(p, SOCK_STREAM, true);
	stream_start_tls_server(p->server.stream, world.server);
	stream_start_tls_client(p->client.stream, world.client, &world.encrypt, "peer");
	play_until(p, both_secured);
	assert_true(outcome_is_ok(&p->client.secured));
	assert_true(outcome_is_ok(&p->server.secured));
}

/* Some bytes that would show a piece that is lost, doubled or out of order. */
static char *pattern(size_t n)
{
	char *bytes = mem_create(n);

	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)(i * 7 + i / 251);
	return bytes;
}

/* A socket that keeps the borders of writes shows that there was one. */
static void one_write_a_turn(void **state)
{
	struct play p;
	char got[100];

	(void)state;
	play_start(&p, SOCK_SEQPACKET, false);
	stream_send(p.client.stream, "MAIL\r\n", 6);
	stream_send(p.client.stream, "RCPT\r\n", 6);
	evbuffer_add_printf(stream_output(p.client.stream), "%s\r\n", "DATA");
	assert_int_equal(stream_n_unsent(p.client.stream), 18);
	assert_int_equal(recv(p.raw, got, sizeof got, 0), -1); /* not before the loop turns */
	play_until(&p, client_drained);
	assert_int_equal(recv(p.raw, got, sizeof got, 0), 18);
	assert_memory_equal(got, "MAIL\r\nRCPT\r\nDATA\r\n", 18);
	assert_int_equal(p.client.n_drained, 1);
	play_finish(&p);
}

static void calls_come_from_the_loop_only(void **state)
{
	struct side other = { .takes = true };
	struct play p;

	(void)state;
	play_start(&p, SOCK_STREAM, false);
	p.client.takes = false;
	assert_int_equal(send(p.raw, "220 x\r\n", 7, 0), 7);
	assert_int_equal(p.client.n_readable, 0);
	play_for(&p, 20);
	assert_int_equal(p.client.n_readable, 1); /* not again for bytes left there */
	assert_true(stream_has_input(p.client.stream));

	/* A new owner hears of what is there already, when the loop turns. */
	buffer_init(&other.got, 100);
	stream_set_calls(p.client.stream, &side_calls, &other);
	assert_int_equal(other.n_readable, 0);
	play_for(&p, 20);
	assert_int_equal(other.n_readable, 1);
	assert_string_equal(buffer_text(&other.got), "220 x\r\n");

	/* And of the end, if it comes later still. */
	close(p.raw);
	p.raw = -1;
	play_for(&p, 20);
	assert_int_equal(other.n_ended, 1);
	stream_set_calls(p.client.stream, &side_calls, &p.client);
	assert_int_equal(p.client.n_ended, 0);
	play_for(&p, 20);
	assert_int_equal(p.client.n_ended, 1);
	assert_int_equal(p.client.end, STREAM_END_CLEAN);
	assert_string_equal(stream_end_text(p.client.stream), "lost connection");
	buffer_finish(&other.got);
	play_finish(&p);
}

/* O5, O6: what a peer sends stays in the kernel while the input is full. */
static void o5_input_is_bounded(void **state)
{
	enum { TOTAL = 2 * 1024 * 1024, LIMIT = STREAM_READ_LIMIT };
	char *bytes = pattern(TOTAL);
	struct play p;

	(void)state;
	for (int secure = 0; secure < 2; secure++) {
		if (secure)
			start_secure(&p);
		else
			play_start(&p, SOCK_STREAM, true);
		p.server.takes = false;
		stream_send(p.client.stream, bytes, TOTAL);
		play_for(&p, 50);
		assert_int_equal(evbuffer_get_length(stream_input(p.server.stream)), LIMIT);
		assert_true(stream_n_unsent(p.client.stream) > TOTAL / 2);
		assert_int_equal(p.client.n_drained, 0);
		while (p.server.got.n < TOTAL) {
			struct evbuffer *in = stream_input(p.server.stream);
			size_t n = evbuffer_get_length(in);

			assert_true(n <= LIMIT);
			buffer_add(&p.server.got, evbuffer_pullup(in, -1), n);
			evbuffer_drain(in, n); /* from outside of a call: reading must go on */
			if (p.server.got.n < TOTAL)
				loop_run_once(p.loop, true);
		}
		assert_memory_equal(p.server.got.bytes, bytes, TOTAL);
		assert_int_equal(p.client.n_drained, 1);
		assert_int_equal(stream_n_received(p.server.stream), TOTAL);
		play_finish(&p);
	}
	free(bytes);
}

static void without_calls_reads_nothing(void **state)
{
	struct play p;

	(void)state;
	for (int secure = 0; secure < 2; secure++) {
		if (secure)
			start_secure(&p);
		else
			play_start(&p, SOCK_STREAM, true);
		stream_set_calls(p.server.stream, NULL, NULL);
		stream_send(p.client.stream, "x", 1);
		play_for(&p, 30);
		assert_int_equal(p.server.n_readable, 0);
		stream_send(p.server.stream, "still writes", 12);
		play_until(&p, client_got_some);
		assert_false(stream_has_input(p.server.stream));
		stream_set_calls(p.server.stream, &side_calls, &p.server);
		assert_int_equal(p.server.n_readable, 0);
		play_until(&p, server_got_some);
		play_finish(&p);
	}
}

/* Both ways at once, much more than the kernel holds. */
static void tls_carries_much(void **state)
{
	enum { TOTAL = 3 * 1024 * 1024 };
	char *bytes = pattern(TOTAL);
	struct play p;

	(void)state;
	start_secure(&p);
	stream_send(p.client.stream, bytes, TOTAL);
	stream_send(p.server.stream, bytes, TOTAL);
	while (p.client.got.n < TOTAL || p.server.got.n < TOTAL)
		loop_run_once(p.loop, true);
	assert_memory_equal(p.client.got.bytes, bytes, TOTAL);
	assert_memory_equal(p.server.got.bytes, bytes, TOTAL);
	assert_string_equal(stream_evidence(p.client.stream)->protocol, "TLSv1.3");
	assert_int_equal(p.client.n_secured, 1);
	free(bytes);
	play_finish(&p);
}

/* S28: what stood behind STARTTLS is dropped; the 220 still goes out in plaintext. */
static void s28_plaintext_behind_starttls(void **state)
{
	struct play p;

	(void)state;
	play_start(&p, SOCK_STREAM, true);
	p.server.takes = false;
	stream_send(p.client.stream, "STARTTLS\r\nMAIL FROM:<evil@example>\r\n", 37);
	while (p.server.n_readable == 0)
		loop_run_once(p.loop, true);
	stream_send(p.server.stream, "220 2.0.0 Ready\r\n", 17);
	stream_start_tls_server(p.server.stream, world.server);
	assert_false(stream_has_input(p.server.stream));
	assert_null(stream_evidence(p.server.stream));
	play_until(&p, client_got_some);
	assert_string_equal(buffer_text(&p.client.got), "220 2.0.0 Ready\r\n");
	p.server.takes = true;
	stream_start_tls_client(p.client.stream, world.client, &world.encrypt, "peer");
	stream_send(p.client.stream, "EHLO x\r\n", 8); /* waits for the handshake */
	play_until(&p, server_got_some);
	assert_string_equal(buffer_text(&p.server.got), "EHLO x\r\n");
	assert_non_null(stream_evidence(p.server.stream));
	play_finish(&p);
}

static void t27_s30_ends_of_tls(void **state)
{
	struct play p;

	(void)state;
	start_secure(&p);
	stream_send(p.client.stream, "DATA...", 7);
	play_until(&p, server_got_some);
	stream_destroy(&p.client.stream); /* no close_notify */
	play_until(&p, server_ended);
	assert_int_equal(p.server.end, STREAM_END_TRUNCATED);
	play_finish(&p);

	start_secure(&p);
	stream_send(p.client.stream, "QUIT\r\n", 6);
	stream_close(&p.client.stream, 10000, NULL, NULL);
	assert_null(p.client.stream);
	play_until(&p, server_ended);
	assert_int_equal(p.server.end, STREAM_END_CLEAN);
	assert_string_equal(buffer_text(&p.server.got), "QUIT\r\n");
	stream_close(&p.server.stream, 10000, NULL, NULL);
	play_for(&p, 50);
	play_finish(&p);
}

static void on_gone(void *arg)
{
	++*(int *)arg;
}

/* Everything is sent before the close, the peer's chatter cannot hurt it, and gone is told once. */
static void close_after_flush(void **state)
{
	enum { TOTAL = 1024 * 1024 };
	char *bytes = pattern(TOTAL);
	struct play p;
	int n_gone;

	(void)state;
	for (int secure = 0; secure < 2; secure++) {
		n_gone = 0;
		if (secure)
			start_secure(&p);
		else
			play_start(&p, SOCK_STREAM, true);
		stream_send(p.client.stream, bytes, 1000);
		stream_send(p.server.stream, bytes, TOTAL);
		stream_close(&p.server.stream, 60000, on_gone, &n_gone);
		assert_int_equal(n_gone, 0);
		play_until(&p, client_ended);
		assert_int_equal(p.client.end, STREAM_END_CLEAN);
		assert_int_equal(p.client.got.n, TOTAL);
		assert_memory_equal(p.client.got.bytes, bytes, TOTAL);
		stream_destroy(&p.client.stream);
		while (n_gone == 0)
			loop_run_once(p.loop, true);
		play_for(&p, 10);
		assert_int_equal(n_gone, 1);
		assert_int_equal(p.server.n_ended, 0);
		play_finish(&p);
	}
	free(bytes);
}

static void linger_has_an_end(void **state)
{
	enum { LINGER_MS = 50 };
	int64_t begun_ms;
	char *bytes = pattern(1024 * 1024);
	struct play p;
	int n_gone = 0;

	(void)state;
	/* A peer that reads nothing, and one that never closes. */
	for (size_t n = 1024 * 1024; n > 0; n = n > 10 ? 10 : 0) {
		play_start(&p, SOCK_STREAM, false);
		stream_send(p.client.stream, bytes, n);
		begun_ms = clock_monotonic_ms();
		stream_close(&p.client.stream, LINGER_MS, on_gone, &n_gone);
		while (n_gone == 0)
			loop_run_once(p.loop, true);
		/* The timer may be a little early by another clock. */
		assert_true(clock_monotonic_ms() - begun_ms >= LINGER_MS / 2);
		play_for(&p, 10);
		assert_int_equal(n_gone, 1);
		n_gone = 0;
		play_finish(&p);
	}
	/* And one that never stops talking. */
	play_start(&p, SOCK_STREAM, false);
	stream_close(&p.client.stream, 60000, on_gone, &n_gone);
	while (n_gone == 0) {
		while (send(p.raw, bytes, 1024 * 1024, MSG_NOSIGNAL) > 0)
			;
		loop_run_once(p.loop, true);
	}
	free(bytes);
	play_finish(&p);
}

/* R9: a refusal that came before the connection broke is heard before the end is. */
static void r9_last_words_are_heard(void **state)
{
	struct play p;

	(void)state;
	play_start(&p, SOCK_STREAM, false);
	stream_set_calls(p.client.stream, NULL, NULL);
	play_for(&p, 5);
	assert_int_equal(send(p.raw, "421 go away\r\n", 13, 0), 13);
	close(p.raw);
	p.raw = -1;
	stream_set_calls(p.client.stream, &side_calls, &p.client);
	stream_send(p.client.stream, "MAIL FROM:<a@b>\r\n", 17);
	play_until(&p, client_ended);
	assert_string_equal(buffer_text(&p.client.got), "421 go away\r\n");
	assert_int_equal(p.client.n_readable, 1);
	assert_int_equal(p.client.end, STREAM_END_ERROR);
	stream_send(p.client.stream, "QUIT\r\n", 6); /* into nothing, and nothing more is told */
	play_for(&p, 20);
	assert_int_equal(p.client.n_ended, 1);
	assert_int_equal(p.client.n_drained, 0);
	play_finish(&p);
}

/* A stream that waits, for whatever reason, lets the loop sleep. */
static void waiting_does_not_spin(void **state)
{
	char *bytes = pattern(1024 * 1024);
	struct play p;

	(void)state;
	for (int secure = 0; secure < 2; secure++) {
		if (secure)
			start_secure(&p);
		else
			play_start(&p, SOCK_STREAM, true);
		play_for(&p, 5);
		assert_true(play_for(&p, 60) <= 2); /* idle */
		p.server.takes = false;
		stream_send(p.client.stream, bytes, 1024 * 1024);
		play_for(&p, 20);
		assert_true(play_for(&p, 60) <= 2); /* input full here, output blocked there */
		stream_set_calls(p.server.stream, NULL, NULL);
		evbuffer_drain(stream_input(p.server.stream), 1000);
		play_for(&p, 20);
		assert_true(play_for(&p, 60) <= 2); /* nobody to tell, and room for more */
		stream_destroy(&p.server.stream);
		play_for(&p, 20);
		assert_true(play_for(&p, 60) <= 2); /* ended */
		play_finish(&p);
	}
	play_start(&p, SOCK_STREAM, true);
	stream_start_tls_server(p.server.stream, world.server);
	stream_start_tls_client(p.client.stream, world.client, &world.encrypt, "peer");
	stream_set_calls(p.client.stream, NULL, NULL);
	play_for(&p, 50);
	assert_true(play_for(&p, 60) <= 2); /* secured, and nobody to tell */
	stream_set_calls(p.client.stream, &side_calls, &p.client);
	play_until(&p, client_secured);
	play_finish(&p);
	free(bytes);
}

static void broken_write_ends_the_stream(void **state)
{
	char *bytes = pattern(STREAM_READ_LIMIT + 1);
	struct play p;

	(void)state;
	for (int secure = 0; secure < 2; secure++) {
		if (secure)
			start_secure(&p);
		else
			play_start(&p, SOCK_STREAM, true);
		/* The input is full, so the end is not heard of by reading. */
		p.client.takes = false;
		stream_send(p.server.stream, bytes, STREAM_READ_LIMIT + 1);
		play_for(&p, 30);
		stream_destroy(&p.server.stream);
		play_for(&p, 5);
		assert_int_equal(p.client.n_ended, 0);
		stream_send(p.client.stream, "x", 1);
		play_until(&p, client_ended);
		assert_int_equal(p.client.end, STREAM_END_ERROR);
		assert_non_null(strstr(stream_end_text(p.client.stream), "Broken pipe"));
		assert_int_equal(stream_n_unsent(p.client.stream), 0);
		play_finish(&p);
	}
	free(bytes);
}

/* After the peer's FIN we can still answer. */
static void half_closed_can_be_answered(void **state)
{
	struct play p;
	char got[10];

	(void)state;
	play_start(&p, SOCK_STREAM, false);
	shutdown(p.raw, SHUT_WR);
	play_until(&p, client_ended);
	assert_int_equal(p.client.end, STREAM_END_CLEAN);
	stream_send(p.client.stream, "221", 3);
	play_until(&p, client_drained);
	assert_int_equal(recv(p.raw, got, sizeof got, 0), 3);
	play_finish(&p);
}

static void handshake_that_fails(void **state)
{
	static const char *const answers[] = { "500 what?\r\n", "" };
	struct play p;

	(void)state;
	for (int i = 0; i < 2; i++) {
		play_start(&p, SOCK_STREAM, false);
		stream_start_tls_client(p.client.stream, world.client, &world.encrypt, "peer");
		stream_send(p.client.stream, "secret", 6);
		assert_int_equal(
		    send(p.raw, answers[i], strlen(answers[i]), 0), strlen(answers[i]));
		shutdown(p.raw, SHUT_WR);
		play_until(&p, client_secured);
		play_for(&p, 20);
		assert_string_equal(p.client.secured.name, "tls-handshake");
		assert_int_equal(p.client.n_secured, 1);
		assert_int_equal(p.client.n_readable, 0);
		assert_null(stream_evidence(p.client.stream));
		/* The secret never left. */
		while (true) {
			char sent[2000];
			ssize_t n = recv(p.raw, sent, sizeof sent, 0);

			if (n <= 0)
				break;
			assert_null(memmem(sent, (size_t)n, "secret", 6));
		}
		play_finish(&p);
	}
}

/* The stream may be destroyed in every call: the sanitizer watches. */
static void destroyed_in_a_call(void **state)
{
	struct play p;

	(void)state;
	play_start(&p, SOCK_STREAM, true); /* readable, with more to tell */
	p.server.leaves = true;
	stream_send(p.client.stream, "x", 1);
	stream_close(&p.client.stream, 1000, NULL, NULL);
	play_for(&p, 30);
	assert_int_equal(p.server.n_readable, 1);
	assert_int_equal(p.server.n_ended, 0);
	play_finish(&p);

	play_start(&p, SOCK_STREAM, true); /* drained */
	p.client.leaves = true;
	stream_send(p.client.stream, "x", 1);
	play_until(&p, client_drained);
	assert_null(p.client.stream);
	play_finish(&p);

	play_start(&p, SOCK_STREAM, true); /* secured */
	p.client.leaves = true;
	stream_start_tls_server(p.server.stream, world.server);
	stream_start_tls_client(p.client.stream, world.client, &world.encrypt, "peer");
	play_until(&p, client_secured);
	assert_null(p.client.stream);
	play_for(&p, 30);
	play_finish(&p);

	play_start(&p, SOCK_STREAM, true); /* ended */
	p.client.leaves = true;
	stream_destroy(&p.server.stream);
	play_until(&p, client_ended);
	assert_null(p.client.stream);
	play_finish(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_write_a_turn),
		cmocka_unit_test(calls_come_from_the_loop_only),
		cmocka_unit_test(o5_input_is_bounded),
		cmocka_unit_test(without_calls_reads_nothing),
		cmocka_unit_test(tls_carries_much),
		cmocka_unit_test(s28_plaintext_behind_starttls),
		cmocka_unit_test(t27_s30_ends_of_tls),
		cmocka_unit_test(close_after_flush),
		cmocka_unit_test(linger_has_an_end),
		cmocka_unit_test(r9_last_words_are_heard),
		cmocka_unit_test(waiting_does_not_spin),
		cmocka_unit_test(broken_write_ends_the_stream),
		cmocka_unit_test(half_closed_can_be_answered),
		cmocka_unit_test(handshake_that_fails),
		cmocka_unit_test(destroyed_in_a_call),
	};

	return cmocka_run_group_tests(tests, make_world, end_world);
}
