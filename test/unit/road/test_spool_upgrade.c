/*
 * A queue that an earlier version wrote, opened by this one: made with the tables that version had,
 * row by row, so that nothing of today's code has a part in it.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/mem.h"
#include "spool_fixture.h"
#include "whole.h"

#define TO(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

enum { N_OLD = 2000 };

static const char FORMAT_1[] =
    "PRAGMA journal_mode = WAL;"
    "BEGIN;"
    "CREATE TABLE messages (number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE,"
    " segment INTEGER NOT NULL, header_offset INTEGER NOT NULL, header_length INTEGER NOT NULL,"
    " header_checksum INTEGER NOT NULL, body_offset INTEGER NOT NULL,"
    " body_length INTEGER NOT NULL, body_checksum INTEGER NOT NULL, size INTEGER NOT NULL,"
    " sender TEXT NOT NULL COLLATE NOCASE, account TEXT NOT NULL, from_domain TEXT NOT NULL,"
    " message_id TEXT NOT NULL, arrived_s INTEGER NOT NULL, expires_s INTEGER NOT NULL,"
    " is_8bit INTEGER NOT NULL, is_bulk INTEGER NOT NULL, n_living INTEGER NOT NULL,"
    " settled_s INTEGER);"
    "CREATE TABLE recipients (message INTEGER NOT NULL, place INTEGER NOT NULL,"
    " address TEXT NOT NULL COLLATE NOCASE, domain TEXT NOT NULL,"
    " state INTEGER NOT NULL DEFAULT 0, n_attempts INTEGER NOT NULL DEFAULT 0,"
    " next_try_s INTEGER NOT NULL, tried_s INTEGER NOT NULL DEFAULT 0,"
    " code INTEGER NOT NULL DEFAULT 0, enhanced TEXT NOT NULL DEFAULT '',"
    " text TEXT NOT NULL DEFAULT '', who TEXT NOT NULL DEFAULT '',"
    " reason TEXT NOT NULL DEFAULT '', host TEXT NOT NULL DEFAULT '',"
    " evidence TEXT NOT NULL DEFAULT '', PRIMARY KEY (message, place)) WITHOUT ROWID;"
    "CREATE INDEX messages_sender ON messages (sender);"
    "CREATE INDEX messages_living ON messages (number, segment, size) WHERE settled_s IS NULL;"
    "CREATE INDEX messages_settled ON messages (settled_s) WHERE settled_s IS NOT NULL;"
    "CREATE INDEX recipients_address ON recipients (address);"
    "CREATE INDEX recipients_due ON recipients (domain, next_try_s) WHERE state = 0;"
    "PRAGMA application_id = 0x5a65676c;"
    "PRAGMA user_version = 1;"
    "COMMIT;";

/* Every value of every row, in order. */
static const char CONTENT[] =
    "SELECT group_concat(t, '\n') FROM (SELECT number||'|'||id||'|'||segment||'|'||header_offset"
    "||'|'||header_length||'|'||header_checksum||'|'||body_offset||'|'||body_length||'|'"
    "||body_checksum||'|'||size||'|'||sender||'|'||account||'|'||from_domain||'|'||message_id"
    "||'|'||arrived_s||'|'||expires_s||'|'||is_8bit||'|'||is_bulk||'|'||n_living||'|'"
    "||coalesce(settled_s, '-') AS t FROM messages UNION ALL SELECT message||'|'||place||'|'"
    "||address||'|'||domain||'|'||state||'|'||n_attempts||'|'||next_try_s||'|'||tried_s||'|'"
    "||code||'|'||enhanced||'|'||text||'|'||who||'|'||reason||'|'||host||'|'||evidence"
    " FROM recipients)";

static const char TABLES[] =
    "SELECT group_concat(m.name||'.'||c.name||' '||c.type||' '||c.[notnull]||' '||c.pk, '\n')"
    " FROM (SELECT * FROM sqlite_schema ORDER BY name) AS m, pragma_table_info(m.name) AS c";

static int set_up(void **state)
{
	struct fixture *f = mem_create(sizeof *f);

	fixture_init(f);
	f->settings.queue_messages = N_OLD;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fixture_finish(f);
	free(f);
	return 0;
}

