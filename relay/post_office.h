/*
 * Our own mail made ready to leave: sealed, its bytes in a segment of the spool; what is left is to
 * commit it, in one transaction with what it is about. Lives in the queue role.
 */
#pragma once

#include "config/config.h"
#include "relay/base/buffer.h"
#include "relay/base/outcome.h"
#include "relay/message.h"
#include "relay/shelf.h"
#include "relay/sign.h"
#include "relay/spool.h"

struct post_office;
struct letter;

/* Owns none of them. */
struct post_office *post_office_create(
    const struct config *config, struct spool *spool, struct signer *signer);

/* Before the spool is closed. */
void post_office_destroy(struct post_office **office);

const struct config *post_office_config(const struct post_office *office);
struct spool *post_office_spool(const struct post_office *office);

/* What is to be written before it is sent. */
struct letter_draft {
	char id[QUEUE_ID_MAX];                      /* its header may name it */
	const char *to;                             /* one address; from is <> */
	const char *from_domain;                    /* of From:, whose keys seal it */
	int64_t now_s, expires_s;                   /* wall clock */
	bool requires_tls, tls_optional, is_report; /* as in struct message */
	enum tls_level tls_floor;                   /* likewise */
	struct buffer header, body;                 /* taken over */
};

/*
 * letter is the message to commit, valid during the call; NULL with why (the keeper is away, the
 * disk is full): to be tried again.
 */
typedef void letter_done(void *arg, const struct outcome *why, const struct message *letter);

/* done is called once, from the loop, never from inside; the letter is gone then. */
struct letter *letter_start(
    struct post_office *office, const struct letter_draft *draft, letter_done *done, void *arg);

/* No callback. Accepts NULL. */
void letter_cancel(struct letter **letter);

/* The segment was not good for the commit: the next goes to another. */
void post_office_drop_segment(struct post_office *office);
