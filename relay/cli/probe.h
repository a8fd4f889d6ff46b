/*
 * What one address of a host shows who comes to deliver: up to the end of the handshake, and then
 * good-bye. The handshake demands nobody in particular, so that also a server that would be refused
 * shows its certificate; only then is it held against what the plan requires, by the verifier that
 * deliveries use. What is only watched is judged by the same connection, unless it would ask for another
 * server name (SNI) or, where the plan has no TLS, for TLS at all: then by one of its own. Sends no mail.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "relay/base/outcome.h"
#include "relay/net/loop.h"
#include "relay/plan.h"
#include "tls/context.h"
#include "tls/evidence.h"

enum { PROBE_WATCHES_MAX = PLAN_WATCHES_MAX + 1 };

struct probe_order {
	struct loop *loop;
	const struct config *config;
	struct tls_context *context;
	const struct plan_host *host;
	size_t address;                   /* which of the host's */
	const struct plan_watch *watches; /* judged too, and not enforced */
	size_t n_watches;                 /* at most PROBE_WATCHES_MAX */
};

struct probe_finding {
	char peer[OUTCOME_WHO_MAX]; /* "mx.example[192.0.2.1]:25" */
	bool is_reached;            /* it answered; otherwise the verdict says why it did not */
	struct outcome verdict;     /* ok: a delivery would go on */
	struct outcome
	    trouble;    /* of TLS, where a delivery goes on in plaintext because of it; ok */
	bool is_secure; /* there was a handshake, and evidence is what was shown in it */
	struct tls_evidence evidence;
	struct outcome watches[PROBE_WATCHES_MAX]; /* what each of them says; if reached */
	bool *matches; /* for each of the host's TLSA records: would it alone suffice? */
};

/* Runs the loop until it is done. Call probe_finish(). */
void probe_address(const struct probe_order *order, struct probe_finding *finding);
void probe_finish(struct probe_finding *finding);
