/*
 * Questions to processes that answer, die, come back, or say nothing: each is answered once, and
 * never from inside the asking.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/ipc/asker.h"
#include "relay/ipc/channel.h"
#include "relay/net/loop.h"

enum { HEARD_MAX = 100, ANSWERS_MAX = 100 };

/* A process of the other role, as this test plays it. */
struct server {
	struct channel *channel;
	struct ipc_message heard[HEARD_MAX]; /* facts_ask only: number */
	size_t n_heard, n_told;
};

/* A question and what came of it. */
struct question {
	struct scene *scene;
	uint64_t number;
	size_t n_answers, n_nothing;
	char facts[32];
	struct question *cancels; /* another, from its own answer */
	bool asks_again, destroys;
	bool is_inside; /* asker_ask() has not returned yet */
};

struct scene {
	struct loop *loop;
	struct asker *asker;
	struct server servers[3];
	struct question questions[20];
	size_t n_news, n_came, n_went;
	uint64_t last_peer;
};

static void on_heard(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct server *server = arg;

	(void)channel;
	if (m->type != IPC_FACTS_ASK) {
		server->n_told++;
		return;
	}
	assert_true(server->n_heard < HEARD_MAX);
	server->heard[server->n_heard++] = (struct ipc_message){ .number = m->number };
}

static void on_lost(void *arg, struct channel *channel)
{
	(void)arg, (void)channel;
}

static void on_news(void *arg, uint64_t peer, struct ipc_message *m)
{
	struct scene *s = arg;

	assert_int_equal(m->type, IPC_STORAGE);
	s->last_peer = peer;
	s->n_news++;
}

static void on_changed(void *arg, uint64_t peer, bool is_here)
{
	struct scene *s = arg;

	s->last_peer = peer;
	if (is_here)
		s->n_came++;
	else
		s->n_went++;
}

static void begin(struct scene *s, enum asker_kind kind, int64_t timeout_ms)
{
	*s = (struct scene){ .loop = loop_create() };
	s->asker = asker_create(s->loop, kind, timeout_ms);
	asker_listen(s->asker, on_news, on_changed, s);
}

static void end(struct scene *s)
{
	asker_destroy(&s->asker);
	for (size_t i = 0; i < 3; i++)
		channel_destroy(&s->servers[i].channel);
	loop_destroy(&s->loop);
}

static void add(struct scene *s, size_t i)
{
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	s->servers[i].n_heard = 0;
	s->servers[i].channel = channel_create(s->loop, ends[1], on_heard, on_lost, &s->servers[i]);
	asker_add(s->asker, channel_create(s->loop, ends[0], NULL, NULL, NULL));
}

static void settle(struct scene *s)
{
	for (int i = 0; i < 200; i++)
		loop_run_once(s->loop, false);
}

static void on_answer(void *arg, const struct ipc_message *m);

static void ask(struct scene *s, size_t i, uint64_t peer)
{
	struct question *q = &s->questions[i];
	struct ipc_message m = { .type = IPC_FACTS_ASK, .fd = -1, .facts_ask.domain = "one.test" };

	q->scene = s;
	q->is_inside = true;
	q->number = asker_ask(s->asker, peer, &m, on_answer, q);
	q->is_inside = false;
	assert_true(q->number != 0);
}

static void on_answer(void *arg, const struct ipc_message *m)
{
	struct question *q = arg;
	struct scene *s = q->scene;

	assert_false(q->is_inside);
	if (m == NULL) {
		q->n_nothing++;
	} else {
		assert_int_equal(m->number, q->number);
		memcpy(q->facts, m->facts_say.facts.bytes, m->facts_say.facts.n);
		q->n_answers++;
	}
	if (q->cancels != NULL) {
		asker_cancel(s->asker, q->cancels->number);
		asker_cancel(s->asker, q->number); /* over: nothing to cancel */
	}
	if (q->asks_again) {
		q->asks_again = false;
		ask(s, (size_t)(q - s->questions) + 1, 0);
	}
	if (q->destroys)
		asker_destroy(&s->asker);
}

