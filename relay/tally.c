#include "relay/tally.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

static bool concerns_tls(const struct tally_try *try);
static bool is_counted_against_tlsa(const struct tally_try *try);
static bool is_counted_against_sts(const struct tally_try *try);
static bool is_counted_without(const struct tally_try *try);
static bool is_watched_for_sts(const struct tally_try *try);
static size_t find_sts_watch(const struct plan_host *host);
static enum tls_result problem_result(enum sts_problem problem);
static void count_tlsa(const struct tally_try *try, struct tls_count *count);
static void count_sts(const struct tally_try *try, struct tls_count *count);
static void fill(const struct tally_try *try, enum tls_policy_type type, struct tls_count *count);
static void fill_verdict(const struct outcome *verdict, struct tls_count *count);
static void fill_unjudged(const struct tally_try *try, struct tls_count *count);
static void fill_result(const struct tally_try *try, struct tls_count *count);
static void set_result(struct tls_count *count, enum tls_result result, const char *reason);
static enum tls_result result_of(const char *name);
static void print_policy(const struct sts_finding *sts, struct tls_count *count);
static char *take_lines(struct buffer *b);

size_t tally(const struct tally_try *try, struct tls_count counts[TALLY_MAX])
{
	size_t n = 0;

	if (!concerns_tls(try))
		return 0;
	if (is_counted_against_tlsa(try))
		count_tlsa(try, &counts[n++]);
	if (is_counted_against_sts(try))
		count_sts(try, &counts[n++]);
	if (n == 0 && is_counted_without(try)) {
		fill(try, TLS_POLICY_NONE, &counts[n]);
		fill_result(try, &counts[n++]);
	}
	return n;
}

void tally_finish(struct tls_count *count)
{
	free(count->strings);
	free(count->patterns);
	count->strings = count->patterns = NULL;
}

/* ---- whether ---- */

static bool is_named(const struct outcome *o, const char *name)
{
	return o != NULL && strcmp(o->name, name) == 0;
}

static bool concerns_tls(const struct tally_try *try)
{
	unsigned char bytes[sizeof(struct in6_addr)];
	const char *hop = try->plan->next_hop;

	if (try->host->tls.level == TLS_NONE)
		return false; /* TLS was not even tried, by order */
	if (try->plan->is_route &&
	    (inet_pton(AF_INET, hop, bytes) == 1 || inet_pton(AF_INET6, hop, bytes) == 1))
		return false; /* an address publishes nothing */
	if (try->is_secure || try->is_plain || try->trouble == NULL)
		return try->is_secure || try->is_plain;
	switch (try->point) {
	case POINT_ROUTE:
		return is_named(try->trouble, "tlsa-lookup-failed") ||
		       is_named(try->trouble, "dns-bogus") ||
		       is_named(try->trouble, "dane-required") ||
		       is_named(try->trouble, "sts-mx-name");
	case POINT_EHLO: /* older than STARTTLS, where that is needed */
		return !try->is_over && try->trouble->code >= 500 && try->trouble->code <= 504;
	case POINT_STARTTLS:
	case POINT_TLS: return true;
	case POINT_DIAL:
	case POINT_BANNER:
	case POINT_HELO:
	case POINT_LOGIN:
	case POINT_OFFER:
	case POINT_MAIL:
	case POINT_RCPT:
	case POINT_DATA:
	case POINT_CONTENT:
	case POINT_DOT: return false;
	}
	return false;
}

/* By route: nobody was spoken to. */
static bool is_forbidden(const struct tally_try *try)
{
	return try->point == POINT_ROUTE && try->trouble != NULL && !try->is_plain &&
	       !try->is_secure;
}

static bool is_counted_against_tlsa(const struct tally_try *try)
{
	const struct plan_host *host = try->host;

	if (is_forbidden(try))
		return !is_named(try->trouble, "sts-mx-name");
	if (is_named(try->trouble, "dane-missing"))
		return true;
	/* Insecure MX records brought the host, and the stricter policy decided. */
	if (host->tls.demand == DEMAND_MTA_STS && !try->plan->mx_implicit &&
	    try->plan->mx_security != SECURITY_SECURE)
		return false;
	return host->has_tlsa_policy;
}

static bool is_counted_against_sts(const struct tally_try *try)
{
	const struct sts_finding *sts = &try->plan->sts;

	if (is_forbidden(try))
		return is_named(try->trouble, "sts-mx-name");
	return try->host->tls.demand == DEMAND_MTA_STS || is_watched_for_sts(try) ||
	       (!sts->has_policy && problem_result(sts->problem) != TLS_RESULT_SUCCESS);
}

