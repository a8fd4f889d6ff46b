/*
 * Bytes as text and back: base64 (RFC 4648 4), hexadecimal, and a 32-letter alphabet without I, L, O
 * and U for ids that people read aloud. Decoders are strict: what an encoder would not write is an
 * error.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BASE64_ROOM(n) (((n) + 2) / 3 * 4 + 1)

/* Writes BASE64_ROOM(n) bytes with the NUL; returns the length without it. */
size_t base64_encode(const void *bytes, size_t n, char *text);

/*
 * Into bytes, which has room for at least n / 4 * 3. False unless it is whole quartets of the
 * alphabet with padding only at the end and zero bits below it.
 */
bool base64_decode(const char *text, size_t n, void *bytes, size_t *n_bytes);

/* Lower case; writes 2 * n + 1 bytes with the NUL. */
void hex_encode(const void *bytes, size_t n, char *text);

/* Pairs of digits, in either case. Colons between them are accepted, as people paste fingerprints. */
bool hex_decode(const char *text, size_t n, void *bytes, size_t room, size_t *n_bytes);

/* The low 5 * n_letters bits of value, most significant first, with a NUL. */
void crockford_encode(uint64_t value, size_t n_letters, char *text);
