/*
 * Writes a notification in the order in which it is read: header, the part for people, the report
 * for machines, the header it is about. Everything that came from outside passes add_clean() or
 * log_escape().
 */
#include "relay/bounce.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/message.h"

enum {
	WIDTH = 72,           /* of text for people */
	LINE_MAX_BYTES = 998, /* RFC 5322 2.1.1 */
	BOUNDARY_MAX = 48,
	ADDRESS_MAX = 321,
};

/* What a person can do about a status; the first whose digits begin the rest of "5.x.y" counts. */
struct advice {
	const char *detail; /* RFC 3463: subject and detail, "" for any */
	const char *text;
};

static const struct advice advices[] = {
	{ "1.10", "The domain behind the @ takes no mail at all. Check the address." },
	{ "1.1",
	    "The receiving side does not know this address. Check it for typing errors, or ask "
	    "the person for the right one." },
	{ "1.2", "The domain behind the @ takes no mail. Check the address for typing errors." },
	{ "1.6", "The mailbox has moved. Ask the person for the new address." },
	{ "1.", "The address was refused. Check it for typing errors." },
	{ "2.1", "The mailbox is closed. Reach the person in another way." },
	{ "2.2", "The mailbox is full. Try again later, or reach the person in another way." },
	{ "2.3", "The message is too large for this mailbox. Send less, or a link to the files." },
	{ "3.4",
	    "The message is too large for the receiving side. Send less, or a link to the files." },
	{ "4.4",
	    "The receiving domain's mail servers could not be found. Check the address; if it is "
	    "right, show this to your administrator." },
	{ "6.", "The receiving side can't take this kind of message. Show this to your "
		"administrator." },
	{ "7.30",
	    "You asked that this message travel only where every mail server on the way "
	    "promises verified encryption (REQUIRETLS), and the receiving side does not. Send it "
	    "without that demand if you may, or reach the person in another way." },
	{ "7.",
	    "It was refused, or held back, by a rule about security or unwanted mail. Reach the "
	    "person in another way and show this to your administrator." },
	{ "",
	    "If it matters, reach the person in another way and show this to your administrator." },
};

static void write_header(const struct bounce_facts *facts, const char *boundary, struct buffer *b);
static void write_words(const struct bounce_facts *facts, struct buffer *b);
static void write_words_of(
    const struct bounce_facts *facts, const struct bounce_recipient *recipient, struct buffer *b);
static void write_report(const struct bounce_facts *facts, struct buffer *b);
static void write_report_of(const struct bounce_recipient *recipient, struct buffer *b);
static void write_original(struct slice original, struct buffer *b);
static const char *advice_of(const struct outcome *outcome);
static void choose_boundary(const struct bounce_facts *facts, char boundary[BOUNDARY_MAX]);
static void begin_part(const char *boundary, const char *type, struct buffer *b);
static void add_wrapped(struct buffer *b, const char *first, const char *rest, const char *text);
static void add_clean(struct buffer *b, const char *bytes, size_t n);
static const char *clean_address(const char *address, char text[ADDRESS_MAX]);
static const char *from_domain(const struct bounce_facts *facts);
static size_t n_reported(const struct bounce_facts *facts);

bool bounce_is_due(const struct message *message)
{
	return message->sender != NULL && message->sender[0] != '\0';
}

bool bounce_write(const struct bounce_facts *facts, struct buffer *header, struct buffer *body)
{
	char boundary[BOUNDARY_MAX];

	assert(bounce_is_due(facts->message) && facts->n_recipients > 0);
	choose_boundary(facts, boundary);
	write_header(facts, boundary, header);
	begin_part(boundary, "text/plain; charset=us-ascii", body);
	write_words(facts, body);
	begin_part(boundary, "message/delivery-status", body);
	write_report(facts, body);
	begin_part(boundary, "text/rfc822-headers", body);
	write_original(facts->original, body);
	buffer_print(body, "\r\n--%s--\r\n", boundary);
	return !header->overflowed && !body->overflowed;
}

