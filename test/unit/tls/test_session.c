/* A session's bytes and its ends, and peers that do not do as they should. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "forge.h"
#include "meet.h"
#include "relay/base/mem.h"
#include "tls/openssl.h"

static struct {
	char directory[FORGE_PATH_MAX];
	char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX];
	struct tls_context *client, *server;
	struct tls_requirement may, encrypt;
} world = { .may = { .level = TLS_MAY }, .encrypt = { .level = TLS_ENCRYPT } };

static int make_world(void **state)
{
	struct forged self;
	char error[500];

	(void)state;
	forge_make_directory(world.directory);
	forge(&self, (struct forge_wish){ .name = "mx.example", .rsa_bits = 2048 });
	forge_write(world.directory, "self", (const struct forged *[]){ &self, NULL });
	forged_finish(&self);
	forge_path(world.directory, "self.pem", world.certificate);
	forge_path(world.directory, "self.key", world.key);
	world.client = tls_context_create_client("/nonexistent/ca.pem");
	world.server = tls_context_create_server(world.certificate, world.key, error, sizeof error);
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

static void open_meeting(struct meeting *m)
{
	meet(m, world.client, world.server, &world.encrypt);
	assert_int_equal(meet_shake(m), TLS_STEP_DONE);
}

static void bytes_go_both_ways(void **state)
{
	struct meeting m;
	char got[100];
	size_t n;

	(void)state;
	open_meeting(&m);
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_WANT_READ);
	assert_int_equal(tls_session_write(m.client, "EHLO x\r\n", 8, &n), TLS_STEP_DONE);
	assert_int_equal(n, 8);
	assert_int_equal(tls_session_read(m.server, got, 4, &n), TLS_STEP_DONE);
	assert_memory_equal(got, "EHLO", 4);
	assert_true(tls_session_has_pending(m.server));
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_DONE);
	assert_int_equal(n, 4);
	assert_false(tls_session_has_pending(m.server));
	assert_int_equal(tls_session_write(m.server, "250 x\r\n", 7, &n), TLS_STEP_DONE);
	assert_int_equal(tls_session_read(m.client, got, sizeof got, &n), TLS_STEP_DONE);
	assert_memory_equal(got, "250 x\r\n", 7);
	assert_int_equal(tls_session_evidence(m.server)->trust, TLS_ANONYMOUS);
	meet_finish(&m);
}

/* T25: full records, a peer that does not read, and a write taken up again from another place. */
static void t25_blocked_write_goes_on(void **state)
{
	enum { TOTAL = 3 * 1024 * 1024, RECORD = 16 * 1024 };
	char *sent = mem_create(TOTAL), *copy, got[RECORD];
	size_t n_sent = 0, n_got = 0, n;
	struct meeting m;
	int blocked = 0;

	(void)state;
	for (size_t i = 0; i < TOTAL; i++)
		sent[i] = (char)(i * 7 + i / 251);
	open_meeting(&m);
	while (n_got < TOTAL) {
		enum tls_step step = TLS_STEP_WANT_READ;
		size_t left = TOTAL - n_sent;

		if (left > 0) {
			copy = mem_copy(sent + n_sent, left < RECORD ? left : RECORD);
			step = tls_session_write(m.client, copy, left < RECORD ? left : RECORD, &n);
			free(copy);
			n_sent += n;
		}
		if (left > 0 && step == TLS_STEP_DONE)
			continue;
		assert_true(left == 0 || step == TLS_STEP_WANT_WRITE);
		blocked += left > 0;
		while (tls_session_read(m.server, got, sizeof got, &n) == TLS_STEP_DONE) {
			assert_memory_equal(got, sent + n_got, n);
			n_got += n;
		}
	}
	assert_true(blocked > 0);
	assert_int_equal(n_sent, n_got);
	free(sent);
	meet_finish(&m);
}

