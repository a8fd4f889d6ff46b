/*
 * Time, both kinds. Waits are measured on the monotonic clock; the wall clock is for what leaves the
 * process: files, headers, log lines. Tests move the wall clock with clock_shift_wall().
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Milliseconds since some fixed moment; never goes back. */
int64_t clock_monotonic_ms(void);

/* Seconds (milliseconds) since 1970 UTC, plus the shift. */
int64_t clock_wall_s(void);
int64_t clock_wall_ms(void);

/* For tests: the wall clock is this much ahead of the machine's from now on. */
void clock_shift_wall(int64_t seconds);

/* RFC 5322 3.3 date-time in UTC, "Sat, 21 Nov 2026 21:24:43 +0000". */
enum { CLOCK_DATE_MAX = 40 };
void clock_print_date(int64_t wall_s, char date[CLOCK_DATE_MAX]);

/* "2026-11-21T21:24:43Z" */
void clock_print_iso(int64_t wall_s, char date[CLOCK_DATE_MAX]);
