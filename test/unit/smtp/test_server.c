/*
 * Dialogues with the submission session: what is said, what must be answered, what is asked of the
 * owner. Each is played in segments and byte by byte.
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

#include "relay/base/mem.h"
#include "smtp/server.h"
#include "test/unit/smtp/play.h"

#define SCRIPT(...)                                                                                \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}
#define CAN "S: 250-mail.example.org", "S: 250-PIPELINING", "S: 250-SIZE 1000", "S: 250-8BITMIME"
#define GREETED                                                                                    \
	"C: EHLO client.example", CAN, "S: 250-REQUIRETLS",                                        \
	    "S: 250-AUTH PLAIN LOGIN SCRAM-SHA-256", "S: 250 ENHANCEDSTATUSCODES"
#define GREETED_IN_CLEAR                                                                           \
	"C: EHLO client.example", CAN, "S: 250-STARTTLS", "S: 250 ENHANCEDSTATUSCODES"
#define LOGGED_IN   GREETED, "C: AUTH PLAIN AGEAYg==", "W: auth PLAIN first \\0a\\0b", "S: 235 2.7.0"
#define MAIL        "C: MAIL FROM:<alice@example.org>", "W: mail alice@example.org", "S: 250 2.1.0"
#define RCPT        "C: RCPT TO:<bob@example.net>", "W: rcpt bob@example.net", "S: 250 2.1.5"
#define DATA        LOGGED_IN, MAIL, RCPT, "C: DATA", "W: data 1", "S: 354 "
#define ACCEPTED    "S: 250 2.0.0 Ok: queued"
#define QUIT        "C: QUIT", "S: 221 2.0.0", "W: close"
#define STILL_THERE "C: NOOP", "S: 250 2.0.0"

static void play_all(const struct play *plays, size_t n)
{
	for (size_t i = 0; i < n; i++)
		play(&plays[i]);
}
#define PLAY_ALL(plays) play_all(plays, sizeof(plays) / sizeof *(plays))

static void test_road(void **state)
{
	const struct play plays[] = {
		{ "a message", SCRIPT(DATA, "C: From: alice@example.org", "C: ", "C: hello", "C: .",
				   "W: accept From: alice@example.org\\r\\n\\r\\nhello\\r\\n",
				   ACCEPTED, QUIT) },
		{ "two messages",
		    SCRIPT(DATA, "C: one", "C: .", "W: accept one\\r\\n", ACCEPTED, MAIL, RCPT,
			"C: DATA", "W: data 1", "S: 354 ", "C: two", "C: .", "W: accept two\\r\\n",
			"A: 452 4.3.1 disk is short", "S: 452 4.3.1 disk is short", QUIT) },
		{ "owner's refusals",
		    SCRIPT(LOGGED_IN, "C: mail from:<a@bank.example>", "W: mail a@bank.example",
			"A: 553 5.7.1 not yours", "S: 553 5.7.1 not yours",
			"C: RCPT TO:<bob@example.net>", "S: 503 5.5.1", MAIL,
			"C: RCPT TO:<x@example.net>", "W: rcpt x@example.net", "A: 550 5.1.2 no",
			"S: 550 5.1.2 no", "C: DATA", "S: 554 5.5.1 No valid recipients", RCPT,
			"C: DATA", "W: data 1", "A: 452 4.3.1 full", "S: 452 4.3.1 full", "C: RSET",
			"S: 250 2.0.0", MAIL, QUIT) },
		{ "the owner ends the session",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<alice@example.org>",
			"W: mail alice@example.org", "A: 421 4.3.2 restarting",
			"S: 421 4.3.2 restarting", "W: close") },
		{ "parameters reach the owner",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<alice@example.org> SIZE=900 BODY=8BITMIME",
			"W: mail alice@example.org size 900", "S: 250 2.1.0", QUIT) },
		{ "nothing is kept from one transaction for the next",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<alice@example.org> SIZE=900 BODY=8BITMIME",
			"W: mail alice@example.org size 900", "S: 250 2.1.0", RCPT, "C: RSET",
			"S: 250 2.0.0", MAIL, "C: DATA", "S: 554 5.5.1") },
	};

	(void)state;
	PLAY_ALL(plays);
}

static void test_s1_to_s5_lines(void **state)
{
	const struct play plays[] = {
		{ "S1", SCRIPT("C: EHLO", "S: 501 5.5.4", "C: HELO ", "S: 501 5.5.4", "C: EHLO a b",
			    "S: 501 5.5.4", "C: HELO client.example", "S: 250 mail.example.org") },
		{ "S4 bare LF", SCRIPT("R: EHLO x\\n", "S: 500 5.5.2", STILL_THERE) },
		{ "S4 bare CR", SCRIPT("R: EHLO x\\rNOOP\\r\\n", "S: 500 5.5.2", STILL_THERE) },
		{ "S5 NUL", SCRIPT("R: NO\\0OP\\r\\n", "S: 500 5.5.2", STILL_THERE) },
		{ "an empty line", SCRIPT("C: ", "S: 500 5.5.1", "C:  ", "S: 500 5.5.1") },
		{ "any case, spaces around",
		    SCRIPT("C: eHlO   client.example  ", CAN, "S: 250-REQUIRETLS",
			"S: 250-AUTH PLAIN LOGIN SCRAM-SHA-256", "S: 250 ENHANCEDSTATUSCODES",
			"C: quit ", "S: 221 2.0.0", "W: close") },
	};

	(void)state;
	PLAY_ALL(plays);
}

static void test_s9_s10_s11_order(void **state)
{
	const struct play plays[] = {
		{ "S9",
		    SCRIPT(LOGGED_IN, "C: DATA", "S: 503 5.5.1", "C: RCPT TO:<a@b.example>",
			"S: 503 5.5.1", MAIL, "C: MAIL FROM:<alice@example.org>", "S: 503 5.5.1",
			"C: DATA now", "S: 501 5.5.4", "C: DATA", "S: 554 5.5.1", QUIT) },
		{ "MAIL and AUTH before EHLO", SCRIPT("C: AUTH PLAIN AGEAYg==", "S: 503 5.5.1",
						   "C: MAIL FROM:<a@b.example>", "S: 530 5.7.0") },
		{ "AUTH after HELO", SCRIPT("C: HELO x", "S: 250 mail.example.org",
					 "C: AUTH PLAIN AGEAYg==", "S: 503 5.5.1") },
		{ "EHLO ends a transaction", SCRIPT(LOGGED_IN, MAIL, GREETED, MAIL) },
		{ "S10 pipelined up to DATA",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<alice@example.org>",
			"C: RCPT TO:<bob@example.net>", "C: RCPT TO:<eve@example.net>", "C: DATA",
			"W: mail alice@example.org", "S: 250 2.1.0", "W: rcpt bob@example.net",
			"S: 250 2.1.5", "W: rcpt eve@example.net", "A: 550 5.1.1 no",
			"S: 550 5.1.1", "W: data 1", "S: 354 ", "C: x", "C: .", "C: QUIT",
			"W: accept x\\r\\n", ACCEPTED, "S: 221 2.0.0", "W: close") },
		{ "S10 content before 354",
		    SCRIPT(LOGGED_IN, MAIL, RCPT, "C: DATA", "C: QUIT", "C: .", "S: 554 5.5.0",
			"W: close"),
		    .needs_segments = true },
		{ "S10 content behind a DATA that is refused",
		    SCRIPT(LOGGED_IN, MAIL, "C: DATA", "C: RSET", "S: 554 5.5.0", "W: close"),
		    .needs_segments = true },
	};

	(void)state;
	PLAY_ALL(plays);
}

static void test_envelope(void **state)
{
	const struct play plays[] = {
		{ "S12 a space before the path",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM: <alice@example.org>",
			"W: mail alice@example.org", "S: 250 2.1.0",
			"C: RCPT TO: <bob@example.net>", "W: rcpt bob@example.net",
			"S: 250 2.1.5") },
		{ "S13 S20 S32 S34 parameters of MAIL",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<a@example.org> SIZE=99999999999999999999",
			"S: 552 5.3.4", "C: MAIL FROM:<a@example.org> SIZE=1001", "S: 552 5.3.4",
			"C: MAIL FROM:<a@example.org> BODY=BINARYMIME", "S: 504 5.5.4",
			"C: MAIL FROM:<a@example.org> SIZE=1000", "W: mail a@example.org size 1000",
			"S: 250 2.1.0") },
		{ "S34 REQUIRETLS",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<a@example.org> REQUIRETLS=1", "S: 501 5.5.4",
			"C: MAIL FROM:<a@example.org> REQUIRETLS REQUIRETLS", "S: 501 5.5.4",
			"C: MAIL FROM:<a@example.org> SIZE=1 requiretls",
			"W: mail a@example.org size 1 requiretls", "S: 250 2.1.0", "C: RSET",
			"S: 250 2.0.0", MAIL) },
		{ "S34 REQUIRETLS where it is not offered: after HELO",
		    SCRIPT(LOGGED_IN, "C: HELO client.example", "S: 250 mail.example.org",
			"C: MAIL FROM:<a@example.org> REQUIRETLS", "S: 555 5.5.4",
			"C: MAIL FROM:<a@example.org>", "W: mail a@example.org", "S: 250 2.1.0") },
		{ "S34 REQUIRETLS before TLS",
		    SCRIPT(GREETED_IN_CLEAR, "C: MAIL FROM:<a@example.org> REQUIRETLS",
			"S: 530 5.7.0"),
		    .in_clear = true },
		{ "S31 parameters of RCPT",
		    SCRIPT(LOGGED_IN, MAIL, "C: RCPT TO:<bob@example.net> NOTIFY=NEVER",
			"S: 555 5.5.4") },
		{ "S21 the fourth of three",
		    SCRIPT(LOGGED_IN, MAIL, "C: RCPT TO:<a@b.example>", "C: RCPT TO:<b@b.example>",
			"C: RCPT TO:<c@b.example>", "C: RCPT TO:<d@b.example>", "C: DATA",
			"W: rcpt a@b.example", "S: 250 2.1.5", "W: rcpt b@b.example",
			"S: 250 2.1.5", "W: rcpt c@b.example", "S: 250 2.1.5", "S: 452 4.5.3",
			"W: data 3", "S: 354 ") },
		{ "S22 one recipient often",
		    SCRIPT(LOGGED_IN, MAIL, RCPT, RCPT, "C: RCPT TO:<\"bob\"@EXAMPLE.net>",
			"W: rcpt bob@example.net", "S: 250 2.1.5", RCPT, RCPT, "C: DATA",
			"W: data 1", "S: 354 ") },
		{ "P4 P5 P7 P8 P9 paths",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<(any@bank.example>", "S: 501 5.1.7",
			"C: MAIL FROM:<@bank.example:alice@example.org>", "S: 553 5.1.7",
			"C: MAIL FROM:<alice@example.org@bank.example>", "S: 501 5.1.7",
			"C: MAIL FROM:<alice\\\\@bank.example@example.org>", "S: 501 5.1.7",
			"C: MAIL FROM:<>", "W: mail ", "A: 553 5.7.1 no", "S: 553 5.7.1 no") },
		{ "MAIL without FROM:",
		    SCRIPT(LOGGED_IN, "C: MAIL alice@example.org", "S: 501 5.5.4") },
		{ "RCPT paths", SCRIPT(LOGGED_IN, MAIL, "C: RCPT TO:<>", "S: 501 5.1.3",
				    "C: RCPT TO:<postmaster>", "S: 501 5.1.3",
				    "C: RCPT TO:<a@[192.0.2.1]>", "S: 553 5.1.3") },
		{ "a client that pipelines behind a refused MAIL can read every reply",
		    SCRIPT(LOGGED_IN, "C: MAIL FROM:<a@b.example>", "C: RCPT TO:<a@b.example>",
			"C: RCPT TO:<b@b.example>", "C: RCPT TO:<c@b.example>",
			"C: RCPT TO:<d@b.example>", "C: RCPT TO:<e@b.example>", "C: DATA",
			"W: mail a@b.example", "A: 553 5.7.1 no", "S: 553 5.7.1", "S: 503 5.5.1",
			"S: 503 5.5.1", "S: 503 5.5.1", "S: 503 5.5.1", "S: 503 5.5.1",
			"S: 503 5.5.1", MAIL) },
	};

	(void)state;
	PLAY_ALL(plays);
}

static void test_content(void **state)
{
#define LONG60 "123456789012345678901234567890123456789012345678901234567890"
	const struct play plays[] = {
		{ "S7 empty", SCRIPT(DATA, "C: .", "W: accept ", "A: 554 5.6.0 no From",
				  "S: 554 5.6.0 no From", STILL_THERE) },
		{ "S8 dots", SCRIPT(DATA, "C: ..x", "C: ...", "C: .y", "C: ..", "C: a.", "C: .",
				 "W: accept .x\\r\\n..\\r\\ny\\r\\n.\\r\\na.\\r\\n", ACCEPTED) },
		{ "S15 a line of the limit, and one more",
		    SCRIPT(DATA, "C: ", "C: " LONG60, "C: ." LONG60, "C: .",
			"W: accept \\r\\n" LONG60 "\\r\\n" LONG60 "\\r\\n", ACCEPTED, MAIL, RCPT,
			"C: DATA", "W: data 1", "S: 354 ", "C: ", "C: " LONG60 "1", "C: .",
			"S: 554 5.6.0", "W: aborted", STILL_THERE) },
		{ "S16 the header is too large",
		    SCRIPT(DATA, "C: " LONG60, "C: " LONG60, "C: " LONG60, "C: 123456", "C: 789",
			"C: ", "C: .", "S: 554 5.6.0", "W: aborted", STILL_THERE) },
		{ "S16 the header just fits",
		    SCRIPT(DATA, "C: " LONG60, "C: " LONG60, "C: " LONG60, "C: 1234567890",
			"C: ", "C: body", "C: .",
			"W: accept " LONG60 "\\r\\n" LONG60 "\\r\\n" LONG60
			"\\r\\n1234567890\\r\\n\\r\\nbody\\r\\n",
			ACCEPTED) },
		{ "a bare LF, and commands in the content",
		    SCRIPT(DATA, "R: x\\ny\\r\\n", "C: RSET", "C: MAIL FROM:<eve@example.org>",
			"C: .", "S: 550 5.6.0 The message has a LF", "W: aborted", STILL_THERE) },
		{ "a bare CR", SCRIPT(DATA, "R: x\\ry\\r\\n.\\r\\n",
				   "S: 550 5.6.0 The message has a CR", "W: aborted", MAIL) },
		{ "a NUL", SCRIPT(DATA, "R: x\\0y\\r\\n.\\r\\n",
			       "S: 550 5.6.0 The message has a NUL", "W: aborted", MAIL) },
	};

	(void)state;
	PLAY_ALL(plays);
}

/* One reply, nothing split: whatever is behind the form is content of the same message. */
static void test_s6_end_of_data(void **state)
{
	static const char *const forms[] = { "\\n.\\n", "\\n.\\r\\n", "\\r\\n.\\n", "\\r.\\r",
		"\\n.\\r", "\\r.\\n", "\\r.\\r\\n", "\\r\\n.\\r", "\\r\\n\\0.\\r\\n",
		"\\r\\n.\\r\\r\\n", "\\n\\n.\\r\\n", "\\r\\n.\\0\\r\\n", "\\r\\r\\n.\\n",
		"\\r\\n.\\n\\r\\n", "\\n\\r.\\r\\n", "\\r\\n\\r.\\r\\n", "\\n\\r\\n.\\r",
		"\\r\\n..\\n", "\\r\\n.\\r.\\r\\n", "\\n.\\r\\n.\\n" };

	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++) {
		char *raw = mem_print("R: From: alice@example.org\\r\\n\\r\\nhi%s"
				      "MAIL FROM:<ceo@bank.example>\\r\\nRCPT TO:<bob@example.net>"
				      "\\r\\nDATA\\r\\nFrom: ceo@bank.example\\r\\n\\r\\nsmuggled",
		    forms[i]);
		const struct play form = { forms[i],
			SCRIPT(DATA, raw, "R: \\r\\n.\\r\\n", "S: 550 5.6.0", "W: aborted",
			    STILL_THERE, MAIL) };

		play(&form);
		free(raw);
	}
}

