/*
 * Log lines to the letter, since programs read them.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "relay/report.h"

static const struct {
	struct report_delays delays;
	const char *relay;
	int code;
	const char *enhanced, *who, *stable, *text;
	const char *line;
} lines[] = {
	{ { 100, 0, 500, 600 }, "mx.example[192.0.2.1]:25", 250, "2.0.0", "mx.example[192.0.2.1]",
	    "", "Ok: queued as 12",
	    "0ABC: to=<a@example.net>, relay=mx.example[192.0.2.1]:25, delay=1.2, "
	    "delays=0.1/0/0.5/0.6, dsn=2.0.0, status=sent (250 2.0.0 Ok: queued as 12)" },
	{ { 3600000, 0, 51, 9999 }, "mx.example[2001:db8::1]:25", 450, "4.2.0",
	    "mx.example[2001:db8::1]", "", "Greylisted",
	    "0ABC: to=<a@example.net>, relay=mx.example[2001:db8::1]:25, delay=3610, "
	    "delays=3600/0/0.051/10.0, dsn=4.2.0, status=deferred (host mx.example[2001:db8::1] "
	    "said: 450 4.2.0 Greylisted)" },
	{ { 1000, 0, 0, 0 }, "", 550, "5.1.2", "", "domain-not-found",
	    "The domain gone.example does not exist",
	    "0ABC: to=<a@example.net>, relay=none, delay=1.0, delays=1.0/0/0/0, dsn=5.1.2, "
	    "status=bounced (The domain gone.example does not exist [domain-not-found])" },
	{ { -5, 0, 12000, 0 }, "mx.example[192.0.2.1]:25", 454, "4.7.5", "mx.example[192.0.2.1]",
	    "partner-tls-name", "the certificate is for other.example",
	    "0ABC: to=<a@example.net>, relay=mx.example[192.0.2.1]:25, delay=12, delays=0/0/12/0, "
	    "dsn=4.7.5, status=deferred (mx.example[192.0.2.1]: the certificate is for "
	    "other.example [partner-tls-name])" },
	{ { 0, 0, 0, 0 }, "mx.example[192.0.2.1]:25", 451, "4.4.2", "", "connection-lost",
	    "lost connection with mx.example[192.0.2.1] while sending RCPT TO",
	    "0ABC: to=<a@example.net>, relay=mx.example[192.0.2.1]:25, delay=0, delays=0/0/0/0, "
	    "dsn=4.4.2, status=deferred (lost connection with mx.example[192.0.2.1] while sending "
	    "RCPT TO [connection-lost])" },
};

static void test_lines(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
		char line[REPORT_LINE_MAX];
		struct outcome outcome;
		struct report report = { .id = "0ABC",
			.recipient = "a@example.net",
			.relay = lines[i].relay,
			.delays = lines[i].delays,
			.outcome = &outcome };

		outcome_say(&outcome, lines[i].code, lines[i].enhanced, lines[i].stable, "%s",
		    lines[i].text);
		snprintf(outcome.who, sizeof outcome.who, "%s", lines[i].who);
		report.status = report_status_of(&outcome);
		report_print(&report, line);
		assert_string_equal(line, lines[i].line);
	}
}

/* The longest of everything is cut, not written past the end. */
static void test_long_line_is_cut(void **state)
{
	char address[3000], line[REPORT_LINE_MAX];
	struct outcome outcome;
	const struct report report = { .id = "0ABC",
		.recipient = address,
		.relay = "",
		.status = REPORT_DEFERRED,
		.outcome = &outcome };

	(void)state;
	memset(address, 'a', sizeof address - 1);
	address[sizeof address - 1] = '\0';
	outcome_ok(&outcome);
	report_print(&report, line);
	assert_int_equal(strlen(line), REPORT_LINE_MAX - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_long_line_is_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
