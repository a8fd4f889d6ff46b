/*
 * zegel why: what became of a message, or of the last messages of an address, or why those for a domain
 * wait, in one line each.
 */
#include <stdio.h>
#include <string.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/base/queue_id.h"
#include "relay/cli/ask.h"
#include "relay/cli/evidence.h"

struct answers {
	bool json;
	const char *domain; /* of the recipients asked about; NULL: the relay has chosen them */
	size_t n;
};

static void print_why(void *arg, json_t *line);

int cli_why(struct cli *cli)
{
	struct answers answers = { .json = cli->json };
	const char *about = cli->argv[0];
	bool of_domain = strchr(about, '@') == NULL && strchr(about, '.') != NULL;
	json_t *request = json_pack("{s:s, s:b}", "command", "list", "settled", (int)!of_domain),
	       *end;
	char id[QUEUE_ID_MAX];
	int status;

	if (of_domain) {
		answers.domain = about;
	} else if (strchr(about, '@') != NULL) {
		json_object_set_new(request, "address", cli_address(about));
	} else {
		queue_id_fold(about, id);
		json_object_set_new(request, "id", json_string(id));
	}
	status = cli_ask(cli, request, print_why, &answers, &end);
	json_decref(end);
	if (status == EX_OK && answers.n == 0)
		return cli_fail(CLI_PROBLEMS,
		    of_domain
			? "nothing waits for %s"
			: "nothing is known of %s: what was delivered is remembered for a day",
		    about);
	return status;
}

static void print_why(void *arg, json_t *line)
{
	struct answers *answers = arg;
	const char *state = cli_text(line, "state"), *evidence = cli_text(line, "evidence");
	const char *reason = cli_text(line, "reason");
	bool waits = strcmp(state, "waiting") == 0;
	char when[CLOCK_DATE_MAX], words[CLI_EVIDENCE_MAX];

	if (answers->domain != NULL && !cli_is_of(line, answers->domain))
		return;
	answers->n++;
	if (answers->json) {
		cli_evidence_add(line);
		cli_print_json(json_incref(line));
		return;
	}
	clock_print_iso(waits ? cli_number(line, "next_try") : cli_number(line, "tried"), when);
	printf("%s to <%s>: %s", cli_text(line, "id"), cli_text(line, "recipient"), state);
	if (waits && json_is_true(json_object_get(line, "under_way")))
		printf(", its turn is now");
	else if (waits)
		printf(", next try %s", when);
	else if (cli_number(line, "tried") > 0)
		printf(" %s", when);
	if (cli_text(line, "host")[0] != '\0')
		printf(", host %s", cli_text(line, "host"));
	printf(
	    ": %s", cli_text(line, "reply")[0] != '\0' ? cli_text(line, "reply") : "not tried yet");
	cli_evidence_words(evidence, words);
	if (words[0] != '\0')
		printf(" (%s)", words);
	if (reason[0] != '\0' && strstr(words, reason) == NULL)
		printf(" [%s]", reason);
	printf("\n");
}
