/*
 * Whatever a file of authorities holds: certificates that are not empty, or one sentence.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "config/certificates.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct config_certificate *cas;
	size_t n;
	char why[160] = "";

	if (!certificates_parse((const char *)data, size, &cas, &n, why, sizeof why)) {
		assert(why[0] != '\0' && strlen(why) + 1 < sizeof why && cas == NULL && n == 0);
		return 0;
	}
	assert(n > 0 && n <= CONFIG_PARTNER_CAS_MAX);
	for (size_t i = 0; i < n; i++)
		assert(cas[i].n > 0 && cas[i].n <= size);
	certificates_free(cas, n);
	return 0;
}
