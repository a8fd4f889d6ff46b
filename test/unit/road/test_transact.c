/*
 * Dialogues of one transaction: what the server says at each step, and what each recipient gets.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/mem.h"
#include "relay/transact.h"
#include "scripted_peer.h"
#include "sample_message.h"

enum { RECIPIENTS_MAX = 4 };

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define GROUP1     "< MAIL FROM:<me@example.org>", "< RCPT TO:<r1@example.net>", "= DATA"
#define GROUP2                                                                                     \
	"< MAIL FROM:<me@example.org>", "< RCPT TO:<r1@example.net>",                              \
	    "< RCPT TO:<r2@example.net>", "= DATA"
#define GROUP3                                                                                     \
	"< MAIL FROM:<me@example.org>", "< RCPT TO:<r1@example.net>",                              \
	    "< RCPT TO:<r2@example.net>", "< RCPT TO:<r3@example.net>", "= DATA"
#define CONTENT "= Subject: x", "= ", "= ..dot", "= last", "= ."

static const char header[] = "Subject: x\r\n\r\n";
static const char body[] = ".dot\r\nlast\r\n";

/* '-': left for another transaction or another address */
struct wanted {
	char class; /* '2' '4' '5' '-' */
	int code;
	const char *says; /* in its text, or its whole stable name */
};

struct scene {
	const char *name;
	bool no_pipelining;
	bool reset_first;
	bool falls_silent;
	size_t n_recipients;
	const char *const *script;
	struct wanted wanted[RECIPIENTS_MAX];
	bool is_over;
	bool left_open;
};

