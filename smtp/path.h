/*
 * Addresses and paths of the envelope (RFC 5321 4.1.2), made canonical so that whoever compares
 * them need not know the grammar: the domain as A-labels in lower case, the local part unquoted
 * and quoted again only where it must be.
 *
 * Stricter than the RFC where a lenient reading lets one address pass for another: source routes,
 * a dot behind the domain, address literals and empty local parts are refused. Recipients need a
 * domain, postmaster too: no mailbox is here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "smtp/address.h"

enum smtp_path_kind {
	SMTP_PATH_REVERSE, /* of MAIL: <> is the null path */
	SMTP_PATH_FORWARD, /* of RCPT */
};

/*
 * A path in angle brackets at the start of text. True with *n_used, the bytes up to and with '>'.
 * False with what to answer in *why: 501 5.1.7 (of a sender) or 5.1.3 (of a recipient) for bad
 * syntax, 553 with the same for a source route, a literal; 550 (553) 5.6.7 for a local part in
 * UTF-8, which needs SMTPUTF8. Names: address-syntax, address-literal, source-route,
 * address-not-ascii.
 */
bool smtp_path_parse(const char *text, size_t n, enum smtp_path_kind kind,
    struct smtp_address *address, size_t *n_used, struct outcome *why);

/*
 * May the text stand between the angle brackets? Nothing in it ends the line, nor the path. Less strict
 * than what is parsed: it is asked about addresses that were parsed long before, perhaps by others.
 */
bool smtp_path_can_hold(const char *text);
