/* Who may send as whom: the cases that try to pass as somebody else, and what each gets. */
#include "relay/policy.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/config.h"
#include "relay/base/mem.h"
#include "smtp/header.h"
#include "smtp/address.h"

/* The configuration's texts are not const. */
#define TEXT(literal) ((char[]){ literal })

static char *selectors[] = { TEXT("op26a-rsa"), TEXT("op26a-ed") };
static struct config_domain domains[] = {
	{ TEXT("example.com"), selectors, 2 },
	{ TEXT("example.org"), selectors, 2 },
	{ TEXT("keyless.example"), NULL, 0 },
	{ TEXT("xn--exmple-cua.org"), selectors, 1 },
};
static const struct config config = { .domains = domains, .n_domains = 4 };

static char *alice_senders[] = { TEXT("alice@example.org"), TEXT("Invoices@example.com") };
static char *any_senders[] = { TEXT("@example.org"), TEXT("@xn--exmple-cua.org"),
	TEXT("@keyless.example"), TEXT("bob@elsewhere.example") };
static const struct config_account alice = { TEXT("alice"), alice_senders, 2, STREAM_ORDINARY, 0 };
static const struct config_account any = { TEXT("any"), any_senders, 4, STREAM_BULK, 0 };
static const struct config_account nobody = { TEXT("nobody"), NULL, 0, STREAM_ORDINARY, 0 };

static const struct {
	const char *title;
	const struct config_account *account;
	const char *local, *domain;
	const char *name; /* "" if accepted */
} senders[] = {
	{ "own", &alice, "alice", "example.org", "" },
	{ "second own", &alice, "invoices", "example.com", "" },
	{ "local part in capitals", &alice, "ALICE", "example.org", "" },
	{ "P1: another domain", &alice, "alice", "bank.example", "sender-not-owned" },
	{ "another local part", &alice, "bob", "example.org", "sender-not-owned" },
	{ "longer local part", &alice, "alice2", "example.org", "sender-not-owned" },
	{ "shorter local part", &alice, "alic", "example.org", "sender-not-owned" },
	{ "own local part in the other own domain", &alice, "alice", "example.com",
	    "sender-not-owned" },
	{ "P2: subdomain", &any, "alice", "x.example.org", "sender-not-owned" },
	{ "P2: longer domain", &any, "alice", "notexample.org", "sender-not-owned" },
	{ "any local part", &any, "whoever", "example.org", "" },
	{ "P6: an address as local part, single address", &alice, "ceo@bank.example", "example.org",
	    "sender-not-owned" },
	{ "P6: an address as local part, whole domain", &any, "ceo@bank.example", "example.org",
	    "" },
	{ "P6: the other way round", &any, "alice@example.org", "bank.example",
	    "sender-not-owned" },
	{ "P9: null sender", &alice, "", "", "sender-null" },
	{ "P32: IDN", &any, "alice", "xn--exmple-cua.org", "" },
	{ "P32: homograph", &any, "alice", "xn--xample-2of.org", "sender-not-owned" },
	{ "P37: plus address", &alice, "alice+shop", "example.org", "sender-not-owned" },
	{ "P37: dots", &alice, "a.lice", "example.org", "sender-not-owned" },
	{ "an account without senders", &nobody, "alice", "example.org", "sender-not-owned" },
};

static void senders_must_be_owned(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof senders / sizeof senders[0]; i++) {
		struct smtp_address address = { 0 };
		struct outcome why;
		bool good;

		print_message("%s\n", senders[i].title);
		strcpy(address.local, senders[i].local);
		strcpy(address.domain, senders[i].domain);
		if (senders[i].domain[0] != '\0')
			stpcpy(
			    stpcpy(stpcpy(address.text, senders[i].local), "@"), senders[i].domain);
		good = policy_sender(senders[i].account, &address, &why);
		assert_string_equal(why.name, senders[i].name);
		assert_int_equal(good, senders[i].name[0] == '\0');
		assert_int_equal(why.code, good ? 250 : 553);
		assert_string_equal(why.enhanced, good ? "2.0.0" : "5.7.1");
	}
}

