/*
 * zegel status: is it well? Exit 1 if not.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/cli/ask.h"

static bool is_in_state(const json_t *end, const char *state);

static void print_processes(const json_t *end)
{
	json_t *process;
	size_t i;

	json_array_foreach(json_object_get(end, "processes"), i, process)
	{
		bool runs = json_is_true(json_object_get(process, "running"));
		char started[CLOCK_DATE_MAX];

		clock_print_iso(cli_number(process, "started"), started);
		printf("  %-9s %7" JSON_INTEGER_FORMAT
		       "  %s since %s, replaced %" JSON_INTEGER_FORMAT " times\n",
		    cli_text(process, "role"), cli_number(process, "pid"),
		    runs ? "runs" : "does NOT run", started, cli_number(process, "restarts"));
	}
}

static void print_reload(const json_t *end)
{
	const json_t *reload = json_object_get(end, "reload");
	char failed[CLOCK_DATE_MAX];

	if (!json_is_object(reload))
		return;
	clock_print_iso(cli_number(reload, "failed"), failed);
	printf("reload     FAILED %s: %s; what was in force before still is\n", failed,
	    cli_text(reload, "why"));
}

/* "resolver   validates, checked 2026-11-21T21:24:43Z" */
static void print_resolver(const json_t *end)
{
	const json_t *resolver = json_object_get(end, "resolver");
	char since[CLOCK_DATE_MAX], checked[CLOCK_DATE_MAX];

	clock_print_iso(cli_number(resolver, "since"), since);
	clock_print_iso(cli_number(resolver, "checked"), checked);
	if (is_in_state(end, "impaired"))
		printf("resolver   DANE IMPAIRED since %s", since);
	else if (is_in_state(end, "broken"))
		printf("resolver   DNSSEC BROKEN since %s: mail waits", since);
	else
		printf("resolver   %s", cli_text(resolver, "state"));
	if (cli_number(resolver, "checked") > 0)
		printf(", checked %s", checked);
	printf("\n");
	if (cli_text(resolver, "text")[0] != '\0')
		printf("           %s\n", cli_text(resolver, "text"));
}

static bool is_in_state(const json_t *end, const char *state)
{
	return strcmp(cli_text(json_object_get(end, "resolver"), "state"), state) == 0;
}

/* What the operator has loosened: nobody shall forget it. */
static void print_partners(const json_t *end)
{
	const json_t *observed = json_object_get(end, "observed");
	json_t *item;
	size_t i;

	json_array_foreach(json_object_get(end, "exceptions"), i, item)
	{
		bool is_over = json_is_true(json_object_get(item, "over"));
		char until[CLOCK_DATE_MAX];

		clock_print_iso(cli_number(item, "until"), until);
		if (is_over)
			printf("exception  partner %s: is over since %s, remove it (%s)\n",
			    cli_text(item, "partner"), until, cli_text(item, "reason"));
		else
			printf("exception  partner %s: tls=%s instead of %s until %s (%s)\n",
			    cli_text(item, "partner"), cli_text(item, "tls"),
			    cli_text(item, "rule"), until, cli_text(item, "reason"));
	}
	json_array_foreach(observed, i, item) printf(
	    "observed   partner %s: its rule is judged, not enforced\n", json_string_value(item));
}

static bool all_are_running(const json_t *end)
{
	json_t *process;
	size_t i;

	json_array_foreach(json_object_get(end, "processes"), i, process)
	{
		if (!json_is_true(json_object_get(process, "running")))
			return false;
	}
	return true;
}

int cli_status(struct cli *cli)
{
	json_t *end;
	int status =
	    cli_ask(cli, json_pack("{s:s}", "command", "status"), cli_ignore_line, NULL, &end);
	bool is_well;

	if (status != EX_OK)
		return status;
	is_well = all_are_running(end) && strcmp(cli_text(end, "storage"), "ok") == 0 &&
		  !is_in_state(end, "impaired") && !is_in_state(end, "broken") &&
		  !json_is_object(json_object_get(end, "reload"));
	if (cli->json) {
		json_object_del(end, "end");
		cli_print_json(end);
		return is_well ? EX_OK : CLI_PROBLEMS;
	}
	printf("zegel %s\n", cli_text(end, "version"));
	printf("messages   %" JSON_INTEGER_FORMAT ", %" JSON_INTEGER_FORMAT
	       " recipients wait, %" JSON_INTEGER_FORMAT " bytes in %" JSON_INTEGER_FORMAT
	       " segments\n",
	    cli_number(end, "messages"), cli_number(end, "recipients_waiting"),
	    cli_number(end, "bytes"), cli_number(end, "segments"));
	printf("deliveries %" JSON_INTEGER_FORMAT " under way, %" JSON_INTEGER_FORMAT
	       " sites are left alone for a while\n",
	    cli_number(end, "deliveries"), cli_number(end, "sites_down"));
	printf("storage    %s, %" JSON_INTEGER_FORMAT " MB free\n", cli_text(end, "storage"),
	    cli_number(end, "free_bytes") >> 20);
	print_reload(end);
	print_resolver(end);
	print_partners(end);
	printf("processes\n");
	print_processes(end);
	json_decref(end);
	return is_well ? EX_OK : CLI_PROBLEMS;
}
