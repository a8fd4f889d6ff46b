/*
 * Remembers for a while which passwords were right, so that a client that logs in for each message
 * does not cost a slow hash each time. Holds only digests under a key that no other process has, and
 * nothing of wrong passwords: those always take their full time.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct login_memory;

enum {
	LOGIN_MEMORY_SLOTS = 1024,
	LOGIN_MEMORY_MS = 600000, /* then the slow hash is due again */
};

/* NULL if the machine has no random bytes: then nothing is remembered. */
struct login_memory *login_memory_create(void);
void login_memory_destroy(struct login_memory **memory);

/* Was this password found to fit this very verifier a while ago? memory may be NULL. */
bool login_memory_knows(
    const struct login_memory *memory, const char *verifier, const char *password, size_t n);
void login_memory_note(
    struct login_memory *memory, const char *verifier, const char *password, size_t n);
