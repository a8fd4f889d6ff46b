/*
 * Sealing: a field for each key the operator wrote, in that order, or a deferral that says why.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dkim/sign.h"
#include "house.h"
#include "relay/base/mem.h"

static const char header[] = "From: <shop@example.org>\r\nSubject: invoice\r\n\r\n";
static const uint8_t body_hash[DKIM_DIGEST_SIZE];

struct answer {
	size_t n;
	struct outcome outcome;
	char *fields;
};

static void on_done(void *arg, const struct outcome *outcome, const char *fields)
{
	struct answer *a = arg;

	a->n++;
	a->outcome = *outcome;
	free(a->fields);
	a->fields = mem_copy_text(fields);
	assert_int_equal(outcome_is_ok(outcome), fields != NULL);
}

static int set_up(void **state)
{
	struct house_of_tests *h = malloc(sizeof *h);

	house_init(h);
	*state = h;
	return 0;
}

static int tear_down(void **state)
{
	house_finish(*state);
	free(*state);
	return 0;
}

static struct sealing *seal(struct house_of_tests *h, const char *domain, struct answer *a)
{
	return sign_start(
	    h->signer, domain, body_hash, (struct slice){ header, sizeof header - 1 }, on_done, a);
}

static void a_field_for_each_key(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };
	char *second;

	assert_false(signer_is_ready(h->signer));
	house_bring_keeper(h);
	assert_true(signer_is_ready(h->signer));
	seal(h, "example.org", &a);
	assert_int_equal(a.n, 0);
	house_turn(h);
	assert_int_equal(a.n, 1);
	assert_true(outcome_is_ok(&a.outcome));
	assert_int_equal(h->n_digests, 2);
	assert_int_equal(strncmp(a.fields, "DKIM-Signature:", 15), 0);
	second = strstr(a.fields + 1, "DKIM-Signature:");
	assert_non_null(second);
	assert_null(strstr(second + 1, "DKIM-Signature:"));
	assert_true(strstr(a.fields, "s=s1") < second && strstr(a.fields, "s=s2") > second);
	assert_non_null(strstr(a.fields, "d=example.org"));
	assert_string_equal(a.fields + strlen(a.fields) - 2, "\r\n");
	free(a.fields);
}

static void K12_no_key_no_mail(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };

	/* before any keeper has said what it holds */
	house_bring_queue(h);
	seal(h, "example.org", &a);
	house_turn(h);
	assert_int_equal(a.outcome.code, 451);
	assert_string_equal(a.outcome.name, "no-key");
	house_bring_keeper(h);
	/* a domain we do not have, and one of whose keys the keeper lacks one */
	seal(h, "example.com", &a);
	house_turn(h);
	assert_int_equal(a.n, 2);
	assert_int_equal(a.outcome.code, 451);
	assert_string_equal(a.outcome.enhanced, "4.7.5");
	h->domain.selectors[1][1] = '9';
	seal(h, "example.org", &a);
	house_turn(h);
	h->domain.selectors[1][1] = '2';
	assert_int_equal(a.n, 3);
	assert_string_equal(a.outcome.name, "no-key");
	assert_int_equal(h->n_signed, 0); /* not with the other alone */
	h->domain.n_selectors = 0;
	seal(h, "example.org", &a);
	house_turn(h);
	h->domain.n_selectors = 2;
	assert_string_equal(a.outcome.name, "no-key");
	h->refuses_to_sign = true;
	seal(h, "example.org", &a);
	house_turn(h);
	assert_int_equal(a.n, 5);
	assert_string_equal(a.outcome.name, "no-key");
	assert_null(a.fields);
}

static void a_keeper_that_dies_defers(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };

	house_bring_keeper(h);
	seal(h, "example.org", &a);
	channel_destroy(&h->keeper_end);
	house_turn(h);
	assert_int_equal(a.n, 1);
	assert_int_equal(a.outcome.code, 451);
	assert_string_equal(a.outcome.name, "keeper-unavailable");
	assert_false(signer_is_ready(h->signer));
	seal(h, "example.org", &a);
	house_turn(h);
	assert_int_equal(a.n, 2);
	assert_string_equal(a.outcome.name, "keeper-unavailable");
	house_bring_keeper(h);
	seal(h, "example.org", &a);
	house_turn(h);
	assert_true(outcome_is_ok(&a.outcome));
	free(a.fields);
}

static void cancelled_is_not_told(void **state)
{
	struct house_of_tests *h = *state;
	struct answer a = { 0 };
	struct sealing *sealing;

	house_bring_keeper(h);
	sealing = seal(h, "example.org", &a);
	sign_cancel(&sealing);
	assert_null(sealing);
	sign_cancel(&sealing);
	house_turn(h);
	assert_int_equal(a.n, 0);
}

/* What the keeper tells does not last longer than the next word of a keeper. */
static void on_keys(void *arg)
{
	++*(size_t *)arg;
}

static void keys_are_told_again(void **state)
{
	struct house_of_tests *h = *state;
	struct ipc_message m = { .type = IPC_KEYS, .fd = -1 };
	struct answer a = { 0 };
	size_t n = 0;

	signer_on_keys(h->signer, on_keys, &n);
	house_bring_keeper(h);
	assert_int_equal(n, 1);
	channel_send(h->keeper_end, &m); /* it holds none any more */
	house_turn(h);
	assert_int_equal(n, 2);
	assert_true(signer_is_ready(h->signer));
	seal(h, "example.org", &a);
	house_turn(h);
	assert_string_equal(a.outcome.name, "no-key");
}

static void a_key_of_no_known_algorithm_is_none(void **state)
{
	struct house_of_tests *h = *state;
	struct ipc_message m = { .type = IPC_KEYS, .fd = -1 };
	ipc_key keys[] = { { "example.org", "s1", 0 }, { "example.org", "s2", 200 } };
	struct answer a = { 0 };

	house_bring_keeper(h);
	m.keys.keys = (ipc_key_list){ keys, 2 };
	channel_send(h->keeper_end, &m);
	house_turn(h);
	seal(h, "example.org", &a);
	house_turn(h);
	assert_string_equal(a.outcome.name, "no-key");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(a_field_for_each_key),
		T(a_key_of_no_known_algorithm_is_none),
		T(K12_no_key_no_mail),
		T(a_keeper_that_dies_defers),
		T(cancelled_is_not_told),
		T(keys_are_told_again),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
