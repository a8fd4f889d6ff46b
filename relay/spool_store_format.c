/*
 * Which tables the queue's database has. A new file gets them all; one that an earlier version wrote
 * is brought up in one transaction, or stays as it was; one of a later version, or of another
 * program, is left alone (Q11, Q17).
 */
#include <assert.h>
#include <stdio.h>

#include "relay/base/log.h"
#include "relay/spool_store.h"

static int build(struct store *store, int64_t format, char *error, size_t room);
static int run(struct store *store, const char *sql);
static int read_number(struct store *store, const char *sql, int64_t *value);

/*
 * STEPS[n] makes format n + 1 of format n. Numbers of messages are never used again
 * (AUTOINCREMENT): what memory holds of a job must not come to mean another message. recipients_due
 * serves the schedule, the other indexes "why" and "queue list".
 */
static const char *const STEPS[] = {
	"CREATE TABLE messages ("
	" number INTEGER PRIMARY KEY AUTOINCREMENT,"
	" id TEXT NOT NULL UNIQUE,"
	" segment INTEGER NOT NULL,"
	" header_offset INTEGER NOT NULL,"
	" header_length INTEGER NOT NULL,"
	" header_checksum INTEGER NOT NULL,"
	" body_offset INTEGER NOT NULL,"
	" body_length INTEGER NOT NULL,"
	" body_checksum INTEGER NOT NULL,"
	" size INTEGER NOT NULL,"
	" sender TEXT NOT NULL COLLATE NOCASE,"
	" account TEXT NOT NULL,"
	" from_domain TEXT NOT NULL,"
	" message_id TEXT NOT NULL,"
	" arrived_s INTEGER NOT NULL,"
	" expires_s INTEGER NOT NULL,"
	" is_8bit INTEGER NOT NULL,"
	" is_bulk INTEGER NOT NULL,"
	" n_living INTEGER NOT NULL,"
	" settled_s INTEGER);"
	"CREATE TABLE recipients ("
	" message INTEGER NOT NULL,"
	" place INTEGER NOT NULL,"
	" address TEXT NOT NULL COLLATE NOCASE,"
	" domain TEXT NOT NULL,"
	" state INTEGER NOT NULL DEFAULT 0,"
	" n_attempts INTEGER NOT NULL DEFAULT 0,"
	" next_try_s INTEGER NOT NULL,"
	" tried_s INTEGER NOT NULL DEFAULT 0,"
	" code INTEGER NOT NULL DEFAULT 0,"
	" enhanced TEXT NOT NULL DEFAULT '',"
	" text TEXT NOT NULL DEFAULT '',"
	" who TEXT NOT NULL DEFAULT '',"
	" reason TEXT NOT NULL DEFAULT '',"
	" host TEXT NOT NULL DEFAULT '',"
	" evidence TEXT NOT NULL DEFAULT '',"
	" PRIMARY KEY (message, place)) WITHOUT ROWID;"
	"CREATE INDEX messages_sender ON messages (sender);"
	"CREATE INDEX messages_living ON messages (number, segment, size) WHERE settled_s IS NULL;"
	"CREATE INDEX messages_settled ON messages (settled_s) WHERE settled_s IS NOT NULL;"
	"CREATE INDEX recipients_address ON recipients (address);"
	"CREATE INDEX recipients_due ON recipients (domain, next_try_s) WHERE state = 0;"
	"PRAGMA application_id = 0x5a65676c;"
	"PRAGMA user_version = 1;",

	/* What the sender demands of TLS (RFC 8689), and which messages are our own TLS reports. */
	"ALTER TABLE messages ADD COLUMN requires_tls INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE messages ADD COLUMN tls_optional INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE messages ADD COLUMN is_report INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE messages ADD COLUMN tls_floor TEXT NOT NULL DEFAULT 'none';"
	/* MTA-STS policies in force (RFC 8461 3.3). */
	"CREATE TABLE sts_policies ("
	" domain TEXT PRIMARY KEY,"
	" id TEXT NOT NULL,"
	" policy TEXT NOT NULL,"
	" fetched_s INTEGER NOT NULL,"
	" expires_s INTEGER NOT NULL);"
	"CREATE INDEX sts_policies_expiry ON sts_policies (expires_s);"
	/*
	 * What TLS reports will say (RFC 8460): a report for each domain and day, the policies that
	 * applied, and the failures under each. A number is part of the report's id, so it is never
	 * used again. uris: where it still has to go, a line each, once the domain was asked. One that
	 * is done stays for the rest of its day if it was closed before that ended.
	 */
	"CREATE TABLE tls_reports ("
	" number INTEGER PRIMARY KEY AUTOINCREMENT,"
	" domain TEXT NOT NULL,"
	" start_s INTEGER NOT NULL,"
	" end_s INTEGER NOT NULL,"
	" next_try_s INTEGER NOT NULL,"
	" first_try_s INTEGER NOT NULL DEFAULT 0,"
	" n_tries INTEGER NOT NULL DEFAULT 0,"
	" uris TEXT NOT NULL DEFAULT '',"
	" is_done INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX tls_reports_domain ON tls_reports (domain, end_s);"
	"CREATE INDEX tls_reports_due ON tls_reports (next_try_s) WHERE is_done = 0;"
	"CREATE TABLE tls_policies ("
	" number INTEGER PRIMARY KEY,"
	" report INTEGER NOT NULL,"
	" type INTEGER NOT NULL,"
	" domain TEXT NOT NULL,"
	" strings TEXT NOT NULL,"
	" patterns TEXT NOT NULL,"
	" n_successes INTEGER NOT NULL DEFAULT 0,"
	" n_failures INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX tls_policies_report ON tls_policies (report);"
	"CREATE TABLE tls_failures ("
	" policy INTEGER NOT NULL,"
	" result INTEGER NOT NULL,"
	" mx TEXT NOT NULL,"
	" address TEXT NOT NULL,"
	" sender TEXT NOT NULL,"
	" reason TEXT NOT NULL,"
	" n INTEGER NOT NULL,"
	" PRIMARY KEY (policy, result, mx, address, sender, reason)) WITHOUT ROWID;"
	"PRAGMA user_version = 2;",
};

