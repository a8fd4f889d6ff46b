/*
 * One pass from '<' to '>': the local part up to its '@', then the domain up to the bracket.
 */
#include "smtp/path.h"

#include <string.h>

/* What is read, and where. */
struct path {
	const char *text;
	size_t n, at;
	enum smtp_path_kind kind;
	struct outcome *why;
};

static bool take_local(struct path *p, struct smtp_address *address);
static bool take_dot_atom(struct path *p, struct smtp_address *address);
static bool take_quoted(struct path *p, struct smtp_address *address);
static bool take_domain(struct path *p, struct smtp_address *address);
static bool refuse(struct path *p, int code, const char *name, const char *what);

static int peek(const struct path *p)
{
	return p->at < p->n ? (unsigned char)p->text[p->at] : -1;
}

bool smtp_path_parse(const char *text, size_t n, enum smtp_path_kind kind,
    struct smtp_address *address, size_t *n_used, struct outcome *why)
{
	struct path path = { .text = text, .n = n, .kind = kind, .why = why }, *p = &path;

	*address = (struct smtp_address){ 0 };
	if (peek(p) != '<')
		return refuse(p, 501, "address-syntax", "write the address in angle brackets");
	p->at++;
	if (peek(p) == '>' && kind == SMTP_PATH_REVERSE) {
		*n_used = 2;
		return true;
	}
	if (peek(p) == '@')
		return refuse(p, 553, "source-route", "source routes are refused");
	if (!take_local(p, address) || !take_domain(p, address))
		return false;
	smtp_address_write(address);
	*n_used = p->at;
	return true;
}

static bool take_local(struct path *p, struct smtp_address *address)
{
	bool taken = peek(p) == '"' ? take_quoted(p, address) : take_dot_atom(p, address);

	if (!taken)
		return false;
	if (address->local[0] == '\0')
		return refuse(p, 501, "address-syntax", "the part before '@' is empty");
	if (peek(p) == '>')
		return refuse(p, 501, "address-syntax", "the address has no '@' and domain");
	if (peek(p) != '@')
		return refuse(p, 501, "address-syntax",
		    "the part before '@' holds a character that must be quoted");
	p->at++;
	return true;
}

/*
 * Adds c to the local part, n bytes of which are written so. The limit is on what was written,
 * quotes and all (RFC 5321 4.5.3.1.1).
 */
static bool add_local(struct path *p, struct smtp_address *address, size_t n, int c)
{
	size_t end = strlen(address->local);

	if (c >= 0x80)
		return refuse(p, p->kind == SMTP_PATH_REVERSE ? 550 : 553, "address-not-ascii",
		    "the part before '@' is not ASCII, and SMTPUTF8 is not offered");
	if (n > SMTP_LOCAL_MAX - 1)
		return refuse(p, 501, "address-syntax", "the part before '@' is over 64 bytes");
	address->local[end] = (char)c;
	address->local[end + 1] = '\0';
	return true;
}

static bool take_dot_atom(struct path *p, struct smtp_address *address)
{
	size_t begin = p->at;
	int c;

	while ((c = peek(p)) >= 0x80 || c == '.' || (c >= 0 && smtp_is_atext((char)c))) {
		p->at++;
		if (!add_local(p, address, p->at - begin, c))
			return false;
	}
	if (address->local[0] != '\0' && !smtp_is_dot_string(address->local))
		return refuse(p, 501, "address-syntax",
		    "the part before '@' has a dot at an end, or two in a row");
	return true;
}

/* RFC 5321 Quoted-string: printable, '\' before any of them. */
static bool take_quoted(struct path *p, struct smtp_address *address)
{
	size_t begin = p->at++;
	int c;

	while ((c = peek(p)) != '"') {
		if (c == '\\') {
			p->at++;
			c = peek(p);
		}
		if (c < ' ' || c == 0x7f)
			return refuse(p, 501, "address-syntax",
			    "the quoted part before '@' does not end, or holds a control character");
		p->at++;
		if (!add_local(p, address, p->at + strlen("\"") - begin, c))
			return false;
	}
	p->at++;
	return true;
}

static bool take_domain(struct path *p, struct smtp_address *address)
{
	const char *begin = p->text + p->at;
	const char *end = memchr(begin, '>', p->n - p->at);
	size_t n;

	if (end == NULL)
		return refuse(p, 501, "address-syntax", "the address does not end with '>'");
	n = (size_t)(end - begin);
	p->at += n + 1;
	if (n > 0 && begin[0] == '[')
		return refuse(p, 553, "address-literal",
		    "an address literal is refused, write a domain name");
	if (memchr(begin, '@', n) != NULL)
		return refuse(p, 501, "address-syntax", "the address has more than one '@'");
	if (n > 0 && end[-1] == '.')
		return refuse(p, 501, "address-syntax", "the domain ends with a dot");
	if (!domain_canonical(begin, n, address->domain))
		return refuse(p, 501, "address-syntax", "the domain is not a valid host name");
	return true;
}

static bool refuse(struct path *p, int code, const char *name, const char *what)
{
	const char *enhanced = p->kind == SMTP_PATH_REVERSE ? "5.1.7" : "5.1.3";

	if (strcmp(name, "address-not-ascii") == 0)
		enhanced = "5.6.7";
	outcome_say(p->why, code, enhanced, name, "%s: %s",
	    p->kind == SMTP_PATH_REVERSE ? "Bad sender address" : "Bad recipient address", what);
	return false;
}

bool smtp_path_can_hold(const char *text)
{
	bool quoted = false;

	for (const char *c = text; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			return false;
		if (!quoted && (*c == ' ' || *c == '<' || *c == '>'))
			return false;
		if (quoted && *c == '\\' && (unsigned char)c[1] >= ' ' && c[1] != 0x7f)
			c++;
		else if (*c == '"')
			quoted = !quoted;
	}
	return !quoted;
}
