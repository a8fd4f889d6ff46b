/*
 * The loop's side of the spool: opens and checks the directory, turns each call into a request to
 * the writer and each answer into its callback. Never waits for the disk but to open and close.
 */
#include "relay/spool.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"
#include "relay/spool_request.h"
#include "relay/spool_segment.h"
#include "relay/spool_store.h"
#include "relay/spool_task.h"
#include "relay/spool_writer.h"

enum { HOUSEKEEP_MS = 60 * 1000 };

struct spool {
	struct loop *loop;
	struct spool_settings settings; /* without the directory's name */
	int directory, segment_directory, lock;
	struct segments segments; /* the writer's, as is the store, while it runs */
	struct store store;
	struct spool_writer writer;
	struct watch *answers;
	struct timer *housekeep;
	bool in_callback;
};

static int open_directories(struct spool *spool, const char *path, char *error, size_t room);
static int open_directory(int at, const char *name, char *error, size_t room);
static int take_lock(struct spool *spool, const char *path, char *error, size_t room);
static int open_store(struct spool *spool, const char *path, char *error, size_t room);
static void start(struct spool *spool);
static void on_housekeep(void *arg);
static void on_answers(int fd, void *arg);
static bool answer(struct spool_request *request);
static bool answer_list(struct spool_request *request);
static bool answer_task(struct spool_request *request);
static void close_directories(struct spool *spool);

struct spool *spool_open(
    struct loop *loop, const struct spool_settings *settings, char *error, size_t room)
{
	struct spool *spool = mem_create(sizeof *spool);

	spool->loop = loop;
	spool->settings = *settings;
	spool->settings.directory = NULL;
	spool->directory = spool->segment_directory = spool->lock = -1;
	if (open_directories(spool, settings->directory, error, room) == -1 ||
	    take_lock(spool, settings->directory, error, room) == -1)
		goto fail;
	segments_init(&spool->segments, spool->segment_directory);
	if (open_store(spool, settings->directory, error, room) == -1) {
		segments_finish(&spool->segments);
		goto fail;
	}
	start(spool);
	return spool;
fail:
	close_directories(spool);
	free(spool);
	return NULL;
}

void spool_close(struct spool **spool)
{
	struct spool *s = *spool;

	if (s == NULL)
		return;
	assert(!s->in_callback);
	watch_destroy(&s->answers);
	timer_destroy(&s->housekeep);
	spool_writer_stop(&s->writer);
	store_close(&s->store);
	segments_finish(&s->segments);
	close_directories(s);
	free(s);
	*spool = NULL;
}

/* Ours, closed to others and no link: whoever could write here could read and forge mail (Q9). */
static int open_directories(struct spool *spool, const char *path, char *error, size_t room)
{
	spool->directory = open_directory(AT_FDCWD, path, error, room);
	if (spool->directory == -1)
		return -1;
	if (mkdirat(spool->directory, "segments", 0700) == -1 && errno != EEXIST) {
		snprintf(error, room, "%s/segments cannot be made: %s", path, strerror(errno));
		return -1;
	}
	spool->segment_directory = open_directory(spool->directory, "segments", error, room);
	if (spool->segment_directory == -1)
		return -1;
	if (fsync(spool->directory) == -1) {
		snprintf(error, room, "%s cannot be synced: %s", path, strerror(errno));
		return -1;
	}
	return 0;
}

static int open_directory(int at, const char *name, char *error, size_t room)
{
	int fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd == -1 && (errno == ELOOP || errno == ENOTDIR)) {
		snprintf(error, room,
		    "%s is a link or no directory; the queue must be a directory [spool-unsafe]",
		    name);
		return -1;
	}
	if (fd == -1 || fstat(fd, &st) == -1) {
		snprintf(error, room, "%s cannot be opened: %s", name, strerror(errno));
		goto fail;
	}
	if (st.st_uid != geteuid()) {
		snprintf(error, room,
		    "%s belongs to user %u, not to us (%u); chown it [spool-unsafe]", name,
		    (unsigned)st.st_uid, (unsigned)geteuid());
		goto fail;
	}
	if ((st.st_mode & 077) != 0) {
		snprintf(error, room,
		    "%s is open to others (mode %03o); chmod 700 it [spool-unsafe]", name,
		    (unsigned)st.st_mode & 0777);
		goto fail;
	}
	return fd;
fail:
	if (fd != -1)
		close(fd);
	return -1;
}

