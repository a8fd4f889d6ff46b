/*
 * The queue role: the spool, the schedule, the jobs that are out, the administrator's socket. The
 * only process that opens files of mail, and the only one of its kind.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/bounce_post.h"
#include "relay/dispatch.h"
#include "relay/message_wire.h"
#include "relay/proc/clients.h"
#include "relay/proc/control.h"
#include "relay/proc/exceptions.h"
#include "relay/proc/queue_lookup.h"
#include "relay/proc/role.h"
#include "relay/shelf.h"
#include "relay/tlsrpt.h"

enum {
	KEEPER_TIMEOUT_MS = 20000,
	STORAGE_CHECK_MS = 1000, /* how often intakes hear of the room there is */
	LENT_SHARED = 50,        /* segments for small mails at an intake, besides one a session */
	LAST_WORDS_MS = 2000,
	LAST_WORDS_LOOK_MS = 5,
};

struct queue {
	struct house *house;
	struct spool *spool;
	struct asker *keeper;
	struct signer *signer;
	struct post_office *office;
	struct dispatch *dispatch;
	struct queue_lookup *lookup;
	struct exceptions *exceptions;
	struct tlsrpt *reports;
	struct control *control;
	struct clients intakes;
	struct timer *storage;
	struct outcome last_verdict; /* told to the intakes */
	bool is_draining;
	struct timer *farewell;
	struct timer *last_words; /* before another queue takes over */
	int64_t leave_by_ms;
	bool is_leaving;
	TAILQ_HEAD(, commit) commits;
	TAILQ_HEAD(, lent) lent;
};

/* A segment that an intake appends to. */
struct lent {
	TAILQ_ENTRY(lent) link;
	struct channel *intake;
	uint64_t segment;
};

/* A commit under way, and whom to answer. */
struct commit {
	TAILQ_ENTRY(commit) link;
	struct queue *queue;
	struct channel *intake; /* NULL once it is gone */
	uint64_t number;
};

static void on_intake(void *arg, struct channel *channel, struct ipc_message *m);
static void on_intake_gone(void *arg, struct channel *channel);
static void on_report_queued(void *arg);
static void on_counts(void *arg, const struct ipc_counts_say *say);
static void on_storage(void *arg);
static void leave_if_alone(void *arg);
static void on_last_words(void *arg);

static void *queue_create(struct house *house)
{
	struct queue *queue = mem_create(sizeof *queue);

	queue->house = house;
	TAILQ_INIT(&queue->commits);
	TAILQ_INIT(&queue->lent);
	queue->keeper = asker_create(house->loop, ASKER_PLAIN, KEEPER_TIMEOUT_MS);
	queue->signer = signer_create(house->config, queue->keeper);
	clients_init(&queue->intakes, on_intake, on_intake_gone, queue);
	queue->storage = timer_create_in(house->loop, on_storage, queue);
	queue->farewell = timer_create_in(house->loop, leave_if_alone, queue);
	queue->last_words = timer_create_in(house->loop, on_last_words, queue);
	return queue;
}

/* As our own user: what it makes belongs to that user. */
static bool queue_begin(void *self)
{
	struct queue *queue = self;
	const struct config *config = queue->house->config;
	const struct spool_settings settings = { .directory = config->spool,
		.segment_size = SHELF_SEGMENT_SIZE,
		.free_space = config->limits.free_space,
		.queue_messages = config->limits.queue_messages,
		.longest_retry_s = config->retry.longest };
	char error[512];

	queue->spool = spool_open(queue->house->loop, &settings, error, sizeof error);
	if (queue->spool == NULL) {
		log_error("%s", error);
		return false;
	}
	queue->office = post_office_create(config, queue->spool, queue->signer);
	queue->dispatch = dispatch_create(queue->house->loop, config, queue->spool, queue->office);
	queue->lookup = queue_lookup_create(queue->house->loop, queue->spool, config->spool);
	queue->exceptions = exceptions_create(queue->house->loop, config);
	queue->reports =
	    tlsrpt_create(&(struct tlsrpt_house){ queue->house->loop, config, queue->spool,
		queue->office, queue_lookup_asker(queue->lookup), on_report_queued, queue });
	dispatch_on_counts(queue->dispatch, on_counts, queue);
	queue->control = control_create(queue->house->loop, queue->house->control_fd,
	    &(struct control_house){
		config, queue->spool, queue->dispatch, queue->lookup, queue->reports });
	dispatch_on_alone(queue->dispatch, leave_if_alone, queue);
	on_storage(queue);
	return true;
}

static void on_counts(void *arg, const struct ipc_counts_say *say)
{
	struct queue *queue = arg;

	tlsrpt_count(queue->reports, say);
}

static void on_report_queued(void *arg)
{
	struct queue *queue = arg;
	struct schedule *schedule = dispatch_schedule(queue->dispatch);

	if (schedule != NULL)
		schedule_poke(schedule, clock_wall_s());
}

static void tell_storage(struct queue *queue, struct channel *intake, const struct ipc_message *m)
{
	for (size_t i = 0; i < queue->intakes.n; i++) {
		if (intake == NULL || queue->intakes.channels[i] == intake)
			channel_send(queue->intakes.channels[i], m);
	}
}

