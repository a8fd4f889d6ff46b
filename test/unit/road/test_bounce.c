/* Notifications as they leave: golden texts, and what no peer's words may do to them. */
#include "relay/bounce.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/message.h"

/* The texts of a message are not const. */
#define TEXT(literal) ((char[]){ literal })

static struct message message = {
	.id = "0AAAAAAAAAAAAAA",
	.sender = TEXT("billing@example.org"),
	.from_domain = TEXT("example.org"),
	.message_id = TEXT("<invoice-7@shop.example.org>"),
	.arrived_s = 1795296283,
};

static const char original[] = "Received: from a\r\n\tby b; d\r\n"
			       "From: Billing <billing@example.org>\r\n"
			       "Subject: Invoice 7\r\n"
			       "\r\n";

struct written {
	struct buffer header, body;
};

static struct bounce_facts facts_of(const struct bounce_recipient *recipients, size_t n)
{
	return (struct bounce_facts){
		.message = &message,
		.recipients = recipients,
		.n_recipients = n,
		.original = { original, sizeof original - 1 },
		.hostname = "mail.example.org",
		.queue_id = "0BBBBBBBBBBBBBB",
		.now_s = 1795296343,
	};
}

static void write_bounce(const struct bounce_facts *facts, struct written *w)
{
	buffer_init(&w->header, BOUNCE_HEADER_MAX);
	buffer_init(&w->body, BOUNCE_BODY_MAX);
	assert_true(bounce_write(facts, &w->header, &w->body));
}

static void written_finish(struct written *w)
{
	buffer_finish(&w->header);
	buffer_finish(&w->body);
}

/* Printable, CRLF everywhere, no line over 998. */
static void assert_is_mail(const struct buffer *b)
{
	size_t column = 0;

	for (size_t i = 0; i < b->n; i++) {
		char c = b->bytes[i];

		if (c == '\n') {
			assert_true(i > 0 && b->bytes[i - 1] == '\r');
			column = 0;
			continue;
		}
		assert_true(
		    (c >= ' ' && c <= '~') || c == '\t' || (c == '\r' && b->bytes[i + 1] == '\n'));
		assert_true(++column <= 999); /* with the CR */
	}
	assert_true(b->n >= 2 && memcmp(b->bytes + b->n - 2, "\r\n", 2) == 0);
}

static size_t count(const struct buffer *b, const char *text)
{
	size_t n = 0;

	for (const char *at = buffer_text(b); (at = strstr(at, text)) != NULL; at++)
		n++;
	return n;
}

static struct bounce_recipient refused_by_peer(const char *address)
{
	struct bounce_recipient r = { .address = address };

	outcome_say(&r.outcome, 550, "5.1.1", "", "No such user here");
	strcpy(r.outcome.who, "mx.example.net[192.0.2.1]:25");
	return r;
}

