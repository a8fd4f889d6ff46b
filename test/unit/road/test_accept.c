/*
 * One message from 354 to 250, with the queue and the keeper played: what lies in the segment in the
 * end is what the client sent, under a sealed header, or there was a refusal and nothing is left.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "house.h"
#include "relay/accept.h"
#include "relay/base/mem.h"

static const char header[] = "From: Shop <shop@example.org>\r\nTo: <a@one.test>\r\n"
			     "Subject: invoice\r\nBcc: <boss@example.org>\r\n"
			     "Message-ID: <1@example.org>\r\n\r\n";

struct scene {
	struct house_of_tests h;
	struct accept *accept;
	struct outcome outcome, why;
	size_t n_done, n_ready;
};

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof *s);

	house_init(&s->h);
	house_bring_queue(&s->h);
	house_bring_keeper(&s->h);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	accept_destroy(&s->accept);
	house_finish(&s->h);
	free(s);
	return 0;
}

/* special: size and REQUIRETLS. */
static void begin_as(struct scene *s, const struct accept_facts *special)
{
	const struct accept_facts facts = { .account = &s->h.account,
		.sender = "shop@example.org",
		.client_name = "client.example",
		.tls_version = "TLSv1.3",
		.tls_cipher = "TLS_AES_256_GCM_SHA384",
		.declared_size = special->declared_size,
		.requires_tls = special->requires_tls };

	s->accept = accept_create(&s->h.submit, &facts);
}

static void begin(struct scene *s, uint64_t declared_size)
{
	begin_as(s, &(struct accept_facts){ .declared_size = declared_size });
}

static void on_ready(void *arg)
{
	struct scene *s = arg;

	s->n_ready++;
}

static void on_done(void *arg, const struct outcome *outcome)
{
	struct scene *s = arg;

	s->n_done++;
	s->outcome = *outcome;
}

/* In pieces, waiting where it is told to. False when it is refused. */
static bool give(struct scene *s, const char *bytes, size_t n, size_t piece)
{
	while (n > 0) {
		size_t now = n < piece ? n : piece, n_ready = s->n_ready;

		switch (accept_take(s->accept, bytes, now, &s->why, on_ready, s)) {
		case ACCEPT_REFUSED: return false;
		case ACCEPT_GOES_ON: break;
		case ACCEPT_WAITS:
			house_turn(&s->h);
			assert_int_equal(s->n_ready, n_ready + 1);
			if (accept_take(s->accept, "", 0, &s->why, NULL, NULL) == ACCEPT_REFUSED)
				return false;
			break;
		}
		bytes += now;
		n -= now;
	}
	return true;
}

static void finish(struct scene *s)
{
	static const char *const recipients[] = { "a@one.test", "b@two.test" };

	accept_finish(s->accept, recipients, 2, on_done, s);
	assert_int_equal(s->n_done, 0);
	house_turn(&s->h);
}

static void assert_is_header(const char *text)
{
	assert_int_equal(strncmp(text, "DKIM-Signature:", 15), 0);
	assert_non_null(strstr(text, "\r\nReceived: from client.example"));
	assert_non_null(strstr(text, "\r\nSubject: invoice\r\n"));
	assert_non_null(strstr(text, "\r\nDate: "));
	assert_null(strstr(text, "Bcc"));
	assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
}

static void a_small_message(void **state)
{
	static const char body[] = "Dear customer,\r\nplease p\xc3\xa4y.\r\n";
	struct scene *s = *state;
	const struct message *m = &s->h.commits[0];
	char *text;

	for (size_t piece = 1; piece < 200; piece += 66) {
		s->n_done = 0;
		begin(s, 0);
		assert_true(give(s, header, sizeof header - 1, piece));
		assert_true(give(s, body, sizeof body - 1, piece));
		finish(s);
		assert_int_equal(s->n_done, 1);
		assert_int_equal(s->outcome.code, 250);
		assert_non_null(strstr(s->outcome.text, accept_id(s->accept)));
		m = &s->h.commits[s->h.n_commits - 1];
		assert_string_equal(m->id, accept_id(s->accept));
		assert_string_equal(m->sender, "shop@example.org");
		assert_string_equal(m->account, "web@example.org");
		assert_string_equal(m->from_domain, "example.org");
		assert_string_equal(m->message_id, "<1@example.org>");
		assert_int_equal(m->n_recipients, 2);
		assert_true(m->is_8bit && !m->is_bulk);
		assert_true(m->expires_s - m->arrived_s == 5 * 86400);
		text = house_read(&s->h, m->segment, &m->body);
		assert_string_equal(text, body);
		free(text);
		text = house_read(&s->h, m->segment, &m->header);
		assert_is_header(text);
		free(text);
		accept_destroy(&s->accept);
	}
	assert_int_equal(s->h.n_segments, 1); /* all share one */
	assert_int_equal(s->h.n_released, 0);
}

