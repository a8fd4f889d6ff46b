#include "config/route_passwords.h"

#include <stdlib.h>
#include <string.h>

#include "config/values.h"
#include "relay/base/mem.h"

enum { PASSWORD_MAX = 1024 }; /* bytes */

static bool read_line(char *line, size_t n, struct secret *entry);

int route_passwords_load(struct secrets *passwords, const char *path, char *error, size_t room)
{
	static const struct secrets_form form = {
		.name = "route-passwords",
		.line = "LOGIN PASSWORD, in one line with a space between them",
		.allowed_mode = 0640,
		.read = read_line,
	};

	return secrets_load(passwords, path, &form, error, room);
}

static bool read_line(char *line, size_t n, struct secret *entry)
{
	size_t n_login = strcspn(line, " \t");
	size_t n_before = n_login + strspn(line + n_login, " \t");

	if (n_before == n || n - n_before > PASSWORD_MAX)
		return false;
	entry->login = mem_copy(line, n_login);
	if (!value_is_route_login(entry->login)) {
		free(entry->login);
		return false;
	}
	entry->text = mem_copy_text(line + n_before);
	return true;
}
