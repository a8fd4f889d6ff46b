#include "relay/proc/login_memory.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "tls/scram.h"

enum { KEY_SIZE = 32 };

struct slot {
	uint8_t digest[SCRAM_DIGEST_SIZE];
	int64_t noted_ms; /* 0: empty */
};

struct login_memory {
	uint8_t key[KEY_SIZE];
	struct slot slots[LOGIN_MEMORY_SLOTS];
};

struct login_memory *login_memory_create(void)
{
	struct login_memory *memory = mem_create(sizeof *memory);

	if (getrandom(memory->key, sizeof memory->key, 0) == (ssize_t)sizeof memory->key)
		return memory;
	free(memory);
	return NULL;
}

void login_memory_destroy(struct login_memory **memory)
{
	if (*memory == NULL)
		return;
	explicit_bzero(*memory, sizeof **memory);
	free(*memory);
	*memory = NULL;
}

/* Two logins may want one slot: the last one has it. */
static size_t place_of(const uint8_t *digest)
{
	return ((size_t)digest[0] << 8 | digest[1]) % LOGIN_MEMORY_SLOTS;
}

static bool make_digest(const struct login_memory *memory, const char *verifier,
    const char *password, size_t n, uint8_t digest[SCRAM_DIGEST_SIZE])
{
	return scram_digest(memory->key, sizeof memory->key, verifier, password, n, digest) == 0;
}

bool login_memory_knows(
    const struct login_memory *memory, const char *verifier, const char *password, size_t n)
{
	uint8_t digest[SCRAM_DIGEST_SIZE];
	const struct slot *slot;

	if (memory == NULL || !make_digest(memory, verifier, password, n, digest))
		return false;
	slot = &memory->slots[place_of(digest)];
	return slot->noted_ms != 0 && clock_monotonic_ms() - slot->noted_ms < LOGIN_MEMORY_MS &&
	       memcmp(slot->digest, digest, sizeof digest) == 0;
}

void login_memory_note(
    struct login_memory *memory, const char *verifier, const char *password, size_t n)
{
	struct slot slot = { .noted_ms = clock_monotonic_ms() };

	if (memory != NULL && make_digest(memory, verifier, password, n, slot.digest))
		memory->slots[place_of(slot.digest)] = slot;
}