static struct ipc_message storage_now(struct queue *queue)
{
	struct ipc_message m = { .type = IPC_STORAGE, .fd = -1 };
	uint64_t size = queue->house->config->limits.message_size;
	struct outcome why;

	outcome_ok(&m.storage.verdict);
	if (!spool_has_room(queue->spool, 0, &m.storage.verdict))
		return m;
	while (size > 0 && !spool_has_room(queue->spool, size, &why))
		size /= 2; /* large ones are refused before small ones */
	m.storage.room_bytes = size;
	return m;
}

static void on_storage(void *arg)
{
	struct queue *queue = arg;
	const struct ipc_message m = storage_now(queue);

	if (m.storage.verdict.code != queue->last_verdict.code &&
	    !outcome_is_ok(&m.storage.verdict))
		log_error("no more mail is taken: %s [%s]", m.storage.verdict.text,
		    m.storage.verdict.name);
	else if (m.storage.verdict.code != queue->last_verdict.code &&
		 queue->last_verdict.code != 0)
		log_info("mail is taken again: there is room");
	queue->last_verdict = m.storage.verdict;
	control_note_storage(queue->control, m.storage.room_bytes, &m.storage.verdict);
	tell_storage(queue, NULL, &m);
	timer_set(queue->storage, STORAGE_CHECK_MS);
}

static void queue_meet(void *self, enum role role, struct channel *channel)
{
	struct queue *queue = self;

	if (role == ROLE_INTAKE) {
		const struct ipc_message m = storage_now(queue);

		clients_add(&queue->intakes, channel);
		tell_storage(queue, channel, &m);
	} else if (role == ROLE_KEEPER) {
		asker_add(queue->keeper, channel);
	} else if (role == ROLE_DELIVERY) {
		dispatch_meet(queue->dispatch, channel);
	} else if (role == ROLE_LOOKUP) {
		queue_lookup_meet(queue->lookup, channel);
	} else {
		channel_destroy(&channel);
	}
}

static void queue_told(void *self, struct ipc_message *m)
{
	struct queue *queue = self;

	if (m->type == IPC_START)
		dispatch_start(queue->dispatch);
	else if (m->type == IPC_PROCESS)
		control_note_process(queue->control, &m->process);
	else if (m->type == IPC_RELOAD)
		control_note_reload(queue->control, m->reload.failed_s, m->reload.why);
}

/* ---- what intakes ask ---- */

/* An intake reads what strangers send: should it be one of theirs, it takes no more than its due. */
static bool has_too_many(const struct queue *queue, const struct channel *intake)
{
	const struct lent *lent;
	size_t n = 0;

	TAILQ_FOREACH (lent, &queue->lent, link)
		n += lent->intake == intake;
	return n >= queue->house->config->limits.sessions + LENT_SHARED;
}

static void make_segment(struct queue *queue, struct channel *intake, const struct ipc_message *m)
{
	struct ipc_message say = {
		.type = IPC_SEGMENT_SAY, .fd = -1, .number = m->segment_ask.number
	};

	outcome_ok(&say.segment_say.verdict);
	if (has_too_many(queue, intake))
		outcome_say(&say.segment_say.verdict, 451, "4.3.0", "segments-lent",
		    "The message could not be handed to the queue; try again later");
	else if (spool_has_room(queue->spool, m->segment_ask.size_bytes, &say.segment_say.verdict))
		say.fd = spool_segment_create(
		    queue->spool, &say.segment_say.segment, &say.segment_say.verdict);
	channel_send(intake, &say);
	if (say.fd >= 0) {
		struct lent *lent = mem_create(sizeof *lent);

		close(say.fd);
		lent->intake = intake;
		lent->segment = say.segment_say.segment;
		TAILQ_INSERT_TAIL(&queue->lent, lent, link);
	}
}

static void take_back(struct queue *queue, struct lent *lent)
{
	spool_segment_release(queue->spool, lent->segment);
	TAILQ_REMOVE(&queue->lent, lent, link);
	free(lent);
}

static void take_back_one(struct queue *queue, const struct channel *intake, uint64_t segment)
{
	struct lent *lent;

	TAILQ_FOREACH (lent, &queue->lent, link) {
		if (lent->intake == intake && lent->segment == segment) {
			take_back(queue, lent);
			return;
		}
	}
}

/* An intake that died gave nothing back. */
static void take_back_all(struct queue *queue, const struct channel *intake)
{
	struct lent *lent, *next;

	for (lent = TAILQ_FIRST(&queue->lent); lent != NULL; lent = next) {
		next = TAILQ_NEXT(lent, link);
		if (lent->intake == intake)
			take_back(queue, lent);
	}
}

static void on_committed(void *arg, const struct outcome *outcome);