static sqlite3 *open_database(const struct fixture *f)
{
	char *path = mem_print("%s/queue.db", f->directory);
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	free(path);
	return db;
}

static void run(sqlite3 *db, const char *sql)
{
	char *error = NULL;

	if (sqlite3_exec(db, sql, NULL, NULL, &error) != SQLITE_OK)
		fail_msg("%s", error);
}

static char *ask(const struct fixture *f, const char *sql)
{
	sqlite3 *db = open_database(f);
	sqlite3_stmt *row;
	char *text;

	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &row, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(row), SQLITE_ROW);
	text = mem_copy_text((const char *)sqlite3_column_text(row, 0));
	sqlite3_finalize(row);
	sqlite3_close(db);
	return text;
}

/* Of its three recipients: the first waits, the second is in state, the third has a long past. */
static void insert(sqlite3 *db, const struct message *m, int state)
{
	char *sql = sqlite3_mprintf(
	    "INSERT INTO messages (id, segment, header_offset, header_length, header_checksum,"
	    " body_offset, body_length, body_checksum, size, sender, account, from_domain,"
	    " message_id, arrived_s, expires_s, is_8bit, is_bulk, n_living)"
	    " VALUES (%Q, %lld, %llu, %llu, %lu, %llu, %llu, %lu, %llu, %Q, %Q, %Q, %Q, %lld, %lld,"
	    " %d, %d, 3);"
	    "INSERT INTO recipients (message, place, address, domain, state, next_try_s)"
	    " SELECT max(number), 0, %Q, 'one.test', 0, 5 FROM messages;"
	    "INSERT INTO recipients (message, place, address, domain, state, next_try_s)"
	    " SELECT max(number), 1, %Q, 'two.test', %d, 6 FROM messages;"
	    "INSERT INTO recipients SELECT max(number), 2, %Q, 'three.test', 0, 9, 7, 8, 450, '4.2.0',"
	    " 'Try later', 'mx.three.test', 'why', 'mx.three.test[192.0.2.1]:25', 'TLSv1.3'"
	    " FROM messages;"
	    "UPDATE messages SET n_living = (SELECT count(*) FROM recipients WHERE message = number"
	    " AND state IN (0, 3)) WHERE number = (SELECT max(number) FROM messages);",
	    m->id, (long long)m->segment, m->header.offset, m->header.length,
	    (unsigned long)m->header.checksum, m->body.offset, m->body.length,
	    (unsigned long)m->body.checksum, m->header.length + m->body.length, m->sender,
	    m->account, m->from_domain, m->message_id, (long long)m->arrived_s,
	    (long long)m->expires_s, (int)m->is_8bit, (int)m->is_bulk, m->recipients[0],
	    m->recipients[1], state, m->recipients[2]);

	run(db, sql);
	sqlite3_free(sql);
}

/* The messages' bytes are in a segment; queue.db is as an earlier version left it. */
static void make_old_queue(struct fixture *f)
{
	struct message *messages = mem_create(N_OLD * sizeof *messages);
	char *name = mem_print("%s/queue.db", f->directory);
	sqlite3 *db;

	for (size_t i = 0; i < N_OLD; i++) {
		fixture_write(f, &messages[i], "shop@example.org",
		    TO("a@one.test", "b@two.test", "c@three.test"));
		messages[i].is_8bit = i % 2;
		messages[i].is_bulk = i % 3 == 0;
	}
	fixture_close(f);
	assert_int_equal(unlink(name), 0);
	db = open_database(f);
	run(db, FORMAT_1);
	run(db, "BEGIN");
	for (size_t i = 0; i < N_OLD; i++) {
		insert(db, &messages[i], (int)(i % 5));
		message_finish(&messages[i]);
	}
	run(db, "COMMIT");
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
	free(messages);
	free(name);
}

