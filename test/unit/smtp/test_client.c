/*
 * The client's side: replies and what they mean, capabilities, commands, dot-stuffing.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/buffer.h>

#include "smtp/capability.h"
#include "smtp/command.h"
#include "smtp/data.h"
#include "smtp/reply.h"
#include "smtp/stuff.h"

struct reply_row {
	const char *said;
	enum smtp_reply_result result;
	int wanted;

	/* The outcome. */
	int code;
	const char *enhanced, *text, *name;
};

static const struct reply_row replies[] = {
	{ "250 2.1.5 fine\r\n", SMTP_REPLY_WHOLE, 2, 250, "2.1.5", "fine", "" },
	{ "250\r\n", SMTP_REPLY_WHOLE, 2, 250, "2.0.0", "", "" },
	{ "250 \r\n", SMTP_REPLY_WHOLE, 2, 250, "2.0.0", "", "" },
	{ "250 ok\n", SMTP_REPLY_WHOLE, 2, 250, "2.0.0", "ok", "" },
	{ "354 go on\r\n", SMTP_REPLY_WHOLE, 3, 354, "2.0.0", "go on", "" },
	{ "550-5.7.1 no\r\n550-5.7.1 never\r\n550 5.7.1 again\r\n", SMTP_REPLY_WHOLE, 2, 550,
	    "5.7.1", "no never again", "" },
	{ "450 4.2.0 greylisted\r\n", SMTP_REPLY_WHOLE, 2, 450, "4.2.0", "greylisted", "" },
	{ "554 go away\r\n", SMTP_REPLY_WHOLE, 2, 554, "5.0.0", "go away", "" },
	{ "421 4.3.2 busy\r\n", SMTP_REPLY_WHOLE, 3, 421, "4.3.2", "busy", "" },
	/* R4 */
	{ "2200 x\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply's code is not three digits: \"2200 x\"", "reply-malformed" },
	{ "22O x\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply does not begin with a code: \"22O x\"", "reply-malformed" },
	{ "-220 x\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply does not begin with a code: \"-220 x\"", "reply-malformed" },
	{ "22012345 x\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply's code is not three digits: \"22012345 x\"", "reply-malformed" },
	{ "hello\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply does not begin with a code: \"hello\"", "reply-malformed" },
	{ "\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0", "the reply does not begin with a code: \"\"",
	    "reply-malformed" },
	{ "120 x\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply does not begin with a code: \"120 x\"", "reply-malformed" },
	{ "650 x\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply does not begin with a code: \"650 x\"", "reply-malformed" },
	{ "250x\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply's code is not three digits: \"250x\"", "reply-malformed" },
	/* R5 */
	{ "250-one\r\n550 two\r\n", SMTP_REPLY_BROKEN, 2, 451, "4.5.0",
	    "the reply's lines have different codes: \"one 550 two\"", "reply-malformed" },
	/* R11: the other kind of yes */
	{ "354 early\r\n", SMTP_REPLY_WHOLE, 2, 451, "4.5.0",
	    "the reply 354 does not answer what was said: \"early\"", "reply-unexpected" },
	{ "250 late\r\n", SMTP_REPLY_WHOLE, 3, 451, "4.5.0",
	    "the reply 250 does not answer what was said: \"late\"", "reply-unexpected" },
	/* R15 */
	{ "551 5.1.6 moved\r\n", SMTP_REPLY_WHOLE, 2, 551, "5.1.6", "moved", "" },
	{ "556 5.1.10 null MX\r\n", SMTP_REPLY_WHOLE, 2, 556, "5.1.10", "null MX", "" },
	/* R16 */
	{ "550 4.2.0 no\r\n", SMTP_REPLY_WHOLE, 2, 550, "5.2.0", "no", "" },
	{ "450 5.7.123 later\r\n", SMTP_REPLY_WHOLE, 2, 450, "4.7.123", "later", "" },
	{ "550 5.7.1\r\n", SMTP_REPLY_WHOLE, 2, 550, "5.7.1", "", "" },
	{ "550 5.7.1x no\r\n", SMTP_REPLY_WHOLE, 2, 550, "5.0.0", "5.7.1x no", "" },
	{ "550 5.7. no\r\n", SMTP_REPLY_WHOLE, 2, 550, "5.0.0", "5.7. no", "" },
	{ "550 5.1234.1 no\r\n", SMTP_REPLY_WHOLE, 2, 550, "5.0.0", "5.1234.1 no", "" },
	{ "550 3.1.1 no\r\n", SMTP_REPLY_WHOLE, 2, 550, "5.0.0", "3.1.1 no", "" },
	/* R17 */
	{ "550 5.1.1 \x1b[31mred\rx\xc3\xa4 %n\r\n", SMTP_REPLY_WHOLE, 2, 550, "5.1.1",
	    "?[31mred?x?? %n", "" },
	/* half a reply */
	{ "250-one\r\n", SMTP_REPLY_MORE },
	{ "250 one", SMTP_REPLY_MORE },
	{ "", SMTP_REPLY_MORE },
};

