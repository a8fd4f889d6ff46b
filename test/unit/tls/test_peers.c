/*
 * T25: servers that are old, weak, slow or wrong, and what a client of ours makes of them. They are
 * OpenSSL with settings of their own, or bytes written down here.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "forge.h"
#include "tls/openssl.h"
#include "tls/session.h"

enum { FLIGHT_MAX = 64 * 1024, TURNS_MAX = 20 };

static struct {
	char directory[FORGE_PATH_MAX];
	struct forged root, leaf;
	struct tls_context *client;
} world;

static char *names[] = { (char[]){ "mx.example" } };
static const struct tls_requirement may = { .level = TLS_MAY };
static const struct tls_requirement verify = { .level = TLS_VERIFY, .names = names, .n_names = 1 };

static int make_world(void **state)
{
	char ca[FORGE_PATH_MAX];

	(void)state;
	forge_make_directory(world.directory);
	forge(&world.root, (struct forge_wish){ .name = "Root", .is_authority = true });
	forge(&world.leaf, (struct forge_wish){ .name = "mx.example",
			       .alternatives = "DNS:mx.example",
			       .issuer = &world.root,
			       .rsa_bits = 2048 });
	forge_write(world.directory, "root", (const struct forged *[]){ &world.root, NULL });
	forge_path(world.directory, "root.pem", ca);
	world.client = tls_context_create_client(ca);
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	forged_finish(&world.root);
	forged_finish(&world.leaf);
	tls_context_destroy(&world.client);
	forge_remove_directory(world.directory);
	return 0;
}

/* A server of somebody else's, a client of ours, and the wire between: two ends for each. */
struct scene {
	int fd[2], far[2]; /* client and its end of the wire; server and its own */
	SSL_CTX *ctx;
	SSL *server;
	struct tls_session *client;
	size_t n_carried; /* from the server to the client */
};

static int allow_all(
    const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
	(void)ssl, (void)ctx, (void)operation, (void)bits, (void)nid, (void)other, (void)arg;
	return 1;
}

static void scene_start(struct scene *s, int least, int most, const char *ciphers)
{
	*s = (struct scene){ .ctx = SSL_CTX_new(TLS_server_method()) };
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->fd), 0);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, s->far), 0);
	SSL_CTX_set_min_proto_version(s->ctx, least);
	SSL_CTX_set_max_proto_version(s->ctx, most);
	SSL_CTX_set_security_callback(s->ctx, allow_all);
	assert_int_equal(SSL_CTX_set_cipher_list(s->ctx, ciphers), 1);
	SSL_CTX_use_cert_and_key(s->ctx, world.leaf.certificate, world.leaf.key, NULL, 1);
}

static void scene_meet(struct scene *s, const struct tls_requirement *r)
{
	s->server = SSL_new(s->ctx);
	SSL_set_fd(s->server, s->far[1]);
	SSL_set_accept_state(s->server);
	s->client = tls_session_create_client(world.client, s->fd[0], r, NULL);
}

/* At most as many bytes as said, in pieces; how many. */
static size_t carry(int from, int to, size_t most, size_t piece)
{
	char bytes[FLIGHT_MAX];
	ssize_t n = recv(from, bytes, most < sizeof bytes ? most : sizeof bytes, 0);

	for (ssize_t at = 0; at < n; at += (ssize_t)piece) {
		size_t left = (size_t)(n - at);

		assert_true(send(to, bytes + at, left < piece ? left : piece, MSG_NOSIGNAL) > 0);
	}
	return n > 0 ? (size_t)n : 0;
}

/* Until the client has come to an end, or waits for what is not carried to it. */
static enum tls_step scene_shake(struct scene *s, size_t most)
{
	enum tls_step step = TLS_STEP_WANT_READ;

	for (int turn = 0; turn < TURNS_MAX && step != TLS_STEP_FAILED; turn++) {
		step = tls_session_handshake(s->client);
		carry(s->fd[1], s->far[0], FLIGHT_MAX, FLIGHT_MAX);
		SSL_do_handshake(s->server);
		s->n_carried += carry(s->far[0], s->fd[1], most - s->n_carried, FLIGHT_MAX);
	}
	return step;
}

static void scene_finish(struct scene *s)
{
	tls_session_destroy(&s->client);
	SSL_free(s->server);
	SSL_CTX_free(s->ctx);
	for (int i = 0; i < 2; i++) {
		close(s->fd[i]);
		close(s->far[i]);
	}
}