static void R15_a_refused_recipient(void **state)
{
	struct bounce_recipient recipient = refused_by_peer("bob@example.net");
	struct bounce_facts facts = facts_of(&recipient, 1);
	struct written w;

	(void)state;
	write_bounce(&facts, &w);
	assert_string_equal(buffer_text(&w.header),
	    "From: Mail Delivery System <MAILER-DAEMON@example.org>\r\n"
	    "To: <billing@example.org>\r\n"
	    "Subject: Not delivered: your message to\r\n"
	    " bob@example.net\r\n"
	    "Date: Sat, 21 Nov 2026 21:25:43 +0000\r\n"
	    "Message-ID: <0BBBBBBBBBBBBBB@mail.example.org>\r\n"
	    "References: <invoice-7@shop.example.org>\r\n"
	    "Auto-Submitted: auto-replied\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=delivery-status;\r\n"
	    "\tboundary=\"zegel-0BBBBBBBBBBBBBB-0\"\r\n"
	    "Content-Transfer-Encoding: 7bit\r\n"
	    "\r\n");
	assert_string_equal(buffer_text(&w.body),
	    "--zegel-0BBBBBBBBBBBBBB-0\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "The message you sent on Sat, 21 Nov 2026 21:24:43 +0000 was not\r\n"
	    "delivered to the recipient below, and will not be tried again. Why, and\r\n"
	    "what you can do, stands with each address.\r\n"
	    "\r\n"
	    "<bob@example.net>\r\n"
	    "    mx.example.net[192.0.2.1]:25 answered: 550 5.1.1 No such user here\r\n"
	    "    The receiving side does not know this address. Check it for typing\r\n"
	    "    errors, or ask the person for the right one.\r\n"
	    "\r\n"
	    "The header of your message and a report for administrators follow.\r\n"
	    "Sent by mail.example.org, which knows your message as 0AAAAAAAAAAAAAA.\r\n"
	    "\r\n"
	    "--zegel-0BBBBBBBBBBBBBB-0\r\n"
	    "Content-Type: message/delivery-status\r\n"
	    "\r\n"
	    "Reporting-MTA: dns; mail.example.org\r\n"
	    "X-Zegel-Queue-ID: 0AAAAAAAAAAAAAA\r\n"
	    "Arrival-Date: Sat, 21 Nov 2026 21:24:43 +0000\r\n"
	    "\r\n"
	    "Final-Recipient: rfc822; bob@example.net\r\n"
	    "Action: failed\r\n"
	    "Status: 5.1.1\r\n"
	    "Remote-MTA: dns; mx.example.net\r\n"
	    "Diagnostic-Code: smtp; 550 5.1.1 No such user here\r\n"
	    "\r\n"
	    "--zegel-0BBBBBBBBBBBBBB-0\r\n"
	    "Content-Type: text/rfc822-headers\r\n"
	    "\r\n"
	    "Received: from a\r\n"
	    "\tby b; d\r\n"
	    "From: Billing <billing@example.org>\r\n"
	    "Subject: Invoice 7\r\n"
	    "\r\n"
	    "--zegel-0BBBBBBBBBBBBBB-0--\r\n");
	written_finish(&w);
}

static void R23_an_expired_message_says_so(void **state)
{
	struct bounce_recipient recipient = { .address = "bob@bank.example" };
	struct bounce_facts facts = facts_of(&recipient, 1);
	struct written w;

	(void)state;
	outcome_say(&recipient.outcome, 451, "4.7.5", "partner-tls-name",
	    "The certificate of mx.bank.example does not name any of the hosts that the rule for "
	    "partner bank.example demands");
	write_bounce(&facts, &w);
	assert_non_null(strstr(buffer_text(&w.body),
	    "<bob@bank.example>\r\n"
	    "    It was tried again and again until Sat, 21 Nov 2026 21:25:43 +0000,\r\n"
	    "    without success. The last attempt ended with:\r\n"
	    "    The certificate of mx.bank.example does not name any of the hosts\r\n"
	    "    that the rule for partner bank.example demands [partner-tls-name]\r\n"
	    "    It was refused, or held back, by a rule about security or unwanted\r\n"));
	assert_non_null(strstr(buffer_text(&w.body),
	    "Action: failed\r\n"
	    "Status: 4.7.5\r\n"
	    "Diagnostic-Code: X-Zegel; The certificate of mx.bank.example does not\r\n"
	    " name any of the hosts that the rule for partner bank.example demands\r\n"
	    " [partner-tls-name]\r\n"
	    "\r\n"));
	assert_int_equal(count(&w.body, "Remote-MTA"), 0);
	written_finish(&w);
}

static void several_recipients_share_a_notification(void **state)
{
	struct bounce_recipient recipients[] = { refused_by_peer("bob@example.net"),
		refused_by_peer("carol@example.net") };
	struct bounce_facts facts = facts_of(recipients, 2);
	struct written w;

	(void)state;
	write_bounce(&facts, &w);
	assert_int_equal(
	    count(&w.header, "Subject: Not delivered: your message to 2 recipients"), 1);
	assert_int_equal(count(&w.body, "\r\n\r\nFinal-Recipient: rfc822; "), 2);
	assert_int_equal(count(&w.body, "delivered to the recipients below"), 1);
	written_finish(&w);
}

