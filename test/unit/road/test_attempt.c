/*
 * Attempts against scripted servers on loopback: hosts in order, EHLO, STARTTLS, the verdicts of
 * TLS, and what the recipients and the site get.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "attempt_stage.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"

struct scene {
	const char *name;
	struct host hosts[PEERS_MAX];
	size_t n_hosts;
	size_t n_recipients;
	uint32_t per_transaction; /* 0: 100 */
	uint32_t n_attempts;
	bool is_8bit;
	bool falls_silent;
	struct wanted wanted[RECIPIENTS_MAX]; /* the first counts for all if it stands alone */
	enum schedule_feedback feedback;
	const char *evidence; /* in it */
};

#define HOSTS(...)                                                                                 \
	.hosts = { __VA_ARGS__ },                                                                  \
	.n_hosts = sizeof((struct host[]){ __VA_ARGS__ }) / sizeof(struct host)

static const struct scene scenes[] = {
	{ "one recipient", HOSTS({ TAKES }), .n_recipients = 1, .wanted = { { 250, "queued" } },
	    .evidence = "required=may by=default achieved=none host=mx.example" },
	{ "mixed verdicts",
	    HOSTS({ SCRIPTS(LINES(HELLO, GROUP3, "> 250 ok", "> 250 ok", "> 550 5.1.1 no such user",
		"> 451 later", "> 354 go", CONTENT, "> 250 queued", QUITS)) }),
	    .n_recipients = 3,
	    .wanted = { { 250, "queued" }, { 550, "no such user" }, { 451, "later" } } },
	{ "pipelined, the sender refused",
	    HOSTS({ SCRIPTS(
		LINES(HELLO, GROUP1, "> 451 greylisted", "> 503 no", "> 503 no", QUITS)) }),
	    .n_recipients = 1, .wanted = { { 451, "greylisted" } } },
	{ "first host busy, second takes it",
	    HOSTS({ SCRIPTS(LINES("> 421 busy", "!")) }, { TAKES }), .n_recipients = 1,
	    .wanted = { { 250, "queued" } } },
	{ "first host not there, second takes it", HOSTS({ NULL }, { TAKES }), .n_recipients = 1,
	    .wanted = { { 250, "queued" } } },
	{ "R30: first address not there, second takes it", HOSTS({ NULL }, { TAKES, .same = true }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } } },
	{ "first address turns us away, second takes it",
	    HOSTS({ SCRIPTS(LINES("> 554 not from there", QUITS)) }, { TAKES, .same = true }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } } },
	{ "nobody there", HOSTS({ NULL }, { NULL }), .n_recipients = 2,
	    .wanted = { { 451, "connect" } }, .feedback = SCHEDULE_SITE_DOWN,
	    .evidence = "required=may by=default achieved=none failed=connect host=" },
	{ "what counts is the record of whose word counts: TLS that fails before a busy host",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")), DANE_WRONG },
		{ SCRIPTS(LINES("> 421 busy", "!")), DANE }),
	    .n_recipients = 1, .wanted = { { 454, "dane-mismatch" } },
	    .feedback = SCHEDULE_SITE_DOWN, .evidence = "failed=dane-mismatch" },
	{ "and after one",
	    HOSTS({ SCRIPTS(LINES("> 421 busy", "!")), DANE },
		{ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")), DANE_WRONG }),
	    .n_recipients = 1, .wanted = { { 454, "dane-mismatch" } },
	    .feedback = SCHEDULE_SITE_DOWN, .evidence = "failed=dane-mismatch" },
	{ "a host that route forbids, and none beside it", HOSTS({ NULL, .unusable = true }),
	    .n_recipients = 1, .wanted = { { 550, "no-address" } },
	    .evidence = "required=may by=default achieved=none failed=no-address host=mx.example" },
	{ "R8: 421 in place of a greeting", HOSTS({ SCRIPTS(LINES("> 421 busy", "!")) }),
	    .n_recipients = 1, .wanted = { { 421, "busy" } }, .feedback = SCHEDULE_SITE_DOWN,
	    .evidence = "required=may by=default achieved=none failed=refused host=mx.example" },
	{ "R9: lost in EHLO", HOSTS({ SCRIPTS(LINES("> 220 hi", "< EHLO", "!")), ENCRYPT }),
	    .n_recipients = 1, .wanted = { { 451, "connection-lost" } },
	    .feedback = SCHEDULE_SITE_DOWN,
	    .evidence =
		"required=encrypt by=partner achieved=none failed=connection-lost host=mx.example" },
	{ "a host that route forbids is not dialled", HOSTS({ NULL, .unusable = true }, { TAKES }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } } },
	{ "lost in mid-transaction, the next host takes it",
	    HOSTS({ SCRIPTS(LINES(HELLO, GROUP1, "> 250 ok", "!")) }, { TAKES }), .n_recipients = 1,
	    .wanted = { { 250, "queued" } } },
	{ "lost in mid-transaction, and there is no other host",
	    HOSTS({ SCRIPTS(LINES(HELLO, GROUP1, "> 250 ok", "!")) }), .n_recipients = 1,
	    .wanted = { { 451, "connection-lost" } } },
	{ "R9: lost after the dot: nobody else is asked",
	    HOSTS(
		{ SCRIPTS(LINES(HELLO, GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "!")) },
		{ NOBODY }),
	    .n_recipients = 1, .wanted = { { 451, "connection-lost" } } },
	{ "R22: greylisted: nobody else is asked",
	    HOSTS({ SCRIPTS(LINES(
		      HELLO, GROUP1, "> 250 ok", "> 450 4.7.1 greylisted", "> 503 no", QUITS)) },
		{ NOBODY }),
	    .n_recipients = 1, .wanted = { { 450, "greylisted" } } },
	{ "R3: every host says 554: it fails",
	    HOSTS({ SCRIPTS(LINES("> 554 5.7.1 no", QUITS)) },
		{ SCRIPTS(LINES("> 554 5.7.1 no", QUITS)) }),
	    .n_recipients = 1, .wanted = { { 554, "no" } } },
	{ "R3: one says 554, one is not there: it waits",
	    HOSTS({ SCRIPTS(LINES("> 554 5.7.1 no", QUITS)) }, { NULL }), .n_recipients = 1,
	    .wanted = { { 451, "connect" } }, .feedback = SCHEDULE_SITE_DOWN },
	{ "R1: no banner", .falls_silent = true, HOSTS({ SCRIPTS(LINES("~")) }), .n_recipients = 1,
	    .wanted = { { 451, "timeout" } }, .feedback = SCHEDULE_SITE_DOWN },
	{ "R2: a banner that never ends", .falls_silent = true,
	    HOSTS({ SCRIPTS(LINES(">> 220 sl")) }), .n_recipients = 1,
	    .wanted = { { 451, "timeout" } }, .feedback = SCHEDULE_SITE_DOWN },
	{ "R4: 2200", HOSTS({ SCRIPTS(LINES("> 2200 x")) }), .n_recipients = 1,
	    .wanted = { { 451, "reply-malformed" } }, .feedback = SCHEDULE_SITE_DOWN },
	{ "R5: two codes in one reply",
	    HOSTS({ SCRIPTS(LINES("> 220 hi", "< EHLO", "> 250-mx", "> 251 SIZE")) }),
	    .n_recipients = 1, .wanted = { { 451, "reply-malformed" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "R7: HELO where EHLO is unknown",
	    HOSTS({ SCRIPTS(LINES("> 220 hi", "< EHLO", "> 500 what", "= HELO relay.example.org",
		"> 250 hello", "< MAIL", "> 250 ok", "< RCPT", "> 250 ok", "= DATA", "> 354 go",
		CONTENT, "> 250 queued", QUITS)) }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } } },
	{ "R7: but not where TLS is demanded",
	    HOSTS({ SCRIPTS(LINES("> 220 hi", "< EHLO", "> 500 what", QUITS)), ENCRYPT }),
	    .n_recipients = 1, .wanted = { { 454, "starttls-refused" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "R7: but where TLS stands already",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T", "< EHLO", "> 500 what",
			"= HELO relay.example.org", "> 250 hello", "< MAIL", "> 250 ok", "< RCPT",
			"> 250 ok", "= DATA", "> 354 go", CONTENT, "> 250 queued", QUITS)),
		DANE }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } }, .evidence = "match=\"TLSA 3 1 1" },
	{ "R3: turned away under TLS, for good",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T", "< EHLO", "> 500 what",
			"= HELO relay.example.org", "> 504 never", QUITS)),
		DANE }),
	    .n_recipients = 1, .wanted = { { 504, "never" } } },
	{ "R8: 421 to EHLO", HOSTS({ SCRIPTS(LINES("> 220 hi", "< EHLO", "> 421 busy", "!")) }),
	    .n_recipients = 1, .wanted = { { 421, "busy" } }, .feedback = SCHEDULE_SITE_DOWN },
	{ "R11: EHLO answered before it was said",
	    HOSTS({ SCRIPTS(LINES("> 220 hi", "> 250 PIPELINING")) }), .n_recipients = 1,
	    .wanted = { { 451, "reply-early" } }, .feedback = SCHEDULE_SITE_DOWN },
	{ "R14: the rest in another transaction",
	    HOSTS({ SCRIPTS(LINES(HELLO, GROUP3, "> 250 ok", "> 250 ok", "> 452 4.5.3 too many",
		"> 452 4.5.3 too many", "> 354 go", CONTENT, "> 250 one", "< MAIL",
		"< RCPT TO:<r2@", "< RCPT TO:<r3@", "= DATA", "> 250 ok", "> 250 ok", "> 250 ok",
		"> 354 go", CONTENT, "> 250 two", QUITS)) }),
	    .n_recipients = 3, .wanted = { { 250, "one" }, { 250, "two" }, { 250, "two" } } },
	{ "as many recipients as we are told to send at once", .per_transaction = 2,
	    HOSTS({ SCRIPTS(LINES(HELLO, "< MAIL", "< RCPT TO:<r1@", "< RCPT TO:<r2@", "= DATA",
		"> 250 ok", "> 250 ok", "> 250 ok", "> 354 go", CONTENT, "> 250 one", "< MAIL",
		"< RCPT TO:<r3@", "= DATA", "> 250 ok", "> 550 no", "> 503 no", QUITS)) }),
	    .n_recipients = 3, .wanted = { { 250, "one" }, { 250, "one" }, { 550, "no" } } },
	{ "a refused transaction is reset before the next", .per_transaction = 1,
	    HOSTS({ SCRIPTS(LINES(HELLO, GROUP1, "> 250 ok", "> 550 no", "> 503 no", "= RSET",
		"> 250 ok", "< MAIL", "< RCPT TO:<r2@", "= DATA", "> 250 ok", "> 250 ok",
		"> 354 go", CONTENT, "> 250 two", QUITS)) }),
	    .n_recipients = 2, .wanted = { { 550, "no" }, { 250, "two" } } },
	{ "some delivered, then lost: the others at the next host", .per_transaction = 1,
	    HOSTS({ SCRIPTS(LINES(HELLO, GROUP1, "> 250 ok", "> 250 ok", "> 354 go", CONTENT,
		      "> 250 one", "< MAIL", "< RCPT", "= DATA", "!")) },
		{ SCRIPTS(LINES(HELLO, "< MAIL", "< RCPT TO:<r2@", "= DATA", "> 250 ok", "> 250 ok",
		    "> 354 go", CONTENT, "> 250 two", QUITS)) }),
	    .n_recipients = 2, .wanted = { { 250, "one" }, { 250, "two" } } },
	{ "R18: SIZE too small: nothing is sent",
	    HOSTS({ SCRIPTS(LINES("> 220 hi", "< EHLO", "> 250-mx", "> 250 SIZE 10", QUITS)) }),
	    .n_recipients = 1, .wanted = { { 552, "size-exceeded" } } },
	{ "R18: but the next host takes more",
	    HOSTS({ SCRIPTS(LINES("> 220 hi", "< EHLO", "> 250-mx", "> 250 SIZE 10", QUITS)) },
		{ TAKES }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } } },
	{ "R19: 8-bit content refused", HOSTS({ SCRIPTS(LINES(HELLO, QUITS)) }), .n_recipients = 1,
	    .is_8bit = true, .wanted = { { 554, "8bit-unsupported" } } },
	{ "R8: a server that always hangs up is not asked for ever",
	    HOSTS({ SCRIPTS(LINES("> 421 no", "!")) }, { SCRIPTS(LINES("> 421 no", "!")) },
		{ SCRIPTS(LINES("> 421 no", "!")) }, { SCRIPTS(LINES("> 421 no", "!")) },
		{ SCRIPTS(LINES("> 421 no", "!")) }, { NOBODY }),
	    .n_recipients = 1, .wanted = { { 421, "no" } }, .feedback = SCHEDULE_SITE_DOWN },

	/* ---- TLS ---- */
	{ "may: encrypted, whatever the certificate", HOSTS({ TAKES_TLS }), .n_recipients = 1,
	    .wanted = { { 250, "queued" } },
	    .evidence = "required=may by=default achieved=encrypt protocol=TLSv1.3 cipher=" },
	{ "none: not encrypted though offered",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "< MAIL", "> 550 no", QUITS)), NONE }),
	    .n_recipients = 1, .wanted = { { 550, "no" } },
	    .evidence = "required=none by=partner achieved=none host=" },
	{ "encrypt", HOSTS({ TAKES_TLS, ENCRYPT }), .n_recipients = 1,
	    .wanted = { { 250, "queued" } },
	    .evidence = "required=encrypt by=partner achieved=encrypt protocol=" },
	{ "T1: a TLSA record matches", HOSTS({ TAKES_TLS, DANE }), .n_recipients = 1,
	    .wanted = { { 250, "queued" } }, .evidence = "match=\"TLSA 3 1 1" },
	{ "T2: no TLSA record matches",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")), DANE_WRONG }),
	    .n_recipients = 1, .wanted = { { 454, "dane-mismatch" } },
	    .feedback = SCHEDULE_SITE_DOWN,
	    .evidence = "required=dane by=dane achieved=none failed=dane-mismatch "
			"protocol=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384 cert=" },
	{ "T2: nor at a later attempt",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")), DANE_WRONG }),
	    .n_recipients = 1, .n_attempts = 5, .wanted = { { 454, "dane-mismatch" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "T2: but the next host matches",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")), DANE_WRONG },
		{ TAKES_TLS, DANE }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } }, .evidence = "match=\"TLSA 3 1 1" },
	{ "T5: only unusable records: encrypted, by anybody", HOSTS({ TAKES_TLS, DANE_UNUSABLE }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } },
	    .evidence = "required=dane by=dane achieved=encrypt " },
	{ "T5: but never in plaintext", HOSTS({ SCRIPTS(LINES(HELLO, QUITS)), DANE_UNUSABLE }),
	    .n_recipients = 1, .wanted = { { 454, "starttls-missing" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "T16: no STARTTLS where TLSA records are", HOSTS({ SCRIPTS(LINES(HELLO, QUITS)), DANE }),
	    .n_recipients = 1, .n_attempts = 3, .wanted = { { 454, "starttls-missing" } },
	    .feedback = SCHEDULE_SITE_DOWN,
	    .evidence = "required=dane by=dane achieved=none failed=starttls-missing" },
	{ "T24: the partner's name", HOSTS({ TAKES_TLS, SECURE }), .n_recipients = 1,
	    .wanted = { { 250, "queued" } }, .evidence = " name=mx.example\"" },
	{ "T24: another name",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T")), SECURE_OTHER_NAME }),
	    .n_recipients = 1, .n_attempts = 2, .wanted = { { 454, "partner-tls-name" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "STARTTLS refused, plaintext will do",
	    HOSTS({ SCRIPTS(LINES(
		HELLO_TLS, "= STARTTLS", "> 454 4.7.0 not now", "< MAIL", "> 550 no", QUITS)) }),
	    .n_recipients = 1, .wanted = { { 550, "no" } },
	    .evidence = "required=may by=default achieved=none host=" },
	{ "STARTTLS refused for good, TLS demanded",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 554 5.7.0 never", QUITS)), ENCRYPT }),
	    .n_recipients = 1, .wanted = { { 454, "starttls-refused" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "R28: a command's answer after STARTTLS's",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", ">> 220 go\r\n250 PIPELINING\r\n")) }),
	    .n_recipients = 1, .n_attempts = 3, .wanted = { { 454, "starttls-early-input" } },
	    .feedback = SCHEDULE_SITE_ANSWERED },
	{ "R29: closed in place of the handshake, TLS demanded",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "!")), ENCRYPT }),
	    .n_recipients = 1, .wanted = { { 454, "tls-handshake" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "may: a broken handshake is no plaintext at first",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "!")) }), .n_recipients = 1,
	    .wanted = { { 454, "tls-handshake" } }, .feedback = SCHEDULE_SITE_ANSWERED },
	{ "may: but at a later attempt, on another connection",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "!"),
		LINES(HELLO_TLS, "< MAIL", "> 250 ok", "< RCPT", "> 250 ok", "= DATA", "> 354 go",
		    CONTENT, "> 250 queued", QUITS)) }),
	    .n_recipients = 1, .n_attempts = 1, .wanted = { { 250, "queued" } },
	    .evidence = "required=may by=default achieved=none host=" },
	{ "may: closed at STARTTLS is no plaintext at first",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "!")) }), .n_recipients = 1,
	    .wanted = { { 451, "connection-lost" } }, .feedback = SCHEDULE_SITE_ANSWERED },
	{ "may: but at a later attempt, on another connection (RFC 8689 4.2.2)",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "!"),
		LINES(HELLO_TLS, "< MAIL", "> 250 ok", "< RCPT", "> 250 ok", "= DATA", "> 354 go",
		    CONTENT, "> 250 queued", QUITS)) }),
	    .n_recipients = 1, .n_attempts = 1, .wanted = { { 250, "queued" } },
	    .evidence = "required=may by=default achieved=none host=" },
	{ "closed at STARTTLS, TLS demanded, however often",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "!")), ENCRYPT }), .n_recipients = 1,
	    .n_attempts = 3, .wanted = { { 451, "connection-lost" } },
	    .feedback = SCHEDULE_SITE_DOWN },
	{ "T27: closed without close_notify after 250",
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, SHAKE, GROUP1, "> 250 ok", "> 250 ok", "> 354 go",
		CONTENT, "> 250 queued", "!")) }),
	    .n_recipients = 1, .wanted = { { 250, "queued" } } },
	{ "T28: the handshake stalls", .falls_silent = true,
	    HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "~")), ENCRYPT }),
	    .n_recipients = 1, .wanted = { { 454, "tls-timeout" } },
	    .feedback = SCHEDULE_SITE_DOWN },
};

