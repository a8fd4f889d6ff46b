/* The header block that leaves, byte for byte. */
#include "relay/compose.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "smtp/header.h"

#define RECEIVED_FROM(name)                                                                        \
	"Received: from " name "\r\n"                                                              \
	"\tby mail.example.org with ESMTPSA\r\n"                                                   \
	"\t(TLSv1.3 TLS_AES_256_GCM_SHA384) id 0ABCDEFGHJKMNPQ;\r\n"                               \
	"\tSat, 21 Nov 2026 21:24:43 +0000\r\n"
#define RECEIVED RECEIVED_FROM("shop.example.org")
#define OWN      "Date: d\r\nMessage-ID: <m@x>\r\n"

static const struct header_limits limits = { 102400, 1000, true };
static const struct compose_facts ordinary = {
	.hostname = "mail.example.org",
	.client_name = "shop.example.org",
	.tls_version = "TLSv1.3",
	.tls_cipher = "TLS_AES_256_GCM_SHA384",
	.queue_id = "0ABCDEFGHJKMNPQ",
	.now_s = 1795296283,
};

static bool compose(const struct compose_facts *facts, const char *block, struct buffer *out,
    char message_id[COMPOSE_MESSAGE_ID_MAX], struct outcome *why)
{
	struct header h;
	bool good;

	assert_true(header_parse(&h, block, strlen(block), &limits, why));
	good = compose_header(facts, &h, out, message_id, why);
	header_finish(&h);
	return good;
}

static const struct {
	const char *title, *block, *wanted, *message_id;
} golden[] = {
	{ "complete", "From: a@example.org\r\nTo: b@example.net\r\n" OWN "\r\n",
	    RECEIVED "From: a@example.org\r\nTo: b@example.net\r\n" OWN "\r\n", "<m@x>" },
	{ "Date and Message-ID missing", "From: a@example.org\r\n\r\n",
	    RECEIVED "Date: Sat, 21 Nov 2026 21:24:43 +0000\r\n"
		     "Message-ID: <0ABCDEFGHJKMNPQ@mail.example.org>\r\n"
		     "From: a@example.org\r\n\r\n",
	    "<0ABCDEFGHJKMNPQ@mail.example.org>" },
	{ "only Message-ID missing, any case", "date: d\r\nFrom: a@example.org\r\n\r\n",
	    RECEIVED "Message-ID: <0ABCDEFGHJKMNPQ@mail.example.org>\r\n"
		     "date: d\r\nFrom: a@example.org\r\n\r\n",
	    "<0ABCDEFGHJKMNPQ@mail.example.org>" },
	{ "no empty line, no body", "From: a@example.org\r\n" OWN,
	    RECEIVED "From: a@example.org\r\n" OWN "\r\n", "<m@x>" },
	{ "no To, Cc or Bcc: none is added", "Bcc: b@example.net\r\n" OWN "\r\n",
	    RECEIVED OWN "\r\n", "<m@x>" },
	{ "what stays is byte-identical",
	    OWN "SUBJECT:x  \r\n\t y \r\nTo:\r\n b@example.net ,\r\n c@example.net\r\nX:\r\n\r\n",
	    RECEIVED OWN
	    "SUBJECT:x  \r\n\t y \r\nTo:\r\n b@example.net ,\r\n c@example.net\r\nX:\r\n\r\n",
	    "<m@x>" },
	{ "P41: Bcc, Resent-Bcc, Return-Path go with their folds",
	    "Return-Path: <x@y>\r\nBcc: b@example.net,\r\n c@example.net\r\n" OWN
	    "bcc:\r\n\td@example.net\r\nResent-Bcc: e@example.net\r\nTo: f@example.net\r\n\r\n",
	    RECEIVED OWN "To: f@example.net\r\n\r\n", "<m@x>" },
	{ "P41: Received and Delivered-To stay",
	    "Received: from a by b; d\r\nDelivered-To: x@y\r\nX-Original-To: x@y\r\n" OWN "\r\n",
	    RECEIVED "Received: from a by b; d\r\nDelivered-To: x@y\r\nX-Original-To: x@y\r\n" OWN
		     "\r\n",
	    "<m@x>" },
	{ "P41: Authentication-Results of others stay",
	    OWN "Authentication-Results: mx.example.net; spf=pass smtp.helo=mail.example.org\r\n"
		"Authentication-Results: mail.example.org.evil.example; none\r\n\r\n",
	    RECEIVED OWN
	    "Authentication-Results: mx.example.net; spf=pass smtp.helo=mail.example.org\r\n"
	    "Authentication-Results: mail.example.org.evil.example; none\r\n\r\n",
	    "<m@x>" },
	{ "P41: Authentication-Results in our name go",
	    OWN "Authentication-Results: mail.example.org; spf=pass\r\n"
		"authentication-results:mail.EXAMPLE.org 1; none\r\n"
		"Authentication-Results: (a (b) \\) ;)\r\n mail.example.org;none\r\n"
		"Authentication-Results: \"mail\\.example.org\"; none\r\n"
		"Authentication-Results: mail.example.org/1; none\r\n"
		"Authentication-Results: \"mail.example.org\r\n"
		"Authentication-Results: (\r\n"
		"Authentication-Results:\r\n\r\n",
	    RECEIVED OWN "\r\n", "<m@x>" },
	{ "P40: signatures that nobody verified go",
	    "DKIM-Signature: v=1; d=bank.example;\r\n b=abc\r\n" OWN "dkim-signature: x\r\n\r\n",
	    RECEIVED OWN "\r\n", "<m@x>" },
	{ "Message-ID folded and strange", "Date: d\r\nMessage-Id:\r\n\t<a\303\251b>  \r\n\r\n",
	    RECEIVED "Date: d\r\nMessage-Id:\r\n\t<a\303\251b>  \r\n\r\n", "<a\?\?b>" },
};

