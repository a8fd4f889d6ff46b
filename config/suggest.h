/*
 * The nearest of the words that would have been right, for "did you mean".
 */
#pragma once

#include <stddef.h>

/* One of words, or NULL if none is near enough to be what was meant. */
const char *suggest_nearest(const char *written, const char *const *words, size_t n_words);
