/*
 * What passes between the loop's thread and the spool's writer: a request goes over with what is
 * asked, and the same comes back with the answer. It owns all it points to. Private to the spool.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "relay/base/log.h"
#include "relay/spool.h"

enum spool_kind {
	/* change the database: all of a turn in one transaction */
	SPOOL_COMMIT,
	SPOOL_SETTLE,
	SPOOL_GIVE_BACK,
	SPOOL_SET_ASIDE,
	SPOOL_RETRY,
	SPOOL_REMOVE,
	SPOOL_CHANGE_TASK, /* what it does is defined elsewhere: spool_task.h */
	SPOOL_HOUSEKEEP,   /* forget what was settled long ago, sweep segments */
	/* read it, after that transaction */
	SPOOL_FIND,
	SPOOL_LIST,
	SPOOL_COUNT,
	SPOOL_FIND_TASK,
	/* concern the files alone */
	SPOOL_SEGMENT_ADD,
	SPOOL_SEGMENT_RELEASE,
	/* come from the writer: a line for the log, which belongs to the loop's thread */
	SPOOL_LOG,
};

struct spool_request {
	STAILQ_ENTRY(spool_request) next;
	enum spool_kind kind;
	int64_t now_s;          /* when asked: the writer has no clock of its own */
	bool is_answered;       /* refused before it came to the database, or done with it */
	bool again;             /* only a part is done: goes on in the next turn */
	struct outcome outcome; /* of commit and settle */

	union {
		spool_committed *committed;
		spool_settled *settled;
		spool_due *due;
		spool_listed *listed;
		spool_changed *changed;
		spool_counted *counted;
	} done;
	void *arg;

	union {
		struct message commit;
		struct request_settle {
			char *id;
			struct recipient_result *results;
			size_t n_results;
			int64_t next_try_s;
			char *host, *evidence;
			struct message bounce;
			bool has_bounce;
			bool is_gone; /* answer: nothing of the message waits any more */
		} settle;
		struct request_give_back {
			char *id, *domain;
			int64_t when_s;
		} give_back;
		struct request_set_aside {
			char *id, *reason;
		} set_aside;
		struct request_change { /* retry and remove */
			char *what;     /* NULL: all */
			int64_t after;  /* the last message done */
			size_t n;
		} change;
		struct request_find {
			int64_t now_s; /* due by then */
			bool only_news;
			size_t limit, per_domain;
			char **except;
			size_t n_except;
			struct spool_job *jobs;
			size_t n_jobs;
			int64_t next_due_s;
		} find;
		struct request_list {
			char *id, *address;
			bool with_settled;
			size_t left;
			int64_t after_message; /* the last one listed */
			int64_t after_place;
			struct spool_entry *entries; /* their texts are owned */
			size_t n_entries;
		} list;
		struct spool_counts count;
		struct request_task {
			const struct task_calls *calls;
			void *work;
			struct message *message; /* that comes in with it; NULL: none */
			bool has_more;           /* answered in part: it runs again */
		} task;
		struct request_segment {
			uint64_t number;
			int fd; /* -1 once the table has it */
		} segment;
		struct request_log {
			enum log_level level;
			char *text;
		} log;
	};
};

STAILQ_HEAD(spool_requests, spool_request);

struct spool_request *spool_request_create(enum spool_kind kind, int64_t now_s, void *arg);
void spool_request_destroy(struct spool_request *request);
void spool_requests_clear(struct spool_requests *requests);

/* Frees the rows of a list, for the next part. */
void spool_request_clear_entries(struct request_list *list);