static const struct scene scenes[] = {
	{ "one recipient, step by step", .no_pipelining = true, .n_recipients = 1,
	    .script =
		LINES("= MAIL FROM:<me@example.org>", "> 250 ok", "= RCPT TO:<r1@example.net>",
		    "> 250 ok", "= DATA", "> 354 go", CONTENT, "> 250 2.6.0 queued as 12"),
	    .wanted = { { '2', 250, "queued as 12" } } },
	{ "one recipient, in one group", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "> 250 ok"),
	    .wanted = { { '2', 250, "ok" } } },
	{ "R13: each recipient has its own verdict", .n_recipients = 3,
	    .script = LINES(GROUP3, "> 250 ok", "> 250 ok", "> 450 4.2.0 later",
		"> 550 5.1.1 no such user", "> 354 go", CONTENT, "> 250 ok"),
	    .wanted = { { '2', 250, "ok" }, { '4', 450, "later" }, { '5', 550, "no such user" } } },
	{ "R13: the same, step by step", .no_pipelining = true, .n_recipients = 3,
	    .script = LINES("< MAIL", "> 250 ok", "< RCPT TO:<r1", "> 550 5.1.1 no",
		"< RCPT TO:<r2", "> 250 ok", "< RCPT TO:<r3", "> 450 later", "= DATA", "> 354 go",
		CONTENT, "> 250 ok"),
	    .wanted = { { '5', 550, "no" }, { '2', 250, "ok" }, { '4', 450, "later" } } },
	{ "every recipient refused", .no_pipelining = true, .n_recipients = 2,
	    .script = LINES("< MAIL", "> 250 ok", "< RCPT", "> 550 no", "< RCPT", "> 450 later"),
	    .wanted = { { '5', 550, "no" }, { '4', 450, "later" } }, .left_open = true },
	{ "every recipient refused, and DATA with them", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 550 no", "> 450 later", "> 503 no recipients"),
	    .wanted = { { '5', 550, "no" }, { '4', 450, "later" } }, .left_open = true },
	{ "354 with no recipient: the end at once", .n_recipients = 1,
	    .script =
		LINES(GROUP1, "> 250 ok", "> 550 no", "> 354 go", "= .", "> 554 no recipients"),
	    .wanted = { { '5', 550, "no" } } },
	{ "the sender deferred, the group refused with it", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 451 4.7.1 greylisted", "> 503 need MAIL", "> 503 need MAIL",
		"> 503 need RCPT"),
	    .wanted = { { '4', 451, "greylisted" }, { '4', 451, "greylisted" } },
	    .left_open = true },
	{ "the sender refused, step by step", .no_pipelining = true, .n_recipients = 2,
	    .script = LINES("< MAIL", "> 553 5.1.8 bad sender"),
	    .wanted = { { '5', 553, "bad sender" }, { '5', 553, "bad sender" } },
	    .left_open = true },
	{ "R27: the sender refused for good, then closed", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 550 5.7.1 not you", "!"),
	    .wanted = { { '5', 550, "not you" }, { '5', 550, "not you" } }, .is_over = true,
	    .left_open = true },
	{ "R14: too many recipients, the rest in another transaction", .n_recipients = 3,
	    .script = LINES(GROUP3, "> 250 ok", "> 250 ok", "> 452 4.5.3 too many",
		"> 452 4.5.3 too many", "> 354 go", CONTENT, "> 250 ok"),
	    .wanted = { { '2', 250, "ok" }, { '-' }, { '-' } } },
	{ "R14: 552 of an old server means the same", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 250 ok", "> 552 too many recipients", "> 354 go",
		CONTENT, "> 250 ok"),
	    .wanted = { { '2', 250, "ok" }, { '-' } } },
	{ "552 of a full mailbox is for good", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 250 ok", "> 552 5.2.2 mailbox full", "> 354 go",
		CONTENT, "> 250 ok"),
	    .wanted = { { '2', 250, "ok" }, { '5', 552, "mailbox full" } } },
	{ "452 to the first recipient defers it", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 452 4.5.3 too many", "> 503 no"),
	    .wanted = { { '4', 452, "too many" } }, .left_open = true },
	{ "R8: 421 to MAIL", .n_recipients = 1, .script = LINES(GROUP1, "> 421 4.3.2 closing", "!"),
	    .wanted = { { '-' } }, .is_over = true },
	{ "R8: 421 to RCPT after one was refused", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 550 no", "> 421 closing", "!"),
	    .wanted = { { '5', 550, "no" }, { '-' } }, .is_over = true, .left_open = true },
	{ "R8: 421 to DATA", .no_pipelining = true, .n_recipients = 1,
	    .script =
		LINES("< MAIL", "> 250 ok", "< RCPT", "> 250 ok", "= DATA", "> 421 closing", "!"),
	    .wanted = { { '-' } }, .is_over = true, .left_open = true },
	{ "R8: 421 to the dot", .n_recipients = 1,
	    .script =
		LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "> 421 closing", "!"),
	    .wanted = { { '4', 421, "closing" } }, .is_over = true, .left_open = true },
	{ "R9: closed at MAIL", .n_recipients = 1, .script = LINES(GROUP1, "!"),
	    .wanted = { { '-' } }, .is_over = true },
	{ "R9: closed in mid-transaction", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 250 ok", "!"), .wanted = { { '-' }, { '-' } },
	    .is_over = true, .left_open = true },
	{ "R9: closed after the dot: may have it, is not tried elsewhere", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 250 ok", "> 550 no", "> 354 go", CONTENT, "!"),
	    .wanted = { { '4', 451, "message may be sent more than once" }, { '5', 550, "no" } },
	    .is_over = true, .left_open = true },
	{ "R10: 250 to the dot, then a reset", .n_recipients = 1,
	    .script =
		LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "> 250 mine", "!!"),
	    .wanted = { { '2', 250, "mine" } } },
	{ "R10: half a reply to the dot is none", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, ">> 250 mi", "!"),
	    .wanted = { { '4', 451, "connection-lost" } }, .is_over = true, .left_open = true },
	{ "R11: a reply too many", .no_pipelining = true, .n_recipients = 1,
	    .script = LINES("< MAIL", "> 250 ok", "> 250 and more"), .wanted = { { '-' } },
	    .is_over = true, .left_open = true },
	{ "R11: replies before their commands are not believed", .no_pipelining = true,
	    .n_recipients = 1,
	    .script = LINES("< MAIL", "> 250 ok", "> 250 ok", "> 354 go", "> 250 ok"),
	    .wanted = { { '-' } }, .is_over = true, .left_open = true },
	{ "R12: refused before the content has ended", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", "> 554 no after all"),
	    .wanted = { { '4', 451, "reply-early" } }, .is_over = true, .left_open = true },
	{ "R15: 556 to RCPT", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 556 5.1.10 null MX", "> 503 no"),
	    .wanted = { { '5', 556, "null MX" } }, .left_open = true },
	{ "R16: the basic code's class wins", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 550 4.2.0 odd", "> 503 no"),
	    .wanted = { { '5', 550, "odd" } }, .left_open = true },
	{ "R4: no reply at all in RCPT's place", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 2500 ok"), .wanted = { { '-' } },
	    .is_over = true, .left_open = true },
	{ "250 where 354 is due", .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 250 ok", "> 250 ok"), .wanted = { { '-' } },
	    .is_over = true, .left_open = true },
	{ "DATA refused for good", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 250 ok", "> 450 later", "> 554 5.7.1 policy"),
	    .wanted = { { '5', 554, "policy" }, { '4', 450, "later" } }, .left_open = true },
	{ "the content refused for good", .n_recipients = 2,
	    .script = LINES(GROUP2, "> 250 ok", "> 250 ok", "> 450 later", "> 354 go", CONTENT,
		"> 554 5.6.0 spam"),
	    .wanted = { { '5', 554, "spam" }, { '4', 450, "later" } } },
	{ "what was left open is reset", .reset_first = true, .n_recipients = 1,
	    .script = LINES("= RSET", "> 250 ok", GROUP1, "> 250 ok", "> 250 ok", "> 354 go",
		CONTENT, "> 250 ok"),
	    .wanted = { { '2', 250, "ok" } } },
	{ "R1: silence", .falls_silent = true, .no_pipelining = true, .n_recipients = 1,
	    .script = LINES("< MAIL", "> 250 ok", "< RCPT"), .wanted = { { '-' } }, .is_over = true,
	    .left_open = true },
	{ "silence after the dot", .falls_silent = true, .n_recipients = 1,
	    .script = LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT),
	    .wanted = { { '4', 451, "timeout" } }, .is_over = true, .left_open = true },
};

