/*
 * The one verifier. It does, after the handshake and as often as somebody asks, what OpenSSL does
 * inside one (its ssl_verify_cert_chain): the same calls in the same order on an SSL that is never
 * connected, whose only purpose is to hold names, TLSA records and the security level in the form
 * that OpenSSL wants them. Nothing of the path building is ours.
 */
#include "tls/openssl.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"

enum {
	PATTERN_MAX = DOMAIN_MAX + 1,
	/* Between the server's certificate and who vouches for it. Real chains have three at most; a
	 * hundred, each with a key made for that, cost half a second, in which everybody else waits. */
	AUTHORITIES_MAX = 10,
};

struct verifier {
	SSL *scratch;
	X509_STORE *store;
	bool has_tlsa;
};

static X509_STORE_CTX *prepare(const struct verifier *v, STACK_OF(X509) * chain, time_t now);
static void note_match(
    const struct verifier *v, X509_STORE_CTX *store, time_t now, struct chain_finding *f);
static bool is_out_of_date(X509 *certificate, time_t now);

struct verifier *verifier_create(struct tls_context *context, X509_STORE *store, bool is_strict)
{
	struct verifier *v = mem_create(sizeof *v);

	v->scratch = SSL_new(context->ctx);
	v->store = store != NULL ? store : SSL_CTX_get_cert_store(context->ctx);
	/* NULL: no name and no SNI comes with it. */
	if (v->scratch == NULL || SSL_dane_enable(v->scratch, NULL) <= 0)
		abort();
	/* "*.x" stands for one label, in the certificate (RFC 6125 6.4.3) and in a partner rule. */
	SSL_set_hostflags(v->scratch,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS | X509_CHECK_FLAG_SINGLE_LABEL_SUBDOMAINS);
	if (!is_strict)
		SSL_set_security_level(v->scratch, 0);
	return v;
}

bool verifier_add_name(struct verifier *v, const char *name)
{
	char pattern[PATTERN_MAX];
	bool added;

	/* ".x" is OpenSSL's word for "*.x" as a reference name. */
	snprintf(pattern, sizeof pattern, "%s", strncmp(name, "*.", 2) == 0 ? name + 1 : name);
	added = SSL_add1_host(v->scratch, pattern) == 1;
	ERR_clear_error();
	return added;
}

void verifier_refuse_common_names(struct verifier *v)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(v->scratch);

	X509_VERIFY_PARAM_set_hostflags(
	    param, X509_VERIFY_PARAM_get_hostflags(param) | X509_CHECK_FLAG_NEVER_CHECK_SUBJECT);
}

bool verifier_add_tlsa(struct verifier *v, const struct tlsa_record *t)
{
	v->has_tlsa = SSL_dane_tlsa_add(
			  v->scratch, t->usage, t->selector, t->matching, t->data, t->n_data) > 0;
	return v->has_tlsa;
}

void verifier_run(struct verifier *v, STACK_OF(X509) * chain, struct chain_finding *f)
{
	time_t now = (time_t)clock_wall_s();
	X509_STORE_CTX *store = prepare(v, chain, now);
	const char *name;

	*f = (struct chain_finding){ .error = X509_V_OK };
	/* A failure that left no error behind would otherwise pass for a success. */
	if (X509_verify_cert(store) <= 0 && X509_STORE_CTX_get_error(store) == X509_V_OK)
		X509_STORE_CTX_set_error(store, X509_V_ERR_UNSPECIFIED);
	f->error = X509_STORE_CTX_get_error(store);
	SSL_set_verify_result(v->scratch, f->error);
	if (f->error == X509_V_OK) {
		name = X509_VERIFY_PARAM_get0_peername(X509_STORE_CTX_get0_param(store));
		snprintf(f->name, sizeof f->name, "%s", name != NULL ? name : "");
		note_match(v, store, now, f);
	}
	X509_STORE_CTX_free(store);
	ERR_clear_error();
}

static X509_STORE_CTX *prepare(const struct verifier *v, STACK_OF(X509) * chain, time_t now)
{
	X509_STORE_CTX *store = X509_STORE_CTX_new();
	X509_VERIFY_PARAM *param;

	if (store == NULL ||
	    X509_STORE_CTX_init(store, v->store, sk_X509_value(chain, 0), chain) != 1)
		abort();
	param = X509_STORE_CTX_get0_param(store);
	X509_VERIFY_PARAM_set_auth_level(param, SSL_get_security_level(v->scratch));
	if (v->has_tlsa)
		X509_STORE_CTX_set0_dane(store, SSL_get0_dane(v->scratch));
	if (X509_STORE_CTX_set_default(store, "ssl_server") != 1 ||
	    X509_VERIFY_PARAM_set1(param, SSL_get0_param(v->scratch)) != 1)
		abort();
	X509_VERIFY_PARAM_set_time(param, now);
	X509_VERIFY_PARAM_set_depth(param, AUTHORITIES_MAX);
	return store;
}

/*
 * Who vouched. OpenSSL looks at the dates of a trust anchor of usage 2 only if it signed itself.
 * Whoever lets one expire that did not has not renewed it either. Usage 3 has no dates
 * (RFC 7672 3.1.1).
 */
static void note_match(
    const struct verifier *v, X509_STORE_CTX *store, time_t now, struct chain_finding *f)
{
	X509 *anchor = NULL;
	int depth = SSL_get0_dane_authority(v->scratch, &anchor, NULL);
	STACK_OF(X509) *chain = X509_STORE_CTX_get0_chain(store);

	f->has_tlsa = SSL_get0_dane_tlsa(v->scratch, &f->tlsa[0], &f->tlsa[1], &f->tlsa[2],
			  &f->data, &f->n_data) >= 0;
	if (!f->has_tlsa && sk_X509_num(chain) > 0)
		anchor = sk_X509_value(chain, sk_X509_num(chain) - 1);
	else if (depth <= 0)
		return;
	if (anchor != NULL)
		collect_authority(anchor, f->authority, sizeof f->authority);
	if (f->has_tlsa && anchor != NULL && is_out_of_date(anchor, now))
		f->error = X509_V_ERR_CERT_HAS_EXPIRED;
	for (int i = 1; i < sk_X509_num(chain); i++) {
		int64_t end_s = collect_end(sk_X509_value(chain, i));

		if (f->authorities_end_s == 0 || end_s < f->authorities_end_s)
			f->authorities_end_s = end_s;
	}
}

static bool is_out_of_date(X509 *certificate, time_t now)
{
	return X509_cmp_time(X509_get0_notAfter(certificate), &now) <= 0 ||
	       X509_cmp_time(X509_get0_notBefore(certificate), &now) >= 0;
}

void verifier_destroy(struct verifier **verifier)
{
	struct verifier *v = *verifier;

	if (v == NULL)
		return;
	SSL_free(v->scratch);
	free(v);
	*verifier = NULL;
}
