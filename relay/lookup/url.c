#include "relay/lookup/url.h"

#include <string.h>
#include <strings.h>

#include "relay/base/number.h"

static bool read_host(const char *text, size_t n, struct url *url, const char **why);
static bool read_port(const char *text, size_t n, struct url *url);
static bool read_path(const char *text, size_t n, struct url *url);

bool url_read(const char *text, size_t n, struct url *url, const char **why)
{
	static const char scheme[] = "https://";
	const size_t n_scheme = sizeof scheme - 1;
	size_t end = n_scheme;

	*url = (struct url){ .port = 443 };
	*why = "it does not begin with https://";
	if (n < n_scheme || strncasecmp(text, scheme, n_scheme) != 0)
		return false;
	while (end < n && text[end] != '/' && text[end] != '?' && text[end] != '#')
		end++;
	if (!read_host(text + n_scheme, end - n_scheme, url, why))
		return false;
	*why = "its path is too long, or holds what must be escaped";
	return read_path(text + end, n - end, url);
}

/*
 * No user before it, no address in place of it, also not one that only libcurl would read as such
 * (0x7f.1): names alone are looked up and verified. No top-level domain begins with a digit.
 */
static bool read_host(const char *text, size_t n, struct url *url, const char **why)
{
	const char *colon = memchr(text, ':', n);
	size_t n_host = colon != NULL ? (size_t)(colon - text) : n;
	const char *last;

	*why = "its host is no name";
	if (!domain_canonical(text, n_host, url->host))
		return false;
	last = strrchr(url->host, '.');
	last = last != NULL ? last + 1 : url->host;
	if (last[0] >= '0' && last[0] <= '9')
		return false;
	*why = "its port is none";
	return colon == NULL || read_port(colon + 1, n - n_host - 1, url);
}

/* RFC 3986 3.2.3: it may be empty. */
static bool read_port(const char *text, size_t n, struct url *url)
{
	uint64_t port;

	if (n == 0)
		return true;
	if (!number_parse(text, n, UINT16_MAX, &port) || port == 0)
		return false;
	url->port = (uint16_t)port;
	return true;
}

/* What stands behind "#" is for people. */
static bool read_path(const char *text, size_t n, struct url *url)
{
	size_t at = 0;

	if (n == 0 || text[0] != '/')
		url->path[at++] = '/';
	for (size_t i = 0; i < n && text[i] != '#'; i++) {
		if (at == URL_PATH_MAX || text[i] <= ' ' || text[i] > '~' ||
		    strchr("\"<>\\^`{|}", text[i]) != NULL)
			return false;
		url->path[at++] = text[i];
	}
	url->path[at] = '\0';
	return true;
}
