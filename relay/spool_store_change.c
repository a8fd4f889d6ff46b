/*
 * The changes: taking a message in, settling recipients, and what the administrator does. Each runs
 * inside its own savepoint of the turn's transaction.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/spool_policies.h"
#include "relay/spool_store.h"
#include "relay/spool_task.h"

/* Settled recipients are remembered this long, for "why". */
enum { REMEMBER_S = 24 * 3600, FORGET_AT_ONCE = 500, RETRY_AT_ONCE = 1000 };

enum found { FOUND_FAILED = -1, FOUND_NOTHING, FOUND_ONE };

static int change(struct store *store, struct spool_request *request);
static int add_recipients(
    struct store *store, const struct message *message, int64_t number, int64_t now_s);
static bool is_same_place(sqlite3_stmt *row, const struct message *message);
static int settle(struct store *store, struct spool_request *request);
static int settle_one(struct store *store, const struct spool_request *request, int64_t number,
    const struct recipient_result *result, size_t *n_died);
static int end_job(struct store *store, int64_t number, int64_t place);
static int bury(struct store *store, int64_t number, size_t n_died, int64_t now_s, bool *is_gone);
static int give_back(struct store *store, struct spool_request *request);
static int set_aside(struct store *store, struct spool_request *request);
static int retry(struct store *store, struct spool_request *request);
static int retry_one(struct store *store, struct spool_request *request);
static int note_each(struct store *store, sqlite3_stmt *rows, int64_t due_s, size_t *n);
static int remove_one(struct store *store, struct spool_request *request);
static int forget(struct store *store, struct spool_request *request);
static enum found find_number(struct store *store, const char *id, int64_t *number);
static bool is_local_damage(struct store *store);
static bool is_refused(struct store *store, struct outcome *outcome);
static void take_in(struct store *store, int64_t number, const char *domain);
static const char *domain_of(const char *address);

int store_change(struct store *store, struct spool_request *request)
{
	size_t n_changes = store->n_changes;

	request->is_answered = true;
	outcome_ok(&request->outcome);
	if (store_run(store_bind(store, STORE_step_begin, "")) == -1)
		return -1;
	if (change(store, request) == -1) {
		if (!is_local_damage(store))
			return -1;
		store_refuse(store, &request->outcome);
		request->again = false;
	}
	if (!outcome_is_ok(&request->outcome)) {
		/* A refusal leaves nothing behind, in memory neither. */
		while (store->n_changes > n_changes)
			free(store->changes[--store->n_changes].domain);
		if (store_run(store_bind(store, STORE_step_undo, "")) == -1)
			return -1;
	}
	return store_run(store_bind(store, STORE_step_end, ""));
}

static int change(struct store *store, struct spool_request *request)
{
	switch (request->kind) {
	case SPOOL_COMMIT:
		return store_add_message(
		    store, &request->commit, true, request->now_s, &request->outcome);
	case SPOOL_SETTLE: return settle(store, request);
	case SPOOL_GIVE_BACK: return give_back(store, request);
	case SPOOL_SET_ASIDE: return set_aside(store, request);
	case SPOOL_RETRY: return retry(store, request);
	case SPOOL_REMOVE: return remove_one(store, request);
	case SPOOL_CHANGE_TASK: return request->task.calls->run(store, request);
	case SPOOL_HOUSEKEEP: return forget(store, request);
	case SPOOL_FIND:
	case SPOOL_LIST:
	case SPOOL_COUNT:
	case SPOOL_FIND_TASK:
	case SPOOL_SEGMENT_ADD:
	case SPOOL_SEGMENT_RELEASE:
	case SPOOL_LOG: break;
	}
	assert(!"a request that changes the database");
	return -1;
}

/*
 * The answer to an earlier commit may have been lost with the process that waited for it. What is
 * new may be refused for want of room; a notification comes in place of what it is about.
 */
