/*
 * A file of secrets, a login a line: our clients' verifiers (config/passwords.h) or our own passwords
 * at next hops (config/route_passwords.h). Empty lines and those that begin with '#' mean nothing.
 * Reading is strict: a line that is not understood is a login that silently does not work.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct secret {
	char *login;
	char *text;
};

struct secrets {
	struct secret *entries; /* sorted by login */
	size_t n;
};

/* What one such file is like. */
struct secrets_form {
	const char *name;    /* that its problems are named after: "[NAME-line]" */
	const char *line;    /* what a line must be */
	mode_t allowed_mode; /* the permissions that it may have */
	/* Reads a line of n bytes, without its end, which it may change; false has allocated nothing. */
	bool (*read)(char *line, size_t n, struct secret *entry);
};

/*
 * Reads all of it. -1 with a text in error (room bytes) and nothing to finish if the file cannot be
 * read, others than it is for may read it, or a line is none of the form or names a login again;
 * errno is then that of the failed call, or 0. Call secrets_finish(), which overwrites what it frees.
 */
int secrets_load(struct secrets *secrets, const char *path, const struct secrets_form *form,
    char *error, size_t room);
void secrets_finish(struct secrets *secrets);

/* The secret of a login; NULL if there is none. */
const char *secrets_find(const struct secrets *secrets, const char *login);
