#include "relay/base/tls_level.h"

#include <stddef.h>
#include <string.h>

static const char *const level_names[] = {
#define X(symbol, word) [symbol] = word,
	TLS_LEVELS(X)
#undef X
};

static const char *const demand_names[] = {
#define X(symbol, word, words) [symbol] = word,
	TLS_DEMANDS(X)
#undef X
};

static const char *const demand_words[] = {
#define X(symbol, word, words) [symbol] = words,
	TLS_DEMANDS(X)
#undef X
};

const char *tls_level_name(enum tls_level level)
{
	return level_names[level];
}

const char *tls_demand_name(enum tls_demand demand)
{
	return demand_names[demand];
}

const char *tls_demand_words(enum tls_demand demand)
{
	return demand_words[demand];
}

bool tls_level_parse(const char *word, enum tls_level *level)
{
	for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
		if (strcmp(word, level_names[i]) == 0) {
			*level = (enum tls_level)i;
			return true;
		}
	}
	return false;
}

bool tls_demand_parse(const char *word, enum tls_demand *demand)
{
	for (size_t i = 0; i < sizeof demand_names / sizeof demand_names[0]; i++) {
		if (strcmp(word, demand_names[i]) == 0) {
			*demand = (enum tls_demand)i;
			return true;
		}
	}
	return false;
}
