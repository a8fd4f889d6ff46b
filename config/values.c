/*
 * Each form is parsed whole and strictly: what is nearly right is not guessed at.
 */
#include "config/values.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/base/number.h"

enum {
	LOGIN_MAX = 255,
	LOCAL_MAX = 64,     /* RFC 5321 4.5.3.1.1 */
	SELECTOR_MAX = 200, /* with ".pem" it is the name of a file */
	NUMBER_MAX = 1 << 30,
};

struct unit {
	const char *name;
	uint64_t factor;
};

static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *number);
static bool has_form(const char *text, const char *form);

bool value_parse_seconds(const char *text, uint64_t *seconds)
{
	static const struct unit units[] = { { "", 1 }, { "s", 1 }, { "m", 60 }, { "h", 3600 },
		{ "d", 86400 }, { "w", 7 * 86400 }, { NULL, 0 } };

	return parse_with_unit(text, units, seconds);
}

bool value_parse_size(const char *text, uint64_t *bytes)
{
	static const struct unit units[] = { { "", 1 }, { "k", 1 << 10 }, { "K", 1 << 10 },
		{ "M", 1 << 20 }, { "G", 1 << 30 }, { NULL, 0 } };

	return parse_with_unit(text, units, bytes);
}

static bool parse_with_unit(const char *text, const struct unit *units, uint64_t *number)
{
	size_t digits = strspn(text, "0123456789");
	uint64_t n;

	if (!number_parse(text, digits, NUMBER_MAX, &n))
		return false;
	for (const struct unit *u = units; u->name != NULL; u++) {
		if (strcmp(u->name, text + digits) == 0) {
			*number = n * u->factor;
			return true;
		}
	}
	return false;
}

/* A day that is none, as 30 February, comes back from timegm() as another. */
bool value_parse_date(const char *text, int64_t *seconds)
{
	static const char *const forms[] = { "dddd-dd-dd", "dddd-dd-ddTdd:ddZ",
		"dddd-dd-ddTdd:dd:ddZ" };
	struct tm written = { 0 }, real;
	int n = 0;

	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
		n |= has_form(text, forms[i]);
	if (n == 0)
		return false;
	sscanf(text, "%4d-%2d-%2dT%2d:%2d:%2d", &written.tm_year, &written.tm_mon, &written.tm_mday,
	    &written.tm_hour, &written.tm_min, &written.tm_sec);
	if (written.tm_year < 1970)
		return false;
	written.tm_year -= 1900;
	written.tm_mon -= 1;
	real = written;
	*seconds = timegm(&real);
	return real.tm_mon == written.tm_mon && real.tm_mday == written.tm_mday &&
	       real.tm_hour == written.tm_hour && real.tm_min == written.tm_min &&
	       real.tm_sec == written.tm_sec;
}

static bool has_form(const char *text, const char *form)
{
	while (*form != '\0' && (*form == 'd' ? isdigit((unsigned char)*text) : *form == *text)) {
		form++;
		text++;
	}
	return *form == '\0' && *text == '\0';
}

bool value_parse_switch(const char *text, bool *on)
{
	static const char *const words[] = { "on", "yes", "true", "off", "no", "false" };

	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		if (strcmp(text, words[i]) == 0) {
			*on = i < 3;
			return true;
		}
	}
	return false;
}

bool value_parse_rate(const char *text, uint32_t *per_hour)
{
	static const struct unit units[] = { { "/second", 3600 * 24 }, { "/minute", 60 * 24 },
		{ "/hour", 24 }, { "/day", 1 }, { NULL, 0 } };
	uint64_t per_day;

	if (!parse_with_unit(text, units, &per_day) || per_day == 0 || per_day / 24 >= UINT32_MAX)
		return false;
	*per_hour = (uint32_t)((per_day + 23) / 24);
	return true;
}

bool value_parse_address(const char *text, char address[INET6_ADDRSTRLEN])
{
	struct in6_addr bytes;
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;

	return inet_pton(family, text, &bytes) == 1 &&
	       inet_ntop(family, &bytes, address, INET6_ADDRSTRLEN) != NULL;
}

bool value_parse_server(const char *text, char server[VALUE_SERVER_MAX])
{
	const char *at = strchr(text, '@');
	char *host = at == NULL ? mem_copy_text(text) : mem_copy(text, (size_t)(at - text));
	char address[INET6_ADDRSTRLEN];
	uint64_t port = 53;
	bool good =
	    value_parse_address(host, address) &&
	    (at == NULL || (number_parse(at + 1, strlen(at + 1), 65535, &port) && port > 0));

	if (good)
		snprintf(server, VALUE_SERVER_MAX, "%s@%u", address, (unsigned)port);
	free(host);
	return good;
}

/* The quoted local parts that RFC 5321 also knows are spelled in more than one way: not here. */
char *value_parse_sender(const char *text)
{
	const char *at = strrchr(text, '@');
	size_t n = at == NULL ? 0 : (size_t)(at - text);
	char domain[DOMAIN_MAX];

	if (at == NULL || n > LOCAL_MAX || !domain_written(at + 1, domain))
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (text[i] <= ' ' || text[i] > '~' || strchr("()<>[]:;@\\,\"", text[i]) != NULL)
			return NULL;
	}
	if (n > 0 && (text[0] == '.' || text[n - 1] == '.'))
		return NULL;
	return mem_print("%.*s@%s", (int)n, text, domain);
}

char *value_parse_pattern(const char *text)
{
	bool star = strncmp(text, "*.", 2) == 0;
	const char *name = text + (star ? 2 : 0);
	char domain[DOMAIN_MAX];

	if (!domain_written(name, domain))
		return NULL;
	return mem_print("%s%s", star ? "*." : "", domain);
}

/* It becomes part of a path too: no '/', and no empty label, so no "..". */
bool value_is_selector(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > SELECTOR_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		bool inner = i > 0 && i + 1 < n && text[i - 1] != '.' && text[i + 1] != '.';

		if (!isalnum((unsigned char)text[i]) && !(inner && strchr("-.", text[i]) != NULL))
			return false;
	}
	return true;
}

bool value_is_login(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > LOGIN_MAX)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] <= ' ' || text[i] > '~' || strchr(":\"\\", text[i]) != NULL)
			return false;
	}
	return true;
}

bool value_is_route_login(const char *text)
{
	size_t n = strlen(text);

	if (n == 0 || n > LOGIN_MAX || text[0] == '#')
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	}
	return true;
}
