/*
 * The addresses in a From:, Sender: or Resent-* field, RFC 5322 3.4, read strictly. Who may send
 * depends on them, so whatever other software might read differently is refused, never guessed:
 * groups, source routes, domain literals, white space or comments inside an address, encoded words
 * where an address stands, empty list elements, anything after an address.
 *
 * Understood: display names (atoms, quoted strings, encoded words, and the dots that RFC 5322 calls
 * obsolete but everybody writes, as in "J. Doe"), nested comments before and after an address,
 * folding between its parts, quoted local parts, internationalised domains.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"
#include "smtp/address.h"

enum {
	MAILBOX_LIST_MAX = 100,   /* addresses in one field */
	MAILBOX_COMMENT_DEPTH = 8 /* of comments in comments */
};

struct mailbox_list {
	struct smtp_address *addresses; /* text quotes the local part only where it must be */
	size_t n_addresses;             /* at least one */
};

/*
 * value as header.h gives it; field is its name for the texts. On refusal false, *why filled, and
 * nothing to finish. The stable names, 554 5.6.0 unless said:
 *   mailbox-empty, mailbox-group, mailbox-route, mailbox-literal, mailbox-encoded-word,
 *   mailbox-comment, mailbox-domain, mailbox-local, mailbox-local-8bit (550 5.6.7),
 *   mailbox-too-many, mailbox-control, mailbox-syntax
 */
bool mailbox_parse(
    struct mailbox_list *list, const char *field, struct slice value, struct outcome *why);
void mailbox_list_finish(struct mailbox_list *list);