static const struct {
	const char *enhanced, *words;
} advices[] = {
	{ "5.1.1", "does not know this address" },
	{ "5.1.10", "takes no mail at all" },
	{ "5.1.2", "takes no mail. Check the address" },
	{ "5.1.3", "The address was refused" },
	{ "5.2.2", "mailbox is full" },
	{ "5.3.4", "too large for the receiving side" },
	{ "4.4.4", "could not be found" },
	{ "5.7.1", "rule about security" },
	{ "5.7.30", "(REQUIRETLS)" },
	{ "5.0.0", "If it matters" },
	{ "4.4.1", "If it matters" },
};

static void each_kind_of_failure_has_advice(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof advices / sizeof advices[0]; i++) {
		struct bounce_recipient recipient = { .address = "b@c.example" };
		struct bounce_facts facts = facts_of(&recipient, 1);
		struct written w;

		outcome_say(&recipient.outcome, advices[i].enhanced[0] == '5' ? 550 : 450,
		    advices[i].enhanced, "", "no");
		write_bounce(&facts, &w);
		for (char *c = w.body.bytes; (c = strstr(c, "\r\n    ")) != NULL;)
			memset(c, ' ', 6);
		for (char *c = w.body.bytes; (c = strstr(c, "      ")) != NULL;)
			memmove(c, c + 5, strlen(c + 5) + 1);
		print_message("%s\n", advices[i].enhanced);
		assert_non_null(strstr(w.body.bytes, advices[i].words));
		written_finish(&w);
	}
}

static void R17_a_peer_s_words_cannot_break_out(void **state)
{
	struct bounce_recipient recipient = refused_by_peer("bob@example.net");
	struct bounce_facts facts = facts_of(&recipient, 1);
	struct written w;

	(void)state;
	strcpy(recipient.outcome.text, "x\r\n--zegel-0BBBBBBBBBBBBBB-0\r\n\033[2J \303\251 %n");
	strcpy(recipient.outcome.who, "evil\r\nBcc: x@y[192.0.2.1]");
	recipient.address = "b\r\nBcc: z@example.net";
	write_bounce(&facts, &w);
	assert_is_mail(&w.header);
	assert_is_mail(&w.body);
	assert_int_equal(count(&w.header, "\nBcc"), 0);
	assert_int_equal(count(&w.body, "\nBcc"), 0);
	assert_int_equal(count(&w.body, "\r\n--zegel-0BBBBBBBBBBBBBB-0\r\n"), 2);
	written_finish(&w);
}

static void R17_the_longest_words_stay_within_lines(void **state)
{
	struct bounce_recipient recipient = refused_by_peer("bob@example.net");
	struct bounce_facts facts = facts_of(&recipient, 1);
	struct written w;

	(void)state;
	memset(recipient.outcome.text, 'x', OUTCOME_TEXT_MAX - 1);
	memset(recipient.outcome.who, 'y', OUTCOME_WHO_MAX - 1);
	write_bounce(&facts, &w);
	assert_is_mail(&w.body);
	written_finish(&w);
}