static void check_reply(const struct reply_row *row, size_t piece)
{
	struct evbuffer *in = evbuffer_new();
	struct smtp_reply reply;
	struct outcome outcome;
	enum smtp_reply_result result = SMTP_REPLY_MORE;
	size_t n = strlen(row->said);

	smtp_reply_init(&reply);
	for (size_t i = 0; i < n; i += piece) {
		assert_int_equal(result, SMTP_REPLY_MORE);
		evbuffer_add(in, row->said + i, n - i < piece ? n - i : piece);
		result = smtp_reply_read(&reply, in);
		assert_int_equal(evbuffer_get_length(in), 0);
	}
	if (result != row->result)
		fail_msg("\"%s\": %d", row->said, (int)result);
	if (result != SMTP_REPLY_MORE) {
		smtp_reply_outcome(&reply, row->wanted, "mx.example[192.0.2.1]", &outcome);
		assert_int_equal(outcome.code, row->code);
		assert_string_equal(outcome.enhanced, row->enhanced);
		assert_string_equal(outcome.text, row->text);
		assert_string_equal(outcome.name, row->name);
		assert_string_equal(outcome.who, "mx.example[192.0.2.1]");
		assert_int_equal(outcome.class, row->code / 100 == 5   ? OUTCOME_FAIL
						: row->code / 100 == 4 ? OUTCOME_DEFER
								       : OUTCOME_OK);
	}
	smtp_reply_finish(&reply);
	evbuffer_free(in);
}

static void test_r4_r5_r15_r16_r17_replies(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof replies / sizeof *replies; i++) {
		check_reply(&replies[i], 1);
		check_reply(&replies[i], 3);
		check_reply(&replies[i], 10000);
	}
}

static void test_r11_r17_one_at_a_time(void **state)
{
	struct evbuffer *in = evbuffer_new();
	struct smtp_reply reply;
	struct outcome outcome;

	(void)state;
	smtp_reply_init(&reply);
	evbuffer_add(in, "250 one\r\n550-two\r\n550 \0three\r\n250 4", 35);
	assert_int_equal(smtp_reply_read(&reply, in), SMTP_REPLY_WHOLE);
	assert_int_equal(reply.code, 250);
	assert_int_equal(smtp_reply_read(&reply, in), SMTP_REPLY_WHOLE);
	assert_int_equal(reply.code, 550);
	assert_int_equal(reply.n_lines, 2);
	assert_int_equal(smtp_reply_line(&reply, 0).n, 3);
	assert_memory_equal(smtp_reply_line(&reply, 1).bytes, "?three", 6);
	assert_int_equal(smtp_reply_line(&reply, 2).n, 0);
	smtp_reply_outcome(&reply, 2, "", &outcome);
	assert_string_equal(outcome.text, "two ?three");
	assert_int_equal(smtp_reply_read(&reply, in), SMTP_REPLY_MORE);
	evbuffer_add(in, "\r\n", 2);
	assert_int_equal(smtp_reply_read(&reply, in), SMTP_REPLY_WHOLE);
	smtp_reply_outcome(&reply, 2, "", &outcome);
	assert_string_equal(outcome.text, "4");
	smtp_reply_finish(&reply);
	evbuffer_free(in);
}

