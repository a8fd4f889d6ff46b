#include "relay/ipc/asker.h"

#include <stdlib.h>
#include <sys/queue.h>
#include <uthash.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/ipc/channel.h"
#include "relay/net/loop.h"

struct peer {
	TAILQ_ENTRY(peer) link;
	struct asker *asker;
	struct channel *channel;
	uint64_t name;
	size_t n_open;
};

struct question {
	UT_hash_handle hh;
	struct asker *asker;
	uint64_t number;
	struct peer *peer; /* NULL: waits for one, or for its NULL answer */
	struct timer *timer;
	enum ipc_type type;
	struct buffer fields; /* to ask again; empty for plain questions */
	asker_answer *answer;
	void *arg;
};

struct asker {
	struct loop *loop;
	enum asker_kind kind;
	int64_t timeout_ms;
	TAILQ_HEAD(, peer) peers;
	struct question *questions; /* hash by number */
	uint64_t last_number, last_peer;
	asker_news *news;
	asker_changed *changed;
	void *listener;
};

static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_closed(void *arg, struct channel *channel);

struct asker *asker_create(struct loop *loop, enum asker_kind kind, int64_t timeout_ms)
{
	struct asker *a = mem_create(sizeof *a);

	a->loop = loop;
	a->kind = kind;
	a->timeout_ms = timeout_ms;
	TAILQ_INIT(&a->peers);
	return a;
}

static void question_destroy(struct question *q)
{
	HASH_DEL(q->asker->questions, q);
	if (q->peer != NULL)
		q->peer->n_open--;
	timer_destroy(&q->timer);
	buffer_finish(&q->fields);
	free(q);
}

void asker_destroy(struct asker **asker)
{
	struct asker *a = *asker;
	struct question *q, *next;
	struct peer *peer;

	if (a == NULL)
		return;
	*asker = NULL;
	HASH_ITER (hh, a->questions, q, next)
		question_destroy(q);
	while ((peer = TAILQ_FIRST(&a->peers)) != NULL) {
		TAILQ_REMOVE(&a->peers, peer, link);
		channel_destroy(&peer->channel);
		free(peer);
	}
	free(a);
}

void asker_listen(struct asker *a, asker_news *news, asker_changed *changed, void *arg)
{
	a->news = news;
	a->changed = changed;
	a->listener = arg;
}

bool asker_has_peer(const struct asker *a)
{
	return !TAILQ_EMPTY(&a->peers);
}

/* ---- asking ---- */

static struct peer *least_busy(struct asker *a)
{
	struct peer *best = TAILQ_FIRST(&a->peers), *peer;

	TAILQ_FOREACH (peer, &a->peers, link) {
		if (peer->n_open < best->n_open)
			best = peer;
	}
	return best;
}

static struct peer *find_peer(struct asker *a, uint64_t name)
{
	struct peer *peer;

	TAILQ_FOREACH (peer, &a->peers, link) {
		if (peer->name == name)
			return peer;
	}
	return NULL;
}

/* Time is over, or there was nobody to ask. */
static void on_timer(void *arg)
{
	struct question *q = arg;
	asker_answer *answer = q->answer;
	void *whom = q->arg;

	question_destroy(q);
	answer(whom, NULL);
}

static void assign(struct question *q, struct peer *peer)
{
	q->peer = peer;
	if (peer != NULL)
		peer->n_open++;
	else if (q->asker->kind == ASKER_PLAIN)
		timer_set(q->timer, 0);
}

uint64_t asker_ask(
    struct asker *a, uint64_t name, struct ipc_message *m, asker_answer *answer, void *arg)
{
	struct question *q = mem_create(sizeof *q);
	struct peer *peer = name != 0 ? find_peer(a, name) : least_busy(a);

	if (peer == NULL && a->kind == ASKER_RESEND)
		peer = least_busy(a); /* what may be asked twice may be asked of another */
	q->asker = a;
	q->number = m->number = ++a->last_number;
	q->type = m->type;
	q->answer = answer;
	q->arg = arg;
	q->timer = timer_create_in(a->loop, on_timer, q);
	if (a->timeout_ms > 0)
		timer_set(q->timer, a->timeout_ms);
	buffer_init(&q->fields, ipc_type_most_bytes(m->type));
	if (a->kind == ASKER_RESEND && !ipc_message_encode(m, &q->fields))
		abort();
	HASH_ADD(hh, a->questions, number, sizeof q->number, q);
	assign(q, peer);
	if (peer != NULL)
		channel_send(peer->channel, m);
	return q->number;
}