static void closed_cleanly(void **state)
{
	struct meeting m;
	char got[10];
	size_t n;

	(void)state;
	open_meeting(&m);
	assert_int_equal(tls_session_write(m.client, "x", 1, &n), TLS_STEP_DONE);
	assert_int_equal(tls_session_shutdown(m.client), TLS_STEP_DONE);
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_DONE);
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_CLOSED);
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_CLOSED);
	/* We may still answer (RFC 8446 6.1), and the other hears it. */
	assert_int_equal(tls_session_write(m.server, "bye", 3, &n), TLS_STEP_DONE);
	assert_int_equal(tls_session_read(m.client, got, sizeof got, &n), TLS_STEP_DONE);
	assert_memory_equal(got, "bye", 3);
	assert_int_equal(tls_session_shutdown(m.server), TLS_STEP_DONE);
	assert_int_equal(tls_session_read(m.client, got, sizeof got, &n), TLS_STEP_CLOSED);
	meet_finish(&m);
}

/* S30, T27: what came before is given, and then it is told that no close_notify followed. */
static void s30_t27_closed_without_notify(void **state)
{
	struct meeting m;
	char got[40];
	size_t n;

	(void)state;
	for (int side = 0; side < 2; side++) {
		struct tls_session **leaver, **stayer;

		open_meeting(&m);
		leaver = side == 0 ? &m.client : &m.server;
		stayer = side == 0 ? &m.server : &m.client;
		assert_int_equal(
		    tls_session_write(*leaver, "250 2.0.0 Ok\r\n", 14, &n), TLS_STEP_DONE);
		close(m.fd[side]);
		m.fd[side] = -1;
		assert_int_equal(tls_session_read(*stayer, got, sizeof got, &n), TLS_STEP_DONE);
		assert_int_equal(n, 14);
		assert_int_equal(
		    tls_session_read(*stayer, got, sizeof got, &n), TLS_STEP_TRUNCATED);
		assert_int_equal(
		    tls_session_read(*stayer, got, sizeof got, &n), TLS_STEP_TRUNCATED);
		assert_int_equal(tls_session_write(*stayer, "x", 1, &n), TLS_STEP_FAILED);
		meet_finish(&m);
	}
}

/* S23: half a record, then nothing more. */
static void s23_closed_inside_a_record(void **state)
{
	char record[200], got[40];
	struct meeting m;
	ssize_t n_record;
	size_t n;

	(void)state;
	open_meeting(&m);
	assert_int_equal(tls_session_write(m.client, "QUIT\r\n", 6, &n), TLS_STEP_DONE);
	n_record = recv(m.fd[1], record, sizeof record, 0);
	assert_true(n_record > 10);
	assert_int_equal(send(m.fd[0], record, (size_t)n_record / 2, 0), n_record / 2);
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_WANT_READ);
	shutdown(m.fd[0], SHUT_WR);
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_TRUNCATED);
	meet_finish(&m);
}

static void tampered_record_fails(void **state)
{
	char record[200], got[40];
	struct meeting m;
	ssize_t n_record;
	size_t n;

	(void)state;
	open_meeting(&m);
	assert_int_equal(tls_session_write(m.client, "QUIT\r\n", 6, &n), TLS_STEP_DONE);
	n_record = recv(m.fd[1], record, sizeof record, 0);
	record[n_record - 1] ^= 1;
	assert_int_equal(send(m.fd[0], record, (size_t)n_record, 0), n_record);
	assert_int_equal(tls_session_read(m.server, got, sizeof got, &n), TLS_STEP_FAILED);
	assert_string_equal(tls_session_outcome(m.server)->name, "tls-connection");
	meet_finish(&m);
}

/* The write breaks, without a signal, and what the peer had said is still there to be read. */
static void broken_write_leaves_input(void **state)
{
	struct meeting m;
	char got[40];
	size_t n;

	(void)state;
	open_meeting(&m);
	assert_int_equal(tls_session_write(m.server, "421 busy\r\n", 10, &n), TLS_STEP_DONE);
	shutdown(m.fd[1], SHUT_RD);
	assert_int_equal(tls_session_write(m.client, "MAIL", 4, &n), TLS_STEP_FAILED);
	assert_string_equal(tls_session_outcome(m.client)->name, "tls-connection");
	assert_non_null(strstr(tls_session_outcome(m.client)->text, "Broken pipe"));
	assert_int_equal(tls_session_write(m.client, "MAIL", 4, &n), TLS_STEP_FAILED);
	assert_int_equal(tls_session_read(m.client, got, sizeof got, &n), TLS_STEP_DONE);
	assert_memory_equal(got, "421 busy\r\n", 10);
	meet_finish(&m);
}

