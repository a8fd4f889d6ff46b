/*
 * The database of the spool: envelopes, recipients, what became of them. All SQL of the program is
 * in spool_store*. One connection, opened by the loop's thread before the writer runs
 * and used by the writer alone from then on, checkpoints included.
 *
 * Within a transaction each change is all or nothing by itself; what the transaction means for
 * memory (living messages of a segment, jobs that are out) takes effect when it is on stable
 * storage, and not at all if that fails. Private to the spool.
 */
#pragma once

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/spool_due.h"
#include "relay/spool_request.h"
#include "relay/spool_segment.h"
#include "relay/spool_store_sql.h"

enum { STORE_FORMAT = 2, STORE_APPLICATION = 0x5a65676c };

enum store_state {
	STORE_WAITING,
	STORE_DELIVERED,
	STORE_FAILED,
	STORE_SET_ASIDE,
	STORE_REMOVED,
};

enum store_statement {
#define X(name, sql) STORE_##name,
	STORE_STATEMENTS(X)
#undef X
	    N_STORE_STATEMENTS
};

/* What memory learns once a transaction is on stable storage. */
struct store_change {
	uint64_t segment;
	int n_messages; /* that came to life in it, or died */
	int64_t size_bytes;
	int64_t n_waiting; /* recipients */
	int64_t message;   /* the job of domain is no longer out */
	char *domain;      /* NULL: none */
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[N_STORE_STATEMENTS];
	struct due due;
	struct segments *segments; /* borrowed */
	struct store_change *changes;
	size_t n_changes, changes_room;
	uint64_t n_messages, n_waiting, size_bytes;
	int64_t latest_s; /* the latest now heard of */
	size_t n_adding;  /* messages in the open transaction */
	uint64_t most_messages;
	struct outcome full; /* OUTCOME_OK, or why no new message is taken this turn */
	uint32_t longest_retry_s;
};

/*
 * Opens or makes the file, refuses a newer format (Q11) and what is not ours, clamps next tries,
 * loads what memory holds. -1 with a text for the operator.
 */
int store_open(struct store *store, const char *path, struct segments *segments, int64_t now_s,
    uint32_t longest_retry_s, char *error, size_t room);
void store_close(struct store *store);

/* All of these: 0, or -1 when the database failed; store_refuse() then says how. */
int store_begin(struct store *store);
int store_end(struct store *store);
void store_undo(struct store *store);

/*
 * One change of the open transaction; answers the request. What the database can't hold (damage in
 * one place of it) refuses that request alone; -1 is for a disk that fails everybody.
 */
int store_change(struct store *store, struct spool_request *request);

/* One question, outside of transactions. */
int store_find(struct store *store, struct spool_request *request);
int store_list(struct store *store, struct spool_request *request);

/* The wall clock went back: no next try may be further off than the longest retry. */
int store_clamp(struct store *store, int64_t now_s);

void store_refuse(struct store *store, struct outcome *why);

/* ---- for spool_store_*.c ---- */

/* Makes the tables, or brings them to STORE_FORMAT; -1 with a text for the operator. */
int store_ready_format(struct store *store, char *error, size_t room);

/* types: a letter an argument, i (int64_t) or t (text, NULL as SQL's) */
sqlite3_stmt *store_bind(struct store *store, enum store_statement name, const char *types, ...);

/* 1 a row, 0 done, -1 failed; resets the statement unless it is a row. */
int store_step(sqlite3_stmt *statement);

/* Runs it to its end; -1 if it failed. */
int store_run(sqlite3_stmt *statement);

/* A copy of a text column, "" for NULL. */
char *store_text(sqlite3_stmt *statement, int column);

struct store_change *store_add_change(struct store *store);

/*
 * One that is_new may be refused for want of room (outcome says); a notification comes in place of
 * what it is about. 0, or -1.
 */
int store_add_message(struct store *store, const struct message *message, bool is_new,
    int64_t now_s, struct outcome *outcome);

/* TLS reports that nobody will send any more, a few at once. */
enum { STORE_FORGET_REPORTS = 100 };
int store_forget_reports(struct store *store, int64_t now_s);