/* RFC 8689 4.1: what the queue is told of REQUIRETLS and of the field, which leaves as it came. */
static void requiretls_and_its_contrary_are_told_to_the_queue(void **state)
{
	static const struct {
		bool requires_tls;
		const char *field;
		bool wants_required, wants_optional;
	} cases[] = {
		{ false, "", false, false },
		{ true, "", true, false },
		{ false, "TLS-Required: No\r\n", false, true },
		{ true, "TLS-Required: No\r\n", true, false },
		{ false, "TLS-Required: Yes\r\n", false, false },
		{ true, "TLS-Required: Yes\r\n", true, false },
	};
	struct scene *s = *state;

	s->h.account.tls_floor = TLS_VERIFY;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct message *m = &s->h.commits[i];
		char *text;

		begin_as(s, &(struct accept_facts){ .requires_tls = cases[i].requires_tls });
		assert_true(give(s, cases[i].field, strlen(cases[i].field), 100));
		assert_true(give(s, header, sizeof header - 1, 100));
		finish(s);
		assert_int_equal(s->outcome.code, 250);
		assert_int_equal(m->requires_tls, cases[i].wants_required);
		assert_int_equal(m->tls_optional, cases[i].wants_optional);
		assert_int_equal(m->tls_floor, TLS_VERIFY);
		text = house_read(&s->h, m->segment, &m->header);
		assert_non_null(strstr(text, cases[i].field));
		free(text);
		s->n_done = 0;
		accept_destroy(&s->accept);
	}
}

static char *make_body(size_t n)
{
	char *body = mem_create(n + 1);

	for (size_t i = 0; i < n; i++)
		body[i] = i % 78 == 76 ? '\r' : i % 78 == 77 ? '\n' : (char)('a' + i / 78 % 26);
	return body;
}

static void sizes_around_the_limit_of_memory(void **state)
{
	static const size_t sizes[] = { 0, 1, ACCEPT_MEMORY_MAX - 1, ACCEPT_MEMORY_MAX,
		ACCEPT_MEMORY_MAX + 1, 2 * ACCEPT_MEMORY_MAX, 3000000 };
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		size_t n = sizes[i], n_segments = s->h.n_segments, n_released = s->h.n_released;
		char *body = make_body(n), *text;
		bool is_large = n > ACCEPT_MEMORY_MAX;
		const struct message *m;

		s->n_done = 0;
		begin(s, i % 2 == 0 ? n : 0);
		assert_true(give(s, header, sizeof header - 1, 65536));
		assert_true(give(s, body, n, 65536));
		finish(s);
		assert_int_equal(s->n_done, 1);
		assert_int_equal(s->outcome.code, 250);
		m = &s->h.commits[s->h.n_commits - 1];
		assert_false(m->is_8bit);
		assert_int_equal(m->body.length, n);
		text = house_read(&s->h, m->segment, &m->body);
		assert_string_equal(text, body);
		free(text);
		text = house_read(&s->h, m->segment, &m->header);
		assert_is_header(text);
		free(text);
		assert_int_equal(s->h.n_segments - n_segments, is_large || i == 0);
		accept_destroy(&s->accept);
		house_turn(&s->h);
		assert_int_equal(s->h.n_released - n_released, is_large);
		free(body);
	}
}