static void test_s24_s25_junk(void **state)
{
#define FIVE(...) __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__, __VA_ARGS__
	const struct play plays[] = {
		{ "S24 NOOP",
		    SCRIPT(FIVE(FIVE(STILL_THERE)), "C: NOOP", "S: 421 4.7.0", "W: close") },
		{ "S24 RSET", SCRIPT(FIVE(FIVE("C: RSET", "S: 250 2.0.0")), "C: RSET", "C: RSET",
				  "S: 421 4.7.0", "W: close") },
		{ "S24 errors",
		    SCRIPT(FIVE("C: X", "S: 500 5.5.1"), "C: X", "S: 421 4.7.0", "W: close") },
		{ "an accepted message forgives",
		    SCRIPT(LOGGED_IN, "C: X", "S: 500", "C: X", "S: 500", "C: X", "S: 500", MAIL,
			RCPT, "C: DATA", "W: data 1", "S: 354 ", "C: .", "W: accept ",
			"A: 250 2.0.0 Ok", "S: 250", FIVE("C: X", "S: 500"), "C: X", "S: 421 4.7.0",
			"W: close") },
		{ "S25 S33",
		    SCRIPT("C: VRFY alice", "S: 252 2", "C: HELP", "S: 214 2", "C: EXPN staff",
			"S: 502 5.5.1", "C: ETRN x", "S: 502 5.5.1", "C: XCLIENT ADDR=127.0.0.1",
			"S: 500 5.5.1", "C: XFORWARD NAME=x", "S: 500 5.5.1") },
		{ "S25 TURN", SCRIPT("C: TURN", "S: 502 5.5.1", "C: VRFY", "S: 501 5.5.4") },
		{ "S29 HTTP",
		    SCRIPT("C: POST / HTTP/1.1", "C: Host: x", "C: ", "C: EHLO x", "S: 500 5.5.1",
			"W: close"),
		    .needs_segments = true },
		{ "S29 HTTP byte by byte",
		    SCRIPT("C: get / HTTP/1.1", "S: 500 5.5.1", "W: close") },
		{ "BDAT is not read",
		    SCRIPT(LOGGED_IN, MAIL, RCPT, "C: BDAT 6 LAST", "C: QUIT", "S: 500 5.5.1",
			"W: close"),
		    .needs_segments = true },
	};

	(void)state;
	PLAY_ALL(plays);
}

