/*
 * The one place where mail rests. What was committed here survives a crash and a power cut; nothing
 * that was not is ever delivered. The files and the database are private to it, and the road never
 * sees SQL. Used by the queue role alone; all of it is asynchronous: one writer thread does the
 * syncing and the SQL, each operation has exactly one callback, from the loop, never from inside
 * the call.
 *
 * Layout of the directory: segments/NUMBER (16 hex digits), queue.db, lock.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "relay/message.h"

struct loop;
struct spool;

struct spool_settings {
	const char *directory;    /* exists, ours, mode 0700 */
	uint64_t segment_size;    /* a shared segment takes no new message past this; 64 MB */
	uint64_t free_space;      /* commits and segments are refused when less would be left */
	uint32_t queue_messages;  /* living messages; commits past it are refused */
	uint32_t longest_retry_s; /* no stored next try is believed to be further off (D9) */
};

/* NULL and a text with what to do in error if another daemon holds it or it can't be used. */
struct spool *spool_open(
    struct loop *loop, const struct spool_settings *settings, char *error, size_t room);

/* Stores what was asked until now, closes. No callback runs any more. */
void spool_close(struct spool **spool);

/* ---- taking mail in ---- */

/*
 * A new segment, open for append, for one intake (shared) or one large message. The caller sends
 * the descriptor on and closes it. -1 with an outcome (452 4.3.1, 451 4.3.0) if there can be none.
 */
int spool_segment_create(struct spool *spool, uint64_t *number, struct outcome *why);

/* An intake no longer appends to it: it may go once nothing living is in it. */
void spool_segment_release(struct spool *spool, uint64_t number);

/* Cheap, for MAIL: is there room for a message of this size (0: unknown)? */
bool spool_has_room(struct spool *spool, uint64_t size_bytes, struct outcome *why);

/* ok only when body, header and envelope are on stable storage, directory entry included. */
typedef void spool_committed(void *arg, const struct outcome *outcome);

/*
 * Idempotent: committing the same id with the same place again answers ok. Copies message. The
 * header and body are already written to the segment; the writer checks that the extents lie
 * within the file, syncs, inserts.
 */
void spool_commit(
    struct spool *spool, const struct message *message, spool_committed *done, void *arg);

/* ---- delivering ---- */

/* Recipients of one domain of one message that are due together. */
struct spool_job {
	struct message message; /* recipients: only those of this job */
	uint32_t *places;       /* of each of message.recipients in the whole message */
	char *domain;           /* of the recipients, canonical */
	uint32_t n_attempts;    /* of the most tried recipient */
	int64_t due_s;
};
void spool_job_finish(struct spool_job *job);

/* jobs are the callback's to take over (and spool_job_finish each), the array is not. */
typedef void spool_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s);

/*
 * Up to limit jobs due by now_s, at most per_domain of one domain, none of the domains named in
 * except, and none already handed out and not yet settled or given back. The domain with the oldest
 * due job comes first, and each that is due gets its share before one gets more; within a domain,
 * oldest first. Fewer than limit may come when they carry very many recipients. next_due_s: when
 * the next one outside except falls due (now or before, if limit or per_domain left some out),
 * INT64_MAX if never.
 */
void spool_find_due(struct spool *spool, int64_t now_s, size_t limit, size_t per_domain,
    const char *const *except, size_t n_except, spool_due *done, void *arg);

/*
 * The same, but only of domains for which mail was committed since they were last looked at, the
 * latest first: it need not wait behind all that is due already. next_due_s may be too early.
 */
void spool_find_news(struct spool *spool, int64_t now_s, size_t limit, size_t per_domain,
    const char *const *except, size_t n_except, spool_due *done, void *arg);

/*
 * A read-only descriptor of the segment of a message, for a delivery. -1 with errno: ENOENT if the
 * message was removed meanwhile, otherwise the message is to be set aside or given back.
 */
int spool_open_segment(struct spool *spool, uint64_t number);

/* CRC-32 of a run of bytes that continues one of checksum so_far; begin with 0. */
uint32_t spool_checksum(uint32_t so_far, const void *bytes, size_t n);

