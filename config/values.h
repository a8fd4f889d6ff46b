/*
 * The forms a value may have. Each says false if the text is none of its form and leaves the result
 * alone; the words for the operator are with the caller.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* 90, 90s, 5m, 1h, 5d, 1w: seconds */
bool value_parse_seconds(const char *text, uint64_t *seconds);

/* 512, 100k, 25M, 2G: bytes, in steps of 1024 */
bool value_parse_size(const char *text, uint64_t *bytes);

/* 2026-12-01, 2026-12-01T18:00Z, 2026-12-01T18:00:30Z: seconds since 1970, if there is such a day */
bool value_parse_date(const char *text, int64_t *seconds);

/* on off yes no true false */
bool value_parse_switch(const char *text, bool *on);

/* 300/hour, 5/minute, 1/second, 20000/day: a whole number an hour, rounded up */
bool value_parse_rate(const char *text, uint32_t *per_hour);

/* A numeric IPv4 or IPv6 address, without brackets or zone, in its usual form. */
bool value_parse_address(const char *text, char address[INET6_ADDRSTRLEN]);

enum { VALUE_SERVER_MAX = INET6_ADDRSTRLEN + sizeof "@65535" };

/* "address" or "address@port", the port 53 if not written: always as "address@port". */
bool value_parse_server(const char *text, char server[VALUE_SERVER_MAX]);

/* "local@domain" or "@domain": allocated, the domain canonical, the local part as written. */
char *value_parse_sender(const char *text);

/* "host.name" or "*.name": allocated and canonical, NULL if it is neither. */
char *value_parse_pattern(const char *text);

/* What may name a DKIM key and its file: dotted labels of letters, digits and inner hyphens. */
bool value_is_selector(const char *text);

/* What may be a login: printable ASCII without space, ':' and '"', at most 255 letters. */
bool value_is_login(const char *text);

/* What may be a login of ours elsewhere: as above, but any printable letter, and '#' not first. */
bool value_is_route_login(const char *text);
