/*
 * The files that hold the bytes of messages: made, opened, synced, unlinked. A table remembers for
 * each whether somebody may still append, how many living messages lie in it and whether a sync of
 * it ever failed (then it takes no more messages, D4). Knows nothing of the database. Private to
 * the spool; the table belongs to the writer's thread, the segment_file_ functions to any.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/map.h"
#include "relay/message.h"

/* A new file, open for append; the number was never used before. -1 with errno. */
int segment_file_create(int directory, uint64_t *number);

/* For reading. -1 with errno; EINVAL if what bears the name is no regular file. */
int segment_file_open(int directory, uint64_t number);

struct segments {
	int directory; /* borrowed */
	struct map map;
};

void segments_init(struct segments *s, int directory);
void segments_finish(struct segments *s);

/* Created by this process, with a descriptor that the table takes over. */
void segments_add(struct segments *s, uint64_t number, int fd);

/* Nobody appends any more to what this process created; tidies it. */
void segments_release(struct segments *s, uint64_t number, int64_t now_s);

/* Messages came to life in it, or died (negative). */
void segments_count_living(struct segments *s, uint64_t number, int change);

/*
 * Do the extents lie within the file? Opens a segment that was not heard of before: an intake may
 * have outlived the queue process that gave it. 0, or -1 with a refusal in why.
 */
int segments_check(struct segments *s, const struct message *message, struct outcome *why);

/*
 * Puts the file on stable storage, and its directory entry if that was not done yet. Once for all
 * calls of the same turn. 0, or -1 with a refusal; after a failure always -1.
 */
int segments_sync(struct segments *s, uint64_t number, uint64_t turn, struct outcome *why);

/*
 * A segment that nobody appends to is closed, and unlinked if nothing lives in it. Those of former
 * processes only once untouched for an hour: an intake that outlived the queue process may still be
 * appending to a younger one.
 */
enum { SEGMENT_ORPHAN_AGE_S = 3600 };
void segments_tidy(struct segments *s, uint64_t number, int64_t now_s);

/* Tidies all in which nothing lives. With list, also looks for such in the directory. */
void segments_sweep(struct segments *s, int64_t now_s, bool list);

/* Those the database names but the directory does not have. */
size_t segments_count_missing(const struct segments *s);
size_t segments_count(const struct segments *s);

/* 452 4.3.1 [disk-full] or 451 4.3.0 [disk-error] for an errno met while doing what. */
void segment_refuse(struct outcome *why, int error, const char *what);
