#include "relay/base/clock.h"

#include <stdio.h>
#include <time.h>

/* The one process-wide variable of this file: it stands in for the machine's own clock. */
static int64_t wall_shift_s;

int64_t clock_monotonic_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t);
	return ((int64_t)t.tv_sec + wall_shift_s) * 1000 + t.tv_nsec / 1000000;
}

int64_t clock_wall_s(void)
{
	return clock_wall_ms() / 1000;
}

void clock_shift_wall(int64_t seconds)
{
	wall_shift_s = seconds;
}

/* Seconds that no year of four digits holds are shown as the nearest that one does. */
static void split(int64_t wall_s, struct tm *tm)
{
	const int64_t first = INT64_C(-62167219200), last = INT64_C(253402300799);
	time_t t = (time_t)(wall_s < first ? first : wall_s > last ? last : wall_s);

	gmtime_r(&t, tm);
}

void clock_print_date(int64_t wall_s, char date[CLOCK_DATE_MAX])
{
	static const char days[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	static const char months[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug",
		"Sep", "Oct", "Nov", "Dec" };
	struct tm tm;

	/* not strftime: the names must not follow the locale */
	split(wall_s, &tm);
	snprintf(date, CLOCK_DATE_MAX, "%s, %d %s %04d %02d:%02d:%02d +0000", days[tm.tm_wday],
	    tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void clock_print_iso(int64_t wall_s, char date[CLOCK_DATE_MAX])
{
	struct tm tm;

	split(wall_s, &tm);
	strftime(date, CLOCK_DATE_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm);
}
