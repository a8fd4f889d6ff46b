/*
 * The command line: one binary, noun then verb. What exists as a command exists once, in CLI_COMMANDS:
 * the dispatcher, the help and the manual's test of completeness come from it. A command answers
 * with an exit status of <sysexits.h>, or CLI_PROBLEMS.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include "config/config.h"
#include "relay/base/outcome.h"

enum { CLI_PROBLEMS = 1 }; /* it was checked, and there are problems */

struct cli {
	const char *config_path;
	bool json;                       /* one object a line instead of text */
	bool requires_tls, tls_optional; /* of explain: --requiretls, --tls-required=no */
	int argc; /* of the arguments behind the verb, within the command's bounds */
	char **argv;
};

typedef int cli_command(struct cli *cli);

/* X(noun, verb, handler, least and most arguments, arguments, help) */
#define CLI_COMMANDS(X)                                                                            \
	X("serve", "", cli_serve, 0, 0, "", "run the relay in the foreground")                     \
	X("check", "", cli_check, 0, 0, "", "look for mistakes in what is configured")             \
	X("status", "", cli_status, 0, 0, "", "how the running relay is")                          \
	X("queue", "list", cli_queue_list, 0, 1, "[ADDRESS|DOMAIN]", "messages that wait")         \
	X("queue", "show", cli_queue_show, 1, 1, "ID", "one message with its recipients")          \
	X("queue", "retry", cli_queue_retry, 1, 1, "ID|ADDRESS|DOMAIN|all",                        \
	    "try now instead of later")                                                            \
	X("queue", "remove", cli_queue_remove, 1, 1, "ID", "forget a message, without a bounce")   \
	X("why", "", cli_why, 1, 1, "ID|ADDRESS|DOMAIN",                                           \
	    "why a message has not been delivered yet")                                            \
	X("explain", "", cli_explain, 1, 2, "[OPTION] [SENDER] RECIPIENT",                         \
	    "would mail go, where, and who demands what")                                          \
	X("tls", "probe", cli_tls_probe, 1, 1, "DOMAIN", "connect to its MX and show their TLS")   \
	X("partner", "list", cli_partner_list, 0, 0, "",                                           \
	    "rules for partners, and their exceptions")                                            \
	X("partner", "check", cli_partner_check, 0, 1, "[DOMAIN]",                                 \
	    "probe the domains that have a rule")                                                  \
	X("tlsrpt", "show", cli_tlsrpt_show, 0, 1, "[DOMAIN]", "what is counted for TLS reports")  \
	X("tlsrpt", "send", cli_tlsrpt_send, 0, 1, "[DOMAIN]",                                     \
	    "report now what was counted until now")                                               \
	X("domain", "list", cli_domain_list, 0, 0, "", "domains that mail is signed for")          \
	X("domain", "show", cli_domain_show, 1, 1, "DOMAIN",                                       \
	    "DNS records to publish for a domain")                                                 \
	X("dkim", "new", cli_dkim_new, 1, 2, "DOMAIN [SELECTOR]",                                  \
	    "make signing keys for a domain")                                                      \
	X("account", "list", cli_account_list, 0, 0, "", "logins, and what each may send as")      \
	X("account", "add", cli_account_add, 1, 1, "NAME", "give a new login its password")        \
	X("account", "passwd", cli_account_passwd, 1, 1, "NAME", "change the password of a login")

#define X(noun, verb, handler, least, most, arguments, help) cli_command handler;
CLI_COMMANDS(X)
#undef X

/* The whole program: the exit status. */
int cli_main(int argc, char **argv);

/* Says "zegel: TEXT" on standard error and returns status, to be returned. */
int cli_fail(int status, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The configuration without mistakes, or NULL with its mistakes told on standard error and the exit
 * status in *status: 66 there is no such file, 77 it may not be read, 78 it has mistakes. Destroy it
 * with config_destroy().
 */
struct config *cli_load(const struct cli *cli, int *status);

/* As config_load_unfinished(): for commands that help to write it. */
struct config *cli_load_unfinished(const struct cli *cli, int *status);

/* One line of --json output; takes the object over. */
void cli_print_json(json_t *object);

/* null if it is no refusal; the caller's. */
json_t *cli_refusal_to_json(const struct outcome *outcome);

/* An array of strings; the caller's. */
json_t *cli_texts_to_json(char *const *texts, size_t n);
