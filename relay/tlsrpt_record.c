#include "relay/tlsrpt_record.h"

#include <string.h>
#include <strings.h>

#include "relay/base/encode.h"
#include "smtp/path.h"

static bool is_version_1(const char *text);
static bool read_fields(const char *at, struct tlsrpt_record *record);
static bool read_uris(const char *at, size_t n, struct tlsrpt_record *record);
static bool read_mailto(const char *text, size_t n, struct smtp_address *address);
static bool is_https(const char *uri, size_t n);
static bool begins(const char *text, size_t n, const char *scheme);
static void trim(const char **text, size_t *n);
static bool is_name(const char *text, size_t n);

static const char VERSION[] = "v=TLSRPTv1";

/* Of several records those of other versions don't count; two of ours cancel each other. */
enum tlsrpt_record_kind tlsrpt_record_read(
    const char *const *texts, size_t n_texts, struct tlsrpt_record *record)
{
	const char *found = NULL;

	record->n_uris = 0;
	for (size_t i = 0; i < n_texts; i++) {
		if (!is_version_1(texts[i]))
			continue;
		if (found != NULL)
			return TLSRPT_RECORD_NONE;
		found = texts[i];
	}
	if (found == NULL)
		return TLSRPT_RECORD_NONE;
	if (!read_fields(strchr(found, ';') + 1, record) || record->n_uris == 0)
		return TLSRPT_RECORD_INVALID;
	return TLSRPT_RECORD_READ;
}

static bool is_version_1(const char *text)
{
	if (strncmp(text, VERSION, sizeof VERSION - 1) != 0)
		return false;
	text += sizeof VERSION - 1;
	return text[strspn(text, " \t")] == ';';
}

/* Unknown fields are passed over; of several rua the first counts. */
static bool read_fields(const char *at, struct tlsrpt_record *record)
{
	bool has_rua = false;

	for (;;) {
		size_t n = strcspn(at, ";"), n_field = n;
		const char *field = at, *equals;

		trim(&field, &n_field);
		equals = memchr(field, '=', n_field);
		if (n_field == 0 && at[n] == '\0')
			return has_rua; /* behind the last delimiter */
		if (equals == NULL || !is_name(field, (size_t)(equals - field)))
			return false;
		if (!has_rua && strncmp(field, "rua=", 4) == 0) {
			if (!read_uris(field + 4, n_field - 4, record))
				return false;
			has_rua = true;
		}
		if (at[n] == '\0')
			return has_rua;
		at += n + 1;
	}
}

static bool read_uris(const char *at, size_t n, struct tlsrpt_record *record)
{
	const char *end = at + n;

	while (at <= end) {
		const char *comma = memchr(at, ',', (size_t)(end - at)), *uri = at;
		size_t n_uri = (size_t)((comma != NULL ? comma : end) - at);
		struct smtp_address address;

		trim(&uri, &n_uri);
		if (n_uri == 0)
			return false;
		if (record->n_uris < TLSRPT_URIS_MAX &&
		    tlsrpt_uri_read(uri, n_uri, &address) != TLSRPT_URI_UNUSABLE) {
			memcpy(record->uris[record->n_uris], uri, n_uri);
			record->uris[record->n_uris++][n_uri] = '\0';
		}
		at = comma != NULL ? comma + 1 : end + 1;
	}
	return true;
}

/* Commas, semicolons and exclamation marks must be encoded in a URI here. */
enum tlsrpt_uri_kind tlsrpt_uri_read(const char *uri, size_t n, struct smtp_address *address)
{
	if (n >= TLSRPT_URI_MAX)
		return TLSRPT_URI_UNUSABLE;
	for (size_t i = 0; i < n; i++) {
		if (uri[i] <= ' ' || uri[i] > '~' || strchr("\"<>\\^`{|},;!", uri[i]) != NULL)
			return TLSRPT_URI_UNUSABLE;
	}
	if (begins(uri, n, "mailto:"))
		return read_mailto(uri + 7, n - 7, address) ? TLSRPT_URI_MAILTO
							    : TLSRPT_URI_UNUSABLE;
	return is_https(uri, n) ? TLSRPT_URI_HTTPS : TLSRPT_URI_UNUSABLE;
}

static bool read_mailto(const char *text, size_t n, struct smtp_address *address)
{
	char path[TLSRPT_URI_MAX + 2] = "<";
	const char *query = memchr(text, '?', n);
	size_t n_path = 1, n_used, n_byte;
	struct outcome why;

	if (query != NULL)
		n = (size_t)(query - text);
	for (size_t i = 0; i < n; i++) {
		path[n_path] = text[i];
		if (text[i] == '%') {
			if (i + 2 >= n || !hex_decode(text + i + 1, 2, &path[n_path], 1, &n_byte) ||
			    path[n_path] == '\0')
				return false;
			i += 2;
		}
		n_path++;
	}
	path[n_path++] = '>';
	return smtp_path_parse(path, n_path, SMTP_PATH_FORWARD, address, &n_used, &why) &&
	       n_used == n_path;
}

/* The rest of it is the HTTPS client's to judge. */
static bool is_https(const char *uri, size_t n)
{
	return begins(uri, n, "https://") && n > 8 && strchr("/?#:@", uri[8]) == NULL;
}

static bool begins(const char *text, size_t n, const char *scheme)
{
	size_t n_scheme = strlen(scheme);

	return n >= n_scheme && strncasecmp(text, scheme, n_scheme) == 0;
}

static void trim(const char **text, size_t *n)
{
	while (*n > 0 && (**text == ' ' || **text == '\t')) {
		(*text)++;
		(*n)--;
	}
	while (*n > 0 && ((*text)[*n - 1] == ' ' || (*text)[*n - 1] == '\t'))
		(*n)--;
}

/* RFC 8460 3: 1*32(ALPHA / DIGIT / "_" / "-" / "."), the first of them a letter or a digit. */
static bool is_name(const char *text, size_t n)
{
	static const char LETTERS[] =
	    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	    "_-.";

	if (n == 0 || n > 32 || strchr("_-.", text[0]) != NULL)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (strchr(LETTERS, text[i]) == NULL)
			return false;
	}
	return true;
}
