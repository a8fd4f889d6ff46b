#include "chains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "meet.h"
#include "tls/dane.h"

struct chains chains;

static struct tls_context *serve(const char *name, const struct forged *const *chain)
{
	char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX], file[40], error[500];
	struct tls_context *context;

	forge_write(chains.directory, name, chain);
	snprintf(file, sizeof file, "%s.pem", name);
	forge_path(chains.directory, file, certificate);
	snprintf(file, sizeof file, "%s.key", name);
	forge_path(chains.directory, file, key);
	context = tls_context_create_server(certificate, key, error, sizeof error);
	if (context == NULL)
		fail_msg("%s", error);
	return context;
}

/*
 * With what our own server would refuse to load: other people's do not. A good certificate with a key
 * of the same kind is loaded first, and then replaced.
 */
static struct tls_context *serve_weak(const struct forged *leaf, const struct forged *above)
{
	bool is_rsa = EVP_PKEY_get_base_id(leaf->key) == EVP_PKEY_RSA;
	struct tls_context *context;
	struct forged good;

	forge(&good, (struct forge_wish){ .name = "good", .rsa_bits = is_rsa ? 2048 : 0 });
	context = serve("good", (const struct forged *[]){ &good, NULL });
	forged_finish(&good);
	SSL_CTX_set_security_level(context->ctx, 0);
	assert_int_equal(
	    SSL_CTX_use_cert_and_key(context->ctx, leaf->certificate, leaf->key, NULL, 1), 1);
	assert_int_equal(SSL_CTX_add1_chain_cert(context->ctx, above->certificate), 1);
	return context;
}

int chains_make(void **state)
{
	struct forged *f = chains.made;
	static const char names[] = "DNS:mx.example,DNS:mx2.example";
	const struct {
		int which, above;
		struct forge_wish wish;
	} wishes[] = {
		{ ROOT, -1, { .name = "Root", .is_authority = true } },
		{ MIDDLE, ROOT, { .name = "Middle", .is_authority = true } },
		{ LEAF, MIDDLE, { .name = "mx.example", .alternatives = names } },
		{ EXPIRED, MIDDLE,
		    { .name = "mx.example", .alternatives = names, .has_expired = true } },
		{ NAMELESS, MIDDLE, { .name = "no name at all" } },
		{ WILD, MIDDLE, { .name = "wild", .alternatives = "DNS:*.mail.example" } },
		{ STRANGER, MIDDLE,
		    { .name = "evil.example", .alternatives = "DNS:evil.example" } },
		{ OLD_ROOT, -1, { .name = "Old Root", .is_authority = true, .has_expired = true } },
		{ OLD_ROOT_LEAF, OLD_ROOT, { .name = "mx.example", .alternatives = names } },
		{ OLD_MIDDLE, ROOT,
		    { .name = "Old Middle", .is_authority = true, .has_expired = true } },
		{ OLD_MIDDLE_LEAF, OLD_MIDDLE, { .name = "mx.example", .alternatives = names } },
		{ SELF, -1, { .name = "mx.example", .alternatives = names } },
		{ SMALL, MIDDLE,
		    { .name = "mx.example", .alternatives = names, .rsa_bits = 1024 } },
		{ OLD_HASH, MIDDLE,
		    { .name = "mx.example", .alternatives = names, .signs_with_sha1 = true } },
		{ DEEP, MIDDLE, { .name = "deep", .alternatives = "DNS:a.b.mail.example" } },
		{ PARTIAL, MIDDLE, { .name = "partial", .alternatives = "DNS:m*.example" } },
		{ COMMON, MIDDLE, { .name = "mx.example" } },
		{ SELF_CA, -1,
		    { .name = "mx.example", .alternatives = names, .is_authority = true } },
		{ COMMON_TOO, MIDDLE, { .name = "mx.example", .alternatives = "DNS:www.example" } },
	};

	(void)state;
	forge_make_directory(chains.directory);
	for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
		struct forge_wish wish = wishes[i].wish;
		int above = wishes[i].above;
		char name[20];

		wish.issuer = above >= 0 ? &f[above] : NULL;
		forge(&f[wishes[i].which], wish);
		if (wish.rsa_bits > 0 || wish.signs_with_sha1) {
			chains.servers[wishes[i].which] =
			    serve_weak(&f[wishes[i].which], &f[above]);
			continue;
		}
		snprintf(name, sizeof name, "chain%d", wishes[i].which);
		chains.servers[wishes[i].which] =
		    serve(name, (const struct forged *[]){ &f[wishes[i].which],
				    above > ROOT && above != OLD_ROOT ? &f[above] : NULL, NULL });
	}
	chains.alone = serve("alone", (const struct forged *[]){ &f[LEAF], NULL });
	chains.with_root =
	    serve("with-root", (const struct forged *[]){ &f[LEAF], &f[MIDDLE], &f[ROOT], NULL });
	chains.old_with_root =
	    serve("old", (const struct forged *[]){ &f[OLD_ROOT_LEAF], &f[OLD_ROOT], NULL });
	forge_path(chains.directory, "chain0.pem", chains.ca);
	chains.client = tls_context_create_client(chains.ca);
	return 0;
}

int chains_end(void **state)
{
	(void)state;
	for (int i = 0; i < N_FORGED; i++) {
		forged_finish(&chains.made[i]);
		tls_context_destroy(&chains.servers[i]);
	}
	tls_context_destroy(&chains.alone);
	tls_context_destroy(&chains.with_root);
	tls_context_destroy(&chains.old_with_root);
	tls_context_destroy(&chains.client);
	forge_remove_directory(chains.directory);
	return 0;
}