/* T25, R28, S29: the other side says something that is no TLS, or goes, before the end. */
static void t25_no_handshake(void **state)
{
	static const struct {
		const char *says;
		const char *why;
	} table[] = {
		{ "220 still plain\r\n", "talks, but not TLS" },
		{ "\x15\x03\x03\x00\x02\x02\x28", "handshake failure" }, /* an alert */
		{ "", "closed the connection" },
		{ "\x16\x03\x03", "closed the connection" },
	};
	struct meeting m;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		size_t n = i == 1 ? 7 : strlen(table[i].says);

		meet(&m, world.client, NULL, &world.may);
		assert_int_equal(tls_session_handshake(m.client), TLS_STEP_WANT_READ);
		assert_int_equal(send(m.fd[1], table[i].says, n, 0), n);
		shutdown(m.fd[1], SHUT_WR);
		assert_int_equal(tls_session_handshake(m.client), TLS_STEP_FAILED);
		assert_int_equal(tls_session_handshake(m.client), TLS_STEP_FAILED);
		assert_string_equal(tls_session_outcome(m.client)->name, "tls-handshake");
		if (strstr(tls_session_outcome(m.client)->text, table[i].why) == NULL)
			fail_msg("row %zu: %s", i, tls_session_outcome(m.client)->text);
		assert_null(m.server);
		meet_finish(&m);
	}
}

