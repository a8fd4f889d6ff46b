/* T26: a session is resumed within a peer and a requirement, never across, and judged each time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "forge.h"
#include "meet.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "tls/openssl.h"

#define PEER "mx.example[192.0.2.1]:25"

enum { ROOT, LEAF, N_FORGED, DAY = 86400 };

static struct {
	char directory[FORGE_PATH_MAX];
	struct forged made[N_FORGED];
	struct tls_context *client, *server;
	struct tlsa_record match, mismatch;
} world;

static char *names[] = { (char[]){ "mx.example" }, (char[]){ "example" } };

static int make_world(void **state)
{
	char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX], error[500];

	(void)state;
	forge_make_directory(world.directory);
	forge(&world.made[ROOT], (struct forge_wish){ .name = "Root", .is_authority = true });
	forge(&world.made[LEAF], (struct forge_wish){ .name = "mx.example",
				     .alternatives = "DNS:mx.example",
				     .issuer = &world.made[ROOT],
				     .rsa_bits = 2048 });
	forge_write(world.directory, "root", (const struct forged *[]){ &world.made[ROOT], NULL });
	forge_write(world.directory, "leaf", (const struct forged *[]){ &world.made[LEAF], NULL });
	world.match = forge_tlsa(&world.made[LEAF], 3, 1, 1, true);
	world.mismatch = forge_tlsa(&world.made[LEAF], 3, 1, 1, false);
	forge_path(world.directory, "leaf.pem", certificate);
	forge_path(world.directory, "leaf.key", key);
	world.server = tls_context_create_server(certificate, key, error, sizeof error);
	assert_non_null(world.server);
	/* Ours gives no tickets; others' do. */
	SSL_CTX_clear_options(world.server->ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(world.server->ctx, 2);
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	for (int i = 0; i < N_FORGED; i++)
		forged_finish(&world.made[i]);
	free(world.match.data);
	free(world.mismatch.data);
	tls_context_destroy(&world.server);
	forge_remove_directory(world.directory);
	return 0;
}

/* Each test begins with a client that knows nobody. */
static int make_client(void **state)
{
	char ca[FORGE_PATH_MAX];

	(void)state;
	forge_path(world.directory, "root.pem", ca);
	world.client = tls_context_create_client(ca);
	SSL_CTX_set_max_proto_version(world.server->ctx, 0);
	SSL_CTX_set_security_level(world.server->ctx, 1);
	return 0;
}

static int end_client(void **state)
{
	(void)state;
	tls_context_destroy(&world.client);
	return 0;
}

static struct tls_requirement verify(void)
{
	return (struct tls_requirement){ .level = TLS_VERIFY,
		.demand = DEMAND_PARTNER,
		.names = names,
		.n_names = 1,
		.sni = names[0] };
}

static struct tls_requirement dane(struct tlsa_record *records, size_t n)
{
	return (struct tls_requirement){
		.level = TLS_DANE, .demand = DEMAND_DANE, .tlsa = records, .n_tlsa = n
	};
}

/* A handshake, an answer of the server's (with which TLS 1.3 brings tickets), and a clean end. */
static struct tls_evidence visit_judged(const struct tls_requirement *r, const char *peer,
    const char *refusal, const struct tls_requirement *later, const char *later_refusal)
{
	struct tls_evidence e;
	struct outcome verdict;
	struct meeting m;
	char got[10];
	size_t n;

	meet_peer(&m, world.client, world.server, r, peer);
	meet_shake(&m);
	if (strcmp(tls_session_outcome(m.client)->name, refusal) != 0)
		fail_msg("%s", tls_session_outcome(m.client)->text);
	e = *tls_session_evidence(m.client);
	if (*refusal == '\0') {
		assert_int_equal(tls_session_write(m.server, "220", 3, &n), TLS_STEP_DONE);
		assert_int_equal(tls_session_read(m.client, got, sizeof got, &n), TLS_STEP_DONE);
		if (later != NULL) {
			tls_session_judge(m.client, later, NULL, &verdict);
			assert_string_equal(verdict.name, later_refusal);
		}
		assert_int_equal(tls_session_shutdown(m.client), TLS_STEP_DONE);
	}
	meet_finish(&m);
	return e;
}

static struct tls_evidence visit(const struct tls_requirement *r, const char *peer)
{
	return visit_judged(r, peer, "", NULL, NULL);
}

