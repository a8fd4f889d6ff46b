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

#include "config/config.h"
#include "relay/base/outcome.h"
#include "relay/bounce.h"
#include "relay/message.h"
#include "relay/shelf.h"
#include "relay/sign.h"
#include "relay/spool.h"

struct post_office;
struct bounce_post;

/* Owns none of them. */
struct post_office *post_office_create(
    const struct config *config, struct spool *spool, struct signer *signer);

/* Before the spool is closed. */
void post_office_destroy(struct post_office **office);

/*
 * bounce is the message to commit, valid during the call; NULL with why (the keeper is away, the
 * disk is full): to be tried again.
 */
typedef void bounce_post_done(void *arg, const struct outcome *why, const struct message *bounce);

/*
 * bounce_is_due(original) was asked before. Copies what it needs. done is called once, from the
 * loop, never from inside; the post is gone then.
 */
struct bounce_post *bounce_post_start(struct post_office *office, const struct message *original,
    const struct bounce_recipient *recipients, size_t n_recipients, bounce_post_done *done,
    void *arg);

/* No callback. Accepts NULL. */
void bounce_post_cancel(struct bounce_post **post);

/* The segment was not good for the commit: the next goes to another. */
void post_office_drop_segment(struct post_office *office);
