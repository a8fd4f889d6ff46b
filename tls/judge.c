/*
 * Is the server who it must be? Before the handshake OpenSSL is told what to hold the certificate
 * against; after it, its findings become evidence and a verdict. The requirement decides by one of
 * four methods, and no other file knows which.
 */
#include "tls/openssl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tls/dane.h"

enum method { METHOD_ANYBODY, METHOD_PKIX, METHOD_FINGERPRINT, METHOD_DANE, METHOD_IMPOSSIBLE };

enum { LIST_MAX = 150, PATTERN_MAX = DOMAIN_MAX + 1 };

static enum method method_of(const struct tls_requirement *r);
static void prepare_anybody(SSL *ssl, struct tls_context *context);
static bool prepare_pkix(SSL *ssl, struct tls_context *context, const struct tls_requirement *r,
    struct outcome *refusal);
static bool prepare_dane(SSL *ssl, const struct tls_requirement *r, struct outcome *refusal);
static bool has_names(const struct tls_requirement *r);
static void require_names(SSL *ssl, const struct tls_requirement *r);
static void judge_anybody(SSL *ssl, struct tls_evidence *e);
static void judge_pkix(
    SSL *ssl, const struct tls_requirement *r, struct tls_evidence *e, struct outcome *verdict);
static void judge_fingerprint(
    const struct tls_requirement *r, struct tls_evidence *e, struct outcome *verdict);
static void judge_dane(
    SSL *ssl, const struct tls_requirement *r, struct tls_evidence *e, struct outcome *verdict);
static bool anchor_has_expired(SSL *ssl);
static void note_name(SSL *ssl, struct tls_evidence *e);
static void refuse(struct outcome *verdict, const struct tls_requirement *r,
    const struct tls_evidence *e, const char *name, const char *why, const char *required);
static const char *rule_name(const struct tls_requirement *r, const char *partner_name);
static void list_texts(char *const *texts, size_t n, char *list);
static void list_tlsa(const struct tls_requirement *r, char *list);

static enum method method_of(const struct tls_requirement *r)
{
	switch (r->level) {
	case TLS_NONE:
	case TLS_MAY:
	case TLS_ENCRYPT: return METHOD_ANYBODY;
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_MTA_STS: return METHOD_PKIX;
	case TLS_FINGERPRINT: return METHOD_FINGERPRINT;
	case TLS_DANE: return r->n_tlsa > 0 ? METHOD_DANE : METHOD_ANYBODY;
	case TLS_DANE_ONLY: return r->n_tlsa > 0 ? METHOD_DANE : METHOD_IMPOSSIBLE;
	}
	return METHOD_IMPOSSIBLE;
}

bool judge_prepare(
    SSL *ssl, struct tls_context *context, const struct tls_requirement *r, struct outcome *refusal)
{
	if (r->sni != NULL)
		SSL_set_tlsext_host_name(ssl, r->sni);
	/* "*.x" stands for one label, in the certificate (RFC 6125 6.4.3) and in a partner rule. */
	SSL_set_hostflags(
	    ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS);
	switch (method_of(r)) {
	case METHOD_ANYBODY: prepare_anybody(ssl, context); return true;
	case METHOD_FINGERPRINT: return true;
	case METHOD_PKIX: return prepare_pkix(ssl, context, r, refusal);
	case METHOD_DANE: return prepare_dane(ssl, r, refusal);
	case METHOD_IMPOSSIBLE: break;
	}
	outcome_say(refusal, 454, "4.7.5", "dane-missing",
	    "The server has %s, and tls=%s by %s rule accepts nothing else",
	    r->tlsa_unusable ? "TLSA records, none of them usable" : "no TLSA records",
	    tls_level_name(r->level), tls_demand_name(r->demand));
	return false;
}

/*
 * Where anybody's certificate will do, the alternative is plaintext, so old keys and old servers are
 * better than that (RFC 7435 3): any key size, and servers without RFC 5746, which are harmless as
 * long as we never renegotiate. The protocol floor stays (RFC 8996), and so does "never without a
 * certificate": anonymous key exchange is not offered. Whether an authority vouches for the
 * certificate is only for the log, so a CA file that is missing is no reason to fail.
 */
static void prepare_anybody(SSL *ssl, struct tls_context *context)
{
	char error[256];
	X509_STORE *store = context_find_ca(context, NULL, error, sizeof error);

	if (store != NULL)
		SSL_set1_verify_cert_store(ssl, store);
	SSL_set_security_level(ssl, 0);
	SSL_set_options(ssl, SSL_OP_LEGACY_SERVER_CONNECT);
}

