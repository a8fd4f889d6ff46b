/*
 * The whole way of a message through the room, as the road goes it: hash the body, prepare the
 * field, sign the digest, finish the field, put it on top.
 */
#pragma once

#include <stdint.h>

#include "dkim/key.h"
#include "relay/base/buffer.h"

/*
 * header with the empty line at its end. Returns the sealed message, allocated; NULL with a text in
 * error (DKIM_ERROR_MAX bytes).
 */
char *seal_message(const struct dkim_key *key, const char *domain, const char *selector,
    int64_t time_s, struct slice header, struct slice body, size_t *n, char *error);
