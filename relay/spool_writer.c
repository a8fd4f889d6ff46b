#include "relay/spool_writer.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/spool_task.h"

enum { RETRY_WAIT_S = 1, BACKWARDS_S = 60, LEAST_INODES = 64 };

static void *run(void *arg);
static bool collect(struct spool_writer *writer, struct spool_requests *turn);
static void wait_for_more(struct spool_writer *writer);
static void follow_clock(struct spool_writer *writer);
static void take_segments(struct spool_writer *writer, struct spool_requests *turn);
static void measure_room(struct spool_writer *writer);
static void sync_segments(struct spool_writer *writer, struct spool_requests *turn);
static struct message *message_of(struct spool_request *request);
static void store_changes(struct spool_writer *writer, struct spool_requests *turn);
static bool changes_store(const struct spool_request *request);
static void fail_changes(
    struct spool_writer *writer, struct spool_requests *turn, const struct outcome *why);
static bool outlives_failure(const struct spool_request *request);
static void answer_questions(struct spool_writer *writer, struct spool_requests *turn);
static void count(struct spool_writer *writer, struct spool_counts *counts);
static void hand_back(struct spool_writer *writer, struct spool_requests *turn);
static void say(struct spool_writer *writer, enum log_level level, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

int spool_writer_start(struct spool_writer *writer)
{
	pthread_condattr_t monotonic;
	sigset_t all, old;
	int error;

	STAILQ_INIT(&writer->asked);
	STAILQ_INIT(&writer->answered);
	STAILQ_INIT(&writer->more);
	STAILQ_INIT(&writer->waiting);
	writer->n_messages = writer->store->n_messages;
	writer->asked_s = writer->store->latest_s;
	writer->answer_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (writer->answer_fd == -1)
		return -1;
	pthread_mutex_init(&writer->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&writer->asked_more, &monotonic);
	pthread_condattr_destroy(&monotonic);
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	error = pthread_create(&writer->thread, NULL, run, writer);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (error == 0)
		return 0;
	close(writer->answer_fd);
	errno = error;
	return -1;
}

void spool_writer_ask(struct spool_writer *writer, struct spool_request *request)
{
	pthread_mutex_lock(&writer->lock);
	STAILQ_INSERT_TAIL(&writer->asked, request, next);
	writer->asked_s = request->now_s;
	pthread_cond_signal(&writer->asked_more);
	pthread_mutex_unlock(&writer->lock);
}

void spool_writer_take_answers(struct spool_writer *writer, struct spool_requests *answers)
{
	uint64_t n;

	while (read(writer->answer_fd, &n, sizeof n) == -1 && errno == EINTR)
		;
	pthread_mutex_lock(&writer->lock);
	STAILQ_CONCAT(answers, &writer->answered);
	pthread_mutex_unlock(&writer->lock);
}

uint64_t spool_writer_n_messages(struct spool_writer *writer)
{
	uint64_t n;

	pthread_mutex_lock(&writer->lock);
	n = writer->n_messages;
	pthread_mutex_unlock(&writer->lock);
	return n;
}

void spool_writer_stop(struct spool_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->is_ending = true;
	pthread_cond_signal(&writer->asked_more);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	spool_requests_clear(&writer->answered);
	spool_requests_clear(&writer->more);
	spool_requests_clear(&writer->waiting);
	pthread_cond_destroy(&writer->asked_more);
	pthread_mutex_destroy(&writer->lock);
	close(writer->answer_fd);
}

static void *run(void *arg)
{
	struct spool_writer *writer = arg;
	struct spool_requests turn = STAILQ_HEAD_INITIALIZER(turn);

	while (collect(writer, &turn)) {
		writer->turn++;
		follow_clock(writer);
		take_segments(writer, &turn);
		measure_room(writer);
		sync_segments(writer, &turn);
		store_changes(writer, &turn);
		answer_questions(writer, &turn);
		hand_back(writer, &turn);
	}
	return NULL;
}

/* False when we are to end and everything asked before was done. */
static bool collect(struct spool_writer *writer, struct spool_requests *turn)
{
	bool goes_on;

	pthread_mutex_lock(&writer->lock);
	if (STAILQ_EMPTY(&writer->asked) && STAILQ_EMPTY(&writer->more) && !writer->is_ending)
		wait_for_more(writer);
	goes_on = !writer->is_ending || !STAILQ_EMPTY(&writer->asked);
	STAILQ_CONCAT(turn, &writer->waiting);
	STAILQ_CONCAT(turn, &writer->asked);
	STAILQ_CONCAT(turn, &writer->more);
	writer->now_s = writer->asked_s;
	pthread_mutex_unlock(&writer->lock);
	if (!goes_on)
		spool_requests_clear(turn);
	return goes_on;
}

/* While something waits for the disk it is tried again every second. */
static void wait_for_more(struct spool_writer *writer)
{
	struct timespec until;

	clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += RETRY_WAIT_S;
	while (STAILQ_EMPTY(&writer->asked) && !writer->is_ending) {
		if (STAILQ_EMPTY(&writer->waiting))
			pthread_cond_wait(&writer->asked_more, &writer->lock);
		else if (pthread_cond_timedwait(&writer->asked_more, &writer->lock, &until) != 0)
			break;
	}
}

/* The wall clock is the one thing that may step back while we run (D9, Q14). */
static void follow_clock(struct spool_writer *writer)
{
	struct store *store = writer->store;

	if (writer->now_s < store->latest_s - BACKWARDS_S) {
		say(writer, LOG_LEVEL_WARNING,
		    "the clock went back by %lld s: waits in the queue are cut [clock-back]",
		    (long long)(store->latest_s - writer->now_s));
		store_clamp(store, writer->now_s);
	} else if (writer->now_s > store->latest_s) {
		store->latest_s = writer->now_s;
	}
}

/* New ones come first: a commit of the same turn may name them. */
static void take_segments(struct spool_writer *writer, struct spool_requests *turn)
{
	struct spool_request *request;

	STAILQ_FOREACH(request, turn, next)
	{
		if (request->kind != SPOOL_SEGMENT_ADD)
			continue;
		segments_add(writer->segments, request->segment.number, request->segment.fd);
		request->segment.fd = -1;
		request->is_answered = true;
	}
}

static void measure_room(struct spool_writer *writer)
{
	struct outcome *full = &writer->store->full;

	if (spool_free_bytes(writer->directory) >= writer->free_space)
		outcome_ok(full);
	else
		outcome_say(full, 452, "4.3.1", "disk-full",
		    "Too little space is left on the queue's disk; try again later");
}

static void sync_segments(struct spool_writer *writer, struct spool_requests *turn)
{
	struct spool_request *request;

	STAILQ_FOREACH(request, turn, next)
	{
		const struct message *message = message_of(request);
		struct outcome *why = &request->outcome;

		if (message == NULL || request->is_answered)
			continue;
		if (segments_check(writer->segments, message, why) == 0 &&
		    segments_sync(writer->segments, message->segment, writer->turn, why) == 0)
			continue;
		request->is_answered = true;
		say(writer, LOG_LEVEL_ERROR, "%s: not taken into the queue: %s [%s]", message->id,
		    why->text, why->name);
	}
}

/* The message that a request brings, if any. */
static struct message *message_of(struct spool_request *request)
{
	if (request->kind == SPOOL_COMMIT)
		return &request->commit;
	if (request->kind == SPOOL_SETTLE && request->settle.has_bounce)
		return &request->settle.bounce;
	if (request->kind == SPOOL_CHANGE_TASK)
		return request->task.message;
	return NULL;
}

/* One transaction for all; its COMMIT is the second and last sync of the turn. */
static void store_changes(struct spool_writer *writer, struct spool_requests *turn)
{
	struct store *store = writer->store;
	struct spool_request *request;
	struct outcome why;
	int rc;

	STAILQ_FOREACH(request, turn, next)
	{
		if (changes_store(request))
			break;
	}
	if (request == NULL)
		return;
	rc = store_begin(store);
	for (; rc == 0 && request != NULL; request = STAILQ_NEXT(request, next)) {
		if (changes_store(request))
			rc = store_change(store, request);
	}
	if (rc == 0)
		rc = store_end(store);
	if (rc == -1) {
		store_refuse(store, &why);
		store_undo(store);
		fail_changes(writer, turn, &why);
	} else if (writer->is_failing) {
		say(writer, LOG_LEVEL_WARNING, "the queue's database can be written again");
	}
	writer->is_failing = rc == -1;
}

static bool changes_store(const struct spool_request *request)
{
	return request->kind <= SPOOL_HOUSEKEEP && !request->is_answered;
}

/* What came of deliveries is kept until it can be stored; new mail is refused (D5, D7). */
static void fail_changes(
    struct spool_writer *writer, struct spool_requests *turn, const struct outcome *why)
{
	struct spool_requests rest = STAILQ_HEAD_INITIALIZER(rest);
	struct spool_request *request;

	if (!writer->is_failing)
		say(writer, LOG_LEVEL_ERROR,
		    "the queue's database cannot be written, no mail is taken until it can: %s "
		    "[%s]",
		    why->text, why->name);
	while ((request = STAILQ_FIRST(turn)) != NULL) {
		STAILQ_REMOVE_HEAD(turn, next);
		if (request->kind > SPOOL_HOUSEKEEP || !outcome_is_ok(&request->outcome)) {
			STAILQ_INSERT_TAIL(&rest, request, next);
			continue;
		}
		request->again = false;
		request->is_answered = true;
		if (outlives_failure(request)) {
			request->is_answered = false;
			STAILQ_INSERT_TAIL(&writer->waiting, request, next);
			continue;
		}
		if (request->kind == SPOOL_COMMIT)
			request->outcome = *why;
		STAILQ_INSERT_TAIL(&rest, request, next);
	}
	STAILQ_CONCAT(turn, &rest);
}

static bool outlives_failure(const struct spool_request *request)
{
	return request->kind == SPOOL_SETTLE || request->kind == SPOOL_GIVE_BACK ||
	       request->kind == SPOOL_SET_ASIDE || request->kind == SPOOL_CHANGE_TASK;
}

static void answer_questions(struct spool_writer *writer, struct spool_requests *turn)
{
	struct spool_request *request;
	struct outcome why;
	int rc = 0;

	STAILQ_FOREACH(request, turn, next)
	{
		if (request->kind == SPOOL_FIND) {
			rc = store_find(writer->store, request);
			if (rc == -1) /* asked again soon, not at once */
				request->find.next_due_s = request->now_s + 10;
		} else if (request->kind == SPOOL_LIST) {
			rc = store_list(writer->store, request);
		} else if (request->kind == SPOOL_FIND_TASK) {
			rc = request->task.calls->run(writer->store, request);
			request->task.has_more &= rc == 0;
		} else if (request->kind == SPOOL_COUNT) {
			count(writer, &request->count);
		} else if (request->kind == SPOOL_SEGMENT_RELEASE) {
			segments_release(writer->segments, request->segment.number, request->now_s);
		} else if (request->kind == SPOOL_HOUSEKEEP) {
			segments_sweep(writer->segments, request->now_s, false);
		}
		if (rc == -1) {
			store_refuse(writer->store, &why);
			say(writer, LOG_LEVEL_ERROR, "the queue's database cannot be read: %s [%s]",
			    why.text, why.name);
			rc = 0;
		}
	}
}

static void count(struct spool_writer *writer, struct spool_counts *counts)
{
	counts->messages = writer->store->n_messages;
	counts->recipients_waiting = writer->store->n_waiting;
	counts->bytes = writer->store->size_bytes;
	counts->segments = segments_count(writer->segments);
	counts->free_bytes = spool_free_bytes(writer->directory);
}

static void hand_back(struct spool_writer *writer, struct spool_requests *turn)
{
	struct spool_requests answered = STAILQ_HEAD_INITIALIZER(answered);
	struct spool_request *request;
	uint64_t one = 1;

	while ((request = STAILQ_FIRST(turn)) != NULL) {
		STAILQ_REMOVE_HEAD(turn, next);
		if (request->again) {
			request->again = request->is_answered = false;
			STAILQ_INSERT_TAIL(&writer->more, request, next);
		} else {
			STAILQ_INSERT_TAIL(&answered, request, next);
		}
	}
	pthread_mutex_lock(&writer->lock);
	STAILQ_CONCAT(&writer->answered, &answered);
	writer->n_messages = writer->store->n_messages;
	pthread_mutex_unlock(&writer->lock);
	while (write(writer->answer_fd, &one, sizeof one) == -1 && errno == EINTR)
		;
}

/* The log belongs to the loop's thread. */
static void say(struct spool_writer *writer, enum log_level level, const char *format, ...)
{
	struct spool_request *request =
	    spool_request_create(SPOOL_LOG, writer->store->latest_s, NULL);
	char text[2 * OUTCOME_TEXT_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	request->log.level = level;
	request->log.text = mem_copy_text(text);
	pthread_mutex_lock(&writer->lock);
	STAILQ_INSERT_TAIL(&writer->answered, request, next);
	pthread_mutex_unlock(&writer->lock);
}

uint64_t spool_free_bytes(int directory)
{
	struct statvfs vfs;

	if (fstatvfs(directory, &vfs) == -1)
		return 0;
	if (vfs.f_files > 0 && vfs.f_favail < LEAST_INODES)
		return 0;
	return (uint64_t)vfs.f_bavail * vfs.f_frsize;
}
