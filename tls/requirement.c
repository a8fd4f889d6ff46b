#include "tls/requirement.h"

#include <stdlib.h>

#include "relay/base/mem.h"

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

static char **copy_texts(char *const *from, size_t n)
{
	char **to;

	if (n == 0)
		return NULL;
	to = mem_resize(NULL, n, sizeof *to);
	for (size_t i = 0; i < n; i++)
		to[i] = mem_copy_text(from[i]);
	return to;
}

static void free_texts(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
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
	to->names = copy_texts(from->names, from->n_names);
	to->sni = mem_copy_text(from->sni);
}

void tls_requirement_finish(struct tls_requirement *r)
{
	for (size_t i = 0; i < r->n_tlsa; i++)
		free(r->tlsa[i].data);
	free(r->tlsa);
	free_texts(r->names, r->n_names);
	free(r->sni);
	*r = (struct tls_requirement){ .level = TLS_NONE };
}