static void s28_server_hears_plaintext(void **state)
{
	struct tls_session *server;
	int fd[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	server = tls_session_create_server(world.server, fd[0]);
	assert_int_equal(tls_session_handshake(server), TLS_STEP_WANT_READ);
	assert_int_equal(send(fd[1], "EHLO injected.example\r\n", 23, 0), 23);
	assert_int_equal(tls_session_handshake(server), TLS_STEP_FAILED);
	assert_non_null(strstr(tls_session_outcome(server)->text, "talks, but not TLS"));
	tls_session_destroy(&server);
	close(fd[0]);
	close(fd[1]);
}

/* A peer that plays OpenSSL with settings of its own on one end of a session of ours. */
static bool shake_with(SSL *peer, struct tls_session *ours)
{
	enum tls_step step = TLS_STEP_WANT_READ;

	for (int turn = 0; turn < 20 && step != TLS_STEP_FAILED; turn++) {
		int done = SSL_do_handshake(peer);

		step = tls_session_handshake(ours);
		if (done == 1 && step == TLS_STEP_DONE)
			return true;
	}
	return false;
}

static SSL_CTX *old_peer(const SSL_METHOD *method, int least, int most, const char *ciphers)
{
	SSL_CTX *ctx = SSL_CTX_new(method);

	SSL_CTX_set_min_proto_version(ctx, least);
	SSL_CTX_set_max_proto_version(ctx, most);
	assert_int_equal(SSL_CTX_set_cipher_list(ctx, ciphers), 1);
	SSL_CTX_use_certificate_file(ctx, world.certificate, SSL_FILETYPE_PEM);
	SSL_CTX_use_PrivateKey_file(ctx, world.key, SSL_FILETYPE_PEM);
	return ctx;
}

static void t25_old_protocols_and_ciphers(void **state)
{
	static const struct {
		int most;
		const char *ciphers;
		bool works;
		const char *why;
	} table[] = {
		{ TLS1_3_VERSION, "DEFAULT:@SECLEVEL=0", true, NULL },
		{ TLS1_2_VERSION, "DEFAULT:@SECLEVEL=0", true, NULL },
		{ TLS1_1_VERSION, "ALL:@SECLEVEL=0", false, "no TLS 1.2 or 1.3" },
		{ TLS1_VERSION, "ALL:@SECLEVEL=0", false, "no TLS 1.2 or 1.3" },
		{ TLS1_2_VERSION, "aNULL:@SECLEVEL=0", false, "" },
		{ TLS1_2_VERSION, "eNULL:@SECLEVEL=0", false, "" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof table / sizeof table[0]; i++) {
		bool we_serve = i % 2;
		SSL_CTX *ctx = old_peer(we_serve ? TLS_client_method() : TLS_server_method(),
		    TLS1_VERSION, table[i / 2].most, table[i / 2].ciphers);
		struct tls_session *ours;
		SSL *peer = SSL_new(ctx);
		int fd[2];

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
		SSL_set_fd(peer, fd[1]);
		(we_serve ? SSL_set_connect_state : SSL_set_accept_state)(peer);
		ours = we_serve ? tls_session_create_server(world.server, fd[0])
				: tls_session_create_client(world.client, fd[0], &world.may, NULL);
		if (shake_with(peer, ours) != table[i / 2].works)
			fail_msg("row %zu, we serve: %d", i / 2, we_serve);
		if (!table[i / 2].works &&
		    strstr(tls_session_outcome(ours)->text, table[i / 2].why) == NULL)
			fail_msg("row %zu: %s", i / 2, tls_session_outcome(ours)->text);
		tls_session_destroy(&ours);
		SSL_free(peer);
		SSL_CTX_free(ctx);
		close(fd[0]);
		close(fd[1]);
	}
}

/* T25, O6: a client that wants to negotiate anew is refused, and costs no second handshake. */
static void t25_renegotiation_is_refused(void **state)
{
	SSL_CTX *ctx = old_peer(TLS_client_method(), TLS1_2_VERSION, TLS1_2_VERSION, "DEFAULT");
	struct tls_session *server;
	SSL *peer = SSL_new(ctx);
	char got[10];
	int fd[2];
	size_t n;

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	SSL_set_fd(peer, fd[1]);
	SSL_set_connect_state(peer);
	server = tls_session_create_server(world.server, fd[0]);
	assert_true(shake_with(peer, server));
	assert_int_equal(SSL_renegotiate(peer), 1);
	assert_int_equal(SSL_do_handshake(peer), -1);
	/* A no_renegotiation warning goes back; the client takes it as the end. */
	assert_int_equal(tls_session_read(server, got, sizeof got, &n), TLS_STEP_WANT_READ);
	assert_int_equal(SSL_do_handshake(peer), -1);
	assert_int_equal(SSL_get_error(peer, -1), SSL_ERROR_SSL);
	tls_session_destroy(&server);
	SSL_free(peer);
	SSL_CTX_free(ctx);
	close(fd[0]);
	close(fd[1]);
}

/* T26: our server gives no tickets and keeps nothing, and a client without a peer's name neither. */
static void t26_nothing_is_resumed(void **state)
{
	struct meeting m;
	char got[10];
	size_t n;

	(void)state;
	for (int i = 0; i < 3; i++) {
		open_meeting(&m);
		assert_int_equal(tls_session_write(m.server, "220", 3, &n), TLS_STEP_DONE);
		assert_int_equal(tls_session_read(m.client, got, sizeof got, &n), TLS_STEP_DONE);
		meet_finish(&m);
	}
	assert_int_equal(SSL_CTX_sess_hits(world.server->ctx), 0);
	assert_int_equal(SSL_CTX_sess_number(world.server->ctx), 0);
	assert_int_equal(SSL_CTX_sess_number(world.client->ctx), 0);
	assert_int_equal(SSL_CTX_sess_hits(world.client->ctx), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(bytes_go_both_ways),
		cmocka_unit_test(t25_blocked_write_goes_on),
		cmocka_unit_test(closed_cleanly),
		cmocka_unit_test(s30_t27_closed_without_notify),
		cmocka_unit_test(s23_closed_inside_a_record),
		cmocka_unit_test(tampered_record_fails),
		cmocka_unit_test(broken_write_leaves_input),
		cmocka_unit_test(t25_no_handshake),
		cmocka_unit_test(s28_server_hears_plaintext),
		cmocka_unit_test(t25_old_protocols_and_ciphers),
		cmocka_unit_test(t25_renegotiation_is_refused),
		cmocka_unit_test(t26_nothing_is_resumed),
	};

	return cmocka_run_group_tests(tests, make_world, end_world);
}