/* For servers that fall silent, and for all the others, on a machine however busy. */
static const struct patience hurry = { 200, 200, 200, 200, 200, 200, 200, 20000, 20000 };
static const struct patience calm = { 20000, 20000, 20000, 20000, 20000, 20000, 20000, 20000,
	60000 };

struct act {
	struct loop *loop;
	struct stream *stream;
	struct peer *peer;
	struct message message;
	int fd;
	struct smtp_capability can;
	bool is_done;
	bool is_over, left_open;
	struct outcome trouble;
	struct transact_verdict verdicts[RECIPIENTS_MAX];
};

static void done(const struct transact_result *result, void *arg)
{
	struct act *act = arg;

	act->is_done = true;
	act->is_over = result->is_over;
	act->left_open = result->left_open;
	act->trouble = result->trouble;
	memcpy(act->verdicts, result->verdicts, result->n_verdicts * sizeof *result->verdicts);
	loop_stop(act->loop);
}

static void set_stage(struct act *act, const char *content, const char *const *script, size_t n)
{
	int ends[2];

	*act = (struct act){ .loop = loop_create(),
		.can = { .pipelining = true, .eight_bit_mime = true } };
	act->fd = sample_message_make(&act->message, header, content, n);
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	act->stream = stream_create(act->loop, ends[0]);
	act->peer = peer_on(act->loop, ends[1], script);
}

static void play(struct act *act, bool reset_first, const struct patience *patience)
{
	static const size_t all[] = { 0, 1, 2, 3 };
	const struct transact_order order = { .loop = act->loop,
		.stream = act->stream,
		.peer = "mx.example[192.0.2.1]:25",
		.can = &act->can,
		.patience = patience,
		.message = &act->message,
		.fd = act->fd,
		.recipients = all,
		.n_recipients = act->message.n_recipients,
		.reset_first = reset_first };
	struct transact *t = transact_start(&order, done, act);

	assert_non_null(t);
	assert_false(act->is_done);
	loop_run(act->loop);
	assert_true(act->is_done);
}

static void clear_stage(struct act *act)
{
	stream_destroy(&act->stream);
	peer_destroy(&act->peer);
	message_finish(&act->message);
	close(act->fd);
	loop_destroy(&act->loop);
}