static void t26_resumed_within_peer_and_requirement(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct tls_requirement r = verify();
	struct tls_evidence first, e;

	(void)state;
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
		SSL_CTX_set_max_proto_version(world.server->ctx, versions[i]);
		resume_forget(world.client->resume, PEER);
		first = visit(&r, PEER);
		assert_false(first.is_resumed);
		for (int again = 0; again < 20; again++) {
			e = visit(&r, PEER);
			assert_true(e.is_resumed);
			assert_int_equal(e.trust, TLS_VERIFIED);
			assert_int_equal(e.achieved, TLS_VERIFY);
			assert_string_equal(e.name, "mx.example");
			assert_string_equal(e.authority, "Root");
			assert_string_equal(e.fingerprint, first.fingerprint);
			assert_string_equal(e.subject, first.subject);
			assert_int_equal(e.not_after_s, first.not_after_s);
		}
	}
}

/* RFC 8446 C.4: two tickets are two sessions, and then there is none. */
static void t26_used_once(void **state)
{
	struct tls_requirement r = verify();
	struct meeting m[3];
	char got[10];
	size_t n;

	(void)state;
	visit(&r, PEER);
	for (int i = 0; i < 3; i++) {
		meet_peer(&m[i], world.client, world.server, &r, PEER);
		assert_int_equal(meet_shake(&m[i]), TLS_STEP_DONE);
		assert_int_equal(tls_session_evidence(m[i].client)->is_resumed, i < 2);
		/* They have heard nothing yet, so they bring no new ticket either. */
	}
	assert_int_equal(tls_session_read(m[2].client, got, sizeof got, &n), TLS_STEP_WANT_READ);
	for (int i = 0; i < 3; i++)
		meet_finish(&m[i]);
}

/* Each row is as the one that was kept, but for what it says. */
static void t26_never_across(void **state)
{
	struct tls_requirement kept = verify(), r;
	struct tls_requirement kept_dane = dane(&world.match, 1);
	struct tlsa_record both[] = { world.match, world.mismatch };
	struct tlsa_record pin = world.match;

	(void)state;
	visit(&kept, PEER);
	assert_false(visit(&kept, "mx.example[192.0.2.2]:25").is_resumed);
	assert_false(visit(&kept, "mx.example[192.0.2.1]:26").is_resumed);
	assert_false(visit(&kept, "mx2.example[192.0.2.1]:25").is_resumed);
	assert_false(visit(&kept, NULL).is_resumed);
	r = kept;
	r.demand = DEMAND_ACCOUNT;
	assert_false(visit(&r, PEER).is_resumed);
	r = kept;
	r.level = TLS_SECURE;
	assert_false(visit(&r, PEER).is_resumed);
	r = kept;
	r.level = TLS_ENCRYPT;
	assert_false(visit(&r, PEER).is_resumed);
	r = kept;
	r.sni = NULL;
	assert_false(visit(&r, PEER).is_resumed);
	r = kept;
	r.n_names = 2;
	assert_false(visit(&r, PEER).is_resumed);
	r = kept;
	r.tlsa = &pin;
	r.n_tlsa = 1;
	r.tlsa_pinned = true;
	assert_false(visit(&r, PEER).is_resumed);
	assert_true(visit(&kept, PEER).is_resumed);

	/* The TLSA records have changed meanwhile, if only by one that does not matter. */
	assert_false(visit(&kept_dane, PEER).is_resumed);
	assert_true(visit(&kept_dane, PEER).is_resumed);
	r = dane(both, 2);
	assert_false(visit(&r, PEER).is_resumed);
	r = dane(&world.mismatch, 1);
	visit_judged(&r, PEER, "dane-mismatch", NULL, NULL);
	visit_judged(&r, PEER, "dane-mismatch", NULL, NULL);
}

/* Neither its tickets nor those of before: the next handshake shows a certificate. */
static void t26_what_was_refused_is_not_kept(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct tls_requirement good = verify(), bad = dane(&world.mismatch, 1);
	struct resumable what;

	(void)state;
	for (size_t i = 0; i < sizeof versions / sizeof versions[0]; i++) {
		SSL_CTX_set_max_proto_version(world.server->ctx, versions[i]);
		visit(&good, PEER);
		visit_judged(&bad, PEER, "dane-mismatch", NULL, NULL);
		assert_false(resume_take(world.client->resume, PEER, &bad, &what));
		assert_false(resume_take(world.client->resume, PEER, &good, &what));
		assert_false(visit(&good, PEER).is_resumed);
	}
}

static void t26_judged_each_time(void **state)
{
	struct tls_requirement r = verify();
	struct tls_requirement other = dane(&world.mismatch, 1), same = dane(&world.match, 1);
	struct tls_evidence e;

	(void)state;
	visit(&r, PEER);
	assert_true(visit_judged(&r, PEER, "", &other, "dane-mismatch").is_resumed);
	assert_true(visit_judged(&r, PEER, "", &same, "").is_resumed);
	/* The certificate has ended since: the resumed session does not outlive it. */
	clock_shift_wall(40 * DAY);
	e = visit_judged(&r, PEER, "partner-tls-expired", NULL, NULL);
	assert_true(e.is_resumed);
	e = visit_judged(&r, PEER, "partner-tls-expired", NULL, NULL);
	assert_false(e.is_resumed);
	clock_shift_wall(0);
}

