/*
 * What a survey warns of: what is accepted today, and may not be tomorrow.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/cli/survey.h"
#include "tls/dane.h"

enum {
	DAY_S = 86400,
	CERTIFICATE_DAYS = 14, /* before its end */
};

static void warn_of_addresses(const struct survey_host *host, json_t *warnings);
static void warn_of_end(
    const struct survey_host *host, const struct probe_finding *f, int64_t now_s, json_t *warnings);
static bool ends_soon(int64_t end_s, int64_t now_s);
static void warn_of_single_record(
    const struct survey_host *host, const struct tls_evidence *e, json_t *warnings);
static bool is_seen_before(const struct survey_host *host, const struct probe_finding *f);
static const char *what_then(const struct survey_host *host, const struct probe_finding *f);
static void warn_of_records(const struct survey_host *host, json_t *warnings);
static bool has_dane(const struct survey_host *host);
static void add(json_t *warnings, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

json_t *survey_warn_host(const struct survey_host *host, int64_t now_s)
{
	json_t *warnings = json_array();

	warn_of_addresses(host, warnings);
	for (size_t i = 0; i < host->n_findings; i++)
		warn_of_end(host, &host->findings[i], now_s, warnings);
	warn_of_records(host, warnings);
	return warnings;
}

static void warn_of_addresses(const struct survey_host *host, json_t *warnings)
{
	for (size_t i = 0; i < host->n_findings; i++) {
		const struct probe_finding *f = &host->findings[i];

		if (!f->is_reached && host->is_reached)
			add(warnings, "address-unreachable", "%s", f->verdict.text);
		if (!outcome_is_ok(&f->trouble))
			add(warnings, "tls-fallback",
			    "TLS with %s fails, so mail waits once and then goes in plaintext: %s",
			    f->peer, f->trouble.text);
	}
}

/* Of certificates that somebody looks at; the others may be as old as they like. */
static void warn_of_end(
    const struct survey_host *host, const struct probe_finding *f, int64_t now_s, json_t *warnings)
{
	const struct tls_evidence *e = &f->evidence;
	char date[CLOCK_DATE_MAX];

	if (!f->is_secure || is_seen_before(host, f) ||
	    (e->proof == TLS_PROOF_NONE && host->n_watches == 0))
		return;
	if (ends_soon(e->authorities_end_s, now_s) && e->authorities_end_s < e->not_after_s) {
		clock_print_iso(e->authorities_end_s, date);
		add(warnings, "authority-ends",
		    "an authority of the certificate of %s (by %s) ends %s, before the certificate: "
		    "then mail will wait",
		    e->subject, e->issuer, date);
	}
	if (!ends_soon(e->not_after_s, now_s))
		return;
	clock_print_iso(e->not_after_s, date);
	add(warnings, "certificate-ends", "the certificate of %s (SHA-256 %.16s...) %s %s: %s",
	    e->subject, e->fingerprint, e->not_after_s <= now_s ? "ended" : "ends", date,
	    what_then(host, f));
	warn_of_single_record(host, e, warnings);
}

static bool ends_soon(int64_t end_s, int64_t now_s)
{
	return end_s != 0 && end_s - now_s < CERTIFICATE_DAYS * DAY_S;
}

/* The next certificate is near: what will be of it? */
static void warn_of_single_record(
    const struct survey_host *host, const struct tls_evidence *e, json_t *warnings)
{
	if (!has_dane(host) || host->host->tls.n_tlsa != 1)
		return;
	if (e->proof == TLS_PROOF_DANE_EE)
		add(warnings, "tlsa-single",
		    "the one usable TLSA record at %s (%s) is of this certificate, and none of the "
		    "next is published: when it comes with another key mail will wait",
		    host->host->tlsa_base, e->tlsa_text);
	else if (e->proof == TLS_PROOF_DANE_TA)
		add(warnings, "tlsa-single",
		    "the one usable TLSA record at %s (%s) is of the authority %s: when the next "
		    "certificate comes from another, mail will wait",
		    host->host->tlsa_base, e->tlsa_text, e->authority);
}

/* At another address of the host. */
static bool is_seen_before(const struct survey_host *host, const struct probe_finding *f)
{
	for (const struct probe_finding *other = host->findings; other < f; other++) {
		if (other->is_secure &&
		    strcmp(other->evidence.fingerprint, f->evidence.fingerprint) == 0)
			return true;
	}
	return false;
}

static const char *what_then(const struct survey_host *host, const struct probe_finding *f)
{
	switch (f->evidence.proof) {
	case TLS_PROOF_NONE: return "a rule that verifies it refuses it then";
	case TLS_PROOF_FINGERPRINT:
	case TLS_PROOF_PUBLIC_KEY:
		return "its date does not count here, but its successor must be pinned before it comes";
	case TLS_PROOF_DANE_EE:
		return "its date does not count here, but its successor needs a TLSA record before it "
		       "comes";
	case TLS_PROOF_PKIX:
	case TLS_PROOF_PINNED_CA:
	case TLS_PROOF_DANE_TA: break;
	}
	return outcome_is_ok(&host->verdict) ? "then mail will wait" : "renew it";
}

/* Which of the published records is of no use today: not where none is, as the refusal says that. */
static void warn_of_records(const struct survey_host *host, json_t *warnings)
{
	const struct tls_requirement *tls = &host->host->tls;
	char text[TLSA_TEXT_MAX];
	size_t n_shown = 0;

	for (size_t i = 0; i < host->n_findings; i++)
		n_shown += host->findings[i].is_secure && outcome_is_ok(&host->findings[i].verdict);
	for (size_t r = 0; n_shown > 0 && has_dane(host) && r < tls->n_tlsa; r++) {
		bool matches = false;

		for (size_t i = 0; i < host->n_findings; i++)
			matches = matches || host->findings[i].matches[r];
		if (matches)
			continue;
		tlsa_print(&tls->tlsa[r], text, sizeof text);
		add(warnings, "tlsa-unmatched",
		    "the TLSA record %s at %s matches nothing that %s shows: its keys are being "
		    "changed, or the record was forgotten",
		    text, host->host->tlsa_base, host->host->name);
	}
}

static bool has_dane(const struct survey_host *host)
{
	return !host->host->tls.tlsa_pinned && host->host->tls.n_tlsa > 0;
}

json_t *survey_warn_domain(const struct survey *survey, int64_t now_s)
{
	const struct plan *plan = survey->plan;
	const struct sts_finding *sts = &plan->sts;
	json_t *warnings = json_array();
	char date[CLOCK_DATE_MAX];

	clock_print_iso(sts->expires_s, date);
	if (sts->has_policy && sts->policy.max_age_s < DAY_S)
		add(warnings, "sts-short",
		    "the MTA-STS policy of %s (id %s) holds for %u s only: who keeps its host from us "
		    "for so long is rid of it",
		    plan->domain, sts->id, sts->policy.max_age_s);
	if (sts->has_policy && sts->problem != STS_PROBLEM_NONE)
		add(warnings, sts->expires_s - now_s < DAY_S ? "sts-expires" : "sts-fetch",
		    "the MTA-STS policy of %s (id %s) cannot be renewed, and protects nobody after %s: "
		    "%s",
		    plan->domain, sts->id, date, sts->why);
	else if (sts->problem != STS_PROBLEM_NONE)
		add(warnings, "sts-fetch",
		    "the MTA-STS policy of %s cannot be had, and does not protect its mail: %s",
		    plan->domain, sts->why);
	if (survey->after != NULL && survey->n_needing == 0 && plan->n_hosts > 0)
		add(warnings, "exception-unneeded",
		    "every host would be accepted without the exception of partner %s: remove it",
		    survey->partner->name);
	if (plan->is_impaired)
		add(warnings, "dane-impaired",
		    "the resolver does not validate, so nothing here is known to be secure: see zegel "
		    "status");
	return warnings;
}

static void add(json_t *warnings, const char *name, const char *format, ...)
{
	char text[1024];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	json_array_append_new(warnings, json_pack("{s:s, s:s}", "name", name, "text", text));
}