static void test_s27_s28_starttls(void **state)
{
	const struct play plays[] = {
		{ "S27",
		    SCRIPT(GREETED_IN_CLEAR, "C: STARTTLS now", "S: 501 5.5.4", "C: STARTTLS",
			"S: 220 2.0.0", "W: starttls", "C: STARTTLS", "S: 503 5.5.1", GREETED,
			"C: STARTTLS", "S: 503 5.5.1",
			"C: AUTH PLAIN AGEAYg==", "W: auth PLAIN first \\0a\\0b", "S: 235 2.7.0",
			MAIL, "C: STARTTLS", "S: 503 5.5.1"),
		    .in_clear = true },
		{ "the hello is forgotten",
		    SCRIPT(GREETED_IN_CLEAR, "C: STARTTLS", "S: 220 2.0.0", "W: starttls",
			"C: AUTH PLAIN AGEAYg==", "S: 503 5.5.1"),
		    .in_clear = true },
		{ "S28 nothing behind STARTTLS is consumed",
		    SCRIPT(GREETED_IN_CLEAR, "C: STARTTLS", "C: EHLO injected", "C: NOOP",
			"S: 220 2.0.0", "W: starttls", "C: MAIL FROM:<a@b.example>",
			"S: 530 5.7.0"),
		    .in_clear = true, .needs_segments = true },
		{ "A1 nothing in the clear",
		    SCRIPT(GREETED_IN_CLEAR, "C: AUTH PLAIN AGEAYg==", "S: 538 5.7.11",
			"C: MAIL FROM:<a@b.example>", "S: 530 5.7.0 Must issue a STARTTLS",
			"C: RCPT TO:<a@b.example>", "S: 530 5.7.0"),
		    .in_clear = true },
	};

	(void)state;
	PLAY_ALL(plays);
}

