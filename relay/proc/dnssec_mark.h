/*
 * That DNSSEC has worked here is remembered for good, by an empty file in the spool: whoever can tamper
 * with DNS while the relay starts must not have more of it than while it runs. Who removes the file
 * lets it start again as on the first day.
 */
#pragma once

#include <stdbool.h>

/* directory: of the spool. */
bool dnssec_mark_is_set(const char *directory);

/* Not synced: to lose it in a power cut is to be where we were before. A failure is logged. */
void dnssec_mark_set(const char *directory);
