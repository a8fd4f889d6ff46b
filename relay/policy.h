/*
 * May this account say this? Pure functions: the answer depends on the arguments alone.
 *
 * An account owns the addresses written as its senders: "local@domain" is that one address,
 * "@domain" is every address of exactly that domain, not of its subdomains. Domains compare as
 * A-labels. Local parts compare without regard to ASCII case and after unquoting ("alice"@ is
 * alice@); nothing else is folded: alice+shop@ and a.lice@ are other addresses than alice@.
 */
#pragma once

#include <stdbool.h>

#include "relay/base/domain.h"
#include "relay/base/outcome.h"

struct config;
struct config_account;
struct header;
struct smtp_address;

/* Received fields that a message may already carry: more of them is a loop (RFC 5321 6.3). */
enum { POLICY_HOPS_MAX = 50 };

/*
 * The sender of MAIL FROM. *why is filled either way. Refusals:
 *   553 5.7.1 sender-null (only we send notifications), sender-not-owned
 */
bool policy_sender(
    const struct config_account *account, const struct smtp_address *sender, struct outcome *why);

/*
 * The header of the content: one From: field; every address of From:, Sender: and of each
 * Resent-From: and Resent-Sender: belongs to the account; all of From: is in one domain, whose key
 * will sign; no field twice that RFC 5322 3.6 or RFC 2045 allow once. Reply-To: is free.
 * *why is filled either way, from_domain only on success (canonical). Refusals:
 *   554 5.6.0 from-missing, from-duplicate, field-duplicate, sender-many, and those of mailbox.h
 *   554 5.4.6 too-many-hops
 *   550 5.7.1 from-not-owned, sender-field-not-owned, resent-not-owned, from-domains-differ,
 *             domain-not-configured
 */
bool policy_header(const struct config *config, const struct config_account *account,
    const struct header *header, struct outcome *why, char from_domain[DOMAIN_MAX]);
