/*
 * The line of evidence: what a plan and a session give, to the letter; and back again.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "relay/evidence.h"

#define CERT "1f00000000000000000000000000000000000000000000000000000000000000"

#define SHOWN(...)                                                                                 \
	&(const struct tls_evidence)                                                               \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct {
	const char *name;
	enum tls_level level;
	enum tls_demand demand;
	const struct tls_evidence *shown; /* NULL: plaintext */
	const char *line, *told;
	const char *exception, *failed;
	bool is_reused, by_insecure_mx;
	struct evidence_watch watches[2];
	size_t n_watches;
} cases[] = {
	{ "DANE", TLS_DANE, DEMAND_DANE,
	    SHOWN(.protocol = "TLSv1.3", .cipher = "TLS_AES_256_GCM_SHA384", .achieved = TLS_DANE,
		.proof = TLS_PROOF_DANE_EE, .tlsa_text = "3 1 1 ab12...", .fingerprint = CERT),
	    "required=dane by=dane achieved=dane protocol=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 "
	    "match=\"TLSA 3 1 1 ab12...\" cert=" CERT " host=mx.example",
	    "TLSv1.3 with TLS_AES_256_GCM_SHA384, TLSA 3 1 1 ab12... matched, required: dane by "
	    "dane" },
	{ "DANE behind insecure MX records", TLS_DANE, DEMAND_DANE,
	    SHOWN(.protocol = "TLSv1.3", .cipher = "X", .achieved = TLS_DANE,
		.proof = TLS_PROOF_DANE_EE, .tlsa_text = "3 1 1 ab12..."),
	    "required=dane by=dane achieved=dane protocol=TLSv1.3 cipher=X "
	    "match=\"TLSA 3 1 1 ab12...\" host=mx.example mx=insecure",
	    "TLSv1.3 with X, TLSA 3 1 1 ab12... matched, of a host that insecure MX records name, "
	    "required: dane by dane",
	    .by_insecure_mx = true },
	{ "a partner's pin", TLS_FINGERPRINT, DEMAND_PARTNER,
	    SHOWN(.protocol = "TLSv1.2", .cipher = "X", .achieved = TLS_FINGERPRINT,
		.proof = TLS_PROOF_FINGERPRINT, .tlsa_text = "3 0 1 00ff"),
	    "required=fingerprint by=partner achieved=fingerprint protocol=TLSv1.2 cipher=X "
	    "match=\"pin 3 0 1 00ff\" host=mx.example",
	    "TLSv1.2 with X, pin 3 0 1 00ff matched, required: fingerprint by partner" },
	{ "an authority and a name, resumed, over a kept connection", TLS_MTA_STS, DEMAND_MTA_STS,
	    SHOWN(.protocol = "TLSv1.3", .cipher = "X", .achieved = TLS_VERIFY,
		.proof = TLS_PROOF_PKIX, .authority = "Some Root", .name = "*.example",
		.is_resumed = true),
	    "required=mta-sts by=mta-sts achieved=verify protocol=TLSv1.3 cipher=X "
	    "match=\"CA Some Root name=*.example\" host=mx.example reused resumed",
	    "TLSv1.3 with X, CA Some Root name=*.example matched, required: mta-sts by mta-sts, over a "
	    "connection of before",
	    .is_reused = true },
	{ "nobody vouches for it; quotes in what a library says", TLS_MAY, DEMAND_DEFAULT,
	    SHOWN(.protocol = "TLSv1.3", .cipher = "X", .achieved = TLS_ENCRYPT,
		.why_untrusted = "self-signed \"certificate\" \\"),
	    "required=may by=default achieved=encrypt protocol=TLSv1.3 cipher=X match=none "
	    "untrusted=\"self-signed \\\"certificate\\\" \\\\\" host=mx.example",
	    "TLSv1.3 with X, certificate not verified: self-signed \"certificate\" \\, required: "
	    "may by default" },
	{ "plaintext, by exception", TLS_MAY, DEMAND_EXCEPTION, NULL,
	    "required=may by=exception achieved=none host=mx.example "
	    "exception=\"until 2026-12-01, tls=may (t 1)\"",
	    "plaintext, required: may by exception, by exception: until 2026-12-01, tls=may (t "
	    "1)",
	    .exception = "until 2026-12-01, tls=may (t 1)" },
	{ "nothing was sent", TLS_DANE, DEMAND_DANE, NULL,
	    "required=dane by=dane achieved=none failed=dane-mismatch host=mx.example",
	    "nothing was sent [dane-mismatch], required: dane by dane", .failed = "dane-mismatch" },
	{ "what the watches say", TLS_MAY, DEMAND_DEFAULT, NULL,
	    "required=may by=default achieved=none host=mx.example "
	    "observe=would-fail:starttls-missing sts=would-pass",
	    "plaintext, required: may by default, the observed rule would have refused it "
	    "[starttls-missing]",
	    .watches = { { DEMAND_PARTNER, "starttls-missing" }, { DEMAND_MTA_STS, "" } },
	    .n_watches = 2 },
};

