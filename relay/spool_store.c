#include "relay/spool_store.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

static const char *const STATEMENTS[] = {
#define X(name, sql) sql,
	STORE_STATEMENTS(X)
#undef X
};

static int configure(struct store *store);
static int prepare(struct store *store);
static int load_segments(struct store *store);
static int load_due(struct store *store);
static void say_failed(struct store *store, const char *path, char *error, size_t room);
static int disk_errno(struct store *store);
static void apply(struct store *store, const struct store_change *change);
static void forget_changes(struct store *store);

int store_open(struct store *store, const char *path, struct segments *segments, int64_t now_s,
    uint32_t longest_retry_s, char *error, size_t room)
{
	assert(SQLITE_VERSION_NUMBER >= 3035000); /* RETURNING */
	*store = (struct store){ .segments = segments, .longest_retry_s = longest_retry_s };
	due_init(&store->due);
	outcome_ok(&store->full);
	store->most_messages = UINT64_MAX;
	if (sqlite3_open_v2(path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, NULL) !=
		SQLITE_OK ||
	    configure(store) == -1) {
		say_failed(store, path, error, room);
		goto fail;
	}
	if (store_ready_format(store, error, room) == -1)
		goto fail;
	if (prepare(store) == -1 || load_segments(store) == -1 || store_clamp(store, now_s) == -1) {
		say_failed(store, path, error, room);
		goto fail;
	}
	return 0;
fail:
	store_close(store);
	return -1;
}

void store_close(struct store *store)
{
	forget_changes(store);
	free(store->changes);
	due_finish(&store->due);
	for (size_t i = 0; i < N_STORE_STATEMENTS; i++)
		sqlite3_finalize(store->statements[i]);
	sqlite3_close(store->db);
	*store = (struct store){ 0 };
}

int store_begin(struct store *store)
{
	forget_changes(store);
	store->n_adding = 0;
	return store_run(store_bind(store, STORE_begin, ""));
}

/* COMMIT syncs the write-ahead log: once it has answered, all of it is on stable storage. */
int store_end(struct store *store)
{
	if (store_run(store_bind(store, STORE_end, "")) == -1)
		return -1;
	for (size_t i = 0; i < store->n_changes; i++)
		apply(store, &store->changes[i]);
	forget_changes(store);
	return 0;
}

void store_undo(struct store *store)
{
	if (sqlite3_get_autocommit(store->db) == 0)
		store_run(store_bind(store, STORE_undo, ""));
	forget_changes(store);
}

int store_clamp(struct store *store, int64_t now_s)
{
	store->latest_s = now_s;
	if (store_run(store_bind(store, STORE_clamp, "i", now_s + store->longest_retry_s)) == -1)
		return -1;
	return load_due(store);
}

void store_refuse(struct store *store, struct outcome *why)
{
	int error = disk_errno(store);

	if (error != 0) {
		segment_refuse(why, error, "writing the queue's database");
		return;
	}
	outcome_say(why, 451, "4.3.0", "disk-error", "The queue's database failed: %s; try again",
	    sqlite3_errmsg(store->db));
}

sqlite3_stmt *store_bind(struct store *store, enum store_statement name, const char *types, ...)
{
	sqlite3_stmt *statement = store->statements[name];
	va_list args;
	int rc = SQLITE_OK;

	sqlite3_reset(statement);
	va_start(args, types);
	for (int i = 0; types[i] != '\0' && rc == SQLITE_OK; i++) {
		assert(types[i] == 'i' || types[i] == 't');
		if (types[i] == 'i')
			rc = sqlite3_bind_int64(statement, i + 1, va_arg(args, int64_t));
		else
			rc = sqlite3_bind_text(
			    statement, i + 1, va_arg(args, const char *), -1, SQLITE_TRANSIENT);
	}
	va_end(args);
	assert(rc == SQLITE_OK);
	return statement;
}

int store_step(sqlite3_stmt *statement)
{
	int rc = sqlite3_step(statement);

	if (rc == SQLITE_ROW)
		return 1;
	sqlite3_reset(statement);
	return rc == SQLITE_DONE ? 0 : -1;
}

int store_run(sqlite3_stmt *statement)
{
	int rc;

	while ((rc = store_step(statement)) == 1)
		;
	return rc;
}

char *store_text(sqlite3_stmt *statement, int column)
{
	const char *text = (const char *)sqlite3_column_text(statement, column);

	return mem_copy_text(text != NULL ? text : "");
}

