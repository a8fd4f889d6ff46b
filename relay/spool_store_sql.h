/*
 * The statements of the spool's database, once. The tables they work on are made in
 * spool_store_format.c. Private to the spool.
 */
#pragma once

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
	    " message_id, arrived_s, expires_s, is_8bit, is_bulk, requires_tls, tls_optional,"     \
	    " is_report, tls_floor, n_living)"                                                     \
	    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")          \
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
	X(keep_policy, "INSERT OR REPLACE INTO sts_policies VALUES (?, ?, ?, ?, ?)")               \
	X(forget_policy, "DELETE FROM sts_policies WHERE domain = ?")                              \
	X(find_policy, "SELECT domain, id, policy, fetched_s, expires_s FROM sts_policies"         \
		       " WHERE domain = ? AND expires_s > ?")                                      \
	X(read_policies, "SELECT domain, id, policy, fetched_s, expires_s FROM sts_policies"       \
			 " WHERE domain > ? ORDER BY domain LIMIT ?")                              \
	X(forget_surplus, "DELETE FROM sts_policies WHERE domain IN (SELECT domain"                \
			  " FROM sts_policies INDEXED BY sts_policies_expiry"                      \
			  " ORDER BY expires_s DESC LIMIT -1 OFFSET ?)")                           \
	X(tls_count_reports, "SELECT count(*) FROM tls_reports")                                   \
	X(tls_find_open, "SELECT number FROM tls_reports INDEXED BY tls_reports_domain"            \
			 " WHERE domain = ?1 AND end_s > ?2 AND start_s <= ?2"                     \
			 " AND is_done = 0 AND first_try_s = 0")                                   \
	X(tls_last_end, "SELECT max(end_s) FROM tls_reports INDEXED BY tls_reports_domain"         \
			" WHERE domain = ? AND end_s > ? AND end_s <= ?")                          \
	X(tls_add_report, "INSERT INTO tls_reports (domain, start_s, end_s, next_try_s)"           \
			  " VALUES (?1, ?2, ?3, ?3 + 1 + abs(random() % ?4))")                     \
	X(tls_find_policy, "SELECT number FROM tls_policies WHERE report = ? AND type = ?"         \
			   " AND domain = ? AND strings = ? AND patterns = ?")                     \
	X(tls_count_policies, "SELECT count(*) FROM tls_policies WHERE report = ?")                \
	X(tls_add_policy, "INSERT INTO tls_policies (report, type, domain, strings, patterns)"     \
			  " VALUES (?, ?, ?, ?, ?)")                                               \
	X(tls_count_sessions, "UPDATE tls_policies SET n_successes = n_successes + ?,"             \
			      " n_failures = n_failures + ? WHERE number = ?")                     \
	X(tls_count_failure, "UPDATE tls_failures SET n = n + 1 WHERE policy = ? AND result = ?"   \
			     " AND mx = ? AND address = ? AND sender = ? AND reason = ?"           \
			     " RETURNING n")                                                       \
	X(tls_count_details, "SELECT count(*) FROM tls_failures WHERE policy = ?")                 \
	X(tls_add_failure, "INSERT INTO tls_failures VALUES (?, ?, ?, ?, ?, ?, 1)")                \
	X(tls_find_due,                                                                            \
	    "SELECT number, domain, start_s, end_s, first_try_s, n_tries, uris FROM tls_reports"   \
	    " INDEXED BY tls_reports_due WHERE is_done = 0 AND next_try_s <= ?"                    \
	    " ORDER BY next_try_s LIMIT ?")                                                        \
	X(tls_find_report,                                                                         \
	    "SELECT number, domain, start_s, end_s, first_try_s, n_tries, uris FROM tls_reports"   \
	    " WHERE number = ? AND is_done = 0")                                                   \
	X(tls_next_report,                                                                         \
	    "SELECT number, domain, start_s, end_s, first_try_s, n_tries, uris FROM tls_reports"   \
	    " WHERE number > ?1 AND is_done = 0 AND (?2 IS NULL OR domain = ?2)"                   \
	    " ORDER BY number LIMIT 1")                                                            \
	X(tls_read_policies, "SELECT number, type, domain, strings, patterns, n_successes,"        \
			     " n_failures FROM tls_policies WHERE report = ? ORDER BY number")     \
	X(tls_read_failures, "SELECT result, mx, address, sender, reason, n FROM tls_failures"     \
			     " WHERE policy = ?")                                                  \
	X(tls_close, "UPDATE tls_reports SET end_s = max(start_s + 1, min(end_s, ?1)),"            \
		     " next_try_s = ?1 WHERE is_done = 0 AND first_try_s = 0"                      \
		     " AND (?2 IS NULL OR domain = ?2) RETURNING 1")                               \
	X(tls_move, "UPDATE tls_reports SET uris = ?, next_try_s = ?, first_try_s = ?,"            \
		    " n_tries = ? WHERE number = ? AND is_done = 0")                               \
	X(tls_end, "UPDATE tls_reports SET is_done = 1, uris = '' WHERE number = ?")               \
	X(tls_forget_failures, "DELETE FROM tls_failures WHERE policy IN"                          \
			       " (SELECT number FROM tls_policies WHERE report = ?)")              \
	X(tls_forget_policies, "DELETE FROM tls_policies WHERE report = ?")                        \
	X(tls_forget_report, "DELETE FROM tls_reports WHERE number = ?")                           \
	X(tls_find_old, "SELECT number FROM tls_reports WHERE end_s <= ?1"                         \
			" OR (is_done = 1 AND end_s <= ?2) OR start_s > ?3 LIMIT 1")               \
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
	    " expires_s, is_8bit, is_bulk, requires_tls, tls_optional, is_report, tls_floor"       \
	    " FROM messages WHERE number = ?")                                                     \
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
