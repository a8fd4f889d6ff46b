/*
 * What TLS reports count, row by row, against the result types of RFC 8460 4.3.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/tally.h"

/* Which policies apply. */
enum policies {
	DANE = 1,         /* TLSA records, one of them usable */
	UNUSABLE = 2,     /* TLSA records, none of them usable */
	STS = 4,          /* MTA-STS decides */
	STS_WATCHED = 8,  /* it is in testing, or behind DANE */
	IMPLICIT = 16,    /* no MX record */
	INSECURE_MX = 32, /* TLSA records behind insecure MX records */
	PASSED_BY = 64,   /* a policy that the operator's rule passes by */
	STS_FETCH = 128,  /* a record, and no policy to be had */
	STS_WEBPKI = 256,
	STS_INVALID = 512,
	STS_DNS = 1024,
	LEVEL_NONE = 2048,
	IMPAIRED = 4096,
	ROUTE = 8192, /* the operator's next hop */
	ROUTE_ADDRESS = 16384,
	LOOKUP_FAILED = 32768,
	DANE_ONLY = 65536,
	STS_NONE = 131072,
	NO_HOST = 524288,   /* what is wrong is wrong with the domain */
	OTHER_SNI = 262144, /* DANE asks for another name than MTA-STS would */
};

/* What happened. */
enum event { SECURE, PLAIN, PLAIN_AFTER, FAILED };

struct row {
	const char *name;
	unsigned policies;
	enum event event;
	enum point point;
	const char *trouble; /* its stable name, "" for what a server said; NULL: none */
	int code;
	bool is_over;
	const char *verdict; /* of the watch on MTA-STS; "" ok; NULL: could not be judged */
	const char *wanted;  /* "type domain result reason" of each, ", " between */
};

#define NONE_OK "no-policy-found example.net success "
#define TLSA_OK "tlsa base.example success "
#define STS_OK  "sts example.net success "

