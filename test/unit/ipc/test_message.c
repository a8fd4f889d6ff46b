/*
 * The table of messages: each comes back as it went, and nothing else decodes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "relay/base/wire.h"
#include "relay/ipc/message.h"

static struct outcome refusal(void)
{
	struct outcome o;

	outcome_say(&o, 550, "5.7.1", "sender-not-owned", "No");
	strcpy(o.who, "mx.example[192.0.2.1]");
	return o;
}

/* One of each type, every field of it filled. */
static void fill(struct ipc_message *m, enum ipc_type type)
{
	static ipc_key keys[] = { { "example.org", "s1", 1 }, { "example.com", "s2", 2 } };
	static ipc_signing digests[] = { { "s1", { "\0\1\2", 3 } }, { "s2", { "", 0 } } };
	static ipc_held held[] = { { "ID1", "one.test" }, { "ID2", "two.test" } };
	static ipc_count counts[] = { { 1, "one.test", "mx.one.test", "a", "b", 2, "mx", "::1",
					  "::2", "why" },
		{ 2, "two.test", "two.test", "", "", 0, "", "", "", "" } };
	static ipc_policy policies[] = { { "one.test", "1", "version", 5, 6 },
		{ "two.test", "2", "", 0, -1 } };
	static ipc_string strings[] = { { "v=TLSRPTv1" }, { "" } };
	static ipc_result results[2];

	results[0] = (ipc_result){ 7, 2, refusal() };
	results[1] = (ipc_result){ 9, 0, refusal() };
	*m = (struct ipc_message){ .type = type, .fd = -1 };
	switch (type) {
	case IPC_READY: m->ready.pid = 77; break;
	case IPC_PEER: m->peer = (struct ipc_peer){ 3, 99 }; break;
	case IPC_START: m->start.unused = 1; break;
	case IPC_DRAIN: m->drain.how = 2; break;
	case IPC_PROCESS: m->process = (struct ipc_process){ 1, "intake", 5, 1, 6, -7 }; break;
	case IPC_RELOAD: m->reload = (struct ipc_reload){ 1795319605, "it has errors" }; break;
	case IPC_AUTH_ASK:
		m->auth_ask = (struct ipc_auth_ask){ 1, 2, 1, "PLAIN", 1, { "\0a\0b", 4 }, "::1" };
		break;
	case IPC_AUTH_SAY:
		m->auth_say = (struct ipc_auth_say){ 1, 3, { "r=", 2 }, "a@example.org" };
		break;
	case IPC_AUTH_FORGET: m->auth_forget.exchange = UINT64_MAX; break;
	case IPC_KEYS: m->keys.keys = (ipc_key_list){ keys, 2 }; break;
	case IPC_SIGN_ASK:
		m->sign_ask = (struct ipc_sign_ask){ 4, "example.org", { digests, 2 } };
		break;
	case IPC_SIGN_SAY:
		m->sign_say = (struct ipc_sign_say){ 4, 1, "none", { digests, 2 } };
		break;
	case IPC_STORAGE: m->storage = (struct ipc_storage){ 1 << 20, refusal() }; break;
	case IPC_SEGMENT_ASK: m->segment_ask = (struct ipc_segment_ask){ 5, 6 }; break;
	case IPC_SEGMENT_SAY: m->segment_say = (struct ipc_segment_say){ 5, 8, refusal() }; break;
	case IPC_SEGMENT_RELEASE: m->segment_release.segment = 8; break;
	case IPC_COMMIT_ASK: m->commit_ask = (struct ipc_commit_ask){ 9, { "mail", 4 } }; break;
	case IPC_COMMIT_SAY: m->commit_say = (struct ipc_commit_say){ 9, refusal() }; break;
	case IPC_HELD: m->held_jobs.jobs = (ipc_held_list){ held, 2 }; break;
	case IPC_LEAVING: m->leaving.unused = 1; break;
	case IPC_DELIVER:
		m->deliver = (struct ipc_deliver){ "ID", "one.test", { "mail", 4 }, 3 };
		break;
	case IPC_RESULT:
		m->result_say =
		    (struct ipc_result_say){ "ID", "one.test", 3, 2, "mx", "TLS", { results, 2 } };
		break;
	case IPC_RESULT_KEPT: m->result_kept = (struct ipc_result_kept){ "ID", "x", 1 }; break;
	case IPC_COUNTS: m->counts_say.counts = (ipc_count_list){ counts, 2 }; break;
	case IPC_FACTS_ASK: m->facts_ask = (struct ipc_facts_ask){ 1, "one.test", 1, 587 }; break;
	case IPC_FACTS_SAY: m->facts_say = (struct ipc_facts_say){ 1, { "facts", 5 } }; break;
	case IPC_CLIENT_ASK:
		m->client_ask =
		    (struct ipc_client_ask){ 1, 2, 1, "mx", "me", 1, "PLAIN LOGIN", { "r=", 2 } };
		break;
	case IPC_CLIENT_SAY:
		m->client_say =
		    (struct ipc_client_say){ 1, 1, "PLAIN", 1, { "\0a\0b", 4 }, "none" };
		break;
	case IPC_CLIENT_FORGET: m->client_forget.exchange = 2; break;
	case IPC_POLICIES: m->policies_say = (struct ipc_policies_say){ { policies, 2 }, 1 }; break;
	case IPC_POLICY_KEEP:
		m->policy_keep = (struct ipc_policy_keep){ "one.test", "1", "version", 5, 6 };
		break;
	case IPC_RESOLVER: m->resolver_say = (struct ipc_resolver_say){ 1, "well", 5, 6 }; break;
	case IPC_TEXTS_ASK: m->texts_ask = (struct ipc_texts_ask){ 1, "_smtp._tls.a" }; break;
	case IPC_TEXTS_SAY:
		m->texts_say = (struct ipc_texts_say){ 1, 1, "why", { strings, 2 } };
		break;
	case IPC_POST_ASK:
		m->post_ask = (struct ipc_post_ask){ 1, "https://a", "application/x", { "{}", 2 } };
		break;
	case IPC_POST_SAY: m->post_say = (struct ipc_post_say){ 1, refusal() }; break;
	case IPC_N_TYPES: break;
	default: fail_msg("a message of no known type");
	}
}

