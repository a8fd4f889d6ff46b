/*
 * What a partner rule pins (authorities, certificates, public keys) in the shape of TLSA records, so
 * that one verifier serves it and DANE.
 */
#pragma once

#include "config/config.h"
#include "tls/requirement.h"

/* Does a rule of that level name the trust itself, besides names? */
bool route_has_pins(const struct config_partner *partner, enum tls_level level);

/*
 * Makes the pins of a rule those of a requirement whose level is verify, secure or fingerprint. A rule
 * of verify or secure that pins nothing leaves it as it was: the system's authorities decide. Whoever
 * has one of the pinned keys or certificates need not bear a name (usage 3); authorities vouch for
 * names (usage 2).
 */
void route_pin(const struct config_partner *partner, struct tls_requirement *tls);