static void S16_header_limits(void **state)
{
	struct scene *s = *state;
	char *large = mem_create(110000);

	memset(large, 'x', 102395);
	memcpy(large, "X: ", 3);
	memcpy(large + 102395, "\r\n", 2);
	begin(s, 0);
	assert_true(give(s, large, 102397, 4096));
	assert_false(give(s, header, sizeof header - 1, 4096)); /* together too much */
	assert_int_equal(s->why.code, 552);
	/* And refused it stays, whatever follows. */
	assert_false(give(s, "more\r\n", 6, 6));
	assert_int_equal(s->why.code, 552);
	free(large);
}

static void S17_too_many_fields(void **state)
{
	struct scene *s = *state;

	begin(s, 0);
	for (int i = 0; i < 1000; i++)
		assert_true(give(s, "X: y\r\n", 6, 6));
	assert_true(give(s, header, sizeof header - 1, 4096));
	finish(s);
	assert_int_equal(s->outcome.code, 552);
	assert_string_equal(s->outcome.name, "header-too-many-fields");
	assert_int_equal(s->h.n_segments + s->h.n_commits, 0);
}

static void refusals_before_anything_is_kept(void **state)
{
	static const struct {
		const char *what, *content;
		int code;
	} cases[] = {
		{ "S7 nothing at all", "\r\n", 554 },
		{ "P11 no From", "Subject: x\r\n\r\nbody\r\n", 554 },
		{ "P10 two From", "From: <shop@example.org>\r\nFrom: <a@bank.example>\r\n\r\n",
		    554 },
		{ "foreign From", "From: <ceo@bank.example>\r\n\r\nbody\r\n", 550 },
		{ "P12 one of two foreign",
		    "From: <shop@example.org>, <ceo@bank.example>\r\n"
		    "Sender: <shop@example.org>\r\n\r\n",
		    550 },
		{ "S18 no colon", "From: <shop@example.org>\r\nnonsense\r\n\r\n", 554 },
		{ "header without its end", "From: <ceo@bank.example>\r\n", 550 },
	};
	struct scene *s = *state;

	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		s->n_done = 0;
		begin(s, 0);
		assert_true(give(s, cases[i].content, strlen(cases[i].content), 7));
		finish(s);
		if (s->n_done != 1 || s->outcome.code != cases[i].code)
			fail_msg("%s: %d %s", cases[i].what, s->outcome.code, s->outcome.text);
		accept_destroy(&s->accept);
	}
	assert_int_equal(s->h.n_segments + s->h.n_commits + s->h.n_signed, 0);
}

static void give_all(struct scene *s)
{
	begin(s, 0);
	assert_true(give(s, header, sizeof header - 1, 4096));
	assert_true(give(s, "body\r\n", 6, 6));
	finish(s);
}

static void K12_no_seal_no_mail(void **state)
{
	struct scene *s = *state;

	s->h.refuses_to_sign = true;
	give_all(s);
	assert_int_equal(s->outcome.code, 451);
	assert_string_equal(s->outcome.name, "no-key");
	accept_destroy(&s->accept);
	channel_destroy(&s->h.keeper_end);
	s->n_done = 0;
	give_all(s);
	assert_int_equal(s->outcome.code, 451);
	assert_string_equal(s->outcome.name, "keeper-unavailable");
	assert_int_equal(s->h.n_commits + s->h.n_segments, 0);
}

static void D5_no_room(void **state)
{
	struct scene *s = *state;
	char *body = make_body(400000);

	outcome_say(&s->h.segment_verdict, 452, "4.3.1", "disk-full", "No room");
	give_all(s);
	assert_int_equal(s->outcome.code, 452);
	accept_destroy(&s->accept);
	/* A large one is refused while it arrives. */
	begin(s, 0);
	assert_true(give(s, header, sizeof header - 1, 4096));
	assert_false(give(s, body, 400000, 65536));
	assert_int_equal(s->why.code, 452);
	free(body);
}

static void Q4_disk_fills_while_it_is_written(void **state)
{
	struct scene *s = *state;
	char *body = make_body(400000);

	s->h.file = "/dev/full";
	give_all(s);
	assert_int_equal(s->outcome.code, 452);
	assert_string_equal(s->outcome.name, "disk-full");
	house_turn(&s->h);
	assert_int_equal(s->h.n_released, 1); /* that segment takes no more (D4) */
	accept_destroy(&s->accept);
	begin(s, 0);
	assert_true(give(s, header, sizeof header - 1, 4096));
	assert_false(give(s, body, 400000, 65536));
	assert_int_equal(s->why.code, 452);
	accept_destroy(&s->accept);
	house_turn(&s->h);
	assert_int_equal(s->h.n_released, 2);
	/* With room again the next goes well. */
	s->h.file = NULL;
	s->n_done = 0;
	give_all(s);
	assert_int_equal(s->outcome.code, 250);
	free(body);
}