static void set_stage(struct act *act, const struct stage *stage, const struct scene *scene)
{
	act_begin(act, stage, scene->n_recipients, scene->falls_silent ? &hurry : &calm);
	if (scene->per_transaction > 0)
		act->config.delivery.recipients = scene->per_transaction;
	act->message.is_8bit = scene->is_8bit;
	for (size_t i = 0; i < scene->n_hosts; i++)
		act_add_host(act, stage, &scene->hosts[i]);
}

static void check(const struct scene *scene, struct act *act)
{
	const char *problem;

	for (size_t i = 0; i < scene->n_recipients; i++)
		wanted_check(scene->name, &scene->wanted[scene->wanted[i].code != 0 ? i : 0],
		    &act->outcomes[i]);
	if (act->feedback != scene->feedback)
		fail_msg("%s: feedback %d", scene->name, act->feedback);
	if (scene->evidence != NULL && strstr(act->evidence, scene->evidence) == NULL)
		fail_msg("%s: evidence \"%s\"", scene->name, act->evidence);
	problem = act_settle(act);
	if (problem != NULL)
		fail_msg("%s: %s", scene->name, problem);
}

static void test_scenes(void **state)
{
	for (size_t i = 0; i < sizeof scenes / sizeof scenes[0]; i++) {
		struct act act;

		set_stage(&act, *state, &scenes[i]);
		act_attempt(&act, scenes[i].n_attempts);
		assert_false(act.is_done);
		loop_run(act.loop);
		check(&scenes[i], &act);
		act_end(&act);
	}
}

