#include "config/passwords.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/values.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"

static const char SCHEME[] = "SCRAM-SHA-256$";

static bool read_line(char *line, size_t n, struct secret *entry);
static char *directory_of(const char *path);
static int replace(const char *path, const char *directory, const char *login, const char *verifier,
    gid_t group, char *error, size_t room);
static int copy_others(FILE *to, const char *path, const char *login);
static int settle(FILE *to, const char *path, gid_t group);

int passwords_load(struct secrets *verifiers, const char *path, char *error, size_t room)
{
	/* Verifiers can be tried against lists of passwords by whoever reads them. */
	static const struct secrets_form form = {
		.name = "passwords",
		.line = "LOGIN:SCRAM-SHA-256$ITERATIONS:SALT$STOREDKEY:SERVERKEY",
		.allowed_mode = 07777 & ~(S_IROTH | S_IWOTH),
		.read = read_line,
	};

	return secrets_load(verifiers, path, &form, error, room);
}

static bool read_line(char *line, size_t n, struct secret *entry)
{
	char *colon = strchr(line, ':');

	(void)n;
	if (colon == NULL || strncmp(colon + 1, SCHEME, sizeof SCHEME - 1) != 0)
		return false;
	*colon = '\0';
	if (!value_is_login(line))
		return false;
	for (const char *c = colon + 1; *c != '\0'; c++) {
		if (*c <= ' ' || *c > '~')
			return false;
	}
	entry->login = mem_copy_text(line);
	text_lower(entry->login);
	entry->text = mem_copy_text(colon + 1);
	return true;
}

int passwords_set(const char *path, const char *login, const char *verifier, gid_t group,
    char *error, size_t room)
{
	char *directory = directory_of(path);
	int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int result = -1;

	if (fd < 0 || flock(fd, LOCK_EX) != 0) {
		snprintf(error, room, "cannot open '%s': %s", directory, strerror(errno));
	} else if (replace(path, directory, login, verifier, group, error, room) == 0) {
		/* A rename that is not synced can come undone in a power cut. */
		result = fsync(fd);
		if (result != 0)
			snprintf(error, room, "cannot sync '%s': %s", directory, strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	free(directory);
	return result;
}

static char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	if (slash == NULL)
		return mem_copy_text(".");
	return slash == path ? mem_copy_text("/") : mem_copy(path, (size_t)(slash - path));
}

static int replace(const char *path, const char *directory, const char *login, const char *verifier,
    gid_t group, char *error, size_t room)
{
	char *made = mem_print("%s/.passwords-XXXXXX", directory);
	int fd = mkostemp(made, O_CLOEXEC);
	FILE *to = fd < 0 ? NULL : fdopen(fd, "w");
	bool good = to != NULL && copy_others(to, path, login) == 0 &&
		    fprintf(to, "%s:%s\n", login, verifier) > 0 && settle(to, path, group) == 0;
	int failure = errno;

	if (to != NULL && fclose(to) != 0 && good) {
		failure = errno;
		good = false;
	}
	if (good && rename(made, path) != 0) {
		failure = errno;
		good = false;
	}
	if (!good) {
		snprintf(error, room, "cannot write '%s': %s", path, strerror(failure));
		if (fd >= 0)
			unlink(made);
	}
	free(made);
	return good ? 0 : -1;
}

/* Every line but that of the login, whose letter case does not count. */
static int copy_others(FILE *to, const char *path, const char *login)
{
	FILE *from = fopen(path, "re");
	size_t n_login = strlen(login), room = 0;
	char *line = NULL;
	ssize_t n;
	int result;

	if (from == NULL)
		return errno == ENOENT ? 0 : -1;
	while ((n = getline(&line, &room, from)) >= 0) {
		if (strncasecmp(line, login, n_login) == 0 && line[n_login] == ':')
			continue;
		fprintf(to, "%s%s", line, line[n - 1] == '\n' ? "" : "\n");
	}
	result = ferror(from) || ferror(to) ? -1 : 0;
	mem_free_secret(line, room);
	fclose(from);
	return result;
}

static int settle(FILE *to, const char *path, gid_t group)
{
	struct stat old;
	int fd = fileno(to);

	if (fflush(to) != 0)
		return -1;
	if (stat(path, &old) == 0) {
		/* Keeping the owner needs root; without, the file already is ours. */
		if (geteuid() == 0 && fchown(fd, old.st_uid, old.st_gid) != 0)
			return -1;
		if (fchmod(fd, old.st_mode & 07777) != 0)
			return -1;
	} else {
		if (group != (gid_t)-1 && fchown(fd, (uid_t)-1, group) != 0)
			return -1;
		if (fchmod(fd, 0640) != 0)
			return -1;
	}
	return fsync(fd);
}