/*
 * RFC 8461 asks for the MX host's own name, DANE for that of its TLSA records (RFC 7672 8.1): what a
 * server shows for the one is no failure of the other.
 */
static bool is_watched_for_sts(const struct tally_try *try)
{
	const struct plan_host *host = try->host;
	size_t watch = find_sts_watch(host);

	if (watch == host->n_watches)
		return false;
	if (try->verdicts == NULL || outcome_is_ok(&try->verdicts[watch]) ||
	    !outcome_is_ok(&host->watches[watch].unusable) || !try->is_secure)
		return true;
	return tls_requirement_has_same_sni(&host->tls, &host->watches[watch].tls);
}

/* n_watches if MTA-STS is not watched. */
static size_t find_sts_watch(const struct plan_host *host)
{
	size_t i = 0;

	while (i < host->n_watches && host->watches[i].demand != DEMAND_MTA_STS)
		i++;
	return i;
}

/* A policy that could not be had (RFC 8460 4.3.2.2); success where nothing says that there is one. */
static enum tls_result problem_result(enum sts_problem problem)
{
	switch (problem) {
	case STS_PROBLEM_NONE:
	case STS_PROBLEM_GONE:
	case STS_PROBLEM_DNS:
	case STS_PROBLEM_BOGUS:
	case STS_PROBLEM_BUSY: break;
	case STS_PROBLEM_FETCH: return TLS_RESULT_STS_FETCH;
	case STS_PROBLEM_WEBPKI: return TLS_RESULT_STS_WEBPKI;
	case STS_PROBLEM_INVALID: return TLS_RESULT_STS_INVALID;
	}
	return TLS_RESULT_SUCCESS;
}

/* The policy was looked for and is not there, or could not be had; it is not one that was passed by. */
static bool is_counted_without(const struct tally_try *try)
{
	const struct plan *plan = try->plan;
	bool has_records = try->host->n_tlsa_published > 0 &&
			   try->host->tlsa_security == SECURITY_SECURE &&
			   (plan->mx_security == SECURITY_SECURE || plan->mx_implicit);
	bool has_policy = plan->sts.has_policy && plan->sts.policy.mode != STS_MODE_NONE;

	return !has_records && !has_policy && !plan->is_impaired &&
	       plan->sts.problem == STS_PROBLEM_NONE;
}

/* ---- against what ---- */

static void count_tlsa(const struct tally_try *try, struct tls_count *count)
{
	const struct plan_host *host = try->host;

	fill(try, TLS_POLICY_TLSA, count);
	/* RFC 8460 1.1: the policy domain of DANE is the TLSA base domain; without a host there is none. */
	if (host->tlsa_base[0] != '\0' || host->name[0] != '\0')
		snprintf(count->domain, sizeof count->domain, "%s",
		    host->tlsa_base[0] != '\0' ? host->tlsa_base : host->name);
	if (host->tlsa_texts != NULL) {
		struct buffer b;

		buffer_init(&b, TLS_COUNT_STRINGS_MAX * 8);
		buffer_add_text(&b, host->tlsa_texts);
		free(count->strings);
		count->strings = take_lines(&b);
	}
	fill_result(try, count);
	if (try->is_secure && host->tls.n_tlsa == 0)
		set_result(count, TLS_RESULT_TLSA_INVALID, "tlsa-unusable");
}

static void count_sts(const struct tally_try *try, struct tls_count *count)
{
	const struct sts_finding *sts = &try->plan->sts;
	size_t watch = find_sts_watch(try->host);

	fill(try, TLS_POLICY_STS, count);
	if (!sts->has_policy) {
		set_result(count, problem_result(sts->problem), "");
		return;
	}
	print_policy(sts, count);
	if (watch == try->host->n_watches)
		fill_result(try, count);
	else if (try->verdicts != NULL)
		fill_verdict(&try->verdicts[watch], count);
	else
		fill_unjudged(try, count);
}

static void fill_verdict(const struct outcome *verdict, struct tls_count *count)
{
	if (outcome_is_ok(verdict))
		set_result(count, TLS_RESULT_SUCCESS, "");
	else
		set_result(count, result_of(verdict->name), verdict->name);
}