static void answer_number(struct server *server, uint64_t number, const char *facts)
{
	struct ipc_message m = { .type = IPC_FACTS_SAY, .fd = -1 };

	m.facts_say = (struct ipc_facts_say){ number, { facts, strlen(facts) } };
	channel_send(server->channel, &m);
}

static void answer(struct server *server, size_t i, const char *facts)
{
	assert_true(i < server->n_heard);
	answer_number(server, server->heard[i].number, facts);
}

static void spreads_and_matches(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, ASKER_PLAIN, 0);
	assert_false(asker_has_peer(s.asker));
	add(&s, 0);
	add(&s, 1);
	assert_true(asker_has_peer(s.asker));
	assert_int_equal(s.n_came, 2);
	for (size_t i = 0; i < 4; i++)
		ask(&s, i, 0);
	settle(&s);
	assert_int_equal(s.servers[0].n_heard, 2);
	assert_int_equal(s.servers[1].n_heard, 2);
	/* out of order */
	answer(&s.servers[1], 1, "3");
	answer(&s.servers[0], 1, "2");
	answer(&s.servers[0], 0, "0");
	answer(&s.servers[1], 0, "1");
	settle(&s);
	assert_string_equal(s.questions[0].facts, "0");
	assert_string_equal(s.questions[1].facts, "1");
	assert_string_equal(s.questions[2].facts, "2");
	assert_string_equal(s.questions[3].facts, "3");
	/* A second answer, one to nothing, and one to another's question are no answers. */
	ask(&s, 4, 0);
	settle(&s);
	answer(&s.servers[0], 0, "again");
	answer_number(&s.servers[0], 999, "nothing");
	answer_number(&s.servers[1], s.questions[4].number, "not mine");
	settle(&s);
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(s.questions[i].n_answers, 1);
	assert_int_equal(s.questions[4].n_answers, 0);
	end(&s);
}

static void goes_on_with_the_same_process(void **state)
{
	struct scene s;
	uint64_t peer;

	(void)state;
	begin(&s, ASKER_PLAIN, 0);
	add(&s, 0);
	add(&s, 1);
	ask(&s, 0, 0);
	peer = asker_peer_of(s.asker, s.questions[0].number);
	assert_true(peer != 0);
	settle(&s);
	answer(&s.servers[0], 0, "0");
	settle(&s);
	assert_int_equal(asker_peer_of(s.asker, s.questions[0].number), 0); /* no more open */
	for (size_t i = 1; i < 4; i++)
		ask(&s, i, peer);
	settle(&s);
	assert_int_equal(s.servers[0].n_heard, 4);
	assert_int_equal(s.servers[1].n_heard, 0);
	/* When it is gone there is no other that could. */
	channel_destroy(&s.servers[0].channel);
	settle(&s);
	ask(&s, 4, peer);
	settle(&s);
	for (size_t i = 1; i < 5; i++)
		assert_int_equal(s.questions[i].n_nothing, 1);
	end(&s);
}

static void plain_is_answered_nothing_once(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, ASKER_PLAIN, 60000);
	ask(&s, 0, 0); /* there is nobody */
	assert_int_equal(s.questions[0].n_nothing, 0);
	settle(&s);
	assert_int_equal(s.questions[0].n_nothing, 1);
	add(&s, 0);
	ask(&s, 1, 0);
	ask(&s, 2, 0);
	settle(&s);
	/* It dies after one answer, with the other under way. */
	answer(&s.servers[0], 0, "1");
	loop_run_once(s.loop, false); /* its word leaves it */
	channel_destroy(&s.servers[0].channel);
	settle(&s);
	assert_int_equal(s.questions[1].n_answers, 1);
	assert_int_equal(s.questions[1].n_nothing, 0);
	assert_int_equal(s.questions[2].n_answers, 0);
	assert_int_equal(s.questions[2].n_nothing, 1);
	assert_int_equal(s.n_went, 1);
	/* Nor does the next process hear of it. */
	add(&s, 0);
	settle(&s);
	assert_int_equal(s.servers[0].n_heard, 0);
	end(&s);
}

