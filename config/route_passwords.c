/*
 * Reading is strict: a line that is not understood is mail that silently waits for a login.
 */
#include "config/route_passwords.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "config/values.h"
#include "relay/base/mem.h"

enum {
	PASSWORD_MAX = 1024, /* bytes */
	LINE_ROOM = 2048,    /* of a good line: then getline() leaves no copy behind by growing */
};

static FILE *open_strictly(const char *path, char *error, size_t room);
static bool parse_line(char *line, size_t n, struct route_password *entry);
static int by_login(const void *a, const void *b);

int route_passwords_load(struct route_passwords *p, const char *path, char *error, size_t room)
{
	FILE *file = open_strictly(path, error, room);
	size_t room_line = LINE_ROOM;
	char *line;
	unsigned number = 0;
	struct route_password entry;
	ssize_t n;

	*p = (struct route_passwords){ 0 };
	if (file == NULL)
		return -1;
	line = mem_create(room_line);
	error[0] = '\0';
	while ((n = getline(&line, &room_line, file)) >= 0) {
		number++;
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (n == 0 || line[0] == '#')
			continue;
		if (!parse_line(line, (size_t)n, &entry)) {
			snprintf(error, room,
			    "%s:%u: must be LOGIN PASSWORD, in one line with a space between them "
			    "[route-passwords-line]",
			    path, number);
			break;
		}
		p->entries = mem_resize(p->entries, p->n + 1, sizeof *p->entries);
		p->entries[p->n++] = entry;
	}
	mem_free_secret(line, room_line);
	fclose(file);
	if (p->n > 0)
		qsort(p->entries, p->n, sizeof *p->entries, by_login);
	for (size_t i = 1; error[0] == '\0' && i < p->n; i++) {
		if (by_login(&p->entries[i - 1], &p->entries[i]) == 0)
			snprintf(error, room,
			    "%s: login '%s' is there twice: remove the line that is old "
			    "[route-passwords-twice]",
			    path, p->entries[i].login);
	}
	if (error[0] == '\0')
		return 0;
	route_passwords_finish(p);
	errno = 0;
	return -1;
}

static FILE *open_strictly(const char *path, char *error, size_t room)
{
	FILE *file = fopen(path, "re");
	struct stat st;

	if (file == NULL) {
		snprintf(error, room, "cannot open '%s': %s [route-passwords-file]", path,
		    strerror(errno));
		return NULL;
	}
	/* stdio's buffer would keep the secrets in memory that nobody overwrites. */
	setvbuf(file, NULL, _IONBF, 0);
	if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) ||
	    (st.st_mode & 07777 & ~0640U) != 0) {
		snprintf(error, room,
		    "'%s' holds passwords and must be a file for its owner and the readers in its "
		    "group: chmod 0640 it [route-passwords-mode]",
		    path);
		fclose(file);
		errno = 0;
		return NULL;
	}
	return file;
}

static bool parse_line(char *line, size_t n, struct route_password *entry)
{
	size_t n_login = strcspn(line, " \t");
	char *password = line + n_login + strspn(line + n_login, " \t");

	/* A NUL ends the text, and would cut the password in silence. */
	if (strlen(line) != n || password[0] == '\0' || strlen(password) > PASSWORD_MAX)
		return false;
	entry->login = mem_copy(line, n_login);
	if (!value_is_route_login(entry->login)) {
		free(entry->login);
		return false;
	}
	entry->password = mem_copy_text(password);
	return true;
}

static int by_login(const void *a, const void *b)
{
	return strcmp(
	    ((const struct route_password *)a)->login, ((const struct route_password *)b)->login);
}

void route_passwords_finish(struct route_passwords *p)
{
	for (size_t i = 0; i < p->n; i++) {
		free(p->entries[i].login);
		mem_free_secret(p->entries[i].password, strlen(p->entries[i].password));
	}
	free(p->entries);
	*p = (struct route_passwords){ 0 };
}

const char *route_passwords_find(const struct route_passwords *p, const char *login)
{
	struct route_password key = { .login = (char *)(uintptr_t)login };
	const struct route_password *found =
	    p->n == 0 ? NULL : bsearch(&key, p->entries, p->n, sizeof key, by_login);

	return found == NULL ? NULL : found->password;
}