static const struct {
	const char *title;
	const struct config_account *account;
	const char *fields;
	const char *name, *enhanced; /* "" if accepted */
	const char *from_domain;
} headers[] = {
	{ "plain", &alice, "From: Alice <alice@example.org>\r\nTo: x@y.example\r\n", "", "",
	    "example.org" },
	{ "P45: From of another domain of one's own", &alice, "From: invoices@EXAMPLE.com\r\n", "",
	    "", "example.com" },
	{ "P10: two From, own first", &alice,
	    "From: alice@example.org\r\nFrom: ceo@bank.example\r\n", "from-duplicate", "5.6.0",
	    "" },
	{ "P10: two From, own last", &alice,
	    "From: ceo@bank.example\r\nfrom: alice@example.org\r\n", "from-duplicate", "5.6.0",
	    "" },
	{ "P11: no From", &alice, "To: x@y.example\r\n", "from-missing", "5.6.0", "" },
	{ "P12: two addresses, one foreign", &alice,
	    "From: <alice@example.org>, <ceo@bank.example>\r\n", "from-not-owned", "5.7.1", "" },
	{ "P12: with Sender", &alice,
	    "From: <alice@example.org>, <ceo@bank.example>\r\nSender: alice@example.org\r\n",
	    "from-not-owned", "5.7.1", "" },
	{ "P16: foreign, in capitals", &alice, "FROM: ceo@bank.example\r\n", "from-not-owned",
	    "5.7.1", "" },
	{ "P18: encoded word as address", &alice,
	    "From: =?utf-8?B?PGNlb0BiYW5rLmV4YW1wbGU+?=, <alice@example.org>\r\n",
	    "mailbox-encoded-word", "5.6.0", "" },
	{ "P19: source route", &alice, "From: <@example.org,@any.com:ceo@bank.example>\r\n",
	    "mailbox-route", "5.6.0", "" },
	{ "P20: backslash", &alice, "From: <ceo@bank.example>\\, <alice@example.org>\r\n",
	    "mailbox-syntax", "5.6.0", "" },
	{ "P21: foreign first", &alice, "From: ceo@bank.example, <alice@example.org>\r\n",
	    "from-not-owned", "5.7.1", "" },
	{ "P22: foreign behind", &alice, "From: <alice@example.org>ceo@bank.example\r\n",
	    "mailbox-syntax", "5.6.0", "" },
	{ "P23: foreign display name", &alice, "From: \"ceo@bank.example\" <alice@example.org>\r\n",
	    "", "", "example.org" },
	{ "P24: group", &alice, "From: g: alice@example.org;\r\n", "mailbox-group", "5.6.0", "" },
	{ "P25: comment inside", &alice, "From: alice(@bank.example)@example.org\r\n",
	    "mailbox-syntax", "5.6.0", "" },
	{ "P30: foreign Sender", &alice, "From: alice@example.org\r\nSender: ceo@bank.example\r\n",
	    "sender-field-not-owned", "5.7.1", "" },
	{ "P30: own Sender", &alice, "From: alice@example.org\r\nSender: invoices@example.com\r\n",
	    "", "", "example.org" },
	{ "P30: Sender of two", &alice,
	    "From: alice@example.org\r\nSender: alice@example.org, invoices@example.com\r\n",
	    "sender-many", "5.6.0", "" },
	{ "P30: foreign Resent-From", &alice,
	    "Resent-From: ceo@bank.example\r\nFrom: alice@example.org\r\n", "resent-not-owned",
	    "5.7.1", "" },
	{ "P30: second Resent-From foreign", &alice,
	    "Resent-From: alice@example.org\r\nResent-From: ceo@bank.example\r\n"
	    "From: alice@example.org\r\n",
	    "resent-not-owned", "5.7.1", "" },
	{ "P30: foreign Resent-Sender", &alice,
	    "Resent-Sender: ceo@bank.example\r\nFrom: alice@example.org\r\n", "resent-not-owned",
	    "5.7.1", "" },
	{ "P30: broken Resent-From", &alice, "Resent-From: g:;\r\nFrom: alice@example.org\r\n",
	    "mailbox-group", "5.6.0", "" },
	{ "P30: foreign Reply-To is free", &alice,
	    "From: alice@example.org\r\nReply-To: help@bank.example\r\n", "", "", "example.org" },
	{ "P31: two Sender", &alice,
	    "From: alice@example.org\r\nSender: alice@example.org\r\nSender: alice@example.org\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "P36: quoted local part", &alice, "From: \"Alice\"@example.org\r\n", "", "",
	    "example.org" },
	{ "P37: plus address", &alice, "From: alice+x@example.org\r\n", "from-not-owned", "5.7.1",
	    "" },
	{ "P38: spaces", &alice, "From: alice @ example . org\r\n", "mailbox-syntax", "5.6.0", "" },
	{ "P44: two To", &alice, "From: alice@example.org\r\nTo: a@b.c\r\nTo: a@b.c\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "two TLS-Required", &alice,
	    "From: alice@example.org\r\nTLS-Required: No\r\ntls-required: No\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "P44: two Cc", &alice, "From: alice@example.org\r\ncc: a@b.c\r\nCc: a@b.c\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "P44: two Subject", &alice, "Subject: a\r\nFrom: alice@example.org\r\nSUBJECT: b\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "P44: two Date", &alice, "Date: a\r\nFrom: alice@example.org\r\nDate: b\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "P44: two Message-ID", &alice,
	    "Message-ID: a\r\nFrom: alice@example.org\r\nMessage-Id: b\r\n", "field-duplicate",
	    "5.6.0", "" },
	{ "P44: two Reply-To", &alice,
	    "Reply-To: a@b.c\r\nFrom: alice@example.org\r\nReply-To: a@b.c\r\n", "field-duplicate",
	    "5.6.0", "" },
	{ "P44: two References", &alice,
	    "References: a\r\nFrom: alice@example.org\r\nReferences: b\r\n", "field-duplicate",
	    "5.6.0", "" },
	{ "P44: two MIME-Version", &alice,
	    "MIME-Version: 1.0\r\nFrom: alice@example.org\r\nMIME-Version: 1.0\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "P44: two Content-Type", &alice,
	    "Content-Type: text/plain\r\nFrom: alice@example.org\r\ncontent-type: text/html\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "P44: two Content-Transfer-Encoding", &alice,
	    "Content-Transfer-Encoding: 7bit\r\nFrom: alice@example.org\r\n"
	    "Content-Transfer-Encoding: base64\r\n",
	    "field-duplicate", "5.6.0", "" },
	{ "many of what may be many", &alice,
	    "Received: a\r\nReceived: b\r\nFrom: alice@example.org\r\nComments: a\r\n"
	    "Comments: b\r\nX-A: 1\r\nX-A: 2\r\n",
	    "", "", "example.org" },
	{ "P32: IDN From", &any, "From: a@XN--EXMPLE-CUA.org\r\n", "", "", "xn--exmple-cua.org" },
	{ "two addresses of one domain", &any, "From: a@example.org, b@EXAMPLE.org\r\n", "", "",
	    "example.org" },
	{ "two domains, both own", &alice, "From: alice@example.org, invoices@example.com\r\n",
	    "from-domains-differ", "5.7.1", "" },
	{ "P2: subdomain", &any, "From: a@x.example.org\r\n", "from-not-owned", "5.7.1", "" },
	{ "own, but no such domain here", &any, "From: bob@elsewhere.example\r\n",
	    "domain-not-configured", "5.7.1", "" },
	{ "own, but the domain has no key", &any, "From: bob@keyless.example\r\n",
	    "domain-not-configured", "5.7.1", "" },
};

