/*
 * The evidence of a delivery (relay/evidence.h), as "why" and "queue show" print it: in one line, in
 * several, or as a JSON object.
 */
#pragma once

#include "relay/cli/cli.h"

enum { CLI_EVIDENCE_MAX = 2048 };

/* In one line for people; a record that has no such words as it is. */
void cli_evidence_words(const char *record, char text[CLI_EVIDENCE_MAX]);

/* A line for each thing there is to say; nothing for "". */
void cli_evidence_print(const char *record);

/* Adds it to a row of the queue as "tls": an object, or null if there is none. */
void cli_evidence_add(json_t *row);
