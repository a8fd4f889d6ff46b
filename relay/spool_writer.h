/*
 * The one thread of the program besides main: it does all that may wait for the disk. Each turn
 * takes what was asked meanwhile, syncs the segments involved, stores everything in one transaction
 * and then answers everything, so that many messages share each sync (D12). Private to the spool.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "relay/spool_request.h"
#include "relay/spool_store.h"

struct spool_writer {
	/* shared, under the lock */
	pthread_mutex_t lock;
	pthread_cond_t asked_more;
	struct spool_requests asked;
	struct spool_requests answered;
	uint64_t n_messages;
	int64_t asked_s; /* when the last request was made */
	bool is_ending;

	/* fixed */
	pthread_t thread;
	int answer_fd; /* an eventfd: readable when there are answers */
	int directory; /* borrowed: where free space is measured */
	uint64_t free_space;

	/* the thread's own */
	struct store *store;
	struct segments *segments;
	struct spool_requests more;    /* done in part */
	struct spool_requests waiting; /* to be stored when the disk allows it */
	uint64_t turn;
	int64_t now_s;   /* asked_s when the turn began */
	bool is_failing; /* the last transaction failed; logged once */
};

/*
 * Starts the thread; store and segments are its from now on. 0, or -1 with errno. The caller set
 * the fixed and the thread's own members.
 */
int spool_writer_start(struct spool_writer *writer);

/* The request is the writer's until it comes back. */
void spool_writer_ask(struct spool_writer *writer, struct spool_request *request);

/* Moves the answers to the end of the list. */
void spool_writer_take_answers(struct spool_writer *writer, struct spool_requests *answers);

/* Living messages after the last turn. */
uint64_t spool_writer_n_messages(struct spool_writer *writer);

/* Does what was asked until now, ends the thread, frees what is left. */
void spool_writer_stop(struct spool_writer *writer);

/* Bytes that may still be written, 0 if that can't be told; inodes count as well (Q5). */
uint64_t spool_free_bytes(int directory);
