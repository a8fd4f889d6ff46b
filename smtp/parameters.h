/*
 * The ESMTP parameters behind the path of MAIL (RFC 5321 4.1.2). Those of RCPT are none: no
 * extension that has any is offered.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/outcome.h"

struct smtp_parameters {
	bool has_size, has_body, has_auth;
	bool has_requiretls; /* RFC 8689 2; may it be said here? the caller knows */
	uint64_t size;       /* SIZE=, RFC 1870; 0 if not said */
};

/*
 * text is what follows the path, spaces first. False with what to answer in *why: 501 5.5.4 for a
 * malformed or repeated parameter, 504 5.5.4 for BINARYMIME, 552 5.3.4 for a size past all
 * numbers, 555 5.5.4 for an unknown one. AUTH= is checked and ignored, as RFC 4954 5 lets a
 * server do that trusts nobody's word about who wrote a message, and so is BODY= (RFC 6152): what
 * the content is shows when it comes.
 */
bool smtp_parameters_parse_mail(
    const char *text, size_t n, struct smtp_parameters *parameters, struct outcome *why);
bool smtp_parameters_parse_rcpt(const char *text, size_t n, struct outcome *why);
