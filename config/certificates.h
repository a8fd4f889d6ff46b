/*
 * Certificates out of PEM text (RFC 7468), as bytes: by base64 alone. Whether the bytes are a
 * certificate is for tls/ to say.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"

/*
 * Every block of the text that holds a certificate, in order, into *cas and *n, to be freed with
 * certificates_free(). What stands outside of blocks, and blocks of another kind, mean nothing. False
 * with a sentence in why, and nothing to free, if there is none, more than CONFIG_PARTNER_CAS_MAX,
 * or one that is broken; the sentence says which.
 */
bool certificates_parse(const char *text, size_t n_text, struct config_certificate **cas, size_t *n,
    char *why, size_t room);
void certificates_free(struct config_certificate *cas, size_t n);