static enum smtp_reply_result read_many(struct smtp_reply *reply, const char *line, size_t n_times)
{
	struct evbuffer *in = evbuffer_new();
	enum smtp_reply_result result = SMTP_REPLY_MORE;

	smtp_reply_init(reply);
	for (size_t i = 0; i < n_times && result == SMTP_REPLY_MORE; i++) {
		evbuffer_add(in, line, strlen(line));
		result = smtp_reply_read(reply, in);
	}
	evbuffer_free(in);
	return result;
}

static void test_r6_r17_endless(void **state)
{
	struct smtp_reply reply;
	struct outcome outcome;

	(void)state;
	assert_int_equal(read_many(&reply, "250-x\r\n", 100), SMTP_REPLY_MORE);
	smtp_reply_finish(&reply);
	assert_int_equal(read_many(&reply, "250-x\r\n", 101), SMTP_REPLY_BROKEN);
	assert_string_equal(reply.error, "the reply has too many lines");
	smtp_reply_finish(&reply);

	/* 10 MB without an end: given up at the cap. */
	assert_int_equal(read_many(&reply, "250 0123456789", 1000000), SMTP_REPLY_BROKEN);
	assert_string_equal(reply.error, "the reply is endless");
	assert_true(reply.text.n <= SMTP_REPLY_LINE_MAX + 1);
	smtp_reply_outcome(&reply, 2, "", &outcome);
	assert_int_equal(outcome.class, OUTCOME_DEFER);
	smtp_reply_finish(&reply);

	/* A long line in an otherwise good reply is cut. */
	char *line = malloc(60001);
	memset(line, 'x', 60000);
	memcpy(line, "550 5.1.1 ", 10);
	memcpy(line + 59998, "\r\n", 3);
	assert_int_equal(read_many(&reply, line, 1), SMTP_REPLY_WHOLE);
	free(line);
	assert_int_equal(reply.text.n, SMTP_REPLY_LINE_MAX - 10 + 1);
	smtp_reply_outcome(&reply, 2, "", &outcome);
	assert_int_equal(outcome.class, OUTCOME_FAIL);
	assert_int_equal(strlen(outcome.text), OUTCOME_TEXT_MAX - 1);
	smtp_reply_finish(&reply);
}

static struct smtp_capability capability_of(const char *lines)
{
	struct evbuffer *in = evbuffer_new();
	struct smtp_capability can;
	struct smtp_reply reply;

	smtp_reply_init(&reply);
	evbuffer_add_printf(in, "250-mx.example STARTTLS\r\n%s250 HELP\r\n", lines);
	assert_int_equal(smtp_reply_read(&reply, in), SMTP_REPLY_WHOLE);
	smtp_capability_read(&can, &reply);
	smtp_reply_finish(&reply);
	evbuffer_free(in);
	return can;
}

static void test_capabilities(void **state)
{
	struct smtp_capability can;

	(void)state;
	can = capability_of("");
	assert_false(can.starttls || can.pipelining || can.size || can.eight_bit_mime);
	can = capability_of("250-STARTTLS\r\n250-pipelining\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n"
			    "250-DSN\r\n250-CHUNKING\r\n250-BINARYMIME\r\n250-REQUIRETLS\r\n"
			    "250-ENHANCEDSTATUSCODES\r\n250-SIZE 35882577\r\n"
			    "250-AUTH PLAIN login\r\n");
	assert_true(
	    can.starttls && can.pipelining && can.eight_bit_mime && can.smtputf8 && can.dsn);
	assert_true(can.chunking && can.binary_mime && can.requiretls && can.enhanced_status_codes);
	assert_true(can.size);
	assert_int_equal(can.size_max, 35882577);
	assert_string_equal(can.auth, "PLAIN LOGIN");
	can = capability_of("250-STARTTLSX\r\n250-XPIPELINING\r\n250-SIZE x\r\n250-\r\n");
	assert_false(can.starttls || can.pipelining || can.size);
	can = capability_of("250-SIZE\r\n");
	assert_true(can.size);
	assert_int_equal(can.size_max, 0);
	smtp_capability_none(&can);
	assert_false(can.size);
}

