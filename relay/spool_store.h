/*
 * The database of the spool: envelopes, recipients, what became of them. All SQL of the program is
 * here and in spool_store_*.c. One connection, opened by the loop's thread before the writer runs
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

enum { STORE_FORMAT = 1, STORE_APPLICATION = 0x5a65676c };

enum store_state {
	STORE_WAITING,
	STORE_DELIVERED,
	STORE_FAILED,
	STORE_SET_ASIDE,
	STORE_REMOVED,
};

/* X(name, SQL): prepared once */
#define STORE_STATEMENTS(X)                                                                        \
	X(begin, "BEGIN IMMEDIATE")                                                                \
	X(end, "COMMIT")                                                                           \
	X(undo, "ROLLBACK")                                                                        \
	X(step_begin, "SAVEPOINT step")                                                            \
	X(step_end, "RELEASE step")                                                                \
	X(step_undo, "ROLLBACK TO step")                                                           \
	X(find_message,                                                                            \
	    "SELECT number, segment, header_offset, header_length, header_checksum, body_offset,"  \
	    " body_length, body_checksum FROM messages WHERE id = ?")                              \
	X(add_message,                                                                             \
	    "INSERT INTO messages (id, segment, header_offset, header_length, header_checksum,"    \
	    " body_offset, body_length, body_checksum, size, sender, account, from_domain,"        \
	    " message_id, arrived_s, expires_s, is_8bit, is_bulk, n_living)"                       \
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")                      \
	X(add_recipient, "INSERT INTO recipients (message, place, address, domain, next_try_s)"    \
			 " VALUES (?, ?, ?, ?, ?)")                                                \
	X(settle_recipient,                                                                        \
	    "UPDATE recipients SET state = ?, n_attempts = n_attempts + 1, next_try_s = ?,"        \
	    " tried_s = ?, code = ?, enhanced = ?, text = ?, who = ?, reason = ?, host = ?,"       \
	    " evidence = ? WHERE message = ? AND place = ? AND state = 0 RETURNING domain")        \
	X(lose_living, "UPDATE messages SET n_living = n_living - ?1,"                             \
		       " settled_s = CASE WHEN n_living <= ?1 THEN ?2 END WHERE number = ?3"       \
		       " RETURNING settled_s, segment, size")                                      \
	X(domain_of, "SELECT domain FROM recipients WHERE message = ? AND place = ?")              \
	X(next_of_job, "SELECT min(next_try_s) FROM recipients"                                    \
		       " WHERE message = ? AND domain = ? AND state = 0")                          \
	X(put_off,                                                                                 \
	    "UPDATE recipients SET next_try_s = ? WHERE message = ? AND domain = ? AND state = 0") \
	X(set_aside,                                                                               \
	    "UPDATE recipients SET state = 3, tried_s = ?, code = 0, enhanced = '', text = '',"    \
	    " who = '', reason = ? WHERE message = ? AND state = 0 RETURNING domain")              \
	X(call_back, "UPDATE recipients SET state = 0, next_try_s = ?, reason = ''"                \
		     " WHERE message = ? AND state = 3 RETURNING domain")                          \
	X(retry_message, "UPDATE recipients SET next_try_s = ? WHERE message = ? AND state = 0"    \
			 " RETURNING domain")                                                      \
	X(retry_address, "UPDATE recipients SET next_try_s = ?1 WHERE (message, place) IN"         \
			 " (SELECT message, place FROM recipients INDEXED BY recipients_address"   \
			 " WHERE address = ?2 AND state = 0 AND message > ?3 AND message <= ?4)"   \
			 " RETURNING domain")                                                      \
	X(retry_domain, "UPDATE recipients SET next_try_s = ?1"                                    \
			" WHERE message > ?3 AND message <= ?4 AND state = 0 AND domain = ?2"      \
			" RETURNING domain")                                                       \
	X(retry_all, "UPDATE recipients SET next_try_s = ?1"                                       \
		     " WHERE message > ?3 AND message <= ?4 AND state = 0 RETURNING domain")       \
	X(living_after, "SELECT max(number), count(*) FROM (SELECT number FROM messages"           \
			" INDEXED BY messages_living WHERE settled_s IS NULL AND number > ?"       \
			" ORDER BY number LIMIT ?)")                                               \
	X(remove_recipients, "UPDATE recipients SET state = 4, tried_s = ?1 WHERE message = ?2"    \
			     " AND state IN (0, 3) RETURNING 1")                                   \
	X(count_waiting, "SELECT count(*) FROM recipients WHERE message = ? AND state = 0")        \
	X(forget_recipients,                                                                       \
	    "DELETE FROM recipients WHERE message IN (SELECT number FROM messages"                 \
	    " INDEXED BY messages_settled WHERE settled_s IS NOT NULL AND settled_s < ?"           \
	    " ORDER BY settled_s, number LIMIT ?)")                                                \
	X(forget_messages,                                                                         \
	    "DELETE FROM messages WHERE number IN (SELECT number FROM messages"                    \
	    " INDEXED BY messages_settled WHERE settled_s IS NOT NULL AND settled_s < ?"           \
	    " ORDER BY settled_s, number LIMIT ?)")                                                \
	X(clamp, "UPDATE recipients SET next_try_s = ?1 WHERE state = 0 AND next_try_s > ?1")      \
	X(living_segments, "SELECT segment, size FROM messages INDEXED BY messages_living"         \
			   " WHERE settled_s IS NULL")                                             \
	X(due_domains,                                                                             \
	    "SELECT domain, min(next_try_s), count(*) FROM recipients INDEXED BY recipients_due"   \
	    " WHERE state = 0 GROUP BY domain")                                                    \
	X(due_messages,                                                                            \
	    "SELECT message, next_try_s FROM recipients INDEXED BY recipients_due"                 \
	    " WHERE state = 0 AND domain = ? AND next_try_s <= ? ORDER BY next_try_s, message")    \
	X(next_of_domain, "SELECT min(next_try_s) FROM recipients INDEXED BY recipients_due"       \
			  " WHERE state = 0 AND domain = ? AND next_try_s > ?")                    \
	X(read_message,                                                                            \
	    "SELECT id, segment, header_offset, header_length, header_checksum, body_offset,"      \
	    " body_length, body_checksum, sender, account, from_domain, message_id, arrived_s,"    \
	    " expires_s, is_8bit, is_bulk FROM messages WHERE number = ?")                         \
	X(read_job,                                                                                \
	    "SELECT place, address, n_attempts, next_try_s FROM recipients"                        \
	    " WHERE message = ? AND domain = ? AND state = 0 AND next_try_s <= ? ORDER BY place")  \
	X(list_by_id, STORE_LIST STORE_LIST_JOIN "WHERE m.id = ?1" STORE_LIST_TAIL)                \
	X(list_by_address, STORE_LIST STORE_LIST_JOIN                                              \
	    "WHERE m.number IN (SELECT * FROM (SELECT message FROM recipients"                     \
	    " WHERE address = ?1 AND message >= ?2 AND (?4 OR state IN (0, 3))"                    \
	    " ORDER BY message LIMIT 1000) UNION SELECT * FROM (SELECT number FROM messages"       \
	    " WHERE sender = ?1 AND number >= ?2 AND (?4 OR settled_s IS NULL)"                    \
	    " ORDER BY number LIMIT 1000))"                                                        \
	    " AND (r.address = ?1 OR m.sender = ?1)" STORE_LIST_TAIL)                              \
	X(list_living, STORE_LIST "INDEXED BY messages_living " STORE_LIST_JOIN                    \
				  "WHERE m.settled_s IS NULL AND ?1 IS NULL" STORE_LIST_TAIL)      \
	X(list_all, STORE_LIST STORE_LIST_JOIN "WHERE ?1 IS NULL" STORE_LIST_TAIL)

/* What list_* share: ?1 id or address, ?2 and ?3 the last row seen, ?4 settled too, ?5 how many. */
#define STORE_LIST                                                                                 \
	"SELECT m.number, r.place, m.id, m.sender, m.account, r.address, m.message_id, r.state,"   \
	" r.n_attempts, m.arrived_s, r.next_try_s, m.expires_s, m.size, r.code, r.enhanced,"       \
	" r.text, r.who, r.reason, r.host, r.evidence, r.tried_s FROM messages AS m "
#define STORE_LIST_JOIN "JOIN recipients AS r ON r.message = m.number "
#define STORE_LIST_TAIL                                                                            \
	" AND m.number >= ?2 AND (m.number > ?2 OR r.place > ?3) AND (?4 OR r.state IN (0, 3))"    \
	" ORDER BY m.number, r.place LIMIT ?5"

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

/* types: a letter an argument, i (int64_t) or t (text, NULL as SQL's) */
sqlite3_stmt *store_bind(struct store *store, enum store_statement name, const char *types, ...);

/* 1 a row, 0 done, -1 failed; resets the statement unless it is a row. */
int store_step(sqlite3_stmt *statement);

/* Runs it to its end; -1 if it failed. */
int store_run(sqlite3_stmt *statement);

/* A copy of a text column, "" for NULL. */
char *store_text(sqlite3_stmt *statement, int column);

struct store_change *store_add_change(struct store *store);
