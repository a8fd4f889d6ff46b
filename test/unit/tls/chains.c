#include "chains.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meet.h"

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
