/*
 * Any bytes as a line of evidence: what is understood prints as a line that is understood the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/evidence.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = mem_copy(data, size);
	char line[EVIDENCE_MAX], again[EVIDENCE_MAX], told[EVIDENCE_MAX];
	struct evidence e, parsed;

	if (evidence_parse(text, &e)) {
		evidence_print(&e, line);
		for (const char *c = line; *c != '\0'; c++)
			assert(*c >= ' ' && *c <= '~');
		assert(evidence_parse(line, &parsed));
		evidence_print(&parsed, again);
		assert(strcmp(line, again) == 0);
		evidence_describe(&e, told, sizeof told);
	}
	free(text);
	return 0;
}
