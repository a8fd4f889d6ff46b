/*
 * Whatever a packet holds, the answer is one or an error, and stays within its bounds.
 * Input: what was asked for, and the packet.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "relay/lookup/answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct answer *answer)
{
	size_t n_bytes = 0;

	assert(answer->finding.status != ANSWER_NOT_ASKED);
	assert(finding_is_failure(&answer->finding) == (*answer->finding.why != '\0'));
	assert(answer->n_mx <= ANSWER_MX_MAX && answer->n_tlsa <= ANSWER_TLSA_MAX);
	assert(answer->n_addresses <= ANSWER_ADDRESSES_MAX);
	assert(answer->n_links <= ANSWER_LINKS_MAX && answer->ttl_s <= ANSWER_TTL_MAX);
	for (size_t i = 0; i < answer->n_tlsa; i++)
		n_bytes += answer->tlsa[i].n_data;
	assert(n_bytes <= ANSWER_TLSA_BYTES_MAX);
	assert(answer->n_texts <= ANSWER_TEXTS_MAX);
	for (size_t i = 0; i < answer->n_mx; i++) {
		const struct mx_record *mx = &answer->mx[i];

		assert(*mx->host != '\0' && strlen(mx->host) < sizeof mx->host);
		assert((mx->kind == MX_NULL) == (strcmp(mx->host, ".") == 0));
		for (const char *c = mx->host; mx->kind == MX_HOST && *c != '\0'; c++)
			assert((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
			       strchr("._-", *c) != NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct {
		enum record_type type;
		const char *name;
	} asked[] = { { RECORD_A, "d.test" }, { RECORD_AAAA, "d.test" }, { RECORD_MX, "d.test" },
		{ RECORD_CNAME, "d.test" }, { RECORD_TLSA, "_25._tcp.d.test" },
		{ RECORD_TXT, "d.test" } };
	struct answer answer;
	size_t which;

	if (size < 1)
		return 0;
	which = data[0] % (sizeof asked / sizeof *asked);
	answer_read(
	    data + 1, size - 1, asked[which].name, asked[which].type, SECURITY_SECURE, &answer);
	check(&answer);
	answer_finish(&answer);
	return 0;
}
