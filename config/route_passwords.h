/*
 * The file of our own passwords at the operator's next hops, one login a line:
 *
 *     relay@example.org the password, up to the end of the line
 *
 * Empty lines and those that begin with '#' mean nothing. Unlike our clients' passwords these must
 * be told to somebody, so they stand there in clear: only the auth role and zegel check read it.
 */
#pragma once

#include <stddef.h>

struct route_password {
	char *login; /* as written: the case of letters is the other side's business */
	char *password;
};

struct route_passwords {
	struct route_password *entries; /* sorted by login */
	size_t n;
};

/*
 * Reads all of it. -1 with a text in error (room bytes) and nothing to finish if the file cannot be
 * read, has a mode beyond 0640, or a line is none of the form or names a login again; errno is then
 * that of the failed call, or 0. Call route_passwords_finish(), which overwrites what it frees.
 */
int route_passwords_load(struct route_passwords *p, const char *path, char *error, size_t room);
void route_passwords_finish(struct route_passwords *p);

/* The password of a login, exactly as written; NULL if there is none. */
const char *route_passwords_find(const struct route_passwords *p, const char *login);
