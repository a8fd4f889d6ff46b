/*
 * Bytes that pass for facts are exactly what those facts encode to, and a plan can be made of them.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "relay/route.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct config config = { .hostname = (char *)"mail.example",
		.delivery = { .port = 25,
		    .tls = TLS_DANE,
		    .dane_insecure_mx = TLS_MAY,
		    .mta_sts = true,
		    .ipv4 = true,
		    .ipv6 = true } };
	struct config_route hop = { .port = 587, .level = TLS_DANE, .login = (char *)"us" };
	struct buffer again;
	struct facts facts;
	struct plan plan;
	size_t n_usable = 0;

	if (!facts_decode(data, size, &facts))
		return 0;
	buffer_init(&again, FACTS_ENCODED_MAX);
	facts_encode(&facts, &again);
	assert(again.n == size && memcmp(again.bytes, data, size) == 0);
	buffer_finish(&again);

	hop.domain = hop.host = facts.domain;
	route_find(&config, &facts,
	    &(struct route_question){
		.domain = facts.domain, .route = facts.is_host ? &hop : NULL, .shuffle = size },
	    &plan);
	for (size_t i = 0; i < plan.n_hosts; i++) {
		const struct plan_host *host = &plan.hosts[i];

		if (!outcome_is_ok(&host->unusable))
			continue;
		n_usable++;
		assert(host->n_addresses > 0);
		/* Mail goes in plaintext only where nobody made a promise, and never with a login. */
		if (!tls_requirement_allows_plaintext(&host->tls))
			continue;
		assert(!plan.is_route);
		assert(!host->has_tlsa_policy);
		assert(host->n_tlsa_published == 0 || host->tlsa_status != ANSWER_OK ||
		       host->tlsa_security != SECURITY_SECURE || plan.is_impaired ||
		       (plan.mx_security != SECURITY_SECURE && !plan.mx_implicit));
		assert(!plan.sts.has_policy || plan.sts.policy.mode != STS_MODE_ENFORCE);
	}
	assert((n_usable > 0) == outcome_is_ok(&plan.refusal));
	plan_finish(&plan);
	facts_finish(&facts);
	return 0;
}
