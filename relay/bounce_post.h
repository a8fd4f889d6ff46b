/*
 * A notification made ready to leave: its text (relay/bounce.h), its seal, its bytes in a segment of
 * the spool; what is left is to commit it, in one transaction with what it reports. Lives in the
 * queue role.
 *
 * It holds the header of what it is about: so a message with REQUIRETLS has a notification with
 * REQUIRETLS (RFC 8689 5), which waits and fails like any other where the way back cannot promise
 * as much. The redacted one to the postmaster that the RFC allows then is not sent.
 */
#pragma once

#include "relay/bounce.h"
#include "relay/post_office.h"

/*
 * bounce_is_due(original) was asked before. Copies what it needs. done is called once, from the
 * loop, never from inside.
 */
struct letter *bounce_post_start(struct post_office *office, const struct message *original,
    const struct bounce_recipient *recipients, size_t n_recipients, letter_done *done, void *arg);
