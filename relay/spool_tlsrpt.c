#include "relay/spool_tlsrpt.h"

#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/spool_task.h"

enum { DAY_S = 86400 };

/* To count. */
struct counting {
	struct tls_count *counts;
	size_t n, n_left_out;
	spool_tlsrpt_counted *done;
	void *arg;
};

/* To find, to read, to list. */
struct asking {
	size_t limit;
	int64_t number; /* to read, or the last one listed */
	char *domain;
	struct spool_tlsrpt *found; /* their texts are owned */
	size_t n;
	struct tls_report report;
	spool_tlsrpt_due *due;
	spool_tlsrpt_read_one *one;
	void *arg;
};

/* To close, to move on. */
struct changing {
	char *domain;
	size_t n;
	struct spool_tlsrpt_move move; /* its texts are owned */
	struct message mail;
	spool_changed *closed;
	spool_committed *moved;
	void *arg;
};

static int count_all(struct store *store, struct spool_request *request);
static int count_one(struct store *store, const struct tls_count *count, int64_t now_s);
static int find_report(
    struct store *store, const struct tls_count *count, int64_t now_s, int64_t *report);
static int find_policy(
    struct store *store, const struct tls_count *count, int64_t report, int64_t *policy);
static int count_failure(struct store *store, const struct tls_count *count, int64_t policy);
static int read_number(sqlite3_stmt *row, int64_t *number);
static void answer_counting(struct spool_request *request);
static void finish_counting(void *work);
static int find_due(struct store *store, struct spool_request *request);
static void take_row(struct asking *asking, sqlite3_stmt *row);
static void answer_due(struct spool_request *request);
static int read_one(struct store *store, struct spool_request *request);
static int read_report(struct store *store, struct asking *asking);
static int read_failures(struct store *store, int64_t number, struct tls_report_policy *policy);
static void answer_one(struct spool_request *request);
static void clear(struct asking *asking);
static void finish_asking(void *work);
static int close_reports(struct store *store, struct spool_request *request);
static int move(struct store *store, struct spool_request *request);
static int end_report(struct store *store, const struct spool_tlsrpt *about);
static int forget_counts(struct store *store, int64_t number);
static void answer_changing(struct spool_request *request);
static void finish_changing(void *work);

static const struct task_calls counting_calls = { true, count_all, answer_counting,
	finish_counting };
static const struct task_calls due_calls = { false, find_due, answer_due, finish_asking };
static const struct task_calls one_calls = { false, read_one, answer_one, finish_asking };
static const struct task_calls closing_calls = { true, close_reports, answer_changing,
	finish_changing };
static const struct task_calls moving_calls = { true, move, answer_changing, finish_changing };

/* ---- counting ---- */

void spool_tlsrpt_count(struct spool *spool, const struct tls_count *counts, size_t n,
    spool_tlsrpt_counted *done, void *arg)
{
	struct counting *counting = mem_create(sizeof *counting);

	counting->counts = mem_create((n + 1) * sizeof *counting->counts);
	for (; counting->n < n; counting->n++) {
		struct tls_count *count = &counting->counts[counting->n];

		*count = counts[counting->n];
		count->strings = mem_copy_text(count->strings);
		count->patterns = mem_copy_text(count->patterns);
	}
	counting->done = done;
	counting->arg = arg;
	spool_ask(spool, &counting_calls, counting, NULL);
}

static int count_all(struct store *store, struct spool_request *request)
{
	struct counting *counting = request->task.work;

	counting->n_left_out = 0;
	for (size_t i = 0; i < counting->n; i++) {
		int rc = count_one(store, &counting->counts[i], request->now_s);

		if (rc == -1)
			return -1;
		counting->n_left_out += rc == 0;
	}
	return 0;
}

/* 1 if it was counted, 0 if there is no room. */
static int count_one(struct store *store, const struct tls_count *count, int64_t now_s)
{
	bool is_success = count->result == TLS_RESULT_SUCCESS;
	int64_t report, policy;
	int rc = find_report(store, count, now_s, &report);

	if (rc == 1)
		rc = find_policy(store, count, report, &policy);
	if (rc != 1)
		return rc;
	if (store_run(store_bind(store, STORE_tls_count_sessions, "iii", (int64_t)is_success,
		(int64_t)!is_success, policy)) == -1)
		return -1;
	if (!is_success && count_failure(store, count, policy) == -1)
		return -1;
	return 1;
}