static void test_auth(void **state)
{
#define NO_AUTH "A: refused", "S: 535 5.7.8 Authentication credentials invalid"
	const struct play plays[] = {
		{ "before login", SCRIPT(GREETED, "C: MAIL FROM:<alice@example.org>",
				      "S: 530 5.7.0 Authentication required") },
		{ "A2 no initial response",
		    SCRIPT(GREETED, "C: AUTH PLAIN", "W: auth PLAIN first", "A: challenge ",
			"S: 334 ", "C: AGEAYg==", "W: auth PLAIN more \\0a\\0b", "A: done",
			"S: 235 2.7.0") },
		{ "A3 an empty one",
		    SCRIPT(GREETED, "C: AUTH PLAIN =", "W: auth PLAIN first ", NO_AUTH,
			"C: AUTH PLAIN", "W: auth PLAIN first", "A: challenge ", "S: 334 ",
			"C: ", "W: auth PLAIN more ", NO_AUTH) },
		{ "A4 cancel",
		    SCRIPT(GREETED, "C: AUTH LOGIN", "W: auth LOGIN first",
			"A: challenge Username:", "S: 334 VXNlcm5hbWU6", "C: *", "S: 501 5.7.0",
			"C: AUTH PLAIN AGEAYg==", "W: auth PLAIN first \\0a\\0b", "S: 235 2.7.0") },
		{ "A5 bad base64", SCRIPT(GREETED, "C: AUTH PLAIN AGEAYg=", "S: 501 5.5.2",
				       "C: AUTH PLAIN AGEAYg", "S: 501 5.5.2", "C: AUTH PLAIN A",
				       "S: 501 5.5.2", "C: AUTH PLAIN ====", "S: 501 5.5.2") },
		{ "A5 more bad base64", SCRIPT(GREETED, "C: AUTH PLAIN A-EAYg==", "S: 501 5.5.2",
					    "C: AUTH PLAIN AGEAYh==", "S: 501 5.5.2",
					    "C: AUTH PLAIN AGEA Yg==", "S: 501 5.5.2",
					    "C: AUTH PLAIN  AGEAYg==", "S: 501 5.5.2") },
		{ "A5 bad base64 in an answer",
		    SCRIPT(GREETED, "C: AUTH LOGIN", "W: auth LOGIN first", "A: challenge ",
			"S: 334 ", "C: =", "S: 501 5.5.2", "C: AUTH LOGIN", "W: auth LOGIN first",
			"A: challenge ", "S: 334 ", "C: AA=A", "S: 501 5.5.2", STILL_THERE) },
		{ "A9 three failures",
		    SCRIPT(GREETED, "C: AUTH PLAIN AGEAYg==", "W: auth PLAIN first \\0a\\0b",
			NO_AUTH, "C: AUTH PLAIN AGEAYg==", "W: auth PLAIN first \\0a\\0b", NO_AUTH,
			"C: AUTH PLAIN AGEAYg==", "W: auth PLAIN first \\0a\\0b", "A: refused",
			"S: 421 4.7.0", "W: close") },
		{ "A10 twice, and in a transaction",
		    SCRIPT(LOGGED_IN, "C: AUTH PLAIN AGEAYg==", "S: 503 5.5.1", MAIL,
			"C: AUTH PLAIN AGEAYg==", "S: 503 5.5.1") },
		{ "A11 LOGIN with the user on the line",
		    SCRIPT(GREETED, "C: auth login YQ==", "W: auth LOGIN first a",
			"A: challenge Password:", "S: 334 UGFzc3dvcmQ6",
			"C: Yg==", "W: auth LOGIN more b", "A: done", "S: 235 2.7.0") },
		{ "A13 we cannot tell",
		    SCRIPT(GREETED, "C: AUTH PLAIN AGEAYg==", "W: auth PLAIN first \\0a\\0b",
			"A: broken", "S: 454 4.7.0", "C: MAIL FROM:<a@b.example>",
			"S: 530 5.7.0") },
		{ "A17 mechanisms",
		    SCRIPT(GREETED, "C: AUTH", "S: 501 5.5.4", "C: AUTH ANONYMOUS", "S: 504 5.5.4",
			"C: AUTH SCRAM-SHA-256-PLUS", "S: 504 5.5.4", "C: AUTH PLAI",
			"S: 504 5.5.4", "C: AUTH scram-sha-256", "W: auth SCRAM-SHA-256 first",
			"A: done", "S: 235") },
		{ "a line in the exchange that is none",
		    SCRIPT(GREETED, "C: AUTH LOGIN", "W: auth LOGIN first", "A: challenge ",
			"S: 334 ", "R: YQ==\\n", "S: 500 5.5.2", "C: NOOP", "S: 250 2.0.0") },
	};

	(void)state;
	PLAY_ALL(plays);
}

