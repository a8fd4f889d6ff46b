/*
 * zegel queue list | show | retry | remove
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>
#include <time.h>

#include "relay/base/clock.h"
#include "relay/base/queue_id.h"
#include "relay/cli/ask.h"
#include "relay/cli/evidence.h"

struct listing {
	bool json;
	const char *domain; /* of the recipients to list; NULL: all */
	size_t n;
	char id[QUEUE_ID_MAX]; /* of the message being listed */
};

static void print_waiting(void *arg, json_t *line);
static void print_message(void *arg, json_t *line);

static void print_when(const char *what, json_int_t wall_s)
{
	char date[CLOCK_DATE_MAX];

	clock_print_iso(wall_s, date);
	printf("%-11s%s\n", what, date);
}

int cli_queue_list(struct cli *cli)
{
	struct listing listing = { .json = cli->json };
	json_t *request = json_pack("{s:s}", "command", "list"), *end;
	int status;

	if (cli->argc > 0 && strchr(cli->argv[0], '@') != NULL)
		json_object_set_new(request, "address", cli_address(cli->argv[0]));
	else if (cli->argc > 0)
		listing.domain = cli->argv[0];
	status = cli_ask(cli, request, print_waiting, &listing, &end);
	if (status == EX_OK && !cli->json && listing.n == 0)
		printf("nothing waits\n");
	else if (status == EX_OK && !cli->json)
		printf("%zu recipient%s wait%s%s\n", listing.n, listing.n == 1 ? "" : "s",
		    listing.n == 1 ? "s" : "",
		    json_is_true(json_object_get(end, "truncated")) ? " (and more)" : "");
	json_decref(end);
	return status;
}

static void print_waiting(void *arg, json_t *line)
{
	struct listing *listing = arg;
	char next[CLOCK_DATE_MAX];

	if (listing->domain != NULL && !cli_is_of(line, listing->domain))
		return;
	listing->n++;
	if (listing->json) {
		cli_evidence_add(line);
		cli_print_json(json_incref(line));
		return;
	}
	clock_print_iso(cli_number(line, "next_try"), next);
	printf("%s  %8" JSON_INTEGER_FORMAT "  %s\n    from <%s> to <%s>\n", cli_text(line, "id"),
	    cli_number(line, "size"), cli_text(line, "state"), cli_text(line, "sender"),
	    cli_text(line, "recipient"));
	if (cli_text(line, "reply")[0] != '\0')
		printf("    %s", cli_text(line, "reply"));
	if (cli_text(line, "reason")[0] != '\0')
		printf(" [%s]", cli_text(line, "reason"));
	if (cli_text(line, "reply")[0] != '\0')
		putchar('\n');
	if (strcmp(cli_text(line, "state"), "waiting") == 0)
		printf("    %" JSON_INTEGER_FORMAT " attempt%s, next %s\n",
		    cli_number(line, "attempts"), cli_number(line, "attempts") == 1 ? "" : "s",
		    json_is_true(json_object_get(line, "under_way")) ? "now" : next);
}

/* ---- one message ---- */

int cli_queue_show(struct cli *cli)
{
	struct listing listing = { .json = cli->json };
	char id[QUEUE_ID_MAX];
	json_t *end;
	int status;

	queue_id_fold(cli->argv[0], id);
	status =
	    cli_ask(cli, json_pack("{s:s, s:s, s:b}", "command", "list", "id", id, "settled", 1),
		print_message, &listing, &end);
	json_decref(end);
	if (status == EX_OK && listing.n == 0)
		return cli_fail(CLI_PROBLEMS,
		    "there is no message %s: it was delivered over a day ago, or never here", id);
	return status;
}

static void print_message(void *arg, json_t *line)
{
	struct listing *listing = arg;

	listing->n++;
	if (listing->json) {
		cli_evidence_add(line);
		cli_print_json(json_incref(line));
		return;
	}
	if (strcmp(listing->id, cli_text(line, "id")) != 0) {
		snprintf(listing->id, sizeof listing->id, "%s", cli_text(line, "id"));
		printf("%-11s%s\n%-11s<%s>\n%-11s%s\n%-11s%s\n%-11s%" JSON_INTEGER_FORMAT "\n",
		    "queue id", listing->id, "sender", cli_text(line, "sender"), "account",
		    cli_text(line, "account"), "message-id", cli_text(line, "message_id"), "bytes",
		    cli_number(line, "size"));
		print_when("arrived", cli_number(line, "arrived"));
		print_when("expires", cli_number(line, "expires"));
	}
	printf("\n%-11s<%s>\n%-11s%s, %" JSON_INTEGER_FORMAT " attempt%s\n", "recipient",
	    cli_text(line, "recipient"), "state", cli_text(line, "state"),
	    cli_number(line, "attempts"), cli_number(line, "attempts") == 1 ? "" : "s");
	if (cli_number(line, "tried") > 0)
		print_when("tried", cli_number(line, "tried"));
	if (strcmp(cli_text(line, "state"), "waiting") == 0)
		print_when("next try", cli_number(line, "next_try"));
	if (cli_text(line, "host")[0] != '\0')
		printf("%-11s%s\n", "host", cli_text(line, "host"));
	cli_evidence_print(cli_text(line, "evidence"));
	if (cli_text(line, "reply")[0] != '\0')
		printf("%-11s%s\n", "reply", cli_text(line, "reply"));
}

/* ---- changing it ---- */

static int change(struct cli *cli, json_t *request, const char *done, const char *nothing)
{
	json_t *end;
	int status = cli_ask(cli, request, cli_ignore_line, NULL, &end);
	json_int_t n = cli_number(end, "n");

	json_decref(end);
	if (status != EX_OK)
		return status;
	if (n == 0)
		return cli_fail(CLI_PROBLEMS, "%s", nothing);
	if (cli->json)
		cli_print_json(json_pack("{s:I}", "recipients", n));
	else
		printf("%" JSON_INTEGER_FORMAT " recipient%s %s\n", n, n == 1 ? "" : "s", done);
	return EX_OK;
}

int cli_queue_retry(struct cli *cli)
{
	const char *what = cli->argv[0];
	json_t *request = json_pack("{s:s}", "command", "retry");
	char text[512];

	if (strchr(what, '@') != NULL)
		snprintf(text, sizeof text, "%s", what);
	else if (strchr(what, '.') != NULL)
		snprintf(text, sizeof text, "@%s", what); /* a domain */
	else
		queue_id_fold(what, text);
	/* Without it everything is meant. */
	if (strcmp(what, "all") != 0)
		json_object_set_new(request, "what", cli_address(text));
	return change(cli, request, "will be tried now", "nothing waits there");
}

int cli_queue_remove(struct cli *cli)
{
	char id[QUEUE_ID_MAX];

	queue_id_fold(cli->argv[0], id);
	return change(cli, json_pack("{s:s, s:s}", "command", "remove", "id", id), "removed",
	    "there is no such message in the queue");
}
