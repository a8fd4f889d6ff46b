/*
 * Logins at a next hop as dialogues: what the server says, what our auth role says (both played here),
 * what comes of it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/authenticate.h"
#include "relay/client_login.h"
#include "relay/ipc/channel.h"
#include "scripted_peer.h"

#define LINES(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* What the auth role hears (NULL: the first question) and says. */
struct turn {
	const char *challenge;
	enum client_login_state state;
	const char *mechanism;
	const char *response; /* NULL: none */
	const char *problem;
};

static const struct scene {
	const char *title;
	const char *mechanisms;
	struct turn turns[5];
	const char *const *script;
	const char *wants; /* the name of the outcome; "": logged in */
	const char *says;  /* in its text */
	bool is_over;
	bool is_forgotten; /* the auth role is told to forget the exchange */
} scenes[] = {
	{ "PLAIN", "PLAIN LOGIN", { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("= AUTH PLAIN c2VjcmV0", "> 235 2.7.0 welcome"), "", "" },
	{ "LOGIN", "LOGIN",
	    { { NULL, CLIENT_LOGIN_GO_ON, "LOGIN", NULL, "" },
		{ "Username:", CLIENT_LOGIN_GO_ON, "LOGIN", "me", "" },
		{ "Password:", CLIENT_LOGIN_DONE, "LOGIN", "secret", "" } },
	    LINES("= AUTH LOGIN", "> 334 VXNlcm5hbWU6", "= bWU=", "> 334 UGFzc3dvcmQ6",
		"= c2VjcmV0", "> 235 ok"),
	    "", "" },
	{ "SCRAM: the last response is empty, and said", "SCRAM-SHA-256",
	    { { NULL, CLIENT_LOGIN_GO_ON, "SCRAM-SHA-256", "n,,", "" },
		{ "r=", CLIENT_LOGIN_GO_ON, "SCRAM-SHA-256", "c=", "" },
		{ "v=", CLIENT_LOGIN_DONE, "SCRAM-SHA-256", "", "" } },
	    LINES("= AUTH SCRAM-SHA-256 biws", "> 334 cj0=", "= Yz0=", "> 334 dj0=", "= ",
		"> 235 2.7.0 ok"),
	    "", "" },
	{ "an empty first response, and an empty challenge", "X",
	    { { NULL, CLIENT_LOGIN_GO_ON, "X", "", "" }, { "", CLIENT_LOGIN_DONE, "X", "b", "" } },
	    LINES("= AUTH X =", "> 334 ", "= Yg==", "> 235 ok"), "", "" },
	{ "no AUTH is offered", "", { { 0 } }, LINES("! nothing"), "login-not-offered", "no AUTH" },
	{ "no password", "PLAIN", { { NULL, CLIENT_LOGIN_NO_SECRET, "", NULL, "has none" } },
	    LINES("! nothing"), "login-no-password", "smart.example as me@x: has none" },
	{ "no mechanism", "NTLM", { { NULL, CLIENT_LOGIN_NO_MECHANISM, "", NULL, "only NTLM" } },
	    LINES("! nothing"), "login-no-mechanism", "only NTLM" },
	{ "the role does not know", "PLAIN", { { NULL, CLIENT_LOGIN_BROKEN, "", NULL, "gone" } },
	    LINES("! nothing"), "login-unavailable", "gone" },
	{ "nonsense from the role", "PLAIN", { { NULL, 77, "PLAIN", "secret", "odd" } },
	    LINES("! nothing"), "login-unavailable", "odd" },
	{ "the password is wrong", "PLAIN", { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("< AUTH", "> 535 5.7.8 No such thing"), "login-refused",
	    "refuses: 535 5.7.8 No such thing" },
	{ "the server cannot tell now", "PLAIN",
	    { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("< AUTH", "> 454 4.7.0 LDAP"), "login-refused", "454 4.7.0 LDAP" },
	{ "AUTH is unknown after all", "PLAIN",
	    { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("< AUTH", "> 503 not now"), "login-refused", "503" },
	{ "the server hangs up", "PLAIN", { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("< AUTH", "> 421 4.3.2 bye", "!"), "", NULL, true },
	{ "the connection is lost", "PLAIN", { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("< AUTH", "!"), "connection-lost", "while logging in", true },
	{ "no reply at all", "PLAIN", { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("< AUTH", "~"), "timeout", "while logging in", true },
	{ "a reply of another kind", "PLAIN",
	    { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } }, LINES("< AUTH", "> 354 go"),
	    "reply-unexpected", "354", true },
	{ "PLAIN, and the server goes on asking", "PLAIN",
	    { { NULL, CLIENT_LOGIN_DONE, "PLAIN", "secret", "" } },
	    LINES("< AUTH", "> 334 bW9yZQ==", "= *", "> 501 ok"), "login-not-proved",
	    "goes on asking" },
	{ "let in before it has proved anything", "SCRAM-SHA-256",
	    { { NULL, CLIENT_LOGIN_GO_ON, "SCRAM-SHA-256", "n,,", "" } },
	    LINES("< AUTH", "> 235 come in"), "login-not-proved", "before it had shown", true,
	    true },
	{ "let in before its signature", "SCRAM-SHA-256",
	    { { NULL, CLIENT_LOGIN_GO_ON, "SCRAM-SHA-256", "n,,", "" },
		{ "r=", CLIENT_LOGIN_GO_ON, "SCRAM-SHA-256", "c=", "" } },
	    LINES("< AUTH", "> 334 cj0=", "= Yz0=", "> 235 come in"), "login-not-proved",
	    "before it had shown", true, true },
	{ "a wrong signature", "SCRAM-SHA-256",
	    { { NULL, CLIENT_LOGIN_GO_ON, "SCRAM-SHA-256", "n,,", "" },
		{ "r=", CLIENT_LOGIN_FAILED, "", NULL, "not who it says" } },
	    LINES("< AUTH", "> 334 cj0=", "= *", "> 501 5.7.0 cancelled"), "login-not-proved",
	    "not who it says" },
	{ "a wrong signature, and the server lets us in all the same", "SCRAM-SHA-256",
	    { { NULL, CLIENT_LOGIN_GO_ON, "SCRAM-SHA-256", "n,,", "" },
		{ "r=", CLIENT_LOGIN_FAILED, "", NULL, "not who it says" } },
	    LINES("< AUTH", "> 334 cj0=", "= *", "> 235 welcome"), "login-not-proved",
	    "not who it says" },
	{ "a challenge that is no base64", "LOGIN",
	    { { NULL, CLIENT_LOGIN_GO_ON, "LOGIN", NULL, "" } },
	    LINES("< AUTH", "> 334 Username:", "= *", "> 501 ok"), "login-not-proved", "not base64",
	    false, true },
	{ "a challenge of two lines", "LOGIN", { { NULL, CLIENT_LOGIN_GO_ON, "LOGIN", NULL, "" } },
	    LINES("< AUTH", "> 334-VXNl", "> 334 VXNl", "= *", "> 501 ok"), "login-not-proved",
	    "not base64", false, true },
};

struct play {
	const struct scene *scene;
	size_t n_turns, n_forgotten, n_done;
	bool is_silent; /* the role hears and says nothing */
	struct channel *role;
	struct outcome outcome;
	bool is_over;
};

static void on_question(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct ipc_message answer = { .type = IPC_CLIENT_SAY, .fd = -1 };
	struct play *p = arg;
	const struct turn *turn = &p->scene->turns[p->n_turns];

	if (m->type == IPC_CLIENT_FORGET) {
		p->n_forgotten++;
		return;
	}
	assert_int_equal(m->type, IPC_CLIENT_ASK);
	if (p->is_silent)
		return;
	assert_true(turn->mechanism != NULL);
	assert_int_equal(m->client_ask.is_first, p->n_turns == 0);
	assert_string_equal(m->client_ask.host, "smart.example");
	assert_string_equal(m->client_ask.login, "me@x");
	assert_int_equal(m->client_ask.is_verified, 1);
	assert_string_equal(m->client_ask.mechanisms, p->scene->mechanisms);
	if (p->n_turns++ > 0)
		assert_true(slice_equals(m->client_ask.challenge, turn->challenge));
	answer.client_say = (struct ipc_client_say){ .number = m->number,
		.state = (uint8_t)turn->state,
		.mechanism = turn->mechanism,
		.has_response = turn->response != NULL,
		.response = slice_of(turn->response != NULL ? turn->response : ""),
		.problem = turn->problem };
	channel_send(channel, &answer);
}

static void on_lost(void *arg, struct channel *channel)
{
	(void)arg, (void)channel;
}

static void on_done(const struct outcome *outcome, bool is_over, void *arg)
{
	struct play *p = arg;

	p->n_done++;
	p->outcome = *outcome;
	p->is_over = is_over;
}

static void bring_role(struct loop *loop, struct asker *auth, struct play *p)
{
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	p->role = channel_create(loop, ends[1], on_question, on_lost, p);
	asker_add(auth, channel_create(loop, ends[0], NULL, NULL, NULL));
}

static struct authenticate *begin(
    struct loop *loop, struct asker *auth, struct stream *stream, struct play *p)
{
	const struct authenticate_order order = { .loop = loop,
		.auth = auth,
		.stream = stream,
		.peer = "smart.example[127.0.0.1]:587",
		.host = "smart.example",
		.login = "me@x",
		.mechanisms = p->scene->mechanisms,
		.is_verified = true,
		.reply_ms = 300 };

	return authenticate_start(&order, on_done, p);
}

static void play_scene(const struct scene *scene)
{
	bool says_nothing = strcmp(scene->script[0], "! nothing") == 0;
	struct loop *loop = loop_create();
	struct asker *auth = asker_create(loop, ASKER_PLAIN, 10000);
	struct play p = { .scene = scene };
	struct stream *stream;
	struct peer *peer;
	int ends[2], n_heard;

	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	stream = stream_create(loop, ends[0]);
	peer = peer_on(loop, ends[1], says_nothing ? LINES("~") : scene->script);
	bring_role(loop, auth, &p);
	begin(loop, auth, stream, &p);
	assert_int_equal(p.n_done, 0);
	while (p.n_done == 0)
		loop_run_once(loop, true);
	for (int i = 0; i < 20; i++)
		loop_run_once(loop, false);
	assert_int_equal(p.n_done, 1);
	if (scene->says == NULL)
		assert_int_equal(p.outcome.code, 421);
	else
		assert_string_equal(p.outcome.name, scene->wants);
	if (scene->says != NULL && *scene->wants != '\0') {
		assert_non_null(strstr(p.outcome.text, scene->says));
		assert_int_equal(p.outcome.class, OUTCOME_DEFER);
	}
	assert_int_equal(outcome_is_ok(&p.outcome), scene->says != NULL && *scene->wants == '\0');
	assert_null(strstr(p.outcome.text, "secret"));
	assert_int_equal(p.is_over, scene->is_over);
	assert_int_equal(p.n_forgotten > 0, scene->is_forgotten);
	if (says_nothing)
		assert_true(ioctl(ends[1], FIONREAD, &n_heard) == 0 && n_heard == 0 &&
			    stream_n_unsent(stream) == 0);
	else if (peer_problem(peer) != NULL)
		fail_msg("%s", peer_problem(peer));
	stream_destroy(&stream);
	peer_destroy(&peer);
	asker_destroy(&auth);
	channel_destroy(&p.role);
	loop_destroy(&loop);
}

static void the_dialogues(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
		print_message("%s\n", scenes[i].title);
		play_scene(&scenes[i]);
	}
}

/* The auth role dies, or was never there; and the owner gives up at any moment. */
static void without_the_role_it_waits_for_a_better_time(void **state)
{
	static const struct scene plain = { "", "PLAIN", { { 0 } }, NULL, "", "" };
	struct loop *loop = loop_create();
	struct asker *auth = asker_create(loop, ASKER_PLAIN, 10000);
	struct authenticate *a;
	struct stream *stream;
	int ends[2];

	(void)state;
	assert_int_equal(
	    socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
	stream = stream_create(loop, ends[0]);
	for (int how = 0; how < 4; how++) {
		struct play p = { .scene = &plain, .is_silent = true };

		if (how > 0)
			bring_role(loop, auth, &p);
		a = begin(loop, auth, stream, &p);
		for (int i = 0; how != 2 && i < 20; i++)
			loop_run_once(loop, false);
		if (how >= 2)
			authenticate_cancel(&a);
		for (int i = 0; how == 3 && i < 20; i++)
			loop_run_once(loop, false);
		channel_destroy(&p.role);
		for (int i = 0; i < 20; i++)
			loop_run_once(loop, false);
		assert_int_equal(p.n_done, how < 2);
		assert_int_equal(p.n_forgotten, how == 3);
		if (how < 2)
			assert_string_equal(p.outcome.name, "login-unavailable");
		assert_int_equal(stream_n_unsent(stream), 0);
	}
	stream_destroy(&stream);
	close(ends[1]);
	asker_destroy(&auth);
	loop_destroy(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_dialogues),
		cmocka_unit_test(without_the_role_it_waits_for_a_better_time),
	};

	return cmocka_run_group_tests_name("road/authenticate", tests, NULL, NULL);
}
