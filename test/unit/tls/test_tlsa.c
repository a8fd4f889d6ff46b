/*
 * T1 to T9: what TLSA records make of a chain, for every usage, selector and matching type. Each row
 * is judged twice, in a handshake and on a connection that is there already (chains.h).
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

/* Six of each usage: selector and matching type. Bits of a set, so that a row can name some. */
enum {
	FULL_CERTIFICATE = 1,
	FULL_KEY = 2,
	DIGESTS = 4 + 8 + 16 + 32,
	NONE = 0,
	ALL = FULL_CERTIFICATE | FULL_KEY | DIGESTS,
};

static const uint8_t kinds[][2] = { { 0, 0 }, { 1, 0 }, { 0, 1 }, { 0, 2 }, { 1, 1 }, { 1, 2 } };

/* Shown: the chain of one of chains.h, or one of these. */
enum { WITH_ROOT = -1, OLD_WITH_ROOT = -2, ALONE = -3 };

static const struct row {
	const char *condition;
	uint8_t usage;
	int shown;
	int published;         /* whose certificate or key the record is of */
	bool matches;          /* or it is of somebody else */
	const char *reference; /* the name the certificate must bear */
	int accepted;          /* which kinds are */
	const char *section;
	const char *refused_for; /* the others; NULL: dane-mismatch, as nothing leads to a record */
	int but;                 /* these for another reason */
	const char *but_for;
} rows[] = {
	/* ---- usage 3: the certificate, and nothing about it ---- */
	{ "good", 3, WITH_ROOT, LEAF, true, "mx.example", ALL, "RFC 7672 3.1.1" },
	{ "wrong data", 3, WITH_ROOT, LEAF, false, "mx.example", NONE, "RFC 6698 2.1.3" },
	{ "expired leaf", 3, EXPIRED, EXPIRED, true, "mx.example", ALL, "RFC 7672 3.1.1" },
	{ "expired TA", 3, OLD_WITH_ROOT, OLD_ROOT_LEAF, true, "mx.example", ALL,
	    "RFC 7672 3.1.1" },
	{ "wrong name", 3, STRANGER, STRANGER, true, "mx.example", ALL, "RFC 7672 3.1.1" },
	{ "no name in it", 3, NAMELESS, NAMELESS, true, "mx.example", ALL, "RFC 7672 3.1.1" },
	{ "TA not in the chain", 3, ALONE, LEAF, true, "mx.example", ALL, "RFC 7671 5.1" },
	{ "self-signed", 3, SELF, SELF, true, "mx.example", ALL, "RFC 7671 5.1" },
	{ "TA at depth 0", 3, SELF_CA, SELF_CA, true, "mx.example", ALL, "RFC 7671 5.1" },
	{ "TA published as EE", 3, WITH_ROOT, MIDDLE, true, "mx.example", NONE, "RFC 7671 5.1" },
	{ "root published as EE", 3, WITH_ROOT, ROOT, true, "mx.example", NONE, "RFC 7671 5.1" },

	/* ---- usage 2: an authority in the chain, a name, and dates ---- */
	{ "good, root", 2, WITH_ROOT, ROOT, true, "mx.example", ALL, "RFC 7672 3.1.2" },
	{ "good, middle", 2, WITH_ROOT, MIDDLE, true, "mx.example", ALL, "RFC 7672 3.1.2" },
	{ "good, no root shown", 2, LEAF, MIDDLE, true, "mx.example", ALL, "RFC 7672 3.1.2" },
	{ "good, the other name", 2, WITH_ROOT, ROOT, true, "mx2.example", ALL, "RFC 7672 3.2.3" },
	{ "T23 a star is one label", 2, WILD, MIDDLE, true, "a.mail.example", ALL,
	    "RFC 7672 3.2.3" },
	{ "wrong data", 2, WITH_ROOT, ROOT, false, "mx.example", NONE, "RFC 6698 2.1.3" },
	{ "expired leaf", 2, EXPIRED, MIDDLE, true, "mx.example", NONE, "RFC 7671 5.2",
	    "dane-tls-expired" },
	/* A bare key has no dates, whoever made a certificate of it. */
	{ "expired TA", 2, OLD_WITH_ROOT, OLD_ROOT, true, "mx.example", NONE, "RFC 7671 5.2",
	    "dane-tls-expired" },
	{ "expired TA, not shown", 2, OLD_ROOT_LEAF, OLD_ROOT, true, "mx.example", FULL_KEY,
	    "RFC 7671 5.2.2", "dane-mismatch", FULL_CERTIFICATE, "dane-tls-expired" },
	{ "expired TA below a root", 2, OLD_MIDDLE_LEAF, OLD_MIDDLE, true, "mx.example", NONE,
	    "RFC 7671 5.2", "dane-tls-expired" },
	{ "expired between", 2, OLD_MIDDLE_LEAF, ROOT, true, "mx.example", NONE, "RFC 7671 5.2",
	    "dane-mismatch", FULL_CERTIFICATE | FULL_KEY, "dane-tls-expired" },
	{ "wrong name", 2, WITH_ROOT, ROOT, true, "mx3.example", NONE, "RFC 7672 3.2.3",
	    "dane-tls-name" },
	{ "a stranger's name", 2, STRANGER, MIDDLE, true, "mx.example", NONE, "RFC 7672 3.2.3",
	    "dane-tls-name" },
	{ "no name in it", 2, NAMELESS, MIDDLE, true, "mx.example", NONE, "RFC 7672 3.2.3",
	    "dane-tls-name" },
	{ "T23 two labels", 2, WILD, MIDDLE, true, "a.b.mail.example", NONE, "RFC 6125 6.4.3",
	    "dane-tls-name" },
	{ "nobody to name", 2, WITH_ROOT, ROOT, true, "", NONE, "RFC 7672 3.2.3" },
	/* Only what stands whole in the DNS can take its place. */
	{ "TA not in the chain", 2, LEAF, ROOT, true, "mx.example", FULL_CERTIFICATE | FULL_KEY,
	    "RFC 7671 5.2.2" },
	{ "nor what is between", 2, ALONE, ROOT, true, "mx.example", NONE, "RFC 7672 3.1.2" },
	{ "TA at depth 0", 2, SELF_CA, SELF_CA, true, "mx.example", NONE, "RFC 7671 5.2", NULL,
	    FULL_KEY, "dane-tls-untrusted" },
	/* The key that signed the leaf is a trust anchor, even where it is the leaf's own. */
	{ "self-signed leaf as TA", 2, SELF, SELF, true, "mx.example", FULL_KEY, "RFC 7671 5.2.2" },
	{ "EE published as TA", 2, WITH_ROOT, LEAF, true, "mx.example", NONE, "RFC 7671 5.2" },
};