static EVP_PKEY *group_of(int bits)
{
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *p = bits == 768    ? BN_get_rfc2409_prime_768(NULL)
		    : bits == 1024 ? BN_get_rfc2409_prime_1024(NULL)
		    : bits == 2048 ? BN_get_rfc3526_prime_2048(NULL)
		    : bits == 4096 ? BN_get_rfc3526_prime_4096(NULL)
				   : BN_get_rfc3526_prime_6144(NULL);
	BIGNUM *g = BN_new();
	EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "DH", NULL);
	EVP_PKEY *group = NULL;
	OSSL_PARAM *params;

	assert_int_equal(BN_set_word(g, 2), 1);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_FFC_P, p);
	OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_FFC_G, g);
	params = OSSL_PARAM_BLD_to_param(build);
	assert_int_equal(EVP_PKEY_fromdata_init(context), 1);
	assert_int_equal(EVP_PKEY_fromdata(context, &group, EVP_PKEY_KEY_PARAMETERS, params), 1);
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	EVP_PKEY_CTX_free(context);
	BN_free(p);
	BN_free(g);
	return group;
}

/*
 * Where anybody will do, anything that is better than plaintext; where somebody must be known, what
 * OpenSSL's security level allows: in a handshake, and no less of a connection that was made before.
 */
static void t25_weak_servers(void **state)
{
	static const struct {
		const char *what;
		int least, most;
		const char *ciphers, *signatures;
		int dh_bits;
		const char *may, *verify; /* names of refusals */
	} table[] = {
		{ "TLS 1.3", TLS1_3_VERSION, TLS1_3_VERSION, "DEFAULT", NULL, 0, "", "" },
		{ "TLS 1.2", TLS1_2_VERSION, TLS1_2_VERSION, "DEFAULT", NULL, 0, "", "" },
		{ "no forward secrecy", TLS1_2_VERSION, TLS1_2_VERSION, "AES128-GCM-SHA256", NULL,
		    0, "", "" },
		{ "CBC, MAC with SHA-1", TLS1_2_VERSION, TLS1_2_VERSION, "ECDHE-RSA-AES128-SHA",
		    NULL, 0, "", "" },
		{ "DH of 2048 bits", TLS1_2_VERSION, TLS1_2_VERSION, "kDHE", NULL, 2048, "", "" },
		{ "DH of 1024 bits", TLS1_2_VERSION, TLS1_2_VERSION, "kDHE", NULL, 1024, "",
		    "tls-handshake" },
		{ "DH of 768 bits", TLS1_2_VERSION, TLS1_2_VERSION, "kDHE", NULL, 768,
		    "tls-handshake", "tls-handshake" },
		{ "DH of 4096 bits", TLS1_2_VERSION, TLS1_2_VERSION, "kDHE", NULL, 4096, "", "" },
		{ "DH so large that it holds up the others", TLS1_2_VERSION, TLS1_2_VERSION, "kDHE",
		    NULL, 6144, "tls-handshake", "tls-handshake" },
		{ "signature with SHA-1", TLS1_2_VERSION, TLS1_2_VERSION, "kECDHE", "RSA+SHA1", 0,
		    "", "tls-handshake" },
		{ "TLS 1.1", TLS1_VERSION, TLS1_1_VERSION, "ALL", NULL, 0, "tls-handshake",
		    "tls-handshake" },
		{ "TLS 1.0", TLS1_VERSION, TLS1_VERSION, "ALL", NULL, 0, "tls-handshake",
		    "tls-handshake" },
		{ "nobody's key", TLS1_2_VERSION, TLS1_2_VERSION, "aNULL", NULL, 0, "tls-handshake",
		    "tls-handshake" },
		{ "no cipher", TLS1_2_VERSION, TLS1_2_VERSION, "eNULL", NULL, 0, "tls-handshake",
		    "tls-handshake" },
	};

	(void)state;
	for (size_t i = 0; i < 2 * sizeof table / sizeof table[0]; i++) {
		bool is_strict = i % 2;
		const char *expected = is_strict ? table[i / 2].verify : table[i / 2].may;
		struct scene s;
		struct outcome outcome;

		scene_start(&s, table[i / 2].least, table[i / 2].most, table[i / 2].ciphers);
		if (table[i / 2].signatures != NULL)
			SSL_CTX_set1_sigalgs_list(s.ctx, table[i / 2].signatures);
		if (table[i / 2].dh_bits != 0)
			assert_int_equal(
			    SSL_CTX_set0_tmp_dh_pkey(s.ctx, group_of(table[i / 2].dh_bits)), 1);
		scene_meet(&s, is_strict ? &verify : &may);
		scene_shake(&s, SIZE_MAX);
		outcome = *tls_session_outcome(s.client);
		if (strcmp(outcome.name, expected) != 0)
			fail_msg("%s, strict: %d: %s", table[i / 2].what, is_strict, outcome.text);
		if (outcome_is_ok(&outcome) && !is_strict) {
			tls_session_judge(s.client, &verify, NULL, &outcome);
			if (strcmp(outcome.name, table[i / 2].verify) != 0)
				fail_msg("%s, later: %s", table[i / 2].what, outcome.text);
		}
		scene_finish(&s);
	}
}

