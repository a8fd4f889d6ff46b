/* Does DNSSEC work here? What the three names answer, and what follows from it, and when. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play_resolver.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/lookup/contract.h"

#define SIGNED   "signed.test A secure 192.0.2.1\n"
#define BROKEN   "broken.test A BOGUS\n"
#define UNSIGNED "unsigned.test A 192.0.2.2\n"
#define GOOD     SIGNED BROKEN UNSIGNED
#define BAD      "signed.test A 192.0.2.1\nbroken.test A 192.0.2.3\n" UNSIGNED
#define NOBODY   "signed.test A ERROR\nbroken.test A ERROR\nunsigned.test A ERROR\n"

struct fixture {
	struct loop *loop;
	struct resolver *resolver;
	struct contract *contract;
	struct config config;
	size_t n_checks;
};

static void on_changed(const struct contract_verdict *verdict, void *arg)
{
	struct fixture *f = arg;

	assert_ptr_equal(verdict, contract_verdict(f->contract));
	assert_in_range(verdict->checked_s, clock_wall_s() - 5, clock_wall_s());
	f->n_checks++;
}

static struct fixture *fixture_start_where(
    const char *names, const char *script, bool has_worked, bool forgives)
{
	struct fixture *f = mem_create(sizeof *f);
	struct config_dns_check *check = &f->config.dns_check;

	check->signed_name = (char *)(strchr(names, 's') != NULL ? "signed.test" : "");
	check->broken_name = (char *)(strchr(names, 'b') != NULL ? "broken.test" : "");
	check->unsigned_name = (char *)(strchr(names, 'u') != NULL ? "unsigned.test" : "");
	check->every_ms = 40;
	f->config.dns_forgive_loss = forgives;
	f->config.dns_check.patience_ms = 3600 * 1000;
	f->loop = loop_create();
	f->resolver = play_resolver_create(f->loop, script);
	f->contract = contract_create(f->loop, &f->config, f->resolver, has_worked, on_changed, f);
	assert_int_equal(contract_verdict(f->contract)->checked_s, 0);
	return f;
}

static struct fixture *fixture_start(const char *names, const char *script)
{
	return fixture_start_where(names, script, false, false);
}

static void fixture_finish(struct fixture *f)
{
	contract_destroy(&f->contract);
	assert_null(f->contract);
	resolver_destroy(&f->resolver);
	loop_destroy(&f->loop);
	free(f);
}

static enum contract_state state_of(const struct fixture *f)
{
	return contract_verdict(f->contract)->state;
}

static void wait_for_checks(struct fixture *f, size_t n)
{
	int64_t until = clock_monotonic_ms() + 60000;

	while (f->n_checks < n && clock_monotonic_ms() < until)
		loop_run_once(f->loop, true);
	assert_int_equal(f->n_checks, n);
}

/* What becomes of it after one check, and after three bad ones. */
static void test_verdicts(void **state)
{
	static const struct {
		const char *name, *asked, *script;
		enum contract_state one, three;
		const char *says; /* part of the text at the end */
	} table[] = {
		{ "all as it should be", "sbu", GOOD, CONTRACT_KEPT, CONTRACT_KEPT,
		    "signed.test is secure, broken.test is bogus, unsigned.test is insecure "
		    "[dnssec-validates]" },
		{ "N16 nothing is validated", "sbu", BAD, CONTRACT_UNKNOWN, CONTRACT_IMPAIRED,
		    "signed.test is insecure instead of secure, broken.test is insecure instead "
		    "of bogus, unsigned.test is insecure; see" },
		{ "everything looks forged", "sbu",
		    "signed.test A BOGUS\n" BROKEN "unsigned.test A BOGUS\n", CONTRACT_UNKNOWN,
		    CONTRACT_IMPAIRED, "signed.test is bogus instead of secure" },
		{ "signatures are stripped on the way", "sbu",
		    "signed.test A BOGUS\n" BROKEN UNSIGNED, CONTRACT_UNKNOWN, CONTRACT_IMPAIRED,
		    "[dnssec-impaired]" },
		{ "the broken one is believed", "sbu", SIGNED "broken.test A 192.0.2.3\n" UNSIGNED,
		    CONTRACT_UNKNOWN, CONTRACT_IMPAIRED,
		    "broken.test is insecure instead of bogus" },
		{ "the unsigned one is bogus", "sbu", SIGNED BROKEN "unsigned.test A BOGUS\n",
		    CONTRACT_UNKNOWN, CONTRACT_IMPAIRED, "unsigned.test is bogus" },
		{ "the broken one is refused", "sbu", SIGNED "broken.test A ERROR\n" UNSIGNED,
		    CONTRACT_KEPT, CONTRACT_KEPT, "broken.test is without an answer" },
		{ "the broken one was mended", "sbu",
		    SIGNED "broken.test A secure 192.0.2.3\n" UNSIGNED, CONTRACT_KEPT,
		    CONTRACT_KEPT, "broken.test is secure instead of bogus" },
		{ "the unsigned one is signed now", "sbu",
		    SIGNED BROKEN "unsigned.test A secure 192.0.2.2\n", CONTRACT_KEPT,
		    CONTRACT_KEPT, "unsigned.test is secure instead of insecure" },
		{ "the signed one has no address", "s", "signed.test A secure none\n",
		    CONTRACT_KEPT, CONTRACT_KEPT, "signed.test is secure" },
		{ "the signed one is gone, and nothing proves it", "s", "", CONTRACT_UNKNOWN,
		    CONTRACT_IMPAIRED, "signed.test is insecure instead of secure" },
		{ "nobody answers", "sbu", NOBODY, CONTRACT_UNKNOWN, CONTRACT_UNKNOWN,
		    "taught nothing: signed.test is without an answer" },
		{ "only the signed one does not answer", "sbu",
		    "signed.test A ERROR\n" BROKEN UNSIGNED, CONTRACT_UNKNOWN, CONTRACT_UNKNOWN,
		    "[dnssec-unknown]" },
		{ "there is no resolver to ask", "sbu", "NO RESOLVER", CONTRACT_UNKNOWN,
		    CONTRACT_UNKNOWN, "[dnssec-unknown]" },
		{ "the signed one alone", "s", SIGNED, CONTRACT_KEPT, CONTRACT_KEPT,
		    "signed.test is secure [" },
		{ "the broken one alone", "b", BROKEN, CONTRACT_KEPT, CONTRACT_KEPT,
		    "broken.test is bogus [" },
		{ "the broken one alone, refused", "b", "broken.test A ERROR\n", CONTRACT_UNKNOWN,
		    CONTRACT_UNKNOWN, "[dnssec-unknown]" },
		{ "the unsigned one alone", "u", UNSIGNED, CONTRACT_KEPT, CONTRACT_KEPT,
		    "unsigned.test is insecure [" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture *f = fixture_start(table[i].asked, table[i].script);

		assert_int_equal(state_of(f), CONTRACT_UNKNOWN);
		wait_for_checks(f, 1);
		if (state_of(f) != table[i].one)
			fail_msg("%s, once: %s", table[i].name, contract_state_name(state_of(f)));
		if (table[i].three != table[i].one)
			wait_for_checks(f, 3);
		else if (table[i].three == CONTRACT_UNKNOWN)
			wait_for_checks(f, 2);
		if (state_of(f) != table[i].three ||
		    strstr(contract_verdict(f->contract)->text, table[i].says) == NULL)
			fail_msg("%s, thrice: %s: %s", table[i].name,
			    contract_state_name(state_of(f)), contract_verdict(f->contract)->text);
		fixture_finish(f);
	}
}

/* Three in a row, of which errors take nothing away; one good one ends it. */
static void test_in_a_row(void **state)
{
	struct fixture *f = fixture_start("sbu", BAD);
	int64_t since_s;

	(void)state;
	wait_for_checks(f, 2);
	play_resolver_set(f->resolver, GOOD);
	wait_for_checks(f, 3);
	assert_int_equal(state_of(f), CONTRACT_KEPT);
	since_s = contract_verdict(f->contract)->since_s;
	assert_int_equal(since_s, contract_verdict(f->contract)->checked_s);

	play_resolver_set(f->resolver, BAD);
	wait_for_checks(f, 5);
	assert_int_equal(state_of(f), CONTRACT_KEPT);
	assert_non_null(strstr(contract_verdict(f->contract)->text, "not yet believed: "));
	assert_int_equal(contract_verdict(f->contract)->since_s, since_s);
	play_resolver_set(f->resolver, NOBODY);
	wait_for_checks(f, 6);
	assert_int_equal(state_of(f), CONTRACT_KEPT);
	play_resolver_set(f->resolver, BAD);
	wait_for_checks(f, 7);
	assert_int_equal(state_of(f), CONTRACT_IMPAIRED);
	play_resolver_set(f->resolver, NOBODY);
	wait_for_checks(f, 8);
	assert_int_equal(state_of(f), CONTRACT_IMPAIRED);
	play_resolver_set(f->resolver, GOOD);
	wait_for_checks(f, 9);
	assert_int_equal(state_of(f), CONTRACT_KEPT);
	/* Each time all three were asked anew. */
	assert_int_equal(play_resolver_count(f->resolver, "signed.test", "A"), 9);
	assert_int_equal(play_resolver_count(f->resolver, "unsigned.test", "A"), 9);
	fixture_finish(f);
}

/*
 * Somebody on the way can make signatures fail, and would, if DANE were given up for it. So where they
 * were good before nothing is: it is broken, and mail waits.
 */
static void test_whoever_tampers_wins_nothing(void **state)
{
	static const char tampered[] = "signed.test A BOGUS\n" BROKEN "unsigned.test A BOGUS\n";
	static const struct {
		const char *name, *script;
		bool has_worked, forgives;
		enum contract_state becomes;
	} table[] = {
		{ "on the first day", tampered, false, false, CONTRACT_IMPAIRED },
		{ "after it has worked", tampered, true, false, CONTRACT_BROKEN },
		{ "the operator has said that it shall go on", tampered, true, true,
		    CONTRACT_IMPAIRED },
		{ "only the signed one", "signed.test A BOGUS\n" BROKEN UNSIGNED, true, false,
		    CONTRACT_BROKEN },
		{ "only the unsigned one", SIGNED BROKEN "unsigned.test A BOGUS\n", true, false,
		    CONTRACT_BROKEN },
		{ "nobody on the way can make what is signed unsigned", BAD, true, false,
		    CONTRACT_IMPAIRED },
		{ "nor a broken signature good", SIGNED "broken.test A 192.0.2.3\n" UNSIGNED, true,
		    false, CONTRACT_IMPAIRED },
		{ "of both the worse", "signed.test A BOGUS\nbroken.test A 192.0.2.3\n" UNSIGNED,
		    true, false, CONTRACT_IMPAIRED },
	};

	(void)state;
	for (size_t i = 0; i < sizeof table / sizeof *table; i++) {
		struct fixture *f = fixture_start_where(
		    "sbu", table[i].script, table[i].has_worked, table[i].forgives);

		wait_for_checks(f, 2);
		assert_int_equal(state_of(f), CONTRACT_UNKNOWN);
		wait_for_checks(f, 3);
		if (state_of(f) != table[i].becomes)
			fail_msg("%s: %s", table[i].name, contract_state_name(state_of(f)));
		if (table[i].becomes == CONTRACT_BROKEN)
			assert_non_null(
			    strstr(contract_verdict(f->contract)->text, "[dnssec-broken]"));
		fixture_finish(f);
	}
}

static void test_it_has_worked_a_moment_ago(void **state)
{
	struct fixture *f = fixture_start("sbu", GOOD);

	(void)state;
	wait_for_checks(f, 1);
	play_resolver_set(f->resolver, "signed.test A BOGUS\n" BROKEN UNSIGNED);
	wait_for_checks(f, 4);
	assert_int_equal(state_of(f), CONTRACT_BROKEN);
	play_resolver_set(f->resolver, NOBODY);
	wait_for_checks(f, 5);
	assert_int_equal(state_of(f), CONTRACT_BROKEN);
	play_resolver_set(f->resolver, GOOD);
	wait_for_checks(f, 6);
	assert_int_equal(state_of(f), CONTRACT_KEPT);
	fixture_finish(f);
}

/* Mail must not wait for ever for a forwarder that strips signatures from now on. */
static void test_patience_ends(void **state)
{
	struct fixture *f = fixture_start("sbu", GOOD);

	(void)state;
	f->config.dns_check.patience_ms = 60;
	wait_for_checks(f, 1);
	play_resolver_set(f->resolver, "signed.test A BOGUS\n" BROKEN UNSIGNED);
	wait_for_checks(f, 4);
	assert_int_equal(state_of(f), CONTRACT_BROKEN);
	wait_for_checks(f, 6);
	assert_int_equal(state_of(f), CONTRACT_IMPAIRED);
	play_resolver_set(f->resolver, GOOD);
	wait_for_checks(f, 7);
	assert_int_equal(state_of(f), CONTRACT_KEPT);
	play_resolver_set(f->resolver, "signed.test A BOGUS\n" BROKEN UNSIGNED);
	wait_for_checks(f, 10);
	assert_int_equal(state_of(f), CONTRACT_BROKEN);
	fixture_finish(f);
}

/* Bad ones come quickly after each other; good ones take their time. */
static void test_times(void **state)
{
	struct fixture *f = fixture_start("s", BAD);
	int64_t before = clock_monotonic_ms();

	(void)state;
	f->config.dns_check.every_ms = 400;
	wait_for_checks(f, 3);
	assert_true(clock_monotonic_ms() - before >= 190);
	before = clock_monotonic_ms();
	play_resolver_set(f->resolver, GOOD);
	wait_for_checks(f, 4);
	wait_for_checks(f, 5);
	assert_true(clock_monotonic_ms() - before >= 790);
	fixture_finish(f);
}

static void test_off(void **state)
{
	struct fixture *f = fixture_start("", GOOD);

	(void)state;
	assert_int_equal(state_of(f), CONTRACT_OFF);
	for (int i = 0; i < 5; i++)
		loop_run_once(f->loop, false);
	assert_int_equal(f->n_checks, 0);
	fixture_finish(f);
}

/* In the middle of a check. */
static void test_destroy(void **state)
{
	struct fixture *f =
	    fixture_start("sbu", "signed.test A SILENCE\n" BROKEN "unsigned.test A SILENCE\n");

	(void)state;
	for (int i = 0; i < 5; i++)
		loop_run_once(f->loop, false);
	assert_int_equal(play_resolver_count(f->resolver, "signed.test", "A"), 1);
	assert_int_equal(f->n_checks, 0);
	fixture_finish(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_verdicts),
		cmocka_unit_test(test_in_a_row),
		cmocka_unit_test(test_whoever_tampers_wins_nothing),
		cmocka_unit_test(test_it_has_worked_a_moment_ago),
		cmocka_unit_test(test_patience_ends),
		cmocka_unit_test(test_times),
		cmocka_unit_test(test_off),
		cmocka_unit_test(test_destroy),
	};

	return cmocka_run_group_tests_name("contract", tests, NULL, NULL);
}