/* What has been outside of this memory has lost the chain: there would be nothing to judge. */
static void t26_not_without_the_chain(void **state)
{
	struct tls_requirement r = verify();
	struct resumable what;
	unsigned char *der = NULL;
	const unsigned char *at;
	int n;

	(void)state;
	visit(&r, PEER);
	assert_true(resume_take(world.client->resume, PEER, &r, &what));
	resume_forget(world.client->resume, PEER);
	n = i2d_SSL_SESSION(what.session, &der);
	SSL_SESSION_free(what.session);
	at = der;
	what.session = d2i_SSL_SESSION(NULL, &at, n);
	assert_non_null(what.session);
	assert_non_null(SSL_SESSION_get0_peer(what.session));
	resume_keep(world.client->resume, PEER, &r, &what);
	assert_false(visit(&r, PEER).is_resumed);
	assert_true(visit(&r, PEER).is_resumed);
	OPENSSL_free(der);
}

/* The keys of the full handshake were weak: the short one does not show it, and it is remembered. */
static void t26_weakness_is_remembered(void **state)
{
	struct tls_requirement encrypt = { .level = TLS_ENCRYPT }, r = verify();

	(void)state;
	SSL_CTX_set_max_proto_version(world.server->ctx, TLS1_2_VERSION);
	SSL_CTX_set_security_level(world.server->ctx, 0);
	assert_int_equal(SSL_CTX_set1_sigalgs_list(world.server->ctx, "RSA+SHA1"), 1);
	for (int i = 0; i < 3; i++)
		assert_int_equal(
		    visit_judged(&encrypt, PEER, "", &r, "tls-handshake").is_resumed, i > 0);
	assert_int_equal(SSL_CTX_set1_sigalgs_list(world.server->ctx, "RSA+SHA256"), 1);
	resume_forget(world.client->resume, PEER);
	for (int i = 0; i < 3; i++)
		assert_int_equal(visit_judged(&encrypt, PEER, "", &r, "").is_resumed, i > 0);
}

static SSL_SESSION *some_session(void)
{
	SSL_SESSION *session = SSL_SESSION_new();

	assert_int_equal(SSL_SESSION_set1_id(session, (const unsigned char *)"id", 2), 1);
	return session;
}

static void keep_some(struct resume *resume, const char *peer, int64_t until_ms)
{
	struct tls_requirement r = verify();

	resume_keep(resume, peer, &r, &(struct resumable){ some_session(), false, until_ms });
}

static size_t take_all(struct resume *resume, const char *peer)
{
	struct tls_requirement r = verify();
	struct resumable what;
	size_t n = 0;

	for (; resume_take(resume, peer, &r, &what); n++)
		SSL_SESSION_free(what.session);
	return n;
}

static void o2_what_is_kept_is_bounded(void **state)
{
	int64_t later_ms = clock_monotonic_ms() + 1000000;
	struct resume *resume = resume_create();
	char peer[20];
	size_t n = 0;

	(void)state;
	keep_some(resume, "old", clock_monotonic_ms());
	assert_int_equal(take_all(resume, "old"), 0);
	for (int i = 0; i < 3 * TLS_RESUME_SAME_MAX; i++)
		keep_some(resume, "same", later_ms);
	keep_some(resume, "other", later_ms);
	assert_int_equal(take_all(resume, "other"), 1);
	assert_int_equal(take_all(resume, "same"), TLS_RESUME_SAME_MAX);

	keep_some(resume, "first", later_ms);
	for (int i = 0; i < 2 * TLS_RESUME_MAX; i++) {
		snprintf(peer, sizeof peer, "peer %d", i);
		keep_some(resume, peer, later_ms);
	}
	assert_int_equal(take_all(resume, "first"), 0);
	for (int i = 0; i < 2 * TLS_RESUME_MAX; i++) {
		snprintf(peer, sizeof peer, "peer %d", i);
		n += take_all(resume, peer);
	}
	assert_int_equal(n, TLS_RESUME_MAX);
	keep_some(resume, "last", later_ms);
	resume_destroy(&resume);
	assert_null(resume);
}

int main(void)
{
#define T(test) cmocka_unit_test_setup_teardown(test, make_client, end_client)
	const struct CMUnitTest tests[] = {
		T(t26_resumed_within_peer_and_requirement),
		T(t26_used_once),
		T(t26_never_across),
		T(t26_what_was_refused_is_not_kept),
		T(t26_judged_each_time),
		T(t26_not_without_the_chain),
		T(t26_weakness_is_remembered),
		cmocka_unit_test(o2_what_is_kept_is_bounded),
	};
#undef T

	return cmocka_run_group_tests(tests, make_world, end_world);
}