static void resend_goes_over_to_others(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, ASKER_RESEND, 60000);
	ask(&s, 0, 0); /* waits for the first to come */
	settle(&s);
	assert_int_equal(s.questions[0].n_nothing, 0);
	add(&s, 0);
	add(&s, 1);
	ask(&s, 1, 0);
	ask(&s, 2, 0);
	settle(&s);
	assert_int_equal(s.servers[0].n_heard, 2);
	assert_int_equal(s.servers[1].n_heard, 1);
	answer(&s.servers[0], 0, "0");
	loop_run_once(s.loop, false); /* its word leaves it */
	channel_destroy(&s.servers[0].channel);
	settle(&s);
	assert_int_equal(s.questions[0].n_answers, 1);
	assert_int_equal(s.servers[1].n_heard, 2); /* what the dead one had not answered */
	channel_destroy(&s.servers[1].channel);
	settle(&s);
	assert_false(asker_has_peer(s.asker));
	add(&s, 2);
	settle(&s);
	assert_int_equal(s.servers[2].n_heard, 2);
	answer(&s.servers[2], 0, "x");
	answer(&s.servers[2], 1, "x");
	settle(&s);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(s.questions[i].n_answers, 1);
		assert_int_equal(s.questions[i].n_nothing, 0);
	}
	end(&s);
}

/* The process to go on with is gone: any other may be asked again, there is no need to wait. */
static void resend_of_a_gone_process_asks_another(void **state)
{
	struct scene s;
	uint64_t peer;

	(void)state;
	begin(&s, ASKER_RESEND, 0);
	add(&s, 0);
	peer = s.last_peer;
	add(&s, 1);
	channel_destroy(&s.servers[0].channel);
	settle(&s);
	ask(&s, 0, peer);
	settle(&s);
	assert_int_equal(s.servers[1].n_heard, 1);
	end(&s);
}

static void time_is_over(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, ASKER_RESEND, 1);
	ask(&s, 0, 0);
	add(&s, 0);
	ask(&s, 1, 0);
	for (int i = 0; i < 1000 && s.questions[1].n_nothing == 0; i++)
		loop_run_once(s.loop, true);
	assert_int_equal(s.questions[0].n_nothing, 1);
	assert_int_equal(s.questions[1].n_nothing, 1);
	settle(&s);
	answer(&s.servers[0], 0, "late");
	settle(&s);
	assert_int_equal(s.questions[0].n_answers + s.questions[1].n_answers, 0);
	end(&s);
}

static void cancelled_is_not_called(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, ASKER_PLAIN, 0);
	ask(&s, 0, 0);
	asker_cancel(s.asker, s.questions[0].number); /* before its NULL */
	asker_cancel(s.asker, s.questions[0].number);
	asker_cancel(s.asker, 0);
	add(&s, 0);
	ask(&s, 1, 0);
	ask(&s, 2, 0);
	ask(&s, 3, 0);
	s.questions[2].cancels = &s.questions[3];
	settle(&s);
	asker_cancel(s.asker, s.questions[1].number);
	answer(&s.servers[0], 0, "1");
	answer(&s.servers[0], 1, "2");
	answer(&s.servers[0], 2, "3");
	settle(&s);
	assert_int_equal(s.questions[0].n_nothing, 0);
	assert_int_equal(s.questions[1].n_answers, 0);
	assert_int_equal(s.questions[2].n_answers, 1);
	assert_int_equal(s.questions[3].n_answers, 0);
	end(&s);
}

