/*
 * The queue and the lookups it meets: what is kept goes to each that comes, what they say is kept.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../road/spool_fixture.h"
#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/ipc/channel.h"
#include "relay/net/loop.h"
#include "relay/proc/exceptions.h"
#include "relay/proc/dnssec_mark.h"
#include "relay/proc/queue_lookup.h"
#include "tls/sts.h"

/* A lookup, as this test plays it. */
struct played {
	struct channel *channel;
	size_t n_policies, n_messages;
	bool is_loaded, is_lost;
	char last[100];
};

struct scene {
	struct fixture f;
	struct queue_lookup *lookup;
	struct played played[2];
};

static int set_up(void **state)
{
	struct scene *s = mem_create(sizeof *s);

	fixture_init(&s->f);
	s->lookup = queue_lookup_create(s->f.loop, s->f.spool, s->f.directory);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	fixture_close(&s->f);
	queue_lookup_destroy(&s->lookup);
	for (size_t i = 0; i < 2; i++)
		channel_destroy(&s->played[i].channel);
	fixture_finish(&s->f);
	free(s);
	return 0;
}

static void on_heard(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct played *played = arg;
	const ipc_policy_list *policies = &m->policies_say.policies;

	(void)channel;
	assert_int_equal(m->type, IPC_POLICIES);
	assert_false(played->is_loaded);
	played->n_messages++;
	played->n_policies += policies->n;
	if (policies->n > 0)
		snprintf(played->last, sizeof played->last, "%s %s %s %d",
		    policies->items[policies->n - 1].domain, policies->items[policies->n - 1].id,
		    policies->items[policies->n - 1].policy,
		    (int)policies->items[policies->n - 1].fetched_s);
	played->is_loaded = m->policies_say.is_last;
}

static void on_lost(void *arg, struct channel *channel)
{
	struct played *played = arg;

	(void)channel;
	played->is_lost = true;
}

static struct played *come(struct scene *s, size_t i)
{
	struct played *played = &s->played[i];
	int ends[2];

	assert_int_equal(channel_make_pair(ends), 0);
	channel_destroy(&played->channel);
	*played = (struct played){ 0 };
	played->channel = channel_create(s->f.loop, ends[0], on_heard, on_lost, played);
	queue_lookup_meet(s->lookup, channel_create(s->f.loop, ends[1], on_heard, on_lost, played));
	return played;
}

static struct played *come_and_load(struct scene *s, size_t i)
{
	struct played *played = come(s, i);

	fixture_run(&s->f, &played->is_loaded);
	return played;
}

static void say_policy(
    struct played *played, const char *domain, const char *id, const char *policy)
{
	struct ipc_message m = { .type = IPC_POLICY_KEEP, .fd = -1 };

	m.policy_keep = (struct ipc_policy_keep){ domain, id, policy, 7, clock_wall_s() + 1000 };
	channel_send(played->channel, &m);
}

/* What was sent before has been heard once the answer of a later message shows. */
static void wait_for_resolver(struct scene *s, struct played *played, const char *text)
{
	struct ipc_message m = { .type = IPC_RESOLVER, .fd = -1 };
	int64_t until_ms = clock_monotonic_ms() + 60000;

	m.resolver_say = (struct ipc_resolver_say){ CONTRACT_IMPAIRED, text, 5, 6 };
	channel_send(played->channel, &m);
	while (strcmp(queue_lookup_resolver(s->lookup)->text, text) != 0) {
		loop_run_once(s->f.loop, true);
		assert_true(clock_monotonic_ms() < until_ms);
	}
}

static void T22_each_lookup_gets_what_is_kept(void **state)
{
	struct scene *s = *state;
	struct played *first = come_and_load(s, 0), *second;

	assert_int_equal(first->n_policies, 0);
	assert_int_equal(first->n_messages, 1);
	say_policy(first, "one.test", "1", "mode: enforce");
	say_policy(first, "two.test", "2", "mode: testing");
	wait_for_resolver(s, first, "a");
	second = come_and_load(s, 1);
	assert_int_equal(second->n_policies, 2);
	assert_string_equal(second->last, "two.test 2 mode: testing 7");
	say_policy(second, "two.test", "", "");
	wait_for_resolver(s, second, "b");
	first = come_and_load(s, 0); /* another in its place */
	assert_int_equal(first->n_policies, 1);
	assert_string_equal(first->last, "one.test 1 mode: enforce 7");
}

static void what_is_out_of_bounds_is_not_kept(void **state)
{
	struct scene *s = *state;
	struct played *played = come_and_load(s, 0);
	char *large = mem_create(STS_POLICY_MAX + 2);

	memset(large, 'x', STS_POLICY_MAX + 1);
	say_policy(played, "one.test", "1", large);
	say_policy(played, "", "1", "x");
	say_policy(played, "One.test", "1", "x");
	say_policy(played, "one..test", "1", "x");
	say_policy(played, "one.test", "123456789012345678901234567890123", "x");
	large[STS_POLICY_MAX] = '\0';
	say_policy(played, "largest.test", "12345678901234567890123456789012", large);
	wait_for_resolver(s, played, "a");
	assert_int_equal(come_and_load(s, 1)->n_policies, 1);
	free(large);
}