/* Ciphers and a protocol that we have not offered, and that OpenSSL knows no more or never did. */
static void t25_answers_to_what_was_not_asked(void **state)
{
	static const struct {
		const char *what;
		uint8_t version, cipher[2], compression;
	} table[] = {
		{ "NULL with MD5", 3, { 0x00, 0x01 }, 0 },
		{ "export RC4, 40 bits", 3, { 0x00, 0x03 }, 0 },
		{ "RC4", 3, { 0x00, 0x05 }, 0 },
		{ "export DES, 40 bits", 3, { 0x00, 0x08 }, 0 },
		{ "3DES", 3, { 0x00, 0x0a }, 0 },
		{ "export DHE, 40 bits", 3, { 0x00, 0x14 }, 0 },
		{ "anonymous DH", 3, { 0x00, 0x34 }, 0 },
		{ "anonymous ECDH", 3, { 0xc0, 0x18 }, 0 },
		{ "compression", 3, { 0xc0, 0x2f }, 1 },
		{ "TLS 1.0", 1, { 0xc0, 0x2f }, 0 },
		{ "SSL 3.0", 0, { 0x00, 0x0a }, 0 },
	};
	enum { HELLO = 5 + 4 + 2 + 32 + 1 + 2 + 1 };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof table / sizeof table[0]; i++) {
		/* RFC 5246 7.4.1.3: a record with a ServerHello without extensions. */
		uint8_t hello[HELLO] = { 22, 3, 3, 0, HELLO - 5, 2, 0, 0, HELLO - 9, 3 };
		struct scene s;

		hello[10] = table[i / 2].version;
		memcpy(hello + HELLO - 3, table[i / 2].cipher, 2);
		hello[HELLO - 1] = table[i / 2].compression;
		scene_start(&s, TLS1_2_VERSION, TLS1_2_VERSION, "DEFAULT");
		scene_meet(&s, i % 2 ? &verify : &may);
		assert_int_equal(tls_session_handshake(s.client), TLS_STEP_WANT_READ);
		assert_int_equal(send(s.fd[1], hello, sizeof hello, 0), sizeof hello);
		if (tls_session_handshake(s.client) != TLS_STEP_FAILED)
			fail_msg("%s was taken", table[i / 2].what);
		assert_string_equal(tls_session_outcome(s.client)->name, "tls-handshake");
		scene_finish(&s);
	}
}

/* Records of one byte of a handshake each are allowed (RFC 8446 5.1), and so are packets. */
static void t25_flights_in_pieces(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct scene s;

	(void)state;
	for (size_t i = 0; i < 4; i++) {
		enum tls_step step = TLS_STEP_WANT_READ;

		scene_start(&s, versions[i % 2], versions[i % 2], "DEFAULT");
		if (i >= 2)
			assert_int_equal(SSL_CTX_set_max_send_fragment(s.ctx, 512), 1);
		scene_meet(&s, &verify);
		for (int turn = 0; turn < FLIGHT_MAX && step == TLS_STEP_WANT_READ; turn++) {
			step = tls_session_handshake(s.client);
			carry(s.fd[1], s.far[0], FLIGHT_MAX, FLIGHT_MAX);
			SSL_do_handshake(s.server);
			s.n_carried += carry(s.far[0], s.fd[1], 1, 1);
		}
		assert_int_equal(step, TLS_STEP_DONE);
		assert_true(s.n_carried > 1000);
		scene_finish(&s);
	}
}

/*
 * T28: whatever part of its flights a server has sent, we wait for the rest, nothing has been
 * decided, and it is not open. Who waits has a deadline (net reach).
 */
static void t28_stalls_anywhere(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct scene s;

	(void)state;
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
		size_t total;

		scene_start(&s, versions[i], versions[i], "DEFAULT");
		SSL_CTX_set_num_tickets(s.ctx, 0);
		scene_meet(&s, &verify);
		assert_int_equal(scene_shake(&s, SIZE_MAX), TLS_STEP_DONE);
		total = s.n_carried;
		scene_finish(&s);
		for (size_t n = 0; n < total; n += n + 50 < total ? 50 : 1) {
			scene_start(&s, versions[i], versions[i], "DEFAULT");
			SSL_CTX_set_num_tickets(s.ctx, 0);
			scene_meet(&s, &verify);
			assert_int_equal(scene_shake(&s, n), TLS_STEP_WANT_READ);
			assert_true(outcome_is_ok(tls_session_outcome(s.client)));
			assert_int_equal(tls_session_shutdown(s.client), TLS_STEP_FAILED);
			scene_finish(&s);
		}
	}
}