int store_add_message(struct store *store, const struct message *message, bool is_new,
    int64_t now_s, struct outcome *outcome)
{
	sqlite3_stmt *row = store_bind(store, STORE_find_message, "t", message->id);
	int64_t size = (int64_t)(message->header.length + message->body.length), number;
	struct store_change *change;
	int rc = store_step(row);

	if (rc == 1) {
		if (!is_same_place(row, message))
			outcome_say(outcome, 451, "4.3.0", "id-taken",
			    "Another message has this id already; try again");
		sqlite3_reset(row);
		return 0;
	}
	if (rc == 0 && is_new && is_refused(store, outcome))
		return 0;
	if (rc == -1 ||
	    store_run(store_bind(store, STORE_add_message, "tiiiiiiiittttiiiiiiiti", message->id,
		(int64_t)message->segment, (int64_t)message->header.offset,
		(int64_t)message->header.length, (int64_t)message->header.checksum,
		(int64_t)message->body.offset, (int64_t)message->body.length,
		(int64_t)message->body.checksum, size, message->sender, message->account,
		message->from_domain, message->message_id, message->arrived_s, message->expires_s,
		(int64_t)message->is_8bit, (int64_t)message->is_bulk,
		(int64_t)message->requires_tls, (int64_t)message->tls_optional,
		(int64_t)message->is_report, tls_level_name(message->tls_floor),
		(int64_t)message->n_recipients)) == -1)
		return -1;
	number = sqlite3_last_insert_rowid(store->db);
	if (add_recipients(store, message, number, now_s) == -1)
		return -1;
	change = store_add_change(store);
	change->segment = message->segment;
	change->n_messages = 1;
	change->size_bytes = size;
	change->n_waiting = (int64_t)message->n_recipients;
	return 0;
}

static bool is_refused(struct store *store, struct outcome *outcome)
{
	if (!outcome_is_ok(&store->full)) {
		*outcome = store->full;
		return true;
	}
	if (store->n_messages + store->n_adding < store->most_messages) {
		store->n_adding++;
		return false;
	}
	outcome_say(outcome, 452, "4.3.1", "queue-full",
	    "The queue holds as many messages as it may (%llu); try again later",
	    (unsigned long long)store->most_messages);
	return true;
}

static int add_recipients(
    struct store *store, const struct message *message, int64_t number, int64_t now_s)
{
	for (size_t i = 0; i < message->n_recipients; i++) {
		const char *address = message->recipients[i];

		if (store_run(store_bind(store, STORE_add_recipient, "iitti", number, (int64_t)i,
			address, domain_of(address), now_s)) == -1)
			return -1;
		due_note_news(&store->due, domain_of(address), now_s);
	}
	return 0;
}

static bool is_same_place(sqlite3_stmt *row, const struct message *message)
{
	return (uint64_t)sqlite3_column_int64(row, 1) == message->segment &&
	       (uint64_t)sqlite3_column_int64(row, 2) == message->header.offset &&
	       (uint64_t)sqlite3_column_int64(row, 3) == message->header.length &&
	       (uint32_t)sqlite3_column_int64(row, 4) == message->header.checksum &&
	       (uint64_t)sqlite3_column_int64(row, 5) == message->body.offset &&
	       (uint64_t)sqlite3_column_int64(row, 6) == message->body.length &&
	       (uint32_t)sqlite3_column_int64(row, 7) == message->body.checksum;
}

static int settle(struct store *store, struct spool_request *request)
{
	struct request_settle *settle = &request->settle;
	size_t n_died = 0, n_settled = 0;
	int64_t number;
	enum found found = find_number(store, settle->id, &number);

	if (found != FOUND_ONE)
		return found;
	for (size_t i = 0; i < settle->n_results; i++) {
		int rc = settle_one(store, request, number, &settle->results[i], &n_died);

		if (rc == -1)
			return -1;
		n_settled += (size_t)rc;
	}
	for (size_t i = 0; i < settle->n_results; i++) {
		if (end_job(store, number, settle->results[i].recipient) == -1)
			return -1;
	}
	if (bury(store, number, n_died, request->now_s, &settle->is_gone) == -1)
		return -1;
	/* Nothing changed: it was removed meanwhile, or this is said a second time. */
	if (!settle->has_bounce || n_settled == 0)
		return 0;
	return store_add_message(store, &settle->bounce, false, request->now_s, &request->outcome);
}

