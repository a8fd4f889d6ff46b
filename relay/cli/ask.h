/* Asks the running relay over its control socket, for the commands that need it. */
#pragma once

#include "relay/cli/cli.h"

/* One line of the answer; what it says of the end is not among them. */
typedef void cli_answer(void *arg, json_t *line);

/*
 * Sends the request (taken over) and gives each line to answer. Returns EX_OK and, in *end (to be
 * json_decref()ed), the last line; or an exit status after telling what is wrong: 69 it does not
 * run, 77 no permission, 65 it refused the request, 74 it broke off.
 */
int cli_ask(struct cli *cli, json_t *request, cli_answer *answer, void *arg, json_t **end);

/*
 * The same for commands that can do without: false, without a word and with *end NULL, if the relay does
 * not run, may not be asked or does not answer to the end.
 */
bool cli_ask_if_running(
    const struct config *config, json_t *request, cli_answer *answer, void *arg, json_t **end);

/* Whether a line's recipient is of this domain, as an operator writes it. */
bool cli_is_of(const json_t *line, const char *domain);

/* An address as the queue has it, of what an operator wrote: with its domain canonical. */
json_t *cli_address(const char *written);

/* For answers that have nothing but their end. */
cli_answer cli_ignore_line;

/* Numbers and texts of an answer; 0 and "" if they are not there. */
json_int_t cli_number(const json_t *line, const char *key);
const char *cli_text(const json_t *line, const char *key);