static void test_refused_plan(void **state)
{
	static const struct scene nobody = { .name = "nobody", .n_recipients = 2 };
	struct act act;

	set_stage(&act, *state, &nobody);
	outcome_say(&act.plan.refusal, 556, "5.1.10", "null-mx", "takes no mail");
	act_attempt(&act, 0);
	loop_run(act.loop);
	assert_string_equal(act.outcomes[1].name, "null-mx");
	assert_int_equal(act.feedback, SCHEDULE_SITE_ANSWERED);
	assert_string_equal(act.host, "");
	assert_string_equal(act.evidence, "achieved=none failed=null-mx");
	act_end(&act);
}

/* Its only host must not be used: nothing is tried, and a TLS report tells of it all the same. */
static void a_refused_plan_is_counted(void **state)
{
	static const struct host only = { .unusable = true };
	static const struct scene nobody = { .name = "nobody", .n_recipients = 1 };
	struct act act;

	set_stage(&act, *state, &nobody);
	act_add_host(&act, *state, &only);
	outcome_say(&act.plan.hosts[0].unusable, 451, "4.4.3", "tlsa-lookup-failed", "no answer");
	act.plan.hosts[0].has_tlsa_policy = true;
	act.plan.refusal = act.plan.hosts[0].unusable;
	act_attempt(&act, 0);
	loop_run(act.loop);
	assert_string_equal(act.outcomes[0].name, "tlsa-lookup-failed");
	assert_string_equal(act.evidence, "required=may by=default achieved=none "
					  "failed=tlsa-lookup-failed host=mx.example");
	assert_int_equal(act.n_counts, 1);
	act_end(&act);
}

