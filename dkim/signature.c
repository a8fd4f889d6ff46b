/*
 * One reader for each tag, in a table; the first tag that is wrong ends it.
 */
#include "dkim/signature.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "dkim/tags.h"
#include "relay/base/number.h"

enum { TIME_DIGITS_MAX = 12 }; /* RFC 6376 3.5: what t= and x= must at least hold */

static bool read_version(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_algorithm(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_signature(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_body_hash(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_forms(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_domain(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_names(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_identity(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_length(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_query(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_selector(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_time(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool read_expiry(struct slice value, struct dkim_signature *s, char *why, size_t room);
static bool say(char *why, size_t room, const char *text);

/* The tags of RFC 6376 3.5 that mean something to us. d= stands before i=, which is measured by it. */
static const struct {
	const char *name;
	bool is_required;
	bool (*read)(struct slice value, struct dkim_signature *s, char *why, size_t room);
} known_tags[] = {
	{ "v", true, read_version },
	{ "a", true, read_algorithm },
	{ "b", true, read_signature },
	{ "bh", true, read_body_hash },
	{ "c", false, read_forms },
	{ "d", true, read_domain },
	{ "h", true, read_names },
	{ "i", false, read_identity },
	{ "l", false, read_length },
	{ "q", false, read_query },
	{ "s", true, read_selector },
	{ "t", false, read_time },
	{ "x", false, read_expiry },
};

bool dkim_signature_parse(
    struct slice field, struct dkim_signature *signature, char *why, size_t room)
{
	const char *colon = memchr(field.bytes, ':', field.n);
	struct dkim_tags tags;
	size_t n_name;

	memset(signature, 0, sizeof *signature);
	if (colon == NULL)
		return say(why, room, "not a header field");
	n_name = (size_t)(colon - field.bytes) + 1;
	if (!dkim_tags_parse((struct slice){ colon + 1, field.n - n_name }, &tags))
		return say(why, room, "not a list of tags (RFC 6376 3.2)");
	for (size_t i = 0; i < sizeof known_tags / sizeof *known_tags; i++) {
		const struct dkim_tag *tag = dkim_tags_find(&tags, known_tags[i].name);

		if (tag == NULL && known_tags[i].is_required) {
			snprintf(why, room, "tag %s= is missing", known_tags[i].name);
			return false;
		}
		if (tag != NULL && !known_tags[i].read(tag->value, signature, why, room))
			return false;
	}
	signature->raw_signature = dkim_tags_find(&tags, "b")->raw;
	return true;
}

static bool say(char *why, size_t room, const char *text)
{
	snprintf(why, room, "%s", text);
	return false;
}

static bool read_version(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	(void)s;
	return slice_equals(value, "1") || say(why, room, "v= is not 1");
}

static bool read_algorithm(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	if (slice_equals_nocase(value, dkim_algorithm_name(DKIM_RSA_SHA256)))
		s->algorithm = DKIM_RSA_SHA256;
	else if (slice_equals_nocase(value, dkim_algorithm_name(DKIM_ED25519_SHA256)))
		s->algorithm = DKIM_ED25519_SHA256;
	else if (slice_equals_nocase(value, "rsa-sha1"))
		return say(why, room, "a=rsa-sha1 must not be believed (RFC 8301 3.1)");
	else
		return say(why, room, "a= names an algorithm we don't know");
	return true;
}

static bool read_signature(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	return dkim_tag_base64(value, s->signature, sizeof s->signature, &s->n_signature) ||
	       say(why, room, "b= is not a signature in base64");
}

static bool read_body_hash(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	size_t n;

	return (dkim_tag_base64(value, s->body_hash, sizeof s->body_hash, &n) &&
		   n == sizeof s->body_hash) ||
	       say(why, room, "bh= is not a SHA-256 in base64");
}

static bool read_form(struct slice text, enum dkim_canonical *form)
{
	bool is_relaxed = slice_equals_nocase(text, "relaxed");

	*form = is_relaxed ? DKIM_RELAXED : DKIM_SIMPLE;
	return is_relaxed || slice_equals_nocase(text, "simple");
}

/* header/body; without the second, that is simple. Both are without c=: so it is zero above. */
static bool read_forms(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	const char *slash = memchr(value.bytes, '/', value.n);
	size_t n = slash == NULL ? value.n : (size_t)(slash - value.bytes);

	if (read_form((struct slice){ value.bytes, n }, &s->header_form) &&
	    (slash == NULL ||
		read_form((struct slice){ slash + 1, value.n - n - 1 }, &s->body_form)))
		return true;
	return say(why, room, "c= names a canonical form we don't know");
}

static bool read_domain(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	return domain_canonical(value.bytes, value.n, s->domain) ||
	       say(why, room, "d= is not a domain");
}

static bool read_names(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	struct slice left = value, name;
	bool has_from = false;

	while (dkim_signature_next_name(&left, &name)) {
		if (name.n == 0)
			return say(why, room, "h= has a name of nothing");
		for (size_t i = 0; i < name.n; i++) {
			if (name.bytes[i] <= ' ' || name.bytes[i] == 127)
				return say(why, room, "h= has a name with a space in it");
		}
		has_from = has_from || slice_equals_nocase(name, "from");
	}
	s->signed_names = value;
	return has_from || say(why, room, "h= does not cover From (RFC 6376 5.4)");
}

/* RFC 6376 3.5: the domain of i= is that of d= or below it. */
static bool read_identity(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	const char *at = memrchr(value.bytes, '@', value.n);
	char domain[DOMAIN_MAX];

	if (at == NULL ||
	    !domain_canonical(at + 1, value.n - (size_t)(at + 1 - value.bytes), domain) ||
	    !domain_is_within(domain, s->domain))
		return say(why, room, "i= is not an address in or below d=");
	s->identity_is_below = strcmp(domain, s->domain) != 0;
	return true;
}

static bool read_length(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	(void)value, (void)why, (void)room;
	s->has_length = true;
	return true;
}

static bool read_query(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	struct slice left = value, method;

	(void)s;
	while (dkim_signature_next_name(&left, &method)) {
		if (slice_equals_nocase(method, "dns/txt"))
			return true;
	}
	return say(why, room, "q= asks for the key elsewhere than in the DNS");
}

static bool read_selector(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	if (!dkim_selector_is_valid(value.bytes, value.n))
		return say(why, room, "s= is not a selector");
	memcpy(s->selector, value.bytes, value.n);
	s->selector[value.n] = '\0';
	return true;
}

static bool read_seconds(struct slice value, uint64_t *seconds)
{
	return value.n <= TIME_DIGITS_MAX &&
	       number_parse(value.bytes, value.n, UINT64_MAX, seconds);
}

static bool read_time(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	s->has_time = read_seconds(value, &s->time_s);
	return s->has_time || say(why, room, "t= is not a time");
}

static bool read_expiry(struct slice value, struct dkim_signature *s, char *why, size_t room)
{
	s->has_expiry = read_seconds(value, &s->expiry_s);
	if (!s->has_expiry)
		return say(why, room, "x= is not a time");
	return !s->has_time || s->expiry_s > s->time_s || say(why, room, "x= is not after t=");
}

bool dkim_signature_next_name(struct slice *names, struct slice *name)
{
	const char *colon;

	if (names->bytes == NULL)
		return false;
	colon = memchr(names->bytes, ':', names->n);
	*name = (struct slice){ names->bytes,
		colon == NULL ? names->n : (size_t)(colon - names->bytes) };
	if (colon == NULL)
		*names = (struct slice){ 0 };
	else
		*names = (struct slice){ colon + 1, names->n - name->n - 1 };
	while (name->n > 0 && strchr(" \t\r\n", name->bytes[0]) != NULL)
		*name = (struct slice){ name->bytes + 1, name->n - 1 };
	while (name->n > 0 && strchr(" \t\r\n", name->bytes[name->n - 1]) != NULL)
		name->n--;
	return true;
}
