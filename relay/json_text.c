#include "relay/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"

json_t *json_text(const char *text)
{
	json_t *value = json_string(text);
	size_t n = strlen(text);
	char *escaped;

	if (value != NULL)
		return value;
	escaped = mem_create(n + 1);
	value = json_string(log_escape(text, n, escaped, n + 1));
	free(escaped);
	return value;
}
