/*
 * Who is believed, by level: chains made up here, shown by a server of ours, judged by a client of
 * ours. The world: root -> intermediate -> leaf for mx.example, and what can be wrong with each.
 */
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
#include "relay/base/outcome.h"
#include "tls/openssl.h"

enum {
	ROOT,
	MIDDLE,
	LEAF,
	EXPIRED,
	NAMELESS,
	WILD,
	STRANGER,
	OLD_ROOT,
	OLD_ROOT_LEAF,
	OLD_MIDDLE,
	OLD_MIDDLE_LEAF,
	SELF,
	SMALL,
	OLD_HASH,
	DEEP,
	PARTIAL,
	COMMON,
	COMMON_TOO,
	N_FORGED,
};

struct world {
	char directory[FORGE_PATH_MAX];
	char ca[FORGE_PATH_MAX];
	struct forged made[N_FORGED];
	struct tls_context *servers[N_FORGED]; /* each with its whole chain, without the root */
	struct tls_context *alone;             /* LEAF without its chain */
	struct tls_context *with_root;         /* LEAF with MIDDLE and ROOT */
	struct tls_context *old_with_root;     /* OLD_ROOT_LEAF with OLD_ROOT */
	struct tls_context *client;
};

static struct world world;

static struct tls_context *serve(const char *name, const struct forged *const *chain)
{
	char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX], file[40], error[500];
	struct tls_context *context;

	forge_write(world.directory, name, chain);
	snprintf(file, sizeof file, "%s.pem", name);
	forge_path(world.directory, file, certificate);
	snprintf(file, sizeof file, "%s.key", name);
	forge_path(world.directory, file, key);
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

static int make_world(void **state)
{
	struct forged *f = world.made;
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
		{ COMMON_TOO, MIDDLE, { .name = "mx.example", .alternatives = "DNS:www.example" } },
	};

	(void)state;
	forge_make_directory(world.directory);
	for (size_t i = 0; i < sizeof wishes / sizeof wishes[0]; i++) {
		struct forge_wish wish = wishes[i].wish;
		int above = wishes[i].above;
		char name[20];

		wish.issuer = above >= 0 ? &f[above] : NULL;
		forge(&f[wishes[i].which], wish);
		if (wish.rsa_bits > 0 || wish.signs_with_sha1) {
			world.servers[wishes[i].which] = serve_weak(&f[wishes[i].which], &f[above]);
			continue;
		}
		snprintf(name, sizeof name, "chain%d", wishes[i].which);
		world.servers[wishes[i].which] =
		    serve(name, (const struct forged *[]){ &f[wishes[i].which],
				    above > ROOT && above != OLD_ROOT ? &f[above] : NULL, NULL });
	}
	world.alone = serve("alone", (const struct forged *[]){ &f[LEAF], NULL });
	world.with_root =
	    serve("with-root", (const struct forged *[]){ &f[LEAF], &f[MIDDLE], &f[ROOT], NULL });
	world.old_with_root =
	    serve("old", (const struct forged *[]){ &f[OLD_ROOT_LEAF], &f[OLD_ROOT], NULL });
	forge_path(world.directory, "chain0.pem", world.ca);
	world.client = tls_context_create_client(world.ca);
	return 0;
}

static int end_world(void **state)
{
	(void)state;
	for (int i = 0; i < N_FORGED; i++) {
		forged_finish(&world.made[i]);
		tls_context_destroy(&world.servers[i]);
	}
	tls_context_destroy(&world.alone);
	tls_context_destroy(&world.with_root);
	tls_context_destroy(&world.old_with_root);
	tls_context_destroy(&world.client);
	forge_remove_directory(world.directory);
	return 0;
}

static char *mx_example[] = { (char[]){ "mx.example" } };

