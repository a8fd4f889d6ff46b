#include "packet.h"

#include <assert.h>
#include <ldns/ldns.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/encode.h"

static void put(struct packet *p, const void *bytes, size_t n)
{
	assert(n <= sizeof p->bytes - p->n);
	memcpy(p->bytes + p->n, bytes, n);
	p->n += n;
}

static void put_u16(struct packet *p, unsigned value)
{
	put(p, (uint8_t[]){ (uint8_t)(value >> 8), (uint8_t)value }, 2);
}

static void put_name(struct packet *p, const char *name)
{
	while (*name != '\0') {
		size_t n = strcspn(name, ".");
		uint8_t length = (uint8_t)n;

		put(p, &length, 1);
		put(p, name, n);
		name += n + (name[n] == '.');
	}
	put(p, "", 1);
}

static void count(struct packet *p, int section)
{
	if (++p->bytes[section + 1] == 0)
		p->bytes[section]++;
}

void packet_start(struct packet *p, uint16_t id, unsigned rcode, const char *name, unsigned type)
{
	p->n = 0;
	put_u16(p, id);
	put_u16(p, 0x8580 | rcode); /* an answer, authoritative, recursion wanted and available */
	put(p, "\0\1\0\0\0\0\0\0", 8);
	put_name(p, name);
	put_u16(p, type);
	put_u16(p, LDNS_RR_CLASS_IN);
}

void packet_add(struct packet *p, int section, const char *record)
{
	ldns_rr *rr = NULL;
	uint8_t *wire = NULL;
	size_t n = 0;

	if (ldns_rr_new_frm_str(&rr, record, 300, NULL, NULL) != LDNS_STATUS_OK ||
	    ldns_rr2wire(&wire, rr,
		section == PACKET_ANSWER ? LDNS_SECTION_ANSWER : LDNS_SECTION_AUTHORITY,
		&n) != LDNS_STATUS_OK) {
		fprintf(stderr, "no record: %s\n", record);
		abort();
	}
	put(p, wire, n);
	count(p, section);
	free(wire);
	ldns_rr_free(rr);
}

void packet_add_raw(struct packet *p, int section, const char *owner, unsigned type, uint32_t ttl_s,
    const char *hex)
{
	uint8_t rdata[PACKET_MAX];
	size_t n = 0;

	if (!hex_decode(hex, strlen(hex), rdata, sizeof rdata, &n))
		abort();
	put_name(p, owner);
	put_u16(p, type);
	put_u16(p, LDNS_RR_CLASS_IN);
	put_u16(p, ttl_s >> 16);
	put_u16(p, ttl_s & 0xffff);
	put_u16(p, (unsigned)n);
	put(p, rdata, n);
	count(p, section);
}