static char *repeat(const char *head, char c, size_t n)
{
	char *text = mem_create(strlen(head) + n + 1);

	strcpy(text, head);
	memset(text + strlen(head), c, n);
	return text;
}

static void test_s2_s3_s15_sizes(void **state)
{
	char *noop512 = repeat("C: NOOP ", 'x', 512 - 2 - 5);
	char *noop2049 = repeat("C: NOOP ", 'x', 2049 - 5);
	char *ehlo = repeat("C: EHLO ", 'x', 60000);
	char *endless = repeat("R: ", 'x', 200000);
	char *auth = repeat("C: AUTH PLAIN ", 'A', 12276); /* 12,289 bytes with CRLF */
	char *response = repeat("C: ", 'A', 12300);
	char *line = repeat("R: \\r\\n", 'x', 900000);
	const struct play plays[] = {
		{ "S2",
		    SCRIPT(ehlo, "S: 500 5.5.2", STILL_THERE, ehlo, "S: 500", ehlo, "S: 500", ehlo,
			"S: 500", ehlo, "S: 421 4.7.0", "W: close"),
		    .needs_segments = true },
		{ "S2 no end", SCRIPT(endless, "S: 500 5.5.2", "W: close") },
		{ "S3 512 bytes", SCRIPT(noop512, "S: 250 2.0.0", noop2049, "S: 500 5.5.2") },
		{ "S3 AUTH over the limit",
		    SCRIPT(GREETED, auth, "S: 500 5.5.2", STILL_THERE, "C: AUTH LOGIN",
			"W: auth LOGIN first", "A: challenge ", "S: 334 ", response, "S: 500 5.5.6",
			STILL_THERE) },
		{ "S15 0.9 MB in a line",
		    SCRIPT(
			DATA, line, "R: \\r\\n.\\r\\n", "S: 554 5.6.0", "W: aborted", STILL_THERE),
		    .needs_segments = true },
	};

	(void)state;
	PLAY_ALL(plays);
	free(noop512);
	free(noop2049);
	free(ehlo);
	free(endless);
	free(auth);
	free(response);
	free(line);
}

