/*
 * Packets in, records out. A case's records are lines in zone file words; "raw TYPE HEX" is a record
 * of the name asked for whose rdata is just these bytes, "soa" the authority section's SOA with a
 * negative TTL of 60.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "packet.h"
#include "relay/base/buffer.h"
#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "relay/lookup/answer.h"

#define LABEL63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define NAME253                                                                                    \
	LABEL63 "." LABEL63 "." LABEL63                                                            \
		".aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"                        \
		".test"

struct answer_case {
	const char *name, *asked;
	enum record_type type;
	unsigned rcode;
	const char *records, *answer;
};

#define SHA "0101010101010101010101010101010101010101010101010101010101010101"

static const struct answer_case cases[] = {
	{ "MX", "d.test", RECORD_MX, 0,
	    "d.test. 300 IN MX 20 B.Test.\nd.test. 200 IN MX 10 a.test.",
	    "ok ttl=200 | 20 b.test | 10 a.test" },
	{ "N14 null MX", "d.test", RECORD_MX, 0, "d.test. 300 IN MX 0 .", "ok ttl=300 | 0 . null" },
	{ "N14 null MX and others", "d.test", RECORD_MX, 0,
	    "d.test. 300 IN MX 0 .\nd.test. 300 IN MX 10 a.test.",
	    "ok ttl=300 | 0 . null | 10 a.test" },
	{ "N15 MX is an address", "d.test", RECORD_MX, 0, "d.test. 300 IN MX 5 192.0.2.1.",
	    "ok ttl=300 | 5 192.0.2.1 invalid" },
	{ "N20 MX label with a dot", "d.test", RECORD_MX, 0, "d.test. 300 IN MX 5 a\\.b.test.",
	    "ok ttl=300 | 5 a\\.b.test. invalid" },
	{ "N20 MX label with NUL", "d.test", RECORD_MX, 0, "d.test. 300 IN MX 5 a\\000b.test.",
	    "ok ttl=300 | 5 a\\000b.test. invalid" },
	{ "N20 MX label with a backslash", "d.test", RECORD_MX, 0,
	    "d.test. 300 IN MX 5 a\\\\b.test.", "ok ttl=300 | 5 a\\\\b.test. invalid" },
	{ "N20 MX of 255 bytes", "d.test", RECORD_MX, 0, "d.test. 300 IN MX 5 " NAME253 ".",
	    "ok ttl=300 | 5 " NAME253 },
	{ "N10 MX of 0 bytes", "d.test", RECORD_MX, 0, "raw 15 ",
	    "error: the records lack their fields" },
	{ "N10 MX of 1 byte", "d.test", RECORD_MX, 0, "raw 15 00",
	    "error: the answer can't be read" },
	{ "N10 MX without a name", "d.test", RECORD_MX, 0, "raw 15 000a",
	    "error: the records lack their fields" },
	{ "N10 MX that points at itself", "d.test", RECORD_MX, 0, "raw 15 000ac02c",
	    "error: the answer can't be read" },
	{ "N4 another owner", "d.test", RECORD_MX, 0, "e.test. 300 IN MX 10 a.test.",
	    "no data ttl=0" },
	{ "another type", "d.test", RECORD_MX, 0, "d.test. 300 IN A 192.0.2.1", "no data ttl=0" },
	{ "another class", "d.test", RECORD_A, 0, "d.test. 300 CH A 192.0.2.1", "no data ttl=0" },
	{ "N13 NXDOMAIN", "d.test", RECORD_MX, 3, "soa", "no such name ttl=60" },
	{ "N13 NODATA", "d.test", RECORD_MX, 0, "soa", "no data ttl=60" },
	{ "N19 negative without a SOA", "d.test", RECORD_MX, 3, "", "no such name ttl=0" },
	{ "N13 SERVFAIL in the packet", "d.test", RECORD_MX, 2, "",
	    "error: the server could not answer" },
	{ "N13 REFUSED in the packet", "d.test", RECORD_MX, 5, "",
	    "error: the server could not answer" },
	{ "N19 TTL 0", "d.test", RECORD_A, 0, "d.test. 0 IN A 192.0.2.1", "ok ttl=0 | 192.0.2.1" },
	{ "N19 TTL 2^31", "d.test", RECORD_A, 0, "d.test. 2147483648 IN A 192.0.2.1",
	    "ok ttl=0 | 192.0.2.1" },
	{ "N19 TTL 2^31 - 1", "d.test", RECORD_A, 0, "d.test. 2147483647 IN A 192.0.2.1",
	    "ok ttl=86400 | 192.0.2.1" },
	{ "A, case of the owner", "d.test", RECORD_A, 0, "D.TeST. 300 IN A 192.0.2.1",
	    "ok ttl=300 | 192.0.2.1" },
	{ "AAAA", "d.test", RECORD_AAAA, 0, "d.test. 300 IN AAAA 2001:db8::1",
	    "ok ttl=300 | 2001:db8::1" },
	{ "A of 3 bytes", "d.test", RECORD_A, 0, "raw 1 c00002",
	    "error: the answer can't be read" },
	{ "AAAA of 15 bytes", "d.test", RECORD_AAAA, 0, "raw 28 200100000000000000000000000001",
	    "error: the answer can't be read" },
	{ "CNAME", "d.test", RECORD_A, 0, "d.test. 300 IN CNAME e.test.\ne.test. 90 IN A 192.0.2.1",
	    "ok ttl=90 to e.test by 1 | 192.0.2.1" },
	{ "CNAME out of order", "d.test", RECORD_A, 0,
	    "f.test. 90 IN A 192.0.2.1\ne.test. 300 IN CNAME f.test.\nd.test. 300 IN CNAME e.test.",
	    "ok ttl=90 to f.test by 2 | 192.0.2.1" },
	{ "CNAME to no such name", "d.test", RECORD_A, 3, "d.test. 30 IN CNAME e.test.\nsoa",
	    "no such name ttl=30 to e.test by 1" },
	{ "CNAME asked for", "d.test", RECORD_CNAME, 0, "d.test. 300 IN CNAME e.test.",
	    "ok ttl=300 to d.test by 1" },
	{ "N8 CNAME loop", "d.test", RECORD_A, 0,
	    "d.test. 300 IN CNAME e.test.\ne.test. 300 IN CNAME d.test.",
	    "error: the CNAME chain is too long, or a loop" },
	{ "N8 CNAME to itself", "d.test", RECORD_A, 0, "d.test. 300 IN CNAME d.test.",
	    "error: the CNAME chain is too long, or a loop" },
	{ "N20 CNAME to no host name", "d.test", RECORD_A, 0, "d.test. 300 IN CNAME a\\.b.test.",
	    "error: a CNAME leads to what can't be a name" },
	{ "CNAME to the root", "d.test", RECORD_A, 0, "d.test. 300 IN CNAME .",
	    "error: a CNAME leads to what can't be a name" },
	{ "TLSA", "_25._tcp.d.test", RECORD_TLSA, 0,
	    "_25._tcp.d.test. 300 IN TLSA 3 1 1 " SHA "\n_25._tcp.d.test. 300 IN TLSA 2 0 1 " SHA,
	    "ok ttl=300 | 3 1 1 " SHA " | 2 0 1 " SHA },
	{ "N11 TLSA of 0 bytes", "_25._tcp.d.test", RECORD_TLSA, 0, "raw 52 ",
	    "ok ttl=300 | malformed 1" },
	{ "N11 TLSA of 1 byte", "_25._tcp.d.test", RECORD_TLSA, 0, "raw 52 03",
	    "ok ttl=300 | malformed 1" },
	{ "N11 TLSA of 2 bytes", "_25._tcp.d.test", RECORD_TLSA, 0, "raw 52 0301",
	    "ok ttl=300 | malformed 1" },
	{ "N11 TLSA of 3 bytes", "_25._tcp.d.test", RECORD_TLSA, 0, "raw 52 030101",
	    "ok ttl=300 | 3 1 1 " },
	{ "N11 TLSA of 19 bytes", "_25._tcp.d.test", RECORD_TLSA, 0,
	    "raw 52 03010100112233445566778899aabbccddeeff",
	    "ok ttl=300 | 3 1 1 00112233445566778899aabbccddeeff" },
	{ "N11 short ones do not hide a whole one", "_25._tcp.d.test", RECORD_TLSA, 0,
	    "raw 52 \nraw 52 0301\n_25._tcp.d.test. 300 IN TLSA 3 1 1 " SHA,
	    "ok ttl=300 | 3 1 1 " SHA " | malformed 2" },
	{ "TLSA of unknown numbers come last", "_25._tcp.d.test", RECORD_TLSA, 0,
	    "_25._tcp.d.test. 300 IN TLSA 255 1 1 00\n_25._tcp.d.test. 300 IN TLSA 3 1 1 " SHA,
	    "ok ttl=300 | 3 1 1 " SHA " | 255 1 1 00" },
	{ "TXT", "_mta-sts.d.test", RECORD_TXT, 0,
	    "_mta-sts.d.test. 300 IN TXT \"v=STSv1; id=1;\"\n_mta-sts.d.test. 300 IN TXT b",
	    "ok ttl=300 | 'v=STSv1; id=1;' | 'b'" },
	{ "N12 TXT of several strings", "d.test", RECORD_TXT, 0,
	    "d.test. 300 IN TXT \"v=STSv1; \" \"id=\" \"1;\"", "ok ttl=300 | 'v=STSv1; id=1;'" },
	{ "N12 TXT of a zero-length string", "d.test", RECORD_TXT, 0, "raw 16 00",
	    "ok ttl=300 | ''" },
	{ "N12 TXT with zero-length strings between", "d.test", RECORD_TXT, 0,
	    "raw 16 000161000001620001630000", "ok ttl=300 | 'abc'" },
	{ "N12 TXT of 0 bytes", "d.test", RECORD_TXT, 0, "raw 16 ",
	    "error: the records lack their fields" },
	{ "N12 TXT of 0 bytes beside another", "d.test", RECORD_TXT, 0, "raw 16 \nraw 16 0161",
	    "ok ttl=300 | 'a'" },
	{ "N12 TXT longer than its record", "d.test", RECORD_TXT, 0, "raw 16 ff6161",
	    "error: the answer can't be read" },
	{ "TXT with NUL and others", "d.test", RECORD_TXT, 0, "raw 16 05610062ff0a",
	    "ok ttl=300 | 'a\x7f"
	    "b\xff\n'" },
	{ "TXT behind a CNAME", "_mta-sts.d.test", RECORD_TXT, 0,
	    "_mta-sts.d.test. 300 IN CNAME sts.e.test.\nsts.e.test. 90 IN TXT a",
	    "ok ttl=90 to sts.e.test by 1 | 'a'" },
	{ "no TXT", "d.test", RECORD_TXT, 3, "soa", "no such name ttl=60" },
};

static void make_packet(const struct answer_case *c, struct packet *p);
static void print_answer(const struct answer *answer, struct buffer *out);

static void test_cases(void **state)
{
	struct packet *p = mem_create(sizeof *p);
	size_t n_wrong = 0;

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const struct answer_case *c = &cases[i];
		struct answer answer;
		struct buffer out;

		make_packet(c, p);
		answer_read(p->bytes, p->n, c->asked, c->type, SECURITY_SECURE, &answer);
		buffer_init(&out, 65536);
		print_answer(&answer, &out);
		if (strcmp(buffer_text(&out), c->answer) != 0) {
			print_error(
			    "%s:\nwanted %s\ngot    %s\n", c->name, c->answer, buffer_text(&out));
			n_wrong++;
		}
		assert_int_equal(answer.finding.security, SECURITY_SECURE);
		buffer_finish(&out);
		answer_finish(&answer);
	}
	free(p);
	assert_int_equal(n_wrong, 0);
}

static void make_packet(const struct answer_case *c, struct packet *p)
{
	char *copy = mem_copy_text(c->records), *rest = NULL;

	packet_start(p, 1, c->rcode, c->asked, c->type);
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "raw ", 4) == 0)
			packet_add_raw(p, PACKET_ANSWER, c->asked, (unsigned)atoi(line + 4), 300,
			    strchr(line + 4, ' ') + 1);
		else if (strcmp(line, "soa") == 0)
			packet_add(
			    p, PACKET_AUTHORITY, "test. 900 IN SOA a.test. b.test. 1 2 3 4 60");
		else
			packet_add(p, PACKET_ANSWER, line);
	}
	free(copy);
}

static void print_answer(const struct answer *answer, struct buffer *out)
{
	static const char *const kinds[] = { "", " null", " invalid" };

	buffer_add_text(out, answer_status_name(answer->finding.status));
	if (finding_is_failure(&answer->finding)) {
		buffer_print(out, ": %s", answer->finding.why);
		assert_int_equal(answer->n_mx + answer->n_addresses + answer->n_tlsa, 0);
		assert_int_equal(answer->n_texts, 0);
		return;
	}
	assert_string_equal(answer->finding.why, "");
	buffer_print(out, " ttl=%u", answer->ttl_s);
	if (answer->n_links > 0)
		buffer_print(out, " to %s by %zu", answer->name, answer->n_links);
	for (size_t i = 0; i < answer->n_mx; i++)
		buffer_print(out, " | %d %s%s", answer->mx[i].preference, answer->mx[i].host,
		    kinds[answer->mx[i].kind]);
	for (size_t i = 0; i < answer->n_addresses; i++) {
		char text[INET6_ADDRSTRLEN];

		inet_ntop(answer->addresses[i].family == 4 ? AF_INET : AF_INET6,
		    answer->addresses[i].bytes, text, sizeof text);
		buffer_print(out, " | %s", text);
	}
	for (size_t i = 0; i < answer->n_tlsa; i++) {
		const struct tlsa_record *tlsa = &answer->tlsa[i];
		char hex[200];

		hex_encode(tlsa->data, tlsa->n_data, hex);
		buffer_print(
		    out, " | %d %d %d %s", tlsa->usage, tlsa->selector, tlsa->matching, hex);
	}
	if (answer->n_tlsa_malformed > 0)
		buffer_print(out, " | malformed %zu", answer->n_tlsa_malformed);
	for (size_t i = 0; i < answer->n_texts; i++)
		buffer_print(out, " | '%s'", answer->texts[i]);
}

/* N8: ten links are followed, the eleventh is not. */
static void test_cname_chain_is_bounded(void **state)
{
	struct packet *p = mem_create(sizeof *p);

	(void)state;
	for (int n = 10; n <= 11; n++) {
		struct answer answer;
		char record[100];

		packet_start(p, 1, 0, "c0.test", RECORD_A);
		for (int i = 0; i < n; i++) {
			snprintf(
			    record, sizeof record, "c%d.test. 300 IN CNAME c%d.test.", i, i + 1);
			packet_add(p, PACKET_ANSWER, record);
		}
		snprintf(record, sizeof record, "c%d.test. 300 IN A 192.0.2.1", n);
		packet_add(p, PACKET_ANSWER, record);
		answer_read(p->bytes, p->n, "c0.test", RECORD_A, SECURITY_INSECURE, &answer);
		assert_int_equal(answer.finding.status, n == 10 ? ANSWER_OK : ANSWER_ERROR);
		assert_int_equal(answer.n_addresses, n == 10 ? 1 : 0);
		answer_finish(&answer);
	}
	free(p);
}

