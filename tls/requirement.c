#include "tls/requirement.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/text.h"

static bool has_records(const struct tls_requirement *a, const struct tls_requirement *of);
static bool records_are_equal(const struct tlsa_record *a, const struct tlsa_record *b);
static bool has_names(const struct tls_requirement *a, const struct tls_requirement *of);

/* Two levels of operators and RFC 7672 allow plaintext: the rest is encrypted or does not go. */
bool tls_requirement_allows_plaintext(const struct tls_requirement *r)
{
	switch (r->level) {
	case TLS_NONE:
	case TLS_MAY: return true;
	case TLS_DANE: return r->n_tlsa == 0 && !r->tlsa_unusable;
	case TLS_ENCRYPT:
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_DANE_ONLY:
	case TLS_MTA_STS: return false;
	}
	return false;
}

/* Neither the order nor a repetition of records and names means anything. */
bool tls_requirement_is_equal(const struct tls_requirement *a, const struct tls_requirement *b)
{
	return a->level == b->level && a->demand == b->demand &&
	       tls_requirement_has_same_sni(a, b) && a->tlsa_unusable == b->tlsa_unusable &&
	       a->tlsa_pinned == b->tlsa_pinned && a->by_insecure_mx == b->by_insecure_mx &&
	       has_records(a, b) && has_records(b, a) && has_names(a, b) && has_names(b, a);
}

bool tls_requirement_has_same_sni(const struct tls_requirement *a, const struct tls_requirement *b)
{
	return a->sni == NULL ? b->sni == NULL : b->sni != NULL && strcmp(a->sni, b->sni) == 0;
}

static bool has_records(const struct tls_requirement *a, const struct tls_requirement *of)
{
	size_t n_found = 0;

	for (size_t i = 0; i < of->n_tlsa; i++) {
		size_t j = 0;

		while (j < a->n_tlsa && !records_are_equal(&a->tlsa[j], &of->tlsa[i]))
			j++;
		n_found += j < a->n_tlsa;
	}
	return n_found == of->n_tlsa;
}

static bool records_are_equal(const struct tlsa_record *a, const struct tlsa_record *b)
{
	return a->usage == b->usage && a->selector == b->selector && a->matching == b->matching &&
	       a->n_data == b->n_data &&
	       (a->n_data == 0 || memcmp(a->data, b->data, a->n_data) == 0);
}

static bool has_names(const struct tls_requirement *a, const struct tls_requirement *of)
{
	size_t n_found = 0;

	for (size_t i = 0; i < of->n_names; i++) {
		size_t j = 0;

		while (j < a->n_names && strcmp(a->names[j], of->names[i]) != 0)
			j++;
		n_found += j < a->n_names;
	}
	return n_found == of->n_names;
}

void tls_requirement_copy(struct tls_requirement *to, const struct tls_requirement *from)
{
	*to = *from;
	to->tlsa = NULL;
	if (from->n_tlsa > 0)
		to->tlsa = mem_resize(NULL, from->n_tlsa, sizeof *to->tlsa);
	for (size_t i = 0; i < from->n_tlsa; i++) {
		to->tlsa[i] = from->tlsa[i];
		to->tlsa[i].data = (uint8_t *)mem_copy(from->tlsa[i].data, from->tlsa[i].n_data);
	}
	to->names = text_copy_list(from->names, from->n_names);
	to->sni = mem_copy_text(from->sni);
}

void tls_requirement_finish(struct tls_requirement *r)
{
	for (size_t i = 0; i < r->n_tlsa; i++)
		free(r->tlsa[i].data);
	free(r->tlsa);
	text_free_list(r->names, r->n_names);
	free(r->sni);
	*r = (struct tls_requirement){ .level = TLS_NONE };
}
