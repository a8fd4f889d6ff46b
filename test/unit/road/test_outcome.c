/*
 * What each failure means, as a table: the rules of relay/outcome.h, one line each.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "relay/outcome.h"

enum { OVER = 1, TLS = 2, WAITED = 4, REUSED = 8, REQUIRETLS = 16 };

static const struct {
	const char *name;
	enum point point;
	int code;
	const char *enhanced, *stable;
	int flags;
	size_t n_accepted;
	enum decision wanted;
} decisions[] = {
	{ "no address answers", POINT_DIAL, 451, "4.4.1", "connect", OVER, 0,
	    DECISION_NEXT_ADDRESS },
	{ "R3: 554 at the door", POINT_BANNER, 554, "5.7.1", "", 0, 0, DECISION_NEXT_ADDRESS },
	{ "421 at the door", POINT_BANNER, 421, "4.3.2", "", OVER, 0, DECISION_NEXT_ADDRESS },
	{ "R1: no banner", POINT_BANNER, 451, "4.4.2", "timeout", OVER, 0, DECISION_NEXT_ADDRESS },
	{ "R7: EHLO unknown", POINT_EHLO, 500, "5.5.1", "", 0, 0, DECISION_SAY_HELO },
	{ "R7: EHLO unknown, TLS demanded", POINT_EHLO, 500, "5.5.1", "", TLS, 0,
	    DECISION_NEXT_ADDRESS },
	{ "EHLO deferred", POINT_EHLO, 451, "4.3.0", "", 0, 0, DECISION_NEXT_ADDRESS },
	{ "R8: 421 at EHLO", POINT_EHLO, 421, "4.3.2", "", OVER, 0, DECISION_NEXT_ADDRESS },
	{ "HELO refused too", POINT_HELO, 550, "5.7.1", "", 0, 0, DECISION_NEXT_ADDRESS },
	{ "T16: no STARTTLS, TLS demanded", POINT_STARTTLS, 454, "4.7.4", "starttls-missing", TLS,
	    0, DECISION_NEXT_ADDRESS },
	{ "STARTTLS refused, TLS demanded", POINT_STARTTLS, 454, "4.7.0", "", TLS, 0,
	    DECISION_NEXT_ADDRESS },
	{ "STARTTLS refused, plaintext will do", POINT_STARTTLS, 454, "4.7.0", "", 0, 0,
	    DECISION_PLAIN_HERE },
	{ "closed at STARTTLS", POINT_STARTTLS, 451, "4.4.2", "connection-lost", OVER, 0,
	    DECISION_NEXT_ADDRESS },
	{ "closed at STARTTLS again, plaintext will do", POINT_STARTTLS, 451, "4.4.2",
	    "connection-lost", OVER | WAITED, 0, DECISION_PLAIN_AGAIN },
	{ "closed at STARTTLS again, TLS demanded", POINT_STARTTLS, 451, "4.4.2", "connection-lost",
	    OVER | WAITED | TLS, 0, DECISION_NEXT_ADDRESS },
	{ "R28: an answer before STARTTLS, however often", POINT_STARTTLS, 554, "5.5.0",
	    "reply-early", OVER | WAITED, 0, DECISION_NEXT_ADDRESS },
	{ "R28: junk before the handshake", POINT_TLS, 454, "4.7.0", "starttls-early-input",
	    OVER | WAITED, 0, DECISION_NEXT_ADDRESS },
	{ "the handshake fails, first attempt", POINT_TLS, 454, "4.7.5", "tls-handshake", OVER, 0,
	    DECISION_NEXT_ADDRESS },
	{ "the handshake fails again, plaintext will do", POINT_TLS, 454, "4.7.5", "tls-handshake",
	    OVER | WAITED, 0, DECISION_PLAIN_AGAIN },
	{ "T2: no TLSA record matches, however often", POINT_TLS, 454, "4.7.5", "dane-mismatch",
	    OVER | WAITED | TLS, 0, DECISION_NEXT_ADDRESS },
	{ "R18: SIZE too small", POINT_OFFER, 552, "5.3.4", "size-exceeded", 0, 0,
	    DECISION_NEXT_ADDRESS },
	{ "MAIL deferred", POINT_MAIL, 451, "4.7.1", "", 0, 0, DECISION_SETTLE_ALL },
	{ "MAIL refused", POINT_MAIL, 553, "5.1.8", "", 0, 0, DECISION_SETTLE_ALL },
	{ "R8: 421 at MAIL", POINT_MAIL, 421, "4.3.2", "", OVER, 0, DECISION_NEXT_ADDRESS },
	{ "RCPT refused", POINT_RCPT, 550, "5.1.1", "", 0, 2, DECISION_SETTLE_ONE },
	{ "R22: RCPT greylisted", POINT_RCPT, 450, "4.2.0", "", 0, 0, DECISION_SETTLE_ONE },
	{ "R14: too many recipients", POINT_RCPT, 452, "4.5.3", "", 0, 1, DECISION_LATER },
	{ "R14: of an old server", POINT_RCPT, 552, "5.0.0", "", 0, 1, DECISION_LATER },
	{ "452 with nobody accepted", POINT_RCPT, 452, "4.5.3", "", 0, 0, DECISION_SETTLE_ONE },
	{ "452: the mailbox is full", POINT_RCPT, 452, "4.2.2", "", 0, 1, DECISION_SETTLE_ONE },
	{ "552: the mailbox is full", POINT_RCPT, 552, "5.2.2", "", 0, 1, DECISION_SETTLE_ONE },
	{ "R8: 421 at RCPT", POINT_RCPT, 421, "4.3.2", "", OVER, 1, DECISION_NEXT_ADDRESS },
	{ "DATA refused", POINT_DATA, 554, "5.7.1", "", 0, 1, DECISION_SETTLE_ALL },
	{ "R9: lost at DATA", POINT_DATA, 451, "4.4.2", "connection-lost", OVER, 1,
	    DECISION_NEXT_ADDRESS },
	{ "R9: lost in the content", POINT_CONTENT, 451, "4.4.2", "connection-lost", OVER, 1,
	    DECISION_NEXT_ADDRESS },
	{ "R12: an answer before the end", POINT_CONTENT, 451, "4.5.0", "reply-early", OVER, 1,
	    DECISION_SETTLE_ALL },
	{ "R9: lost after the dot", POINT_DOT, 451, "4.4.2", "connection-lost", OVER, 1,
	    DECISION_SETTLE_ALL },
	{ "R8: 421 to the dot", POINT_DOT, 421, "4.3.2", "", OVER, 1, DECISION_SETTLE_ALL },
	{ "the content refused", POINT_DOT, 554, "5.6.0", "", 0, 1, DECISION_SETTLE_ALL },
	{ "R8: 421 to MAIL on a kept connection", POINT_MAIL, 421, "4.3.2", "", REUSED | OVER, 0,
	    DECISION_FRESH },
	{ "MAIL refused on a kept connection", POINT_MAIL, 550, "5.7.1", "", REUSED, 0,
	    DECISION_FRESH },
	{ "R9: a kept connection lost at RCPT", POINT_RCPT, 451, "4.4.2", "connection-lost",
	    REUSED | OVER, 1, DECISION_FRESH },
	{ "RCPT refused on a kept connection", POINT_RCPT, 550, "5.1.1", "", REUSED, 1,
	    DECISION_SETTLE_ONE },
	{ "R14: too many recipients on a kept connection", POINT_RCPT, 452, "4.5.3", "", REUSED, 1,
	    DECISION_LATER },
	{ "DATA refused on a kept connection", POINT_DATA, 451, "4.3.0", "", REUSED, 1,
	    DECISION_FRESH },
	{ "R9: a kept connection lost in the content", POINT_CONTENT, 451, "4.4.2",
	    "connection-lost", REUSED | OVER, 1, DECISION_FRESH },
	{ "R20: a kept connection takes too long for the content", POINT_CONTENT, 451, "4.4.2",
	    "timeout", REUSED | OVER, 1, DECISION_FRESH },
	{ "R12: an answer before the end on a kept connection", POINT_CONTENT, 451, "4.5.0",
	    "reply-early", REUSED | OVER, 1, DECISION_SETTLE_ALL },
	{ "R9: a kept connection lost after the dot", POINT_DOT, 451, "4.4.2", "connection-lost",
	    REUSED | OVER, 1, DECISION_SETTLE_ALL },
	{ "R15: the content refused on a kept connection", POINT_DOT, 554, "5.6.0", "", REUSED, 1,
	    DECISION_SETTLE_ALL },
	{ "R18: what a kept connection offered when it was new", POINT_OFFER, 552, "5.3.4",
	    "size-exceeded", REUSED, 0, DECISION_FRESH },
	{ "D10: our copy is spoiled, whatever the connection", POINT_OFFER, 451, "4.3.0",
	    "message-corrupt", REUSED, 0, DECISION_SETTLE_ALL },
	{ "D10: our copy is spoiled", POINT_OFFER, 451, "4.3.0", "message-corrupt", 0, 0,
	    DECISION_SETTLE_ALL },
	{ "Q7: our copy cannot be read", POINT_CONTENT, 451, "4.3.0", "message-unreadable", OVER, 1,
	    DECISION_SETTLE_ALL },
};

static void test_decisions(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof decisions / sizeof decisions[0]; i++) {
		struct outcome what;
		const struct incident incident = { .point = decisions[i].point,
			.what = &what,
			.is_over = (decisions[i].flags & OVER) != 0,
			.needs_tls = (decisions[i].flags & TLS) != 0,
			.has_waited = (decisions[i].flags & WAITED) != 0,
			.is_reused = (decisions[i].flags & REUSED) != 0,
			.n_accepted = decisions[i].n_accepted };

		outcome_say(
		    &what, decisions[i].code, decisions[i].enhanced, decisions[i].stable, "said");
		if (outcome_decide(&incident) != decisions[i].wanted)
			fail_msg("%s: decided %d", decisions[i].name, outcome_decide(&incident));
	}
}

/* Whatever is demanded, no failure of TLS leads to plaintext where it is demanded. */
static void test_demanded_tls_never_becomes_plaintext(void **state)
{
	static const int codes[] = { 421, 454, 451, 500, 501, 502, 503, 504, 530, 554 };

	(void)state;
	for (int point = POINT_ROUTE; point <= POINT_OFFER; point++) {
		for (size_t i = 0; i < sizeof codes / sizeof codes[0]; i++) {
			for (int flags = 0; flags < 4; flags++) {
				struct outcome what;
				const struct incident incident = { .point = (enum point)point,
					.what = &what,
					.needs_tls = true,
					.is_over = flags & 1,
					.has_waited = flags & 2 };

				outcome_say(
				    &what, codes[i], codes[i] < 500 ? "4.0.0" : "5.0.0", "", "no");
				assert_int_equal(outcome_decide(&incident), DECISION_NEXT_ADDRESS);
			}
		}
	}
}