static void callbacks_may_ask_and_cancel_over_a_death(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, ASKER_PLAIN, 0);
	add(&s, 0);
	ask(&s, 0, 0);
	ask(&s, 2, 0);
	ask(&s, 3, 0);
	s.questions[0].asks_again = true; /* becomes question 1 */
	s.questions[2].cancels = &s.questions[3];
	settle(&s);
	channel_destroy(&s.servers[0].channel);
	settle(&s);
	assert_int_equal(s.questions[0].n_nothing, 1);
	assert_int_equal(s.questions[1].n_nothing, 1);
	assert_int_equal(s.questions[2].n_nothing, 1);
	assert_true(s.questions[3].n_nothing <= 1);
	end(&s);
}

static void callback_may_destroy_the_asker(void **state)
{
	struct scene s;

	(void)state;
	begin(&s, ASKER_PLAIN, 0);
	add(&s, 0);
	ask(&s, 0, 0);
	ask(&s, 1, 0);
	s.questions[0].destroys = true;
	settle(&s);
	answer(&s.servers[0], 0, "0");
	answer(&s.servers[0], 1, "1");
	settle(&s);
	assert_null(s.asker);
	assert_int_equal(s.questions[0].n_answers, 1);
	assert_int_equal(s.questions[1].n_answers, 0);
	end(&s);
}

static void tells_and_hears_news(void **state)
{
	const struct ipc_message told = { .type = IPC_AUTH_FORGET, .fd = -1 };
	struct ipc_message news = { .type = IPC_STORAGE, .fd = -1 };
	struct scene s;
	uint64_t first;

	(void)state;
	begin(&s, ASKER_PLAIN, 0);
	asker_tell(s.asker, 0, &told); /* to nobody */
	add(&s, 0);
	first = s.last_peer;
	add(&s, 1);
	asker_tell(s.asker, 0, &told);
	asker_tell(s.asker, first, &told);
	asker_tell(s.asker, 12345, &told);
	settle(&s);
	assert_int_equal(s.servers[0].n_told, 2);
	assert_int_equal(s.servers[1].n_told, 1);
	outcome_ok(&news.storage.verdict);
	channel_send(s.servers[0].channel, &news);
	settle(&s);
	assert_int_equal(s.n_news, 1);
	assert_int_equal(s.last_peer, first);
	assert_true(asker_new_exchange(s.asker) != asker_new_exchange(s.asker));
	end(&s);
}

/* A process that was taken over answers with a number where a text is read, or the other way round. */
static void an_answer_of_another_kind_is_none(void **state)
{
	static const enum ipc_type kinds[] = { IPC_AUTH_SAY, IPC_SIGN_SAY, IPC_SEGMENT_SAY,
		IPC_COMMIT_SAY, IPC_CLIENT_SAY, IPC_TEXTS_SAY, IPC_POST_SAY };
	struct scene s;

	(void)state;
	begin(&s, ASKER_PLAIN, 0);
	add(&s, 0);
	ask(&s, 0, 0);
	settle(&s);
	for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
		struct ipc_message m = { .type = kinds[i], .fd = -1 };

		m.number = s.questions[0].number;
		channel_send(s.servers[0].channel, &m);
	}
	settle(&s);
	assert_int_equal(s.questions[0].n_answers, 0);
	answer(&s.servers[0], 0, "at last");
	settle(&s);
	assert_int_equal(s.questions[0].n_answers, 1);
	assert_string_equal(s.questions[0].facts, "at last");
	end(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spreads_and_matches),
		cmocka_unit_test(goes_on_with_the_same_process),
		cmocka_unit_test(plain_is_answered_nothing_once),
		cmocka_unit_test(resend_goes_over_to_others),
		cmocka_unit_test(resend_of_a_gone_process_asks_another),
		cmocka_unit_test(time_is_over),
		cmocka_unit_test(cancelled_is_not_called),
		cmocka_unit_test(callbacks_may_ask_and_cancel_over_a_death),
		cmocka_unit_test(callback_may_destroy_the_asker),
		cmocka_unit_test(tells_and_hears_news),
		cmocka_unit_test(an_answer_of_another_kind_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
