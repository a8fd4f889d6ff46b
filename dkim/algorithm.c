/*
 * The names, out of the table in the header.
 */
#include "dkim/algorithm.h"

#include <assert.h>

const char *dkim_algorithm_name(enum dkim_algorithm algorithm)
{
	switch (algorithm) {
#define X(symbol, name, key)                                                                       \
	case symbol: return name;
		DKIM_ALGORITHMS(X)
#undef X
	}
	assert(!"an algorithm");
	return "";
}

const char *dkim_algorithm_key_type(enum dkim_algorithm algorithm)
{
	switch (algorithm) {
#define X(symbol, name, key)                                                                       \
	case symbol: return key;
		DKIM_ALGORITHMS(X)
#undef X
	}
	assert(!"an algorithm");
	return "";
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

bool dkim_selector_is_valid(const char *text, size_t n)
{
	size_t n_label = 0;

	if (n == 0 || n >= DKIM_SELECTOR_MAX)
		return false;
	for (size_t i = 0; i <= n; i++) {
		if (i == n || text[i] == '.') {
			if (n_label == 0 || n_label > 63 || !is_letter_or_digit(text[i - 1]))
				return false;
			n_label = 0;
		} else if (is_letter_or_digit(text[i]) || (text[i] == '-' && n_label > 0)) {
			n_label++;
		} else {
			return false;
		}
	}
	return true;
}