/* N9: more than we keep. */
static void test_lists_are_bounded(void **state)
{
	struct packet *p = mem_create(sizeof *p);
	struct answer answer;
	char record[100];

	(void)state;
	packet_start(p, 1, 0, "d.test", RECORD_MX);
	for (int i = 0; i < 1200; i++) {
		snprintf(record, sizeof record, "d.test. 300 IN MX %d m%d.test.", i, i);
		packet_add(p, PACKET_ANSWER, record);
	}
	answer_read(p->bytes, p->n, "d.test", RECORD_MX, SECURITY_SECURE, &answer);
	assert_int_equal(answer.n_mx, ANSWER_MX_MAX);
	answer_finish(&answer);

	packet_start(p, 1, 0, "d.test", RECORD_A);
	for (int i = 0; i < 100; i++) {
		snprintf(record, sizeof record, "d.test. 300 IN A 192.0.2.%d", i);
		packet_add(p, PACKET_ANSWER, record);
	}
	answer_read(p->bytes, p->n, "d.test", RECORD_A, SECURITY_SECURE, &answer);
	assert_int_equal(answer.n_addresses, ANSWER_ADDRESSES_MAX);
	answer_finish(&answer);
	free(p);
}

/* N9: the useful one among 500 is kept, whatever its place. */
static void test_tlsa_list_keeps_the_useful(void **state)
{
	struct packet *p = mem_create(sizeof *p);
	struct answer answer;
	bool found = false;

	(void)state;
	packet_start(p, 1, 0, "d.test", RECORD_TLSA);
	for (int i = 0; i < 499; i++) {
		char hex[20];

		snprintf(hex, sizeof hex, "ff0101%04x", i);
		packet_add_raw(p, PACKET_ANSWER, "d.test", RECORD_TLSA, 300, hex);
	}
	packet_add_raw(p, PACKET_ANSWER, "d.test", RECORD_TLSA, 300, "030101" SHA);
	answer_read(p->bytes, p->n, "d.test", RECORD_TLSA, SECURITY_SECURE, &answer);
	assert_int_equal(answer.finding.status, ANSWER_OK);
	assert_int_equal(answer.n_tlsa, ANSWER_TLSA_MAX);
	for (size_t i = 0; i < answer.n_tlsa; i++)
		found = found || answer.tlsa[i].usage == 3;
	assert_true(found);
	answer_finish(&answer);
	free(p);
}

