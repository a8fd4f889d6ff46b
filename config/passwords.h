/*
 * The file of password verifiers, one login a line:
 *
 *     web@example.org:SCRAM-SHA-256$10000:SALT$STOREDKEY:SERVERKEY
 *
 * the verifier as in RFC 5803. Empty lines and those that begin with '#' are kept and mean nothing.
 * Only the auth role and the account commands read it. What verifiers are made of and whether a
 * password fits one is tls/scram.h's business.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

struct password {
	char *login; /* lower case */
	char *verifier;
};

struct passwords {
	struct password *entries; /* sorted by login */
	size_t n;
};

/*
 * Reads all of it. -1 with a text in error (room bytes) and nothing to finish if the file cannot be
 * read, is readable by everybody, or a line is none of the form or names a login again; errno is
 * then that of the failed call, or 0. Call passwords_finish(), which overwrites what it frees.
 */
int passwords_load(struct passwords *p, const char *path, char *error, size_t room);
void passwords_finish(struct passwords *p);

/* The verifier of a login in lower case; NULL if there is none. */
const char *passwords_find(const struct passwords *p, const char *login);

/*
 * Adds a line or replaces that of the login, in a new file that is made durable before it takes the
 * place of the old one: at any moment, and after a power cut, the file is one or the other. Mode
 * and owner stay; a new file is 0640 and of that group, unless it is (gid_t)-1. Waits for another
 * process that does the same. -1 with a text in error.
 */
int passwords_set(const char *path, const char *login, const char *verifier, gid_t group,
    char *error, size_t room);
