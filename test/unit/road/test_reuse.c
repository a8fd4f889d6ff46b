/*
 * Several messages, one after the other, to the same address: which of them travel on the connection
 * of the one before, which must not, and that no failure of a kept connection is a message's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "attempt_stage.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"

enum { TURNS_MAX = 4, IDLE_MAX = 8, A_WHILE_MS = 30, TURNS_OF_A_WHILE = 100 };

/* A message, from MAIL to the final reply; QUIT comes when the pool is stopped. */
#define MAIL1 GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "> 250 queued"
#define HELLO_LIMITS(limits)                                                                       \
	"> 220 hi", "= EHLO relay.example.org", "> 250-mx", "> 250-LIMITS " limits,                \
	    "> 250 PIPELINING"
#define STEPWISE "> 220 hi", "= EHLO relay.example.org", "> 250 mx"
#define MAIL_BY_STEPS                                                                              \
	"< MAIL", "> 250 ok", "< RCPT", "> 250 ok", "= DATA", "> 354 go", CONTENT, "> 250 queued"
#define QUEUED                                                                                     \
	{                                                                                          \
		250, "queued"                                                                      \
	}

/* One message. */
struct turn {
	enum demand demand;
	struct wanted wanted;
	const char *evidence; /* in it */
	size_t n_recipients;  /* 0: 1 */
	uint32_t n_attempts;  /* made before */
	bool requires_tls;
	bool other_host;    /* the same address, but another name */
	bool facts_are_old; /* they hold for no time */
	bool is_hurried;
	bool observes;         /* a rule of the partner's that it does not meet */
	const char *idle_word; /* what the peer says afterwards, unasked */
};

struct scene {
	const char *name;
	const char *const *const *scripts;
	struct turn turns[TURNS_MAX];
	uint32_t messages, age; /* of config, 0: 100 and 300 s */
	uint32_t per_transaction;
};

