/*
 * Any bytes as the TXT records of a domain, a line each: what is taken is bounded, has no letter that
 * a line of the store, a log or a command could not hold, and reads again as the same.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/tls_report.h"
#include "relay/tlsrpt_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const char *uri)
{
	struct smtp_address address = { .text = "" };

	assert(strlen(uri) < TLSRPT_URI_MAX);
	for (const char *c = uri; *c != '\0'; c++)
		assert(*c > ' ' && *c <= '~' && *c != ',');
	switch (tlsrpt_uri_read(uri, strlen(uri), &address)) {
	case TLSRPT_URI_MAILTO: assert(strchr(address.text, '@') != NULL); break;
	case TLSRPT_URI_HTTPS: assert(strncasecmp(uri, "https://", 8) == 0); break;
	case TLSRPT_URI_UNUSABLE: abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct tlsrpt_record record;
	char *text = mem_copy(data, size), **texts;
	size_t n;

	texts = tls_report_split(text, &n);
	if (tlsrpt_record_read((const char *const *)texts, n, &record) == TLSRPT_RECORD_READ) {
		assert(record.n_uris >= 1 && record.n_uris <= TLSRPT_URIS_MAX);
		for (size_t i = 0; i < record.n_uris; i++)
			check(record.uris[i]);
	}
	while (n > 0)
		free(texts[--n]);
	free(texts);
	free(text);
	return 0;
}
