/*
 * Is the server who it must be? A requirement becomes a question to the verifier, and its finding
 * evidence and a verdict. There are four methods, and no other file knows which one a requirement
 * means.
 */
#include "tls/openssl.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "tls/dane.h"

/* Pins and DANE are the same question, and differ in the words of the answer. */
enum method { METHOD_ANYBODY, METHOD_PKIX, METHOD_PINS, METHOD_DANE };

enum { LIST_MAX = 150, REFUSAL_MAX = OUTCOME_NAME_MAX };

struct judge {
	const struct tls_requirement *requirement;
	enum method method;
	struct verifier *verifier;
	bool has_records; /* or pins, that a chain can match */
};

static bool find_method(
    const struct tls_requirement *r, enum method *method, struct outcome *refusal);
static size_t count_usable(const struct tls_requirement *r);
static bool prepare_anybody(struct judge *j, struct tls_context *context);
static bool prepare_pkix(struct judge *j, struct tls_context *context, struct outcome *refusal);
static bool prepare_tlsa(struct judge *j, struct tls_context *context, struct outcome *refusal);
static bool add_records(struct judge *j);
static bool has_names(const struct tls_requirement *r);
static bool add_names(struct judge *j);
static void note_finding(
    const struct judge *j, const struct chain_finding *f, struct tls_evidence *e);
static enum tls_proof proof_of(const struct judge *j, const struct chain_finding *f);
static void refuse(
    const struct judge *j, long error, const struct tls_evidence *e, struct outcome *verdict);
static void print_required(const struct judge *j, char *text, size_t room);
static void name_refusal(const struct judge *j, long error, char name[REFUSAL_MAX]);
static bool is_no_match(long error);
static bool has_usage(const struct tls_requirement *r, uint8_t usage);
static void name_rule(const struct judge *j, const char *what, char name[REFUSAL_MAX]);
static void list_names(const struct tls_requirement *r, char *list);
static void list_tlsa(const struct tls_requirement *r, char *list);

struct judge *judge_create(
    struct tls_context *context, const struct tls_requirement *r, struct outcome *refusal)
{
	struct judge *j = mem_create(sizeof *j);
	bool can = find_method(r, &j->method, refusal);

	j->requirement = r;
	if (can) {
		switch (j->method) {
		case METHOD_ANYBODY: can = prepare_anybody(j, context); break;
		case METHOD_PKIX: can = prepare_pkix(j, context, refusal); break;
		case METHOD_PINS:
		case METHOD_DANE: can = prepare_tlsa(j, context, refusal); break;
		}
	}
	if (!can)
		judge_destroy(&j);
	return j;
}

static bool find_method(
    const struct tls_requirement *r, enum method *method, struct outcome *refusal)
{
	bool is_met = true;

	switch (r->level) {
	case TLS_NONE:
	case TLS_MAY:
	case TLS_ENCRYPT: *method = METHOD_ANYBODY; break;
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_MTA_STS: *method = r->tlsa_pinned ? METHOD_PINS : METHOD_PKIX; break;
	case TLS_FINGERPRINT: *method = METHOD_PINS; break;
	case TLS_DANE:
	case TLS_DANE_ONLY:
		is_met = count_usable(r) > 0 || r->level == TLS_DANE;
		*method = count_usable(r) > 0 ? METHOD_DANE : METHOD_ANYBODY;
		break;
	}
	if (!is_met)
		outcome_say(refusal, 454, "4.7.5", "dane-missing",
		    "The server has %s, and tls=%s by %s accepts nothing else",
		    r->tlsa_unusable || r->n_tlsa > 0 ? "TLSA records, none of them usable"
						      : "no TLSA records",
		    tls_level_name(r->level), tls_demand_words(r->demand));
	return is_met;
}

/* The caller has filtered; a record that slipped through must not weaken or break the rest. */
static size_t count_usable(const struct tls_requirement *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n_tlsa; i++)
		n += tlsa_is_usable(&r->tlsa[i]);
	return n;
}