/* What another rule's verifier said of the certificate, MTA-STS has not said. */
static void fill_unjudged(const struct tally_try *try, struct tls_count *count)
{
	fill_result(try, count);
	if (count->result != TLS_RESULT_STARTTLS)
		count->result = TLS_RESULT_VALIDATION;
}

static void fill(const struct tally_try *try, enum tls_policy_type type, struct tls_count *count)
{
	const struct plan *plan = try->plan;

	*count = (struct tls_count){ .type = type };
	snprintf(count->report_domain, sizeof count->report_domain, "%s",
	    plan->is_route ? plan->next_hop : plan->domain);
	snprintf(count->domain, sizeof count->domain, "%s", count->report_domain);
	snprintf(count->mx, sizeof count->mx, "%s", try->host->name);
	snprintf(count->address, sizeof count->address, "%s", try->address);
	snprintf(count->sender, sizeof count->sender, "%s", try->sender);
	count->strings = mem_copy_text("");
	count->patterns = mem_copy_text("");
}

/* ---- with what result ---- */

static void fill_result(const struct tally_try *try, struct tls_count *count)
{
	const struct outcome *trouble = try->trouble;

	if (try->is_secure)
		set_result(count, TLS_RESULT_SUCCESS, "");
	else if (trouble == NULL)
		set_result(count, TLS_RESULT_STARTTLS, "starttls-missing");
	else if (trouble->name[0] == '\0') /* what a server said to STARTTLS, or to EHLO */
		set_result(count, TLS_RESULT_STARTTLS, "starttls-refused");
	else
		set_result(count, result_of(trouble->name), trouble->name);
}

static void set_result(struct tls_count *count, enum tls_result result, const char *reason)
{
	count->result = result;
	snprintf(count->reason, sizeof count->reason, "%s", reason);
}

/* RFC 8460 4.3, by the name of the refusal. What is in no row is its general failure. */
static enum tls_result result_of(const char *name)
{
	static const struct {
		const char *name;
		enum tls_result result;
	} rows[] = {
		{ "starttls-missing", TLS_RESULT_STARTTLS },
		{ "starttls-refused", TLS_RESULT_STARTTLS },
		{ "tls-name", TLS_RESULT_HOST_MISMATCH },
		{ "tls-expired", TLS_RESULT_EXPIRED },
		{ "tls-untrusted", TLS_RESULT_NOT_TRUSTED },
		{ "dane-mismatch", TLS_RESULT_TLSA_INVALID },
		{ "tlsa-lookup-failed", TLS_RESULT_DNSSEC_INVALID },
		{ "dns-bogus", TLS_RESULT_DNSSEC_INVALID },
		{ "dane-required", TLS_RESULT_DANE_REQUIRED },
		{ "dane-missing", TLS_RESULT_DANE_REQUIRED },
	};

	/* By whose rule: "dane-tls-name", "sts-tls-name", "partner-tls-name". */
	if (strstr(name, "-tls-") != NULL)
		name = strstr(name, "-tls-") + 1;
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		if (strcmp(name, rows[i].name) == 0)
			return rows[i].result;
	}
	return TLS_RESULT_VALIDATION;
}

/* ---- the policy as text ---- */

/* RFC 8460 4.5: a string for each line of the policy as it was written, with its mistakes. */
static void print_policy(const struct sts_finding *sts, struct tls_count *count)
{
	struct buffer text, patterns;
	const char *at = sts->text;

	buffer_init(&text, STS_TEXT_MAX + 1);
	buffer_init(&patterns, STS_POLICY_MAX);
	while (at != NULL && *at != '\0') {
		size_t n = strcspn(at, "\n");

		if (n > 0)
			buffer_print(&text, "%.*s\n", (int)n, at);
		at += n + (at[n] == '\n');
	}
	for (size_t i = 0; i < sts->policy.n_mx; i++)
		buffer_print(&patterns, "%s\n", sts->policy.mx[i]);
	free(count->strings);
	free(count->patterns);
	count->strings = take_lines(&text);
	count->patterns = take_lines(&patterns);
}

/* Whole lines, as many as a count may have, without the last line's end. */
static char *take_lines(struct buffer *b)
{
	char *text = buffer_take(b);
	char *end;

	if (strlen(text) >= TLS_COUNT_STRINGS_MAX) {
		text[TLS_COUNT_STRINGS_MAX - 1] = '\0';
		end = strrchr(text, '\n');
		*(end != NULL ? end : text) = '\0';
	}
	while ((end = strrchr(text, '\n')) != NULL && end[1] == '\0')
		*end = '\0';
	return text;
}
