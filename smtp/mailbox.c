/*
 * A recursive-descent reader of RFC 5322 mailbox-list, without the obsolete forms and without
 * recursion: comments count their depth. An address is one unbroken run of characters; whatever
 * is not certainly an address or certainly a display name is refused where it stands.
 */
#include "smtp/mailbox.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

enum { LOCAL_WRITTEN_MAX = 64 }; /* RFC 5321 4.5.3.1.1, quotes included */

struct reader {
	const char *at, *end;
	const char *field;
	struct outcome *why;
};

static bool read_mailbox(struct reader *r, struct smtp_address *address);
static bool read_angle(struct reader *r, struct smtp_address *address);
static bool read_address(struct reader *r, struct smtp_address *address);
static bool read_local(struct reader *r, struct smtp_address *address);
static bool read_quoted_local(struct reader *r, struct slice written, struct smtp_address *address);
static bool read_domain(struct reader *r, struct smtp_address *address);
static bool skip_phrase(struct reader *r);
static bool skip_quoted(struct reader *r);
static bool skip_blank(struct reader *r);
static bool skip_comment(struct reader *r);
static bool skip_fold(struct reader *r);
static bool skip_pair(struct reader *r);
static const char *end_of_word(const struct reader *r);
static bool is_atom_letter(char c);
static bool is_control(char c);
static bool refuse(struct reader *r, const char *name, const char *what);
static bool refuse_control(struct reader *r);

bool mailbox_parse(
    struct mailbox_list *list, const char *field, struct slice value, struct outcome *why)
{
	struct reader r = { value.bytes, value.bytes + value.n, field, why };
	size_t room = 0;

	*list = (struct mailbox_list){ 0 };
	if (!skip_blank(&r))
		return false;
	if (r.at == r.end)
		return refuse(&r, "mailbox-empty", "contains no address");
	for (;;) {
		if (list->n_addresses == MAILBOX_LIST_MAX) {
			refuse(&r, "mailbox-too-many", "contains more than 100 addresses");
			goto fail;
		}
		if (list->n_addresses == room) {
			room = room > 0 ? room * 4 : 1;
			list->addresses =
			    mem_resize(list->addresses, room, sizeof *list->addresses);
		}
		if (!skip_blank(&r) || !read_mailbox(&r, &list->addresses[list->n_addresses]) ||
		    !skip_blank(&r))
			goto fail;
		list->n_addresses++;
		if (r.at == r.end)
			return true;
		if (*r.at++ != ',') {
			refuse(&r, "mailbox-syntax", "has something behind an address");
			goto fail;
		}
	}
fail:
	mailbox_list_finish(list);
	return false;
}

void mailbox_list_finish(struct mailbox_list *list)
{
	free(list->addresses);
	*list = (struct mailbox_list){ 0 };
}

/* name-addr or addr-spec; the first word and what follows it tell which. */
static bool read_mailbox(struct reader *r, struct smtp_address *address)
{
	const char *word_end = end_of_word(r);

	*address = (struct smtp_address){ 0 };
	if (word_end < r->end && *word_end == '@')
		return read_address(r, address);
	return skip_phrase(r) && read_angle(r, address);
}

static bool read_angle(struct reader *r, struct smtp_address *address)
{
	assert(r->at < r->end && *r->at == '<');
	r->at++;
	if (r->at < r->end && *r->at == '@')
		return refuse(r, "mailbox-route", "contains a source route");
	if (!read_address(r, address))
		return false;
	if (r->at == r->end || *r->at != '>')
		return refuse(r, "mailbox-syntax", "has no '>' directly behind an address");
	r->at++;
	return true;
}

static bool read_address(struct reader *r, struct smtp_address *address)
{
	if (!read_local(r, address))
		return false;
	if (r->at == r->end || *r->at != '@')
		return refuse(r, "mailbox-syntax",
		    "has something that is not an address where an address must be");
	r->at++;
	if (!read_domain(r, address))
		return false;
	smtp_address_write(address);
	return true;
}

static bool read_local(struct reader *r, struct smtp_address *address)
{
	struct slice written = { r->at, (size_t)(end_of_word(r) - r->at) };

	for (size_t i = 0; i < written.n; i++) {
		if ((unsigned char)written.bytes[i] >= 0x80) {
			outcome_say(r->why, 550, "5.6.7", "mailbox-local-8bit",
			    "The %s field has an address with 8-bit characters before its @; "
			    "internationalised addresses are not accepted here",
			    r->field);
			return false;
		}
	}
	if (written.n > LOCAL_WRITTEN_MAX)
		return refuse(r, "mailbox-local", "has more than 64 characters before an @");
	r->at += written.n;
	if (written.n > 0 && written.bytes[0] == '"')
		return read_quoted_local(r, written, address);
	if (memmem(written.bytes, written.n, "=?", 2) != NULL)
		return refuse(
		    r, "mailbox-encoded-word", "has an encoded word in place of an address");
	memcpy(address->local, written.bytes, written.n);
	if (!smtp_is_dot_string(address->local))
		return refuse(r, "mailbox-local", "has an address that does not begin correctly");
	return true;
}

static bool read_quoted_local(struct reader *r, struct slice written, struct smtp_address *address)
{
	size_t n = 0;

	if (written.n < 2 || written.bytes[written.n - 1] != '"')
		return refuse(r, "mailbox-syntax", "has a quoted string without an end");
	for (size_t i = 1; i < written.n - 1; i++) {
		if (written.bytes[i] == '\\')
			i++;
		if (is_control(written.bytes[i]) || written.bytes[i] == '\t')
			return refuse_control(r);
		address->local[n++] = written.bytes[i];
	}
	if (n == 0)
		return refuse(r, "mailbox-local", "has an address with nothing before its @");
	if (memmem(address->local, n, "=?", 2) != NULL)
		return refuse(
		    r, "mailbox-encoded-word", "has an encoded word in place of an address");
	return true;
}