/* The same server under "encrypt", and only then held against the requirement: nothing may differ. */
static void judge_later(struct tls_context *server, const struct tls_requirement *r,
    const struct outcome *expected, const struct tls_evidence *evidence)
{
	static const struct tls_requirement encrypt = { .level = TLS_ENCRYPT };
	struct tls_evidence e;
	struct outcome verdict;
	struct meeting m;

	meet(&m, world.client, server, &encrypt);
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

/* One handshake; the evidence and the outcome are for the caller to look at. */
static struct outcome attempt(
    struct tls_context *server, const struct tls_requirement *r, struct tls_evidence *evidence)
{
	struct meeting m;
	struct outcome outcome;
	enum tls_step step;

	meet(&m, world.client, server, r);
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

static void expect(const char *what, struct tls_context *server, const struct tls_requirement *r,
    const char *name, struct tls_evidence *evidence)
{
	struct outcome outcome = attempt(server, r, evidence);

	if (strcmp(outcome.name, name) != 0)
		fail_msg(
		    "%s: expected \"%s\", was \"%s\": %s", what, name, outcome.name, outcome.text);
}

/* A requirement with up to two TLSA records. */
static void expect_dane(const char *what, struct tls_context *server, struct tlsa_record one,
    const struct tlsa_record *two, const char *reference, const char *name,
    struct tls_evidence *evidence)
{
	struct tlsa_record records[2] = { one, two != NULL ? *two : (struct tlsa_record){ 0 } };
	char *names[] = { (char *)(uintptr_t)reference };
	struct tls_requirement r = { .level = TLS_DANE,
		.demand = DEMAND_DANE,
		.tlsa = records,
		.n_tlsa = two != NULL ? 2 : 1,
		.names = names,
		.n_names = 1 };

	expect(what, server, &r, name, evidence);
	for (size_t i = 0; i < r.n_tlsa; i++)
		free(records[i].data);
}

static void t1_t2_all_usable_records(void **state)
{
	(void)state;
	for (uint8_t usage = 2; usage <= 3; usage++) {
		for (uint8_t selector = 0; selector <= 1; selector++) {
			for (uint8_t matching = 0; matching <= 2; matching++) {
				const struct forged *of = &world.made[usage == 3 ? LEAF : ROOT];
				struct tls_evidence e;
				char what[20], proof[40], printed[200];

				snprintf(what, sizeof what, "%u %u %u", usage, selector, matching);
				expect_dane(what, world.with_root,
				    forge_tlsa(of, usage, selector, matching, true), NULL,
				    "mx.example", "", &e);
				assert_int_equal(e.trust, TLS_VERIFIED);
				assert_int_equal(e.achieved, TLS_DANE);
				snprintf(proof, sizeof proof, "dane-%s %s ",
				    usage == 3 ? "ee" : "ta", what);
				tls_evidence_print_proof(&e, printed, sizeof printed);
				assert_memory_equal(printed, proof, strlen(proof));
				assert_non_null(strstr(printed, e.tlsa_text));
				assert_string_equal(e.name, usage == 3 ? "" : "mx.example");

				expect_dane(what, world.with_root,
				    forge_tlsa(of, usage, selector, matching, false), NULL,
				    "mx.example", "dane-mismatch", &e);
				assert_int_equal(e.trust, TLS_UNTRUSTED);
				assert_int_equal(e.achieved, TLS_ENCRYPT);
			}
		}
	}
}

static void t5_all_unusable(void **state)
{
	struct tls_evidence e;
	struct tls_requirement r = { .level = TLS_DANE,
		.demand = DEMAND_DANE,
		.tlsa_unusable = true,
		.names = mx_example,
		.n_names = 1 };

	(void)state;
	expect("anybody's certificate", world.servers[SELF], &r, "", &e);
	assert_int_equal(e.achieved, TLS_ENCRYPT);
	assert_int_equal(e.trust, TLS_UNTRUSTED);
	assert_string_not_equal(e.why_untrusted, "");
	r.level = TLS_DANE_ONLY;
	expect("dane-only", world.servers[LEAF], &r, "dane-missing", &e);
	r.tlsa_unusable = false;
	expect("dane-only without", world.servers[LEAF], &r, "dane-missing", &e);
}

/* Records that should have been filtered reach the session: they must not stop or help anything. */
static void t3_t6_mixed_records(void **state)
{
	struct tlsa_record other;
	struct tls_evidence e;

	(void)state;
	other = forge_tlsa(&world.made[LEAF], 3, 1, 1, true);
	other.selector = 7;
	expect_dane("unusable and matching", world.servers[LEAF],
	    forge_tlsa(&world.made[LEAF], 3, 1, 1, true), &other, "mx.example", "", &e);
	other = forge_tlsa(&world.made[ROOT], 2, 0, 1, true);
	expect_dane("wrong 3 1 1, right 2 0 1", world.with_root,
	    forge_tlsa(&world.made[LEAF], 3, 1, 1, false), &other, "mx.example", "", &e);
	assert_int_equal(e.proof, TLS_PROOF_DANE_TA);
	other = forge_tlsa(&world.made[LEAF], 1, 1, 1, true);
	expect_dane("1 1 1 matches, 3 1 1 does not", world.servers[LEAF],
	    forge_tlsa(&world.made[LEAF], 3, 1, 1, false), &other, "mx.example", "dane-mismatch",
	    &e);
	/* RFC 7671 9: where SHA-512 is published, SHA-256 is not believed any more. */
	other = forge_tlsa(&world.made[LEAF], 3, 1, 2, false);
	expect_dane("digest agility", world.servers[LEAF],
	    forge_tlsa(&world.made[LEAF], 3, 1, 1, true), &other, "mx.example", "dane-mismatch",
	    &e);
}

static void t7_usage_3_ignores_names_and_dates(void **state)
{
	static const int shown[] = { EXPIRED, NAMELESS, STRANGER, SELF, OLD_ROOT_LEAF };
	struct tls_evidence e;

	(void)state;
	for (size_t i = 0; i < sizeof shown / sizeof shown[0]; i++) {
		for (uint8_t selector = 0; selector <= 1; selector++)
			expect_dane("usage 3", world.servers[shown[i]],
			    forge_tlsa(&world.made[shown[i]], 3, selector, 1, true), NULL,
			    "mx.example", "", &e);
	}
}

static void t8_usage_2_that_fails(void **state)
{
	const struct {
		const char *what;
		struct tls_context *server;
		int published;
		uint8_t matching;
		const char *reference, *name;
	} table[] = {
		{ "for mx2", world.servers[LEAF], MIDDLE, 1, "mx2.example", "" },
		{ "wrong name", world.servers[LEAF], MIDDLE, 1, "mx3.example", "dane-mismatch" },
		{ "stranger's name", world.servers[STRANGER], MIDDLE, 1, "mx.example",
		    "dane-mismatch" },
		{ "no name", world.servers[NAMELESS], MIDDLE, 1, "mx.example", "dane-mismatch" },
		{ "no reference name", world.servers[LEAF], MIDDLE, 1, "", "dane-mismatch" },
		{ "expired leaf", world.servers[EXPIRED], MIDDLE, 1, "mx.example",
		    "dane-mismatch" },
		{ "expired TA", world.old_with_root, OLD_ROOT, 1, "mx.example", "dane-mismatch" },
		{ "expired TA in DNS", world.servers[OLD_ROOT_LEAF], OLD_ROOT, 0, "mx.example",
		    "dane-mismatch" },
		{ "expired TA between", world.servers[OLD_MIDDLE_LEAF], OLD_MIDDLE, 1, "mx.example",
		    "dane-mismatch" },
		{ "TA not in the chain", world.servers[LEAF], ROOT, 1, "mx.example",
		    "dane-mismatch" },
		{ "TA not in the chain, but in DNS", world.servers[LEAF], ROOT, 0, "mx.example",
		    "" },
		{ "chain missing", world.alone, ROOT, 0, "mx.example", "dane-mismatch" },
		{ "TA at depth 0", world.servers[ROOT], ROOT, 1, "Root", "dane-mismatch" },
		{ "leaf as TA", world.servers[LEAF], LEAF, 1, "mx.example", "dane-mismatch" },
		{ "self-signed leaf as TA", world.servers[SELF], SELF, 1, "mx.example",
		    "dane-mismatch" },
	};
	struct tls_evidence e;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
		expect_dane(table[i].what, table[i].server,
		    forge_tlsa(&world.made[table[i].published], 2, 0, table[i].matching, true),
		    NULL, table[i].reference, table[i].name, &e);
}

/* MX host or next-hop domain: any of the reference names will do; T23: a star is one label. */
static void t9_t23_usage_2_names(void **state)
{
	struct tlsa_record record = forge_tlsa(&world.made[MIDDLE], 2, 1, 1, true);
	char host[] = "unknown.example", domain[] = "mx2.example";
	char *names[] = { host, domain };
	struct tls_requirement r = {
		.level = TLS_DANE, .tlsa = &record, .n_tlsa = 1, .names = names, .n_names = 2
	};
	struct tls_evidence e;

	(void)state;
	expect("next-hop domain", world.servers[LEAF], &r, "", &e);
	assert_string_equal(e.name, "mx2.example");
	free(record.data);
	expect_dane("wildcard", world.servers[WILD], forge_tlsa(&world.made[MIDDLE], 2, 1, 1, true),
	    NULL, "a.mail.example", "", &e);
	expect_dane("wildcard, two labels", world.servers[WILD],
	    forge_tlsa(&world.made[MIDDLE], 2, 1, 1, true), NULL, "a.b.mail.example",
	    "dane-mismatch", &e);
}

static void t15_sni(void **state)
{
	char base[] = "tlsa-base.example";
	struct tls_requirement r = { .level = TLS_MAY, .sni = base };
	struct meeting m;

	(void)state;
	for (int with = 1; with >= 0; with--) {
		if (!with)
			r.sni = NULL;
		meet(&m, world.client, world.servers[LEAF], &r);
		assert_int_equal(meet_shake(&m), TLS_STEP_DONE);
		assert_string_equal(tls_session_evidence(m.server)->sni, with ? base : "");
		assert_string_equal(tls_session_evidence(m.client)->sni, with ? base : "");
		meet_finish(&m);
	}
}

static void t23_t24_pkix_by_partner(void **state)
{
	enum { SYSTEM = -1 };
	const struct {
		const char *what;
		int shown;
		const char *reference; /* the name the operator wrote */
		int pinned;            /* the authority he wrote */
		const char *name;
	} table[] = {
		{ "good", LEAF, "mx.example", SYSTEM, "" },
		{ "good, own CA", LEAF, "mx.example", ROOT, "" },
		{ "good, own CA is in the middle", LEAF, "mx.example", MIDDLE, "" },
		{ "pattern of the operator", LEAF, "*.example", SYSTEM, "" },
		{ "pattern, own CA", LEAF, "*.example", ROOT, "" },
		{ "pattern, wildcard certificate", WILD, "*.mail.example", SYSTEM, "" },
		{ "wildcard certificate", WILD, "a.mail.example", SYSTEM, "" },
		{ "T23 two labels", WILD, "a.b.mail.example", SYSTEM, "partner-tls-name" },
		{ "T23 two labels, own CA", WILD, "a.b.mail.example", ROOT, "partner-tls-name" },
		{ "T23 the parent itself", WILD, "mail.example", SYSTEM, "partner-tls-name" },
		{ "T23 pattern, two labels", DEEP, "*.mail.example", SYSTEM, "partner-tls-name" },
		{ "partial wildcard", PARTIAL, "mx.example", SYSTEM, "partner-tls-name" },
		{ "another's name", STRANGER, "mx.example", SYSTEM, "partner-tls-name" },
		{ "another's name, own CA", STRANGER, "mx.example", ROOT, "partner-tls-name" },
		{ "spoofed MX", LEAF, "mail.bank.example", SYSTEM, "partner-tls-name" },
		{ "no name in it", NAMELESS, "mx.example", SYSTEM, "partner-tls-name" },
		{ "common name, no other", COMMON, "mx.example", SYSTEM, "" },
		{ "common name beside others", COMMON_TOO, "mx.example", SYSTEM,
		    "partner-tls-name" },
		{ "no name written", LEAF, "", SYSTEM, "partner-tls-name" },
		{ "no name written, own CA", LEAF, "", ROOT, "partner-tls-untrusted" },
		{ "expired", EXPIRED, "mx.example", SYSTEM, "partner-tls-expired" },
		{ "expired, own CA", EXPIRED, "mx.example", ROOT, "partner-tls-expired" },
		{ "expired between", OLD_MIDDLE_LEAF, "mx.example", SYSTEM, "partner-tls-expired" },
		{ "expired CA", OLD_ROOT_LEAF, "mx.example", OLD_ROOT, "partner-tls-expired" },
		{ "self-signed", SELF, "mx.example", SYSTEM, "partner-tls-untrusted" },
		{ "self-signed, as its own CA", SELF, "mx.example", SELF, "partner-tls-untrusted" },
		{ "other CA", LEAF, "mx.example", OLD_ROOT, "partner-tls-untrusted" },
		{ "small key", SMALL, "mx.example", SYSTEM, "partner-tls-untrusted" },
		{ "small key, own CA", SMALL, "mx.example", ROOT, "partner-tls-untrusted" },
		{ "SHA-1", OLD_HASH, "mx.example", SYSTEM, "partner-tls-untrusted" },
		{ "SHA-1, own CA", OLD_HASH, "mx.example", ROOT, "partner-tls-untrusted" },
	};
	struct tls_evidence e;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		bool is_pinned = table[i].pinned != SYSTEM;
		char *names[] = { (char *)(uintptr_t)table[i].reference };
		struct tlsa_record pin =
		    forge_tlsa(&world.made[is_pinned ? table[i].pinned : ROOT], 2, 0, 0, true);
		struct tls_requirement r = { .level = TLS_SECURE,
			.demand = DEMAND_PARTNER,
			.names = names,
			.n_names = 1,
			.tlsa = is_pinned ? &pin : NULL,
			.n_tlsa = is_pinned,
			.tlsa_pinned = is_pinned };

		expect(table[i].what, world.servers[table[i].shown], &r, table[i].name, &e);
		if (*table[i].name == '\0') {
			assert_int_equal(e.trust, TLS_VERIFIED);
			assert_int_equal(e.achieved, TLS_SECURE);
			assert_int_equal(e.proof, is_pinned ? TLS_PROOF_PINNED_CA : TLS_PROOF_PKIX);
			assert_string_not_equal(e.authority, "");
		}
		free(pin.data);
	}
}

/* A rule whose CA file could not be used pins nothing that is good, and falls back to nothing. */
static void t24_no_fallback_from_pins(void **state)
{
	struct tls_requirement r = { .level = TLS_SECURE,
		.demand = DEMAND_PARTNER,
		.names = mx_example,
		.n_names = 1,
		.tlsa_pinned = true };
	struct tlsa_record pin = { 2, 0, 0, (uint8_t[]){ 0x30, 0x82 }, 2 };
	struct tls_evidence e;

	(void)state;
	expect("no pins", world.servers[LEAF], &r, "fingerprint-mismatch", &e);
	r.tlsa = &pin;
	r.n_tlsa = 1;
	expect("no certificate", world.servers[LEAF], &r, "partner-tls-untrusted", &e);
}

static void ca_file_missing(void **state)
{
	struct tls_context *client = world.client;
	struct tls_requirement r = {
		.level = TLS_SECURE, .demand = DEMAND_PARTNER, .names = mx_example, .n_names = 1
	};
	struct tls_evidence e;

	(void)state;
	world.client = tls_context_create_client("/nonexistent/ca.pem");
	expect("CA file missing", world.servers[LEAF], &r, "tls-ca-file", &e);
	tls_context_destroy(&world.client);
	world.client = client;
}

/* RFC 8461 4.1: the host's own name, and as a DNS name. */
static void t21_mta_sts(void **state)
{
	static const struct {
		const char *what;
		int shown;
		const char *name;
	} table[] = {
		{ "good", LEAF, "" },
		{ "another's name", STRANGER, "sts-tls-name" },
		{ "a common name only", COMMON, "sts-tls-name" },
		{ "expired", EXPIRED, "sts-tls-expired" },
		{ "self-signed", SELF, "sts-tls-untrusted" },
	};
	struct tls_requirement r = {
		.level = TLS_MTA_STS, .demand = DEMAND_MTA_STS, .names = mx_example, .n_names = 1
	};
	struct tls_evidence e;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		expect(table[i].what, world.servers[table[i].shown], &r, table[i].name, &e);
		assert_int_equal(e.achieved, *table[i].name == '\0' ? TLS_MTA_STS : TLS_ENCRYPT);
	}
}

