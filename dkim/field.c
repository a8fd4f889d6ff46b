/*
 * Splits at CRLF and nowhere else, and refuses what two readers could split differently.
 */
#include "dkim/field.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

static bool take_field(struct slice header, size_t *at, struct dkim_field *field);
static bool line_end(struct slice header, size_t at, size_t *end);

bool dkim_fields_init(struct dkim_fields *fields, struct slice header)
{
	size_t at = 0, room = 0;

	*fields = (struct dkim_fields){ 0 };
	while (at < header.n) {
		if (header.n - at >= 2 && memcmp(header.bytes + at, "\r\n", 2) == 0) {
			at += 2;
			break;
		}
		if (fields->n == room) {
			room = room > 0 ? 2 * room : 32;
			fields->fields = mem_resize(fields->fields, room, sizeof *fields->fields);
		}
		if (fields->n == DKIM_FIELDS_MAX ||
		    !take_field(header, &at, &fields->fields[fields->n])) {
			dkim_fields_finish(fields);
			return false;
		}
		fields->n++;
	}
	fields->n_bytes = at;
	return true;
}

void dkim_fields_finish(struct dkim_fields *fields)
{
	free(fields->fields);
	*fields = (struct dkim_fields){ 0 };
}

/* RFC 5322 3.6.8: printable, no space, no colon */
static bool is_name_byte(char c)
{
	return c > ' ' && c < 127 && c != ':';
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool take_field(struct slice header, size_t *at, struct dkim_field *field)
{
	size_t start = *at, colon, end, n_name = 0;

	while (start + n_name < header.n && is_name_byte(header.bytes[start + n_name]))
		n_name++;
	for (colon = start + n_name; colon < header.n && is_space(header.bytes[colon]); colon++)
		;
	if (n_name == 0 || colon == header.n || header.bytes[colon] != ':')
		return false;
	field->name = (struct slice){ header.bytes + start, n_name };
	do {
		if (!line_end(header, *at, &end))
			return false;
		*at = end + 2;
	} while (*at < header.n && is_space(header.bytes[*at]));
	field->text = (struct slice){ header.bytes + start, end - start };
	return true;
}

/* Where the CRLF is. A bare CR or LF, or a NUL, is where two readers would see two headers. */
static bool line_end(struct slice header, size_t at, size_t *end)
{
	const char *line = header.bytes + at;
	const char *feed = memchr(line, '\n', header.n - at);
	size_t n;

	if (feed == NULL || feed == line || feed[-1] != '\r')
		return false;
	n = (size_t)(feed - line) - 1;
	if (memchr(line, '\r', n) != NULL || memchr(line, '\0', n) != NULL)
		return false;
	*end = at + n;
	return true;
}
