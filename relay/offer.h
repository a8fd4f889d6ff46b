/*
 * Does what a server offers do for a message as it was sealed? Rewriting it would break the seal, so
 * what does not fit is not sent there.
 */
#pragma once

#include <stdbool.h>

#include "relay/connection.h"
#include "relay/message.h"
#include "relay/plan.h"

/* False with the refusal: 5.3.4 [size-exceeded], 5.6.3 [8bit-unsupported], 5.7.30 [requiretls-missing]. */
bool offer_suits(const struct connection *c, const struct plan *plan, const struct message *message,
    struct outcome *refusal);

/*
 * Is REQUIRETLS said to it? Wherever the message has it and the server offers it under TLS; also to
 * a null return-path, which is not held back where nobody offers it (RFC 8689 5).
 */
bool offer_has_requiretls(const struct connection *c, const struct message *message);