static struct tls_context *shown(int which)
{
	return which == WITH_ROOT       ? chains.with_root
	       : which == OLD_WITH_ROOT ? chains.old_with_root
	       : which == ALONE         ? chains.alone
					: chains.servers[which];
}

static const char *refusal_of(const struct row *row, size_t kind)
{
	if ((row->but >> kind & 1) != 0)
		return row->but_for;
	return row->refused_for != NULL ? row->refused_for : "dane-mismatch";
}

static void judge_row(const struct row *row, size_t kind)
{
	bool accepted = (row->accepted >> kind & 1) != 0;
	char *names[] = { (char *)(uintptr_t)row->reference };
	struct tlsa_record record = forge_tlsa(
	    &chains.made[row->published], row->usage, kinds[kind][0], kinds[kind][1], row->matches);
	struct tls_requirement r = { .level = TLS_DANE,
		.demand = DEMAND_DANE,
		.tlsa = &record,
		.n_tlsa = 1,
		.names = names,
		.n_names = 1 };
	struct tls_evidence e;
	char what[120], proof[40], printed[300];

	snprintf(proof, sizeof proof, "dane-%s %u %u %u ", row->usage == 3 ? "ee" : "ta",
	    row->usage, kinds[kind][0], kinds[kind][1]);
	snprintf(what, sizeof what, "%s%s (%s)", proof, row->condition, row->section);
	chains_expect(what, shown(row->shown), &r, accepted ? "" : refusal_of(row, kind), &e);
	assert_int_equal(e.trust, accepted ? TLS_VERIFIED : TLS_UNTRUSTED);
	assert_int_equal(e.achieved, accepted ? TLS_DANE : TLS_ENCRYPT);
	tls_evidence_print_proof(&e, printed, sizeof printed);
	if (accepted) {
		assert_memory_equal(printed, proof, strlen(proof));
		assert_non_null(strstr(printed, e.tlsa_text));
		/* Usage 3 looks at no name, so it tells of none. */
		assert_string_equal(e.name, row->usage == 3 ? ""
					    : strcmp(row->reference, "a.mail.example") == 0
						? "*.mail.example"
						: row->reference);
	} else {
		assert_string_equal(printed, "none");
	}
	free(record.data);
}

