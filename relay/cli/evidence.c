#include "relay/cli/evidence.h"

#include <stdio.h>
#include <string.h>

#include "relay/cli/ask.h"
#include "relay/evidence.h"

static void print_line(const char *what, const char *text);
static const char *describe_watch(const struct evidence_watch *watch, char *text, size_t room);
static void add_text(json_t *to, const char *key, const char *text);
static json_t *write_watches(const struct evidence *e);

void cli_evidence_words(const char *record, char text[CLI_EVIDENCE_MAX])
{
	struct evidence e;

	if (evidence_parse(record, &e))
		evidence_describe(&e, text, CLI_EVIDENCE_MAX);
	else
		snprintf(text, CLI_EVIDENCE_MAX, "%s", record);
}

void cli_evidence_print(const char *record)
{
	struct evidence e;
	char text[400];

	if (!evidence_parse(record, &e)) {
		print_line("tls", record);
		return;
	}
	snprintf(text, sizeof text, "%s by %s", tls_level_name(e.required), tls_demand_name(e.by));
	print_line("required", text);
	if (e.failed[0] != '\0')
		snprintf(text, sizeof text, "nothing was sent [%s]", e.failed);
	else if (e.achieved == TLS_NONE)
		snprintf(text, sizeof text, "plaintext");
	else
		snprintf(text, sizeof text, "%s, %s with %s%s%s", tls_level_name(e.achieved),
		    e.protocol, e.cipher, e.is_resumed ? ", a session resumed" : "",
		    e.is_reused ? ", a connection of before" : "");
	print_line("achieved", text);
	print_line("matched", e.match);
	print_line(
	    "mx", e.by_insecure_mx ? "insecure: whoever can forge them chooses the host" : "");
	print_line("untrusted", e.untrusted);
	print_line("cert", e.certificate);
	print_line("exception", e.exception);
	for (size_t i = 0; i < e.n_watches; i++)
		print_line("watched", describe_watch(&e.watches[i], text, sizeof text));
}

static void print_line(const char *what, const char *text)
{
	if (text[0] != '\0')
		printf("%-11s%s\n", what, text);
}

static const char *describe_watch(const struct evidence_watch *watch, char *text, size_t room)
{
	const char *rule = watch->demand == DEMAND_MTA_STS ? "MTA-STS" : "the observed rule";

	if (watch->failed[0] != '\0')
		snprintf(text, room, "%s would have refused it [%s]", rule, watch->failed);
	else
		snprintf(text, room, "%s would have taken it", rule);
	return text;
}

void cli_evidence_add(json_t *row)
{
	json_t *tls;
	struct evidence e;

	if (!evidence_parse(cli_text(row, "evidence"), &e)) {
		json_object_set_new(row, "tls", json_null());
		return;
	}
	tls = json_pack("{s:s, s:s, s:s, s:b, s:b, s:b}", "required", tls_level_name(e.required),
	    "by", tls_demand_name(e.by), "achieved", tls_level_name(e.achieved), "mx_insecure",
	    e.by_insecure_mx, "reused", e.is_reused, "resumed", e.is_resumed);
	add_text(tls, "failed", e.failed);
	add_text(tls, "protocol", e.protocol);
	add_text(tls, "cipher", e.cipher);
	add_text(tls, "match", e.match);
	add_text(tls, "untrusted", e.untrusted);
	add_text(tls, "certificate_sha256", e.certificate);
	add_text(tls, "host", e.host);
	add_text(tls, "exception", e.exception);
	json_object_set_new(tls, "watched", write_watches(&e));
	json_object_set_new(row, "tls", tls);
}

static void add_text(json_t *to, const char *key, const char *text)
{
	json_object_set_new(to, key, text[0] != '\0' ? json_string(text) : json_null());
}

static json_t *write_watches(const struct evidence *e)
{
	json_t *watches = json_array();

	for (size_t i = 0; i < e->n_watches; i++) {
		json_t *watch = json_pack("{s:s, s:b}", "by", tls_demand_name(e->watches[i].demand),
		    "passed", e->watches[i].failed[0] == '\0');

		add_text(watch, "failed", e->watches[i].failed);
		json_array_append_new(watches, watch);
	}
	return watches;
}