/* 1 if it still waited, 0 if not. */
static int settle_one(struct store *store, const struct spool_request *request, int64_t number,
    const struct recipient_result *result, size_t *n_died)
{
	const struct request_settle *settle = &request->settle;
	const struct outcome *outcome = &result->outcome;
	bool waits = result->state == RECIPIENT_WAITING;
	sqlite3_stmt *row = store_bind(store, STORE_settle_recipient, "iiiittttttii",
	    (int64_t)result->state, waits ? settle->next_try_s : 0, request->now_s,
	    (int64_t)outcome->code, outcome->enhanced, outcome->text, outcome->who, outcome->name,
	    settle->host, settle->evidence, number, (int64_t)result->recipient);
	int rc = store_step(row);

	if (rc != 1)
		return rc;
	if (waits) {
		due_note(
		    &store->due, (const char *)sqlite3_column_text(row, 0), settle->next_try_s);
	} else {
		store_add_change(store)->n_waiting = -1;
		(*n_died)++;
	}
	return store_run(row) == -1 ? -1 : 1;
}

/* Its job is no longer out; what of it still waits falls due when it does. */
static int end_job(struct store *store, int64_t number, int64_t place)
{
	sqlite3_stmt *row = store_bind(store, STORE_domain_of, "ii", number, place);
	int rc = store_step(row);
	char *domain;

	if (rc != 1)
		return rc;
	domain = store_text(row, 0);
	sqlite3_reset(row);
	take_in(store, number, domain);
	row = store_bind(store, STORE_next_of_job, "it", number, domain);
	rc = store_step(row);
	if (rc == 1 && sqlite3_column_type(row, 0) != SQLITE_NULL)
		due_note(&store->due, domain, sqlite3_column_int64(row, 0));
	sqlite3_reset(row);
	free(domain);
	return rc == -1 ? -1 : 0;
}

static int bury(struct store *store, int64_t number, size_t n_died, int64_t now_s, bool *is_gone)
{
	sqlite3_stmt *row;
	int rc;

	*is_gone = false;
	if (n_died == 0)
		return 0;
	row = store_bind(store, STORE_lose_living, "iii", (int64_t)n_died, now_s, number);
	while ((rc = store_step(row)) == 1) {
		struct store_change *change;

		if (sqlite3_column_type(row, 0) == SQLITE_NULL)
			continue;
		change = store_add_change(store);
		change->segment = (uint64_t)sqlite3_column_int64(row, 1);
		change->size_bytes = -sqlite3_column_int64(row, 2);
		change->n_messages = -1;
		*is_gone = true;
	}
	return rc;
}

static int give_back(struct store *store, struct spool_request *request)
{
	const struct request_give_back *give_back = &request->give_back;
	int64_t number;
	enum found found = find_number(store, give_back->id, &number);

	if (found != FOUND_ONE)
		return found;
	take_in(store, number, give_back->domain);
	if (give_back->when_s > request->now_s &&
	    store_run(store_bind(
		store, STORE_put_off, "iit", give_back->when_s, number, give_back->domain)) == -1)
		return -1;
	due_note(&store->due, give_back->domain, give_back->when_s);
	return 0;
}

static int set_aside(struct store *store, struct spool_request *request)
{
	sqlite3_stmt *rows;
	int64_t number;
	enum found found = find_number(store, request->set_aside.id, &number);
	int rc;

	if (found != FOUND_ONE)
		return found;
	rows = store_bind(
	    store, STORE_set_aside, "iti", request->now_s, request->set_aside.reason, number);
	while ((rc = store_step(rows)) == 1) {
		take_in(store, number, (const char *)sqlite3_column_text(rows, 0));
		store_add_change(store)->n_waiting = -1;
	}
	return rc;
}

/* All, a domain and an address go through the living messages by portions, one a turn. */
static int retry(struct store *store, struct spool_request *request)
{
	struct request_change *change = &request->change;
	sqlite3_stmt *rows;
	int64_t until;
	bool is_last;

	if (change->what != NULL && strchr(change->what, '@') == NULL)
		return retry_one(store, request);
	rows = store_bind(store, STORE_living_after, "ii", change->after, (int64_t)RETRY_AT_ONCE);
	if (store_step(rows) != 1)
		return -1;
	until = sqlite3_column_int64(rows, 0);
	is_last = sqlite3_column_int64(rows, 1) < RETRY_AT_ONCE;
	sqlite3_reset(rows);
	if (until == 0)
		return 0;
	if (change->what == NULL)
		rows = store_bind(store, STORE_retry_all, "itii", request->now_s,
		    (const char *)NULL, change->after, until);
	else if (change->what[0] == '@')
		rows = store_bind(store, STORE_retry_domain, "itii", request->now_s,
		    change->what + 1, change->after, until);
	else
		rows = store_bind(store, STORE_retry_address, "itii", request->now_s, change->what,
		    change->after, until);
	if (note_each(store, rows, request->now_s, &change->n) == -1)
		return -1;
	change->after = until;
	request->again = !is_last;
	return 0;
}