static const struct row rows[] = {
	{ "no policy, TLS", 0, SECURE, .wanted = NONE_OK },
	{ "no policy, no STARTTLS", 0, PLAIN,
	    .wanted = "no-policy-found example.net starttls-not-supported starttls-missing" },
	{ "no policy, STARTTLS refused", 0, PLAIN_AFTER, POINT_STARTTLS, "", 454,
	    .wanted = "no-policy-found example.net starttls-not-supported starttls-refused" },
	{ "no policy, the handshake fails and plaintext follows", 0, PLAIN_AFTER, POINT_TLS,
	    "tls-handshake", 454,
	    .wanted = "no-policy-found example.net validation-failure tls-handshake" },
	{ "no policy, the handshake fails", 0, FAILED, POINT_TLS, "tls-handshake", 454, true,
	    .wanted = "no-policy-found example.net validation-failure tls-handshake" },
	{ "DANE", DANE, SECURE, .wanted = TLSA_OK },
	{ "DANE for a domain without MX", DANE | IMPLICIT, SECURE, .wanted = TLSA_OK },
	{ "DANE, then turned away under TLS", DANE, SECURE, POINT_EHLO, "", 554,
	    .wanted = TLSA_OK },
	{ "T16: DANE, no STARTTLS", DANE, FAILED, POINT_STARTTLS, "starttls-missing", 454,
	    .wanted = "tlsa base.example starttls-not-supported starttls-missing" },
	{ "DANE, STARTTLS refused", DANE, FAILED, POINT_STARTTLS, "", 554,
	    .wanted = "tlsa base.example starttls-not-supported starttls-refused" },
	{ "DANE, lost at STARTTLS", DANE, FAILED, POINT_STARTTLS, "connection-lost", 451, true,
	    .wanted = "tlsa base.example validation-failure connection-lost" },
	{ "DANE, a server older than STARTTLS", DANE, FAILED, POINT_EHLO, "", 500,
	    .wanted = "tlsa base.example starttls-not-supported starttls-refused" },
	{ "DANE, turned away at EHLO: nothing of TLS", DANE, FAILED, POINT_EHLO, "", 451,
	    .wanted = "" },
	{ "DANE, turned away at the door", DANE, FAILED, POINT_BANNER, "", 554, .wanted = "" },
	{ "DANE, lost at EHLO", DANE, FAILED, POINT_EHLO, "connection-lost", 451, true,
	    .wanted = "" },
	{ "T2: DANE, no record matches", DANE, FAILED, POINT_TLS, "dane-mismatch", 454, true,
	    .wanted = "tlsa base.example tlsa-invalid dane-mismatch" },
	{ "T8: DANE-TA, wrong name", DANE, FAILED, POINT_TLS, "dane-tls-name", 454, true,
	    .wanted = "tlsa base.example certificate-host-mismatch dane-tls-name" },
	{ "T8: DANE-TA, expired", DANE, FAILED, POINT_TLS, "dane-tls-expired", 454, true,
	    .wanted = "tlsa base.example certificate-expired dane-tls-expired" },
	{ "T8: DANE-TA, untrusted", DANE, FAILED, POINT_TLS, "dane-tls-untrusted", 454, true,
	    .wanted = "tlsa base.example certificate-not-trusted dane-tls-untrusted" },
	{ "T28: the handshake stalls", DANE, FAILED, POINT_TLS, "tls-timeout", 454, true,
	    .wanted = "tlsa base.example validation-failure tls-timeout" },
	{ "R28: junk before it", DANE, FAILED, POINT_TLS, "starttls-early-input", 454, true,
	    .wanted = "tlsa base.example validation-failure starttls-early-input" },
	{ "T5: no record is usable, encrypted all the same", UNUSABLE, SECURE,
	    .wanted = "tlsa base.example tlsa-invalid tlsa-unusable" },
	{ "T10: the records could not be learned", LOOKUP_FAILED, FAILED, POINT_ROUTE,
	    "tlsa-lookup-failed", 451,
	    .wanted = "tlsa base.example dnssec-invalid tlsa-lookup-failed" },
	{ "N17: the host's addresses are bogus", 0, FAILED, POINT_ROUTE, "dns-bogus", 451,
	    .wanted = "tlsa mx.example dnssec-invalid dns-bogus" },
	{ "N17: the MX records are bogus", NO_HOST, FAILED, POINT_ROUTE, "dns-bogus", 451,
	    .wanted = "tlsa example.net dnssec-invalid dns-bogus" },
	{ "N13: the MX records could not be learned: nothing of TLS", NO_HOST, FAILED, POINT_ROUTE,
	    "dns-failed", 451, .wanted = "" },
	{ "dane-only, and there are none", DANE_ONLY, FAILED, POINT_ROUTE, "dane-required", 451,
	    .wanted = "tlsa mx.example dane-required dane-required" },
	{ "dane-only, found at the handshake", DANE_ONLY, FAILED, POINT_TLS, "dane-missing", 454,
	    .wanted = "tlsa mx.example dane-required dane-missing" },
	{ "the operator's own names for the MX: no affair of the receiver's", 0, FAILED,
	    POINT_ROUTE, "partner-mx-name", 451, .wanted = "" },
	{ "a partner's certificate, no policy", 0, FAILED, POINT_TLS, "partner-tls-name", 454,
	    .wanted = "no-policy-found example.net certificate-host-mismatch partner-tls-name" },
	{ "T21: MTA-STS", STS, SECURE, .wanted = STS_OK },
	{ "T21: MTA-STS, no STARTTLS", STS, FAILED, POINT_STARTTLS, "starttls-missing", 454,
	    .wanted = "sts example.net starttls-not-supported starttls-missing" },
	{ "T21: MTA-STS, another name", STS, FAILED, POINT_TLS, "sts-tls-name", 454,
	    .wanted = "sts example.net certificate-host-mismatch sts-tls-name" },
	{ "T21: MTA-STS, expired", STS, FAILED, POINT_TLS, "sts-tls-expired", 454,
	    .wanted = "sts example.net certificate-expired sts-tls-expired" },
	{ "T21: MTA-STS, untrusted", STS, FAILED, POINT_TLS, "sts-tls-untrusted", 454,
	    .wanted = "sts example.net certificate-not-trusted sts-tls-untrusted" },
	{ "T21: a host that the policy does not name", STS, FAILED, POINT_ROUTE, "sts-mx-name", 451,
	    .wanted = "sts example.net validation-failure sts-mx-name" },
	{ "T21: testing, and it would pass", STS_WATCHED, SECURE, .verdict = "", .wanted = STS_OK },
	{ "T21: testing, and it would not", STS_WATCHED, SECURE, .verdict = "sts-tls-untrusted",
	    .wanted = "sts example.net certificate-not-trusted sts-tls-untrusted" },
	{ "T21: testing, plaintext", STS_WATCHED, PLAIN, .verdict = "starttls-missing",
	    .wanted = "sts example.net starttls-not-supported starttls-missing" },
	{ "T21: testing, a host that the policy does not name", STS_WATCHED, SECURE,
	    .verdict = "sts-mx-name", .wanted = "sts example.net validation-failure sts-mx-name" },
	{ "T18: DANE and MTA-STS, both pass", DANE | STS_WATCHED, SECURE, .verdict = "",
	    .wanted = TLSA_OK ", " STS_OK },
	{ "T18: DANE passes, MTA-STS would not", DANE | STS_WATCHED, SECURE,
	    .verdict = "sts-tls-name",
	    .wanted = TLSA_OK ", sts example.net certificate-host-mismatch sts-tls-name" },
	{ "T18: DANE passes for another name, and MTA-STS would not: it was not asked",
	    DANE | STS_WATCHED | OTHER_SNI, SECURE, .verdict = "sts-tls-name", .wanted = TLSA_OK },
	{ "T18: DANE passes for another name, and MTA-STS too", DANE | STS_WATCHED | OTHER_SNI,
	    SECURE, .verdict = "", .wanted = TLSA_OK ", " STS_OK },
	{ "T18: DANE passes for another name, and MTA-STS does not name the host",
	    DANE | STS_WATCHED | OTHER_SNI, SECURE, .verdict = "sts-mx-name",
	    .wanted = TLSA_OK ", sts example.net validation-failure sts-mx-name" },
	{ "T18: DANE refuses, MTA-STS is not asked", DANE | STS_WATCHED, FAILED, POINT_TLS,
	    "dane-mismatch", 454, true,
	    .wanted = "tlsa base.example tlsa-invalid dane-mismatch, "
		      "sts example.net validation-failure dane-mismatch" },
	{ "T18: neither gets STARTTLS", DANE | STS_WATCHED, FAILED, POINT_STARTTLS,
	    "starttls-missing", 454,
	    .wanted = "tlsa base.example starttls-not-supported starttls-missing, "
		      "sts example.net starttls-not-supported starttls-missing" },
	{ "T18: the records could not be learned: MTA-STS was not tried",
	    LOOKUP_FAILED | STS_WATCHED, FAILED, POINT_ROUTE, "tlsa-lookup-failed", 451,
	    .wanted = "tlsa base.example dnssec-invalid tlsa-lookup-failed" },
	{ "no record is usable, MTA-STS decides", UNUSABLE | STS, SECURE,
	    .wanted = "tlsa base.example tlsa-invalid tlsa-unusable, " STS_OK },
	{ "insecure MX: the records are no policy, MTA-STS is", INSECURE_MX | STS, SECURE,
	    .wanted = STS_OK },
	{ "insecure MX: the records are no policy", INSECURE_MX, SECURE, .wanted = NONE_OK },
	{ "a policy of mode none", STS_NONE, SECURE, .wanted = NONE_OK },
	{ "T20: the policy could not be fetched", STS_FETCH, SECURE,
	    .wanted = "sts example.net sts-policy-fetch-error " },
	{ "T20: the policy host's certificate", STS_WEBPKI, PLAIN,
	    .wanted = "sts example.net sts-webpki-invalid " },
	{ "T20: it is no policy", STS_INVALID, SECURE,
	    .wanted = "sts example.net sts-policy-invalid " },
	{ "T20: the same beside DANE", STS_FETCH | DANE, SECURE,
	    .wanted = TLSA_OK ", sts example.net sts-policy-fetch-error " },
	{ "its record could not be learned: nobody knows whether there is a policy", STS_DNS,
	    SECURE, .wanted = "" },
	{ "a policy that the operator passes by", PASSED_BY, SECURE, .wanted = "" },
	{ "our resolver does not validate", IMPAIRED, SECURE, .wanted = "" },
	{ "no TLS, by the operator's order", LEVEL_NONE, PLAIN, .wanted = "" },
	{ "an operator's next hop", ROUTE, SECURE,
	    .wanted = "no-policy-found hop.example success " },
	{ "DANE of an operator's next hop", ROUTE | DANE, SECURE, .wanted = TLSA_OK },
	{ "a next hop without a name", ROUTE_ADDRESS, SECURE, .wanted = "" },
};