static void t1_t2_t7_t8_generated_chains(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++)
			judge_row(&rows[i], kind);
	}
}

/*
 * Several records, as "WHOSE USAGE SELECTOR TYPE" with a comma between. Whose: leaf, root; other (of
 * the same shape, and of nobody here); short (a byte less than a digest).
 */
static const struct {
	const char *what, *records;
	const char *dane, *dane_only; /* names of refusals; "" for none */
	bool is_authenticated;
	const char *section;
} mixtures[] = {
	/* T3, T4, T5: nothing that means something to us: encrypted, and anybody */
	{ "T3 usage 0", "leaf 0 0 1", "", "dane-missing", false, "RFC 7672 3.1.3" },
	{ "T3 usage 1", "leaf 1 1 1", "", "dane-missing", false, "RFC 7672 3.1.3" },
	{ "T3 usage 4", "leaf 4 1 1", "", "dane-missing", false, "RFC 7672 2.2" },
	{ "T3 usage 255", "leaf 255 1 1", "", "dane-missing", false, "RFC 7672 2.2" },
	{ "T4 selector 7", "leaf 3 7 1", "", "dane-missing", false, "RFC 7672 2.2" },
	{ "T4 type 9", "leaf 3 1 9", "", "dane-missing", false, "RFC 7672 2.2" },
	{ "T4 type 255", "leaf 3 1 255", "", "dane-missing", false, "RFC 7672 2.2" },
	{ "T4 short", "short 3 1 1", "", "dane-missing", false, "RFC 7672 2.2" },
	{ "T5 four of them", "leaf 0 1 1, leaf 1 1 1, leaf 3 2 1, leaf 2 0 3", "", "dane-missing",
	    false, "RFC 7672 2.2" },

	/* T6: what is unusable neither helps nor hurts */
	{ "T6 unusable, right", "leaf 3 7 1, leaf 3 1 1", "", "", true, "RFC 7672 2.2" },
	{ "T6 right, short", "leaf 3 1 1, short 3 1 1", "", "", true, "RFC 7672 2.2" },
	{ "T6 usage 1 right, usage 3 wrong", "leaf 1 1 1, other 3 1 1", "dane-mismatch",
	    "dane-mismatch", false, "RFC 7672 3.1.3" },
	{ "T6 usage 0 right, usage 2 wrong", "root 0 0 1, other 2 0 1", "dane-mismatch",
	    "dane-mismatch", false, "RFC 7672 3.1.3" },
	{ "T6 unusable, wrong", "leaf 3 1 9, other 3 1 1", "dane-mismatch", "dane-mismatch", false,
	    "RFC 7672 2.2" },

	/* T6: any of those that are usable is enough */
	{ "T6 wrong 3 1 1, right 2 0 1", "other 3 1 1, root 2 0 1", "", "", true, "RFC 6698 2.1" },
	{ "T6 right 3 1 1, wrong 2 0 1", "leaf 3 1 1, other 2 0 1", "", "", true, "RFC 6698 2.1" },
	{ "the next key is there already", "other 3 1 1, leaf 3 1 1", "", "", true,
	    "RFC 7671 8.1" },
	{ "all wrong", "other 3 1 1, other 3 0 1, other 2 0 1, other 2 1 0", "dane-mismatch",
	    "dane-mismatch", false, "RFC 6698 2.1" },
	{ "root as usage 3, leaf as usage 2", "root 3 1 1, leaf 2 1 1", "dane-mismatch",
	    "dane-mismatch", false, "RFC 7671 5" },

	/* digest agility: of one usage and selector the strongest digest alone counts */
	{ "SHA-256 right, SHA-512 wrong", "leaf 3 1 1, other 3 1 2", "dane-mismatch",
	    "dane-mismatch", false, "RFC 7671 9" },
	{ "SHA-256 wrong, SHA-512 right", "other 3 1 1, leaf 3 1 2", "", "", true, "RFC 7671 9" },
	{ "the same of an authority", "root 2 0 1, other 2 0 2", "dane-mismatch", "dane-mismatch",
	    false, "RFC 7671 9" },
	{ "of another selector", "leaf 3 1 1, other 3 0 2", "", "", true, "RFC 7671 9" },
	{ "of another usage", "leaf 3 1 1, other 2 1 2", "", "", true, "RFC 7671 9" },
	{ "the whole is no digest", "leaf 3 1 0, other 3 1 2", "", "", true, "RFC 7671 9" },
	{ "the whole is wrong, SHA-256 right", "other 3 1 0, leaf 3 1 1", "", "", true,
	    "RFC 7671 9" },
	{ "an unknown digest is none", "leaf 3 1 1, leaf 3 1 9", "", "", true, "RFC 7671 9" },
};