static void each_comes_back_as_it_went(void **state)
{
	(void)state;
	for (int type = 0; type < IPC_N_TYPES; type++) {
		struct ipc_message m, again = { .type = (enum ipc_type)type, .fd = -1 };
		struct buffer b, b_again;

		fill(&m, (enum ipc_type)type);
		buffer_init(&b, 1 << 22);
		buffer_init(&b_again, 1 << 22);
		assert_true(ipc_message_encode(&m, &b));
		assert_true(b.n > 0 && b.n <= ipc_type_most_bytes(m.type));
		assert_true(ipc_message_decode(&again, b.bytes, b.n));
		assert_true(ipc_message_encode(&again, &b_again));
		assert_int_equal(b.n, b_again.n);
		assert_memory_equal(b.bytes, b_again.bytes, b.n);
		ipc_message_finish(&again);
		buffer_finish(&b);
		buffer_finish(&b_again);
		assert_true(strlen(ipc_type_name((enum ipc_type)type)) > 3);
	}
}

static void fields_arrive(void **state)
{
	struct ipc_message m, again = { .type = IPC_RESULT, .fd = -1 };
	struct buffer b;

	(void)state;
	fill(&m, IPC_RESULT);
	buffer_init(&b, 1 << 22);
	assert_true(ipc_message_encode(&m, &b));
	assert_true(ipc_message_decode(&again, b.bytes, b.n));
	assert_string_equal(again.result_say.id, "ID");
	assert_string_equal(again.result_say.domain, "one.test");
	assert_int_equal(again.result_say.feedback, 2);
	assert_int_equal(again.result_say.results.n, 2);
	assert_int_equal(again.result_say.results.items[0].recipient, 7);
	assert_int_equal(again.result_say.results.items[0].state, 2);
	assert_int_equal(again.result_say.results.items[1].outcome.code, 550);
	assert_int_equal(again.result_say.results.items[1].outcome.class, OUTCOME_FAIL);
	assert_string_equal(again.result_say.results.items[1].outcome.who, "mx.example[192.0.2.1]");
	ipc_message_finish(&again);
	buffer_finish(&b);
}

/* Shorter by any number of bytes, or longer by one: it is none. In memory of exactly that size. */
static void C2_cut_or_longer_is_none(void **state)
{
	(void)state;
	for (int type = 0; type < IPC_N_TYPES; type++) {
		struct ipc_message m;
		struct buffer b;

		fill(&m, (enum ipc_type)type);
		buffer_init(&b, 1 << 22);
		assert_true(ipc_message_encode(&m, &b));
		for (size_t n = 0; n <= b.n + 1; n++) {
			char *part = calloc(1, n + (n == 0));

			if (n == b.n) {
				free(part);
				continue;
			}
			memcpy(part, b.bytes, n < b.n ? n : b.n);
			m = (struct ipc_message){ .type = (enum ipc_type)type, .fd = -1 };
			if (ipc_message_decode(&m, part, n))
				fail_msg(
				    "%s cut to %zu of %zu decodes", ipc_type_name(m.type), n, b.n);
			free(part);
		}
		buffer_finish(&b);
	}
}