/* The text says what was presented and what was required, by whom. */
static void t24_refusals_explain(void **state)
{
	struct tls_requirement r = {
		.level = TLS_SECURE, .demand = DEMAND_PARTNER, .names = mx_example, .n_names = 1
	};
	struct tls_evidence e;
	struct outcome outcome;
	char pin[65];

	(void)state;
	outcome = attempt(world.servers[STRANGER], &r, &e);
	forge_fingerprint(&world.made[STRANGER], pin);
	assert_non_null(strstr(outcome.text, "presented \"evil.example\" issued by \"Middle\""));
	assert_non_null(strstr(outcome.text, pin));
	assert_non_null(strstr(outcome.text, "required by partner rule, tls=secure: "));
	assert_non_null(strstr(outcome.text, "the name mx.example"));
	r.demand = DEMAND_MTA_STS;
	outcome = attempt(world.servers[STRANGER], &r, &e);
	assert_string_equal(outcome.name, "tls-name");
	outcome = attempt(world.servers[SELF], &r, &e);
	assert_string_equal(outcome.name, "tls-untrusted");
	r.n_names = 0;
	outcome = attempt(world.servers[LEAF], &r, &e);
	assert_string_equal(outcome.name, "tls-name");
}

static void t24_fingerprint_and_key(void **state)
{
	struct tls_evidence e;
	char right[65], proof[200];

	(void)state;
	forge_fingerprint(&world.made[SELF], right);
	for (uint8_t selector = 0; selector <= 1; selector++) {
		struct tlsa_record pins[2] = { forge_tlsa(&world.made[LEAF], 3, selector, 1, true),
			forge_tlsa(&world.made[SELF], 3, selector, 1, true) };
		struct tls_requirement r = { .level = TLS_FINGERPRINT,
			.demand = DEMAND_PARTNER,
			.tlsa = pins,
			.n_tlsa = 2,
			.tlsa_pinned = true };

		expect("second of the list", world.servers[SELF], &r, "", &e);
		assert_int_equal(e.achieved, TLS_FINGERPRINT);
		tls_evidence_print_proof(&e, proof, sizeof proof);
		if (selector == 0) {
			assert_memory_equal(proof, "fingerprint ", 12);
			assert_string_equal(proof + 12, right);
		} else {
			assert_memory_equal(proof, "public-key ", 11);
			assert_string_equal(proof + 11, e.tlsa_text + 6);
			assert_int_equal(strlen(proof), 11 + 64);
			assert_string_equal(proof + 11, e.public_key);
		}
		r.n_tlsa = 1;
		expect("not of the list", world.servers[SELF], &r, "fingerprint-mismatch", &e);
		r.n_tlsa = 0;
		expect("an empty list", world.servers[SELF], &r, "fingerprint-mismatch", &e);
		free(pins[0].data);
		free(pins[1].data);
	}
}