static void a_lookup_that_goes_while_it_is_told_hurts_nobody(void **state)
{
	struct scene *s = *state;
	struct played *played = come_and_load(s, 0);

	for (int i = 0; i < 20; i++) {
		struct played *other = come(s, 1);

		for (int j = 0; j < i % 5; j++)
			loop_run_once(s->f.loop, false);
		channel_destroy(&other->channel);
	}
	wait_for_resolver(s, played, "a");
	assert_int_equal(come_and_load(s, 1)->n_policies, 0);
}

static void the_resolver_is_remembered(void **state)
{
	struct scene *s = *state;
	struct ipc_message m = { .type = IPC_RESOLVER, .fd = -1 };
	const struct contract_verdict *verdict = queue_lookup_resolver(s->lookup);
	struct played *played = come_and_load(s, 0);

	assert_int_equal(verdict->state, CONTRACT_UNKNOWN);
	wait_for_resolver(s, played, "nothing is secure");
	assert_int_equal(verdict->state, CONTRACT_IMPAIRED);
	assert_int_equal(verdict->since_s, 5);
	assert_int_equal(verdict->checked_s, 6);
	m.resolver_say = (struct ipc_resolver_say){ 200, "nonsense", 7, 8 };
	channel_send(played->channel, &m);
	wait_for_resolver(s, played, "still");
	assert_int_equal(verdict->state, CONTRACT_IMPAIRED);
}

/* Once it has worked, that is known for good; nothing else leaves a mark. */
static void that_DNSSEC_has_worked_is_never_forgotten(void **state)
{
	struct scene *s = *state;
	struct ipc_message m = { .type = IPC_RESOLVER, .fd = -1 };
	struct played *played = come_and_load(s, 0);

	wait_for_resolver(s, played, "nothing is secure");
	assert_false(dnssec_mark_is_set(s->f.directory));
	m.resolver_say = (struct ipc_resolver_say){ CONTRACT_KEPT, "validates", 7, 8 };
	channel_send(played->channel, &m);
	wait_for_resolver(s, played, "and no more");
	assert_true(dnssec_mark_is_set(s->f.directory));
	assert_false(dnssec_mark_is_set("/nonexistent"));
}

/* ---- exceptions ---- */

static bool log_has(const char *path, const char *part)
{
	char text[4096];
	FILE *file = fopen(path, "r");
	size_t n = fread(text, 1, sizeof text - 1, file);

	fclose(file);
	text[n] = '\0';
	return strstr(text, part) != NULL;
}

static void T24_exceptions_are_told_when_they_begin_and_end(void **state)
{
	char reasons[3][20] = { "ticket 1", "ticket 2", "ticket 3" }, error[200];
	char names[3][20] = { "past.test", "soon.test", "later.test" };
	struct scene *s = *state;
	struct config_exception written[3] = { { 1000, TLS_MAY, reasons[0] },
		{ clock_wall_s() + 1, TLS_ENCRYPT, reasons[1] },
		{ clock_wall_s() + 9000, TLS_MAY, reasons[2] } };
	struct config_partner partners[4] = {
		{ .name = names[0], .level = TLS_SECURE, .exception = &written[0] },
		{ .name = names[1], .level = TLS_DANE_ONLY, .exception = &written[1] },
		{ .name = names[2], .level = TLS_SECURE, .exception = &written[2] },
		{ .name = names[2], .level = TLS_SECURE }
	};
	const struct config config = { .partners = partners, .n_partners = 4 };
	char *path = mem_print("%s/log", s->f.directory);
	int64_t until_ms = clock_monotonic_ms() + 60000;
	struct exceptions *exceptions;

	assert_int_equal(log_open(path, LOG_LEVEL_INFO, error, sizeof error), 0);
	exceptions = exceptions_create(s->f.loop, &config);
	assert_true(log_has(path, "partner past.test: its exception (ticket 1) is over since "
				  "1970-01-01T00:16:40Z: remove it"));
	assert_true(log_has(path, "partner soon.test: until "));
	assert_true(log_has(path, "tls=encrypt instead of dane-only (ticket 2)"));
	assert_true(log_has(path, "partner later.test: until "));
	while (!log_has(path, "partner soon.test: its exception (ticket 2) has ended, "
			      "tls=dane-only holds again")) {
		loop_run_once(s->f.loop, true);
		assert_true(clock_monotonic_ms() < until_ms);
	}
	assert_false(log_has(path, "later.test: its exception"));
	assert_false(log_has(path, "past.test: its exception (ticket 1) has ended"));
	exceptions_destroy(&exceptions);
	log_close();
	free(path);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(T22_each_lookup_gets_what_is_kept),
		CASE(what_is_out_of_bounds_is_not_kept),
		CASE(a_lookup_that_goes_while_it_is_told_hurts_nobody),
		CASE(the_resolver_is_remembered),
		CASE(that_DNSSEC_has_worked_is_never_forgotten),
		CASE(T24_exceptions_are_told_when_they_begin_and_end),
	};

	return cmocka_run_group_tests_name("queue and lookups", tests, NULL, NULL);
}
