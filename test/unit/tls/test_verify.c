/*
 * Who is believed by the levels that have nothing to do with DANE: chains shown by a server of ours,
 * judged by a client of ours.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "chains.h"
#include "meet.h"
#include "relay/base/clock.h"

static char *mx_example[] = { (char[]){ "mx.example" } };

static void t15_sni(void **state)
{
	char base[] = "tlsa-base.example";
	struct tls_requirement r = { .level = TLS_MAY, .sni = base };
	struct meeting m;

	(void)state;
	for (int with = 1; with >= 0; with--) {
		if (!with)
			r.sni = NULL;
		meet(&m, chains.client, chains.servers[LEAF], &r);
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
		    forge_tlsa(&chains.made[is_pinned ? table[i].pinned : ROOT], 2, 0, 0, true);
		struct tls_requirement r = { .level = TLS_SECURE,
			.demand = DEMAND_PARTNER,
			.names = names,
			.n_names = 1,
			.tlsa = is_pinned ? &pin : NULL,
			.n_tlsa = is_pinned,
			.tlsa_pinned = is_pinned };

		chains_expect(table[i].what, chains.servers[table[i].shown], &r, table[i].name, &e);
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
	chains_expect("no pins", chains.servers[LEAF], &r, "fingerprint-mismatch", &e);
	r.tlsa = &pin;
	r.n_tlsa = 1;
	chains_expect("no certificate", chains.servers[LEAF], &r, "partner-tls-untrusted", &e);
}

static void ca_file_missing(void **state)
{
	struct tls_context *client = chains.client;
	struct tls_requirement r = {
		.level = TLS_SECURE, .demand = DEMAND_PARTNER, .names = mx_example, .n_names = 1
	};
	struct tls_evidence e;

	(void)state;
	chains.client = tls_context_create_client("/nonexistent/ca.pem");
	chains_expect("CA file missing", chains.servers[LEAF], &r, "tls-ca-file", &e);
	tls_context_destroy(&chains.client);
	chains.client = client;
}

/* RFC 8461 4.2: the host's own name, and as a DNS name. */
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
		chains_expect(table[i].what, chains.servers[table[i].shown], &r, table[i].name, &e);
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
	outcome = chains_attempt(chains.servers[STRANGER], &r, &e);
	forge_fingerprint(&chains.made[STRANGER], pin);
	assert_non_null(strstr(outcome.text, "presented \"evil.example\" issued by \"Middle\""));
	assert_non_null(strstr(outcome.text, pin));
	assert_non_null(strstr(outcome.text, "required by partner rule, tls=secure: "));
	assert_non_null(strstr(outcome.text, "the name mx.example"));
	r.demand = DEMAND_MTA_STS;
	outcome = chains_attempt(chains.servers[STRANGER], &r, &e);
	assert_string_equal(outcome.name, "tls-name");
	assert_non_null(strstr(outcome.text, "required by MTA-STS policy, tls=secure: "));
	outcome = chains_attempt(chains.servers[SELF], &r, &e);
	assert_string_equal(outcome.name, "tls-untrusted");
	r.n_names = 0;
	outcome = chains_attempt(chains.servers[LEAF], &r, &e);
	assert_string_equal(outcome.name, "tls-name");
}

static void t24_fingerprint_and_key(void **state)
{
	struct tls_evidence e;
	char right[65], proof[200];

	(void)state;
	forge_fingerprint(&chains.made[SELF], right);
	for (uint8_t selector = 0; selector <= 1; selector++) {
		struct tlsa_record pins[2] = { forge_tlsa(&chains.made[LEAF], 3, selector, 1, true),
			forge_tlsa(&chains.made[SELF], 3, selector, 1, true) };
		struct tls_requirement r = { .level = TLS_FINGERPRINT,
			.demand = DEMAND_PARTNER,
			.tlsa = pins,
			.n_tlsa = 2,
			.tlsa_pinned = true };

		chains_expect("second of the list", chains.servers[SELF], &r, "", &e);
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
		chains_expect(
		    "not of the list", chains.servers[SELF], &r, "fingerprint-mismatch", &e);
		r.n_tlsa = 0;
		chains_expect(
		    "an empty list", chains.servers[SELF], &r, "fingerprint-mismatch", &e);
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

			chains_expect("opportunistic", chains.servers[table[i].shown], &r, "", &e);
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
	chains_expect("verify", chains.servers[LEAF], &r, "", &e);
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

	return cmocka_run_group_tests(tests, chains_make, chains_end);
}