/* A destination that is out of reach for one message is not for the others. */
static void a_refusal_for_one_message_is_no_fault_of_the_site(void **state)
{
	static const struct {
		enum tls_demand demand;
		bool requires_tls;
		enum schedule_feedback feedback;
	} rows[] = {
		{ DEMAND_PARTNER, false, SCHEDULE_SITE_DOWN },
		{ DEMAND_DANE, false, SCHEDULE_SITE_DOWN },
		{ DEMAND_ACCOUNT, false, SCHEDULE_SITE_ANSWERED },
		{ DEMAND_REQUIRETLS, true, SCHEDULE_SITE_ANSWERED },
		{ DEMAND_PARTNER, true, SCHEDULE_SITE_ANSWERED },
	};
	static const struct host only = { .unusable = true };
	static const struct scene nobody = { .name = "nobody", .n_recipients = 1 };

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct act act;

		set_stage(&act, *state, &nobody);
		act_add_host(&act, *state, &only);
		outcome_say(
		    &act.plan.hosts[0].unusable, 451, "4.7.5", "dane-required", "no TLSA records");
		act.plan.hosts[0].tls.demand = rows[i].demand;
		act.plan.needs_requiretls = rows[i].requires_tls;
		act.plan.refusal = act.plan.hosts[0].unusable;
		act_attempt(&act, 0);
		loop_run(act.loop);
		assert_string_equal(act.outcomes[0].name, "dane-required");
		assert_int_equal(act.feedback, rows[i].feedback);
		act_end(&act);
	}
}