struct note {
	enum point point;
	int code;
	int flags;
	const char *stable;
	enum tls_demand demand;
};

static const struct {
	const char *name;
	struct note notes[4]; /* up to code 0 */
	bool not_all;
	int code; /* in the end */
	const char *stable;
	enum schedule_feedback feedback;
} searches[] = {
	{ "R3: every host says 5xx: it fails", { { POINT_BANNER, 554 }, { POINT_BANNER, 521 } },
	    .code = 554, .stable = "", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "R3: one may do later: it waits", { { POINT_BANNER, 554 }, { POINT_DIAL, 451 } },
	    .code = 451, .stable = "", .feedback = SCHEDULE_SITE_DOWN },
	{ "R3: not every host was asked: it waits", { { POINT_BANNER, 554 } }, .not_all = true,
	    .code = 451, .stable = "hosts-left", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "what came furthest speaks",
	    { { POINT_DIAL, 451 }, { POINT_TLS, 454, TLS }, { POINT_BANNER, 421 } }, .code = 454,
	    .stable = "", .feedback = SCHEDULE_SITE_DOWN },
	{ "of equals the first speaks", { { POINT_BANNER, 421 }, { POINT_BANNER, 450 } },
	    .code = 421, .stable = "", .feedback = SCHEDULE_SITE_DOWN },
	{ "R7: a server without EHLO, TLS demanded: it waits", { { POINT_EHLO, 502, TLS } },
	    .code = 454, .stable = "starttls-refused", .feedback = SCHEDULE_SITE_DOWN },
	{ "STARTTLS refused for good, TLS demanded: it waits", { { POINT_STARTTLS, 554, TLS } },
	    .code = 454, .stable = "starttls-refused", .feedback = SCHEDULE_SITE_DOWN },
	{ "EHLO refused for what we are: it fails", { { POINT_EHLO, 550 } }, .code = 550,
	    .stable = "", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "in plaintext, and TLS demanded: anybody may have said it", { { POINT_EHLO, 550, TLS } },
	    .code = 451, .stable = "refused-in-plaintext", .feedback = SCHEDULE_SITE_DOWN },
	{ "R3: at the door, TLS demanded",
	    { { POINT_BANNER, 554, TLS }, { POINT_BANNER, 521, TLS } }, .code = 451,
	    .stable = "refused-in-plaintext", .feedback = SCHEDULE_SITE_DOWN },
	{ "at the door, TLS demanded by the account: others may be told for good",
	    { { POINT_BANNER, 554, TLS, "", DEMAND_ACCOUNT } }, .code = 451,
	    .stable = "refused-in-plaintext", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "REQUIRETLS, and turned away at the door: it waits",
	    { { POINT_BANNER, 554, TLS | REQUIRETLS, "", DEMAND_REQUIRETLS } }, .code = 451,
	    .stable = "refused-in-plaintext", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "a handshake that a later attempt does without: no rest for the site",
	    { { POINT_TLS, 454 } }, .code = 454, .stable = "", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "R18: what the servers offer does not do: it fails", { { POINT_OFFER, 552 } },
	    .code = 552, .stable = "", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "through the door and lost: no rest for the site",
	    { { POINT_MAIL, 451, OVER }, { POINT_DIAL, 451 } }, .code = 451, .stable = "",
	    .feedback = SCHEDULE_SITE_ANSWERED },
	{ "no TLS as the account demands it: others may do without",
	    { { POINT_STARTTLS, 454, TLS, "starttls-missing", DEMAND_ACCOUNT } }, .code = 454,
	    .stable = "starttls-missing", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "not there: that concerns all", { { POINT_DIAL, 451, TLS, "connect", DEMAND_ACCOUNT } },
	    .code = 451, .stable = "connect", .feedback = SCHEDULE_SITE_DOWN },
	{ "a host that an account's floor forbids",
	    { { POINT_ROUTE, 451, TLS, "tls-floor-conflict", DEMAND_PARTNER } }, .code = 451,
	    .stable = "tls-floor-conflict", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "no TLS as the partner demands it", { { POINT_STARTTLS, 454, TLS, "starttls-missing" } },
	    .code = 454, .stable = "starttls-missing", .feedback = SCHEDULE_SITE_DOWN },
	{ "REQUIRETLS, and no STARTTLS: it fails",
	    { { POINT_STARTTLS, 454, TLS | REQUIRETLS, "starttls-missing", DEMAND_REQUIRETLS } },
	    .code = 550, .stable = "requiretls-tls", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "REQUIRETLS, and an old server: it fails",
	    { { POINT_EHLO, 502, TLS | REQUIRETLS, "", DEMAND_REQUIRETLS } }, .code = 550,
	    .stable = "requiretls-tls", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "REQUIRETLS, and another name: it fails",
	    { { POINT_TLS, 454, TLS | REQUIRETLS, "sts-tls-name", DEMAND_MTA_STS } }, .code = 550,
	    .stable = "requiretls-tls", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "REQUIRETLS, and a handshake that breaks: it waits",
	    { { POINT_TLS, 454, TLS | REQUIRETLS, "tls-handshake", DEMAND_REQUIRETLS } },
	    .code = 454, .stable = "tls-handshake", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "REQUIRETLS, and STARTTLS refused for now: it waits",
	    { { POINT_STARTTLS, 454, TLS | REQUIRETLS, "", DEMAND_REQUIRETLS } }, .code = 454,
	    .stable = "", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "REQUIRETLS, and one host could not be reached: it waits",
	    { { POINT_TLS, 454, TLS | REQUIRETLS, "tls-expired", DEMAND_REQUIRETLS },
		{ POINT_DIAL, 451, TLS | REQUIRETLS, "connect", DEMAND_REQUIRETLS } },
	    .code = 451, .stable = "connect", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "REQUIRETLS is not offered: it fails",
	    { { POINT_OFFER, 550, REQUIRETLS, "requiretls-missing", DEMAND_REQUIRETLS } },
	    .code = 550, .stable = "requiretls-missing", .feedback = SCHEDULE_SITE_ANSWERED },
	{ "nothing was tried: it waits", { { 0, 0 } }, .code = 451, .stable = "not-tried",
	    .feedback = SCHEDULE_SITE_ANSWERED },
};

