#include "config/secrets.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "relay/base/mem.h"

enum {
	LINE_ROOM = 2048, /* of a good line: then getline() leaves no copy behind by growing */
	FILE_ROOM = 8192, /* of the file's buffer, which is overwritten too */
};

static FILE *open_strictly(
    const char *path, const struct secrets_form *form, char *error, size_t room);
static void read_lines(struct secrets *secrets, FILE *file, const char *path,
    const struct secrets_form *form, char *error, size_t room);
static void sort(struct secrets *secrets, const char *path, const struct secrets_form *form,
    char *error, size_t room);
static int by_login(const void *a, const void *b);

int secrets_load(struct secrets *secrets, const char *path, const struct secrets_form *form,
    char *error, size_t room)
{
	FILE *file = open_strictly(path, form, error, room);
	char *buffer;

	*secrets = (struct secrets){ 0 };
	if (file == NULL)
		return -1;
	error[0] = '\0';
	buffer = mem_create(FILE_ROOM);
	setvbuf(file, buffer, _IOFBF, FILE_ROOM);
	read_lines(secrets, file, path, form, error, room);
	fclose(file);
	mem_free_secret(buffer, FILE_ROOM);
	if (error[0] == '\0')
		sort(secrets, path, form, error, room);
	if (error[0] == '\0')
		return 0;
	secrets_finish(secrets);
	errno = 0;
	return -1;
}

static FILE *open_strictly(
    const char *path, const struct secrets_form *form, char *error, size_t room)
{
	FILE *file = fopen(path, "re");
	struct stat st;

	if (file == NULL) {
		snprintf(error, room, "cannot open '%s': %s [%s-file]", path, strerror(errno),
		    form->name);
		return NULL;
	}
	if (fstat(fileno(file), &st) != 0 || !S_ISREG(st.st_mode) ||
	    (st.st_mode & 07777 & ~form->allowed_mode) != 0) {
		snprintf(error, room,
		    "'%s' holds passwords and must be a file that is closed to others: chmod 0640 it "
		    "[%s-mode]",
		    path, form->name);
		fclose(file);
		errno = 0;
		return NULL;
	}
	return file;
}

static void read_lines(struct secrets *secrets, FILE *file, const char *path,
    const struct secrets_form *form, char *error, size_t room)
{
	size_t room_line = LINE_ROOM;
	char *line = mem_create(room_line);
	unsigned number = 0;
	struct secret entry;
	ssize_t n;

	while (error[0] == '\0' && (n = getline(&line, &room_line, file)) >= 0) {
		number++;
		while (n > 0 && (line[n - 1] == '\n' || line[n - 1] == '\r'))
			line[--n] = '\0';
		if (n == 0 || line[0] == '#')
			continue;
		/* A NUL ends the text, and would cut the secret in silence. */
		if (strlen(line) != (size_t)n || !form->read(line, (size_t)n, &entry)) {
			snprintf(error, room, "%s:%u: must be %s [%s-line]", path, number,
			    form->line, form->name);
			continue;
		}
		secrets->entries =
		    mem_resize(secrets->entries, secrets->n + 1, sizeof *secrets->entries);
		secrets->entries[secrets->n++] = entry;
	}
	mem_free_secret(line, room_line);
}

static void sort(struct secrets *secrets, const char *path, const struct secrets_form *form,
    char *error, size_t room)
{
	if (secrets->n > 0)
		qsort(secrets->entries, secrets->n, sizeof *secrets->entries, by_login);
	for (size_t i = 1; i < secrets->n; i++) {
		if (by_login(&secrets->entries[i - 1], &secrets->entries[i]) != 0)
			continue;
		snprintf(error, room,
		    "%s: login '%s' is there twice: remove the line that is old [%s-twice]", path,
		    secrets->entries[i].login, form->name);
		return;
	}
}

static int by_login(const void *a, const void *b)
{
	return strcmp(((const struct secret *)a)->login, ((const struct secret *)b)->login);
}

void secrets_finish(struct secrets *secrets)
{
	for (size_t i = 0; i < secrets->n; i++) {
		free(secrets->entries[i].login);
		mem_free_secret(secrets->entries[i].text, strlen(secrets->entries[i].text));
	}
	free(secrets->entries);
	*secrets = (struct secrets){ 0 };
}

const char *secrets_find(const struct secrets *secrets, const char *login)
{
	struct secret key = { .login = (char *)(uintptr_t)login };
	const struct secret *found =
	    secrets->n == 0 ? NULL
			    : bsearch(&key, secrets->entries, secrets->n, sizeof key, by_login);

	return found == NULL ? NULL : found->text;
}
