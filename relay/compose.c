/*
 * Copies the fields that may travel and writes those that are missing. Knows nothing of bodies,
 * keys or rules about senders.
 */
#include "relay/compose.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "smtp/header.h"

/* Fields that never leave, whatever is in them. */
static const char *const withheld_fields[] = { "Bcc", "Resent-Bcc", "Return-Path",
	"DKIM-Signature" };

static void add_received(const struct compose_facts *facts, struct buffer *out);
static bool is_presentable_name(const char *name);
static void add_missing(const struct compose_facts *facts, const struct header *header,
    struct buffer *out, char message_id[COMPOSE_MESSAGE_ID_MAX]);
static void read_message_id(struct slice value, char message_id[COMPOSE_MESSAGE_ID_MAX]);
static bool is_withheld(const struct compose_facts *facts, const struct header_field *field);
static bool is_in_our_name(struct slice value, const char *hostname);
static const char *skip_blank(const char *c, const char *end);

bool compose_header(const struct compose_facts *facts, const struct header *header,
    struct buffer *out, char message_id[COMPOSE_MESSAGE_ID_MAX], struct outcome *why)
{
	add_received(facts, out);
	add_missing(facts, header, out, message_id);
	for (size_t i = 0; i < header->n_fields; i++) {
		const struct header_field *field = &header->fields[i];

		if (!is_withheld(facts, field))
			buffer_add(out, field->whole.bytes, field->whole.n);
	}
	buffer_add_text(out, "\r\n");
	if (out->overflowed) {
		outcome_say(why, 552, "5.3.4", "header-too-large",
		    "The header with our own fields is larger than the %zu bytes accepted here",
		    out->max);
		return false;
	}
	outcome_ok(why);
	return true;
}

/*
 * RFC 5321 4.4, RFC 3848. Neither the client's address nor the account: who submits from where is
 * nobody's business outside, and no "for", which could name a Bcc recipient.
 */
static void add_received(const struct compose_facts *facts, struct buffer *out)
{
	bool shows_name = is_presentable_name(facts->client_name);
	char date[CLOCK_DATE_MAX];

	clock_print_date(facts->now_s, date);
	buffer_print(out,
	    "Received: from %s\r\n"
	    "\tby %s with ESMTPSA\r\n"
	    "\t(%s %s) id %s;\r\n"
	    "\t%s\r\n",
	    shows_name ? facts->client_name : "unknown", facts->hostname, facts->tls_version,
	    facts->tls_cipher, facts->queue_id, date);
}

/*
 * A name of letters, digits, hyphens and dots. Not an address, literal or bare: it would tell where
 * the client sits in its private network.
 */
static bool is_presentable_name(const char *name)
{
	size_t n = strlen(name);
	const char *last = strrchr(name, '.');

	last = last != NULL ? last + 1 : name;
	return n > 0 && n <= 253 &&
	       strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") ==
		   n &&
	       name[0] != '.' && *last != '\0' && strspn(last, "0123456789") != strlen(last);
}

static void add_missing(const struct compose_facts *facts, const struct header *header,
    struct buffer *out, char message_id[COMPOSE_MESSAGE_ID_MAX])
{
	const struct header_field *field = header_find(header, "Message-ID", 0);
	char date[CLOCK_DATE_MAX];

	if (header_find(header, "Date", 0) == NULL) {
		clock_print_date(facts->now_s, date);
		buffer_print(out, "Date: %s\r\n", date);
	}
	if (field != NULL) {
		read_message_id(field->value, message_id);
		return;
	}
	snprintf(
	    message_id, COMPOSE_MESSAGE_ID_MAX, "<%s@%.200s>", facts->queue_id, facts->hostname);
	buffer_print(out, "Message-ID: <%s@%s>\r\n", facts->queue_id, facts->hostname);
}

/* As written, without the white space around it; folds inside become '?'. */
static void read_message_id(struct slice value, char message_id[COMPOSE_MESSAGE_ID_MAX])
{
	while (value.n > 0 && isspace((unsigned char)value.bytes[0])) {
		value.bytes++;
		value.n--;
	}
	while (value.n > 0 && isspace((unsigned char)value.bytes[value.n - 1]))
		value.n--;
	log_escape(value.bytes, value.n, message_id, COMPOSE_MESSAGE_ID_MAX);
}

static bool is_withheld(const struct compose_facts *facts, const struct header_field *field)
{
	for (size_t i = 0; i < sizeof withheld_fields / sizeof withheld_fields[0]; i++) {
		if (slice_equals_nocase(field->name, withheld_fields[i]))
			return true;
	}
	return slice_equals_nocase(field->name, "Authentication-Results") &&
	       is_in_our_name(field->value, facts->hostname);
}

/*
 * RFC 8601 2.2: [CFWS] authserv-id, a token or a quoted string. What can't be read might be
 * read as our name by somebody: it counts as ours.
 */
static bool is_in_our_name(struct slice value, const char *hostname)
{
	const char *end = value.bytes + value.n;
	const char *c = skip_blank(value.bytes, end);
	bool is_quoted = c < end && *c == '"';
	char id[256];
	size_t n = 0;

	for (c += is_quoted; c < end && n < sizeof id; c++) {
		if (is_quoted ? *c == '"' : strchr("; \t\r\n(/", *c) != NULL)
			break;
		if (is_quoted && *c == '\\' && ++c == end)
			break;
		id[n++] = *c;
	}
	if (n == 0 || n == sizeof id || (is_quoted && c == end))
		return true;
	return slice_equals_nocase((struct slice){ id, n }, hostname);
}

/* White space and comments, nested as they like. */
static const char *skip_blank(const char *c, const char *end)
{
	unsigned depth = 0;

	for (; c < end; c++) {
		if (*c == '\\' && depth > 0 && c + 1 < end)
			c++;
		else if (*c == '(')
			depth++;
		else if (*c == ')' && depth > 0)
			depth--;
		else if (depth == 0 && !isspace((unsigned char)*c))
			break;
	}
	return c;
}
