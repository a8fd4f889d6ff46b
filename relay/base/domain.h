/*
 * Domain names as mail compares them: A-labels, lower case, no trailing dot (RFC 5890, RFC 5321
 * 2.3.5). Every comparison of domains in Zegel is a strcmp() of two names made here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { DOMAIN_MAX = 254 }; /* 253 letters and the NUL */

/*
 * The A-label form of a domain written in ASCII or UTF-8 (IDNA 2008, UTS 46 non-transitional), at
 * least one label. False for anything that is not a host name: empty or overlong labels, bad
 * punycode, letters that IDNA forbids, a literal, more than 253 letters, dots other than '.'.
 */
bool domain_canonical(const char *text, size_t n, char domain[DOMAIN_MAX]);

/*
 * The same for a name that an operator wrote: with a final dot too, as in DNS; and no address, since no
 * top-level domain is a number (RFC 1123 2.1).
 */
bool domain_written(const char *text, char domain[DOMAIN_MAX]);

/* Both canonical: is inner the same as or below outer? */
bool domain_is_within(const char *inner, const char *outer);

/* "*.mail.example" matches one label in place of the star; without a star it is equality. */
bool domain_matches(const char *pattern, const char *domain);