/*
 * Where anybody's certificate will do, the alternative is plaintext, so old keys and old servers are
 * better than that (RFC 7435 3). Whether an authority vouches for the certificate is only for the
 * log, so a CA file that is missing is no reason to fail.
 */
static bool prepare_anybody(struct judge *j, struct tls_context *context)
{
	char error[256];

	j->verifier =
	    verifier_create(context, context_find_ca(context, error, sizeof error), false);
	return true;
}

/* Without a name OpenSSL would believe any certificate of the authority: that is never meant. */
static bool prepare_pkix(struct judge *j, struct tls_context *context, struct outcome *refusal)
{
	const struct tls_requirement *r = j->requirement;
	char error[OUTCOME_TEXT_MAX], name[REFUSAL_MAX];
	X509_STORE *store = context_find_ca(context, error, sizeof error);

	if (store == NULL) {
		outcome_say(refusal, 454, "4.7.5", "tls-ca-file", "%s", error);
		return false;
	}
	j->verifier = verifier_create(context, store, true);
	/* RFC 8461 4.2 knows DNS names only. */
	if (r->level == TLS_MTA_STS)
		verifier_refuse_common_names(j->verifier);
	if (has_names(r) && add_names(j))
		return true;
	name_rule(j, "name", name);
	outcome_say(refusal, 454, "4.7.5", name,
	    "tls=%s by %s names no host that the certificate could be for",
	    tls_level_name(r->level), tls_demand_words(r->demand));
	return false;
}

/*
 * A record without which the others could not be judged as published is no reason to go on with
 * less (the digest agility of RFC 7671 9 depends on all of them, in OpenSSL's order, which is not the
 * operator's to change), so one that OpenSSL refuses ends it. Keys that can be broken prove nobody, also
 * where RFC 7672 3.1.1 would look at nothing but the record.
 */
static bool prepare_tlsa(struct judge *j, struct tls_context *context, struct outcome *refusal)
{
	char why[256], name[REFUSAL_MAX];

	j->verifier = verifier_create(context, NULL, true);
	if (add_records(j) && add_names(j))
		return true;
	openssl_take_error(why, sizeof why);
	name_refusal(j, X509_V_ERR_DANE_NO_MATCH, name);
	outcome_say(refusal, 454, "4.7.5", name, "%s cannot be used: %s",
	    j->method == METHOD_PINS ? "One of the operator's pins" : "A TLSA record of the server",
	    *why != '\0' ? why : "it has more than one address for a name");
	return false;
}