static void Q18_a_segment_without_its_file(void **state)
{
	struct scene *s = *state;
	char *body = make_body(400000);

	s->h.sends_no_file = true;
	give_all(s);
	assert_int_equal(s->n_done, 1);
	assert_int_equal(s->outcome.code, 451);
	accept_destroy(&s->accept);
	begin(s, 0);
	assert_true(give(s, header, sizeof header - 1, 4096));
	assert_false(give(s, body, 400000, 65536));
	assert_int_equal(s->why.code, 451);
	assert_int_equal(s->h.n_segments, 2); /* each asked for once */
	free(body);
}

static void D4_commit_refused(void **state)
{
	struct scene *s = *state;

	outcome_say(&s->h.commit_verdict, 451, "4.3.0", "disk-error", "The sync failed");
	give_all(s);
	assert_int_equal(s->outcome.code, 451);
	house_turn(&s->h);
	assert_int_equal(s->h.n_released, 1);
	accept_destroy(&s->accept);
	outcome_ok(&s->h.commit_verdict);
	s->n_done = 0;
	give_all(s);
	assert_int_equal(s->outcome.code, 250);
	assert_int_equal(s->h.commits[1].segment, 1);
}

/* The queue dies with the commit under way: the next is asked the same, under the same id (D6). */
static void a_queue_that_dies_is_asked_again(void **state)
{
	struct scene *s = *state;

	give_all(s);
	accept_destroy(&s->accept);
	s->n_done = 0;
	s->h.is_silent = true;
	give_all(s);
	assert_int_equal(s->n_done, 0);
	house_bring_queue(&s->h);
	s->h.is_silent = false;
	house_turn(&s->h);
	assert_int_equal(s->n_done, 1);
	assert_int_equal(s->outcome.code, 250);
	assert_string_equal(s->h.commits[1].id, accept_id(s->accept));
}

/* S23: the client goes at any moment: nothing is called back, nothing stays behind. */
static void S23_client_gone_at_any_moment(void **state)
{
	struct scene *s = *state;
	char *body = make_body(400000);
	size_t n_own = 0;

	for (int moment = 0; moment < 9; moment++) {
		s->n_done = s->n_ready = 0;
		s->h.is_silent = moment >= 6;
		begin(s, 0);
		if (moment > 0)
			assert_true(give(s, header, moment == 1 ? 20 : sizeof header - 1, 4096));
		if (moment == 3 || moment == 6) { /* before its own segment has come */
			for (size_t at = 0; at < 327680; at += 65536)
				(void)accept_take(
				    s->accept, body + at, 65536, &s->why, on_ready, s);
			n_own++;
		}
		if (moment == 4) {
			assert_true(give(s, body, 400000, 65536));
			n_own++;
		}
		if (moment == 5 || moment == 7)
			accept_finish(
			    s->accept, (const char *const[]){ "a@one.test" }, 1, on_done, s);
		if (moment == 8)
			finish(s);
		accept_destroy(&s->accept);
		house_turn(&s->h);
		assert_int_equal(s->n_done, 0);
		assert_int_equal(s->n_ready, moment == 4);
	}
	s->h.is_silent = false;
	house_bring_queue(&s->h);
	house_turn(&s->h);
	/* Whatever was asked for it alone is given back. */
	assert_true(s->h.n_released >= n_own);
	free(body);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_small_message),
		T(requiretls_and_its_contrary_are_told_to_the_queue),
		T(sizes_around_the_limit_of_memory),
		T(S16_header_limits),
		T(S17_too_many_fields),
		T(refusals_before_anything_is_kept),
		T(K12_no_seal_no_mail),
		T(D5_no_room),
		T(Q4_disk_fills_while_it_is_written),
		T(Q18_a_segment_without_its_file),
		T(D4_commit_refused),
		T(a_queue_that_dies_is_asked_again),
		T(S23_client_gone_at_any_moment),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