static void test_r26_limits(void **state)
{
	static const struct {
		const char *lines;
		uint64_t mail, recipient, recipient_domain;
	} cases[] = {
		{ "250-LIMITS MAILMAX=5 RCPTMAX=20 RCPTDOMAINMAX=1 OTHER=x\r\n", 5, 20, 1 },
		{ "250-LIMITS RCPTMAX=20\r\n250-LIMITS MAILMAX=5\r\n", 0, 0, 0 },
		{ "250-LIMITS RCPTMAX=20\r\n250-LIMITS MAILMAX=5\r\n250-LIMITS MAILMAX=5\r\n", 0, 0,
		    0 },
		{ "250-LIMITS RCPTMAX=20 RCPTMAX=20\r\n", 0, 0, 0 },
		{ "250-LIMITS MAILMAX=5 RCPTMAX=-1\r\n", 0, 0, 0 },
		{ "250-LIMITS RCPTMAX=0\r\n", 0, 0, 0 },
		{ "250-LIMITS RCPTMAX=1000000\r\n", 0, 0, 0 },
		{ "250-LIMITS RCPTMAX\r\n", 0, 0, 0 },
		{ "250-LIMITS =5\r\n", 0, 0, 0 },
		{ "250-LIMITS\r\n", 0, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct smtp_capability can = capability_of(cases[i].lines);

		assert_int_equal(can.mail_max, cases[i].mail);
		assert_int_equal(can.recipient_max, cases[i].recipient);
		assert_int_equal(can.recipient_domain_max, cases[i].recipient_domain);
	}
}

static void assert_written(struct evbuffer *out, const char *text)
{
	size_t n = evbuffer_get_length(out);

	assert_int_equal(n, strlen(text));
	assert_memory_equal(evbuffer_pullup(out, -1), text, n);
	evbuffer_drain(out, n);
}

static void test_commands(void **state)
{
	const struct smtp_capability nothing = { 0 },
				     all = { .size = true, .eight_bit_mime = true };
	const struct smtp_command_mail mail = { "\"a >\\\"b\"@example.org", 1234, true };
	const struct smtp_command_mail bounce = { "", 0, false };
	struct evbuffer *out = evbuffer_new();

	(void)state;
	smtp_command_ehlo(out, "mail.example.org");
	assert_written(out, "EHLO mail.example.org\r\n");
	smtp_command_helo(out, "mail.example.org");
	assert_written(out, "HELO mail.example.org\r\n");
	smtp_command_mail(out, &mail, &all);
	assert_written(out, "MAIL FROM:<\"a >\\\"b\"@example.org> SIZE=1234 BODY=8BITMIME\r\n");
	smtp_command_mail(out, &mail, &nothing);
	assert_written(out, "MAIL FROM:<\"a >\\\"b\"@example.org>\r\n");
	smtp_command_mail(out, &bounce, &all);
	assert_written(out, "MAIL FROM:<>\r\n");
	smtp_command_rcpt(out, "bob@example.net");
	assert_written(out, "RCPT TO:<bob@example.net>\r\n");
	smtp_command_starttls(out);
	smtp_command_data(out);
	smtp_command_rset(out);
	smtp_command_quit(out);
	assert_written(out, "STARTTLS\r\nDATA\r\nRSET\r\nQUIT\r\n");
	evbuffer_free(out);
}

static bool stuff(const char *content, size_t n, size_t piece, struct evbuffer *out)
{
	struct smtp_stuff s;
	bool ok = true;

	smtp_stuff_init(&s);
	for (size_t i = 0; i < n && ok; i += piece)
		ok = smtp_stuff_add(&s, content + i, n - i < piece ? n - i : piece, out);
	return smtp_stuff_end(&s, out) && ok;
}

static void test_stuffing(void **state)
{
	static const char *const cases[][2] = {
		{ "", ".\r\n" },
		{ "a\r\n", "a\r\n.\r\n" },
		{ "a", "a\r\n.\r\n" },
		{ ".", "..\r\n.\r\n" },
		{ ".\r\n", "..\r\n.\r\n" },
		{ "..\r\n.a\r\n", "...\r\n..a\r\n.\r\n" },
		{ "a.\r\n\r\n.b.c\r\n", "a.\r\n\r\n..b.c\r\n.\r\n" },
	};
	struct evbuffer *out = evbuffer_new();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t piece = 1; piece < 20; piece++) {
			assert_true(stuff(cases[i][0], strlen(cases[i][0]), piece, out));
			assert_written(out, cases[i][1]);
		}
	}
	evbuffer_free(out);
}

