/*
 * Whatever stands in an MTA-STS record or policy, it is one or it is none, and one that is keeps to its
 * bounds and allows what it names. Input: 'r' and a record's text, or 'p' and a policy.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "tls/sts.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_record(const char *bytes, size_t n)
{
	char *text = mem_copy(bytes, n);
	const char *texts[] = { "v=spf1 -all", text };
	char id[STS_ID_MAX];
	enum sts_record_kind kind = sts_record_read(texts, 2, id);

	assert((kind == STS_RECORD_GOOD) == (*id != '\0') && strlen(id) < sizeof id);
	assert(strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789") ==
	       strlen(id));
	free(text);
}

static void try_policy(const char *bytes, size_t n)
{
	struct sts_policy policy;
	char why[100];
	bool is_one = sts_policy_read(bytes, n, &policy, why, sizeof why);

	assert(is_one == (*why == '\0'));
	if (!is_one)
		return;
	assert(policy.n_mx <= STS_MX_MAX && policy.max_age_s <= STS_AGE_MAX);
	assert(policy.n_mx > 0 || policy.mode == STS_MODE_NONE);
	for (size_t i = 0; i < policy.n_mx; i++) {
		char host[300] = "";

		strcat(strcat(host, *policy.mx[i] == '*' ? "a" : ""),
		    policy.mx[i] + (*policy.mx[i] == '*'));
		assert(sts_policy_allows(&policy, host));
		assert(!sts_policy_allows(&policy, strcat(host, "x.")));
	}
	sts_policy_finish(&policy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > 0 && data[0] == 'r')
		try_record((const char *)data + 1, size - 1);
	else if (size > 0)
		try_policy((const char *)data + 1, size - 1);
	return 0;
}
