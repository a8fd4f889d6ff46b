/*
 * Which delivery gets a job.
 */
#include "relay/dispatch_job.h"

#include <stdio.h>
#include <stdlib.h>

#include "relay/base/mem.h"

enum { SERVED_MAX = 10000 }; /* domains remembered; then the one longest ago is forgotten */

static struct worker *least_busy(struct dispatch *d);
static void note(struct dispatch *d, const char *domain, struct worker *worker);
static void forget(struct dispatch *d, struct served *served);

struct worker *spread_choose(struct dispatch *d, const char *domain)
{
	struct worker *worker = least_busy(d);
	struct served *served;

	if (worker == NULL)
		return NULL;
	HASH_FIND_STR(d->served, domain, served);
	if (served != NULL && !served->worker->is_leaving &&
	    served->worker->n_jobs < worker->n_jobs + d->settings.connections_per_domain)
		worker = served->worker;
	if (served != NULL)
		forget(d, served);
	note(d, domain, worker);
	return worker;
}

static struct worker *least_busy(struct dispatch *d)
{
	struct worker *best = NULL, *worker;

	TAILQ_FOREACH (worker, &d->workers, link) {
		if (!worker->is_leaving && (best == NULL || worker->n_jobs < best->n_jobs))
			best = worker;
	}
	return best;
}

/* What was noted last stands at the end. */
static void note(struct dispatch *d, const char *domain, struct worker *worker)
{
	struct served *served = mem_create(sizeof *served);

	snprintf(served->domain, sizeof served->domain, "%s", domain);
	served->worker = worker;
	HASH_ADD_STR(d->served, domain, served);
	if (HASH_COUNT(d->served) > SERVED_MAX)
		forget(d, d->served);
}

static void forget(struct dispatch *d, struct served *served)
{
	HASH_DEL(d->served, served);
	free(served);
}

void spread_forget(struct dispatch *d, const struct worker *worker)
{
	struct served *served, *next;

	HASH_ITER (hh, d->served, served, next) {
		if (served->worker == worker)
			forget(d, served);
	}
}

void spread_forget_all(struct dispatch *d)
{
	while (d->served != NULL)
		forget(d, d->served);
}