/* Without a name OpenSSL would believe any certificate of the authority: that is never meant. */
static bool prepare_pkix(
    SSL *ssl, struct tls_context *context, const struct tls_requirement *r, struct outcome *refusal)
{
	char error[512];
	X509_STORE *store = context_find_ca(context, r->ca_file, error, sizeof error);

	if (store == NULL) {
		outcome_say(refusal, 454, "4.7.5", "tls-ca-file", "%s", error);
		return false;
	}
	if (!has_names(r)) {
		outcome_say(refusal, 454, "4.7.5", rule_name(r, "partner-tls-name"),
		    "tls=%s by %s rule names no host that the certificate could be for",
		    tls_level_name(r->level), tls_demand_name(r->demand));
		return false;
	}
	SSL_set1_verify_cert_store(ssl, store);
	require_names(ssl, r);
	return true;
}

/*
 * A record without which the others could not be judged as published is no reason to go on with
 * less (the digest agility of RFC 7671 9 depends on all of them), so one that OpenSSL refuses ends it.
 */
static bool prepare_dane(SSL *ssl, const struct tls_requirement *r, struct outcome *refusal)
{
	/* NULL leaves the SNI as it was set, or not set, above. */
	bool added = SSL_dane_enable(ssl, NULL) > 0;

	for (size_t i = 0; i < r->n_tlsa && added; i++) {
		const struct tlsa_record *t = &r->tlsa[i];

		/* Usage 2 must also match a name (RFC 7672 3.2.3). */
		if (t->usage == 2 && !has_names(r))
			continue;
		added = SSL_dane_tlsa_add(
			    ssl, t->usage, t->selector, t->matching, t->data, t->n_data) > 0;
	}
	require_names(ssl, r);
	if (!added) {
		char why[256];

		openssl_take_error(why, sizeof why);
		outcome_say(refusal, 454, "4.7.5", "dane-mismatch",
		    "A TLSA record of the server cannot be used: %s", why);
	}
	return added;
}

/* To OpenSSL an empty name is no name to check. */
static bool has_names(const struct tls_requirement *r)
{
	for (size_t i = 0; i < r->n_names; i++) {
		if (*r->names[i] != '\0')
			return true;
	}
	return false;
}

static void require_names(SSL *ssl, const struct tls_requirement *r)
{
	char pattern[PATTERN_MAX];

	for (size_t i = 0; i < r->n_names; i++) {
		/* ".x" is OpenSSL's word for "*.x" as a reference name. */
		snprintf(pattern, sizeof pattern, "%s",
		    strncmp(r->names[i], "*.", 2) == 0 ? r->names[i] + 1 : r->names[i]);
		if (SSL_add1_host(ssl, pattern) != 1)
			abort();
	}
}

void judge_server(SSL *ssl, const struct tls_requirement *r, struct tls_evidence *evidence,
    struct outcome *verdict)
{
	enum method method = method_of(r);

	outcome_ok(verdict);
	evidence->achieved = TLS_ENCRYPT;
	evidence->trust = *evidence->fingerprint != '\0' ? TLS_UNTRUSTED : TLS_ANONYMOUS;
	if (*evidence->fingerprint == '\0' && method != METHOD_ANYBODY) {
		outcome_say(verdict, 454, "4.7.5", "tls-no-certificate",
		    "The server showed no certificate, and tls=%s by %s rule asks for one",
		    tls_level_name(r->level), tls_demand_name(r->demand));
		return;
	}
	switch (method) {
	case METHOD_ANYBODY: judge_anybody(ssl, evidence); break;
	case METHOD_PKIX: judge_pkix(ssl, r, evidence, verdict); break;
	case METHOD_FINGERPRINT: judge_fingerprint(r, evidence, verdict); break;
	case METHOD_DANE: judge_dane(ssl, r, evidence, verdict); break;
	case METHOD_IMPOSSIBLE: abort(); /* judge_prepare() refused it */
	}
	if (outcome_is_ok(verdict) && method != METHOD_ANYBODY) {
		evidence->trust = TLS_VERIFIED;
		evidence->achieved = r->level == TLS_DANE_ONLY ? TLS_DANE : r->level;
	}
}

static void judge_anybody(SSL *ssl, struct tls_evidence *e)
{
	long found = SSL_get_verify_result(ssl);

	if (e->trust == TLS_UNTRUSTED && found == X509_V_OK)
		e->trust = TLS_TRUSTED;
	else if (e->trust == TLS_UNTRUSTED)
		snprintf(e->why_untrusted, sizeof e->why_untrusted, "%s",
		    X509_verify_cert_error_string(found));
}

