/*
 * MTA-STS records and policies, read as strictly as their grammar (RFC 8461 3.1, 3.2) says, since both
 * must say nothing else than what their owner meant; only empty lines of a policy, which do no
 * harm, and bytes beyond ASCII in fields that are passed over, are taken as well.
 */
#include "tls/sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/buffer.h"
#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/base/number.h"
#include "relay/base/text.h"

enum { NAME_MAX_LETTERS = 32, MAX_AGE_DIGITS = 10, SHOWN_MAX = 60 };

static bool is_record(const char *text);
static bool read_record(const char *text, char id[STS_ID_MAX]);
static bool read_record_field(struct slice field, char id[STS_ID_MAX]);
static bool next_line(struct slice *rest, struct slice *line);
static bool read_line(
    struct slice line, struct sts_policy *policy, unsigned *seen, const char **why);
static bool read_value(struct slice name, struct slice value, struct sts_policy *policy,
    unsigned *seen, const char **why);
static bool read_mode(struct slice value, enum sts_mode *mode);
static bool read_max_age(struct slice value, uint32_t *max_age_s);
static bool read_mx(struct slice value, struct sts_policy *policy);
static bool is_complete(const struct sts_policy *policy, unsigned seen, const char **why);
static bool is_field_name(struct slice name);
static bool is_record_value(struct slice value);
static bool is_space(char c);
static bool is_letter_or_digit(char c);
static struct slice trim(struct slice part);

/* What may stand once has stood. */
enum { SEEN_VERSION = 1, SEEN_MODE = 2, SEEN_MAX_AGE = 4 };

enum sts_record_kind sts_record_read(const char *const *texts, size_t n_texts, char id[STS_ID_MAX])
{
	const char *record = NULL;

	id[0] = '\0';
	for (size_t i = 0; i < n_texts; i++) {
		if (!is_record(texts[i]))
			continue;
		if (record != NULL)
			return STS_RECORD_NONE;
		record = texts[i];
	}
	if (record == NULL)
		return STS_RECORD_NONE;
	if (read_record(record, id))
		return STS_RECORD_GOOD;
	id[0] = '\0';
	return STS_RECORD_INVALID;
}

/* "v=STSv1;", where the grammar also has spaces before the semicolon. */
static bool is_record(const char *text)
{
	static const char version[] = "v=STSv1";

	if (strncmp(text, version, strlen(version)) != 0)
		return false;
	text += strlen(version);
	return text[strspn(text, " \t")] == ';';
}

/* The version is there. One semicolon may end the record, and spaces only stand around semicolons. */
static bool read_record(const char *text, char id[STS_ID_MAX])
{
	const char *at = strchr(text, ';') + 1;

	for (;;) {
		size_t n = strcspn(at, ";");
		bool is_last = at[n] == '\0';
		struct slice field = { at, n };

		if (is_last && at[strspn(at, " \t")] == '\0')
			break;
		while (field.n > 0 && is_space(*field.bytes))
			field = (struct slice){ field.bytes + 1, field.n - 1 };
		if (!is_last)
			field = trim(field);
		if (!read_record_field(field, id))
			return false;
		if (is_last)
			break;
		at += n + 1;
	}
	return id[0] != '\0';
}

static bool read_record_field(struct slice field, char id[STS_ID_MAX])
{
	const char *equals = memchr(field.bytes, '=', field.n);
	struct slice name, value;

	if (equals == NULL)
		return false;
	name = (struct slice){ field.bytes, (size_t)(equals - field.bytes) };
	value = (struct slice){ equals + 1, field.n - name.n - 1 };
	if (!is_field_name(name) || !is_record_value(value))
		return false;
	/* RFC 8461 3.2, the last paragraph: of a field that stands twice, the first. */
	if (!slice_equals(name, "id") || id[0] != '\0')
		return true;
	if (value.n >= STS_ID_MAX)
		return false;
	for (size_t i = 0; i < value.n; i++) {
		if (!is_letter_or_digit(value.bytes[i]))
			return false;
	}
	memcpy(id, value.bytes, value.n);
	id[value.n] = '\0';
	return true;
}