/* Without a lookup role nothing is known, and the site is not to blame. */
static void test_no_lookup(void **state)
{
	static const struct scene nobody = { .name = "nobody", .n_recipients = 1 };
	struct act act;
	struct attempt_job job;

	set_stage(&act, *state, &nobody);
	act.house.lookup = asker_create(act.loop, ASKER_PLAIN, 1000);
	job =
	    (struct attempt_job){ .message = &act.message, .domain = "example.net", .fd = act.fd };
	attempt_start(&act.house, &job, NULL, act_done, &act);
	loop_run(act.loop);
	assert_string_equal(act.outcomes[0].name, "lookup-unavailable");
	assert_int_equal(act.outcomes[0].class, OUTCOME_DEFER);
	assert_int_equal(act.feedback, SCHEDULE_NOT_TRIED);
	assert_string_equal(act.evidence, "achieved=none failed=lookup-unavailable");
	asker_destroy(&act.house.lookup);
	act_end(&act);
}

/* T24: an exception ends while a server lets us wait: nothing more goes by it, and a new plan is made. */
static void test_exception_ends_under_way(void **state)
{
	const struct scene waits = { .name = "waits",
		HOSTS({ SCRIPTS(LINES("~")) }, { NOBODY }),
		.falls_silent = true,
		.n_recipients = 2 };
	const struct scene speaks = { .name = "speaks",
		HOSTS({ SCRIPTS(LINES("> 220 hi", "= EHLO relay.example.org", "~")) }),
		.n_recipients = 2 };

	for (int i = 0; i < 2; i++) {
		struct act act;
		int64_t ends_ms;

		set_stage(&act, *state, i == 0 ? &waits : &speaks);
		ends_ms = act.plan.exception_ends_ms = clock_monotonic_ms() + 100;
		act_attempt(&act, 0);
		while (i == 1 && clock_monotonic_ms() < ends_ms)
			loop_run_once(act.loop, false);
		if (i == 1)
			peer_say(act.peers[0], "250 mx");
		loop_run(act.loop);
		assert_int_equal(act.outcomes[0].code, 0);
		assert_int_equal(act.outcomes[1].code, 0);
		assert_int_equal(act.feedback, SCHEDULE_NOT_TRIED);
		act_end(&act);
	}
}