struct store_change *store_add_change(struct store *store)
{
	if (store->n_changes == store->changes_room) {
		store->changes_room = store->changes_room > 0 ? 2 * store->changes_room : 64;
		store->changes =
		    mem_resize(store->changes, store->changes_room, sizeof *store->changes);
	}
	store->changes[store->n_changes] = (struct store_change){ 0 };
	return &store->changes[store->n_changes++];
}

/* The exclusive lock keeps any second connection out, and with it the WAL-reset fault of 3.40. */
static int configure(struct store *store)
{
	static const char PRAGMAS[] = "PRAGMA locking_mode = EXCLUSIVE;"
				      "PRAGMA journal_mode = WAL;"
				      "PRAGMA synchronous = FULL;"
				      "PRAGMA temp_store = MEMORY;"
				      "PRAGMA trusted_schema = OFF;"
				      "PRAGMA cell_size_check = ON;"
				      "PRAGMA cache_size = -16384;"
				      "PRAGMA wal_autocheckpoint = 4000;"
				      "PRAGMA journal_size_limit = 67108864;";

	sqlite3_extended_result_codes(store->db, 1);
	return sqlite3_exec(store->db, PRAGMAS, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static int prepare(struct store *store)
{
	for (size_t i = 0; i < N_STORE_STATEMENTS; i++) {
		if (sqlite3_prepare_v3(store->db, STATEMENTS[i], -1, SQLITE_PREPARE_PERSISTENT,
			&store->statements[i], NULL) != SQLITE_OK)
			return -1;
	}
	return 0;
}

static int load_segments(struct store *store)
{
	sqlite3_stmt *rows = store_bind(store, STORE_living_segments, "");
	int rc;

	while ((rc = store_step(rows)) == 1) {
		segments_count_living(store->segments, (uint64_t)sqlite3_column_int64(rows, 0), 1);
		store->n_messages++;
		store->size_bytes += (uint64_t)sqlite3_column_int64(rows, 1);
	}
	return rc;
}

static int load_due(struct store *store)
{
	sqlite3_stmt *rows = store_bind(store, STORE_due_domains, "");
	int rc;

	due_clear(&store->due);
	store->n_waiting = 0;
	while ((rc = store_step(rows)) == 1) {
		due_note(&store->due, (const char *)sqlite3_column_text(rows, 0),
		    sqlite3_column_int64(rows, 1));
		store->n_waiting += (uint64_t)sqlite3_column_int64(rows, 2);
	}
	return rc;
}

static void say_failed(struct store *store, const char *path, char *error, size_t room)
{
	int code = sqlite3_errcode(store->db) & 0xff;

	if (code == SQLITE_BUSY) {
		snprintf(error, room,
		    "%s is open in another program; end that (it may be sqlite3) and start again "
		    "[queue-busy]",
		    path);
	} else if (code == SQLITE_NOTADB || code == SQLITE_CORRUPT) {
		snprintf(error, room,
		    "%s is damaged (%s); it was left alone. Restore it, or move it away to begin "
		    "with an empty queue [queue-damaged]",
		    path, sqlite3_errmsg(store->db));
	} else {
		snprintf(error, room, "%s cannot be opened: %s", path, sqlite3_errmsg(store->db));
	}
}

/* What the system said of the last failed write, to the log or to the file; 0 if it wasn't that. */
static int disk_errno(struct store *store)
{
	int code = sqlite3_extended_errcode(store->db), error = 0;
	sqlite3_file *log = NULL;

	if (code == SQLITE_FULL)
		return ENOSPC;
	if ((code & 0xff) != SQLITE_IOERR)
		return 0;
	error = sqlite3_system_errno(store->db);
	if (error == 0 &&
	    sqlite3_file_control(store->db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log) ==
		SQLITE_OK &&
	    log != NULL && log->pMethods != NULL)
		log->pMethods->xFileControl(log, SQLITE_FCNTL_LAST_ERRNO, &error);
	if (error == 0)
		sqlite3_file_control(store->db, "main", SQLITE_FCNTL_LAST_ERRNO, &error);
	return error;
}

static void apply(struct store *store, const struct store_change *change)
{
	store->n_messages += (uint64_t)(int64_t)change->n_messages;
	store->size_bytes += (uint64_t)change->size_bytes;
	store->n_waiting += (uint64_t)change->n_waiting;
	if (change->n_messages != 0)
		segments_count_living(store->segments, change->segment, change->n_messages);
	if (change->n_messages < 0)
		segments_tidy(store->segments, change->segment, store->latest_s);
	if (change->domain != NULL)
		due_take_in(&store->due, change->message, change->domain);
}

static void forget_changes(struct store *store)
{
	for (size_t i = 0; i < store->n_changes; i++)
		free(store->changes[i].domain);
	store->n_changes = 0;
}