static const struct scene scenes[] = {
	{ "one connection for three", SCRIPTS(LINES(HELLO, MAIL1, MAIL1, MAIL1, QUITS)),
	    { { MAY, QUEUED, "achieved=none host=mx.example" },
		{ MAY, QUEUED, "host=mx.example reused" }, { MAY, QUEUED, " reused" } } },
	{ "T26: what was shown for the same demand",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, MAIL1, QUITS)),
	    { { DANE, QUEUED, "" }, { DANE, QUEUED, "achieved=dane" } } },
	{ "the same, judged again when the facts have run out",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, MAIL1, QUITS)),
	    { { DANE, QUEUED, "", .facts_are_old = true },
		{ DANE, QUEUED, "achieved=dane", .facts_are_old = true } } },
	{ "a stricter demand that it covers, as it turns out",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, MAIL1, MAIL1, QUITS)),
	    { { MAY, QUEUED, "achieved=encrypt" },
		{ SECURE, QUEUED, "required=secure by=partner achieved=secure" },
		{ DANE, QUEUED, "required=dane by=dane achieved=dane" } } },
	{ "T26: a stricter demand that it does not cover",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, QUITS),
		LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")),
	    { { MAY, QUEUED, "" },
		{ DANE_WRONG, { 454, "dane-mismatch" }, "achieved=none failed=" } } },
	{ "T26: another name than the partner's",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, QUITS),
		LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")),
	    { { ENCRYPT, QUEUED, "" }, { SECURE_OTHER_NAME, { 454, "partner-tls-name" }, "" } } },
	{ "a laxer demand", SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, MAIL1, QUITS)),
	    { { SECURE, QUEUED, "" }, { MAY, QUEUED, "required=may by=default" } } },
	{ "a rule that is observed is judged of a kept one too",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, MAIL1, QUITS)),
	    { { MAY, QUEUED, "host=mx.example" },
		{ MAY, QUEUED, " reused observe=would-fail:partner-tls-name",
		    .observes = true } } },
	{ "plaintext never where TLS is demanded",
	    SCRIPTS(LINES(HELLO, MAIL1, QUITS), LINES(HELLO_TLS, SHAKE, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { ENCRYPT, QUEUED, "achieved=encrypt" } } },
	{ "nor where the server has none to give",
	    SCRIPTS(LINES(HELLO, MAIL1, QUITS), LINES(HELLO, QUITS)),
	    { { MAY, QUEUED, "" }, { ENCRYPT, { 454, "starttls-missing" }, "" } } },
	{ "plaintext by order is for that message alone",
	    SCRIPTS(LINES(HELLO_TLS, "< MAIL", "> 550 no", QUITS),
		LINES(HELLO_TLS, SHAKE, MAIL1, QUITS)),
	    { { NONE, { 550, "no" }, "" }, { MAY, QUEUED, "achieved=encrypt" } } },
	{ "and no kept connection is for one that is to be sent in plaintext by order",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, QUITS),
		LINES(HELLO_TLS, "< MAIL", "> 550 no", QUITS)),
	    { { MAY, QUEUED, "" }, { NONE, { 550, "no" }, "" } } },
	{ "plaintext since STARTTLS was refused is for that message alone",
	    SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 454 4.7.0 not now", MAIL_BY_STEPS, QUITS),
		LINES(HELLO_TLS, SHAKE, MAIL1, QUITS)),
	    { { MAY, QUEUED, "achieved=none" }, { MAY, QUEUED, "achieved=encrypt" } } },
	{ "plaintext since the handshake failed is for that message alone",
	    SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "!"),
		LINES(HELLO_TLS, MAIL_BY_STEPS, QUITS), LINES(HELLO_TLS, SHAKE, MAIL1, QUITS)),
	    { { MAY, QUEUED, "achieved=none", .n_attempts = 1 },
		{ MAY, QUEUED, "achieved=encrypt" } } },
	{ "another host at the same address",
	    SCRIPTS(LINES(HELLO, MAIL1, QUITS), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "host=mx2.example", .other_host = true } } },
	{ "REQUIRETLS: not where it is not offered",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1, QUITS), LINES(HELLO_TLS, SHAKE, QUITS)),
	    { { ENCRYPT, QUEUED, "" },
		{ ENCRYPT, { 550, "requiretls-missing" }, "", .requires_tls = true } } },
	{ "REQUIRETLS: where it is, and the others may follow",
	    SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T", "= EHLO relay.example.org",
		"> 250-mx", "> 250-REQUIRETLS", "> 250 PIPELINING",
		"= MAIL FROM:<me@example.org> REQUIRETLS", "< RCPT", "= DATA", "> 250 ok",
		"> 250 ok", "> 354 go", CONTENT, "> 250 queued", MAIL1,
		"= MAIL FROM:<me@example.org> REQUIRETLS", "< RCPT", "= DATA", "> 250 ok",
		"> 250 ok", "> 354 go", CONTENT, "> 250 queued", QUITS)),
	    { { ENCRYPT, QUEUED, "", .requires_tls = true }, { ENCRYPT, QUEUED, " reused" },
		{ ENCRYPT, QUEUED, " reused", .requires_tls = true } } },

	/* ---- the peer of a kept connection ---- */
	{ "R9: closes while idle", SCRIPTS(LINES(HELLO, MAIL1, "!"), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "achieved=none host=mx.example" } } },
	{ "R10: resets while idle", SCRIPTS(LINES(HELLO, MAIL1, "!!"), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "R11: talks while idle", SCRIPTS(LINES(HELLO, MAIL1), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "", .idle_word = "421 4.4.2 too long\r\n" }, { MAY, QUEUED, "" } } },
	{ "R11: talks while idle, under TLS",
	    SCRIPTS(LINES(HELLO_TLS, SHAKE, MAIL1), LINES(HELLO_TLS, SHAKE, MAIL1, QUITS)),
	    { { DANE, QUEUED, "", .idle_word = "250 ok\r\n" },
		{ DANE, QUEUED, "achieved=dane" } } },
	{ "R11: sends half a line while idle",
	    SCRIPTS(LINES(HELLO, MAIL1), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "", .idle_word = "25" }, { MAY, QUEUED, "" } } },
	{ "R8: 421 to MAIL",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 421 4.7.0 too many", "!"),
		LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "451 to MAIL: the stream may be meant",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 451 4.7.0 too many", "= QUIT", "!"),
		LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "550 to MAIL: on a fresh one it counts",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 550 5.7.1 no", "> 503 no", "> 503 no", "= QUIT",
			"!"),
		LINES(HELLO, GROUP1, "> 550 5.7.1 never", "> 503 no", "> 503 no", QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, { 550, "never" }, "achieved=none host=mx.example" } } },
	{ "R9: closes at MAIL",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "!"), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "R10: resets at MAIL",
	    SCRIPTS(LINES(HELLO, MAIL1, "< MAIL", "!!"), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "R1: says nothing to MAIL",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "", .is_hurried = true } } },
	{ "R4: what is no reply to MAIL",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> what?"), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "R9: closes at RCPT",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 250 ok", "!"), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "R13: what it says of a recipient counts",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 250 ok", "> 550 5.1.1 gone", "> 503 no",
		"= RSET", "> 250 ok", MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, { 550, "gone" }, " reused" },
		{ MAY, QUEUED, " reused" } } },
	{ "R9: RSET is answered by a close",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 250 ok", "> 550 5.1.1 gone", "> 503 no",
			"= RSET", "!"),
		LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, { 550, "gone" }, "" }, { MAY, QUEUED, "" } } },
	{ "R8: 451 to DATA: the stream may be meant; who was refused stays refused",
	    SCRIPTS(
		LINES(HELLO, MAIL1, "< MAIL", "< RCPT TO:<r1@", "< RCPT TO:<r2@", "= DATA",
		    "> 250 ok", "> 550 5.1.1 gone", "> 250 ok", "> 451 4.3.0 no", "= QUIT", "!"),
		LINES(HELLO, "< MAIL", "< RCPT TO:<r2@", "= DATA", "> 250 ok", "> 250 ok",
		    "> 354 go", CONTENT, "> 250 queued", QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, { 550, "gone" }, "", .n_recipients = 2 } } },
	{ "R12: what it says before the content ends is of the content",
	    SCRIPTS(
		LINES(HELLO, MAIL1, GROUP1, ">> 250 ok\r\n250 ok\r\n354 go\r\n552 5.3.4 big\r\n")),
	    { { MAY, QUEUED, "" }, { MAY, { 451, "reply-early" }, " reused" } } },
	{ "R9: closes after the dot: it may have the message",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "!")),
	    { { MAY, QUEUED, "" }, { MAY, { 451, "connection-lost" }, " reused" } } },
	{ "R15: what it says to the dot counts",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT,
		"> 554 5.7.1 spam", MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, { 554, "spam" }, " reused" },
		{ MAY, QUEUED, " reused" } } },
	{ "R8: 421 to MAIL, and again on the fresh one",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 421 4.7.0 no", "!"),
		LINES(HELLO, GROUP1, "> 421 4.7.0 no", "!")),
	    { { MAY, QUEUED, "" }, { MAY, { 421, "no" }, "achieved=none host=" } } },
	{ "talks behind its last reply: it is not kept",
	    SCRIPTS(LINES(HELLO, GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT,
			">> 250 queued\r\n250 more\r\n", "= QUIT", "!"),
		LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "step by step", SCRIPTS(LINES(STEPWISE, MAIL_BY_STEPS, MAIL_BY_STEPS, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, " reused" } } },

	{ "R5: two codes in one reply to MAIL",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 250-one", "> 550 other"),
		LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "R27: 550 to MAIL, then closed: the fresh one says it again",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 550 5.7.1 no", "!"),
		LINES(HELLO, GROUP1, "> 550 5.7.1 never", "!")),
	    { { MAY, QUEUED, "" }, { MAY, { 550, "never" }, "" } } },
	{ "R14: 452 to the second recipient: the rest over the same connection",
	    SCRIPTS(LINES(HELLO, MAIL1, "< MAIL", "< RCPT TO:<r1@", "< RCPT TO:<r2@", "= DATA",
		"> 250 ok", "> 250 ok", "> 452 4.5.3 many", "> 354 go", CONTENT, "> 250 queued",
		"< MAIL", "< RCPT TO:<r2@", "= DATA", "> 250 ok", "> 250 ok", "> 354 go", CONTENT,
		"> 250 queued", QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, " reused", .n_recipients = 2 } } },
	{ "R17: what cannot be printed, to MAIL",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 451 \x1b[31m\xff%n", "= QUIT", "!"),
		LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" } } },
	{ "R22: greylisted: the server's word on the recipient",
	    SCRIPTS(LINES(HELLO, MAIL1, GROUP1, "> 250 ok", "> 450 4.7.1 greylisted", "> 503 no",
		"= RSET", "> 250 ok", MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, { 450, "greylisted" }, " reused" },
		{ MAY, QUEUED, " reused" } } },

	/* ---- how often, how long ---- */
	{ "LIMITS MAILMAX=2",
	    SCRIPTS(LINES(HELLO_LIMITS("MAILMAX=2"), MAIL1, MAIL1, QUITS),
		LINES(HELLO_LIMITS("MAILMAX=2"), MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, " reused" }, { MAY, QUEUED, "" } } },
	{ "LIMITS MAILMAX=1 and a message of three transactions",
	    SCRIPTS(LINES(HELLO_LIMITS("MAILMAX=1"), "< MAIL", "< RCPT TO:<r1@", "= DATA",
			"> 250 ok", "> 250 ok", "> 354 go", CONTENT, "> 250 queued", QUITS),
		LINES(HELLO_LIMITS("MAILMAX=1"), "< MAIL", "< RCPT TO:<r2@", "= DATA", "> 250 ok",
		    "> 250 ok", "> 354 go", CONTENT, "> 250 queued", QUITS),
		LINES(HELLO_LIMITS("MAILMAX=1"), "< MAIL", "< RCPT TO:<r3@", "= DATA", "> 250 ok",
		    "> 250 ok", "> 354 go", CONTENT, "> 250 queued", QUITS)),
	    { { MAY, QUEUED, "", .n_recipients = 3 } }, .per_transaction = 1 },
	{ "R26: LIMITS said twice are no limits",
	    SCRIPTS(LINES(HELLO_LIMITS("MAILMAX=1\r\n250-LIMITS MAILMAX=1"), MAIL1, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, " reused" } } },
	{ "as many messages as we give to one",
	    SCRIPTS(LINES(HELLO, MAIL1, MAIL1, QUITS), LINES(HELLO, MAIL1, QUITS)),
	    { { MAY, QUEUED, "" }, { MAY, QUEUED, "" }, { MAY, QUEUED, "" } }, .messages = 2 },
	{ "what its server does not take for want of room does not spoil it",
	    SCRIPTS(LINES(
		"> 220 hi", "< EHLO", "> 250-mx", "> 250-SIZE 10", "> 250 PIPELINING", QUITS)),
	    { { MAY, { 552, "size-exceeded" }, "" } } },
};

static void set_stage(struct act *act, const struct stage *stage, const struct scene *scene)
{
	const struct host host = { scene->scripts };

	act_begin(act, stage, 1, &calm);
	act->config.delivery.idle_connections = IDLE_MAX;
	act->config.delivery.idle_timeout = 60;
	act->config.delivery.connection_age = scene->age > 0 ? scene->age : 300;
	act->config.delivery.connection_messages = scene->messages > 0 ? scene->messages : 100;
	if (scene->per_transaction > 0)
		act->config.delivery.recipients = scene->per_transaction;
	act_add_host(act, stage, &host);
	plan_finish(&act->plan);
}

static void make_plan(struct act *act, const struct stage *stage, const struct turn *turn)
{
	struct plan_host *host = mem_create(sizeof *host);

	act->plan = (struct plan){ .domain = "example.net",
		.needs_requiretls = turn->requires_tls,
		.hosts = host,
		.n_hosts = 1,
		.valid_until_ms = clock_monotonic_ms() + (turn->facts_are_old ? 0 : 60000) };
	strcpy(host->name, turn->other_host ? "mx2.example" : "mx.example");
	if (turn->observes) {
		host->n_watches = 1;
		host->watches[0].demand = DEMAND_PARTNER;
		demand_set(stage, SECURE_OTHER_NAME, &host->watches[0].tls);
	}
	demand_set(stage, turn->demand, &host->tls);
	host->addresses[0].ipv4 = (struct sockaddr_in){ .sin_family = AF_INET,
		.sin_port = htons(peer_port(act->peers[0])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	host->n_addresses = 1;
}

/* What comes of the connection while it is idle: in many turns, also on a machine that has no time. */
static void wait_a_while(struct act *act)
{
	int64_t end_ms = clock_monotonic_ms() + A_WHILE_MS;

	for (int i = 0; i < TURNS_OF_A_WHILE || clock_monotonic_ms() < end_ms; i++)
		loop_run_once(act->loop, false);
}

static void play_turn(
    struct act *act, const struct stage *stage, const struct scene *scene, const struct turn *turn)
{
	size_t n = turn->n_recipients > 0 ? turn->n_recipients : 1;
	static char one[] = "r1@example.net", two[] = "r2@example.net", three[] = "r3@example.net";
	static char *recipients[] = { one, two, three };
	char **before = act->message.recipients;

	make_plan(act, stage, turn);
	act->house.patience = turn->is_hurried ? &hurry : &calm;
	act->message.recipients = recipients;
	act->message.n_recipients = n;
	act->message.requires_tls = turn->requires_tls;
	act->is_done = false;
	act_attempt(act, turn->n_attempts);
	loop_run(act->loop);
	act->message.recipients = before;
	act->message.n_recipients = 1;
	/* Of two recipients the second is always taken. */
	wanted_check(scene->name, &turn->wanted, &act->outcomes[n == 2 ? 0 : n - 1]);
	if (n == 2)
		wanted_check(scene->name, &(struct wanted)QUEUED, &act->outcomes[1]);
	if (strstr(act->evidence, turn->evidence) == NULL)
		fail_msg("%s: \"%s\" is not in evidence \"%s\"", scene->name, turn->evidence,
		    act->evidence);
	wait_a_while(act);
	if (turn->idle_word != NULL) {
		peer_say(act->peers[0], turn->idle_word);
		wait_a_while(act);
		assert_true(pool_is_quiet(act->house.pool));
	}
}

static void test_scenes(void **state)
{
	for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
		const char *problem;
		struct act act;

		set_stage(&act, *state, &scenes[i]);
		for (size_t k = 0; k < TURNS_MAX && scenes[i].turns[k].evidence != NULL; k++)
			play_turn(&act, *state, &scenes[i], &scenes[i].turns[k]);
		pool_stop(act.house.pool, NULL, NULL);
		problem = act_settle(&act);
		if (problem != NULL)
			fail_msg("%s: %s", scenes[i].name, problem);
		act_end(&act);
	}
}

/* How long it takes until the pool has parted with all, told QUIT; the peer is served meanwhile. */
static int64_t wait_until_quiet_ms(struct act *act)
{
	int64_t start_ms = clock_monotonic_ms();

	while (!pool_is_quiet(act->house.pool) && clock_monotonic_ms() - start_ms < 10000)
		loop_run_once(act->loop, true);
	return clock_monotonic_ms() - start_ms;
}

static void test_idle_timeout(void **state)
{
	const struct scene scene = { "idle", SCRIPTS(LINES(HELLO, MAIL1, QUITS)) };
	const struct turn turn = { MAY, QUEUED, "" };
	struct act act;

	set_stage(&act, *state, &scene);
	act.config.delivery.idle_timeout = 1;
	play_turn(&act, *state, &scene, &turn);
	assert_false(pool_is_quiet(act.house.pool));
	assert_in_range(wait_until_quiet_ms(&act), 500, 5000);
	assert_null(peer_problem(act.peers[0]));
	act_end(&act);
}

/* One that is too old gets no message more, however short it was idle. */
static void test_age(void **state)
{
	const struct scene scene = { "age",
		SCRIPTS(LINES(HELLO, MAIL1, QUITS), LINES(HELLO, MAIL1, QUITS)) };
	const struct turn turn = { MAY, QUEUED, "" };
	struct act act;

	set_stage(&act, *state, &scene);
	act.config.delivery.connection_age = 1;
	play_turn(&act, *state, &scene, &turn);
	for (int64_t end_ms = clock_monotonic_ms() + 1000; clock_monotonic_ms() < end_ms;)
		loop_run_once(act.loop, false);
	play_turn(&act, *state, &scene, &turn);
	pool_stop(act.house.pool, NULL, NULL);
	assert_null(act_settle(&act));
	act_end(&act);
}

/* Room for one: the one idle longest goes, with QUIT. Without room all do. */
static void test_full(void **state)
{
	const struct scene scene = { "full",
		SCRIPTS(LINES(HELLO, MAIL1, QUITS), LINES(HELLO, MAIL1, MAIL1, QUITS),
		    LINES(HELLO, MAIL1, QUITS)) };
	struct turn turn = { MAY, QUEUED, "" };
	struct act act;

	set_stage(&act, *state, &scene);
	act.config.delivery.idle_connections = 1;
	play_turn(&act, *state, &scene, &turn);
	turn.other_host = true;
	play_turn(&act, *state, &scene, &turn);
	turn.evidence = "host=mx2.example reused";
	play_turn(&act, *state, &scene, &turn);
	act.config.delivery.idle_connections = 0;
	turn.evidence = "host=mx.example";
	turn.other_host = false;
	play_turn(&act, *state, &scene, &turn);
	pool_stop(act.house.pool, NULL, NULL);
	assert_null(act_settle(&act));
	act_end(&act);
}

static struct connection *take(struct act *act, const struct stage *stage)
{
	const struct turn turn = { MAY, QUEUED, "" };
	struct connection *c;
	size_t at;

	make_plan(act, stage, &turn);
	c = pool_take(act->house.pool, &act->plan, &act->plan.hosts[0], 0, &at);
	plan_finish(&act->plan);
	return c;
}

/* Of two that have just been used the one with fewer messages; otherwise the one used last. */
static void test_order(void **state)
{
	const struct scene scene = { "order",
		SCRIPTS(LINES(HELLO, MAIL1, MAIL1, QUITS), LINES(HELLO, MAIL1, QUITS)) };
	const struct turn turn = { MAY, QUEUED, "" };
	struct connection *twice, *once, *next;
	struct act act;

	set_stage(&act, *state, &scene);
	play_turn(&act, *state, &scene, &turn);
	play_turn(&act, *state, &scene, &turn);
	twice = take(&act, *state);
	assert_non_null(twice);
	assert_null(take(&act, *state));
	play_turn(&act, *state, &scene, &turn);
	pool_keep(act.house.pool, &twice);
	once = take(&act, *state);
	assert_int_equal(once->n_mails, 1);
	twice = take(&act, *state);
	assert_int_equal(twice->n_mails, 2);
	pool_keep(act.house.pool, &once);
	pool_keep(act.house.pool, &twice);
	for (int64_t end_ms = clock_monotonic_ms() + 1100; clock_monotonic_ms() < end_ms;)
		loop_run_once(act.loop, false);
	next = take(&act, *state);
	assert_int_equal(next->n_mails, 2);
	pool_keep(act.house.pool, &next);
	pool_stop(act.house.pool, NULL, NULL);
	assert_null(act_settle(&act));
	act_end(&act);
}

/* It closes, or says something, just as the connection is about to be used again. */
static void R9_R11_what_has_come_but_was_not_read_counts(void **state)
{
	static const char *const words[] = { "250 2.0.0 Ok\r\n", "4", NULL };
	const struct config_delivery config = { .idle_connections = 2,
		.idle_timeout = 10,
		.connection_messages = 10,
		.connection_age = 100 };
	const struct plan plan = { .valid_until_ms = INT64_MAX };
	const struct plan_host host = { .name = "mx.example",
		.tls.level = TLS_MAY,
		.addresses[0].ipv4 = { .sin_family = AF_INET },
		.n_addresses = 1 };

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		struct loop *loop = loop_create();
		struct pool *pool = pool_create(loop, &config);
		struct connection *c;
		int ends[2];
		size_t at;

		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
		c = connection_create(stream_create(loop, ends[0]), &host, &host.addresses[0],
		    "mx.example[0.0.0.0]:25");
		c->is_ready = true;
		pool_keep(pool, &c);
		c = pool_take(pool, &plan, &host, 0, &at);
		assert_non_null(c);
		pool_keep(pool, &c);
		if (words[i] != NULL)
			assert_int_equal(send(ends[1], words[i], strlen(words[i]), 0),
			    (ssize_t)strlen(words[i]));
		else
			shutdown(ends[1], SHUT_WR);
		assert_null(pool_take(pool, &plan, &host, 0, &at));
		for (int turns = 0; turns < 100 && !pool_is_quiet(pool); turns++)
			loop_run_once(loop, false);
		assert_true(pool_is_quiet(pool));
		pool_destroy(&pool);
		close(ends[1]);
		loop_destroy(&loop);
	}
}

static void on_quiet(void *arg)
{
	size_t *n = arg;

	(*n)++;
}

/* The process ends: the receiver is told, and who waits for it hears when that is done. */
static void test_stop(void **state)
{
	const struct scene scene = { "stop", SCRIPTS(LINES(HELLO, MAIL1, QUITS)) };
	const struct turn turn = { MAY, QUEUED, "" };
	struct act act;
	size_t n = 0;

	set_stage(&act, *state, &scene);
	play_turn(&act, *state, &scene, &turn);
	pool_stop(act.house.pool, on_quiet, &n);
	assert_false(pool_is_quiet(act.house.pool));
	assert_int_equal(n, 0);
	wait_until_quiet_ms(&act);
	assert_int_equal(n, 1);
	assert_null(peer_problem(act.peers[0]));
	act_end(&act);
}

/* Whose connection it is, and where it leads, in plaintext: TLS is played above. */
static void test_covers(void **state)
{
	static const struct {
		const char *name, *host, *address, *own_login, *login;
		uint16_t port;
		enum tls_level level;
		bool requires_tls, covers;
	} rows[] = {
		{ "the same", "mx.example", "192.0.2.1", "", "", 25, TLS_MAY, false, true },
		{ "by no TLSA records", "mx.example", "192.0.2.1", "", "", 25, TLS_DANE, false,
		    true },
		{ "another host", "mx2.example", "192.0.2.1", "", "", 25, TLS_MAY, false, false },
		{ "another address", "mx.example", "192.0.2.2", "", "", 25, TLS_MAY, false, false },
		{ "another port", "mx.example", "192.0.2.1", "", "", 587, TLS_MAY, false, false },
		{ "another family", "mx.example", "2001:db8::1", "", "", 25, TLS_MAY, false,
		    false },
		{ "logged in, for nobody", "mx.example", "192.0.2.1", "shop", "", 25, TLS_MAY,
		    false, false },
		{ "logged in, for another", "mx.example", "192.0.2.1", "shop", "news", 25, TLS_MAY,
		    false, false },
		{ "not logged in, for somebody", "mx.example", "192.0.2.1", "", "shop", 25, TLS_MAY,
		    false, false },
		{ "logged in, for the same", "mx.example", "192.0.2.1", "shop", "shop", 25, TLS_MAY,
		    false, true },
		{ "no TLS by order", "mx.example", "192.0.2.1", "", "", 25, TLS_NONE, false,
		    false },
		{ "TLS demanded", "mx.example", "192.0.2.1", "", "", 25, TLS_ENCRYPT, false,
		    false },
		{ "DANE or nothing", "mx.example", "192.0.2.1", "", "", 25, TLS_DANE_ONLY, false,
		    false },
		{ "MTA-STS", "mx.example", "192.0.2.1", "", "", 25, TLS_MTA_STS, false, false },
		{ "REQUIRETLS", "mx.example", "192.0.2.1", "", "", 25, TLS_MAY, true, false },
	};
	struct plan_host made_for = { .name = "mx.example", .tls.level = TLS_MAY };
	union plan_address own = { .ipv4 = { .sin_family = AF_INET, .sin_port = htons(25) } };
	struct loop *loop = loop_create();
	struct connection *c;
	int ends[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
	assert_int_equal(inet_pton(AF_INET, "192.0.2.1", &own.ipv4.sin_addr), 1);
	c = connection_create(
	    stream_create(loop, ends[0]), &made_for, &own, "mx.example[192.0.2.1]:25");
	assert_string_equal(c->who, "mx.example[192.0.2.1]");
	c->can.requiretls = true; /* said in plaintext it is worth nothing */
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct plan_host host = { .tls.level = rows[i].level };
		struct plan plan = { .needs_requiretls = rows[i].requires_tls };
		union plan_address *address = &host.addresses[0];

		strcpy(host.name, rows[i].host);
		strcpy(c->login, rows[i].own_login);
		strcpy(plan.login, rows[i].login);
		if (inet_pton(AF_INET, rows[i].address, &address->ipv4.sin_addr) == 1) {
			address->ipv4.sin_family = AF_INET;
			address->ipv4.sin_port = htons(rows[i].port);
		} else {
			inet_pton(AF_INET6, rows[i].address, &address->ipv6.sin6_addr);
			address->ipv6.sin6_family = AF_INET6;
			address->ipv6.sin6_port = htons(rows[i].port);
		}
		if (connection_covers(c, &plan, &host, 0) != rows[i].covers)
			fail_msg("%s", rows[i].name);
	}
	connection_destroy(&c);
	close(ends[1]);
	loop_destroy(&loop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scenes),
		cmocka_unit_test(test_idle_timeout),
		cmocka_unit_test(test_age),
		cmocka_unit_test(test_full),
		cmocka_unit_test(test_order),
		cmocka_unit_test(R9_R11_what_has_come_but_was_not_read_counts),
		cmocka_unit_test(test_stop),
		cmocka_unit_test(test_covers),
	};

	return cmocka_run_group_tests(tests, stage_set_up, stage_tear_down);
}
