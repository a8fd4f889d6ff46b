/*
 * Each line of an EHLO reply is a keyword and parameters, a space between.
 */
#include "smtp/capability.h"

#include <ctype.h>
#include <string.h>

#include "relay/base/number.h"

static void read_line(struct smtp_capability *c, struct slice line, unsigned *n_limits);
static struct slice next_word(struct slice *rest);
static void read_size(struct smtp_capability *c, struct slice parameters);
static void read_auth(struct smtp_capability *c, struct slice parameters);
static bool read_limits(struct smtp_capability *c, struct slice parameters);

void smtp_capability_none(struct smtp_capability *c)
{
	*c = (struct smtp_capability){ 0 };
}

void smtp_capability_read(struct smtp_capability *c, const struct smtp_reply *ehlo)
{
	unsigned n_limits = 0;

	smtp_capability_none(c);
	for (size_t i = 1; i < ehlo->n_lines; i++)
		read_line(c, smtp_reply_line(ehlo, i), &n_limits);
}

static void read_line(struct smtp_capability *c, struct slice line, unsigned *n_limits)
{
	struct slice keyword = next_word(&line);

#define READ(field, name)                                                                          \
	if (slice_equals_nocase(keyword, name))                                                    \
		c->field = true;
	SMTP_CAPABILITIES(READ)
#undef READ
	if (slice_equals_nocase(keyword, "SIZE"))
		read_size(c, line);
	if (slice_equals_nocase(keyword, "AUTH"))
		read_auth(c, line);
	/* RFC 9422 3: said twice, or not in form, it is as if it was not said. */
	if (slice_equals_nocase(keyword, "LIMITS") && (++*n_limits > 1 || !read_limits(c, line)))
		c->mail_max = c->recipient_max = c->recipient_domain_max = 0;
}

static struct slice next_word(struct slice *rest)
{
	struct slice word;

	while (rest->n > 0 && rest->bytes[0] == ' ')
		rest->bytes++, rest->n--;
	word = (struct slice){ rest->bytes, 0 };
	while (word.n < rest->n && rest->bytes[word.n] != ' ')
		word.n++;
	rest->bytes += word.n;
	rest->n -= word.n;
	return word;
}

/* RFC 1870 4: the number may be missing, and 0 is no limit. */
static void read_size(struct smtp_capability *c, struct slice parameters)
{
	struct slice word = next_word(&parameters);
	uint64_t size = 0;

	if (word.n > 0 && !number_parse(word.bytes, word.n, UINT64_MAX, &size))
		return;
	c->size = true;
	c->size_max = size;
}

static void read_auth(struct smtp_capability *c, struct slice parameters)
{
	size_t n = strlen(c->auth);
	struct slice word;

	while ((word = next_word(&parameters)).n > 0 && n + 1 + word.n < sizeof c->auth) {
		if (n > 0)
			c->auth[n++] = ' ';
		for (size_t i = 0; i < word.n; i++)
			c->auth[n++] = (char)toupper((unsigned char)word.bytes[i]);
		c->auth[n] = '\0';
	}
}

/* RFC 9422 3: NAME=VALUE, our three names with a number of at least 1; others are passed over. */
static bool read_limits(struct smtp_capability *c, struct slice parameters)
{
	struct {
		const char *name;
		uint64_t *limit;
	} known[] = {
		{ "MAILMAX", &c->mail_max },
		{ "RCPTMAX", &c->recipient_max },
		{ "RCPTDOMAINMAX", &c->recipient_domain_max },
	};
	struct slice word;

	while ((word = next_word(&parameters)).n > 0) {
		const char *equals = memchr(word.bytes, '=', word.n);
		struct slice name, value;

		if (equals == NULL || equals == word.bytes)
			return false;
		name = (struct slice){ word.bytes, (size_t)(equals - word.bytes) };
		value = (struct slice){ equals + 1, word.n - name.n - 1 };
		for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
			if (!slice_equals_nocase(name, known[i].name))
				continue;
			if (*known[i].limit != 0 ||
			    !number_parse(value.bytes, value.n, 999999, known[i].limit) ||
			    *known[i].limit == 0)
				return false;
		}
	}
	return true;
}
