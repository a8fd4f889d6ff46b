/*
 * Whatever a TLS report is to be posted to: what is taken of it is a name, a port and a path that can
 * stand in a request as they are. Input: the address.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "relay/lookup/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct url url;
	const char *why;

	if (!url_read((const char *)data, size, &url, &why)) {
		assert(*why != '\0');
		return 0;
	}
	assert(url.port > 0 && url.path[0] == '/' && strlen(url.path) <= URL_PATH_MAX);
	assert(strspn(url.host, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == strlen(url.host));
	for (const char *c = url.path; *c != '\0'; c++)
		assert(*c > ' ' && *c <= '~' && *c != '#');
	return 0;
}
