/*
 * A spool in a directory of its own under /tmp, with every asynchronous call turned into one that
 * runs the loop until its callback has come. For tests of the spool and of what stands on it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/spool.h"

struct fixture {
	struct loop *loop;
	struct spool *spool;
	struct spool_settings settings;
	char directory[64];
	char error[512];
	uint64_t segment; /* one that is open for append */
	int segment_fd;
	uint64_t size; /* of it */
	bool is_gone;  /* what the last settlement said of its message */
};

/* The directory and an open spool with a segment. */
void fixture_init(struct fixture *f);

/* Closes and removes everything. */
void fixture_finish(struct fixture *f);

/* False and f->error if it can't be opened. */
bool fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);
void fixture_new_segment(struct fixture *f);

/* Appends a message's bytes to the segment and describes it; finish it. Recipients end in NULL. */
void fixture_write(
    struct fixture *f, struct message *m, const char *sender, const char *const *recipients);

/* Runs the loop until *done; fails the test after ten seconds. */
void fixture_run(struct fixture *f, const bool *done);

struct outcome fixture_commit(struct fixture *f, const struct message *m);

/* Writes and commits one, expects ok; id receives its name. */
void fixture_accept(
    struct fixture *f, const char *sender, const char *const *recipients, char id[QUEUE_ID_MAX]);

struct found {
	struct spool_job jobs[64];
	size_t n;
	int64_t next_due_s;
};
void fixture_find(struct fixture *f, struct found *found, int64_t now_s, size_t limit,
    size_t per_domain, const char *const *except);
void fixture_find_news(struct fixture *f, struct found *found, int64_t now_s, size_t limit,
    size_t per_domain, const char *const *except);
void found_finish(struct found *found);

/* Sets f->is_gone. */
struct outcome fixture_settle(struct fixture *f, const struct spool_settlement *settlement);

/* Settles all recipients of a job in one way. */
struct outcome fixture_settle_job(struct fixture *f, const struct spool_job *job,
    enum recipient_state state, int64_t next_try_s, const struct message *bounce);

/* Each row as "recipient state attempts reply|reason"; rows joined by newlines. */
const char *fixture_list(
    struct fixture *f, const char *id, const char *address, bool with_settled, size_t limit);

size_t fixture_retry(struct fixture *f, const char *what);
size_t fixture_remove(struct fixture *f, const char *id);
struct spool_counts fixture_count(struct fixture *f);

/* Segment files in the directory. */
size_t fixture_n_files(const struct fixture *f);