enum { RECORDS_MAX = 4 };

static size_t read_records(const char *text, struct tlsa_record records[RECORDS_MAX])
{
	unsigned usage, selector, matching;
	char whose[8];
	size_t n = 0;

	for (const char *at = text; at != NULL; at = strchr(at + 1, ',')) {
		int leaf;

		at += *at == ',';
		assert_int_equal(
		    sscanf(at, " %7s %u %u %u", whose, &usage, &selector, &matching), 4);
		assert_true(n < RECORDS_MAX);
		leaf = strcmp(whose, "root") == 0 ? ROOT : LEAF;
		/* Numbers that nobody knows go with a digest. */
		records[n] = forge_tlsa(&chains.made[leaf], (uint8_t)usage,
		    selector > 1 ? 0 : (uint8_t)selector, matching > 2 ? 1 : (uint8_t)matching,
		    strcmp(whose, "other") != 0);
		records[n].selector = (uint8_t)selector;
		records[n].matching = (uint8_t)matching;
		records[n].n_data -= strcmp(whose, "short") == 0;
		n++;
	}
	return n;
}

static void t3_t4_t5_t6_mixtures(void **state)
{
	static const enum tls_level levels[] = { TLS_DANE, TLS_DANE_ONLY };
	char *names[] = { (char[]){ "mx.example" } };

	(void)state;
	for (size_t i = 0; i < 2 * sizeof mixtures / sizeof mixtures[0]; i++) {
		struct tlsa_record records[RECORDS_MAX];
		struct tls_requirement r = { .level = levels[i % 2],
			.demand = DEMAND_DANE,
			.tlsa = records,
			.n_tlsa = read_records(mixtures[i / 2].records, records),
			.names = names,
			.n_names = 1 };
		struct tls_evidence e;
		const char *name;
		char what[120];

		snprintf(
		    what, sizeof what, "%s (%s)", mixtures[i / 2].what, mixtures[i / 2].section);
		name = i % 2 == 0 ? mixtures[i / 2].dane : mixtures[i / 2].dane_only;
		chains_expect(what, chains.with_root, &r, name, &e);
		/* Without a handshake there is nothing achieved. */
		assert_int_equal(e.achieved, strcmp(name, "dane-missing") == 0  ? TLS_NONE
					     : mixtures[i / 2].is_authenticated ? TLS_DANE
										: TLS_ENCRYPT);
		assert_false(tls_requirement_allows_plaintext(&r));
		for (size_t j = 0; j < r.n_tlsa; j++)
			free(records[j].data);
	}
}