/* Nothing a certificate shows makes an opportunistic handshake fail; the log says what it was. */
static void opportunistic_records_but_accepts(void **state)
{
	static const struct {
		int shown;
		enum tls_trust trust;
	} table[] = {
		{ LEAF, TLS_TRUSTED },
		{ STRANGER, TLS_TRUSTED },
		{ SELF, TLS_UNTRUSTED },
		{ EXPIRED, TLS_UNTRUSTED },
		{ OLD_ROOT_LEAF, TLS_UNTRUSTED },
		{ SMALL, TLS_TRUSTED },
		{ OLD_HASH, TLS_TRUSTED },
	};
	static const enum tls_level levels[] = { TLS_NONE, TLS_MAY, TLS_ENCRYPT, TLS_DANE };
	struct tls_evidence e;

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		for (size_t j = 0; j < sizeof levels / sizeof levels[0]; j++) {
			struct tls_requirement r = {
				.level = levels[j], .names = mx_example, .n_names = 1
			};

			expect("opportunistic", world.servers[table[i].shown], &r, "", &e);
			if (e.trust != table[i].trust)
				fail_msg(
				    "row %zu: %s %s", i, tls_trust_name(e.trust), e.why_untrusted);
			assert_int_equal(e.achieved, TLS_ENCRYPT);
			assert_int_equal(e.proof, TLS_PROOF_NONE);
		}
	}
}