/* The one that is open, or a new one: from midnight, or from where the last one was closed. */
static int find_report(
    struct store *store, const struct tls_count *count, int64_t now_s, int64_t *report)
{
	const char *domain = count->report_domain;
	int64_t start_s = now_s - now_s % DAY_S, end_s = start_s + DAY_S, n, last_end_s;
	int rc = read_number(store_bind(store, STORE_tls_find_open, "ti", domain, now_s), report);

	if (rc != 0)
		return rc;
	if (read_number(store_bind(store, STORE_tls_count_reports, ""), &n) != 1)
		return -1;
	if (n >= SPOOL_TLSRPT_REPORTS_MAX)
		return 0;
	rc = read_number(
	    store_bind(store, STORE_tls_last_end, "tii", domain, start_s, now_s), &last_end_s);
	if (rc == -1)
		return -1;
	if (rc == 1)
		start_s = last_end_s;
	if (store_run(store_bind(store, STORE_tls_add_report, "tiii", domain, start_s, end_s,
		(int64_t)SPOOL_TLSRPT_SPREAD_S)) == -1)
		return -1;
	*report = sqlite3_last_insert_rowid(store->db);
	return 1;
}

static int find_policy(
    struct store *store, const struct tls_count *count, int64_t report, int64_t *policy)
{
	int64_t n;
	int rc =
	    read_number(store_bind(store, STORE_tls_find_policy, "iittt", report,
			    (int64_t)count->type, count->domain, count->strings, count->patterns),
		policy);

	if (rc != 0)
		return rc;
	if (read_number(store_bind(store, STORE_tls_count_policies, "i", report), &n) != 1)
		return -1;
	if (n >= SPOOL_TLSRPT_POLICIES_MAX)
		return 0;
	if (store_run(store_bind(store, STORE_tls_add_policy, "iittt", report, (int64_t)count->type,
		count->domain, count->strings, count->patterns)) == -1)
		return -1;
	*policy = sqlite3_last_insert_rowid(store->db);
	return 1;
}

/* Past the limit a failure is in the sum alone. */
static int count_failure(struct store *store, const struct tls_count *count, int64_t policy)
{
	int64_t n;
	int rc = read_number(
	    store_bind(store, STORE_tls_count_failure, "iitttt", policy, (int64_t)count->result,
		count->mx, count->address, count->sender, count->reason),
	    &n);

	if (rc != 0)
		return rc;
	if (read_number(store_bind(store, STORE_tls_count_details, "i", policy), &n) != 1)
		return -1;
	if (n >= SPOOL_TLSRPT_DETAILS_MAX)
		return 0;
	return store_run(store_bind(store, STORE_tls_add_failure, "iitttt", policy,
	    (int64_t)count->result, count->mx, count->address, count->sender, count->reason));
}

/* 1 with the number, 0 if there is none, -1. */
static int read_number(sqlite3_stmt *row, int64_t *number)
{
	int rc = store_step(row);

	if (rc != 1)
		return rc;
	if (sqlite3_column_type(row, 0) == SQLITE_NULL)
		rc = 0;
	*number = sqlite3_column_int64(row, 0);
	sqlite3_reset(row);
	return rc;
}

static void answer_counting(struct spool_request *request)
{
	const struct counting *counting = request->task.work;

	counting->done(counting->arg, counting->n_left_out);
}

static void finish_counting(void *work)
{
	struct counting *counting = work;

	for (size_t i = 0; i < counting->n; i++) {
		free(counting->counts[i].strings);
		free(counting->counts[i].patterns);
	}
	free(counting->counts);
	free(counting);
}

/* ---- which are due ---- */

void spool_tlsrpt_find_due(struct spool *spool, size_t limit, spool_tlsrpt_due *done, void *arg)
{
	struct asking *asking = mem_create(sizeof *asking);

	asking->limit = limit;
	asking->due = done;
	asking->arg = arg;
	spool_ask(spool, &due_calls, asking, NULL);
}

static int find_due(struct store *store, struct spool_request *request)
{
	struct asking *asking = request->task.work;
	sqlite3_stmt *rows =
	    store_bind(store, STORE_tls_find_due, "ii", request->now_s, (int64_t)asking->limit);
	int rc;

	while ((rc = store_step(rows)) == 1)
		take_row(asking, rows);
	return rc;
}