static char record_data[] = "x";
static struct tlsa_record record = { 3, 1, 1, (uint8_t *)record_data, 1 };
static char pattern1[] = "mx.example", pattern2[] = "*.example";
static char *patterns[] = { pattern1, pattern2 };
static char policy_text[] = "version: STSv1\nmode: enforce\n\nmx: mx.example\nmx: *.example\n"
			    "max_age: 86400\nmode:odd\n";
static char base[] = "base.example", own[] = "mx.example";
static char tlsa_texts[] = "3 1 1 AB\n2 0 1 CD\n";

static void set_dane(unsigned policies, struct plan *plan, struct plan_host *host)
{
	bool has_records = (policies & (DANE | UNUSABLE | INSECURE_MX | PASSED_BY)) != 0;

	plan->mx_security =
	    (policies & (INSECURE_MX | IMPLICIT)) != 0 ? SECURITY_INSECURE : SECURITY_SECURE;
	plan->mx_implicit = (policies & IMPLICIT) != 0;
	host->tlsa_security = SECURITY_SECURE;
	host->n_tlsa_published = has_records ? 2 : 0;
	host->has_tlsa_policy = (policies & (DANE | UNUSABLE | LOOKUP_FAILED)) != 0 ||
				((policies & INSECURE_MX) != 0 && (policies & STS) != 0);
	host->tlsa_texts = has_records ? tlsa_texts : NULL;
	if ((policies & (DANE | UNUSABLE | LOOKUP_FAILED)) != 0)
		strcpy(host->tlsa_base, "base.example");
	if ((policies & DANE) != 0) {
		host->tls.level = TLS_DANE;
		host->tls.demand = DEMAND_DANE;
		host->tls.tlsa = &record;
		host->tls.n_tlsa = 1;
	}
}