static void log_line_in_postfix_words(void **state)
{
	struct tls_requirement r = { .level = TLS_VERIFY, .names = mx_example, .n_names = 1 };
	struct tls_evidence e;
	char line[300], proof[100];

	(void)state;
	expect("verify", world.servers[LEAF], &r, "", &e);
	tls_evidence_print(&e, "to", "mx.example[192.0.2.1]:25", line, sizeof line);
	assert_string_equal(line,
	    "Verified TLS connection established to mx.example[192.0.2.1]:25: TLSv1.3 with cipher "
	    "TLS_AES_256_GCM_SHA384 (256/256 bits)");
	tls_evidence_print_proof(&e, proof, sizeof proof);
	assert_string_equal(proof, "pkix mx.example by Root");
	assert_false(e.is_resumed);
	assert_in_range(e.not_after_s, clock_wall_s() + 29 * 86400, clock_wall_s() + 31 * 86400);
	assert_string_equal(e.subject, "mx.example, mx2.example");
	assert_string_equal(e.issuer, "Middle");
	tls_evidence_print(&e, "to", "mx.example[192.0.2.1]:25", line, 10);
	assert_string_equal(line, "Verified ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_t2_all_usable_records),
		cmocka_unit_test(t5_all_unusable),
		cmocka_unit_test(t3_t6_mixed_records),
		cmocka_unit_test(t7_usage_3_ignores_names_and_dates),
		cmocka_unit_test(t8_usage_2_that_fails),
		cmocka_unit_test(t9_t23_usage_2_names),
		cmocka_unit_test(t15_sni),
		cmocka_unit_test(t23_t24_pkix_by_partner),
		cmocka_unit_test(t24_refusals_explain),
		cmocka_unit_test(t24_no_fallback_from_pins),
		cmocka_unit_test(t24_fingerprint_and_key),
		cmocka_unit_test(ca_file_missing),
		cmocka_unit_test(t21_mta_sts),
		cmocka_unit_test(opportunistic_records_but_accepts),
		cmocka_unit_test(log_line_in_postfix_words),
	};

	return cmocka_run_group_tests(tests, make_world, end_world);
}