static void check_verdict(
    const char *scene, const struct transact_verdict *got, const struct wanted *wanted)
{
	static const char classes[] = {
		[OUTCOME_OK] = '2', [OUTCOME_DEFER] = '4', [OUTCOME_FAIL] = '5'
	};
	char class = got->is_settled ? classes[got->outcome.class] : '-';

	if (class != wanted->class || (got->is_settled && got->outcome.code != wanted->code) ||
	    (got->is_settled && strstr(got->outcome.text, wanted->says) == NULL &&
		strcmp(got->outcome.name, wanted->says) != 0))
		fail_msg("%s: wanted %c %d \"%s\", got %c %d \"%s\" [%s]", scene, wanted->class,
		    wanted->code, wanted->says, class, got->outcome.code, got->outcome.text,
		    got->outcome.name);
}

static void test_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
		const struct scene *scene = &scenes[i];
		struct act act;

		set_stage(&act, body, scene->script, scene->n_recipients);
		act.can.pipelining = !scene->no_pipelining;
		play(&act, scene->reset_first, scene->falls_silent ? &hurry : &calm);
		for (size_t j = 0; j < scene->n_recipients; j++)
			check_verdict(scene->name, &act.verdicts[j], &scene->wanted[j]);
		if (peer_problem(act.peer) != NULL)
			fail_msg("%s: %s", scene->name, peer_problem(act.peer));
		if (act.is_over != scene->is_over || act.left_open != scene->left_open)
			fail_msg("%s: is over %d, left open %d", scene->name, act.is_over,
			    act.left_open);
		if (act.is_over && outcome_is_ok(&act.trouble))
			fail_msg("%s: over, and no reason given", scene->name);
		clear_stage(&act);
	}
}

static void test_offers_are_used(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, body,
	    LINES("= MAIL FROM:<me@example.org> SIZE=26 BODY=8BITMIME", "> 550 enough"), 1);
	act.can = (struct smtp_capability){ .size = true, .eight_bit_mime = true };
	act.message.is_8bit = true;
	play(&act, false, &calm);
	assert_null(peer_problem(act.peer));
	clear_stage(&act);
}

/* D10, Q10: nothing is said to the server of a message that is not what was accepted. */
static void test_spoiled_message_is_not_sent(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, body, LINES("< nothing"), 1);
	sample_message_spoil(act.fd, &act.message);
	play(&act, false, &calm);
	assert_true(act.verdicts[0].is_settled);
	assert_true(outcome_is_corrupt(&act.verdicts[0].outcome));
	assert_int_equal(act.verdicts[0].outcome.class, OUTCOME_DEFER);
	assert_false(act.is_over);
	assert_string_equal(peer_problem(act.peer), "connection 1 never came to \"< nothing\"");
	clear_stage(&act);
}

/* n bytes of short lines. */
static char *make_lines(size_t n)
{
	char *content = mem_create(n + 1);

	memset(content, 'x', n);
	for (size_t at = 62; at < n; at += 64)
		memcpy(content + at, "\r\n", 2);
	return content;
}

struct ticker {
	struct timer *timer;
	size_t n;
};

static void on_tick(void *arg)
{
	struct ticker *ticker = arg;

	ticker->n++;
	timer_set(ticker->timer, 0);
}

/* O7: what is large is not read in one go, while everybody else in the process waits. */
static void test_others_have_their_turns_while_a_message_is_checked(void **state)
{
	const size_t n = 8 << 20;
	char *content = make_lines(n);
	struct ticker ticker = { 0 };
	struct act act;

	(void)state;
	set_stage(&act, content, LINES("< nothing"), 1);
	if (pwrite(act.fd, "?", 1, (off_t)(act.message.body.offset + n - 3)) != 1)
		abort();
	ticker.timer = timer_create_in(act.loop, on_tick, &ticker);
	timer_set(ticker.timer, 0);
	play(&act, false, &calm);
	assert_true(outcome_is_corrupt(&act.verdicts[0].outcome));
	assert_in_range(ticker.n, 16, 1000);
	timer_destroy(&ticker.timer);
	clear_stage(&act);
	free(content);
}

struct spoiler {
	struct act *act;
	struct timer *timer;
	off_t at;
};

/* Once the content is on its way. */
static void on_spoil(void *arg)
{
	struct spoiler *spoiler = arg;

	if (stream_n_unsent(spoiler->act->stream) < 1000)
		timer_set(spoiler->timer, 0);
	else if (pwrite(spoiler->act->fd, "?", 1, spoiler->at) != 1)
		abort();
}