/* ---- without a script ---- */

static const struct smtp_server_settings wide = {
	.hostname = "mail.example.org",
	.message_size = 4000000,
	.recipients = 3,
	.errors = 5,
	.auth_failures = 3,
	.line_length = 998,
	.header_size = 102400,
	.mechanisms = "PLAIN",
};

struct session {
	struct smtp_server *server;
	struct evbuffer *in, *out;
};

static struct session session_begin(void)
{
	struct session s = { smtp_server_create(&wide), evbuffer_new(), evbuffer_new() };

	smtp_server_greet(s.server, true, s.out);
	evbuffer_drain(s.out, evbuffer_get_length(s.out));
	return s;
}

static void session_finish(struct session *s)
{
	evbuffer_free(s->in);
	evbuffer_free(s->out);
	smtp_server_destroy(&s->server);
}

static enum smtp_want say(struct session *s, const char *text)
{
	evbuffer_add(s->in, text, strlen(text));
	return smtp_server_input(s->server, s->in, s->out);
}

/* The last line said, and everything said is forgotten. */
static void assert_said(struct session *s, const char *begin)
{
	char *line, *last = NULL;

	while ((line = evbuffer_readln(s->out, NULL, EVBUFFER_EOL_CRLF_STRICT)) != NULL) {
		free(last);
		last = line;
	}
	assert_non_null(last);
	assert_memory_equal(last, begin, strlen(begin));
	free(last);
}

static void say_yes(struct session *s)
{
	struct outcome ok;

	outcome_ok(&ok);
	smtp_server_answer(s->server, &ok, s->out);
}

static void begin_content(struct session *s)
{
	assert_int_equal(say(s, "EHLO [192.0.2.1]\r\nAUTH PLAIN AGEAYg==\r\n"), SMTP_WANT_AUTH);
	smtp_server_auth_answer(s->server, SMTP_AUTH_DONE, NULL, 0, s->out);
	assert_int_equal(say(s, "MAIL FROM:<\"al\\ice\"@Example.ORG>\r\n"), SMTP_WANT_MAIL);
	say_yes(s);
	assert_int_equal(say(s, "RCPT TO:<bob@example.net>\r\n"), SMTP_WANT_RCPT);
	say_yes(s);
	assert_int_equal(say(s, "DATA\r\n"), SMTP_WANT_DATA);
	say_yes(s);
	assert_said(s, "354 ");
	assert_true(smtp_server_in_content(s->server));
}