static void test_searches(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof searches / sizeof searches[0]; i++) {
		struct search search = { 0 };
		struct outcome outcome;

		for (size_t j = 0; j < 4 && searches[i].notes[j].code != 0; j++) {
			const struct note *note = &searches[i].notes[j];
			struct outcome what;
			const struct incident incident = { .point = note->point,
				.what = &what,
				.needs_tls = (note->flags & TLS) != 0,
				.requires_tls = (note->flags & REQUIRETLS) != 0,
				.demand = note->demand,
				.is_over = (note->flags & OVER) != 0 };

			outcome_say(&what, note->code, note->code < 500 ? "4.0.0" : "5.0.0",
			    note->stable != NULL ? note->stable : "", "said");
			search_note(&search, &incident);
		}
		search_outcome(&search, !searches[i].not_all, &outcome);
		if (outcome.code != searches[i].code ||
		    strcmp(outcome.name, searches[i].stable) != 0 ||
		    search_feedback(&search) != searches[i].feedback)
			fail_msg("%s: %d [%s], feedback %d", searches[i].name, outcome.code,
			    outcome.name, search_feedback(&search));
	}
}

static void test_states(void **state)
{
	struct outcome o;

	(void)state;
	outcome_ok(&o);
	assert_int_equal(outcome_state(&o), RECIPIENT_DELIVERED);
	outcome_say(&o, 450, "4.2.0", "", "later");
	assert_int_equal(outcome_state(&o), RECIPIENT_WAITING);
	assert_false(outcome_is_corrupt(&o));
	outcome_say(&o, 550, "5.1.1", "", "no");
	assert_int_equal(outcome_state(&o), RECIPIENT_FAILED);
	outcome_say_corrupt(&o, "short");
	assert_int_equal(outcome_state(&o), RECIPIENT_WAITING);
	assert_true(outcome_is_corrupt(&o));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_decisions),
		cmocka_unit_test(test_demanded_tls_never_becomes_plaintext),
		cmocka_unit_test(test_searches),
		cmocka_unit_test(test_states),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
