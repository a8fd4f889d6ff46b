/*
 * Does DNSSEC work here? Asks, at the start and then every hour, for a name that is signed, one
 * whose signature is broken and one that is not signed (config->dns_check), and keeps the verdict.
 * Without validation DANE would be lost in silence, or everything would look forged: both are said
 * aloud, and what follows is the operator's choice (dns { when-impaired }).
 *
 * Two kinds of bad answers are not the same. That what is signed comes back as unsigned, or what is broken
 * is believed, nobody on the way can bring about: this resolver does not validate. That signatures fail
 * anybody on the way can, by tampering with them. Where they have always failed it is a forwarder that
 * strips them; where DNSSEC has worked before it may be whoever wants to see DANE given up. So there
 * nothing is given up for it at once: the state is "broken", answers are validated as before, and what is
 * bogus waits, for as long as dns { broken-patience } says; then DANE is impaired. Where the operator has
 * written when-impaired = opportunistic it is so without waiting.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/lookup/resolver.h"
#include "relay/net/loop.h"

struct contract;

/* X(symbol, word) */
#define CONTRACT_STATES(X)                                                                         \
	X(CONTRACT_UNKNOWN, "unknown")   /* not asked yet, or nobody answers */                    \
	X(CONTRACT_KEPT, "validates")    /* signed is secure, broken is bogus */                   \
	X(CONTRACT_IMPAIRED, "impaired") /* signed is not secure, or broken is believed: thrice */ \
	X(CONTRACT_BROKEN, "broken")   /* signatures fail, where they were good before: thrice */  \
	X(CONTRACT_OFF, "not checked") /* the operator gave no names */

enum contract_state {
#define X(symbol, word) symbol,
	CONTRACT_STATES(X)
#undef X
};

const char *contract_state_name(enum contract_state state);

struct contract_verdict {
	enum contract_state state;
	char text[400];             /* what was asked, what came, what to do */
	int64_t since_s, checked_s; /* wall clock; 0: never */
};

typedef void contract_changed(const struct contract_verdict *verdict, void *arg);

/*
 * Owns none of them. has_worked: DNSSEC has been seen to work here before. changed is called from the
 * loop after every check, also without a change.
 */
struct contract *contract_create(struct loop *loop, const struct config *config,
    struct resolver *resolver, bool has_worked, contract_changed *changed, void *arg);
void contract_destroy(struct contract **contract);
const struct contract_verdict *contract_verdict(const struct contract *contract);
