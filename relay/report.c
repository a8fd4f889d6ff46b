#include "relay/report.h"

#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"

enum { SECONDS_MAX = 32 };

static const char *print_seconds(int64_t ms, char text[SECONDS_MAX]);

enum report_status report_status_of(const struct outcome *outcome)
{
	switch (outcome->class) {
	case OUTCOME_OK: return REPORT_SENT;
	case OUTCOME_DEFER: return REPORT_DEFERRED;
	case OUTCOME_FAIL: return REPORT_BOUNCED;
	}
	return REPORT_DEFERRED;
}

static const char *status_word(enum report_status status)
{
	switch (status) {
	case REPORT_SENT: return "sent";
	case REPORT_DEFERRED: return "deferred";
	case REPORT_BOUNCED: return "bounced";
	}
	return "deferred";
}

void report_log(const struct report *report)
{
	char line[REPORT_LINE_MAX];

	report_print(report, line);
	log_info("%s", line);
}

void report_print(const struct report *r, char line[REPORT_LINE_MAX])
{
	const struct report_delays *d = &r->delays;
	char reason[OUTCOME_TEXT_MAX + OUTCOME_WHO_MAX + OUTCOME_NAME_MAX + 32];
	char all[SECONDS_MAX], part[4][SECONDS_MAX];

	report_print_reason(r->outcome, reason, sizeof reason);
	snprintf(line, REPORT_LINE_MAX,
	    "%s: to=<%s>, relay=%s, delay=%s, delays=%s/%s/%s/%s, dsn=%s, status=%s (%s)", r->id,
	    r->recipient, r->relay[0] != '\0' ? r->relay : "none",
	    print_seconds(d->before_ms + d->waiting_ms + d->setup_ms + d->transfer_ms, all),
	    print_seconds(d->before_ms, part[0]), print_seconds(d->waiting_ms, part[1]),
	    print_seconds(d->setup_ms, part[2]), print_seconds(d->transfer_ms, part[3]),
	    r->outcome->enhanced, status_word(r->status), reason);
}

/* Two digits that count, as Postfix does: 0, 0.05, 1.2, 34. */
static const char *print_seconds(int64_t ms, char text[SECONDS_MAX])
{
	ms = ms > 0 ? ms : 0;
	if (ms >= 10000)
		snprintf(text, SECONDS_MAX, "%lld", (long long)(ms + 500) / 1000);
	else if (ms >= 1000)
		snprintf(text, SECONDS_MAX, "%.1f", (double)ms / 1000);
	else
		snprintf(text, SECONDS_MAX, "%.2g", (double)ms / 1000);
	return text;
}

void report_print_reason(const struct outcome *o, char *text, size_t room)
{
	if (o->class == OUTCOME_OK)
		snprintf(text, room, "%d %s %s", o->code, o->enhanced, o->text);
	else if (o->name[0] == '\0' && o->who[0] != '\0')
		snprintf(
		    text, room, "host %s said: %d %s %s", o->who, o->code, o->enhanced, o->text);
	else if (o->name[0] == '\0')
		snprintf(text, room, "%s", o->text);
	else if (o->who[0] != '\0' && strstr(o->text, o->who) == NULL)
		snprintf(text, room, "%s: %s [%s]", o->who, o->text, o->name);
	else
		snprintf(text, room, "%s [%s]", o->text, o->name);
}

/* ---- what the queue has to say ---- */

void report_deferred(const struct message *message, size_t recipient, const struct outcome *why)
{
	const struct report report = { .id = message->id,
		.recipient = message->recipients[recipient],
		.relay = "",
		.delays.before_ms = 1000 * (clock_wall_s() - message->arrived_s),
		.status = REPORT_DEFERRED,
		.outcome = why };

	report_log(&report);
}

void report_expired(const struct message *message)
{
	log_info("%s: from=<%s>, status=expired, returned to sender", message->id, message->sender);
}

void report_removed(const char *id)
{
	log_info_as("qmgr", "%s: removed", id);
}

void report_notification(const struct message *message, const struct message *notification)
{
	log_info_as(
	    "bounce", "%s: sender non-delivery notification: %s", message->id, notification->id);
}