/* The same server under "encrypt", and only then held against the requirement: nothing may differ. */
static void judge_later(struct tls_context *server, const struct tls_requirement *r,
    const struct outcome *expected, const struct tls_evidence *evidence)
{
	static const struct tls_requirement encrypt = { .level = TLS_ENCRYPT };
	struct tls_evidence e;
	struct outcome verdict;
	struct meeting m;

	meet(&m, chains.client, server, &encrypt);
	assert_int_equal(meet_shake(&m), TLS_STEP_DONE);
	for (int i = 0; i < 2; i++) {
		tls_session_judge(m.client, r, i == 0 ? &e : NULL, &verdict);
		assert_string_equal(verdict.name, expected->name);
		assert_string_equal(verdict.text, expected->text);
	}
	/* What is refused before a handshake has shown nothing. */
	if (*evidence->protocol != '\0') {
		assert_string_equal(e.name, evidence->name);
		assert_string_equal(e.authority, evidence->authority);
		assert_string_equal(e.tlsa_text, evidence->tlsa_text);
		assert_string_equal(e.why_untrusted, evidence->why_untrusted);
		assert_int_equal(e.trust, evidence->trust);
		assert_int_equal(e.proof, evidence->proof);
	}
	assert_int_equal(e.achieved, outcome_is_ok(&verdict) ? evidence->achieved : TLS_ENCRYPT);
	assert_int_equal(tls_session_evidence(m.client)->achieved, TLS_ENCRYPT);
	meet_finish(&m);
}

/*
 * What OpenSSL finds where it is let verify inside the handshake, with nothing of ours between: the
 * verifier must find the same.
 */
static long verify_in_handshake(struct tls_context *server, const struct tls_requirement *r)
{
	bool by_tlsa = r->tlsa_pinned || r->n_tlsa > 0;
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	struct tls_session *ours;
	long found = -1;
	SSL *ssl;
	int fd[2];

	assert_true(SSL_CTX_dane_enable(ctx) > 0);
	SSL_CTX_dane_set_flags(ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	if (!by_tlsa)
		assert_int_equal(SSL_CTX_load_verify_file(ctx, chains.ca), 1);
	ssl = SSL_new(ctx);
	SSL_set_hostflags(
	    ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS |
		     (r->level == TLS_MTA_STS ? X509_CHECK_FLAG_NEVER_CHECK_SUBJECT : 0));
	if (by_tlsa)
		assert_true(SSL_dane_enable(ssl, NULL) > 0);
	for (size_t i = 0; i < r->n_tlsa; i++) {
		const struct tlsa_record *t = &r->tlsa[i];

		if (tlsa_is_usable(t))
			assert_true(SSL_dane_tlsa_add(ssl, t->usage, t->selector, t->matching,
					t->data, t->n_data) > 0);
	}
	for (size_t i = 0; i < r->n_names; i++)
		assert_int_equal(
		    SSL_add1_host(ssl, r->names[i] + (strncmp(r->names[i], "*.", 2) == 0)), 1);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd), 0);
	SSL_set_fd(ssl, fd[0]);
	SSL_set_connect_state(ssl);
	ours = tls_session_create_server(server, fd[1]);
	for (int turn = 0; turn < 20 && found < 0; turn++) {
		if (SSL_do_handshake(ssl) == 1)
			found = SSL_get_verify_result(ssl);
		tls_session_handshake(ours);
	}
	assert_true(found >= 0);
	tls_session_destroy(&ours);
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(fd[0]);
	close(fd[1]);
	return found;
}

/* We are stricter in one thing: the dates of an anchor in the DNS that has not signed itself. */
static void compare_with_openssl(struct tls_context *server, const struct tls_requirement *r,
    const struct outcome *outcome, const struct tls_evidence *e)
{
	long found;

	/* Nobody was to be known; or there was no handshake; or no name, where OpenSSL asks for none. */
	if ((outcome_is_ok(outcome) && e->trust != TLS_VERIFIED) || *e->protocol == '\0' ||
	    r->n_names == 0 || *r->names[0] == '\0')
		return;
	found = verify_in_handshake(server, r);
	if (found == X509_V_OK && strcmp(e->why_untrusted, "certificate has expired") == 0)
		assert_true(r->n_tlsa > 0 && r->tlsa[0].usage == 2);
	else
		assert_string_equal(found == X509_V_OK ? "" : X509_verify_cert_error_string(found),
		    e->why_untrusted);
}

struct outcome chains_attempt(
    struct tls_context *server, const struct tls_requirement *r, struct tls_evidence *evidence)
{
	struct meeting m;
	struct outcome outcome;
	enum tls_step step;

	meet(&m, chains.client, server, r);
	step = meet_shake(&m);
	outcome = *tls_session_outcome(m.client);
	*evidence = *tls_session_evidence(m.client);
	assert_int_equal(step == TLS_STEP_DONE, outcome_is_ok(&outcome));
	assert_int_equal(step == TLS_STEP_FAILED, !outcome_is_ok(&outcome));
	if (!outcome_is_ok(&outcome)) {
		assert_int_equal(outcome.code, 454);
		assert_memory_equal(outcome.enhanced, "4.7.", 4);
	}
	meet_finish(&m);
	judge_later(server, r, &outcome, evidence);
	compare_with_openssl(server, r, &outcome, evidence);
	return outcome;
}

void chains_expect(const char *what, struct tls_context *server, const struct tls_requirement *r,
    const char *name, struct tls_evidence *evidence)
{
	struct outcome outcome = chains_attempt(server, r, evidence);

	if (strcmp(outcome.name, name) != 0)
		fail_msg(
		    "%s: expected \"%s\", was \"%s\": %s", what, name, outcome.name, outcome.text);
}