static void Q17_a_full_queue_of_format_1_loses_nothing(void **state)
{
	struct fixture *f = *state;
	char *before, *after, *tables, *tables_of_new;
	struct spool_counts counts;
	struct outcome why;
	struct found found;

	fixture_close(f);
	tables_of_new = ask(f, TABLES);
	assert_true(fixture_open(f));
	fixture_new_segment(f);
	make_old_queue(f);
	before = ask(f, CONTENT);
	if (!fixture_open(f))
		fail_msg("%s", f->error);
	counts = fixture_count(f);
	assert_int_equal(counts.messages, N_OLD);
	/* Two of each message, and every fifth second one. */
	assert_int_equal(counts.recipients_waiting, 2 * N_OLD + N_OLD / 5);

	fixture_find(f, &found, 100, 10, 10, TO("one.test", "two.test"));
	assert_int_equal(found.n, 10);
	for (size_t i = 0; i < found.n; i++) {
		const struct message *m = &found.jobs[i].message;
		int fd = spool_open_segment(f->spool, m->segment);

		assert_string_equal(m->recipients[0], "c@three.test");
		assert_int_equal(found.jobs[i].n_attempts, 9);
		assert_int_equal(extent_check(fd, &m->header), 0);
		assert_int_equal(extent_check(fd, &m->body), 0);
		assert_false(m->requires_tls || m->tls_optional || m->is_report);
		assert_int_equal(m->tls_floor, TLS_NONE);
		close(fd);
	}
	found_finish(&found);

	assert_false(spool_has_room(f->spool, 0, &why)); /* it was full, and still is */
	assert_string_equal(why.name, "queue-full");
	fixture_close(f);

	after = ask(f, CONTENT);
	assert_string_equal(before, after);
	tables = ask(f, TABLES);
	assert_string_equal(tables, tables_of_new);
	assert_true(fixture_open(f));
	free(before);
	free(after);
	free(tables);
	free(tables_of_new);
}

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void Q17_an_upgrade_without_room_leaves_the_old_format(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit;
	char *before, *after, *format;

	make_old_queue(f);
	before = ask(f, CONTENT);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	for (rlim_t room = 0; room <= 16384; room += 2048) {
		bool is_open;

		limit_file_size(room);
		is_open = fixture_open(f);
		limit_file_size(limit.rlim_cur);
		assert_false(is_open);
		format = ask(f, "PRAGMA user_version");
		assert_string_equal(format, "1");
		free(format);
	}
	assert_non_null(strstr(f->error, "[queue-upgrade]"));
	after = ask(f, CONTENT);
	assert_string_equal(before, after);
	assert_true(fixture_open(f));
	assert_int_equal(fixture_count(f).messages, N_OLD);
	free(before);
	free(after);
}

static void what_is_demanded_of_tls_is_kept(void **state)
{
	static const struct {
		bool requires_tls, tls_optional, is_report;
		enum tls_level floor;
	} CASES[] = { { true, false, false, TLS_NONE }, { false, true, false, TLS_ENCRYPT },
		{ false, true, true, TLS_DANE_ONLY } };
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct outcome outcome;
		struct message m;
		struct found found;

		fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
		m.requires_tls = CASES[i].requires_tls;
		m.tls_optional = CASES[i].tls_optional;
		m.is_report = CASES[i].is_report;
		m.tls_floor = CASES[i].floor;
		outcome = fixture_commit(f, &m);
		assert_true(outcome_is_ok(&outcome));
		fixture_close(f);
		assert_true(fixture_open(f));
		fixture_new_segment(f);
		fixture_find(f, &found, m.arrived_s + 10, 10, 10, NULL);
		assert_int_equal(found.n, 1);
		assert_int_equal(found.jobs[0].message.requires_tls, CASES[i].requires_tls);
		assert_int_equal(found.jobs[0].message.tls_optional, CASES[i].tls_optional);
		assert_int_equal(found.jobs[0].message.is_report, CASES[i].is_report);
		assert_int_equal(found.jobs[0].message.tls_floor, CASES[i].floor);
		found_finish(&found);
		assert_int_equal(fixture_remove(f, m.id), 1);
		message_finish(&m);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(Q17_a_full_queue_of_format_1_loses_nothing),
		CASE(Q17_an_upgrade_without_room_leaves_the_old_format),
		CASE(what_is_demanded_of_tls_is_kept),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("spool upgrade", tests, NULL, NULL);
}