static bool add_records(struct judge *j)
{
	const struct tls_requirement *r = j->requirement;

	for (size_t i = 0; i < r->n_tlsa; i++) {
		const struct tlsa_record *t = &r->tlsa[i];

		/* Usage 2 must also match a name (RFC 7672 3.2.2). */
		if (!tlsa_is_usable(t) || (t->usage == 2 && !has_names(r)))
			continue;
		if (!verifier_add_tlsa(j->verifier, t))
			return false;
		j->has_records = true;
	}
	return true;
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

static bool add_names(struct judge *j)
{
	for (size_t i = 0; i < j->requirement->n_names; i++) {
		if (!verifier_add_name(j->verifier, j->requirement->names[i]))
			return false;
	}
	return true;
}

bool judge_takes_anybody(const struct judge *j)
{
	return j->method == METHOD_ANYBODY;
}

void judge_decide(struct judge *j, const struct judge_exhibit *exhibit, struct tls_evidence *e,
    struct outcome *verdict)
{
	const struct tls_requirement *r = j->requirement;
	bool takes_anybody = j->method == METHOD_ANYBODY;
	struct chain_finding found;

	outcome_ok(verdict);
	if (exhibit->chain == NULL && !takes_anybody)
		outcome_say(verdict, 454, "4.7.5", "tls-no-certificate",
		    "The server showed no certificate, and tls=%s by %s asks for one",
		    tls_level_name(r->level), tls_demand_words(r->demand));
	if (exhibit->chain == NULL)
		return;
	verifier_run(j->verifier, exhibit->chain, &found);
	/* A chain that nobody vouches for can be without fault only where no store was asked. */
	if (found.error == X509_V_OK && !found.has_tlsa &&
	    (j->method == METHOD_PINS || j->method == METHOD_DANE))
		found.error = X509_V_ERR_DANE_NO_MATCH;
	/* Whatever else is said of it then is beside the point. */
	if (j->method == METHOD_DANE && !j->has_records)
		found.error = X509_V_ERR_DANE_NO_MATCH;
	if (found.error != X509_V_OK)
		snprintf(e->why_untrusted, sizeof e->why_untrusted, "%s",
		    X509_verify_cert_error_string(found.error));
	if (takes_anybody) {
		e->trust = found.error == X509_V_OK ? TLS_TRUSTED : TLS_UNTRUSTED;
	} else if (found.error != X509_V_OK) {
		refuse(j, found.error, e, verdict);
	} else if (exhibit->is_weak) {
		outcome_say(verdict, 454, "4.7.5", "tls-handshake",
		    "TLS handshake failed: cipher, keys or signature of the connection (%s, %s) are "
		    "too weak for tls=%s by %s",
		    e->protocol, e->cipher, tls_level_name(r->level), tls_demand_words(r->demand));
	} else {
		note_finding(j, &found, e);
	}
}

static void note_finding(
    const struct judge *j, const struct chain_finding *f, struct tls_evidence *e)
{
	struct tlsa_record record = { f->tlsa[0], f->tlsa[1], f->tlsa[2], (uint8_t *)f->data,
		f->n_data };

	e->trust = j->requirement->by_insecure_mx ? TLS_TRUSTED : TLS_VERIFIED;
	e->achieved = j->requirement->level == TLS_DANE_ONLY ? TLS_DANE : j->requirement->level;
	e->proof = proof_of(j, f);
	snprintf(e->name, sizeof e->name, "%s", f->name);
	snprintf(e->authority, sizeof e->authority, "%s", f->authority);
	e->authorities_end_s = f->authorities_end_s;
	if (f->has_tlsa)
		tlsa_print(&record, e->tlsa_text, sizeof e->tlsa_text);
}

static enum tls_proof proof_of(const struct judge *j, const struct chain_finding *f)
{
	switch (j->method) {
	case METHOD_ANYBODY: return TLS_PROOF_NONE;
	case METHOD_PKIX: return TLS_PROOF_PKIX;
	case METHOD_PINS:
		return f->tlsa[0] == 2   ? TLS_PROOF_PINNED_CA
		       : f->tlsa[1] == 0 ? TLS_PROOF_FINGERPRINT
					 : TLS_PROOF_PUBLIC_KEY;
	case METHOD_DANE: return f->tlsa[0] == 2 ? TLS_PROOF_DANE_TA : TLS_PROOF_DANE_EE;
	}
	return TLS_PROOF_NONE;
}

static void refuse(
    const struct judge *j, long error, const struct tls_evidence *e, struct outcome *verdict)
{
	const struct tls_requirement *r = j->requirement;
	char required[512], name[REFUSAL_MAX];
	const char *why = error == X509_V_ERR_HOSTNAME_MISMATCH ? "it is for another name"
			  : j->method == METHOD_DANE && is_no_match(error)
			      ? "no TLSA record matches it"
			  : error == X509_V_ERR_DANE_NO_MATCH ? "it is none of the operator's list"
							      : e->why_untrusted;

	name_refusal(j, error, name);
	print_required(j, required, sizeof required);
	outcome_say(verdict, 454, "4.7.5", name,
	    "Server certificate not accepted, %s: presented \"%s\" issued by \"%s\" (SHA-256 %s); "
	    "required by %s, tls=%s: %s",
	    why, e->subject, e->issuer, e->fingerprint, tls_demand_words(r->demand),
	    tls_level_name(r->level), required);
}

static void print_required(const struct judge *j, char *text, size_t room)
{
	char names[LIST_MAX], records[LIST_MAX];

	list_names(j->requirement, names);
	list_tlsa(j->requirement, records);
	if (j->method == METHOD_PKIX)
		snprintf(text, room, "the name %s and an authority of the system's list", names);
	else if (j->method == METHOD_DANE)
		snprintf(text, room, "a match with TLSA %s%s%s", records,
		    has_usage(j->requirement, 2) ? ", by usage 2 with the name " : "",
		    has_usage(j->requirement, 2) ? names : "");
	else if (!has_usage(j->requirement, 2))
		snprintf(text, room, "a match with the operator's list: %s", records);
	else
		snprintf(text, room, "the name %s and an authority of the partner's list", names);
}

static void name_refusal(const struct judge *j, long error, char name[REFUSAL_MAX])
{
	if (j->method == METHOD_DANE && is_no_match(error))
		text_copy(name, REFUSAL_MAX, "dane-mismatch");
	else if (j->method == METHOD_PINS && !has_usage(j->requirement, 2))
		text_copy(name, REFUSAL_MAX, "fingerprint-mismatch");
	else if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH)
		name_rule(j, "name", name);
	else if (error == X509_V_ERR_CERT_HAS_EXPIRED || error == X509_V_ERR_CERT_NOT_YET_VALID)
		name_rule(j, "expired", name);
	else
		name_rule(j, "untrusted", name);
}

