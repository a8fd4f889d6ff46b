/*
 * One table of the parameters of MAIL, each with the function that reads its value.
 */
#include "smtp/parameters.h"

#include <string.h>

#include "relay/base/buffer.h"
#include "relay/base/number.h"

typedef bool read_value(struct smtp_parameters *p, struct slice value, struct outcome *why);

/* X(field, keyword) */
#define PARAMETERS(X)                                                                              \
	X(size, "SIZE")                                                                            \
	X(body, "BODY")                                                                            \
	X(auth, "AUTH")                                                                            \
	X(requiretls, "REQUIRETLS")

#define PROTOTYPE(field, keyword) static read_value read_##field;
PARAMETERS(PROTOTYPE)
#undef PROTOTYPE

static bool next_parameter(
    struct slice *rest, struct slice *keyword, struct slice *value, struct outcome *why);
static bool refuse_unknown(struct slice keyword, struct outcome *why);
static bool refuse_value(const char *what, struct outcome *why);

bool smtp_parameters_parse_mail(
    const char *text, size_t n, struct smtp_parameters *parameters, struct outcome *why)
{
	struct smtp_parameters *p = parameters;
	struct slice rest = { text, n }, keyword, value;

	*p = (struct smtp_parameters){ 0 };
	while (rest.n > 0) {
		if (!next_parameter(&rest, &keyword, &value, why))
			return false;
		if (keyword.n == 0)
			return true; /* spaces at the end */
#define READ(field, name)                                                                          \
	if (slice_equals_nocase(keyword, name)) {                                                  \
		if (p->has_##field)                                                                \
			return refuse_value(name " is said twice", why);                           \
		p->has_##field = true;                                                             \
		if (!read_##field(p, value, why))                                                  \
			return false;                                                              \
		continue;                                                                          \
	}
		PARAMETERS(READ)
#undef READ
		return refuse_unknown(keyword, why);
	}
	return true;
}

bool smtp_parameters_parse_rcpt(const char *text, size_t n, struct outcome *why)
{
	struct slice rest = { text, n }, keyword, value;

	if (!next_parameter(&rest, &keyword, &value, why))
		return false;
	return keyword.n == 0 || refuse_unknown(keyword, why);
}

static bool is_keyword(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		char c = s.bytes[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
			(c == '-' && i > 0)))
			return false;
	}
	return s.n > 0;
}

static bool is_value(struct slice s)
{
	for (size_t i = 0; i < s.n; i++) {
		if (s.bytes[i] <= ' ' || s.bytes[i] > '~' || s.bytes[i] == '=')
			return false;
	}
	return true;
}

/* esmtp-param, RFC 5321 4.1.2. value.bytes is NULL without a '='; keyword is empty at the end. */
static bool next_parameter(
    struct slice *rest, struct slice *keyword, struct slice *value, struct outcome *why)
{
	const char *equals;
	size_t n = 0;

	*keyword = *value = (struct slice){ 0 };
	if (rest->n > 0 && rest->bytes[0] != ' ')
		return refuse_value("a space is missing behind the address", why);
	while (rest->n > 0 && rest->bytes[0] == ' ')
		rest->bytes++, rest->n--;
	while (n < rest->n && rest->bytes[n] != ' ')
		n++;
	*keyword = (struct slice){ rest->bytes, n };
	rest->bytes += n;
	rest->n -= n;
	if (n == 0)
		return true;
	equals = memchr(keyword->bytes, '=', n);
	if (equals != NULL) {
		*value = (struct slice){ equals + 1, n - (size_t)(equals + 1 - keyword->bytes) };
		keyword->n = (size_t)(equals - keyword->bytes);
	}
	if (!is_keyword(*keyword) || !is_value(*value) || (equals != NULL && value->n == 0))
		return refuse_value("a parameter is malformed", why);
	return true;
}

static bool read_size(struct smtp_parameters *p, struct slice value, struct outcome *why)
{
	if (number_parse(value.bytes, value.n, UINT64_MAX, &p->size))
		return true;
	for (size_t i = 0; i < value.n; i++) {
		if (value.bytes[i] < '0' || value.bytes[i] > '9')
			return refuse_value("SIZE is not a number", why);
	}
	/* RFC 1870 4: up to 20 digits are well formed, and these are more than we can count. */
	if (value.n == 0 || value.n > 20)
		return refuse_value("SIZE is not a number of up to 20 digits", why);
	outcome_say(why, 552, "5.3.4", "message-too-large", "The message is too large");
	return false;
}

static bool read_body(struct smtp_parameters *p, struct slice value, struct outcome *why)
{
	(void)p;
	if (slice_equals_nocase(value, "8BITMIME") || slice_equals_nocase(value, "7BIT"))
		return true;
	if (!slice_equals_nocase(value, "BINARYMIME"))
		return refuse_value("BODY is neither 7BIT nor 8BITMIME", why);
	outcome_say(why, 504, "5.5.4", "parameter-not-offered",
	    "BODY=BINARYMIME needs CHUNKING, which is not offered");
	return false;
}

static bool is_hex(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'F');
}

/* xtext of RFC 3461 4, or "<>". */
static bool read_auth(struct smtp_parameters *p, struct slice value, struct outcome *why)
{
	(void)p;
	for (size_t i = 0; i < value.n; i++) {
		if (value.bytes[i] != '+')
			continue;
		if (value.n - i < 3 || !is_hex(value.bytes[i + 1]) || !is_hex(value.bytes[i + 2]))
			return refuse_value("AUTH is not xtext", why);
	}
	return value.n > 0 || refuse_value("AUTH has no value", why);
}

/* RFC 8689 2: no value belongs to it. */
static bool read_requiretls(struct smtp_parameters *p, struct slice value, struct outcome *why)
{
	(void)p;
	return value.bytes == NULL || refuse_value("REQUIRETLS takes no value", why);
}

static bool refuse_unknown(struct slice keyword, struct outcome *why)
{
	outcome_say(why, 555, "5.5.4", "parameter-not-offered", "The parameter %.*s is not offered",
	    (int)(keyword.n < 64 ? keyword.n : 64), keyword.bytes);
	return false;
}

static bool refuse_value(const char *what, struct outcome *why)
{
	outcome_say(why, 501, "5.5.4", "parameter-syntax", "Bad parameters: %s", what);
	return false;
}