static void the_header_is_composed(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof golden / sizeof golden[0]; i++) {
		char message_id[COMPOSE_MESSAGE_ID_MAX];
		struct outcome why;
		struct buffer out;

		print_message("%s\n", golden[i].title);
		buffer_init(&out, 10000);
		assert_true(compose(&ordinary, golden[i].block, &out, message_id, &why));
		assert_true(outcome_is_ok(&why));
		assert_string_equal(buffer_text(&out), golden[i].wanted);
		assert_string_equal(message_id, golden[i].message_id);
		buffer_finish(&out);
	}
}

static const struct {
	const char *given, *wanted;
} names[] = {
	{ "laptop", RECEIVED_FROM("laptop") },
	{ "web-1.shop.example", RECEIVED_FROM("web-1.shop.example") },
	{ "[192.168.1.5]", RECEIVED_FROM("unknown") },
	{ "192.168.1.5", RECEIVED_FROM("unknown") },
	{ "[IPv6:fd00::1]", RECEIVED_FROM("unknown") },
	{ "fd00::1", RECEIVED_FROM("unknown") },
	{ "10", RECEIVED_FROM("unknown") },
	{ "", RECEIVED_FROM("unknown") },
	{ "a b", RECEIVED_FROM("unknown") },
	{ "a(b", RECEIVED_FROM("unknown") },
	{ "dot.", RECEIVED_FROM("unknown") },
};

static void the_client_s_address_is_not_told(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
		struct compose_facts facts = ordinary;
		char message_id[COMPOSE_MESSAGE_ID_MAX];
		struct outcome why;
		struct buffer out;

		facts.client_name = names[i].given;
		buffer_init(&out, 10000);
		assert_true(compose(&facts, OWN, &out, message_id, &why));
		assert_memory_equal(out.bytes, names[i].wanted, strlen(names[i].wanted));
		buffer_finish(&out);
	}
}

static void S16_a_header_that_grows_over_its_limit_is_refused(void **state)
{
	char message_id[COMPOSE_MESSAGE_ID_MAX];
	const char *block = "From: a@example.org\r\n" OWN "\r\n";
	size_t n = strlen(RECEIVED) + strlen(block);
	struct outcome why;
	struct buffer out;

	(void)state;
	buffer_init(&out, n);
	assert_true(compose(&ordinary, block, &out, message_id, &why));
	buffer_finish(&out);
	buffer_init(&out, n - 1);
	assert_false(compose(&ordinary, block, &out, message_id, &why));
	assert_string_equal(why.name, "header-too-large");
	assert_int_equal(why.code, 552);
	buffer_finish(&out);
}

static void a_long_message_id_is_cut_for_logs_only(void **state)
{
	char message_id[COMPOSE_MESSAGE_ID_MAX], block[600] = "Date: d\r\nMessage-ID: <";
	struct outcome why;
	struct buffer out;

	(void)state;
	memset(block + strlen(block), 'x', 400);
	strcat(block, "@y>\r\n\r\n");
	buffer_init(&out, 10000);
	assert_true(compose(&ordinary, block, &out, message_id, &why));
	assert_int_equal(strlen(message_id), COMPOSE_MESSAGE_ID_MAX - 1);
	assert_non_null(strstr(buffer_text(&out), "xxx@y>\r\n\r\n"));
	buffer_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_header_is_composed),
		cmocka_unit_test(the_client_s_address_is_not_told),
		cmocka_unit_test(S16_a_header_that_grows_over_its_limit_is_refused),
		cmocka_unit_test(a_long_message_id_is_cut_for_logs_only),
	};

	return cmocka_run_group_tests_name("road/compose", tests, NULL, NULL);
}