/*
 * No chain from the server's certificate leads to what a record is of: it may be of another
 * certificate, or of an authority that the server does not show. What is wrong with a chain that does
 * is OpenSSL's first complaint about it.
 */
static bool is_no_match(long error)
{
	return error == X509_V_ERR_DANE_NO_MATCH || error == X509_V_ERR_CERT_UNTRUSTED;
}

static bool has_usage(const struct tls_requirement *r, uint8_t usage)
{
	for (size_t i = 0; i < r->n_tlsa; i++) {
		if (r->tlsa[i].usage == usage)
			return true;
	}
	return false;
}

/* "dane-tls-name", "sts-tls-name", "partner-tls-name", or "tls-name" where it was nobody else's rule. */
static void name_rule(const struct judge *j, const char *what, char name[REFUSAL_MAX])
{
	const struct tls_requirement *r = j->requirement;

	snprintf(name, REFUSAL_MAX, "%stls-%s",
	    j->method == METHOD_DANE      ? "dane-"
	    : r->level == TLS_MTA_STS     ? "sts-"
	    : r->demand == DEMAND_PARTNER ? "partner-"
					  : "",
	    what);
}

static void list_names(const struct tls_requirement *r, char *list)
{
	size_t used = 0;

	list[0] = '\0';
	for (size_t i = 0; i < r->n_names && used < LIST_MAX - 1; i++)
		used += (size_t)snprintf(
		    list + used, LIST_MAX - used, "%s%s", i > 0 ? " or " : "", r->names[i]);
}

static void list_tlsa(const struct tls_requirement *r, char *list)
{
	size_t used = 0;
	char record[24];

	list[0] = '\0';
	for (size_t i = 0; i < r->n_tlsa && used < LIST_MAX - 1; i++) {
		tlsa_print(&r->tlsa[i], record, sizeof record);
		used += (size_t)snprintf(
		    list + used, LIST_MAX - used, "%s%s...", i > 0 ? " or " : "", record);
	}
	if (r->n_tlsa == 0)
		snprintf(list, LIST_MAX, "nothing, as it is empty");
}

void judge_destroy(struct judge **judge)
{
	struct judge *j = *judge;

	if (j == NULL)
		return;
	verifier_destroy(&j->verifier);
	free(j);
	*judge = NULL;
}