static void test_s3_a12_long_passwords(void **state)
{
	static const size_t sizes[] = { 1, 128, 4096, 9216 };

	(void)state;
	for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		struct session s = session_begin();
		size_t n = sizes[i] / 3 * 4 + 4;
		char *text = repeat("EHLO x\r\nAUTH PLAIN ", 'A', n - 4);
		char *line = mem_print("%sAA==\r\n", text);

		assert_true(n <= 12292);
		assert_int_equal(say(&s, line), n + 13 <= 12288 ? SMTP_WANT_AUTH : SMTP_WANT_INPUT);
		if (n + 13 <= 12288)
			assert_int_equal(smtp_server_auth(s.server)->n_response, n / 4 * 3 - 2);
		else
			assert_said(&s, "500 5.5.2");
		free(text);
		free(line);
		session_finish(&s);
	}
}

static void test_address_is_canonical(void **state)
{
	struct session s = session_begin();

	(void)state;
	begin_content(&s);
	assert_string_equal(smtp_server_sender(s.server)->text, "alice@example.org");
	assert_string_equal(smtp_server_sender(s.server)->local, "alice");
	assert_string_equal(smtp_server_sender(s.server)->domain, "example.org");
	assert_int_equal(smtp_server_n_recipients(s.server), 1);
	assert_string_equal(smtp_server_recipient_at(s.server, 0), "bob@example.net");
	assert_string_equal(smtp_server_client_name(s.server), "[192.0.2.1]");
	assert_true(smtp_server_said_ehlo(s.server));
	session_finish(&s);
}

static size_t pour(struct session *s, size_t n, enum smtp_want *want)
{
	static const char line[] = "0123456789012345678901234567890123456789012345678901234567\r\n";
	size_t n_given = 0;

	*want = say(s, "\r\n");
	for (size_t i = 0; i < n; i += sizeof line - 1) {
		while (*want == SMTP_WANT_CONTENT) {
			n_given += smtp_server_content(s->server).n;
			*want = smtp_server_input(s->server, s->in, s->out);
		}
		if (*want != SMTP_WANT_INPUT)
			break;
		*want = say(s, line);
	}
	while (*want == SMTP_WANT_CONTENT) {
		n_given += smtp_server_content(s->server).n;
		*want = smtp_server_input(s->server, s->in, s->out);
	}
	return n_given;
}

static void test_refused_mail_leaves_nothing(void **state)
{
	struct session s = session_begin();
	struct outcome why;

	(void)state;
	assert_int_equal(say(&s, "EHLO x\r\nAUTH PLAIN AGEAYg==\r\n"), SMTP_WANT_AUTH);
	smtp_server_auth_answer(s.server, SMTP_AUTH_DONE, NULL, 0, s.out);
	assert_int_equal(say(&s, "MAIL FROM:<a@b.example> SIZE=9 X=1\r\n"), SMTP_WANT_INPUT);
	assert_string_equal(smtp_server_sender(s.server)->text, "");
	assert_int_equal(smtp_server_declared_size(s.server), 0);
	assert_true(smtp_server_refused(s.server, &why));
	assert_string_equal(why.name, "parameter-not-offered");
	assert_int_equal(say(&s, "MAIL FROM:<a@b.example>\r\n"), SMTP_WANT_MAIL);
	outcome_say(&why, 553, "5.7.1", "sender-not-owned", "not yours");
	smtp_server_answer(s.server, &why, s.out);
	assert_string_equal(smtp_server_sender(s.server)->text, "");
	assert_false(smtp_server_refused(s.server, &why));
	session_finish(&s);
}

static void test_s14_too_large(void **state)
{
	struct session s = session_begin();
	struct outcome why;
	enum smtp_want want;

	(void)state;
	begin_content(&s);
	assert_true(pour(&s, wide.message_size + 100000, &want) <= wide.message_size);
	assert_int_equal(want, SMTP_WANT_INPUT);
	assert_int_equal(evbuffer_get_length(s.out), 0);
	assert_int_equal(evbuffer_get_length(s.in), 0);
	assert_int_equal(say(&s, ".\r\n"), SMTP_WANT_INPUT);
	assert_said(&s, "552 5.3.4");
	assert_true(smtp_server_aborted(s.server));
	assert_false(smtp_server_aborted(s.server));
	assert_true(smtp_server_refused(s.server, &why));
	assert_string_equal(why.name, "message-too-large");
	assert_false(smtp_server_refused(s.server, &why));
	assert_int_equal(say(&s, "MAIL FROM:<a@example.org>\r\n"), SMTP_WANT_MAIL);
	session_finish(&s);
}

static void test_o6_endless_content(void **state)
{
	struct session s = session_begin();
	enum smtp_want want;

	(void)state;
	begin_content(&s);
	pour(&s, 4 * wide.message_size, &want);
	assert_int_equal(want, SMTP_WANT_CLOSE);
	assert_said(&s, "552 5.3.4");
	assert_true(smtp_server_aborted(s.server));
	session_finish(&s);
}

