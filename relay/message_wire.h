/*
 * A message as bytes between intake, queue and delivery. What comes out was checked field by field:
 * ids are ids, counts are within their limits.
 */
#pragma once

#include <stdbool.h>

#include "relay/base/buffer.h"
#include "relay/message.h"

enum { MESSAGE_RECIPIENTS_MAX = 10000, MESSAGE_WIRE_MAX = 1000000 };

void message_encode(const struct message *m, struct buffer *out);

/* places (may be NULL): of each recipient in the whole message, for a job. */
void message_encode_job(const struct message *m, const uint32_t *places, struct buffer *out);

/* Allocates; message_finish() it. False, with nothing to finish, for what is none. */
bool message_decode(struct slice bytes, struct message *m);

/* The same for a job; *places is allocated. */
bool message_decode_job(struct slice bytes, struct message *m, uint32_t **places);
