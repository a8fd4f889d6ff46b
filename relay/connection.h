/*
 * A connection to a receiver on which mail may go: what the server offers, what it has shown, how
 * often it was used. Made on the approach, used by an attempt, kept by the pool for the next one. One
 * owner at a time, who frees it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/base/domain.h"
#include "relay/base/outcome.h"
#include "relay/net/stream.h"
#include "relay/plan.h"
#include "smtp/capability.h"
#include "tls/evidence.h"

struct connection {
	struct stream *stream; /* its calls are whose turn it is */
	char host[DOMAIN_MAX]; /* of the plan it was made for */
	union plan_address address;
	char peer[OUTCOME_WHO_MAX]; /* "mx.example[192.0.2.1]:25" */
	char who[OUTCOME_WHO_MAX];  /* the same without port */
	char login[256];            /* whose it is, at an operator's next hop; "" */
	struct smtp_capability can;
	bool is_secure; /* TLS */
	bool is_ready;  /* mail may go: greeted, as safe as demanded, logged in if need be */
	bool is_single; /* for this message alone: in plaintext by order, or since TLS failed */
	bool is_reused;
	bool left_open;    /* the transaction before was: RSET comes first */
	uint64_t n_mails;  /* transactions begun */
	int64_t opened_ms; /* monotonic */

	/* The requirement that it is known to meet, what it has shown to that end, and how long that is
	 * worth something. */
	struct tls_requirement met;
	struct tls_evidence shown; /* empty in plaintext; of a handshake that did not do too */
	int64_t met_until_ms;

	/* The one it was last found not to meet: what it has shown will not change. */
	struct tls_requirement unmet;
	bool has_unmet;
};

/* The stream is the connection's from now on. peer may end in ":port". */
struct connection *connection_create(struct stream *stream, const struct plan_host *host,
    const union plan_address *address, const char *peer);

/* Closes at once. Accepts NULL. */
void connection_destroy(struct connection **connection);

/* Its handshake was for this host, as this plan demands (or no TLS was demanded). */
void connection_meets(struct connection *c, const struct plan *plan, const struct plan_host *host);

/* What it has shown was not what was demanded, or the handshake failed: of that, shown tells. */
void connection_note_refusal(struct connection *c);

/*
 * Does what it has achieved cover what the plan requires of this host? To the same name and address,
 * for the same login, and with all that the plan asks of TLS, judged now unless it was judged for
 * the very same and that still holds. Then shown is what this plan's evidence is.
 */
bool connection_covers(
    struct connection *c, const struct plan *plan, const struct plan_host *host, size_t address);

/* NULL where nothing was shown, as in plaintext. */
const struct tls_evidence *connection_shown(const struct connection *c);

/* By the server's own limit (RFC 9422 MAILMAX): may another transaction begin? */
bool connection_takes_more(const struct connection *c);