bool sts_policy_read(const char *text, size_t n, struct sts_policy *policy, char *why, size_t room)
{
	struct slice rest = { text, n }, line;
	char shown[SHOWN_MAX];
	const char *problem = NULL;
	unsigned seen = 0, number = 0;

	*policy = (struct sts_policy){ .mode = STS_MODE_NONE };
	if (room > 0)
		why[0] = '\0';
	if (n > STS_POLICY_MAX) {
		snprintf(why, room, "the policy is longer than %d bytes", STS_POLICY_MAX);
		return false;
	}
	while (next_line(&rest, &line)) {
		number++;
		if (read_line(line, policy, &seen, &problem))
			continue;
		snprintf(why, room, "line %u of the policy, \"%s\", %s", number,
		    log_escape(line.bytes, line.n, shown, sizeof shown), problem);
		sts_policy_finish(policy);
		return false;
	}
	if (is_complete(policy, seen, &problem))
		return true;
	snprintf(why, room, "the policy %s", problem);
	sts_policy_finish(policy);
	return false;
}

/* Lines end with LF or CRLF; the last one may end without. */
static bool next_line(struct slice *rest, struct slice *line)
{
	const char *end;

	if (rest->n == 0)
		return false;
	end = memchr(rest->bytes, '\n', rest->n);
	line->bytes = rest->bytes;
	line->n = end != NULL ? (size_t)(end - rest->bytes) : rest->n;
	rest->bytes += line->n + (end != NULL);
	rest->n -= line->n + (end != NULL);
	if (end != NULL && line->n > 0 && line->bytes[line->n - 1] == '\r')
		line->n--;
	return true;
}

static bool read_line(
    struct slice line, struct sts_policy *policy, unsigned *seen, const char **why)
{
	const char *colon;
	struct slice name, value;

	line = trim(line);
	if (line.n == 0)
		return true;
	for (size_t i = 0; i < line.n; i++) {
		if (((unsigned char)line.bytes[i] < ' ' && line.bytes[i] != '\t') ||
		    line.bytes[i] == 0x7f) {
			*why = "has a control character in it";
			return false;
		}
	}
	colon = memchr(line.bytes, ':', line.n);
	if (colon == NULL) {
		*why = "has no colon";
		return false;
	}
	name = (struct slice){ line.bytes, (size_t)(colon - line.bytes) };
	value = (struct slice){ colon + 1, line.n - name.n - 1 };
	while (value.n > 0 && is_space(*value.bytes))
		value = (struct slice){ value.bytes + 1, value.n - 1 };
	if (!is_field_name(name) || value.n == 0) {
		*why = "is not a name, a colon and a value";
		return false;
	}
	return read_value(name, value, policy, seen, why);
}

static bool read_value(struct slice name, struct slice value, struct sts_policy *policy,
    unsigned *seen, const char **why)
{
	unsigned which = slice_equals(name, "version")   ? SEEN_VERSION
			 : slice_equals(name, "mode")    ? SEEN_MODE
			 : slice_equals(name, "max_age") ? SEEN_MAX_AGE
							 : 0;

	if (slice_equals(name, "mx")) {
		*why =
		    "names no host: letters, digits, hyphens and dots, perhaps \"*.\" before them";
		return read_mx(value, policy);
	}
	if (which == 0 || (*seen & which) != 0)
		return true;
	*seen |= which;
	switch (which) {
	case SEEN_VERSION: *why = "is not \"STSv1\""; return slice_equals(value, "STSv1");
	case SEEN_MODE:
		*why = "is not \"enforce\", \"testing\" or \"none\"";
		return read_mode(value, &policy->mode);
	default:
		*why = "is not a number of seconds of at most ten digits";
		return read_max_age(value, &policy->max_age_s);
	}
}

