/*
 * What a server must show before mail goes to it: made by the road from policy, read by the
 * handshake. Holds no OpenSSL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/tls_level.h"

/* RFC 6698 2.1. Data is owned by whoever owns the array. */
struct tlsa_record {
	uint8_t usage, selector, matching;
	uint8_t *data;
	size_t n_data;
};

struct tls_requirement {
	enum tls_level level;
	enum tls_demand demand; /* who asked for the level */

	/*
	 * Usable TLSA records, already filtered; or, with tlsa_pinned, the operator's pins in their
	 * shape (ca: 2 0 0, fingerprint: 3 0 1, public-key: 3 1 1), with level verify, secure or
	 * fingerprint: then they decide, and nothing else does. With level dane or dane-only and none
	 * here: if tlsa_unusable is set records were published but none is usable, and TLS is mandatory
	 * and unauthenticated (RFC 7672 2.2); otherwise dane means may, and dane-only cannot be met.
	 */
	struct tlsa_record *tlsa;
	size_t n_tlsa;
	bool tlsa_unusable;
	bool tlsa_pinned;

	/*
	 * Insecure MX records chose the host that is authenticated: it must not pass for the destination's
	 * in the log (RFC 7672 2.2.1).
	 */
	bool by_insecure_mx;

	char **names; /* reference identities, canonical; "*.x" as the operator wrote it */
	size_t n_names;
	char *sni; /* NULL: none is sent */
};

/* True if plaintext is acceptable. */
bool tls_requirement_allows_plaintext(const struct tls_requirement *r);

/* Does each accept exactly what the other does, in the same words? */
bool tls_requirement_is_equal(const struct tls_requirement *a, const struct tls_requirement *b);

/* Do both ask for the same server name, or both for none? A server may show each name something else. */
bool tls_requirement_has_same_sni(const struct tls_requirement *a, const struct tls_requirement *b);

void tls_requirement_copy(struct tls_requirement *to, const struct tls_requirement *from);
void tls_requirement_finish(struct tls_requirement *r);