static void write_header(const struct bounce_facts *facts, const char *boundary, struct buffer *b)
{
	const char *id = facts->message->message_id != NULL ? facts->message->message_id : "";
	char address[ADDRESS_MAX], date[CLOCK_DATE_MAX], reference[300];

	clock_print_date(facts->now_s, date);
	buffer_print(b, "From: Mail Delivery System <MAILER-DAEMON@%s>\r\n", from_domain(facts));
	buffer_print(b, "To: <%s>\r\n", clean_address(facts->message->sender, address));
	if (facts->n_recipients == 1)
		buffer_print(b, "Subject: Not delivered: your message to\r\n %s\r\n",
		    clean_address(facts->recipients[0].address, address));
	else
		buffer_print(b, "Subject: Not delivered: your message to %zu recipients\r\n",
		    facts->n_recipients);
	buffer_print(
	    b, "Date: %s\r\nMessage-ID: <%s@%s>\r\n", date, facts->queue_id, facts->hostname);
	/* So that it is shown with the message it is about; only what is surely one msg-id. */
	if (id[0] == '<' && strlen(id) < sizeof reference && id[strlen(id) - 1] == '>' &&
	    strpbrk(id, " \t\r\n?") == NULL)
		buffer_print(b, "References: %s\r\n",
		    log_escape(id, strlen(id), reference, sizeof reference));
	buffer_print(b,
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"%s\"\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n"
	    "\r\n",
	    boundary);
}

static void write_words(const struct bounce_facts *facts, struct buffer *b)
{
	size_t n = n_reported(facts);
	char date[CLOCK_DATE_MAX], line[400];

	clock_print_date(facts->message->arrived_s, date);
	snprintf(line, sizeof line,
	    "The message you sent on %s was not delivered to %s below, and will not be tried "
	    "again. Why, and what you can do, stands with each address.",
	    date, facts->n_recipients == 1 ? "the recipient" : "the recipients");
	add_wrapped(b, "", "", line);
	for (size_t i = 0; i < n; i++)
		write_words_of(facts, &facts->recipients[i], b);
	if (n < facts->n_recipients)
		buffer_print(b, "\r\nAnd %zu more recipients, not listed here.\r\n",
		    facts->n_recipients - n);
	buffer_print(b,
	    "\r\n"
	    "The header of your message and a report for administrators follow.\r\n"
	    "Sent by %s, which knows your message as %s.\r\n",
	    facts->hostname, facts->message->id);
}

static void write_words_of(
    const struct bounce_facts *facts, const struct bounce_recipient *recipient, struct buffer *b)
{
	const struct outcome *o = &recipient->outcome;
	char address[ADDRESS_MAX], date[CLOCK_DATE_MAX], who[OUTCOME_WHO_MAX];
	char line[OUTCOME_TEXT_MAX + OUTCOME_WHO_MAX + 100];

	buffer_print(b, "\r\n<%s>\r\n", clean_address(recipient->address, address));
	if (o->class == OUTCOME_DEFER) {
		clock_print_date(facts->now_s, date);
		snprintf(line, sizeof line,
		    "It was tried again and again until %s, without success. The last attempt "
		    "ended with:",
		    date);
		add_wrapped(b, "    ", "    ", line);
	}
	if (o->who[0] != '\0')
		snprintf(line, sizeof line, "%s answered: %d %s %s",
		    log_escape(o->who, strlen(o->who), who, sizeof who), o->code, o->enhanced,
		    o->text);
	else
		snprintf(line, sizeof line, "%s%s%s%s", o->text, o->name[0] != '\0' ? " [" : "",
		    o->name, o->name[0] != '\0' ? "]" : "");
	add_wrapped(b, "    ", "    ", line);
	add_wrapped(b, "    ", "    ", advice_of(o));
}

/* RFC 3464 2.1: groups of fields, an empty line between them. */
static void write_report(const struct bounce_facts *facts, struct buffer *b)
{
	size_t n = n_reported(facts);
	char date[CLOCK_DATE_MAX];

	clock_print_date(facts->message->arrived_s, date);
	buffer_print(b,
	    "Reporting-MTA: dns; %s\r\n"
	    "X-Zegel-Queue-ID: %s\r\n"
	    "Arrival-Date: %s\r\n",
	    facts->hostname, facts->message->id, date);
	for (size_t i = 0; i < n; i++)
		write_report_of(&facts->recipients[i], b);
}

/*
 * A message that expired has failed although its last status says 4: the status tells why, the
 * action what became of it.
 */
