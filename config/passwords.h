/*
 * The file of password verifiers, one login a line:
 *
 *     web@example.org:SCRAM-SHA-256$10000:SALT$STOREDKEY:SERVERKEY
 *
 * the verifier as in RFC 5803. Only the auth role and the account commands read it. What verifiers
 * are made of and whether a password fits one is tls/scram.h's business.
 */
#pragma once

#include "config/secrets.h"

/*
 * The verifiers by their logins, in lower case whatever the file writes. As secrets_load(): others
 * must not be able to read or write the file.
 */
int passwords_load(struct secrets *verifiers, const char *path, char *error, size_t room);

/*
 * Adds a line or replaces that of the login, and keeps the others, in a new file that is made durable before it takes the
 * place of the old one: at any moment, and after a power cut, the file is one or the other. Mode
 * and owner stay; a new file is 0640 and of that group, unless it is (gid_t)-1. Waits for another
 * process that does the same. -1 with a text in error.
 */
int passwords_set(const char *path, const char *login, const char *verifier, gid_t group,
    char *error, size_t room);