static void take_row(struct asking *asking, sqlite3_stmt *row)
{
	asking->found = mem_resize(asking->found, asking->n + 1, sizeof *asking->found);
	asking->found[asking->n++] = (struct spool_tlsrpt){
		.number = sqlite3_column_int64(row, 0),
		.domain = store_text(row, 1),
		.start_s = sqlite3_column_int64(row, 2),
		.end_s = sqlite3_column_int64(row, 3),
		.first_try_s = sqlite3_column_int64(row, 4),
		.n_tries = (uint32_t)sqlite3_column_int64(row, 5),
		.uris = store_text(row, 6),
	};
}

static void answer_due(struct spool_request *request)
{
	const struct asking *asking = request->task.work;

	asking->due(asking->arg, asking->found, asking->n);
}

/* ---- what one says, or each ---- */

void spool_tlsrpt_read(struct spool *spool, int64_t number, spool_tlsrpt_read_one *done, void *arg)
{
	struct asking *asking = mem_create(sizeof *asking);

	asking->limit = 1;
	asking->number = number;
	asking->one = done;
	asking->arg = arg;
	spool_ask(spool, &one_calls, asking, NULL);
}

void spool_tlsrpt_list(
    struct spool *spool, const char *domain, spool_tlsrpt_read_one *one, void *arg)
{
	struct asking *asking = mem_create(sizeof *asking);

	asking->limit = SIZE_MAX;
	asking->domain = mem_copy_text(domain);
	asking->one = one;
	asking->arg = arg;
	spool_ask(spool, &one_calls, asking, NULL);
}

/* One a turn: all of them may be more than memory should hold. */
static int read_one(struct store *store, struct spool_request *request)
{
	struct asking *asking = request->task.work;
	sqlite3_stmt *row =
	    asking->limit == 1
		? store_bind(store, STORE_tls_find_report, "i", asking->number)
		: store_bind(store, STORE_tls_next_report, "it", asking->number, asking->domain);
	int rc;

	request->task.has_more = false;
	clear(asking);
	rc = store_step(row);
	if (rc != 1)
		return rc;
	take_row(asking, row);
	sqlite3_reset(row);
	asking->number = asking->found[0].number;
	if (read_report(store, asking) == -1) {
		clear(asking);
		return -1;
	}
	request->task.has_more = asking->limit > 1;
	return 0;
}

static int read_report(struct store *store, struct asking *asking)
{
	struct tls_report *report = &asking->report;
	sqlite3_stmt *rows = store_bind(store, STORE_tls_read_policies, "i", asking->number);
	int rc;

	report->start_s = asking->found[0].start_s;
	report->end_s = asking->found[0].end_s;
	while ((rc = store_step(rows)) == 1) {
		struct tls_report_policy *policy = tls_report_add_policy(report);
		int64_t type = sqlite3_column_int64(rows, 1);

		free(policy->type);
		free(policy->domain);
		policy->type = mem_copy_text(tls_policy_type_name((enum tls_policy_type)type));
		policy->domain = store_text(rows, 2);
		policy->strings = tls_report_split(
		    (const char *)sqlite3_column_text(rows, 3), &policy->n_strings);
		policy->patterns = tls_report_split(
		    (const char *)sqlite3_column_text(rows, 4), &policy->n_patterns);
		policy->n_successes = (uint64_t)sqlite3_column_int64(rows, 5);
		policy->n_failures = (uint64_t)sqlite3_column_int64(rows, 6);
		if (read_failures(store, sqlite3_column_int64(rows, 0), policy) == -1) {
			sqlite3_reset(rows);
			return -1;
		}
	}
	return rc;
}

static int read_failures(struct store *store, int64_t number, struct tls_report_policy *policy)
{
	sqlite3_stmt *rows = store_bind(store, STORE_tls_read_failures, "i", number);
	int rc;

	while ((rc = store_step(rows)) == 1) {
		struct tls_report_failure *failure = tls_report_add_failure(policy);
		const char *result =
		    tls_result_name((enum tls_result)sqlite3_column_int64(rows, 0));
		char **texts[] = { &failure->mx, &failure->address, &failure->sender,
			&failure->reason };

		free(failure->result);
		failure->result = mem_copy_text(result);
		for (int i = 0; i < 4; i++) {
			free(*texts[i]);
			*texts[i] = store_text(rows, i + 1);
		}
		failure->n = (uint64_t)sqlite3_column_int64(rows, 5);
	}
	return rc;
}

