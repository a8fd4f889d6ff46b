/*
 * The address of a web page that somebody else wrote, taken apart (RFC 3986): https alone, a name for
 * a host, and nothing that could smuggle something into the request.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/domain.h"

enum { URL_PATH_MAX = 2000 };

struct url {
	char host[DOMAIN_MAX]; /* canonical; never an address */
	uint16_t port;
	char path[URL_PATH_MAX + 1]; /* begins with a slash; with the query */
};

/* False with a reason in why, a static text. */
bool url_read(const char *text, size_t n, struct url *url, const char **why);
