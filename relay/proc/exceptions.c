#include "relay/proc/exceptions.h"

#include <stdlib.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"

/* The wall clock may be set meanwhile: it is looked at again. */
enum { LOOK_LONGEST_S = 60 };

struct exceptions {
	const struct config *config;
	struct timer *timer;
	int64_t told_s; /* what ended by then was told */
};

static void tell_first(const struct config_partner *partner, int64_t now_s);
static void on_timer(void *arg);

struct exceptions *exceptions_create(struct loop *loop, const struct config *config)
{
	struct exceptions *exceptions = mem_create(sizeof *exceptions);

	exceptions->config = config;
	exceptions->told_s = clock_wall_s();
	exceptions->timer = timer_create_in(loop, on_timer, exceptions);
	for (size_t i = 0; i < config->n_partners; i++)
		tell_first(&config->partners[i], exceptions->told_s);
	on_timer(exceptions);
	return exceptions;
}

void exceptions_destroy(struct exceptions **exceptions)
{
	if (*exceptions == NULL)
		return;
	timer_destroy(&(*exceptions)->timer);
	free(*exceptions);
	*exceptions = NULL;
}

static void tell_first(const struct config_partner *partner, int64_t now_s)
{
	const struct config_exception *exception = partner->exception;
	char until[CLOCK_DATE_MAX];

	if (exception == NULL)
		return;
	clock_print_iso(exception->until_s, until);
	if (config_exception_at(partner, now_s) != NULL)
		log_warning("partner %s: until %s tls=%s instead of %s (%s) [partner-exception]",
		    partner->name, until, tls_level_name(exception->level),
		    tls_level_name(partner->level), exception->reason);
	else
		log_warning("partner %s: its exception (%s) is over since %s: remove it from the "
			    "configuration [partner-exception-over]",
		    partner->name, exception->reason, until);
}

static void on_timer(void *arg)
{
	struct exceptions *exceptions = arg;
	int64_t now_s = clock_wall_s(), wait_s = LOOK_LONGEST_S;

	for (size_t i = 0; i < exceptions->config->n_partners; i++) {
		const struct config_partner *partner = &exceptions->config->partners[i];
		const struct config_exception *exception = partner->exception;

		if (exception == NULL || exception->until_s <= exceptions->told_s)
			continue;
		if (exception->until_s <= now_s)
			log_warning("partner %s: its exception (%s) has ended, tls=%s holds again: "
				    "remove it from the configuration [partner-exception-over]",
			    partner->name, exception->reason, tls_level_name(partner->level));
		else if (exception->until_s - now_s < wait_s)
			wait_s = exception->until_s - now_s;
	}
	if (now_s > exceptions->told_s)
		exceptions->told_s = now_s;
	timer_set(exceptions->timer, wait_s * 1000);
}