/* What is not canonical never gets its end. */
static void test_s6_stuffing_refuses(void **state)
{
	static const struct {
		const char *text;
		size_t n;
	} cases[] = {
		{ "a\n.\r\n", 5 },
		{ "\n", 1 },
		{ "a\rb\r\n", 5 },
		{ "a\r\r\n", 4 },
		{ "a\r", 2 },
		{ "a\0\r\n", 4 },
	};
	struct evbuffer *out = evbuffer_new();

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		for (size_t piece = 1; piece <= cases[i].n; piece++) {
			assert_false(stuff(cases[i].text, cases[i].n, piece, out));
			assert_int_equal(evbuffer_search(out, ".\r\n", 3, NULL).pos, -1);
			evbuffer_drain(out, evbuffer_get_length(out));
		}
	}
	evbuffer_free(out);
}

/* Every canonical content of a few lines comes back from our own decoder. */
static void test_s8_there_and_back(void **state)
{
	static const char *const parts[] = { ".", "a", "\r\n", ".." };
	const struct smtp_data_limits limits = { 1000, 1000, 1000 };

	(void)state;
	for (unsigned which = 0; which < 4 * 4 * 4 * 4 * 4; which++) {
		struct evbuffer *out = evbuffer_new();
		struct smtp_data data;
		struct buffer content;
		char text[32] = "";
		size_t n, n_sent;

		for (unsigned left = which, i = 0; i < 5; i++, left /= 4)
			strcat(text, parts[left % 4]);
		strcat(text, "\r\n");
		n = strlen(text);
		assert_true(stuff(text, n, 1 + which % 5, out));
		n_sent = evbuffer_get_length(out);
		buffer_init(&content, 100);
		smtp_data_begin(&data, &limits);
		assert_int_equal(smtp_data_decode(&data, (const char *)evbuffer_pullup(out, -1),
				     n_sent, &content),
		    n_sent);
		assert_int_equal(data.state, SMTP_DATA_ENDED);
		assert_false(data.refused);
		assert_string_equal(buffer_text(&content), text);
		buffer_finish(&content);
		evbuffer_free(out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_r4_r5_r15_r16_r17_replies),
		cmocka_unit_test(test_r11_r17_one_at_a_time),
		cmocka_unit_test(test_r6_r17_endless),
		cmocka_unit_test(test_capabilities),
		cmocka_unit_test(test_r26_limits),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_stuffing),
		cmocka_unit_test(test_s6_stuffing_refuses),
		cmocka_unit_test(test_s8_there_and_back),
	};

	return cmocka_run_group_tests_name("smtp client", tests, NULL, NULL);
}