static void write_report_of(const struct bounce_recipient *recipient, struct buffer *b)
{
	const struct outcome *o = &recipient->outcome;
	size_t n_host = strcspn(o->who, "[: ");
	char address[ADDRESS_MAX], line[OUTCOME_TEXT_MAX + 100];

	buffer_print(b,
	    "\r\n"
	    "Final-Recipient: rfc822; %s\r\n"
	    "Action: failed\r\n"
	    "Status: %s\r\n",
	    clean_address(recipient->address, address), o->enhanced);
	if (o->who[0] != '\0') {
		snprintf(line, sizeof line, "smtp; %d %s %s", o->code, o->enhanced, o->text);
		buffer_add_text(b, "Remote-MTA: dns; ");
		add_clean(b, o->who, n_host > 0 ? n_host : strlen(o->who));
		buffer_add_text(b, "\r\n");
	} else {
		snprintf(line, sizeof line, "X-Zegel; %s%s%s%s", o->text,
		    o->name[0] != '\0' ? " [" : "", o->name, o->name[0] != '\0' ? "]" : "");
	}
	add_wrapped(b, "Diagnostic-Code: ", " ", line);
}

/* Whole lines as long as they fit, without the empty line at the end. */
static void write_original(struct slice original, struct buffer *b)
{
	const char *at = original.bytes, *end = original.bytes + original.n;
	size_t left = BOUNCE_ORIGINAL_MAX;

	while (at < end) {
		const char *eol = memmem(at, (size_t)(end - at), "\r\n", 2);
		size_t n = (size_t)((eol != NULL ? eol : end) - at);

		if (n == 0 || n + 2 > left)
			break;
		add_clean(b, at, n < LINE_MAX_BYTES ? n : LINE_MAX_BYTES);
		buffer_add_text(b, "\r\n");
		left -= n + 2;
		at = eol != NULL ? eol + 2 : end;
	}
}

static const char *advice_of(const struct outcome *outcome)
{
	const char *detail = strchr(outcome->enhanced, '.');
	const struct advice *a = advices;

	detail = detail != NULL ? detail + 1 : "";
	for (;; a++) {
		size_t n = strlen(a->detail);

		if (n == 0)
			return a->text;
		if (strncmp(detail, a->detail, n) == 0 &&
		    (a->detail[n - 1] == '.' || detail[n] == '\0'))
			return a->text;
	}
}

/* The header of the original is the only text we return line by line: it must not contain it. */
static void choose_boundary(const struct bounce_facts *facts, char boundary[BOUNDARY_MAX])
{
	unsigned try = 0;

	do {
		snprintf(boundary, BOUNDARY_MAX, "zegel-%.16s-%u", facts->queue_id, try++);
	} while (
	    memmem(facts->original.bytes, facts->original.n, boundary, strlen(boundary)) != NULL);
}

static void begin_part(const char *boundary, const char *type, struct buffer *b)
{
	buffer_print(
	    b, "%s--%s\r\nContent-Type: %s\r\n\r\n", b->n > 0 ? "\r\n" : "", boundary, type);
}

/* Breaks at spaces where a line would be too wide; a longer word stands alone. */
static void add_wrapped(struct buffer *b, const char *first, const char *rest, const char *text)
{
	const char *indent = first;

	while (*text == ' ')
		text++;
	while (*text != '\0') {
		size_t n = strlen(text), room = WIDTH - strlen(indent), word;

		if (n > room) {
			for (n = room; n > 0 && text[n] != ' '; n--)
				;
			word = strcspn(text, " ");
			n = n > 0 ? n : word;
		}
		buffer_add_text(b, indent);
		add_clean(b, text, n < LINE_MAX_BYTES - WIDTH ? n : LINE_MAX_BYTES - WIDTH);
		buffer_add_text(b, "\r\n");
		indent = rest;
		text += n;
		while (*text == ' ')
			text++;
	}
}

/* Printable ASCII and tabs. */
static void add_clean(struct buffer *b, const char *bytes, size_t n)
{
	char clean[256];

	while (n > 0) {
		size_t some = n < sizeof clean ? n : sizeof clean;

		for (size_t i = 0; i < some; i++)
			clean[i] = (bytes[i] >= ' ' && bytes[i] <= '~') || bytes[i] == '\t'
				       ? bytes[i]
				       : '?';
		buffer_add(b, clean, some);
		bytes += some;
		n -= some;
	}
}

static const char *clean_address(const char *address, char text[ADDRESS_MAX])
{
	return log_escape(address, strlen(address), text, ADDRESS_MAX);
}

/* Every message of a client has one; without it our own name is the best there is. */
static const char *from_domain(const struct bounce_facts *facts)
{
	const char *domain = facts->message->from_domain;

	return domain != NULL && domain[0] != '\0' ? domain : facts->hostname;
}

static size_t n_reported(const struct bounce_facts *facts)
{
	return facts->n_recipients < BOUNCE_RECIPIENTS_MAX ? facts->n_recipients
							   : BOUNCE_RECIPIENTS_MAX;
}
