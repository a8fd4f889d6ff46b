/* Giving up what a process no longer needs: root, core dumps, new privileges, foreign descriptors. */
#pragma once

#include <stddef.h>

/*
 * Drops root to user, for good; without root only the rest is done: no core dumps (secrets), no new
 * privileges. -1 with a text in error.
 */
int privilege_drop(const char *user, char *error, size_t room);

/* Closes every descriptor above 2 that is not among keep. */
void privilege_close_all_but(const int *keep, size_t n_keep);

/* As many descriptors as the hard limit allows. */
void privilege_raise_files(void);
