/*
 * An address of mail in a canonical form, whether it came in the envelope (smtp/path.h) or in a field
 * (smtp/mailbox.h): whoever compares addresses need not know a grammar.
 */
#pragma once

#include <stdbool.h>

#include "relay/base/domain.h"

enum { SMTP_LOCAL_MAX = 65, SMTP_ADDRESS_MAX = 321 }; /* 64 + "@" + 255, RFC 5321 4.5.3.1 */

struct smtp_address {
	char text[SMTP_ADDRESS_MAX]; /* "local@domain" fit for a command; "" for <> */
	char local[SMTP_LOCAL_MAX];  /* unquoted */
	char domain[DOMAIN_MAX];     /* canonical; "" for <> */
};

/*
 * Writes text from local and domain: the local part is quoted only where it must be, so that one
 * mailbox is always written in one way, and never longer than it came.
 */
void smtp_address_write(struct smtp_address *address);

/* A local part that needs no quotes: RFC 5321 4.1.2 Dot-string. */
bool smtp_is_dot_string(const char *local);

/* RFC 5322 3.2.3 atext, in ASCII. */
bool smtp_is_atext(char c);