/* A server that wants a certificate of ours: TLS 1.3 tells us only when we think we are through. */
static void t25_alert_in_the_handshake(void **state)
{
	static const struct {
		int version;
		enum tls_step step;
		const char *name;
	} table[] = {
		{ TLS1_2_VERSION, TLS_STEP_FAILED, "tls-handshake" },
		{ TLS1_3_VERSION, TLS_STEP_DONE, "tls-connection" },
	};
	struct scene s;
	char got[10];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		scene_start(&s, table[i].version, table[i].version, "DEFAULT");
		SSL_CTX_set_verify(s.ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
		scene_meet(&s, &verify);
		assert_int_equal(scene_shake(&s, SIZE_MAX), table[i].step);
		if (table[i].step == TLS_STEP_DONE)
			assert_int_equal(
			    tls_session_read(s.client, got, sizeof got, &n), TLS_STEP_FAILED);
		assert_string_equal(tls_session_outcome(s.client)->name, table[i].name);
		assert_string_equal(
		    tls_session_outcome(s.client)->enhanced, i == 0 ? "4.7.5" : "4.7.0");
		scene_finish(&s);
	}
}

/* A server that begins anew is told no (RFC 5246 7.2.2), and what it was is not looked at again. */
static void t25_server_renegotiates(void **state)
{
	struct scene s;
	char got[10];
	size_t n;

	(void)state;
	scene_start(&s, TLS1_2_VERSION, TLS1_2_VERSION, "DEFAULT");
	scene_meet(&s, &verify);
	assert_int_equal(scene_shake(&s, SIZE_MAX), TLS_STEP_DONE);
	assert_int_equal(SSL_renegotiate(s.server), 1);
	SSL_do_handshake(s.server);
	assert_true(carry(s.far[0], s.fd[1], FLIGHT_MAX, FLIGHT_MAX) > 0);
	assert_int_equal(tls_session_read(s.client, got, sizeof got, &n), TLS_STEP_WANT_READ);
	/* An alert is 31 bytes here with its header; a ClientHello is longer. */
	assert_int_equal(carry(s.fd[1], s.far[0], FLIGHT_MAX, FLIGHT_MAX), 31);
	assert_int_equal(SSL_read(s.server, got, sizeof got), -1);
	assert_int_equal(SSL_get_error(s.server, -1), SSL_ERROR_SSL);
	scene_finish(&s);
}

/* Ten authorities on the way to the anchor will do; a hundred are there to keep us busy. */
static void t25_chains_without_end(void **state)
{
	static const size_t lengths[] = { 3, 10, 11, 90 };
	enum { LINKS_MAX = 92 };

	(void)state;
	for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
		struct forged links[LINKS_MAX];
		struct tlsa_record record;
		struct tls_requirement r = { .level = TLS_DANE,
			.names = names,
			.n_names = 1,
			.tlsa = &record,
			.n_tlsa = 1 };
		STACK_OF(X509) *chain = sk_X509_new_null();
		struct scene s;
		size_t n = lengths[i] + 2;

		for (size_t j = n; j-- > 0;) {
			char name[40];

			snprintf(name, sizeof name, "Authority %zu", j);
			forge(&links[j], (struct forge_wish){ .name = j > 0 ? name : "mx.example",
					     .alternatives = j > 0 ? NULL : "DNS:mx.example",
					     .issuer = j + 1 < n ? &links[j + 1] : NULL,
					     .is_authority = j > 0 });
		}
		for (size_t j = 1; j < n; j++)
			assert_true(sk_X509_push(chain, links[j].certificate) > 0);
		record = forge_tlsa(&links[n - 1], 2, 0, 1, true);
		scene_start(&s, TLS1_3_VERSION, TLS1_3_VERSION, "DEFAULT");
		assert_int_equal(
		    SSL_CTX_use_cert_and_key(s.ctx, links[0].certificate, links[0].key, chain, 1),
		    1);
		scene_meet(&s, &r);
		scene_shake(&s, SIZE_MAX);
		assert_string_equal(tls_session_outcome(s.client)->name,
		    lengths[i] > 10 ? "dane-tls-untrusted" : "");
		scene_finish(&s);
		sk_X509_free(chain);
		free(record.data);
		for (size_t j = 0; j < n; j++)
			forged_finish(&links[j]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t25_weak_servers),
		cmocka_unit_test(t25_answers_to_what_was_not_asked),
		cmocka_unit_test(t25_flights_in_pieces),
		cmocka_unit_test(t28_stalls_anywhere),
		cmocka_unit_test(t25_alert_in_the_handshake),
		cmocka_unit_test(t25_server_renegotiates),
		cmocka_unit_test(t25_chains_without_end),
	};

	return cmocka_run_group_tests(tests, make_world, end_world);
}
