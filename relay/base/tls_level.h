/*
 * How much TLS a delivery must show, in the words administrators know from Postfix, weakest first,
 * and who can demand it. The order of the enum is the order of strictness of what an operator may
 * write; "covers" is decided in tls/, not by comparing numbers.
 */
#pragma once

#include <stdbool.h>

/* X(symbol, word in configuration and logs) */
#define TLS_LEVELS(X)                                                                              \
	X(TLS_NONE, "none")       /* no STARTTLS even if offered: only by operator's order */      \
	X(TLS_MAY, "may")         /* encrypt if offered */                                         \
	X(TLS_ENCRYPT, "encrypt") /* encrypted or not at all; anybody's certificate */             \
	X(TLS_VERIFY, "verify")   /* a trusted CA and the MX host's name */                        \
	X(TLS_SECURE, "secure")   /* a trusted CA and the names the operator wrote */              \
	X(TLS_FINGERPRINT, "fingerprint") /* one of the certificates the operator wrote */         \
	X(TLS_DANE, "dane")               /* usable TLSA records decide; without any, as "may" */  \
	X(TLS_DANE_ONLY, "dane-only")     /* usable TLSA records or not at all */                  \
	X(TLS_MTA_STS, "mta-sts")         /* RFC 8461: as verify; never written by an operator */

enum tls_level {
#define X(symbol, word) symbol,
	TLS_LEVELS(X)
#undef X
};

/* X(symbol, word, the same in a sentence): by whose demand */
#define TLS_DEMANDS(X)                                                                             \
	X(DEMAND_DEFAULT, "default", "the default")                                                \
	X(DEMAND_PARTNER, "partner", "partner rule")                                               \
	/* of a partner rule, until its end */                                                     \
	X(DEMAND_EXCEPTION, "exception", "partner's exception")                                    \
	X(DEMAND_ROUTE, "route", "route") /* the operator's own next hop */                        \
	X(DEMAND_ACCOUNT, "account", "tls-floor of the account")                                   \
	X(DEMAND_REQUIRETLS, "requiretls", "REQUIRETLS")                                           \
	/* RFC 8689 3: the sender waives DANE, MTA-STS */                                          \
	X(DEMAND_TLS_OPTIONAL, "tls-required-no", "TLS-Required: No")                              \
	X(DEMAND_DANE, "dane", "TLSA records")                                                     \
	X(DEMAND_MTA_STS, "mta-sts", "MTA-STS policy")

enum tls_demand {
#define X(symbol, word, words) symbol,
	TLS_DEMANDS(X)
#undef X
};

const char *tls_level_name(enum tls_level level);
const char *tls_demand_name(enum tls_demand demand);

/* For a sentence: "required by partner rule". */
const char *tls_demand_words(enum tls_demand demand);

/* false if the word is none of ours. */
bool tls_level_parse(const char *word, enum tls_level *level);
bool tls_demand_parse(const char *word, enum tls_demand *demand);
