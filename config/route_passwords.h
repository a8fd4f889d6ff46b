/*
 * The file of our own passwords at the operator's next hops, one login a line:
 *
 *     relay@example.org the password, up to the end of the line
 *
 * Unlike our clients' passwords these must be told to somebody, so they stand there in clear: only
 * the auth role and zegel check read it.
 */
#pragma once

#include "config/secrets.h"

/*
 * The passwords, exactly as written, by their logins, as written too: the case of letters is the
 * other side's business. As secrets_load(): the file's mode must be 0640 or less.
 */
int route_passwords_load(struct secrets *passwords, const char *path, char *error, size_t room);
