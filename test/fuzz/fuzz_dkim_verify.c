/*
 * Whatever a message, a tag list or a key record holds, the verifier answers and touches nothing
 * outside. Input: a record, a NUL, a message.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "dkim/public_key.h"
#include "dkim/tags.h"
#include "dkim/verify.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const uint8_t *nul = size > 0 ? memchr(data, '\0', size) : NULL;
	size_t n_record = nul == NULL ? size : (size_t)(nul - data);
	struct slice record = { (const char *)data, n_record };
	struct slice message = { (const char *)data + n_record, size - n_record };
	struct dkim_public_key *key;
	struct dkim_result result;
	char why[DKIM_ERROR_MAX];
	struct dkim_tags tags;

	if (nul != NULL)
		message = (struct slice){ message.bytes + 1, message.n - 1 };
	if (dkim_tags_parse(record, &tags)) {
		assert(tags.n > 0 && tags.n <= DKIM_TAGS_MAX);
		for (size_t i = 0; i < tags.n; i++) {
			assert(tags.tags[i].raw.bytes >= record.bytes);
			assert(
			    tags.tags[i].raw.bytes + tags.tags[i].raw.n <= record.bytes + record.n);
			assert(tags.tags[i].value.n <= tags.tags[i].raw.n);
		}
	}
	key = dkim_public_key_parse(record, why, sizeof why);
	dkim_public_key_destroy(&key);
	for (size_t which = 0; which < 3; which++) {
		bool passed = dkim_verify(message, which, record, 1790000000, &result);

		assert(passed == (result.verdict == DKIM_PASS));
		assert(strlen(result.text) < sizeof result.text);
	}
	return 0;
}