static void commit(struct queue *queue, struct channel *intake, const struct ipc_message *m)
{
	struct ipc_message refusal = {
		.type = IPC_COMMIT_SAY, .fd = -1, .number = m->commit_ask.number
	};
	struct commit *commit;
	struct message message;

	/* An intake reads what strangers send: should it be one of theirs, it does not end us too. */
	if (!message_decode(m->commit_ask.mail, &message)) {
		log_error("an intake's commit does not decode: a fault of this program");
		outcome_say(&refusal.commit_say.verdict, 451, "4.3.0", "commit-malformed",
		    "The message could not be handed to the queue; try again later");
		channel_send(intake, &refusal);
		return;
	}
	commit = mem_create(sizeof *commit);
	commit->queue = queue;
	commit->intake = intake;
	commit->number = m->commit_ask.number;
	TAILQ_INSERT_TAIL(&queue->commits, commit, link);
	spool_commit(queue->spool, &message, on_committed, commit);
	message_finish(&message);
}

static void on_committed(void *arg, const struct outcome *outcome)
{
	struct commit *commit = arg;
	struct queue *queue = commit->queue;
	const struct ipc_message say = {
		.type = IPC_COMMIT_SAY, .fd = -1, .commit_say = { commit->number, *outcome }
	};
	struct schedule *schedule = dispatch_schedule(queue->dispatch);

	if (commit->intake != NULL)
		channel_send(commit->intake, &say);
	TAILQ_REMOVE(&queue->commits, commit, link);
	free(commit);
	if (outcome_is_ok(outcome) && schedule != NULL)
		schedule_poke(schedule, clock_wall_s());
}

static void on_intake(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct queue *queue = arg;

	if (m->type == IPC_SEGMENT_ASK)
		make_segment(queue, channel, m);
	else if (m->type == IPC_SEGMENT_RELEASE)
		take_back_one(queue, channel, m->segment_release.segment);
	else if (m->type == IPC_COMMIT_ASK)
		commit(queue, channel, m);
}

static void on_intake_gone(void *arg, struct channel *channel)
{
	struct queue *queue = arg;
	struct commit *commit;

	TAILQ_FOREACH (commit, &queue->commits, link) {
		if (commit->intake == channel)
			commit->intake = NULL;
	}
	take_back_all(queue, channel);
	timer_set(queue->farewell, 0);
}

/* ---- the end ---- */

static void queue_drain(void *self, enum drain_how how)
{
	struct queue *queue = self;

	queue->is_draining = true;
	if (how == DRAIN_NOW) {
		dispatch_close(queue->dispatch);
		control_close(queue->control);
		queue->leave_by_ms = clock_monotonic_ms() + LAST_WORDS_MS;
		timer_set(queue->last_words, 0);
		return;
	}
	dispatch_stop(queue->dispatch);
	leave_if_alone(queue);
}

/* What is being stored is still acknowledged: the next queue need not hear it again. */
static void on_last_words(void *arg)
{
	struct queue *queue = arg;
	bool is_busy = dispatch_is_storing(queue->dispatch) || control_is_busy(queue->control);

	if (is_busy && clock_monotonic_ms() < queue->leave_by_ms)
		timer_set(queue->last_words, LAST_WORDS_LOOK_MS);
	else if (!queue->is_leaving) {
		/* One turn more, in which the acknowledgements go out. */
		queue->is_leaving = true;
		timer_set(queue->last_words, LAST_WORDS_LOOK_MS);
	} else {
		queue->house->leave(queue->house->leave_arg);
	}
}

/* Intakes may still commit, deliveries still bring results: they go first. */
static void leave_if_alone(void *arg)
{
	struct queue *queue = arg;

	if (queue->is_draining && queue->intakes.n == 0 &&
	    !dispatch_has_deliveries(queue->dispatch))
		queue->house->leave(queue->house->leave_arg);
}

static void queue_destroy(void *self)
{
	struct queue *queue = self;
	struct commit *commit;
	struct lent *lent;

	if (queue->dispatch != NULL)
		dispatch_stop(queue->dispatch);
	if (queue->reports != NULL)
		tlsrpt_stop(queue->reports);
	post_office_destroy(&queue->office);
	spool_close(&queue->spool); /* no callback runs after it */
	control_destroy(&queue->control);
	tlsrpt_destroy(&queue->reports);
	exceptions_destroy(&queue->exceptions);
	queue_lookup_destroy(&queue->lookup);
	dispatch_destroy(&queue->dispatch);
	clients_finish(&queue->intakes);
	signer_destroy(&queue->signer);
	asker_destroy(&queue->keeper);
	timer_destroy(&queue->storage);
	timer_destroy(&queue->farewell);
	timer_destroy(&queue->last_words);
	while ((commit = TAILQ_FIRST(&queue->commits)) != NULL) {
		TAILQ_REMOVE(&queue->commits, commit, link);
		free(commit);
	}
	while ((lent = TAILQ_FIRST(&queue->lent)) != NULL) {
		TAILQ_REMOVE(&queue->lent, lent, link);
		free(lent);
	}
	free(queue);
}

const struct role_calls role_queue = {
	.create = queue_create,
	.begin = queue_begin,
	.meet = queue_meet,
	.told = queue_told,
	.drain = queue_drain,
	.destroy = queue_destroy,
};
