#include "relay/lookup/scope.h"

#include <stdbool.h>
#include <string.h>

struct network {
	uint8_t bytes[16];
	unsigned n_bits;
	enum address_scope scope;
};

/* What the registries of RFC 6890 say is not reachable for everybody; 0.0.0.0 is this machine. */
static const struct network ipv4[] = {
	{ { 0 }, 8, SCOPE_LOOPBACK },
	{ { 127 }, 8, SCOPE_LOOPBACK },
	{ { 10 }, 8, SCOPE_PRIVATE },        /* RFC 1918 */
	{ { 172, 16 }, 12, SCOPE_PRIVATE },  /* RFC 1918 */
	{ { 192, 168 }, 16, SCOPE_PRIVATE }, /* RFC 1918 */
	{ { 100, 64 }, 10, SCOPE_PRIVATE },  /* RFC 6598: behind a provider's NAT */
	{ { 192, 0, 0 }, 24, SCOPE_PRIVATE },
	{ { 198, 18 }, 15, SCOPE_PRIVATE }, /* RFC 2544 */
	{ { 169, 254 }, 16, SCOPE_NOBODY }, /* RFC 3927: where clouds keep their metadata */
	{ { 224 }, 4, SCOPE_NOBODY },
	{ { 240 }, 4, SCOPE_NOBODY },
};

static const struct network ipv6[] = {
	{ { [15] = 0 }, 128, SCOPE_LOOPBACK },
	{ { [15] = 1 }, 128, SCOPE_LOOPBACK },
	{ { 0xfc }, 7, SCOPE_PRIVATE },                       /* RFC 4193 */
	{ { 0xfe, 0xc0 }, 10, SCOPE_PRIVATE },                /* RFC 3879 */
	{ { 0, 0x64, 0xff, 0x9b, 0, 1 }, 48, SCOPE_PRIVATE }, /* RFC 8215 */
	{ { 0xfe, 0x80 }, 10, SCOPE_NOBODY },                 /* RFC 4291 2.5.6 */
	{ { 0xff }, 8, SCOPE_NOBODY },
};

/* An IPv4 address inside: behind so many bits, which are these. */
static const struct network clothes[] = {
	{ { [10] = 0xff, [11] = 0xff }, 96, 0 }, /* RFC 4291 2.5.5.2 */
	{ { 0 }, 96, 0 },                        /* RFC 4291 2.5.5.1 */
	{ { 0, 0x64, 0xff, 0x9b }, 96, 0 },      /* RFC 6052 2.1 */
	{ { 0x20, 0x02 }, 16, 0 },               /* RFC 3056 2 */
};

#define N(table) (sizeof(table) / sizeof(table)[0])

static enum address_scope find_scope(
    const struct network *networks, size_t n_networks, const uint8_t *bytes);
static bool is_within(const struct network *network, const uint8_t *bytes);

enum address_scope address_scope(const struct answer_address *address)
{
	const uint8_t *bytes = address->bytes;
	enum address_scope scope;

	if (address->family == 4)
		return find_scope(ipv4, N(ipv4), bytes);
	scope = find_scope(ipv6, N(ipv6), bytes);
	for (size_t i = 0; scope == SCOPE_GLOBAL && i < N(clothes); i++) {
		if (is_within(&clothes[i], bytes))
			return find_scope(ipv4, N(ipv4), bytes + clothes[i].n_bits / 8);
	}
	return scope;
}

static enum address_scope find_scope(
    const struct network *networks, size_t n_networks, const uint8_t *bytes)
{
	for (size_t i = 0; i < n_networks; i++) {
		if (is_within(&networks[i], bytes))
			return networks[i].scope;
	}
	return SCOPE_GLOBAL;
}

static bool is_within(const struct network *network, const uint8_t *bytes)
{
	size_t n = network->n_bits / 8;
	uint8_t rest = (uint8_t)(0xff00 >> network->n_bits % 8);

	return memcmp(network->bytes, bytes, n) == 0 &&
	       (rest == 0 || ((network->bytes[n] ^ bytes[n]) & rest) == 0);
}
