#include "relay/base/text.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

void text_copy(char *to, size_t room, const char *from)
{
	size_t n = strlen(from);

	assert(n < room);
	memcpy(to, from, n + 1);
}

void text_lower(char *text)
{
	for (; *text != '\0'; text++) {
		if (*text >= 'A' && *text <= 'Z')
			*text = (char)(*text - 'A' + 'a');
	}
}

char **text_copy_list(char *const *texts, size_t n)
{
	char **copies;

	if (n == 0)
		return NULL;
	copies = mem_resize(NULL, n, sizeof *copies);
	for (size_t i = 0; i < n; i++)
		copies[i] = mem_copy_text(texts[i]);
	return copies;
}

void text_free_list(char **texts, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(texts[i]);
	free(texts);
}