static void answer_one(struct spool_request *request)
{
	struct asking *asking = request->task.work;
	bool is_there = asking->n > 0;

	asking->one(
	    asking->arg, is_there ? &asking->found[0] : NULL, is_there ? &asking->report : NULL);
	clear(asking);
}

static void clear(struct asking *asking)
{
	for (size_t i = 0; i < asking->n; i++) {
		free((char *)asking->found[i].domain);
		free((char *)asking->found[i].uris);
	}
	free(asking->found);
	asking->found = NULL;
	asking->n = 0;
	tls_report_finish(&asking->report);
}

static void finish_asking(void *work)
{
	struct asking *asking = work;

	clear(asking);
	free(asking->domain);
	free(asking);
}

/* ---- how far they have come ---- */

void spool_tlsrpt_close(struct spool *spool, const char *domain, spool_changed *done, void *arg)
{
	struct changing *changing = mem_create(sizeof *changing);

	changing->domain = mem_copy_text(domain);
	changing->closed = done;
	changing->arg = arg;
	spool_ask(spool, &closing_calls, changing, NULL);
}

static int close_reports(struct store *store, struct spool_request *request)
{
	struct changing *changing = request->task.work;
	sqlite3_stmt *rows =
	    store_bind(store, STORE_tls_close, "it", request->now_s, changing->domain);
	int rc;

	changing->n = 0;
	while ((rc = store_step(rows)) == 1)
		changing->n++;
	return rc;
}

void spool_tlsrpt_move(
    struct spool *spool, const struct spool_tlsrpt_move *to, spool_committed *done, void *arg)
{
	struct changing *changing = mem_create(sizeof *changing);

	changing->move = *to;
	changing->move.uris = mem_copy_text(to->uris);
	changing->moved = done;
	changing->arg = arg;
	if (to->mail != NULL)
		message_copy(&changing->mail, to->mail);
	spool_ask(spool, &moving_calls, changing, to->mail != NULL ? &changing->mail : NULL);
}

static int move(struct store *store, struct spool_request *request)
{
	struct changing *changing = request->task.work;
	const struct spool_tlsrpt_move *to = &changing->move;
	struct asking asking = { .limit = 1 };
	sqlite3_stmt *row = store_bind(store, STORE_tls_find_report, "i", to->number);
	int rc = store_step(row);

	if (rc != 1)
		return rc;
	take_row(&asking, row);
	sqlite3_reset(row);
	if (to->is_done)
		rc = end_report(store, &asking.found[0]);
	else
		rc = store_run(store_bind(store, STORE_tls_move, "tiiii", to->uris, to->next_try_s,
		    to->first_try_s, (int64_t)to->n_tries, to->number));
	clear(&asking);
	if (rc == -1 || to->mail == NULL)
		return rc;
	return store_add_message(store, &changing->mail, true, request->now_s, &request->outcome);
}

/* One closed early says until its day ends where the next begins. */
static int end_report(struct store *store, const struct spool_tlsrpt *about)
{
	if (forget_counts(store, about->number) == -1)
		return -1;
	return store_run(
	    store_bind(store, about->end_s % DAY_S == 0 ? STORE_tls_forget_report : STORE_tls_end,
		"i", about->number));
}

static int forget_counts(struct store *store, int64_t number)
{
	if (store_run(store_bind(store, STORE_tls_forget_failures, "i", number)) == -1)
		return -1;
	return store_run(store_bind(store, STORE_tls_forget_policies, "i", number));
}

int store_forget_reports(struct store *store, int64_t now_s)
{
	for (int i = 0; i < STORE_FORGET_REPORTS; i++) {
		int64_t number;
		int rc = read_number(store_bind(store, STORE_tls_find_old, "iii",
					 now_s - SPOOL_TLSRPT_KEPT_S, now_s - DAY_S, now_s + DAY_S),
		    &number);

		if (rc != 1)
			return rc;
		if (forget_counts(store, number) == -1 ||
		    store_run(store_bind(store, STORE_tls_forget_report, "i", number)) == -1)
			return -1;
	}
	return 0;
}

static void answer_changing(struct spool_request *request)
{
	const struct changing *changing = request->task.work;

	if (changing->closed != NULL)
		changing->closed(changing->arg, changing->n);
	else
		changing->moved(changing->arg, &request->outcome);
}

static void finish_changing(void *work)
{
	struct changing *changing = work;

	free(changing->domain);
	free((char *)changing->move.uris);
	message_finish(&changing->mail);
	free(changing);
}