static void test_owner_refuses_content(void **state)
{
	struct session s = session_begin();
	struct outcome full;

	(void)state;
	begin_content(&s);
	assert_int_equal(say(&s, "one\r\n"), SMTP_WANT_CONTENT);
	outcome_say(&full, 452, "4.3.1", "disk-full", "no room");
	smtp_server_refuse_content(s.server, &full);
	assert_int_equal(say(&s, "two\nthree\r\n"), SMTP_WANT_INPUT);
	assert_int_equal(say(&s, ".\r\nNOOP\r\n"), SMTP_WANT_INPUT);
	assert_said(&s, "250 2.0.0");
	assert_true(smtp_server_aborted(s.server));

	/* Refused with the last piece, when the end is known already. */
	assert_int_equal(say(&s, "MAIL FROM:<a@example.org>\r\n"), SMTP_WANT_MAIL);
	say_yes(&s);
	assert_int_equal(say(&s, "RCPT TO:<bob@example.net>\r\n"), SMTP_WANT_RCPT);
	say_yes(&s);
	assert_int_equal(say(&s, "DATA\r\n"), SMTP_WANT_DATA);
	say_yes(&s);
	assert_int_equal(say(&s, "one\r\n.\r\n"), SMTP_WANT_CONTENT);
	smtp_server_refuse_content(s.server, &full);
	assert_int_equal(smtp_server_input(s.server, s.in, s.out), SMTP_WANT_INPUT);
	assert_said(&s, "452 4.3.1 no room");
	assert_true(smtp_server_aborted(s.server));
	session_finish(&s);
}

static void test_dismissed(void **state)
{
	struct session s = session_begin();
	struct outcome why;

	(void)state;
	begin_content(&s);
	outcome_say(&why, 421, "4.4.2", "idle", "idle for too long");
	smtp_server_dismiss(s.server, &why, s.out);
	assert_said(&s, "421 4.4.2 idle for too long");
	assert_true(smtp_server_aborted(s.server));
	assert_int_equal(say(&s, "more\r\n"), SMTP_WANT_CLOSE);
	session_finish(&s);

	s = session_begin();
	assert_int_equal(say(&s, "EHLO x\r\nAUTH PLAIN AGEAYg==\r\n"), SMTP_WANT_AUTH);
	smtp_server_dismiss(s.server, &why, s.out);
	assert_said(&s, "421 4.4.2");
	/* An answer that comes after all changes nothing. */
	smtp_server_auth_answer(s.server, SMTP_AUTH_DONE, NULL, 0, s.out);
	assert_int_equal(evbuffer_get_length(s.out), 0);
	assert_int_equal(say(&s, ""), SMTP_WANT_CLOSE);
	session_finish(&s);
}

static void test_s11_turned_away(void **state)
{
	struct session s = { smtp_server_create(&wide), evbuffer_new(), evbuffer_new() };
	struct outcome why;

	(void)state;
	outcome_say(&why, 554, "5.5.0", "early-talker", "you talk before you were greeted");
	smtp_server_turn_away(s.server, &why, s.out);
	assert_said(&s, "554 5.5.0 you talk");
	assert_int_equal(say(&s, "EHLO x\r\n"), SMTP_WANT_CLOSE);
	session_finish(&s);
}

static void test_long_reply_is_split(void **state)
{
	struct session s = session_begin();
	struct outcome why;
	char *line;

	(void)state;
	assert_int_equal(say(&s, "EHLO x\r\nAUTH PLAIN AGEAYg==\r\n"), SMTP_WANT_AUTH);
	smtp_server_auth_answer(s.server, SMTP_AUTH_DONE, NULL, 0, s.out);
	assert_int_equal(say(&s, "MAIL FROM:<a@example.org>\r\n"), SMTP_WANT_MAIL);
	assert_said(&s, "235");
	outcome_say(&why, 550, "5.7.1", "", "%0480d %020d", 0, 1);
	smtp_server_answer(s.server, &why, s.out);
	line = evbuffer_readln(s.out, NULL, EVBUFFER_EOL_CRLF_STRICT);
	assert_non_null(line);
	assert_memory_equal(line, "550-5.7.1 000", 13);
	assert_true(strlen(line) <= 510);
	free(line);
	assert_said(&s, "550 5.7.1 ");
	session_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_road),
		cmocka_unit_test(test_s1_to_s5_lines),
		cmocka_unit_test(test_s9_s10_s11_order),
		cmocka_unit_test(test_envelope),
		cmocka_unit_test(test_content),
		cmocka_unit_test(test_s6_end_of_data),
		cmocka_unit_test(test_s24_s25_junk),
		cmocka_unit_test(test_s27_s28_starttls),
		cmocka_unit_test(test_auth),
		cmocka_unit_test(test_s2_s3_s15_sizes),
		cmocka_unit_test(test_s3_a12_long_passwords),
		cmocka_unit_test(test_address_is_canonical),
		cmocka_unit_test(test_refused_mail_leaves_nothing),
		cmocka_unit_test(test_s14_too_large),
		cmocka_unit_test(test_o6_endless_content),
		cmocka_unit_test(test_owner_refuses_content),
		cmocka_unit_test(test_dismissed),
		cmocka_unit_test(test_s11_turned_away),
		cmocka_unit_test(test_long_reply_is_split),
	};

	return cmocka_run_group_tests_name("smtp server", tests, NULL, NULL);
}