static bool read_mode(struct slice value, enum sts_mode *mode)
{
#define X(symbol, word)                                                                            \
	if (slice_equals(value, word)) {                                                           \
		*mode = symbol;                                                                    \
		return true;                                                                       \
	}
	STS_MODES(X)
#undef X
	return false;
}

/* Whoever asks for more than the longest time that there is gets that. */
static bool read_max_age(struct slice value, uint32_t *max_age_s)
{
	uint64_t number;

	if (value.n > MAX_AGE_DIGITS || !number_parse(value.bytes, value.n, UINT64_MAX, &number))
		return false;
	*max_age_s = number > STS_AGE_MAX ? STS_AGE_MAX : (uint32_t)number;
	return true;
}

/* RFC 8461 3.2: A-labels, never U-labels. */
static bool read_mx(struct slice value, struct sts_policy *policy)
{
	bool has_star = value.n > 2 && memcmp(value.bytes, "*.", 2) == 0;
	struct slice name = has_star ? (struct slice){ value.bytes + 2, value.n - 2 } : value;
	char host[DOMAIN_MAX];

	for (size_t i = 0; i < name.n; i++) {
		if ((unsigned char)name.bytes[i] >= 0x80)
			return false;
	}
	if (!domain_canonical(name.bytes, name.n, host))
		return false;
	if (policy->n_mx == STS_MX_MAX)
		return true;
	policy->mx = mem_resize(policy->mx, policy->n_mx + 1, sizeof *policy->mx);
	policy->mx[policy->n_mx++] = mem_print("%s%s", has_star ? "*." : "", host);
	return true;
}

static bool is_complete(const struct sts_policy *policy, unsigned seen, const char **why)
{
	*why = (seen & SEEN_VERSION) == 0   ? "has no version"
	       : (seen & SEEN_MODE) == 0    ? "has no mode"
	       : (seen & SEEN_MAX_AGE) == 0 ? "has no max_age"
	       : policy->n_mx == 0 && policy->mode != STS_MODE_NONE
		   ? "has no mx, which every mode but none needs"
		   : NULL;
	return *why == NULL;
}

void sts_policy_copy(struct sts_policy *to, const struct sts_policy *from)
{
	*to = *from;
	to->mx = text_copy_list(from->mx, from->n_mx);
}

void sts_policy_finish(struct sts_policy *policy)
{
	text_free_list(policy->mx, policy->n_mx);
	*policy = (struct sts_policy){ .mode = STS_MODE_NONE };
}

bool sts_policy_allows(const struct sts_policy *policy, const char *host)
{
	for (size_t i = 0; i < policy->n_mx; i++) {
		if (domain_matches(policy->mx[i], host))
			return true;
	}
	return false;
}

const char *sts_mode_name(enum sts_mode mode)
{
	static const char *const names[] = {
#define X(symbol, word) [symbol] = word,
		STS_MODES(X)
#undef X
	};

	return names[mode];
}

/* Of an extension, and so of every field: RFC 8461 3.1 sts-ext-name, 3.2 sts-policy-ext-name. */
static bool is_field_name(struct slice name)
{
	if (name.n == 0 || name.n > NAME_MAX_LETTERS || !is_letter_or_digit(name.bytes[0]))
		return false;
	for (size_t i = 1; i < name.n; i++) {
		if (!is_letter_or_digit(name.bytes[i]) && memchr("_-.", name.bytes[i], 3) == NULL)
			return false;
	}
	return true;
}

/* sts-ext-value: what can be seen, without "=" and ";". */
static bool is_record_value(struct slice value)
{
	for (size_t i = 0; i < value.n; i++) {
		if (value.bytes[i] <= ' ' || value.bytes[i] > '~' || value.bytes[i] == '=')
			return false;
	}
	return value.n > 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t';
}

static bool is_letter_or_digit(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Without the spaces at its end. */
static struct slice trim(struct slice part)
{
	while (part.n > 0 && is_space(part.bytes[part.n - 1]))
		part.n--;
	return part;
}
