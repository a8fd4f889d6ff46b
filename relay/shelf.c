#include "relay/shelf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/spool.h"

enum { PIECES_MAX = 4 };

struct shelf {
	struct asker *queue;
	TAILQ_HEAD(, shelf_request) requests;
	struct shelf_place shared; /* fd -1: none */
};

struct shelf_request {
	TAILQ_ENTRY(shelf_request) link;
	struct shelf *shelf;
	bool is_own;
	uint64_t question;
	shelf_found *found; /* NULL: cancelled, but what comes must be given back */
	void *arg;
};

static void on_segment(void *arg, const struct ipc_message *answer);

struct shelf *shelf_create(struct asker *queue)
{
	struct shelf *shelf = mem_create(sizeof *shelf);

	shelf->queue = queue;
	TAILQ_INIT(&shelf->requests);
	shelf->shared.fd = -1;
	return shelf;
}

static void forget(struct shelf_request *request)
{
	TAILQ_REMOVE(&request->shelf->requests, request, link);
	free(request);
}

void shelf_destroy(struct shelf **shelf)
{
	struct shelf_request *request;

	if (*shelf == NULL)
		return;
	while ((request = TAILQ_FIRST(&(*shelf)->requests)) != NULL) {
		asker_cancel((*shelf)->queue, request->question);
		forget(request);
	}
	shelf_drop(*shelf, (*shelf)->shared.segment);
	free(*shelf);
	*shelf = NULL;
}

void shelf_give_back(struct shelf *shelf, uint64_t segment)
{
	struct ipc_message m = {
		.type = IPC_SEGMENT_RELEASE, .fd = -1, .segment_release.segment = segment
	};

	asker_tell(shelf->queue, 0, &m);
}

void shelf_drop(struct shelf *shelf, uint64_t segment)
{
	if (shelf->shared.fd < 0 || shelf->shared.segment != segment)
		return;
	shelf_give_back(shelf, segment);
	close(shelf->shared.fd);
	shelf->shared.fd = -1;
}

struct shelf_place *shelf_shared(struct shelf *shelf)
{
	if (shelf->shared.fd >= 0 && shelf->shared.size >= SHELF_SEGMENT_SIZE)
		shelf_drop(shelf, shelf->shared.segment);
	return shelf->shared.fd >= 0 ? &shelf->shared : NULL;
}

struct shelf_request *shelf_ask(
    struct shelf *shelf, uint64_t size_bytes, shelf_found *found, void *arg)
{
	struct shelf_request *request = mem_create(sizeof *request);
	struct ipc_message m = {
		.type = IPC_SEGMENT_ASK, .fd = -1, .segment_ask.size_bytes = size_bytes
	};

	request->shelf = shelf;
	request->is_own = size_bytes > 0;
	request->found = found;
	request->arg = arg;
	request->question = asker_ask(shelf->queue, 0, &m, on_segment, request);
	TAILQ_INSERT_TAIL(&shelf->requests, request, link);
	return request;
}

void shelf_cancel(struct shelf_request **request)
{
	if (*request == NULL)
		return;
	(*request)->found = NULL;
	*request = NULL;
}

/* Received, but with no descriptor to write to, or with no number left for one. */
static void refuse_no_file(struct shelf *shelf, uint64_t segment, struct outcome *why)
{
	shelf_give_back(shelf, segment);
	log_error("a segment of the spool cannot be used: too many open files [disk-error]");
	outcome_say(why, 451, "4.3.0", "disk-error",
	    "The message could not be written to disk; try again later");
}

static void on_segment(void *arg, const struct ipc_message *answer)
{
	struct shelf_request request = *(struct shelf_request *)arg;
	struct shelf *shelf = request.shelf;
	struct shelf_place own, *place = &own;
	struct outcome outcome;

	forget(arg);
	if (request.found == NULL) {
		if (answer != NULL && outcome_is_ok(&answer->segment_say.verdict))
			shelf_give_back(shelf, answer->segment_say.segment);
		return;
	}
	if (answer == NULL) {
		outcome_say(&outcome, 451, "4.3.0", "queue-unavailable",
		    "The queue does not answer at this moment; try again soon");
		request.found(request.arg, &outcome, NULL);
		return;
	}
	if (!outcome_is_ok(&answer->segment_say.verdict)) {
		request.found(request.arg, &answer->segment_say.verdict, NULL);
		return;
	}
	own = (struct shelf_place){ answer->segment_say.segment, -1, 0 };
	if (answer->fd >= 0)
		own.fd = fcntl(answer->fd, F_DUPFD_CLOEXEC, 0);
	if (own.fd < 0) {
		refuse_no_file(shelf, own.segment, &outcome);
		request.found(request.arg, &outcome, NULL);
		return;
	}
	if (!request.is_own) {
		/* Several sessions may have asked at once: the last to come is used from now on. */
		shelf_drop(shelf, shelf->shared.segment);
		shelf->shared = own;
		place = &shelf->shared;
	}
	request.found(request.arg, &answer->segment_say.verdict, place);
}

static void disk_outcome(int error, struct outcome *why)
{
	if (error == ENOSPC || error == EDQUOT || error == EFBIG)
		outcome_say(why, 452, "4.3.1", "disk-full",
		    "No room to keep the message now; try again later");
	else
		outcome_say(why, 451, "4.3.0", "disk-error",
		    "The message could not be written to disk; try again later");
}

bool shelf_append(struct shelf_place *place, const struct slice *pieces, size_t n_pieces,
    struct extent *at, struct outcome *why)
{
	struct iovec io[PIECES_MAX];
	size_t first = 0;

	assert(n_pieces <= PIECES_MAX);
	if (at->length == 0)
		at->offset = place->size;
	assert(at->offset + at->length == place->size);
	for (size_t i = 0; i < n_pieces; i++) {
		io[i] = (struct iovec){ (void *)(uintptr_t)pieces[i].bytes, pieces[i].n };
		at->length += pieces[i].n;
		at->checksum = spool_checksum(at->checksum, pieces[i].bytes, pieces[i].n);
	}
	while (first < n_pieces) {
		ssize_t n = writev(place->fd, io + first, (int)(n_pieces - first));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0) {
			int error = errno;
			struct stat now;

			log_error("cannot write to segment %016llx of the spool: %s [disk-error]",
			    (unsigned long long)place->segment, strerror(error));
			if (fstat(place->fd, &now) == 0)
				place->size = (uint64_t)now.st_size;
			disk_outcome(error, why);
			return false;
		}
		place->size += (uint64_t)n;
		while (first < n_pieces && (size_t)n >= io[first].iov_len)
			n -= (ssize_t)io[first++].iov_len;
		if (first < n_pieces) {
			io[first].iov_base = (char *)io[first].iov_base + n;
			io[first].iov_len -= (size_t)n;
		}
	}
	return true;
}
