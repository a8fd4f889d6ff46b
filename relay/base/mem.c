#include "relay/base/mem.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *present(void *memory)
{
	if (memory == NULL) {
		fputs("zegel: out of memory\n", stderr);
		abort();
	}
	return memory;
}

void *mem_create(size_t size_bytes)
{
	return present(calloc(1, size_bytes > 0 ? size_bytes : 1));
}

void *mem_resize(void *old, size_t n, size_t size_bytes)
{
	return present(reallocarray(old, n > 0 ? n : 1, size_bytes > 0 ? size_bytes : 1));
}

char *mem_copy(const void *bytes, size_t n)
{
	char *copy = present(malloc(n + 1));

	if (n > 0)
		memcpy(copy, bytes, n);
	copy[n] = '\0';
	return copy;
}

char *mem_copy_text(const char *text)
{
	return text == NULL ? NULL : mem_copy(text, strlen(text));
}

char *mem_print(const char *format, ...)
{
	char *text = NULL;
	va_list args;
	int n;

	va_start(args, format);
	n = vasprintf(&text, format, args);
	va_end(args);
	return present(n < 0 ? NULL : text);
}

void mem_free_secret(char *secret, size_t n)
{
	if (secret == NULL)
		return;
	explicit_bzero(secret, n);
	free(secret);
}