static void fill(size_t i, struct evidence *e)
{
	struct plan plan = { 0 };
	struct plan_host host = { .name = "mx.example",
		.tls = { .level = cases[i].level,
		    .demand = cases[i].demand,
		    .by_insecure_mx = cases[i].by_insecure_mx } };

	if (cases[i].exception != NULL)
		snprintf(plan.exception, sizeof plan.exception, "%s", cases[i].exception);
	evidence_gather(&plan, &host, cases[i].shown, e);
	if (cases[i].failed != NULL)
		snprintf(e->failed, sizeof e->failed, "%s", cases[i].failed);
	e->is_reused = cases[i].is_reused;
	memcpy(e->watches, cases[i].watches, sizeof e->watches);
	e->n_watches = cases[i].n_watches;
}

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char line[EVIDENCE_MAX], again[EVIDENCE_MAX], told[EVIDENCE_MAX];
		struct evidence e, parsed;

		fill(i, &e);
		evidence_print(&e, line);
		if (strcmp(line, cases[i].line) != 0)
			fail_msg("%s:\n%s\n%s", cases[i].name, line, cases[i].line);
		if (!evidence_parse(line, &parsed))
			fail_msg("%s: does not parse", cases[i].name);
		evidence_print(&parsed, again);
		assert_string_equal(again, line);
		evidence_describe(&parsed, told, sizeof told);
		if (strcmp(told, cases[i].told) != 0)
			fail_msg("%s:\n%s\n%s", cases[i].name, told, cases[i].told);
	}
}

/* What the queue says of those it did not hand out. */
static void test_no_host(void **state)
{
	struct evidence e;
	char told[100];

	(void)state;
	assert_true(evidence_parse("achieved=none failed=site-down", &e));
	evidence_describe(&e, told, sizeof told);
	assert_string_equal(told, "nothing was sent [site-down]");
}

static void test_what_is_no_line(void **state)
{
	static const char *const texts[] = { "", "TLSv1.3 TLS_AES_256_GCM_SHA384, level may",
		"required=dane by=dane", "achieved=plenty", "achieved=none by=nobody",
		"achieved=none  host=x", "achieved=none host=\"x", "achieved=none host=\"x\\",
		"achieved=none host=\"x\"y", "=none achieved=none", "achieved=none observe=maybe",
		"achieved=none sts=would-pass sts=would-pass "
		"sts=would-pass",
		"achieved=none protocol=TLSv1.3333333333333" };
	struct evidence e;

	(void)state;
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (evidence_parse(texts[i], &e))
			fail_msg("\"%s\" is taken for evidence", texts[i]);
	}
}

/* A later version may know more words. */
static void test_unknown_words(void **state)
{
	struct evidence e;

	(void)state;
	assert_true(evidence_parse("colour=\"dark blue\" achieved=none shiny", &e));
	assert_string_equal(e.match, "");
}

/* What cannot be printed does not break the line. */
static void test_control_characters(void **state)
{
	struct evidence e = { .host = "mx.example" };
	char line[EVIDENCE_MAX];

	(void)state;
	strcpy(e.untrusted, "a\nb\x1b[m\xff");
	evidence_print(&e, line);
	assert_non_null(strstr(line, "untrusted=a?b?[m? "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_no_host),
		cmocka_unit_test(test_what_is_no_line),
		cmocka_unit_test(test_unknown_words),
		cmocka_unit_test(test_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
