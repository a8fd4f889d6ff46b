/*
 * The questions: which jobs are due, and what the administrator wants listed.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/map.h"
#include "relay/base/mem.h"
#include "relay/spool_store.h"

/* A job has at most the recipients of a message; many such together are left for the next time. */
enum { FIND_RECIPIENTS_MAX = 10000, LIST_AT_ONCE = 256 };

/* A domain out of the heap while we look. */
struct seen {
	struct due_domain *domain;
	bool is_excepted;
};

struct search {
	struct request_find *find;
	struct map except;
	struct seen *seen;
	size_t n_seen, seen_room;
	int64_t now_s;
	size_t per_domain;
	size_t n_recipients; /* of the jobs found */
};

static int find_oldest(struct store *store, struct search *search);
static int find_news(struct store *store, struct search *search);
static struct due_domain *see(struct search *search, struct due_domain *domain, bool is_excepted);
static size_t fair_share(const struct store *store, const struct request_find *find);
static int look_into(struct store *store, struct search *search, struct due_domain *domain);
static bool is_full(const struct search *search);
static int take_job(struct store *store, struct search *search, int64_t number, const char *domain);
static int read_message(struct store *store, int64_t number, struct message *message);
static int read_recipients(
    struct store *store, int64_t number, int64_t now_s, struct spool_job *job);
static void read_entry(sqlite3_stmt *row, struct spool_entry *entry);
static void note_whether_out(const struct store *store, int64_t message, struct spool_entry *entry);
static char *reply_text(sqlite3_stmt *row);
static const char *state_name(int64_t state);

int store_find(struct store *store, struct spool_request *request)
{
	struct request_find *find = &request->find;
	struct search search = { .find = find, .now_s = find->now_s };
	const struct due_domain *first;
	int rc;

	map_init(&search.except);
	for (size_t i = 0; i < find->n_except; i++)
		map_put(&search.except, find->except[i], find);
	rc = find->only_news ? find_news(store, &search) : find_oldest(store, &search);
	first = due_first(&store->due);
	find->next_due_s = first != NULL ? first->due_s : INT64_MAX;
	for (size_t i = 0; i < search.n_seen; i++) {
		struct due_domain *domain = search.seen[i].domain;

		if (!search.seen[i].is_excepted && domain->due_s < find->next_due_s)
			find->next_due_s = domain->due_s;
		due_put_back(&store->due, domain);
	}
	free(search.seen);
	map_finish(&search.except);
	return rc;
}

/*
 * Domains in the order of their oldest due job; each looked into has its moment mended. First each
 * gives its fair share, then what room is left goes to those that have more.
 */
static int find_oldest(struct store *store, struct search *search)
{
	const struct request_find *find = search->find;
	const struct due_domain *first;
	size_t share = fair_share(store, find);
	int rc = 0;

	search->per_domain = share;
	while (rc == 0 && (first = due_first(&store->due)) != NULL) {
		if (map_get(&search->except, first->name) != NULL)
			see(search, due_take_first(&store->due), true);
		else if (!is_full(search) && first->due_s <= find->now_s)
			rc = look_into(
			    store, search, see(search, due_take_first(&store->due), false));
		else
			break;
	}
	search->per_domain = find->per_domain - share;
	for (size_t i = 0; rc == 0 && i < search->n_seen && !is_full(search); i++) {
		if (search->per_domain > 0 && !search->seen[i].is_excepted &&
		    search->seen[i].domain->due_s <= find->now_s)
			rc = look_into(store, search, search->seen[i].domain);
	}
	return rc;
}

static int find_news(struct store *store, struct search *search)
{
	struct due_domain *domain;
	int rc = 0;

	search->per_domain = search->find->per_domain;
	while (rc == 0 && !is_full(search) && (domain = due_take_news(&store->due)) != NULL) {
		bool is_excepted = map_get(&search->except, domain->name) != NULL;

		see(search, domain, is_excepted);
		if (!is_excepted)
			rc = look_into(store, search, domain);
	}
	return rc;
}

static struct due_domain *see(struct search *search, struct due_domain *domain, bool is_excepted)
{
	if (search->n_seen == search->seen_room) {
		search->seen_room = search->seen_room > 0 ? 2 * search->seen_room : 64;
		search->seen = mem_resize(search->seen, search->seen_room, sizeof *search->seen);
	}
	search->seen[search->n_seen++] = (struct seen){ domain, is_excepted };
	return domain;
}