static void test_longest(void **state)
{
	const struct scene slow[] = {
		{ "in the dialogue", HOSTS({ SCRIPTS(LINES(HELLO, GROUP1)) }), .n_recipients = 1,
		    .evidence = "required=may by=default achieved=none host=mx.example" },
		{ "on the way",
		    HOSTS({ SCRIPTS(LINES("> 421 busy", "!")) }, { SCRIPTS(LINES("~")), ENCRYPT }),
		    .n_recipients = 1,
		    .evidence = "required=encrypt by=partner achieved=none "
				"failed=attempt-too-long host=mx.example" },
	};

	for (size_t i = 0; i < sizeof slow / sizeof slow[0]; i++) {
		struct patience patience = calm;
		struct act act;

		set_stage(&act, *state, &slow[i]);
		patience.longest_ms = 300;
		act.house.patience = &patience;
		act_attempt(&act, 0);
		loop_run(act.loop);
		assert_string_equal(act.outcomes[0].name, "attempt-too-long");
		assert_int_equal(act.outcomes[0].class, OUTCOME_DEFER);
		assert_string_equal(act.evidence, slow[i].evidence);
		act_end(&act);
	}
}

/* What the log holds since it was opened. */
static char *read_log(const char *path)
{
	static char text[16384];
	FILE *f = fopen(path, "r");
	size_t n;

	assert_non_null(f);
	n = fread(text, 1, sizeof text - 1, f);
	text[n] = '\0';
	fclose(f);
	return text;
}

