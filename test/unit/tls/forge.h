/*
 * Certificates made up for tests: any name, any issuer, any dates, in a directory of their own.
 */
#pragma once

#include <openssl/x509.h>
#include <stdbool.h>
#include <stdint.h>

#include "tls/requirement.h"

struct forged {
	X509 *certificate;
	EVP_PKEY *key;
};

struct forge_wish {
	const char *name;            /* the common name */
	const char *alternatives;    /* "DNS:mx.example,DNS:*.example"; NULL: none */
	const struct forged *issuer; /* NULL: signs itself */
	bool is_authority;
	bool has_expired;
	int rsa_bits; /* 0: P-256 */
	bool signs_with_sha1;
};

void forge(struct forged *made, struct forge_wish wish);
void forged_finish(struct forged *made);

/* Into directory/name.pem (the chain, NULL-terminated) and directory/name.key. */
enum { FORGE_PATH_MAX = 200 };
void forge_write(const char *directory, const char *name, const struct forged *const *chain);
void forge_path(const char *directory, const char *file, char path[FORGE_PATH_MAX]);

/* A fresh directory, and the end of it with what forge_write() put there. */
void forge_make_directory(char path[FORGE_PATH_MAX]);
void forge_remove_directory(const char *path);

/* The record that matches; or that nearly does. Data is to be freed. */
struct tlsa_record forge_tlsa(
    const struct forged *of, uint8_t usage, uint8_t selector, uint8_t matching, bool matches);

void forge_fingerprint(const struct forged *of, char hex[65]);
