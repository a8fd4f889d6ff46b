/*
 * The grammar of RFC 6376 3.2 from left to right, without a copy.
 */
#include "dkim/tags.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"

static bool take_tag(struct slice *left, struct dkim_tag *tag);
static bool value_is_valid(struct slice value);
static void skip_space(struct slice *text);
static void drop_space(struct slice *text);

bool dkim_tags_parse(struct slice text, struct dkim_tags *tags)
{
	struct slice left = text;

	tags->n = 0;
	if (text.n == 0)
		return false;
	do {
		struct dkim_tag tag;

		if (!take_tag(&left, &tag))
			return false;
		for (size_t i = 0; i < tags->n; i++) {
			/* RFC 6376 3.2: one name twice and the whole list is invalid. */
			if (tags->tags[i].name.n == tag.name.n &&
			    memcmp(tags->tags[i].name.bytes, tag.name.bytes, tag.name.n) == 0)
				return false;
		}
		if (tags->n == DKIM_TAGS_MAX)
			return false;
		tags->tags[tags->n++] = tag;
	} while (left.n > 0);
	return true;
}

static bool is_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/* [FWS] name [FWS] "=" [FWS] value [FWS], and the ";" with space that may end the list */
static bool take_tag(struct slice *left, struct dkim_tag *tag)
{
	const char *end;
	struct slice rest;
	size_t n = 0;

	skip_space(left);
	while (n < left->n && (is_letter(left->bytes[n]) ||
				  (n > 0 && (left->bytes[n] == '_' ||
						(left->bytes[n] >= '0' && left->bytes[n] <= '9')))))
		n++;
	tag->name = (struct slice){ left->bytes, n };
	*left = (struct slice){ left->bytes + n, left->n - n };
	skip_space(left);
	if (n == 0 || left->n == 0 || left->bytes[0] != '=')
		return false;
	*left = (struct slice){ left->bytes + 1, left->n - 1 };
	end = memchr(left->bytes, ';', left->n);
	n = end == NULL ? left->n : (size_t)(end - left->bytes);
	tag->raw = tag->value = (struct slice){ left->bytes, n };
	*left = (struct slice){ left->bytes + n, left->n - n };
	if (left->n > 0)
		*left = (struct slice){ left->bytes + 1, left->n - 1 };
	if (!value_is_valid(tag->raw))
		return false;
	skip_space(&tag->value);
	drop_space(&tag->value);
	rest = *left;
	skip_space(&rest);
	if (rest.n == 0)
		left->n = 0;
	return true;
}

/* Printable bytes, spaces and tabs; CRLF only where white space follows: a fold. */
static bool value_is_valid(struct slice value)
{
	for (size_t i = 0; i < value.n; i++) {
		char c = value.bytes[i];

		if (c == ' ' || c == '\t' || (c > ' ' && c < 127))
			continue;
		if (c != '\r' || i + 2 >= value.n || value.bytes[i + 1] != '\n' ||
		    (value.bytes[i + 2] != ' ' && value.bytes[i + 2] != '\t'))
			return false;
		i++;
	}
	return true;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static void skip_space(struct slice *text)
{
	while (text->n > 0 && is_space(text->bytes[0]))
		*text = (struct slice){ text->bytes + 1, text->n - 1 };
}

static void drop_space(struct slice *text)
{
	while (text->n > 0 && is_space(text->bytes[text->n - 1]))
		text->n--;
}

const struct dkim_tag *dkim_tags_find(const struct dkim_tags *tags, const char *name)
{
	for (size_t i = 0; i < tags->n; i++) {
		if (slice_equals(tags->tags[i].name, name))
			return &tags->tags[i];
	}
	return NULL;
}

bool dkim_tag_base64(struct slice value, void *bytes, size_t max, size_t *n_bytes)
{
	size_t n_most = BASE64_ROOM(max), n = 0;
	char *text = mem_create(n_most + 1);
	uint8_t *decoded = mem_create(n_most);
	bool is_valid;

	for (size_t i = 0; i < value.n && n <= n_most; i++) {
		if (!is_space(value.bytes[i]))
			text[n++] = value.bytes[i];
	}
	is_valid =
	    n > 0 && n < n_most && base64_decode(text, n, decoded, n_bytes) && *n_bytes <= max;
	if (is_valid)
		memcpy(bytes, decoded, *n_bytes);
	free(decoded);
	free(text);
	return is_valid;
}