/* Rules that are not enforced refuse nothing, and say so; so does an exception. */
static void test_watches(void **state)
{
	static const struct {
		const char *name;
		enum demand observed;
		enum sts_mode mode;
		bool sts_forbids;
		const char *exception;
		const char *said[3], *unsaid;
		const char *evidence;
	} rows[] = {
		{ "both would pass", SECURE, STS_MODE_TESTING, false, "", { "achieved=" },
		    "warning", "host=mx.example observe=would-pass sts=would-pass" },
		{ "a partner rule that is observed", SECURE_OTHER_NAME, STS_MODE_TESTING, false, "",
		    { "whose rule is only observed, would have refused mx.example[127.0.0.1]:",
			"[partner-tls-name]", "[partner-observe]" },
		    "[sts-testing]", "observe=would-fail:partner-tls-name sts=would-pass" },
		{ "T21: MTA-STS in testing", SECURE, STS_MODE_TESTING, true, "",
		    { "the MTA-STS policy of example.net, in testing, would have refused",
			"[sts-mx-name]", "[sts-testing]" },
		    "[partner-observe]", "observe=would-pass sts=would-fail:sts-mx-name" },
		{ "T18: MTA-STS behind DANE is no news", SECURE, STS_MODE_ENFORCE, true, "",
		    { "achieved=" }, "warning", "observe=would-pass sts=would-fail:sts-mx-name" },
		{ "an exception", SECURE, STS_MODE_TESTING, false, "until 2026-12-01 (ticket 123)",
		    { "by the exception of partner bank.example, until 2026-12-01 (ticket 123)",
			"[partner-exception]" },
		    "[partner-observe]", "exception=\"until 2026-12-01 (ticket 123)\"" },
	};
	const struct stage *stage = *state;
	char path[FORGE_PATH_MAX], error[200];

	forge_path(stage->directory, "log", path);
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		const struct scene scene = { .name = rows[i].name,
			HOSTS({ TAKES_TLS }),
			.n_recipients = 1,
			.wanted = { { 250, "queued" } },
			.evidence = rows[i].evidence };
		struct plan_watch *watches;
		struct act act;
		char *log;

		unlink(path);
		assert_int_equal(log_open(path, LOG_LEVEL_INFO, error, sizeof error), 0);
		set_stage(&act, stage, &scene);
		strcpy(act.plan.partner, "bank.example");
		strcpy(act.plan.exception, rows[i].exception);
		act.plan.sts.has_policy = true;
		act.plan.sts.policy.mode = rows[i].mode;
		watches = act.plan.hosts[0].watches;
		act.plan.hosts[0].n_watches = 2;
		watches[0].demand = DEMAND_PARTNER;
		demand_set(stage, rows[i].observed, &watches[0].tls);
		outcome_ok(&watches[0].unusable);
		watches[1].demand = DEMAND_MTA_STS;
		demand_set(stage, SECURE, &watches[1].tls);
		watches[1].tls.level = TLS_MTA_STS;
		watches[1].tls.demand = DEMAND_MTA_STS;
		outcome_ok(&watches[1].unusable);
		if (rows[i].sts_forbids)
			outcome_say(&watches[1].unusable, 451, "4.7.0", "sts-mx-name", "not named");
		act_attempt(&act, 0);
		loop_run(act.loop);
		check(&scene, &act);
		act_end(&act);
		log_close();
		log = read_log(path);
		for (size_t k = 0; k < 3 && rows[i].said[k] != NULL; k++) {
			if (strstr(log, rows[i].said[k]) == NULL)
				fail_msg("%s: not said: \"%s\" in\n%s", rows[i].name,
				    rows[i].said[k], log);
		}
		if (strstr(log, rows[i].unsaid) != NULL)
			fail_msg("%s: said: %s", rows[i].name, log);
	}
	unlink(path);
	assert_int_equal(log_open("stderr", LOG_LEVEL_INFO, error, sizeof error), 0);
}

