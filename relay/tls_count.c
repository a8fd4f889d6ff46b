#include "relay/tls_count.h"

const char *tls_policy_type_name(enum tls_policy_type type)
{
	switch (type) {
#define X(symbol, word)                                                                            \
	case symbol: return word;
		TLS_POLICY_TYPES(X)
#undef X
	}
	return "";
}

const char *tls_result_name(enum tls_result result)
{
	switch (result) {
#define X(symbol, word)                                                                            \
	case symbol: return word;
		TLS_RESULTS(X)
#undef X
	}
	return "";
}