/* A domain with much leaves room for the others that are due. */
static size_t fair_share(const struct store *store, const struct request_find *find)
{
	size_t n_domains = due_count(&store->due, find->now_s, find->limit + find->n_except);
	size_t share = n_domains > 0 ? find->limit / n_domains : find->limit;

	if (share < 1)
		share = 1;
	return share < find->per_domain ? share : find->per_domain;
}

static int look_into(struct store *store, struct search *search, struct due_domain *domain)
{
	sqlite3_stmt *rows =
	    store_bind(store, STORE_due_messages, "ti", domain->name, search->now_s);
	size_t n_before = search->find->n_jobs;
	int64_t left_s = INT64_MAX;
	int rc;

	while ((rc = store_step(rows)) == 1) {
		int64_t number = sqlite3_column_int64(rows, 0);

		if (due_is_out(&store->due, number, domain->name))
			continue;
		if (is_full(search) || search->find->n_jobs - n_before >= search->per_domain) {
			left_s = sqlite3_column_int64(rows, 1);
			break;
		}
		rc = take_job(store, search, number, domain->name);
		if (rc == -1)
			break;
	}
	sqlite3_reset(rows);
	if (rc == -1)
		return -1; /* the moment stays: nothing is forgotten */
	if (left_s == INT64_MAX) {
		rows = store_bind(store, STORE_next_of_domain, "ti", domain->name, search->now_s);
		if (store_step(rows) != 1)
			return -1;
		if (sqlite3_column_type(rows, 0) != SQLITE_NULL)
			left_s = sqlite3_column_int64(rows, 0);
		sqlite3_reset(rows);
	}
	domain->due_s = left_s;
	return 0;
}

static bool is_full(const struct search *search)
{
	return search->find->n_jobs >= search->find->limit ||
	       search->n_recipients >= FIND_RECIPIENTS_MAX;
}

static int take_job(struct store *store, struct search *search, int64_t number, const char *domain)
{
	struct request_find *find = search->find;
	struct spool_job job = { .domain = mem_copy_text(domain), .due_s = INT64_MAX };

	if (read_message(store, number, &job.message) == -1 ||
	    read_recipients(store, number, search->now_s, &job) == -1) {
		spool_job_finish(&job);
		return -1;
	}
	find->jobs = mem_resize(find->jobs, find->n_jobs + 1, sizeof *find->jobs);
	find->jobs[find->n_jobs++] = job;
	search->n_recipients += job.message.n_recipients;
	due_hand_out(&store->due, number, domain);
	return 0;
}

static int read_message(struct store *store, int64_t number, struct message *message)
{
	sqlite3_stmt *row = store_bind(store, STORE_read_message, "i", number);
	char *id, *floor;

	if (store_step(row) != 1)
		return -1;
	id = store_text(row, 0);
	memcpy(message->id, id, strnlen(id, QUEUE_ID_LENGTH));
	free(id);
	message->segment = (uint64_t)sqlite3_column_int64(row, 1);
	message->header.offset = (uint64_t)sqlite3_column_int64(row, 2);
	message->header.length = (uint64_t)sqlite3_column_int64(row, 3);
	message->header.checksum = (uint32_t)sqlite3_column_int64(row, 4);
	message->body.offset = (uint64_t)sqlite3_column_int64(row, 5);
	message->body.length = (uint64_t)sqlite3_column_int64(row, 6);
	message->body.checksum = (uint32_t)sqlite3_column_int64(row, 7);
	message->sender = store_text(row, 8);
	message->account = store_text(row, 9);
	message->from_domain = store_text(row, 10);
	message->message_id = store_text(row, 11);
	message->arrived_s = sqlite3_column_int64(row, 12);
	message->expires_s = sqlite3_column_int64(row, 13);
	message->is_8bit = sqlite3_column_int64(row, 14) != 0;
	message->is_bulk = sqlite3_column_int64(row, 15) != 0;
	message->requires_tls = sqlite3_column_int64(row, 16) != 0;
	message->tls_optional = sqlite3_column_int64(row, 17) != 0;
	message->is_report = sqlite3_column_int64(row, 18) != 0;
	floor = store_text(row, 19);
	/* A word that is none of ours demands all that there is. */
	if (!tls_level_parse(floor, &message->tls_floor))
		message->tls_floor = TLS_DANE_ONLY;
	free(floor);
	sqlite3_reset(row);
	return 0;
}

static int read_recipients(
    struct store *store, int64_t number, int64_t now_s, struct spool_job *job)
{
	sqlite3_stmt *rows = store_bind(store, STORE_read_job, "iti", number, job->domain, now_s);
	struct message *message = &job->message;
	size_t room = 0;
	int rc;