/* Our login at a next hop: offered under TLS, or not used at all. */
static void test_login(void **state)
{
	const struct scene rows[] = {
		{ "R24: AUTH is listed only in clear",
		    HOSTS({ SCRIPTS(LINES("> 220 hi", "= EHLO relay.example.org", "> 250-mx",
				"> 250-AUTH PLAIN", "> 250 STARTTLS", SHAKE, QUITS)),
			ENCRYPT }),
		    .n_recipients = 1, .wanted = { { 454, "login-not-offered" } },
		    .feedback = SCHEDULE_SITE_DOWN },
		{ "never in plaintext, even where the rule would allow it",
		    HOSTS({ SCRIPTS(LINES("> 220 hi", "= EHLO relay.example.org", "> 250-mx",
				"> 250 AUTH PLAIN", QUITS)),
			MAY }),
		    .n_recipients = 1, .wanted = { { 454, "login-without-tls" } },
		    .feedback = SCHEDULE_SITE_DOWN },
	};

	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
		struct act act;

		set_stage(&act, *state, &rows[i]);
		strcpy(act.plan.login, "shop");
		act.house.auth = asker_create(act.loop, ASKER_PLAIN, 1000);
		act_attempt(&act, 0);
		loop_run(act.loop);
		check(&rows[i], &act);
		asker_destroy(&act.house.auth);
		act_end(&act);
	}
}

/* At any moment: nothing is called, nothing is left. */
static void test_cancel(void **state)
{
	const struct scene encrypted = { .name = "encrypted",
		HOSTS({ SCRIPTS(LINES(HELLO_TLS, "= STARTTLS", "> 220 go", "T",
		    "= EHLO relay.example.org", "> 250 mx", "~")) }),
		.n_recipients = 1 };

	for (int turns = 0; turns < 40; turns += 2) {
		struct attempt *attempt;
		struct act act;

		set_stage(&act, *state, &encrypted);
		attempt = act_attempt(&act, 0);
		for (int i = 0; i < turns && !act.is_done; i++)
			loop_run_once(act.loop, false);
		assert_false(act.is_done);
		attempt_cancel(&attempt);
		assert_null(attempt);
		act_end(&act);
	}
	attempt_cancel(&(struct attempt *){ NULL });
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scenes),
		cmocka_unit_test(test_refused_plan),
		cmocka_unit_test(a_refused_plan_is_counted),
		cmocka_unit_test(a_refusal_for_one_message_is_no_fault_of_the_site),
		cmocka_unit_test(test_no_lookup),
		cmocka_unit_test(test_exception_ends_under_way),
		cmocka_unit_test(test_longest),
		cmocka_unit_test(test_watches),
		cmocka_unit_test(test_login),
		cmocka_unit_test(test_cancel),
	};

	return cmocka_run_group_tests(tests, stage_set_up, stage_tear_down);
}
