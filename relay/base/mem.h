/*
 * Memory that is always there: every helper aborts when the machine has none left, so callers
 * never check. Nothing here is for sizes a peer controls without a maximum of its own.
 */
#pragma once

#include <stddef.h>

/* size_bytes of zeros; never NULL. Free with free(). */
void *mem_create(size_t size_bytes);

/* n elements of size_bytes each; the product is checked. New bytes are not cleared. */
void *mem_resize(void *old, size_t n, size_t size_bytes);

/* A copy of n bytes, followed by a NUL that is not counted. */
char *mem_copy(const void *bytes, size_t n);

/* A copy of a text; NULL gives NULL. */
char *mem_copy_text(const char *text);

/* A formatted text of its own. */
char *mem_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Frees a secret after overwriting it; NULL is nothing. */
void mem_free_secret(char *secret, size_t n);