static void the_original_is_returned_printable_and_bounded(void **state)
{
	struct bounce_recipient recipient = refused_by_peer("bob@example.net");
	struct bounce_facts facts = facts_of(&recipient, 1);
	struct buffer block;
	struct written w;

	(void)state;
	buffer_init(&block, 1 << 20);
	buffer_add_text(&block, "Subject: caf\303\251\r\nX-Long: ");
	for (int i = 0; i < 2000; i++)
		buffer_add_text(&block, "y");
	buffer_add_text(&block, "\r\n");
	while (block.n < 100000)
		buffer_add_text(
		    &block, "X: --zegel-0BBBBBBBBBBBBBB-0\r\n--zegel-0BBBBBBBBBBBBBB-1: x\r\n");
	buffer_add_text(&block, "\r\n");
	facts.original = (struct slice){ block.bytes, block.n };
	write_bounce(&facts, &w);
	assert_is_mail(&w.body);
	assert_non_null(strstr(buffer_text(&w.body), "Subject: caf\?\?\r\nX-Long: yyy"));
	assert_true(w.body.n < BOUNCE_ORIGINAL_MAX + 3000);
	assert_int_equal(count(&w.header, "boundary=\"zegel-0BBBBBBBBBBBBBB-2\""), 1);
	assert_int_equal(count(&w.body, "\r\n--zegel-0BBBBBBBBBBBBBB-2\r\n"), 2);
	assert_int_equal(count(&w.body, "\r\n--zegel-0BBBBBBBBBBBBBB-2--\r\n"), 1);
	buffer_finish(&block);
	written_finish(&w);
}

static void the_longest_list_fits(void **state)
{
	size_t n = BOUNCE_RECIPIENTS_MAX + 5;
	struct bounce_recipient *recipients = calloc(n, sizeof *recipients);
	struct bounce_facts facts = facts_of(recipients, n);
	char address[400] = "";
	struct written w;

	(void)state;
	memset(address, 'a', 318);
	for (size_t i = 0; i < n; i++) {
		recipients[i] = refused_by_peer(address);
		memset(recipients[i].outcome.text, 'x', OUTCOME_TEXT_MAX - 1);
		memset(recipients[i].outcome.who, 'y', OUTCOME_WHO_MAX - 1);
	}
	write_bounce(&facts, &w);
	assert_int_equal(count(&w.body, "Final-Recipient: "), BOUNCE_RECIPIENTS_MAX);
	assert_int_equal(count(&w.body, "And 5 more recipients, not listed here."), 1);
	written_finish(&w);
	free(recipients);
}

static void a_notification_about_a_notification_is_not_due(void **state)
{
	struct message notification = message;

	(void)state;
	assert_true(bounce_is_due(&message));
	notification.sender = TEXT("");
	assert_false(bounce_is_due(&notification));
	notification.sender = NULL;
	assert_false(bounce_is_due(&notification));
}

static void a_full_buffer_is_told(void **state)
{
	struct bounce_recipient recipient = refused_by_peer("bob@example.net");
	struct bounce_facts facts = facts_of(&recipient, 1);
	struct written w;

	(void)state;
	buffer_init(&w.header, BOUNCE_HEADER_MAX);
	buffer_init(&w.body, 100);
	assert_false(bounce_write(&facts, &w.header, &w.body));
	written_finish(&w);
}

static void without_domain_and_message_id_our_own_name_serves(void **state)
{
	struct message bare = message;
	struct bounce_recipient recipient = refused_by_peer("bob@example.net");
	struct bounce_facts facts = facts_of(&recipient, 1);
	struct written w;

	(void)state;
	bare.from_domain = TEXT("");
	bare.message_id = TEXT("<a\?b c>");
	facts.message = &bare;
	write_bounce(&facts, &w);
	assert_int_equal(count(&w.header, "<MAILER-DAEMON@mail.example.org>"), 1);
	assert_int_equal(count(&w.header, "References"), 0);
	written_finish(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(R15_a_refused_recipient),
		cmocka_unit_test(R23_an_expired_message_says_so),
		cmocka_unit_test(several_recipients_share_a_notification),
		cmocka_unit_test(each_kind_of_failure_has_advice),
		cmocka_unit_test(R17_a_peer_s_words_cannot_break_out),
		cmocka_unit_test(R17_the_longest_words_stay_within_lines),
		cmocka_unit_test(the_original_is_returned_printable_and_bounded),
		cmocka_unit_test(the_longest_list_fits),
		cmocka_unit_test(a_notification_about_a_notification_is_not_due),
		cmocka_unit_test(a_full_buffer_is_told),
		cmocka_unit_test(without_domain_and_message_id_our_own_name_serves),
	};

	return cmocka_run_group_tests_name("road/bounce", tests, NULL, NULL);
}