/* Leaving out what is too large could leave only unusable records: it is an error instead. */
static void test_too_much_tlsa_is_an_error(void **state)
{
	struct packet *p = mem_create(sizeof *p);
	struct answer answer;
	char *hex = mem_create(6 + 2 * 4000 + 1);

	(void)state;
	packet_start(p, 1, 0, "d.test", RECORD_TLSA);
	for (int i = 0; i < 5; i++) {
		memset(hex, '0' + i, 6 + 2 * 4000);
		memcpy(hex, "030000", 6);
		packet_add_raw(p, PACKET_ANSWER, "d.test", RECORD_TLSA, 300, hex);
	}
	answer_read(p->bytes, p->n, "d.test", RECORD_TLSA, SECURITY_SECURE, &answer);
	assert_int_equal(answer.finding.status, ANSWER_ERROR);
	assert_int_equal(answer.n_tlsa, 0);
	answer_finish(&answer);
	free(hex);
	free(p);
}

/* 250 strings of 255 letters are one text; of 1,000 records the first are kept. */
static void n12_txt_of_64_kb(void **state)
{
	struct packet *p = mem_create(sizeof *p);
	char *hex = mem_create(2 * 250 * 256 + 1);
	struct answer answer;

	(void)state;
	for (size_t i = 0; i < 250; i++) {
		memset(hex + 512 * i, '6', 512);
		memcpy(hex + 512 * i, "ff", 2);
	}
	packet_start(p, 1, 0, "d.test", RECORD_TXT);
	packet_add_raw(p, PACKET_ANSWER, "d.test", RECORD_TXT, 300, hex);
	answer_read(p->bytes, p->n, "d.test", RECORD_TXT, SECURITY_SECURE, &answer);
	assert_int_equal(answer.n_texts, 1);
	assert_int_equal(strlen(answer.texts[0]), 250 * 255);
	assert_int_equal(strspn(answer.texts[0], "f"), 250 * 255);
	answer_finish(&answer);

	packet_start(p, 1, 0, "d.test", RECORD_TXT);
	for (unsigned i = 0; i < 1000; i++) {
		snprintf(hex, 9, "03%02x%02x61", 'a' + i / 26 % 26, 'a' + i % 26);
		packet_add_raw(p, PACKET_ANSWER, "d.test", RECORD_TXT, 300, hex);
	}
	answer_read(p->bytes, p->n, "d.test", RECORD_TXT, SECURITY_SECURE, &answer);
	assert_int_equal(answer.finding.status, ANSWER_OK);
	assert_int_equal(answer.n_texts, ANSWER_TEXTS_MAX);
	assert_string_equal(answer.texts[27], "bba");
	answer_finish(&answer);
	free(hex);
	free(p);
}