static void set_sts(unsigned policies, struct plan *plan, struct plan_host *host)
{
	struct sts_finding *sts = &plan->sts;

	sts->has_policy = (policies & (STS | STS_WATCHED | STS_NONE)) != 0;
	sts->policy = (struct sts_policy){ .mode = (policies & STS_NONE) != 0 ? STS_MODE_NONE
						   : (policies & STS) != 0    ? STS_MODE_ENFORCE
									      : STS_MODE_TESTING,
		.max_age_s = 86400,
		.mx = patterns,
		.n_mx = 2 };
	sts->text = policy_text;
	if ((policies & STS) != 0) {
		host->tls.level = TLS_MTA_STS;
		host->tls.demand = DEMAND_MTA_STS;
	}
	if ((policies & STS_WATCHED) != 0) {
		host->watches[0].demand = DEMAND_PARTNER;
		host->watches[1].demand = DEMAND_MTA_STS;
		host->n_watches = 2;
	}
	sts->problem = (policies & STS_FETCH) != 0     ? STS_PROBLEM_FETCH
		       : (policies & STS_WEBPKI) != 0  ? STS_PROBLEM_WEBPKI
		       : (policies & STS_INVALID) != 0 ? STS_PROBLEM_INVALID
		       : (policies & STS_DNS) != 0     ? STS_PROBLEM_DNS
						       : STS_PROBLEM_NONE;
}

static void set_scene(const struct row *row, struct plan *plan, struct plan_host *host)
{
	*plan = (struct plan){ .domain = "example.net",
		.next_hop = "example.net",
		.is_impaired = (row->policies & IMPAIRED) != 0,
		.is_route = (row->policies & (ROUTE | ROUTE_ADDRESS)) != 0 };
	*host = (struct plan_host){ .name = "mx.example",
		.tls = { (row->policies & LEVEL_NONE) != 0 ? TLS_NONE : TLS_MAY, DEMAND_DEFAULT } };
	if (plan->is_route)
		strcpy(plan->next_hop,
		    (row->policies & ROUTE_ADDRESS) != 0 ? "192.0.2.7" : "hop.example");
	set_dane(row->policies, plan, host);
	set_sts(row->policies, plan, host);
	if ((row->policies & OTHER_SNI) != 0) {
		host->tls.sni = base;
		host->watches[1].tls.sni = own;
	}
	if ((row->policies & NO_HOST) != 0)
		*host = (struct plan_host){ .tls = { .level = TLS_DANE } };
	outcome_ok(&host->watches[1].unusable);
	if (row->verdict != NULL && strcmp(row->verdict, "sts-mx-name") == 0)
		outcome_say(&host->watches[1].unusable, 451, "4.7.0", row->verdict, "x");
}