/*
 * Reads an extent piece by piece, and proves it meanwhile. Usable in any process that holds the
 * descriptor, which stays the caller's, as the extent does; leaves its offset alone.
 */
struct spool_reader {
	int fd;
	const struct extent *extent;
	uint64_t n_read;
	uint32_t checksum; /* of that */
};
void spool_reader_init(struct spool_reader *reader, int fd, const struct extent *extent);

/*
 * The next piece, at most room bytes of it: how many; 0 behind the last, if all were those committed.
 * -1 with errno EBADMSG if they were not or the file is short (to be set aside), or the errno of the
 * read.
 */
ssize_t spool_read(struct spool_reader *reader, void *bytes, size_t room);

/*
 * What an attempt brought, and when the deferred ones are due again. evidence is one line for
 * "why": host, TLS, who demanded. bounce, if not NULL, is a notification already written to a
 * segment; it is committed in the same transaction (D8). When the last recipient is settled, the
 * message goes. The job is no longer handed out.
 *
 * done says ok once all of it is on stable storage. A disk that is full or failing is waited for:
 * the job stays handed out and the settlement is stored when the disk allows it. Any other outcome
 * says that the bounce could not be taken in; then nothing was stored and the job is still handed
 * out: settle again with another bounce, or give it back. A message that was removed meanwhile is
 * ok, and its bounce is dropped. is_gone: it was the last recipient, and the message is no longer in
 * the queue.
 */
typedef void spool_settled(void *arg, const struct outcome *outcome, bool is_gone);

struct spool_settlement {
	const char *id;
	const struct recipient_result *results;
	size_t n_results;
	int64_t next_try_s; /* for those deferred */
	const char *host;   /* "mx.example[192.0.2.1]:25", or "" if none was reached */
	const char *evidence;
	const struct message *bounce;
};
void spool_settle(
    struct spool *spool, const struct spool_settlement *settlement, spool_settled *done, void *arg);

/* A job that was not tried after all (no delivery free, delivery died): due again at when_s. Does
 * not count as an attempt. */
void spool_give_back(struct spool *spool, const char *id, const char *domain, int64_t when_s);

/* The message cannot be read: no more attempts, kept for the operator, logged (D10). */
void spool_set_aside(struct spool *spool, const char *id, const char *reason);

/* ---- the administrator ---- */

struct spool_entry {
	char id[QUEUE_ID_MAX];
	const char *sender, *account, *recipient, *message_id;
	const char *state; /* "waiting", "delivered", "failed", "set aside", "removed" */
	uint32_t n_attempts;
	int64_t arrived_s, next_try_s, expires_s;
	uint64_t size_bytes;
	const char *reply;  /* of the last attempt: "450 4.7.1 ..." with who said it; "" if none */
	const char *reason; /* its stable name; "" if none */
	bool is_out;        /* waiting, and handed out: being tried, or about to be */
	const char *host, *evidence;
	int64_t tried_s; /* when; 0 if never */
};

/* entry NULL: that was all. Runs from the loop, one call an entry; its texts live until then. */
typedef void spool_listed(void *arg, const struct spool_entry *entry);

/*
 * By id, by address (of a recipient or the sender), or everything if both are NULL, oldest first,
 * at most limit. Settled recipients are remembered for a day, for "why".
 */
void spool_list(struct spool *spool, const char *id, const char *address, bool with_settled,
    size_t limit, spool_listed *entry, void *arg);

/* n: how many recipients it applied to. */
typedef void spool_changed(void *arg, size_t n);

/*
 * Waiting recipients of one message, of an address, of a domain ("@example.org"), or (NULL) all:
 * due now. By its id, a message that was set aside waits again.
 */
void spool_retry(struct spool *spool, const char *what, spool_changed *done, void *arg);

/* Removes a message without a notification. */
void spool_remove(struct spool *spool, const char *id, spool_changed *done, void *arg);

struct spool_counts {
	uint64_t messages, recipients_waiting, bytes, segments;
	uint64_t free_bytes;
};
typedef void spool_counted(void *arg, const struct spool_counts *counts);
void spool_count(struct spool *spool, spool_counted *done, void *arg);