/* Every way to cut a packet short, and every byte of it changed: never more than an error. */
static void test_broken_packets(void **state)
{
	struct packet *p = mem_create(sizeof *p);

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		make_packet(&cases[i], p);
		for (size_t n = 0; n < p->n; n++) {
			struct answer answer;
			uint8_t *exact = (uint8_t *)mem_copy(p->bytes, n), *room;

			room = malloc(n > 0 ? n : 1);
			memcpy(room, exact, n);
			answer_read(
			    room, n, cases[i].asked, cases[i].type, SECURITY_SECURE, &answer);
			assert_true(finding_is_failure(&answer.finding));
			answer_finish(&answer);
			free(room);
			free(exact);
			p->bytes[n] ^= 0xff;
			answer_read(p->bytes, p->n, cases[i].asked, cases[i].type, SECURITY_SECURE,
			    &answer);
			answer_finish(&answer);
			p->bytes[n] ^= 0xff;
		}
	}
	free(p);
}

/* N6: an answer that says it is cut short is none, RFC 2181 9. */
static void test_truncated(void **state)
{
	struct packet *p = mem_create(sizeof *p);
	struct answer answer;

	(void)state;
	packet_start(p, 1, 0, "d.test", RECORD_A);
	packet_add(p, PACKET_ANSWER, "d.test. 300 IN A 192.0.2.1");
	p->bytes[2] |= 0x02;
	answer_read(p->bytes, p->n, "d.test", RECORD_A, SECURITY_SECURE, &answer);
	assert_int_equal(answer.finding.status, ANSWER_ERROR);
	answer_finish(&answer);
	free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_cname_chain_is_bounded),
		cmocka_unit_test(test_lists_are_bounded),
		cmocka_unit_test(test_tlsa_list_keeps_the_useful),
		cmocka_unit_test(test_too_much_tlsa_is_an_error),
		cmocka_unit_test(n12_txt_of_64_kb),
		cmocka_unit_test(test_broken_packets),
		cmocka_unit_test(test_truncated),
	};

	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
