/*
 * A message as bytes: whole or none, and nothing of it beyond its limits.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/mem.h"
#include "relay/base/wire.h"
#include "relay/message_wire.h"

static void fill(struct message *m)
{
	*m = (struct message){ .id = "0123456789ABCDE",
		.segment = UINT64_MAX,
		.header = { 100, 200, 0xdeadbeef },
		.body = { INT64_MAX / 2, INT64_MAX / 2, 1 },
		.sender = mem_copy_text("shop@example.org"),
		.account = mem_copy_text("web@example.org"),
		.from_domain = mem_copy_text("example.org"),
		.message_id = mem_copy_text("<1@example.org>"),
		.arrived_s = -5,
		.expires_s = 1800000000,
		.is_8bit = true,
		.is_bulk = true,
		.tls_floor = TLS_VERIFY,
		.n_recipients = 2 };
	m->recipients = mem_create(2 * sizeof *m->recipients);
	m->recipients[0] = mem_copy_text("a@one.test");
	m->recipients[1] = mem_copy_text("b@one.test");
}

static void encode(const struct message *m, const uint32_t *places, struct buffer *b)
{
	buffer_init(b, MESSAGE_WIRE_MAX);
	message_encode_job(m, places, b);
	assert_false(b->overflowed);
}

static void all_fields_come_back(void **state)
{
	static const uint32_t places[] = { 7, 3 };
	struct message m, again;
	uint32_t *again_places;
	struct buffer b;

	(void)state;
	fill(&m);
	encode(&m, places, &b);
	assert_true(message_decode_job((struct slice){ b.bytes, b.n }, &again, &again_places));
	assert_string_equal(again.id, m.id);
	assert_true(again.segment == m.segment);
	assert_memory_equal(&again.header, &m.header, sizeof m.header);
	assert_true(again.body.offset == m.body.offset && again.body.length == m.body.length &&
		    again.body.checksum == m.body.checksum);
	assert_string_equal(again.sender, m.sender);
	assert_string_equal(again.account, m.account);
	assert_string_equal(again.from_domain, m.from_domain);
	assert_string_equal(again.message_id, m.message_id);
	assert_true(again.arrived_s == m.arrived_s && again.expires_s == m.expires_s);
	assert_true(again.is_8bit && again.is_bulk);
	assert_int_equal(again.tls_floor, TLS_VERIFY);
	assert_int_equal(again.n_recipients, 2);
	assert_string_equal(again.recipients[1], "b@one.test");
	assert_int_equal(again_places[0], 7);
	assert_int_equal(again_places[1], 3);
	free(again_places);
	message_finish(&again);
	assert_true(message_decode((struct slice){ b.bytes, b.n }, &again));
	message_finish(&again);
	buffer_finish(&b);
	message_finish(&m);
}

static void cut_anywhere_is_none(void **state)
{
	struct message m, again;
	struct buffer b;

	(void)state;
	fill(&m);
	encode(&m, NULL, &b);
	for (size_t n = 0; n <= b.n + 1; n++) {
		char *part = mem_create(n);

		memcpy(part, b.bytes, n < b.n ? n : b.n);
		if (message_decode((struct slice){ part, n }, &again) != (n == b.n))
			fail_msg("%zu of %zu bytes", n, b.n);
		if (n == b.n)
			message_finish(&again);
		free(part);
	}
	buffer_finish(&b);
	message_finish(&m);
}

static void C5_what_is_no_message(void **state)
{
	enum { NO_RECIPIENT, BAD_ID, NO_ID, LONG_ID, HUGE_OFFSET, HUGE_LENGTH, KINDS };

	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		struct message m, again;
		struct buffer b;

		fill(&m);
		if (kind == BAD_ID)
			memcpy(m.id, "../../etc/passw", sizeof m.id);
		if (kind == NO_ID)
			m.id[0] = '\0';
		if (kind == HUGE_OFFSET)
			m.header.offset = UINT64_MAX;
		if (kind == HUGE_LENGTH)
			m.body.length = (uint64_t)INT64_MAX;
		buffer_init(&b, MESSAGE_WIRE_MAX);
		if (kind == LONG_ID) {
			struct buffer rest;

			encode(&m, NULL, &rest);
			wire_put_text(&b, "0123456789ABCDE0123456789ABCDE");
			buffer_add(&b, rest.bytes + 4 + 16, rest.n - 4 - 16);
			buffer_finish(&rest);
		} else {
			size_t n = m.n_recipients;

			m.n_recipients = kind == NO_RECIPIENT ? 0 : n;
			message_encode(&m, &b);
			m.n_recipients = n;
		}
		if (message_decode((struct slice){ b.bytes, b.n }, &again))
			fail_msg("kind %d decodes", kind);
		buffer_finish(&b);
		message_finish(&m);
	}
}

static void recipients_past_the_most(void **state)
{
	static char address[] = "a@one.test";
	size_t n = MESSAGE_RECIPIENTS_MAX;
	struct message m = { .id = "0123456789ABCDE" }, again;
	struct buffer b;

	(void)state;
	m.recipients = mem_create((n + 1) * sizeof *m.recipients);
	for (size_t i = 0; i <= n; i++)
		m.recipients[i] = address;
	for (size_t more = 0; more < 2; more++) {
		m.n_recipients = n + more;
		encode(&m, NULL, &b);
		assert_int_equal(message_decode((struct slice){ b.bytes, b.n }, &again), more == 0);
		if (more == 0)
			message_finish(&again);
		buffer_finish(&b);
	}
	free(m.recipients);
}

/* One that would end a command's line or its path ends the delivery that says it, again and again. */
static void addresses_that_no_command_can_hold(void **state)
{
	static const char *const bad[] = { "a b@one.test", "a@one.test>", "<a@one.test",
		"a\r@one.test", "a@one.test\r\nDATA", "\"a@one.test", "\"a\\\n\"@one.test",
		"\"a\x7f\"@one.test" };
	static const char *const good[] = { "a@one.test", "\"a b\"@one.test",
		"\"<\\\">\"@one.test" };

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad + sizeof good / sizeof *good; i++) {
		bool is_good = i >= sizeof bad / sizeof *bad;
		const char *text = is_good ? good[i - sizeof bad / sizeof *bad] : bad[i];

		for (int where = 0; where < 3; where++) {
			struct message m, again;
			struct buffer b;
			char **at;

			fill(&m);
			at = where == 0   ? &m.sender
			     : where == 1 ? &m.recipients[1]
					  : &m.from_domain;
			free(*at);
			*at = mem_copy_text(text);
			encode(&m, NULL, &b);
			if (message_decode((struct slice){ b.bytes, b.n }, &again) != is_good)
				fail_msg("%s, place %d", text, where);
			if (is_good)
				message_finish(&again);
			buffer_finish(&b);
			message_finish(&m);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_fields_come_back),
		cmocka_unit_test(cut_anywhere_is_none),
		cmocka_unit_test(C5_what_is_no_message),
		cmocka_unit_test(addresses_that_no_command_can_hold),
		cmocka_unit_test(recipients_past_the_most),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
