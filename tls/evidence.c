#include "tls/evidence.h"

#include <stdio.h>
#include <string.h>

void tls_evidence_print(
    const struct tls_evidence *e, const char *direction, const char *peer, char *text, size_t room)
{
	snprintf(text, room, "%s TLS connection established %s %s: %s with cipher %s (%d/%d bits)",
	    tls_trust_name(e->trust), direction, peer, e->protocol, e->cipher, e->bits, e->of_bits);
}

void tls_evidence_print_proof(const struct tls_evidence *e, char *text, size_t room)
{
	switch (e->proof) {
	case TLS_PROOF_NONE: snprintf(text, room, "none"); return;
	case TLS_PROOF_PKIX: snprintf(text, room, "pkix %s by %s", e->name, e->authority); return;
	case TLS_PROOF_PINNED_CA:
		snprintf(text, room, "pinned-ca %s by %s", e->name, e->authority);
		return;
	case TLS_PROOF_FINGERPRINT: snprintf(text, room, "fingerprint %s", e->fingerprint); return;
	case TLS_PROOF_PUBLIC_KEY:
		snprintf(text, room, "public-key %s", e->tlsa_text + strlen("3 1 1 "));
		return;
	case TLS_PROOF_DANE_TA:
		snprintf(text, room, "dane-ta %s %s", e->tlsa_text, e->name);
		return;
	case TLS_PROOF_DANE_EE: snprintf(text, room, "dane-ee %s", e->tlsa_text); return;
	}
}

const char *tls_trust_name(enum tls_trust trust)
{
	static const char *const names[] = {
#define X(symbol, word) [symbol] = word,
		TLS_TRUSTS(X)
#undef X
	};

	return names[trust];
}