static void headers_must_be_owned(void **state)
{
	static const struct header_limits limits = { 102400, 1000, false };

	(void)state;
	for (size_t i = 0; i < sizeof headers / sizeof headers[0]; i++) {
		char from_domain[DOMAIN_MAX] = "";
		struct outcome why;
		struct header h;
		bool good;

		print_message("%s\n", headers[i].title);
		assert_true(
		    header_parse(&h, headers[i].fields, strlen(headers[i].fields), &limits, &why));
		good = policy_header(&config, headers[i].account, &h, &why, from_domain);
		assert_string_equal(why.name, headers[i].name);
		assert_int_equal(good, headers[i].name[0] == '\0');
		assert_string_equal(from_domain, headers[i].from_domain);
		assert_int_equal(why.class, good ? OUTCOME_OK : OUTCOME_FAIL);
		assert_string_equal(why.enhanced, good ? "2.0.0" : headers[i].enhanced);
		if (!good)
			assert_int_equal(why.code, strcmp(why.enhanced, "5.7.1") == 0 ? 550 : 554);
		header_finish(&h);
	}
}

static void P17_a_second_from_is_found_behind_100_KB(void **state)
{
	static const struct header_limits limits = { 1 << 20, 5000, false };
	char from_domain[DOMAIN_MAX];
	struct outcome why;
	struct header h;
	struct buffer b;

	(void)state;
	buffer_init(&b, 1 << 20);
	buffer_add_text(&b, "From: alice@example.org\r\n");
	while (b.n < 102400)
		buffer_add_text(&b, "X-Filler: it goes on and on and on and on and on and on\r\n");
	buffer_add_text(&b, "From: ceo@bank.example\r\n");
	assert_true(header_parse(&h, b.bytes, b.n, &limits, &why));
	assert_false(policy_header(&config, &alice, &h, &why, from_domain));
	assert_string_equal(why.name, "from-duplicate");
	header_finish(&h);
	buffer_finish(&b);
}

