#include "smtp/address.h"

#include <stdio.h>
#include <string.h>

void smtp_address_write(struct smtp_address *address)
{
	char quoted[2 * SMTP_LOCAL_MAX + 2];
	size_t n = 0;

	if (smtp_is_dot_string(address->local)) {
		snprintf(
		    address->text, sizeof address->text, "%s@%s", address->local, address->domain);
		return;
	}
	quoted[n++] = '"';
	for (const char *c = address->local; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			quoted[n++] = '\\';
		quoted[n++] = *c;
	}
	quoted[n++] = '"';
	snprintf(address->text, sizeof address->text, "%.*s@%s", (int)n, quoted, address->domain);
}

bool smtp_is_dot_string(const char *local)
{
	size_t n = strlen(local);

	if (n == 0 || local[0] == '.' || local[n - 1] == '.' || strstr(local, "..") != NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (local[i] != '.' && !smtp_is_atext(local[i]))
			return false;
	}
	return true;
}

bool smtp_is_atext(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-/=?^_`{|}~", c) != NULL);
}
