/*
 * Which accounts may send as an address, and by which keys their mail would be sealed. Pure: what the
 * configuration says.
 */
#pragma once

#include <stddef.h>

#include "config/config.h"
#include "relay/base/outcome.h"
#include "smtp/address.h"

struct grant {
	const struct config_account **accounts; /* those it belongs to, in MAIL FROM and in From: */
	size_t n_accounts;
	const struct config_account *strictest; /* of those, the one with the highest tls-floor */
	const struct config_domain *domain;     /* whose keys would sign; NULL: none */
	struct outcome refusal; /* ok if some account may; otherwise why nobody may */
};

/* sender may be null (""). grant_finish() it; the configuration outlives it. */
void grant_find(
    const struct config *config, const struct smtp_address *sender, struct grant *grant);
void grant_finish(struct grant *grant);