static bool read_domain(struct reader *r, struct smtp_address *address)
{
	const char *start = r->at;
	size_t n;

	if (r->at < r->end && *r->at == '[')
		return refuse(r, "mailbox-literal", "has an address at [...] instead of a domain");
	while (r->at < r->end && (is_atom_letter(*r->at) || *r->at == '.'))
		r->at++;
	n = (size_t)(r->at - start);
	if (memmem(start, n, "=?", 2) != NULL)
		return refuse(
		    r, "mailbox-encoded-word", "has an encoded word in place of a domain");
	/* The root's dot is right in DNS and wrong in mail (RFC 5321 4.1.2). */
	if (n == 0 || start[n - 1] == '.' || !domain_canonical(start, n, address->domain))
		return refuse(r, "mailbox-domain", "has an address without a valid domain");
	return true;
}

/*
 * A display name, maybe empty, up to its '<'. Everything that ends it otherwise is refused, by the
 * name of what it most likely is.
 */
static bool skip_phrase(struct reader *r)
{
	bool is_encoded = r->end - r->at >= 2 && memcmp(r->at, "=?", 2) == 0;
	bool has_word = false;

	for (;;) {
		if (!skip_blank(r))
			return false;
		if (r->at == r->end)
			break;
		if (*r->at == '"') {
			if (!skip_quoted(r))
				return false;
		} else if (is_atom_letter(*r->at)) {
			while (r->at < r->end && is_atom_letter(*r->at))
				r->at++;
		} else if (*r->at == '.' && has_word) {
			r->at++; /* RFC 5322 4.1 obs-phrase: "J. Doe" */
		} else {
			break;
		}
		has_word = true;
	}
	if (r->at < r->end && *r->at == '<')
		return true;
	if (r->at < r->end && is_control(*r->at))
		return refuse_control(r);
	if (r->at < r->end && (*r->at == ':' || *r->at == ';'))
		return refuse(r, "mailbox-group", "contains a group; write its addresses singly");
	if (is_encoded)
		return refuse(
		    r, "mailbox-encoded-word", "has an encoded word in place of an address");
	return refuse(
	    r, "mailbox-syntax", "has something that is not an address where an address must be");
}

static bool skip_quoted(struct reader *r)
{
	r->at++;
	while (r->at < r->end && *r->at != '"') {
		if (*r->at == '\\' ? !skip_pair(r) : !skip_fold(r))
			return false;
	}
	if (r->at == r->end)
		return refuse(r, "mailbox-syntax", "has a quoted string without an end");
	r->at++;
	return true;
}

/* CFWS, as much as there is. */
static bool skip_blank(struct reader *r)
{
	while (r->at < r->end) {
		if (*r->at == '(') {
			if (!skip_comment(r))
				return false;
		} else if (*r->at == ' ' || *r->at == '\t' || *r->at == '\r') {
			if (!skip_fold(r))
				return false;
		} else {
			break;
		}
	}
	return true;
}

static bool skip_comment(struct reader *r)
{
	unsigned depth = 0;

	do {
		if (*r->at == '\\') {
			if (!skip_pair(r))
				return false;
			continue;
		}
		if (*r->at == '(' && ++depth > MAILBOX_COMMENT_DEPTH)
			return refuse(r, "mailbox-comment", "has comments nested too deep");
		if (*r->at == ')')
			depth--;
		if (!skip_fold(r))
			return false;
	} while (depth > 0 && r->at < r->end);
	if (depth > 0)
		return refuse(r, "mailbox-comment", "has a comment without an end");
	return true;
}

/* One character, or CRLF with the white space that must follow it. */
static bool skip_fold(struct reader *r)
{
	if (r->end - r->at >= 3 && memcmp(r->at, "\r\n", 2) == 0 &&
	    (r->at[2] == ' ' || r->at[2] == '\t')) {
		r->at += 3;
		return true;
	}
	if (is_control(*r->at))
		return refuse_control(r);
	r->at++;
	return true;
}

static bool skip_pair(struct reader *r)
{
	if (r->end - r->at < 2 || is_control(r->at[1]))
		return refuse(r, "mailbox-syntax", "has a backslash with nothing to quote");
	r->at += 2;
	return true;
}

/* Past a quoted string, or past a run of atoms and dots; looks only. */
static const char *end_of_word(const struct reader *r)
{
	const char *c = r->at;

	if (c < r->end && *c == '"') {
		for (c++; c < r->end && *c != '"'; c++) {
			if (*c == '\\' && c + 1 < r->end)
				c++;
		}
		return c < r->end ? c + 1 : c;
	}
	while (c < r->end && (is_atom_letter(*c) || *c == '.'))
		c++;
	return c;
}

/* And 8-bit letters, of which header_parse() has decided. */
static bool is_atom_letter(char c)
{
	return (unsigned char)c >= 0x80 || smtp_is_atext(c);
}

static bool is_control(char c)
{
	return ((unsigned char)c < ' ' && c != '\t') || c == 0x7f;
}

static bool refuse(struct reader *r, const char *name, const char *what)
{
	outcome_say(r->why, 554, "5.6.0", name,
	    "The %s field %s; write it as \"Name <local@domain>\"", r->field, what);
	return false;
}

static bool refuse_control(struct reader *r)
{
	return refuse(r, "mailbox-control", "contains a control character or a broken fold");
}