/* Q10: whole when it was checked, and no longer when it is sent: the end is never said. */
static void test_spoiled_on_its_way_never_ends(void **state)
{
	const size_t n = 8 << 20;
	char *content = make_lines(n);
	struct spoiler spoiler;
	struct act act;

	(void)state;
	set_stage(&act, content, LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", "*"), 1);
	spoiler = (struct spoiler){ .act = &act,
		.timer = timer_create_in(act.loop, on_spoil, &spoiler),
		.at = (off_t)(act.message.body.offset + n - 3) };
	timer_set(spoiler.timer, 0);
	play(&act, false, &calm);
	assert_true(act.is_over);
	assert_true(outcome_is_corrupt(&act.verdicts[0].outcome));
	assert_string_equal(peer_problem(act.peer), "connection 1 never came to \"*\"");
	timer_destroy(&spoiler.timer);
	clear_stage(&act);
	free(content);
}

static void test_uncanonical_message_never_ends(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, "a\n.\r\nMAIL FROM:<b@example.org>\r\n",
	    LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go"), 1);
	play(&act, false, &calm);
	assert_true(act.is_over);
	assert_true(outcome_is_corrupt(&act.verdicts[0].outcome));
	assert_null(peer_problem(act.peer));
	clear_stage(&act);
}

/* Many pieces, each of them with dots and line ends across its borders. */
static void test_large_content_arrives_whole(void **state)
{
	const size_t n_lines = 100000;
	char *content = mem_create(n_lines * 8 + 1);
	struct act act;

	(void)state;
	for (size_t i = 0; i < n_lines; i++)
		memcpy(content + i * 8, i % 2 == 0 ? ".2345\r\n." : "23456\r\n.", 8);
	memcpy(content + n_lines * 8 - 8, "234567\r\n", 8);
	set_stage(
	    &act, content, LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", "*", "> 250 ok"), 1);
	play(&act, false, &calm);
	assert_int_equal(act.verdicts[0].outcome.class, OUTCOME_OK);
	assert_null(peer_problem(act.peer));
	assert_int_equal(peer_n_content_lines(act.peer), n_lines + 3);
	clear_stage(&act);
	free(content);
}

/* R20 too: a server that takes nothing more does not keep us. */
static void R21_a_closed_window_ends(void **state)
{
	const size_t n = 4 << 20;
	char *content = mem_create(n + 1);
	struct act act;

	(void)state;
	memset(content, 'x', n);
	memcpy(content + n - 2, "\r\n", 2);
	set_stage(&act, content, LINES(GROUP1, "> 250 ok", "> 250 ok", "> 354 go", "~"), 1);
	play(&act, false, &hurry);
	assert_false(act.verdicts[0].is_settled);
	assert_true(act.is_over);
	assert_string_equal(act.trouble.name, "timeout");
	assert_non_null(strstr(act.trouble.text, "sending message body"));
	clear_stage(&act);
	free(content);
}

static void test_cancel(void **state)
{
	struct act act;

	(void)state;
	set_stage(&act, body, LINES("< MAIL"), 1);
	for (int turns = 0; turns < 4; turns++) {
		const size_t first = 0;
		const struct transact_order order = { act.loop, act.stream, "x[::1]:25", &act.can,
			&calm, &act.message, act.fd, &first, 1, false };
		struct transact *t = transact_start(&order, done, &act);

		for (int i = 0; i < turns; i++)
			loop_run_once(act.loop, false);
		transact_cancel(&t);
		assert_null(t);
	}
	transact_cancel(&(struct transact *){ NULL });
	assert_false(act.is_done);
	clear_stage(&act);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_dialogues),
		cmocka_unit_test(test_offers_are_used),
		cmocka_unit_test(test_spoiled_message_is_not_sent),
		cmocka_unit_test(test_others_have_their_turns_while_a_message_is_checked),
		cmocka_unit_test(test_spoiled_on_its_way_never_ends),
		cmocka_unit_test(test_uncanonical_message_never_ends),
		cmocka_unit_test(test_large_content_arrives_whole),
		cmocka_unit_test(R21_a_closed_window_ends),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