	while ((rc = store_step(rows)) == 1) {
		size_t n = message->n_recipients;

		if (n == room) {
			room = room > 0 ? 2 * room : 4;
			message->recipients =
			    mem_resize(message->recipients, room, sizeof *message->recipients);
			job->places = mem_resize(job->places, room, sizeof *job->places);
		}
		job->places[n] = (uint32_t)sqlite3_column_int64(rows, 0);
		message->recipients[n] = store_text(rows, 1);
		message->n_recipients++;
		if (sqlite3_column_int64(rows, 2) > job->n_attempts)
			job->n_attempts = (uint32_t)sqlite3_column_int64(rows, 2);
		if (sqlite3_column_int64(rows, 3) < job->due_s)
			job->due_s = sqlite3_column_int64(rows, 3);
	}
	return rc;
}

/* One part of the list; is_answered when there is nothing after it. */
int store_list(struct store *store, struct spool_request *request)
{
	struct request_list *list = &request->list;
	size_t most = list->left < LIST_AT_ONCE ? list->left : LIST_AT_ONCE;
	enum store_statement which = list->id != NULL        ? STORE_list_by_id
				     : list->address != NULL ? STORE_list_by_address
				     : list->with_settled    ? STORE_list_all
							     : STORE_list_living;
	sqlite3_stmt *rows =
	    store_bind(store, which, "tiiii", list->id != NULL ? list->id : list->address,
		list->after_message, list->after_place, (int64_t)list->with_settled, (int64_t)most);
	int rc;

	list->entries = mem_create(most * sizeof *list->entries);
	while ((rc = store_step(rows)) == 1) {
		assert(list->n_entries < most);
		list->after_message = sqlite3_column_int64(rows, 0);
		list->after_place = sqlite3_column_int64(rows, 1);
		read_entry(rows, &list->entries[list->n_entries]);
		note_whether_out(store, list->after_message, &list->entries[list->n_entries++]);
	}
	list->left -= list->n_entries;
	request->is_answered = rc == -1 || list->left == 0 || list->n_entries < most;
	return rc;
}

static void note_whether_out(const struct store *store, int64_t message, struct spool_entry *entry)
{
	const char *at = strrchr(entry->recipient, '@');

	entry->is_out = at != NULL && strcmp(entry->state, state_name(STORE_WAITING)) == 0 &&
			due_is_out(&store->due, message, at + 1);
}

static void read_entry(sqlite3_stmt *row, struct spool_entry *entry)
{
	char *id = store_text(row, 2);

	memcpy(entry->id, id, strnlen(id, QUEUE_ID_LENGTH));
	free(id);
	entry->sender = store_text(row, 3);
	entry->account = store_text(row, 4);
	entry->recipient = store_text(row, 5);
	entry->message_id = store_text(row, 6);
	entry->state = state_name(sqlite3_column_int64(row, 7));
	entry->n_attempts = (uint32_t)sqlite3_column_int64(row, 8);
	entry->arrived_s = sqlite3_column_int64(row, 9);
	entry->next_try_s = sqlite3_column_int64(row, 10);
	entry->expires_s = sqlite3_column_int64(row, 11);
	entry->size_bytes = (uint64_t)sqlite3_column_int64(row, 12);
	entry->reply = reply_text(row);
	entry->reason = store_text(row, 17);
	entry->host = store_text(row, 18);
	entry->evidence = store_text(row, 19);
	entry->tried_s = sqlite3_column_int64(row, 20);
}

/* "450 4.7.1 text"; "WHO said: " before it if a peer said it, "WHO: " if we say it of a peer. */
static char *reply_text(sqlite3_stmt *row)
{
	const char *enhanced = (const char *)sqlite3_column_text(row, 14);
	const char *text = (const char *)sqlite3_column_text(row, 15);
	const char *who = (const char *)sqlite3_column_text(row, 16);
	const char *name = (const char *)sqlite3_column_text(row, 17);
	const char *joint = who[0] == '\0' ? "" : name[0] != '\0' ? ": " : " said: ";
	int code = sqlite3_column_int(row, 13);

	if (code == 0)
		return mem_copy_text("");
	return mem_print("%s%s%d %s %s", who, joint, code, enhanced, text);
}

static const char *state_name(int64_t state)
{
	switch (state) {
	case STORE_WAITING: return "waiting";
	case STORE_DELIVERED: return "delivered";
	case STORE_FAILED: return "failed";
	case STORE_SET_ASIDE: return "set aside";
	case STORE_REMOVED: return "removed";
	}
	return "unknown";
}
