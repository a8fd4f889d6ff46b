/*
 * One line for each recipient and event, in Postfix's words, so that what reads Postfix's log reads
 * ours. Says nothing of what to do.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/message.h"

/* Of what a delivery consists, as in "delays=a/b/c/d". */
struct report_delays {
	int64_t before_ms;   /* from arrival until the job fell due and was taken up */
	int64_t waiting_ms;  /* for a free delivery */
	int64_t setup_ms;    /* DNS, connecting, TLS */
	int64_t transfer_ms; /* envelope and content */
};

enum report_status { REPORT_SENT, REPORT_DEFERRED, REPORT_BOUNCED };

struct report {
	const char *id;
	const char *recipient;
	const char *relay; /* "mx.example[192.0.2.1]:25"; "" is written as none */
	struct report_delays delays;
	enum report_status status;
	const struct outcome *outcome;
};

enum report_status report_status_of(const struct outcome *outcome);

enum { REPORT_LINE_MAX = 2048 };

/*
 * "ID: to=<rcpt>, relay=mx.example[192.0.2.1]:25, delay=1.2, delays=0.1/0/0.5/0.6, dsn=2.0.0,
 * status=sent (250 2.0.0 Ok)". Cut at the end of line.
 */
void report_print(const struct report *report, char line[REPORT_LINE_MAX]);

/* Writes the line to the log. */
void report_log(const struct report *report);

/*
 * What stands in the parentheses: "host mx.example[192.0.2.1] said: 450 4.2.0 Greylisted" for what
 * a server said, "... [partner-tls-name]" for what we say; "250 2.0.0 Ok" for a success.
 */
void report_print_reason(const struct outcome *outcome, char *text, size_t room);

/* ---- what the queue has to say ---- */

/* Recipient number recipient of the message waits without having been tried, because of why. */
void report_deferred(const struct message *message, size_t recipient, const struct outcome *why);

/* "ID: from=<sender>, status=expired, returned to sender", once a message. */
void report_expired(const struct message *message);

/* "ID: removed", of the queue's manager: the last line about a message. */
void report_removed(const char *id);

/* "ID: sender non-delivery notification: ID" */
void report_notification(const struct message *message, const struct message *notification);
