/*
 * From a stream to a stream as safe as the plan demands, or the reason why it is not: the client's
 * handshake after STARTTLS was answered 220. Logs the connection in Postfix's words.
 */
#pragma once

#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/net/loop.h"
#include "relay/net/stream.h"
#include "tls/requirement.h"

struct secure;

/*
 * outcome is ok (and stream_evidence() tells what was shown) or a 4.7.x of tls/session.h or of
 * these, with the peer in who:
 *	starttls-early-input	the server talked in plaintext between its 220 and the handshake
 *	tls-timeout		the handshake did not end in time
 * The stream stays the caller's, who must stream_set_calls() again; after a refusal it is only good
 * to be destroyed.
 */
typedef void secure_done(const struct outcome *outcome, void *arg);

/*
 * peer as "mx.example[192.0.2.1]:25", copied; so is the requirement. done is called once, never from
 * inside; the secure is gone then.
 */
struct secure *secure_start(struct loop *loop, struct stream *stream, struct tls_context *context,
    const struct tls_requirement *requirement, const char *peer, int64_t timeout_ms,
    secure_done *done, void *arg);

/* done is not called; the stream must be destroyed after it. Accepts NULL. */
void secure_cancel(struct secure **secure);