uint64_t asker_new_exchange(struct asker *a)
{
	return ++a->last_number;
}

uint64_t asker_peer_of(const struct asker *a, uint64_t number)
{
	struct question *q;

	HASH_FIND(hh, a->questions, &number, sizeof number, q);
	return q != NULL && q->peer != NULL ? q->peer->name : 0;
}

void asker_cancel(struct asker *a, uint64_t number)
{
	struct question *q;

	HASH_FIND(hh, a->questions, &number, sizeof number, q);
	if (q != NULL)
		question_destroy(q);
}

void asker_tell(struct asker *a, uint64_t name, const struct ipc_message *m)
{
	struct peer *peer;

	TAILQ_FOREACH (peer, &a->peers, link) {
		if (name == 0 || peer->name == name)
			channel_send(peer->channel, m);
	}
}

/* ---- processes come, speak and go ---- */

static void ask_again(struct question *q, struct peer *peer)
{
	struct ipc_message m = { .type = q->type, .fd = -1 };

	assign(q, peer);
	if (!ipc_message_decode(&m, q->fields.bytes, q->fields.n))
		abort();
	channel_send(peer->channel, &m);
	ipc_message_finish(&m);
}

void asker_add(struct asker *a, struct channel *channel)
{
	struct peer *peer = mem_create(sizeof *peer);
	struct question *q, *next;

	peer->asker = a;
	peer->channel = channel;
	peer->name = ++a->last_peer;
	channel_set_owner(channel, on_message, on_closed, peer);
	TAILQ_INSERT_TAIL(&a->peers, peer, link);
	if (a->changed != NULL)
		a->changed(a->listener, peer->name, true);
	HASH_ITER (hh, a->questions, q, next) {
		if (q->peer == NULL && a->kind == ASKER_RESEND)
			ask_again(q, peer);
	}
}

/* Each question has one kind of answer; what is no question has none (READY is first in the table). */
static enum ipc_type answer_to(enum ipc_type question)
{
	static const enum ipc_type answers[IPC_N_TYPES] = { [IPC_AUTH_ASK] = IPC_AUTH_SAY,
		[IPC_SIGN_ASK] = IPC_SIGN_SAY,
		[IPC_SEGMENT_ASK] = IPC_SEGMENT_SAY,
		[IPC_COMMIT_ASK] = IPC_COMMIT_SAY,
		[IPC_FACTS_ASK] = IPC_FACTS_SAY,
		[IPC_CLIENT_ASK] = IPC_CLIENT_SAY,
		[IPC_TEXTS_ASK] = IPC_TEXTS_SAY,
		[IPC_POST_ASK] = IPC_POST_SAY };

	return answers[question];
}

static bool is_answer(enum ipc_type type)
{
	for (enum ipc_type question = 0; question < IPC_N_TYPES; question++) {
		if (type != IPC_READY && answer_to(question) == type)
			return true;
	}
	return false;
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct peer *peer = arg;
	struct asker *a = peer->asker;
	struct question *q;
	asker_answer *answer;
	void *whom;

	(void)channel;
	if (!is_answer(m->type)) {
		if (a->news != NULL)
			a->news(a->listener, peer->name, m);
		return;
	}
	HASH_FIND(hh, a->questions, &m->number, sizeof m->number, q);
	if (q == NULL || q->peer != peer)
		return; /* cancelled, or its time was over */
	if (answer_to(q->type) != m->type) {
		/* Read as what was asked for, its numbers would be taken for addresses in memory. */
		log_error("a %s message came as the answer to %s: a fault of this program",
		    ipc_type_name(m->type), ipc_type_name(q->type));
		return;
	}
	answer = q->answer;
	whom = q->arg;
	question_destroy(q);
	answer(whom, m);
}

static void on_closed(void *arg, struct channel *channel)
{
	struct peer *peer = arg;
	struct asker *a = peer->asker;
	struct question *q, *next;
	uint64_t name = peer->name;

	(void)channel;
	TAILQ_REMOVE(&a->peers, peer, link);
	HASH_ITER (hh, a->questions, q, next) {
		if (q->peer != peer)
			continue;
		/* A plain one is answered by its timer; a lasting one goes to another, or waits for one. */
		if (a->kind == ASKER_RESEND && !TAILQ_EMPTY(&a->peers))
			ask_again(q, least_busy(a));
		else
			assign(q, NULL);
	}
	channel_destroy(&peer->channel);
	free(peer);
	if (a->changed != NULL)
		a->changed(a->listener, name, false);
}