/* Every byte changed to some others: it decodes or not, but harms nothing. */
static void C2_changed_bytes_do_no_harm(void **state)
{
	static const char values[] = { 0, 1, 0x7f, -1, -128 };

	(void)state;
	for (int type = 0; type < IPC_N_TYPES; type++) {
		struct ipc_message m;
		struct buffer b;

		fill(&m, (enum ipc_type)type);
		buffer_init(&b, 1 << 22);
		assert_true(ipc_message_encode(&m, &b));
		for (size_t i = 0; i < b.n; i++) {
			for (size_t j = 0; j < sizeof values; j++) {
				char was = b.bytes[i];

				b.bytes[i] = values[j];
				m = (struct ipc_message){ .type = (enum ipc_type)type, .fd = -1 };
				if (ipc_message_decode(&m, b.bytes, b.n))
					ipc_message_finish(&m);
				b.bytes[i] = was;
			}
		}
		buffer_finish(&b);
	}
}

static void more_than_the_most_is_refused(void **state)
{
	struct ipc_message m = { .type = IPC_FACTS_ASK, .fd = -1 };
	struct buffer b;
	char text[1100], *large = calloc(1, 2048);

	(void)state;
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	m.facts_ask.domain = text;
	buffer_init(&b, 1 << 20);
	assert_false(ipc_message_encode(&m, &b));
	text[1024 - 8 - 4 - 1 - 5] = '\0'; /* besides number, length, NUL, is_host and port */
	buffer_clear(&b);
	assert_true(ipc_message_encode(&m, &b)); /* exactly as many as it may have */
	assert_int_equal(b.n, 1024);
	buffer_clear(&b);
	buffer_finish(&b);
	buffer_init(&b, 100); /* a buffer that is too small is noticed too */
	assert_false(ipc_message_encode(&m, &b));
	buffer_finish(&b);
	assert_false(ipc_message_decode(&m, large, 1025));
	m.type = IPC_N_TYPES;
	assert_false(ipc_message_decode(&m, large, 8));
	assert_false(ipc_message_encode(&m, &b));
	m.type = (enum ipc_type)200;
	assert_false(ipc_message_decode(&m, large, 8));
	free(large);
}

static void C2_outcomes_that_are_none(void **state)
{
	struct ipc_message m = { .type = IPC_COMMIT_SAY, .fd = -1 };
	static char text[OUTCOME_TEXT_MAX + 1];
	struct buffer b;

	(void)state;
	for (int i = 0; i < 3; i++) {
		memset(text, 'x', sizeof text - 1);
		text[i == 0 ? 0 : OUTCOME_TEXT_MAX - (i == 1)] = '\0';
		buffer_init(&b, 4096);
		wire_put_u64(&b, 1);
		wire_put_u32(&b, 250);
		wire_put_u8(&b, i == 0 ? 3 : 0); /* no such class */
		wire_put_text(&b, "2.0.0");
		wire_put_text(&b, text); /* as long as it may be, and longer */
		wire_put_text(&b, "");
		wire_put_text(&b, "");
		m = (struct ipc_message){ .type = IPC_COMMIT_SAY, .fd = -1 };
		assert_int_equal(ipc_message_decode(&m, b.bytes, b.n), i == 1);
		buffer_finish(&b);
	}
}

/* A count that the bytes behind it could not hold costs no memory worth the name. */
static void C2_count_of_nothing_costs_nothing(void **state)
{
	size_t n = ipc_type_most_bytes(IPC_RESULT);
	char *bytes = malloc(n);
	struct ipc_message m = { .type = IPC_RESULT, .fd = -1 };
	struct rusage before, after;
	struct buffer b;

	(void)state;
	buffer_init(&b, n);
	wire_put_text(&b, "ID");
	wire_put_text(&b, "one.test");
	wire_put_u8(&b, 0);
	wire_put_text(&b, "");
	wire_put_text(&b, "");
	wire_put_u32(&b, (uint32_t)(n / 5 - 20));
	memset(bytes, 0xff, n);
	memcpy(bytes, b.bytes, b.n);
	getrusage(RUSAGE_SELF, &before);
	assert_false(ipc_message_decode(&m, bytes, n));
	getrusage(RUSAGE_SELF, &after);
	assert_true(after.ru_maxrss - before.ru_maxrss < 100 * 1024);
	buffer_finish(&b);
	free(bytes);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_comes_back_as_it_went),
		cmocka_unit_test(fields_arrive),
		cmocka_unit_test(C2_cut_or_longer_is_none),
		cmocka_unit_test(C2_changed_bytes_do_no_harm),
		cmocka_unit_test(more_than_the_most_is_refused),
		cmocka_unit_test(C2_outcomes_that_are_none),
		cmocka_unit_test(C2_count_of_nothing_costs_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
