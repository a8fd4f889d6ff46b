/*
 * The part of route that says what TLS a host must show, and by whose demand. Asks nobody and keeps
 * nothing.
 */
#pragma once

#include "config/config.h"
#include "relay/lookup/facts.h"
#include "relay/plan.h"

/*
 * Fills the TLS part of a host (tls and what begins with tlsa_) from what the DNS says about it.
 * partner is the rule for the recipient domain, or NULL. What can't be met at all goes to
 * host->unusable, unless that holds something already.
 */
void route_require_tls(const struct config *config, const struct config_partner *partner,
    const struct facts *facts, const struct facts_host *facts_host, struct plan_host *host);
