#include "relay/route_pins.h"

#include <string.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"

enum { SHA256_BYTES = 32 };

static void add_digests(
    char *const *digests, size_t n, uint8_t selector, struct tls_requirement *tls);
static void add(struct tls_requirement *tls, uint8_t usage, uint8_t selector, uint8_t matching,
    const uint8_t *data, size_t n_data);

/*
 * A file of authorities of which none could be read pins too: then nobody is believed, rather than
 * everybody whom the system believes.
 */
bool route_has_pins(const struct config_partner *partner, enum tls_level level)
{
	return level == TLS_FINGERPRINT || partner->n_fingerprints > 0 ||
	       partner->n_public_keys > 0 || partner->ca_file != NULL;
}

void route_pin(const struct config_partner *partner, struct tls_requirement *tls)
{
	bool by_authority = tls->level == TLS_VERIFY || tls->level == TLS_SECURE;

	tls->tlsa_pinned = route_has_pins(partner, tls->level);
	for (size_t i = 0; by_authority && i < partner->n_cas; i++)
		add(tls, 2, 0, 0, partner->cas[i].der, partner->cas[i].n);
	add_digests(partner->fingerprints, partner->n_fingerprints, 0, tls);
	add_digests(partner->public_keys, partner->n_public_keys, 1, tls);
}

static void add_digests(
    char *const *digests, size_t n, uint8_t selector, struct tls_requirement *tls)
{
	for (size_t i = 0; i < n; i++) {
		uint8_t bytes[SHA256_BYTES];
		size_t n_bytes;

		/* The configuration holds nothing else. */
		if (hex_decode(digests[i], strlen(digests[i]), bytes, sizeof bytes, &n_bytes))
			add(tls, 3, selector, 1, bytes, n_bytes);
	}
}

static void add(struct tls_requirement *tls, uint8_t usage, uint8_t selector, uint8_t matching,
    const uint8_t *data, size_t n_data)
{
	tls->tlsa = mem_resize(tls->tlsa, tls->n_tlsa + 1, sizeof *tls->tlsa);
	tls->tlsa[tls->n_tlsa++] = (struct tlsa_record){ usage, selector, matching,
		(uint8_t *)mem_copy(data, n_data), n_data };
}