/* As route says it, when it has filtered them. */
static void t5_all_unusable_were_filtered(void **state)
{
	struct tls_requirement r = {
		.level = TLS_DANE, .demand = DEMAND_DANE, .tlsa_unusable = true
	};
	struct tls_evidence e;

	(void)state;
	chains_expect("anybody's certificate", chains.servers[SELF], &r, "", &e);
	assert_int_equal(e.achieved, TLS_ENCRYPT);
	assert_int_equal(e.trust, TLS_UNTRUSTED);
	assert_string_not_equal(e.why_untrusted, "");
	assert_false(tls_requirement_allows_plaintext(&r));
	r.level = TLS_DANE_ONLY;
	chains_expect("dane-only", chains.servers[LEAF], &r, "dane-missing", &e);
	r.tlsa_unusable = false;
	chains_expect("dane-only without", chains.servers[LEAF], &r, "dane-missing", &e);
}

/* MX host, next-hop domain: any of the reference names will do, and it is told which did. */
static void t9_any_reference_name(void **state)
{
	struct tlsa_record record = forge_tlsa(&chains.made[MIDDLE], 2, 1, 1, true);
	char *names[] = { (char[]){ "unknown.example" }, (char[]){ "mx2.example" } };
	struct tls_requirement r = { .level = TLS_DANE,
		.demand = DEMAND_DANE,
		.tlsa = &record,
		.n_tlsa = 1,
		.names = names,
		.n_names = 2 };
	struct tls_evidence e;

	(void)state;
	chains_expect("next-hop domain", chains.servers[LEAF], &r, "", &e);
	assert_string_equal(e.name, "mx2.example");
	assert_string_equal(e.authority, "Middle");
	free(record.data);
}

/* RFC 7672 2.2.1: proved is the host, and not that it is the destination's. */
static void t13_host_of_insecure_mx_is_not_called_verified(void **state)
{
	struct tlsa_record record = forge_tlsa(&chains.made[LEAF], 3, 1, 1, true);
	char *names[] = { (char[]){ "mx.example" } };
	struct tls_requirement r = { .level = TLS_DANE,
		.demand = DEMAND_DANE,
		.tlsa = &record,
		.n_tlsa = 1,
		.names = names,
		.n_names = 1,
		.by_insecure_mx = true };
	struct tls_evidence e;

	(void)state;
	chains_expect("TLSA", chains.servers[LEAF], &r, "", &e);
	assert_int_equal(e.trust, TLS_TRUSTED);
	assert_int_equal(e.achieved, TLS_DANE);
	r.level = TLS_VERIFY;
	r.n_tlsa = 0;
	chains_expect("the host's name", chains.servers[LEAF], &r, "", &e);
	assert_int_equal(e.trust, TLS_TRUSTED);
	assert_int_equal(e.achieved, TLS_VERIFY);
	chains_expect("another's name", chains.servers[STRANGER], &r, "tls-name", &e);
	assert_int_equal(e.trust, TLS_UNTRUSTED);
	free(record.data);
}

/* RFC 7671 says nothing of it; a key that can be broken proves nobody, whatever vouches for it. */
static void weak_keys_are_not_believed(void **state)
{
	static const struct {
		int shown;
		uint8_t usage;
		const char *name;
	} table[] = {
		{ SMALL, 3, "dane-tls-untrusted" },
		{ SMALL, 2, "dane-tls-untrusted" },
		{ OLD_HASH, 3, "" }, /* its signature is not looked at */
		{ OLD_HASH, 2, "dane-tls-untrusted" },
	};
	char *names[] = { (char[]){ "mx.example" } };

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
		struct tlsa_record record =
		    forge_tlsa(&chains.made[table[i].usage == 3 ? table[i].shown : MIDDLE],
			table[i].usage, 1, 1, true);
		struct tls_requirement r = { .level = TLS_DANE,
			.demand = DEMAND_DANE,
			.tlsa = &record,
			.n_tlsa = 1,
			.names = names,
			.n_names = 1 };
		struct tls_evidence e;

		chains_expect("weak", chains.servers[table[i].shown], &r, table[i].name, &e);
		free(record.data);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(t1_t2_t7_t8_generated_chains),
		cmocka_unit_test(t3_t4_t5_t6_mixtures),
		cmocka_unit_test(t5_all_unusable_were_filtered),
		cmocka_unit_test(t9_any_reference_name),
		cmocka_unit_test(t13_host_of_insecure_mx_is_not_called_verified),
		cmocka_unit_test(weak_keys_are_not_believed),
	};

	return cmocka_run_group_tests(tests, chains_make, chains_end);
}
