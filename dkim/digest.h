/*
 * SHA-256 of bytes that are all here.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "dkim/algorithm.h"

void dkim_digest(const void *bytes, size_t n, uint8_t digest[DKIM_DIGEST_SIZE]);
