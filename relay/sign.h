/*
 * Seals a header block with every key of its domain, or says why it can't. Knows which keys the
 * keeper holds (it tells when it comes), never sees one. No aligned signature, no mail: if a single
 * configured key is missing the answer is a deferral, not a weaker seal.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/buffer.h"
#include "relay/base/outcome.h"
#include "relay/ipc/asker.h"
#include "relay/net/loop.h"

struct signer;

/* Listens to the asker of the keepers from now on; owns neither. */
struct signer *signer_create(const struct config *config, struct asker *keeper);
void signer_destroy(struct signer **signer);

/* The keepers have told their keys. */
bool signer_is_ready(const struct signer *signer);

/* Called whenever a keeper has told its keys. */
void signer_on_keys(struct signer *signer, loop_call *call, void *arg);

/*
 * fields: the DKIM-Signature fields, CRLF at their ends, to be put on top of the header block; valid
 * during the call, NULL unless outcome is ok. Otherwise 451 4.7.5 [no-key] or [keeper-unavailable].
 */
typedef void sign_done(void *arg, const struct outcome *outcome, const char *fields);

struct sealing;

/* domain is that of From:, canonical; d= is the same (RFC 7489 3.1.1, strict alignment). header is
 * not kept. done is called once, from the loop, never from inside; the sealing is gone then. */
struct sealing *sign_start(struct signer *signer, const char *domain, const uint8_t *body_hash,
    struct slice header, sign_done *done, void *arg);

/* No callback any more. Accepts NULL. */
void sign_cancel(struct sealing **sealing);