static_assert(sizeof STEPS / sizeof *STEPS == STORE_FORMAT, "a step to each format");

int store_ready_format(struct store *store, char *error, size_t room)
{
	int64_t format, application, n_tables;

	if (read_number(store, "PRAGMA user_version", &format) == -1 ||
	    read_number(store, "PRAGMA application_id", &application) == -1 ||
	    read_number(store, "SELECT count(*) FROM sqlite_schema", &n_tables) == -1) {
		snprintf(error, room, "The queue's database cannot be read: %s [queue-damaged]",
		    sqlite3_errmsg(store->db));
		return -1;
	}
	if (n_tables == 0 && format == 0)
		return build(store, 0, error, room);
	if (application != STORE_APPLICATION) {
		snprintf(error, room,
		    "queue.db is not a queue of Zegel; it was left alone. Move it away, or set "
		    "spool to another directory [queue-foreign]");
		return -1;
	}
	if (format < 1 || format > STORE_FORMAT) {
		snprintf(error, room,
		    "The queue has format %lld, this version knows 1 to %d; it was left alone. "
		    "Start the version that wrote it and let it deliver what waits [queue-format]",
		    (long long)format, STORE_FORMAT);
		return -1;
	}
	return format < STORE_FORMAT ? build(store, format, error, room) : 0;
}

/* Whatever happens meanwhile, the file has the one format or the other. */
static int build(struct store *store, int64_t format, char *error, size_t room)
{
	int rc = run(store, "BEGIN IMMEDIATE");

	for (int64_t at = format; rc == 0 && at < STORE_FORMAT; at++)
		rc = run(store, STEPS[at]);
	if (rc == 0)
		rc = run(store, "COMMIT");
	if (rc == 0) {
		if (format > 0)
			log_info("the queue's database was brought from format %lld to %d",
			    (long long)format, STORE_FORMAT);
		return 0;
	}
	if (format == 0)
		snprintf(error, room, "The queue's database cannot be made: %s",
		    sqlite3_errmsg(store->db));
	else
		snprintf(error, room,
		    "The queue's database cannot be brought from format %lld to %d: %s. It is as "
		    "it was; make room on the disk and start again [queue-upgrade]",
		    (long long)format, STORE_FORMAT, sqlite3_errmsg(store->db));
	if (sqlite3_get_autocommit(store->db) == 0)
		run(store, "ROLLBACK");
	return -1;
}

static int run(struct store *store, const char *sql)
{
	return sqlite3_exec(store->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : -1;
}

static int read_number(struct store *store, const char *sql, int64_t *value)
{
	sqlite3_stmt *statement;
	int rc = -1;

	if (sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL) != SQLITE_OK)
		return -1;
	if (sqlite3_step(statement) == SQLITE_ROW) {
		*value = sqlite3_column_int64(statement, 0);
		rc = 0;
	}
	sqlite3_finalize(statement);
	return rc;
}
