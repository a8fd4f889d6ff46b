/*
 * Small things that are done to texts everywhere: into an array that they fit, without the case of
 * their letters, in lists.
 */
#pragma once

#include <stddef.h>

/* Into an array of room bytes. The caller knows that it fits: that it does not is a bug. */
void text_copy(char *to, size_t room, const char *from);

/* ASCII letters to lower case, whatever the locale. */
void text_lower(char *text);

/* Each of n texts copied, in a list of its own; NULL for none. */
char **text_copy_list(char *const *texts, size_t n);
void text_free_list(char **texts, size_t n);
