#include "relay/spool_request.h"

#include <stdlib.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "relay/spool_task.h"

static void finish_settle(struct request_settle *settle);
static void finish_find(struct request_find *find);

struct spool_request *spool_request_create(enum spool_kind kind, int64_t now_s, void *arg)
{
	struct spool_request *request = mem_create(sizeof *request);

	request->kind = kind;
	request->now_s = now_s;
	request->arg = arg;
	return request;
}

void spool_request_destroy(struct spool_request *request)
{
	switch (request->kind) {
	case SPOOL_COMMIT: message_finish(&request->commit); break;
	case SPOOL_SETTLE: finish_settle(&request->settle); break;
	case SPOOL_GIVE_BACK:
		free(request->give_back.id);
		free(request->give_back.domain);
		break;
	case SPOOL_SET_ASIDE:
		free(request->set_aside.id);
		free(request->set_aside.reason);
		break;
	case SPOOL_RETRY:
	case SPOOL_REMOVE: free(request->change.what); break;
	case SPOOL_FIND: finish_find(&request->find); break;
	case SPOOL_LIST:
		spool_request_clear_entries(&request->list);
		free(request->list.id);
		free(request->list.address);
		break;
	case SPOOL_CHANGE_TASK:
	case SPOOL_FIND_TASK: request->task.calls->finish(request->task.work); break;
	case SPOOL_SEGMENT_ADD:
		if (request->segment.fd != -1)
			close(request->segment.fd);
		break;
	case SPOOL_LOG: free(request->log.text); break;
	case SPOOL_HOUSEKEEP:
	case SPOOL_COUNT:
	case SPOOL_SEGMENT_RELEASE: break;
	}
	free(request);
}

void spool_requests_clear(struct spool_requests *requests)
{
	struct spool_request *request;

	while ((request = STAILQ_FIRST(requests)) != NULL) {
		STAILQ_REMOVE_HEAD(requests, next);
		spool_request_destroy(request);
	}
}

void spool_request_clear_entries(struct request_list *list)
{
	for (size_t i = 0; i < list->n_entries; i++) {
		struct spool_entry *entry = &list->entries[i];

		free((char *)entry->sender);
		free((char *)entry->account);
		free((char *)entry->recipient);
		free((char *)entry->message_id);
		free((char *)entry->reply);
		free((char *)entry->reason);
		free((char *)entry->host);
		free((char *)entry->evidence);
	}
	free(list->entries);
	list->entries = NULL;
	list->n_entries = 0;
}

static void finish_settle(struct request_settle *settle)
{
	free(settle->id);
	free(settle->results);
	free(settle->host);
	free(settle->evidence);
	if (settle->has_bounce)
		message_finish(&settle->bounce);
}

static void finish_find(struct request_find *find)
{
	text_free_list(find->except, find->n_except);
	for (size_t i = 0; i < find->n_jobs; i++)
		spool_job_finish(&find->jobs[i]);
	free(find->jobs);
}