static void print_counts(const struct tls_count *counts, size_t n, char *text, size_t room)
{
	text[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(text + strlen(text), room - strlen(text), "%s%s %s %s %s",
		    i > 0 ? ", " : "", tls_policy_type_name(counts[i].type), counts[i].domain,
		    tls_result_name(counts[i].result), counts[i].reason);
}

static void check_texts(const struct row *row, const struct tls_count *count)
{
	const char *report_domain = (row->policies & ROUTE) != 0 ? "hop.example" : "example.net";

	assert_string_equal(count->report_domain, report_domain);
	assert_string_equal(count->mx, (row->policies & NO_HOST) != 0 ? "" : "mx.example");
	assert_string_equal(count->address, "192.0.2.1");
	assert_string_equal(count->sender, "198.51.100.1");
	if (count->type == TLS_POLICY_STS && (row->policies & (STS | STS_WATCHED)) != 0) {
		assert_string_equal(count->strings,
		    "version: STSv1\nmode: enforce\nmx: mx.example\nmx: *.example\n"
		    "max_age: 86400\nmode:odd");
		assert_string_equal(count->patterns, "mx.example\n*.example");
	} else {
		assert_string_equal(count->patterns, "");
	}
	if (count->type == TLS_POLICY_TLSA && (row->policies & (DANE | UNUSABLE)) != 0)
		assert_string_equal(count->strings, "3 1 1 AB\n2 0 1 CD");
}

static void test_rows(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct row *row = &rows[i];
		struct outcome trouble, verdicts[PLAN_WATCHES_MAX];
		struct tls_count counts[TALLY_MAX];
		struct plan_host host;
		struct plan plan;
		struct tally_try try = { .plan = &plan,
			.host = &host,
			.is_secure = row->event == SECURE,
			.is_plain = row->event == PLAIN || row->event == PLAIN_AFTER,
			/* Where mail may go, nothing has gone wrong: there is no point. */
			.point = row->event == PLAIN_AFTER ? (enum point)0 : row->point,
			.is_over = row->is_over,
			.verdicts = row->verdict != NULL ? verdicts : NULL,
			.address = "192.0.2.1",
			.sender = "198.51.100.1" };
		char got[500];
		size_t n;

		set_scene(row, &plan, &host);
		if (row->trouble != NULL) {
			outcome_say(&trouble, row->code, row->code < 500 ? "4.7.0" : "5.7.0",
			    row->trouble, "x");
			try.trouble = &trouble;
		}
		outcome_ok(&verdicts[0]);
		outcome_ok(&verdicts[1]);
		if (row->verdict != NULL && row->verdict[0] != '\0')
			outcome_say(&verdicts[1], 454, "4.7.5", row->verdict, "x");
		n = tally(&try, counts);
		print_counts(counts, n, got, sizeof got);
		if (strcmp(got, row->wanted) != 0)
			fail_msg("%s:\ngot    \"%s\"\nwanted \"%s\"", row->name, got, row->wanted);
		for (size_t k = 0; k < n; k++) {
			check_texts(row, &counts[k]);
			tally_finish(&counts[k]);
		}
	}
}

/* A policy of a hundred long names is cut at the end of a line. */
static void test_long_policy(void **state)
{
	static char name[240], text[STS_TEXT_MAX];
	static char *names[STS_MX_MAX];
	struct row row = { .policies = STS, .event = SECURE };
	struct tls_count counts[TALLY_MAX];
	struct plan_host host;
	struct plan plan;
	struct tally_try try = {
		.plan = &plan, .host = &host, .is_secure = true, .address = "", .sender = ""
	};

	(void)state;
	memset(name, 'a', sizeof name - 1);
	for (size_t i = 0; i < STS_MX_MAX; i++)
		names[i] = name;
	set_scene(&row, &plan, &host);
	while (strlen(text) + sizeof name + 5 < sizeof text)
		snprintf(text + strlen(text), sizeof text - strlen(text), "mx: %s\n", name);
	plan.sts.text = text;
	plan.sts.policy.mx = names;
	plan.sts.policy.n_mx = STS_MX_MAX;
	assert_int_equal(tally(&try, counts), 1);
	assert_in_range(
	    strlen(counts[0].strings), TLS_COUNT_STRINGS_MAX - 300, TLS_COUNT_STRINGS_MAX - 1);
	assert_int_equal(counts[0].strings[strlen(counts[0].strings) - 1], 'a');
	assert_int_equal((strlen(counts[0].patterns) + 1) % sizeof name, 0);
	assert_true(strlen(counts[0].patterns) < TLS_COUNT_STRINGS_MAX);
	tally_finish(&counts[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_long_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