static int take_lock(struct spool *spool, const char *path, char *error, size_t room)
{
	spool->lock =
	    openat(spool->directory, "lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (spool->lock == -1) {
		snprintf(error, room, "%s/lock cannot be opened: %s", path, strerror(errno));
		return -1;
	}
	if (flock(spool->lock, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		snprintf(error, room,
		    "Another zegel serves the queue in %s; stop it first, or give this one a spool "
		    "of its own [spool-locked]",
		    path);
	else
		snprintf(error, room, "%s/lock cannot be locked: %s", path, strerror(errno));
	return -1;
}

static int open_store(struct spool *spool, const char *path, char *error, size_t room)
{
	int64_t now_s = clock_wall_s();
	char *file = mem_print("%s/queue.db", path);
	struct stat st;
	/* Made here for its mode; SQLite gives its own files the same. */
	int fd = openat(spool->directory, "queue.db",
		O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0600),
	    rc = -1;

	if (fd == -1 || fstat(fd, &st) == -1 || !S_ISREG(st.st_mode))
		snprintf(error, room, "%s cannot be opened: %s", file,
		    fd == -1 ? strerror(errno) : "it is no regular file");
	else
		rc = 0;
	/* Closed before SQLite opens it: closing later would drop its POSIX locks. */
	if (fd != -1)
		close(fd);
	if (rc == 0)
		rc = store_open(&spool->store, file, &spool->segments, now_s,
		    spool->settings.longest_retry_s, error, room);
	free(file);
	if (rc == -1)
		return -1;
	spool->store.most_messages = spool->settings.queue_messages;
	if (segments_count_missing(&spool->segments) > 0)
		log_error("%zu segments of %s/segments are gone though messages lie in them: those "
			  "messages will be set aside [segment-gone]",
		    segments_count_missing(&spool->segments), path);
	segments_sweep(&spool->segments, now_s, true);
	spool->writer.store = &spool->store;
	spool->writer.segments = &spool->segments;
	spool->writer.directory = spool->directory;
	spool->writer.free_space = spool->settings.free_space;
	if (spool_writer_start(&spool->writer) == 0)
		return 0;
	snprintf(error, room, "The queue's writer cannot start: %s", strerror(errno));
	store_close(&spool->store);
	return -1;
}

static void start(struct spool *spool)
{
	spool->answers =
	    watch_create(spool->loop, spool->writer.answer_fd, WATCH_READ, on_answers, spool);
	watch_on(spool->answers);
	spool->housekeep = timer_create_in(spool->loop, on_housekeep, spool);
	on_housekeep(spool);
}

static void on_housekeep(void *arg)
{
	struct spool *spool = arg;

	spool_writer_ask(
	    &spool->writer, spool_request_create(SPOOL_HOUSEKEEP, clock_wall_s(), NULL));
	timer_set(spool->housekeep, HOUSEKEEP_MS);
}

static void on_answers(int fd, void *arg)
{
	struct spool *spool = arg;
	struct spool_requests answers = STAILQ_HEAD_INITIALIZER(answers);
	struct spool_request *request;

	(void)fd;
	spool_writer_take_answers(&spool->writer, &answers);
	spool->in_callback = true;
	while ((request = STAILQ_FIRST(&answers)) != NULL) {
		STAILQ_REMOVE_HEAD(&answers, next);
		if (answer(request))
			spool_request_destroy(request);
		else
			spool_writer_ask(&spool->writer, request);
	}
	spool->in_callback = false;
}

/* False if the request goes back to the writer for its next part. */
static bool answer(struct spool_request *request)
{
	switch (request->kind) {
	case SPOOL_COMMIT: request->done.committed(request->arg, &request->outcome); break;
	case SPOOL_SETTLE:
		request->done.settled(request->arg, &request->outcome, request->settle.is_gone);
		break;
	case SPOOL_REMOVE:
		if (request->change.n > 0)
			log_info("%s: removed", request->change.what);
		request->done.changed(request->arg, request->change.n);
		break;
	case SPOOL_RETRY: request->done.changed(request->arg, request->change.n); break;
	case SPOOL_FIND:
		request->done.due(request->arg, request->find.jobs, request->find.n_jobs,
		    request->find.next_due_s);
		request->find.n_jobs = 0; /* they were taken over */
		break;
	case SPOOL_LIST: return answer_list(request);
	case SPOOL_COUNT: request->done.counted(request->arg, &request->count); break;
	case SPOOL_CHANGE_TASK:
	case SPOOL_FIND_TASK: return answer_task(request);
	case SPOOL_LOG: log_write(request->log.level, "%s", request->log.text); break;
	case SPOOL_GIVE_BACK:
	case SPOOL_SET_ASIDE:
	case SPOOL_HOUSEKEEP:
	case SPOOL_SEGMENT_ADD:
	case SPOOL_SEGMENT_RELEASE: break;
	}
	return true;
}

/* The next part is read when this one was taken, so that a long list never piles up in memory. */
static bool answer_list(struct spool_request *request)
{
	struct request_list *list = &request->list;

	for (size_t i = 0; i < list->n_entries; i++)
		request->done.listed(request->arg, &list->entries[i]);
	spool_request_clear_entries(list);
	if (!request->is_answered) {
		request->now_s = clock_wall_s();
		return false;
	}
	request->done.listed(request->arg, NULL);
	return true;
}

static bool answer_task(struct spool_request *request)
{
	if (request->task.calls->answer != NULL)
		request->task.calls->answer(request);
	request->now_s = clock_wall_s();
	return !request->task.has_more;
}

bool spool_has_room(struct spool *spool, uint64_t size_bytes, struct outcome *why)
{
	uint64_t free_bytes = spool_free_bytes(spool->directory);

	if (spool_writer_n_messages(&spool->writer) >= spool->settings.queue_messages) {
		outcome_say(why, 452, "4.3.1", "queue-full",
		    "The queue holds as many messages as it may (%u); try again later",
		    spool->settings.queue_messages);
		return false;
	}
	if (free_bytes < spool->settings.free_space ||
	    free_bytes - spool->settings.free_space < size_bytes) {
		outcome_say(why, 452, "4.3.1", "disk-full",
		    "Too little space is left on the queue's disk; try again later");
		return false;
	}
	outcome_ok(why);
	return true;
}

int spool_segment_create(struct spool *spool, uint64_t *number, struct outcome *why)
{
	struct spool_request *request;
	int fd, to_sync, error;

	if (!spool_has_room(spool, 0, why))
		return -1;
	fd = segment_file_create(spool->segment_directory, number);
	if (fd == -1) {
		segment_refuse(why, errno, "making a segment");
		return -1;
	}
	/* The same open file: an error of the intake's writes shows in the writer's sync. */
	to_sync = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (to_sync == -1) {
		error = errno;
		close(fd); /* the empty file goes with the next start's sweep */
		segment_refuse(why, error, "making a segment");
		return -1;
	}
	request = spool_request_create(SPOOL_SEGMENT_ADD, clock_wall_s(), NULL);
	request->segment.number = *number;
	request->segment.fd = to_sync;
	spool_writer_ask(&spool->writer, request);
	return fd;
}

void spool_segment_release(struct spool *spool, uint64_t number)
{
	struct spool_request *request =
	    spool_request_create(SPOOL_SEGMENT_RELEASE, clock_wall_s(), NULL);

	request->segment.number = number;
	spool_writer_ask(&spool->writer, request);
}

void spool_commit(
    struct spool *spool, const struct message *message, spool_committed *done, void *arg)
{
	struct spool_request *request = spool_request_create(SPOOL_COMMIT, clock_wall_s(), arg);

	request->done.committed = done;
	message_copy(&request->commit, message);
	/* It came from another process, which may be out of its mind. */
	if (!queue_id_is_valid(message->id, strnlen(message->id, QUEUE_ID_MAX)) ||
	    message->n_recipients == 0) {
		outcome_say(&request->outcome, 451, "4.3.0", "message-malformed",
		    "The message came to the queue without a name or recipients; try again");
		request->is_answered = true;
	}
	spool_writer_ask(&spool->writer, request);
}

void spool_job_finish(struct spool_job *job)
{
	message_finish(&job->message);
	free(job->places);
	free(job->domain);
	job->places = NULL;
	job->domain = NULL;
}

static void find(struct spool *spool, bool only_news, int64_t now_s, size_t limit,
    size_t per_domain, const char *const *except, size_t n_except, spool_due *done, void *arg)
{
	struct spool_request *request = spool_request_create(SPOOL_FIND, clock_wall_s(), arg);
	struct request_find *find = &request->find;

	request->done.due = done;
	find->only_news = only_news;
	find->now_s = now_s;
	find->limit = limit;
	find->per_domain = per_domain;
	find->except = mem_create(n_except * sizeof *find->except);
	for (size_t i = 0; i < n_except; i++)
		find->except[find->n_except++] = mem_copy_text(except[i]);
	spool_writer_ask(&spool->writer, request);
}

void spool_find_due(struct spool *spool, int64_t now_s, size_t limit, size_t per_domain,
    const char *const *except, size_t n_except, spool_due *done, void *arg)
{
	find(spool, false, now_s, limit, per_domain, except, n_except, done, arg);
}

void spool_find_news(struct spool *spool, int64_t now_s, size_t limit, size_t per_domain,
    const char *const *except, size_t n_except, spool_due *done, void *arg)
{
	find(spool, true, now_s, limit, per_domain, except, n_except, done, arg);
}

int spool_open_segment(struct spool *spool, uint64_t number)
{
	return segment_file_open(spool->segment_directory, number);
}

void spool_settle(
    struct spool *spool, const struct spool_settlement *settlement, spool_settled *done, void *arg)
{
	struct spool_request *request = spool_request_create(SPOOL_SETTLE, clock_wall_s(), arg);
	struct request_settle *settle = &request->settle;

	request->done.settled = done;
	settle->id = mem_copy_text(settlement->id);
	settle->results = (struct recipient_result *)mem_copy(
	    settlement->results, settlement->n_results * sizeof *settle->results);
	settle->n_results = settlement->n_results;
	settle->next_try_s = settlement->next_try_s;
	settle->host = mem_copy_text(settlement->host != NULL ? settlement->host : "");
	settle->evidence = mem_copy_text(settlement->evidence != NULL ? settlement->evidence : "");
	settle->has_bounce = settlement->bounce != NULL;
	if (settle->has_bounce) {
		assert(settlement->bounce->n_recipients > 0);
		message_copy(&settle->bounce, settlement->bounce);
	}
	spool_writer_ask(&spool->writer, request);
}

void spool_give_back(struct spool *spool, const char *id, const char *domain, int64_t when_s)
{
	struct spool_request *request = spool_request_create(SPOOL_GIVE_BACK, clock_wall_s(), NULL);

	request->give_back.id = mem_copy_text(id);
	request->give_back.domain = mem_copy_text(domain);
	request->give_back.when_s = when_s;
	spool_writer_ask(&spool->writer, request);
}

void spool_set_aside(struct spool *spool, const char *id, const char *reason)
{
	struct spool_request *request = spool_request_create(SPOOL_SET_ASIDE, clock_wall_s(), NULL);

	log_error("%s: set aside, it will not be tried again: %s [set-aside]", id, reason);
	request->set_aside.id = mem_copy_text(id);
	request->set_aside.reason = mem_copy_text(reason);
	spool_writer_ask(&spool->writer, request);
}

void spool_list(struct spool *spool, const char *id, const char *address, bool with_settled,
    size_t limit, spool_listed *entry, void *arg)
{
	struct spool_request *request = spool_request_create(SPOOL_LIST, clock_wall_s(), arg);

	request->done.listed = entry;
	request->list.id = mem_copy_text(id);
	request->list.address = mem_copy_text(address);
	request->list.with_settled = with_settled;
	request->list.left = limit;
	request->list.after_place = -1;
	spool_writer_ask(&spool->writer, request);
}

void spool_retry(struct spool *spool, const char *what, spool_changed *done, void *arg)
{
	struct spool_request *request = spool_request_create(SPOOL_RETRY, clock_wall_s(), arg);

	request->done.changed = done;
	request->change.what = mem_copy_text(what);
	spool_writer_ask(&spool->writer, request);
}

void spool_remove(struct spool *spool, const char *id, spool_changed *done, void *arg)
{
	struct spool_request *request = spool_request_create(SPOOL_REMOVE, clock_wall_s(), arg);

	request->done.changed = done;
	request->change.what = mem_copy_text(id);
	spool_writer_ask(&spool->writer, request);
}

void spool_count(struct spool *spool, spool_counted *done, void *arg)
{
	struct spool_request *request = spool_request_create(SPOOL_COUNT, clock_wall_s(), arg);

	request->done.counted = done;
	spool_writer_ask(&spool->writer, request);
}

void spool_ask(
    struct spool *spool, const struct task_calls *calls, void *work, struct message *message)
{
	struct spool_request *request = spool_request_create(
	    calls->changes ? SPOOL_CHANGE_TASK : SPOOL_FIND_TASK, clock_wall_s(), NULL);

	request->task.calls = calls;
	request->task.work = work;
	request->task.message = message;
	spool_writer_ask(&spool->writer, request);
}

static void close_directories(struct spool *spool)
{
	int fds[] = { spool->lock, spool->segment_directory, spool->directory };

	for (size_t i = 0; i < sizeof fds / sizeof *fds; i++) {
		if (fds[i] != -1)
			close(fds[i]);
	}
}