static int retry_one(struct store *store, struct spool_request *request)
{
	struct request_change *change = &request->change;
	size_t n_called_back = 0;
	int64_t number;
	enum found found = find_number(store, change->what, &number);

	if (found != FOUND_ONE)
		return found;
	if (note_each(store, store_bind(store, STORE_retry_message, "ii", request->now_s, number),
		request->now_s, &change->n) == -1 ||
	    note_each(store, store_bind(store, STORE_call_back, "ii", request->now_s, number),
		request->now_s, &n_called_back) == -1)
		return -1;
	store_add_change(store)->n_waiting = (int64_t)n_called_back;
	change->n += n_called_back;
	return 0;
}

static int note_each(struct store *store, sqlite3_stmt *rows, int64_t due_s, size_t *n)
{
	int rc;

	while ((rc = store_step(rows)) == 1) {
		due_note(&store->due, (const char *)sqlite3_column_text(rows, 0), due_s);
		(*n)++;
	}
	return rc;
}

static int remove_one(struct store *store, struct spool_request *request)
{
	sqlite3_stmt *rows;
	int64_t number, n_waiting;
	size_t n = 0;
	bool is_gone;
	enum found found = find_number(store, request->change.what, &number);
	int rc;

	if (found != FOUND_ONE)
		return found;
	rows = store_bind(store, STORE_count_waiting, "i", number);
	if (store_step(rows) != 1)
		return -1;
	n_waiting = sqlite3_column_int64(rows, 0);
	sqlite3_reset(rows);
	rows = store_bind(store, STORE_remove_recipients, "ii", request->now_s, number);
	while ((rc = store_step(rows)) == 1)
		n++;
	if (rc == -1)
		return -1;
	store_add_change(store)->n_waiting = -n_waiting;
	request->change.n = n;
	return bury(store, number, n, request->now_s, &is_gone);
}

static int forget(struct store *store, struct spool_request *request)
{
	int64_t before = request->now_s - REMEMBER_S, most = FORGET_AT_ONCE;

	if (store_run(store_bind(store, STORE_forget_surplus, "i", (int64_t)SPOOL_POLICIES_MAX)) ==
		-1 ||
	    store_forget_reports(store, request->now_s) == -1)
		return -1;
	if (store_run(store_bind(store, STORE_forget_recipients, "ii", before, most)) == -1 ||
	    store_run(store_bind(store, STORE_forget_messages, "ii", before, most)) == -1)
		return -1;
	request->again = sqlite3_changes(store->db) == FORGET_AT_ONCE;
	return 0;
}

/* Waiting would not help what is damaged in one place, and must not stop the rest. */
static bool is_local_damage(struct store *store)
{
	switch (sqlite3_errcode(store->db) & 0xff) {
	case SQLITE_CONSTRAINT:
	case SQLITE_CORRUPT:
	case SQLITE_ERROR:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG: return true;
	default: return false; /* the library's codes, of which most mean the disk */
	}
}

static enum found find_number(struct store *store, const char *id, int64_t *number)
{
	sqlite3_stmt *row = store_bind(store, STORE_find_message, "t", id);
	int rc = store_step(row);

	if (rc != 1)
		return rc == 0 ? FOUND_NOTHING : FOUND_FAILED;
	*number = sqlite3_column_int64(row, 0);
	sqlite3_reset(row);
	return FOUND_ONE;
}

static void take_in(struct store *store, int64_t number, const char *domain)
{
	struct store_change *change = store_add_change(store);

	change->message = number;
	change->domain = mem_copy_text(domain);
}

/* Behind the last '@': local parts may have others in quotes. */
static const char *domain_of(const char *address)
{
	const char *at = strrchr(address, '@');

	return at != NULL ? at + 1 : "";
}
