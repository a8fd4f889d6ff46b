/*
 * Asking a person for a secret.
 */
#pragma once

#include <stddef.h>

/*
 * A password of at most room - 1 bytes: from a terminal twice and without echo, else the first line
 * of standard input. -1 with a text in error: the two differ, nothing was there, it is too long, or
 * the terminal failed. The caller overwrites password.
 */
int terminal_read_password(
    const char *prompt, char *password, size_t room, size_t *n, char *error, size_t room_error);
