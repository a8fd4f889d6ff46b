#include "relay/shelf.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/spool.h"

enum { PIECES_MAX = 4 };

struct shelf {
	struct asker *queue;
	struct shelf_place shared; /* fd -1: none */
};

struct shelf_request {
	struct shelf *shelf;
	bool is_own;
	uint64_t question;
	shelf_found *found;
	void *arg;
};

static void on_segment(void *arg, const struct ipc_message *answer);

struct shelf *shelf_create(struct asker *queue)
{
	struct shelf *shelf = mem_create(sizeof *shelf);

	shelf->queue = queue;
	shelf->shared.fd = -1;
	return shelf;
}

void shelf_destroy(struct shelf **shelf)
{
	if (*shelf == NULL)
		return;
	shelf_drop(*shelf, (*shelf)->shared.segment);
	free(*shelf);
	*shelf = NULL;
}

void shelf_drop(struct shelf *shelf, uint64_t segment)
{
	struct ipc_message m = {
		.type = IPC_SEGMENT_RELEASE, .fd = -1, .segment_release.segment = segment
	};

	if (shelf->shared.fd < 0 || shelf->shared.segment != segment)
		return;
	asker_tell(shelf->queue, 0, &m);
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
	return request;
}

void shelf_cancel(struct shelf_request **request)
{
	if (*request == NULL)
		return;
	asker_cancel((*request)->shelf->queue, (*request)->question);
	free(*request);
	*request = NULL;
}

static void on_segment(void *arg, const struct ipc_message *answer)
{
	struct shelf_request request = *(struct shelf_request *)arg;
	struct shelf *shelf = request.shelf;
	struct shelf_place own, *place = &own;
	struct outcome outcome;

	free(arg);
	if (answer == NULL) {
		outcome_say(&outcome, 451, "4.3.0", "queue-unavailable",
		    "The queue does not answer at this moment; try again soon");
		request.found(request.arg, &outcome, NULL);
		return;
	}
	if (!outcome_is_ok(&answer->segment_say.verdict) || answer->fd < 0) {
		request.found(request.arg, &answer->segment_say.verdict, NULL);
		return;
	}
	own = (struct shelf_place){ answer->segment_say.segment,
		fcntl(answer->fd, F_DUPFD_CLOEXEC, 0), 0 };
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
