/*
 * DNS packets for tests, good and bad, put together byte by byte (RFC 1035 4.1).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

enum { PACKET_MAX = 65535 };

struct packet {
	uint8_t bytes[PACKET_MAX];
	size_t n;
};

enum { PACKET_ANSWER = 6, PACKET_AUTHORITY = 8 }; /* where the header counts a section */

/* A response with its question; rcode 0 to 15. */
void packet_start(struct packet *p, uint16_t id, unsigned rcode, const char *name, unsigned type);

/* A record in zone file words, as "a.test. 300 IN A 192.0.2.1". Sections in their order. */
void packet_add(struct packet *p, int section, const char *record);

/* A record whose rdata is hexadecimal. */
void packet_add_raw(struct packet *p, int section, const char *owner, unsigned type, uint32_t ttl_s,
    const char *hex);
