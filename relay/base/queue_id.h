/*
 * The name of a message for people and log lines: 15 capitals and digits, in order of time.
 * 9 letters of milliseconds since 2020 (lasting to the year 3000 and beyond), 2 letters for the
 * process that made it, 4 of a counter that starts at a random place.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { QUEUE_ID_LENGTH = 15, QUEUE_ID_MAX = QUEUE_ID_LENGTH + 1 };

void queue_id_make(char id[QUEUE_ID_MAX]);

/* True for what queue_id_make() could have made; nothing else may reach the spool or a file name. */
bool queue_id_is_valid(const char *text, size_t n);

/*
 * As somebody typed it, in capitals; perhaps none at all. What is longer than an id becomes "": what is
 * left of it when cut might be another message's.
 */
void queue_id_fold(const char *text, char id[QUEUE_ID_MAX]);
