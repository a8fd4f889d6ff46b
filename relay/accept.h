/*
 * One message from 354 to 250: gathers the content as it streams by, then takes it through policy,
 * compose, sign and spool. Small messages stay in memory until then; past ACCEPT_MEMORY_MAX the body
 * goes to a segment of its own while it arrives, so memory stays flat whatever the size.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "relay/base/queue_id.h"
#include "relay/submit.h"

struct accept;

enum {
	ACCEPT_MEMORY_MAX = 256 * 1024,
	ACCEPT_RECIPIENTS_BYTES_MAX = 900000, /* of all recipients, as accept_weight() counts */
};

struct accept_facts {
	const struct config_account *account;
	const char *sender;      /* envelope */
	const char *client_name; /* of EHLO */
	const char *tls_version, *tls_cipher;
	uint64_t declared_size;
	bool requires_tls; /* MAIL FROM had REQUIRETLS */
};

struct accept *accept_create(struct submit_house *house, const struct accept_facts *facts);

/* Forgets the message; a commit under way goes on in the queue, whose answer nobody waits for. */
void accept_destroy(struct accept **accept);

const char *accept_id(const struct accept *accept);

/* What one recipient weighs on the way to the queue, which takes a message's envelope at once. */
size_t accept_weight(const char *recipient);

enum accept_content {
	ACCEPT_GOES_ON,
	ACCEPT_WAITS,  /* give no more before ready was called */
	ACCEPT_REFUSED /* *why is filled; give no more at all */
};

/* ready: the content may go on (or is refused now: ask again with 0 bytes). */
enum accept_content accept_take(struct accept *accept, const char *bytes, size_t n,
    struct outcome *why, loop_call *ready, void *arg);

/*
 * The content is whole. done is called once, from the loop: ok is "250 2.0.0 Ok: queued as ID", said
 * only when body, header and envelope are on stable storage. The accept is still to be destroyed.
 */
typedef void accept_done(void *arg, const struct outcome *outcome);
void accept_finish(struct accept *accept, const char *const *recipients, size_t n_recipients,
    accept_done *done, void *arg);