static void judge_pkix(
    SSL *ssl, const struct tls_requirement *r, struct tls_evidence *e, struct outcome *verdict)
{
	char required[512], names[LIST_MAX];
	long found = SSL_get_verify_result(ssl);
	const char *why = X509_verify_cert_error_string(found);

	if (found == X509_V_OK) {
		e->proof = TLS_PROOF_PKIX;
		note_name(ssl, e);
		return;
	}
	snprintf(e->why_untrusted, sizeof e->why_untrusted, "%s", why);
	list_texts(r->names, r->n_names, names);
	snprintf(required, sizeof required, "the name %s and an authority of %s", names,
	    r->ca_file != NULL ? r->ca_file : "the system's list");
	if (found == X509_V_ERR_HOSTNAME_MISMATCH)
		refuse(verdict, r, e, rule_name(r, "partner-tls-name"), "it is for another name",
		    required);
	else if (found == X509_V_ERR_CERT_HAS_EXPIRED || found == X509_V_ERR_CERT_NOT_YET_VALID)
		refuse(verdict, r, e, rule_name(r, "partner-tls-expired"), why, required);
	else
		refuse(verdict, r, e, rule_name(r, "partner-tls-untrusted"), why, required);
}

static void judge_fingerprint(
    const struct tls_requirement *r, struct tls_evidence *e, struct outcome *verdict)
{
	char list[LIST_MAX];

	for (size_t i = 0; i < r->n_fingerprints; i++) {
		if (strcmp(r->fingerprints[i], e->fingerprint) == 0) {
			e->proof = TLS_PROOF_FINGERPRINT;
			return;
		}
	}
	list_texts(r->fingerprints, r->n_fingerprints, list);
	refuse(verdict, r, e, "fingerprint-mismatch", "it is none of the operator's list", list);
}

/* Both questions: OpenSSL found no fault, and it was a TLSA record that vouched. */
static void judge_dane(
    SSL *ssl, const struct tls_requirement *r, struct tls_evidence *e, struct outcome *verdict)
{
	long found = SSL_get_verify_result(ssl);
	uint8_t usage, selector, matching;
	char required[LIST_MAX + 64], list[LIST_MAX];

	if (found == X509_V_OK && anchor_has_expired(ssl))
		found = X509_V_ERR_CERT_HAS_EXPIRED;
	if (found == X509_V_OK &&
	    SSL_get0_dane_tlsa(ssl, &usage, &selector, &matching, NULL, NULL) >= 0) {
		e->proof = usage == 3 ? TLS_PROOF_DANE_EE : TLS_PROOF_DANE_TA;
		e->tlsa[0] = usage;
		e->tlsa[1] = selector;
		e->tlsa[2] = matching;
		note_name(ssl, e);
		return;
	}
	list_tlsa(r, list);
	snprintf(required, sizeof required, "a match with TLSA %s", list);
	refuse(verdict, r, e, "dane-mismatch",
	    found == X509_V_OK ? "no TLSA record matches it" : X509_verify_cert_error_string(found),
	    required);
}

/*
 * OpenSSL looks at the dates of a trust anchor of usage 2 only if it signed itself. Whoever lets one
 * expire that did not has not renewed it either. Usage 3 has no dates (RFC 7672 3.1.1).
 */
static bool anchor_has_expired(SSL *ssl)
{
	X509 *anchor = NULL;

	if (SSL_get0_dane_authority(ssl, &anchor, NULL) <= 0 || anchor == NULL)
		return false;
	return X509_cmp_current_time(X509_get0_notAfter(anchor)) <= 0 ||
	       X509_cmp_current_time(X509_get0_notBefore(anchor)) >= 0;
}

static void note_name(SSL *ssl, struct tls_evidence *e)
{
	const char *name = SSL_get0_peername(ssl);

	snprintf(e->name, sizeof e->name, "%s", name != NULL ? name : "");
}

static void refuse(struct outcome *verdict, const struct tls_requirement *r,
    const struct tls_evidence *e, const char *name, const char *why, const char *required)
{
	outcome_say(verdict, 454, "4.7.5", name,
	    "Server certificate not accepted, %s: presented \"%s\" issued by \"%s\" (SHA-256 %s); "
	    "required by %s rule, tls=%s: %s",
	    why, e->subject, e->issuer, e->fingerprint, tls_demand_name(r->demand),
	    tls_level_name(r->level), required);
}

/* The same name without "partner-" where it was nobody's partner rule. */
static const char *rule_name(const struct tls_requirement *r, const char *partner_name)
{
	return r->demand == DEMAND_PARTNER ? partner_name : partner_name + strlen("partner-");
}

static void list_texts(char *const *texts, size_t n, char *list)
{
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < n && used < LIST_MAX - 1; i++)
		used += (size_t)snprintf(
		    list + used, LIST_MAX - used, "%s%s", i > 0 ? " or " : "", texts[i]);
}

static void list_tlsa(const struct tls_requirement *r, char *list)
{
	size_t used = 0;
	char record[64];

	list[0] = '\0';
	for (size_t i = 0; i < r->n_tlsa && used < LIST_MAX - 1; i++) {
		tlsa_print(&r->tlsa[i], record, 24);
		used += (size_t)snprintf(
		    list + used, LIST_MAX - used, "%s%s...", i > 0 ? " or " : "", record);
	}
}
