/*
 * zegel tlsrpt show | send: what was counted for TLS reports (RFC 8460), and sending it now.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/cli/ask.h"
#include "relay/tls_report.h"

struct showing {
	bool json;
	size_t n;
};

static int make_request(const struct cli *cli, const char *command, json_t **request);
static void print_report(void *arg, json_t *line);
static void print_policy(const struct tls_report_policy *policy);
static void print_text(const char *before, const char *text);

int cli_tlsrpt_show(struct cli *cli)
{
	struct showing showing = { .json = cli->json };
	json_t *request, *end;
	int status = make_request(cli, "tlsrpt-show", &request);

	if (status != EX_OK)
		return status;
	status = cli_ask(cli, request, print_report, &showing, &end);
	json_decref(end);
	if (status == EX_OK && !cli->json && showing.n == 0)
		printf("no session was counted today\n");
	return status;
}

/* An argument is a domain, or a mistake. */
static int make_request(const struct cli *cli, const char *command, json_t **request)
{
	char domain[DOMAIN_MAX];

	if (cli->argc > 0 && !domain_written(cli->argv[0], domain))
		return cli_fail(EX_USAGE, "'%s' is no domain name", cli->argv[0]);
	*request = json_pack("{s:s}", "command", command);
	if (cli->argc > 0)
		json_object_set_new(*request, "domain", json_string(domain));
	return EX_OK;
}

static void print_report(void *arg, json_t *line)
{
	struct showing *showing = arg;
	char start[CLOCK_DATE_MAX], end[CLOCK_DATE_MAX];
	struct tls_report report;
	char *text;

	showing->n++;
	if (showing->json) {
		cli_print_json(json_incref(line));
		return;
	}
	text = json_dumps(json_object_get(line, "report"), JSON_COMPACT);
	if (text == NULL || !tls_report_read(text, strlen(text), &report)) {
		free(text);
		return; /* what the relay sent is no report: its own tests see to that */
	}
	clock_print_iso(report.start_s, start);
	clock_print_iso(report.end_s - 1, end);
	printf("%s  %s to %s, %s\n", cli_text(line, "domain"), start, end,
	    !json_is_true(json_object_get(line, "allowed")) ? "not to be reported"
	    : cli_number(line, "tried") > 0                 ? "being sent"
							    : "to be reported if asked for");
	for (size_t i = 0; i < report.n_policies; i++)
		print_policy(&report.policies[i]);
	tls_report_finish(&report);
	free(text);
}

/* "    tlsa of mx.bank.example: 12 sessions as safe as it demands, 1 failed" */
static void print_policy(const struct tls_report_policy *policy)
{
	print_text("    ", policy->type);
	print_text(" of ", policy->domain);
	printf(": %llu session%s as safe as it demands, %llu failed\n",
	    (unsigned long long)policy->n_successes, policy->n_successes == 1 ? "" : "s",
	    (unsigned long long)policy->n_failures);
	for (size_t i = 0; i < policy->n_strings; i++) {
		print_text("      | ", policy->strings[i]);
		printf("\n");
	}
	for (size_t i = 0; i < policy->n_details; i++) {
		const struct tls_report_failure *failure = &policy->failures[i];

		printf("      %llu x ", (unsigned long long)failure->n);
		print_text("", failure->result);
		print_text(failure->mx[0] != '\0' ? " at " : "", failure->mx);
		print_text(failure->address[0] != '\0' ? " [" : "", failure->address);
		printf("%s", failure->address[0] != '\0' ? "]" : "");
		print_text(failure->sender[0] != '\0' ? " from " : "", failure->sender);
		print_text(failure->reason[0] != '\0' ? ": " : "", failure->reason);
		printf("\n");
	}
}

/* Strangers wrote parts of it. */
static void print_text(const char *before, const char *text)
{
	char clean[512];

	printf("%s%s", before, log_escape(text, strlen(text), clean, sizeof clean));
}

/* ---- now ---- */

int cli_tlsrpt_send(struct cli *cli)
{
	json_t *request, *end;
	int status = make_request(cli, "tlsrpt-send", &request);
	json_int_t n;

	if (status != EX_OK)
		return status;
	status = cli_ask(cli, request, cli_ignore_line, NULL, &end);
	n = cli_number(end, "n");
	json_decref(end);
	if (status != EX_OK)
		return status;
	if (cli->json)
		cli_print_json(json_pack("{s:I}", "reports", n));
	else if (n == 0)
		printf("nothing is counted that has not been reported\n");
	else
		printf("%" JSON_INTEGER_FORMAT
		       " report%s will be sent now to the domains that ask for them\n",
		    n, n == 1 ? "" : "s");
	return EX_OK;
}
