/*
 * Numbers out of text that somebody else wrote. No sign, no space, no other base, no leading '+';
 * the whole text is the number or it is none.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 1*20DIGIT up to max; false (and *number untouched) otherwise. */
bool number_parse(const char *text, size_t n, uint64_t max, uint64_t *number);
