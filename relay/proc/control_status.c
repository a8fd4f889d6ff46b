/*
 * What "zegel status" tells: how the running relay is.
 */
#include "relay/base/clock.h"
#include "relay/json_text.h"
#include "relay/proc/control_client.h"

static const char *const STATES[] = {
#define X(symbol, word) [symbol] = word,
	CONTRACT_STATES(X)
#undef X
};

static json_t *reload_of(const struct control *control);
static json_t *resolver_of(const struct queue_lookup *lookup);
static json_t *exceptions_of(const struct config *config);
static json_t *observed_of(const struct config *config);

void control_say_status(void *arg, const struct spool_counts *counts)
{
	struct control_client *c = arg;
	const struct control *control = c->control;
	struct schedule *schedule = dispatch_schedule(control->house.dispatch);
	struct schedule_counts under_way = { 0 };
	json_t *line;

	if (schedule != NULL)
		schedule_count(schedule, &under_way);
	line = json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:O}", "version",
	    ZEGEL_VERSION, "queue_started", (json_int_t)control->started_s, "messages",
	    (json_int_t)counts->messages, "recipients_waiting",
	    (json_int_t)counts->recipients_waiting, "bytes", (json_int_t)counts->bytes, "segments",
	    (json_int_t)counts->segments, "free_bytes", (json_int_t)counts->free_bytes,
	    "deliveries", (json_int_t)under_way.started, "sites_down",
	    (json_int_t)under_way.sites_down, "storage",
	    outcome_is_ok(&control->storage) ? "ok" : control->storage.text, "processes",
	    control->processes);
	json_object_set_new(line, "reload", reload_of(control));
	json_object_set_new(line, "resolver", resolver_of(control->house.lookup));
	json_object_set_new(line, "exceptions", exceptions_of(control->house.config));
	json_object_set_new(line, "observed", observed_of(control->house.config));
	json_object_set_new(line, "end", json_true());
	control_say(c, line);
	control_end(c);
}

/* null if the configuration in force is the last that was to be. */
static json_t *reload_of(const struct control *control)
{
	json_t *line;

	if (control->reload_failed_s == 0)
		return json_null();
	line = json_pack("{s:I}", "failed", (json_int_t)control->reload_failed_s);
	json_object_set_new(line, "why", json_text(control->reload_why));
	return line;
}

static json_t *resolver_of(const struct queue_lookup *lookup)
{
	const struct contract_verdict *verdict = queue_lookup_resolver(lookup);

	json_t *line = json_pack("{s:s, s:I, s:I}", "state", STATES[verdict->state], "since",
	    (json_int_t)verdict->since_s, "checked", (json_int_t)verdict->checked_s);

	json_object_set_new(line, "text", json_text(verdict->text));
	return line;
}

static json_t *exceptions_of(const struct config *config)
{
	json_t *all = json_array();

	for (size_t i = 0; i < config->n_partners; i++) {
		const struct config_partner *partner = &config->partners[i];
		const struct config_exception *exception = partner->exception;
		json_t *line;

		if (exception == NULL)
			continue;
		line = json_pack("{s:s, s:s, s:s, s:I, s:b}", "partner", partner->name, "tls",
		    tls_level_name(exception->level), "rule", tls_level_name(partner->level),
		    "until", (json_int_t)exception->until_s, "over",
		    config_exception_at(partner, clock_wall_s()) == NULL);
		json_object_set_new(line, "reason", json_text(exception->reason));
		json_array_append_new(all, line);
	}
	return all;
}

static json_t *observed_of(const struct config *config)
{
	json_t *all = json_array();

	for (size_t i = 0; i < config->n_partners; i++) {
		if (config->partners[i].observe)
			json_array_append_new(all, json_string(config->partners[i].name));
	}
	return all;
}
