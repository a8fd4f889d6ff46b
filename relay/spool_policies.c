#include "relay/spool_policies.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/spool_task.h"

enum { AT_ONCE = 1000, ROW_HEAD = 64 };

/* What is asked and what came of it. */
struct work {
	struct sts_kept kept;      /* to keep */
	char *domain;              /* to find, or the last one read; "" before the first */
	struct sts_kept *policies; /* found; their texts are owned */
	size_t n;
	bool has_failed; /* more may be there than was found */
	spool_policies_found *found;
	void *arg;
};

static int keep(struct store *store, struct spool_request *request);
static int read_part(struct store *store, struct spool_request *request);
static int find(struct store *store, struct spool_request *request);
static void answer(struct spool_request *request);
static void finish(void *arg);
static size_t take_row(struct work *work, sqlite3_stmt *row);
static void clear_found(struct work *work);
static void clear(struct sts_kept *kept);

static const struct task_calls keeping = { true, keep, NULL, finish };
static const struct task_calls reading = { false, read_part, answer, finish };
static const struct task_calls finding = { false, find, answer, finish };

void spool_policy_keep(struct spool *spool, const struct sts_kept *kept)
{
	struct work *work = mem_create(sizeof *work);

	work->kept = (struct sts_kept){ mem_copy_text(kept->domain), mem_copy_text(kept->id),
		mem_copy_text(kept->policy), kept->fetched_s, kept->expires_s };
	spool_ask(spool, &keeping, work, NULL);
}

void spool_policies_read(struct spool *spool, spool_policies_found *found, void *arg)
{
	struct work *work = mem_create(sizeof *work);

	work->domain = mem_copy_text("");
	work->found = found;
	work->arg = arg;
	spool_ask(spool, &reading, work, NULL);
}

void spool_policy_find(
    struct spool *spool, const char *domain, spool_policies_found *found, void *arg)
{
	struct work *work = mem_create(sizeof *work);

	work->domain = mem_copy_text(domain);
	work->found = found;
	work->arg = arg;
	spool_ask(spool, &finding, work, NULL);
}

/* ---- the writer's thread ---- */

static int keep(struct store *store, struct spool_request *request)
{
	const struct work *work = request->task.work;
	const struct sts_kept *kept = &work->kept;

	if (kept->policy[0] == '\0')
		return store_run(store_bind(store, STORE_forget_policy, "t", kept->domain));
	return store_run(store_bind(store, STORE_keep_policy, "tttii", kept->domain, kept->id,
	    kept->policy, kept->fetched_s, kept->expires_s));
}

static int read_part(struct store *store, struct spool_request *request)
{
	struct work *work = request->task.work;
	sqlite3_stmt *rows =
	    store_bind(store, STORE_read_policies, "ti", work->domain, (int64_t)AT_ONCE);
	size_t size = 0;
	int rc = 0;

	while (size < SPOOL_POLICIES_PART - STS_POLICY_MAX && (rc = store_step(rows)) == 1)
		size += take_row(work, rows);
	sqlite3_reset(rows);
	if (rc == -1) {
		clear_found(work);
		work->has_failed = true;
	} else if (work->n > 0) {
		free(work->domain);
		work->domain = mem_copy_text(work->policies[work->n - 1].domain);
	}
	request->task.has_more = work->n > 0;
	return rc == -1 ? -1 : 0;
}

static int find(struct store *store, struct spool_request *request)
{
	struct work *work = request->task.work;
	sqlite3_stmt *row =
	    store_bind(store, STORE_find_policy, "ti", work->domain, request->now_s);
	int rc = store_step(row);

	if (rc == 1)
		take_row(work, row);
	sqlite3_reset(row);
	return rc == -1 ? -1 : 0;
}

static size_t take_row(struct work *work, sqlite3_stmt *row)
{
	struct sts_kept *kept;

	work->policies = mem_resize(work->policies, work->n + 1, sizeof *work->policies);
	kept = &work->policies[work->n++];
	*kept = (struct sts_kept){ store_text(row, 0), store_text(row, 1), store_text(row, 2),
		sqlite3_column_int64(row, 3), sqlite3_column_int64(row, 4) };
	return strlen(kept->domain) + strlen(kept->id) + strlen(kept->policy) + ROW_HEAD;
}

/* ---- the loop's thread ---- */

static void answer(struct spool_request *request)
{
	struct work *work = request->task.work;

	work->found(
	    work->arg, work->policies, work->n, !request->task.has_more && !work->has_failed);
	clear_found(work);
}

static void finish(void *arg)
{
	struct work *work = arg;

	clear(&work->kept);
	clear_found(work);
	free(work->policies);
	free(work->domain);
	free(work);
}

/* In either thread. */
static void clear_found(struct work *work)
{
	for (size_t i = 0; i < work->n; i++)
		clear(&work->policies[i]);
	work->n = 0;
}

static void clear(struct sts_kept *kept)
{
	free((char *)kept->domain);
	free((char *)kept->id);
	free((char *)kept->policy);
}