static void a_message_that_travels_in_circles_is_refused(void **state)
{
	static const struct header_limits limits = { 102400, 1000, false };
	char from_domain[DOMAIN_MAX];
	struct outcome why;
	struct buffer b;

	(void)state;
	buffer_init(&b, 10000);
	buffer_add_text(&b, "From: alice@example.org\r\n");
	for (int n = 0; n <= POLICY_HOPS_MAX + 1; n++) {
		struct header h;

		assert_true(header_parse(&h, b.bytes, b.n, &limits, &why));
		assert_int_equal(
		    policy_header(&config, &alice, &h, &why, from_domain), n <= POLICY_HOPS_MAX);
		buffer_add_text(&b, "Received: somewhere\r\n");
		header_finish(&h);
	}
	assert_string_equal(why.name, "too-many-hops");
	assert_string_equal(why.enhanced, "5.4.6");
	buffer_finish(&b);
}

static void a_refusal_says_who_may_send_as_what(void **state)
{
	struct smtp_address address = { "ceo@bank.example", "ceo", "bank.example" };
	char *many[60];
	struct config_account crowded = { TEXT("crowded"), many, 60, STREAM_ORDINARY, 0 };
	struct outcome why;

	(void)state;
	policy_sender(&alice, &address, &why);
	assert_string_equal(why.text, "Account alice may not send as <ceo@bank.example>; "
				      "it may send as alice@example.org, Invoices@example.com");
	policy_sender(&any, &address, &why);
	assert_non_null(strstr(why.text, "it may send as anything@example.org, anything@xn--"));
	policy_sender(&nobody, &address, &why);
	assert_non_null(strstr(why.text, "it may send as nothing"));
	for (int i = 0; i < 60; i++)
		many[i] = mem_print("address%d@example.org", i);
	policy_sender(&crowded, &address, &why);
	assert_non_null(strstr(why.text, "address0@example.org, address1@example.org, "));
	assert_string_equal(why.text + strlen(why.text) - 11, " and others");
	for (int i = 0; i < 60; i++)
		free(many[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(senders_must_be_owned),
		cmocka_unit_test(headers_must_be_owned),
		cmocka_unit_test(P17_a_second_from_is_found_behind_100_KB),
		cmocka_unit_test(a_message_that_travels_in_circles_is_refused),
		cmocka_unit_test(a_refusal_says_who_may_send_as_what),
	};

	return cmocka_run_group_tests_name("road/policy", tests, NULL, NULL);
}
