#include "relay/evidence.h"

#include <stdio.h>

static void print_match(const struct tls_evidence *shown, char *text, size_t room);

void evidence_print(const struct plan_host *host, const struct tls_evidence *shown,
    const char *instead, char text[EVIDENCE_MAX])
{
	const char *level = tls_level_name(host->tls.level);
	const char *demand = tls_demand_name(host->tls.demand);
	char match[200];

	if (shown == NULL) {
		snprintf(text, EVIDENCE_MAX, "%s, level %s by %s, %s", instead, level, demand,
		    host->name);
		return;
	}
	print_match(shown, match, sizeof match);
	snprintf(text, EVIDENCE_MAX, "%s %s, level %s by %s, %s, %s", shown->protocol,
	    shown->cipher, level, demand, match, host->name);
}

static void print_match(const struct tls_evidence *shown, char *text, size_t room)
{
	char proof[160];

	if (shown->proof == TLS_PROOF_NONE) {
		snprintf(text, room, "%s certificate%s%s", tls_trust_name(shown->trust),
		    shown->why_untrusted[0] != '\0' ? ": " : "", shown->why_untrusted);
		return;
	}
	tls_evidence_print_proof(shown, proof, sizeof proof);
	snprintf(text, room, "matched %s", proof);
}
