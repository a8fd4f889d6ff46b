/*
 * The commands of the control socket. Each is one request, and ends its client's connection when it
 * has answered.
 */
#include <stdlib.h>
#include <string.h>

#include "relay/base/queue_id.h"
#include "relay/json_text.h"
#include "relay/proc/control_client.h"
#include "relay/spool_policies.h"

enum { LIST_MAX = 20000 /* entries of one answer */ };

typedef void command_call(struct control_client *c, const json_t *request);

static command_call list, retry, remove_message, status, policy, show_reports, send_reports;
static void on_listed(void *arg, const struct spool_entry *e);
static void on_changed(void *arg, size_t n);
static void on_report(void *arg, const struct spool_tlsrpt *about, struct tls_report *report);
static void on_due(void *arg, size_t n);
static void on_policy(void *arg, const struct sts_kept *policies, size_t n, bool is_last);
static const char *text_of(const json_t *request, const char *key);
static bool is_id(const char *text);

static const struct {
	const char *name;
	const char *needs; /* an argument it cannot do without; NULL: none */
	command_call *call;
} COMMANDS[] = {
	{ "list", NULL, list },
	{ "retry", NULL, retry },
	{ "remove", "id", remove_message },
	{ "status", NULL, status },
	{ "policy", "domain", policy },
	{ "tlsrpt-show", NULL, show_reports },
	{ "tlsrpt-send", NULL, send_reports },
};

void control_serve(struct control_client *c, const json_t *request)
{
	const char *command = text_of(request, "command"), *id = text_of(request, "id");

	if (command == NULL) {
		control_say_error(c, "the request names no command");
		return;
	}
	if (id != NULL && !is_id(id)) {
		control_say_error(c, "that is no queue id: they have 15 capitals and digits");
		return;
	}
	for (size_t i = 0; i < sizeof COMMANDS / sizeof *COMMANDS; i++) {
		if (strcmp(command, COMMANDS[i].name) == 0 &&
		    (COMMANDS[i].needs == NULL || text_of(request, COMMANDS[i].needs) != NULL)) {
			c->is_waiting = true;
			COMMANDS[i].call(c, request);
			return;
		}
	}
	control_say_error(c, "there is no such command, or it lacks its argument");
}

static const char *text_of(const json_t *request, const char *key)
{
	return json_string_value(json_object_get(request, key));
}

static bool is_id(const char *text)
{
	return queue_id_is_valid(text, strlen(text));
}

/* ---- the queue ---- */

static void list(struct control_client *c, const json_t *request)
{
	spool_list(c->control->house.spool, text_of(request, "id"), text_of(request, "address"),
	    json_is_true(json_object_get(request, "settled")), LIST_MAX, on_listed, c);
}

static void on_listed(void *arg, const struct spool_entry *e)
{
	struct control_client *c = arg;
	json_t *line;

	if (e == NULL) {
		control_say(c, json_pack("{s:b, s:I, s:b}", "end", 1, "n", (json_int_t)c->n_listed,
				   "truncated", c->n_listed >= LIST_MAX));
		control_end(c);
		return;
	}
	c->n_listed++;
	line = json_pack("{s:s, s:s, s:b, s:i, s:I, s:I, s:I, s:I, s:I}", "id", e->id, "state",
	    e->state, "under_way", e->is_out, "attempts", (int)e->n_attempts, "arrived",
	    (json_int_t)e->arrived_s, "next_try", (json_int_t)e->next_try_s, "expires",
	    (json_int_t)e->expires_s, "size", (json_int_t)e->size_bytes, "tried",
	    (json_int_t)e->tried_s);
	json_object_set_new(line, "sender", json_text(e->sender));
	json_object_set_new(line, "account", json_text(e->account));
	json_object_set_new(line, "recipient", json_text(e->recipient));
	json_object_set_new(line, "message_id", json_text(e->message_id));
	json_object_set_new(line, "reply", json_text(e->reply));
	json_object_set_new(line, "reason", json_text(e->reason));
	json_object_set_new(line, "host", json_text(e->host));
	json_object_set_new(line, "evidence", json_text(e->evidence));
	control_say(c, line);
}

static void retry(struct control_client *c, const json_t *request)
{
	spool_retry(c->control->house.spool, text_of(request, "what"), on_changed, c);
}

static void remove_message(struct control_client *c, const json_t *request)
{
	spool_remove(c->control->house.spool, text_of(request, "id"), on_changed, c);
}

static void on_changed(void *arg, size_t n)
{
	struct control_client *c = arg;
	struct schedule *schedule = dispatch_schedule(c->control->house.dispatch);

	if (schedule != NULL)
		schedule_wake(schedule);
	control_say(c, json_pack("{s:b, s:I}", "end", 1, "n", (json_int_t)n));
	control_end(c);
}

static void status(struct control_client *c, const json_t *request)
{
	(void)request;
	spool_count(c->control->house.spool, control_say_status, c);
}

/* ---- MTA-STS: what is kept of a domain's policy ---- */

static void policy(struct control_client *c, const json_t *request)
{
	spool_policy_find(c->control->house.spool, text_of(request, "domain"), on_policy, c);
}

static void on_policy(void *arg, const struct sts_kept *policies, size_t n, bool is_last)
{
	struct control_client *c = arg;
	json_t *line;

	(void)is_last;
	for (size_t i = 0; i < n; i++) {
		line = json_pack("{s:I, s:I}", "fetched", (json_int_t)policies[i].fetched_s,
		    "expires", (json_int_t)policies[i].expires_s);
		json_object_set_new(line, "domain", json_text(policies[i].domain));
		json_object_set_new(line, "id", json_text(policies[i].id));
		json_object_set_new(line, "policy", json_text(policies[i].policy));
		control_say(c, line);
	}
	control_say(c, json_pack("{s:b, s:I}", "end", 1, "n", (json_int_t)n));
	control_end(c);
}

/* ---- TLS reports ---- */

static void show_reports(struct control_client *c, const json_t *request)
{
	spool_tlsrpt_list(c->control->house.spool, text_of(request, "domain"), on_report, c);
}

static void on_report(void *arg, const struct spool_tlsrpt *about, struct tls_report *report)
{
	struct control_client *c = arg;
	json_t *line;
	char *text;

	if (about == NULL) {
		control_say(c, json_pack("{s:b, s:I}", "end", 1, "n", (json_int_t)c->n_listed));
		control_end(c);
		return;
	}
	c->n_listed++;
	tlsrpt_fill(c->control->house.config, about->number, report);
	text = tls_report_write(report);
	line = json_pack("{s:b, s:I}", "allowed",
	    tlsrpt_allows(c->control->house.config, about->domain), "tried",
	    (json_int_t)about->first_try_s);
	json_object_set_new(line, "domain", json_text(about->domain));
	json_object_set_new(line, "report", json_loads(text, 0, NULL));
	control_say(c, line);
	free(text);
}

static void send_reports(struct control_client *c, const json_t *request)
{
	const struct config *config = c->control->house.config;
	const char *domain = text_of(request, "domain");

	if (domain != NULL ? tlsrpt_allows(config, domain) : config->tlsrpt.scope != TLSRPT_OFF)
		tlsrpt_send_now(c->control->house.reports, domain, on_due, c);
	else
		control_say_error(
		    c, domain != NULL ? "tls-reports { send } does not allow reports to this domain"
				      : "TLS reports are off: write tls-reports { send = all }");
}

static void on_due(void *arg, size_t n)
{
	struct control_client *c = arg;

	control_say(c, json_pack("{s:b, s:I}", "end", 1, "n", (json_int_t)n));
	control_end(c);
}
