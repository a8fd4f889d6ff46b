/*
 * TLS reports (RFC 8460) without a network: the record that asks for them, their text, their mail.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include <cmocka.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "relay/tls_report.h"
#include "relay/tlsrpt_mail.h"
#include "relay/tlsrpt_record.h"

/* ---- the record ---- */

#define LONG_40   "0123456789012345678901234567890123456789"
#define LONG_200  LONG_40 LONG_40 LONG_40 LONG_40 LONG_40
#define LONG_1000 LONG_200 LONG_200 LONG_200 LONG_200 LONG_200

static void records(void **state)
{
	static const struct {
		const char *texts; /* a line each */
		enum tlsrpt_record_kind kind;
		const char *uris; /* a space between */
	} CASES[] = {
		{ "v=TLSRPTv1;rua=mailto:reports@example.com", TLSRPT_RECORD_READ,
		    "mailto:reports@example.com" },
		{ "v=TLSRPTv1; rua=https://reporting.example.com/v1/tlsrpt", TLSRPT_RECORD_READ,
		    "https://reporting.example.com/v1/tlsrpt" },
		{ "v=TLSRPTv1 ; rua=mailto:a@b.example , https://c.example/ ;", TLSRPT_RECORD_READ,
		    "mailto:a@b.example https://c.example/" },
		/* unknown fields, wherever they stand */
		{ "v=TLSRPTv1;x=1;rua=mailto:a@b.example;y_-.2=a=b", TLSRPT_RECORD_READ,
		    "mailto:a@b.example" },
		{ "v=TLSRPTv1;rua=mailto:a@b.example;rua=mailto:c@b.example", TLSRPT_RECORD_READ,
		    "mailto:a@b.example" },
		/* schemes are of any case; those we do not know are passed over */
		{ "v=TLSRPTv1;rua=ftp://x/,HTTPS://c.example,MailTo:a@b.example,http://d/",
		    TLSRPT_RECORD_READ, "HTTPS://c.example MailTo:a@b.example" },
		/* other records beside it */
		{ "v=spf1 -all\nv=TLSRPTv1;rua=mailto:a@b.example\nv=TLSRPTv2;rua=mailto:c@b.example",
		    TLSRPT_RECORD_READ, "mailto:a@b.example" },
		{ "v=TLSRPTv1;rua=mailto:a@b.example\nv=TLSRPTv1;rua=mailto:c@b.example",
		    TLSRPT_RECORD_NONE, "" },
		{ "", TLSRPT_RECORD_NONE, "" },
		{ "v=tlsrptv1;rua=mailto:a@b.example", TLSRPT_RECORD_NONE, "" },
		{ " v=TLSRPTv1;rua=mailto:a@b.example", TLSRPT_RECORD_NONE, "" },
		{ "v=TLSRPTv1", TLSRPT_RECORD_NONE, "" },
		{ "v=TLSRPTv1 rua=mailto:a@b.example", TLSRPT_RECORD_NONE, "" },
		{ "v=TLSRPTv12;rua=mailto:a@b.example", TLSRPT_RECORD_NONE, "" },
		/* not by the grammar */
		{ "v=TLSRPTv1;", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;x=1", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;;rua=mailto:a@b.example", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;rua", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;rua=", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;rua=,mailto:a@b.example", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;rua=mailto:a@b.example,", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;RUA=mailto:a@b.example", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;-x=1;rua=mailto:a@b.example", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;" LONG_40 "=1;rua=mailto:a@b.example", TLSRPT_RECORD_INVALID, "" },
		{ "v=TLSRPTv1;rua=http://c.example/", TLSRPT_RECORD_INVALID, "" },
		/* bounds */
		{ "v=TLSRPTv1;rua=https://a/,https://b/,https://c/,https://d/,https://e/",
		    TLSRPT_RECORD_READ, "https://a/ https://b/ https://c/ https://d/" },
		{ "v=TLSRPTv1;rua=https://a/" LONG_1000 ",https://b/", TLSRPT_RECORD_READ,
		    "https://b/" },
	};
	static struct tlsrpt_record record;

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		char uris[2000] = "";
		size_t n;
		char **texts = tls_report_split(CASES[i].texts, &n);
		enum tlsrpt_record_kind kind =
		    tlsrpt_record_read((const char *const *)texts, n, &record);

		if (kind != CASES[i].kind)
			fail_msg("%s: %d", CASES[i].texts, (int)kind);
		for (size_t j = 0; kind == TLSRPT_RECORD_READ && j < record.n_uris; j++) {
			strcat(uris, j > 0 ? " " : "");
			strcat(uris, record.uris[j]);
		}
		assert_string_equal(uris, CASES[i].uris);
		while (n > 0)
			free(texts[--n]);
		free(texts);
	}
}

static void uris(void **state)
{
	static const struct {
		const char *uri;
		enum tlsrpt_uri_kind kind;
		const char *address;
	} CASES[] = {
		{ "mailto:a@b.example", TLSRPT_URI_MAILTO, "a@b.example" },
		{ "mailto:a@B.example", TLSRPT_URI_MAILTO, "a@b.example" },
		{ "mailto:a%2Bb%40c.example", TLSRPT_URI_MAILTO, "a+b@c.example" },
		{ "mailto:a@b.example?subject=x&cc=c@d.example", TLSRPT_URI_MAILTO, "a@b.example" },
		{ "mailto:", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a@b.example%2Cc@d.example", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a%0D%0ARCPT@b.example", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a%00@b.example", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a%2@b.example", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a@b.example%", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a@b.example%3E%20x", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a@b.example!10m", TLSRPT_URI_UNUSABLE, "" },
		{ "mailto:a@[192.0.2.1]", TLSRPT_URI_UNUSABLE, "" },
		{ "https://c.example", TLSRPT_URI_HTTPS, "" },
		{ "https://c.example:8443/a?b=c%20d#e", TLSRPT_URI_HTTPS, "" },
		{ "https://", TLSRPT_URI_UNUSABLE, "" },
		{ "https:///x", TLSRPT_URI_UNUSABLE, "" },
		{ "https://:80/", TLSRPT_URI_UNUSABLE, "" },
		{ "https://c.example/ x", TLSRPT_URI_UNUSABLE, "" },
		{ "https://c.example/\xc3\xa9", TLSRPT_URI_UNUSABLE, "" },
		{ "http://c.example/", TLSRPT_URI_UNUSABLE, "" },
		{ "file:///etc/passwd", TLSRPT_URI_UNUSABLE, "" },
		{ "", TLSRPT_URI_UNUSABLE, "" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct smtp_address address = { .text = "" };
		enum tlsrpt_uri_kind kind =
		    tlsrpt_uri_read(CASES[i].uri, strlen(CASES[i].uri), &address);

		if (kind != CASES[i].kind)
			fail_msg("%s: %d", CASES[i].uri, (int)kind);
		if (kind == TLSRPT_URI_MAILTO)
			assert_string_equal(address.text, CASES[i].address);
	}
}

/* ---- the text ---- */

/* What RFC 8460's appendix B reports; the numbers and names are its own. */
static const char APPENDIX_B[] =
    "{\"report-id\":\"5065427c-23d3-47ca-b6e0-946ea0e8c4be\","
    "\"contact-info\":\"sts-reporting@company-x.example\",\"organization-name\":\"Company-X\","
    "\"date-range\":{\"end-datetime\":\"2016-04-01T23:59:59Z\","
    "\"start-datetime\":\"2016-04-01T00:00:00Z\"},\"policies\":[{\"summary\":{"
    "\"total-failure-session-count\":303,\"total-successful-session-count\":5326},"
    "\"policy\":{\"policy-domain\":\"company-y.example\",\"policy-type\":\"sts\","
    "\"mx-host\":\"*.mail.company-y.example\",\"policy-string\":[\"version: STSv1\","
    "\"mode: testing\",\"mx: *.mail.company-y.example\",\"max_age: 86400\"]},"
    "\"failure-details\":[{\"failed-session-count\":100,\"result-type\":\"certificate-expired\","
    "\"receiving-mx-hostname\":\"mx1.mail.company-y.example\","
    "\"sending-mta-ip\":\"2001:db8:abcd:0012::1\"},{\"failed-session-count\":200,"
    "\"result-type\":\"starttls-not-supported\",\"sending-mta-ip\":\"2001:db8:abcd:0013::1\","
    "\"receiving-ip\":\"203.0.113.56\",\"receiving-mx-hostname\":\"mx2.mail.company-y.example\","
    "\"additional-information\":\"https://reports.company-x.example/report_info?"
    "id=5065427c-23d3#StarttlsNotSupported\"},{\"failed-session-count\":3,"
    "\"failure-reason-code\":\"X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED\","
    "\"sending-mta-ip\":\"198.51.100.62\",\"receiving-ip\":\"203.0.113.58\","
    "\"receiving-mx-hostname\":\"mx-backup.mail.company-y.example\","
    "\"result-type\":\"validation-failure\"}]}]}";

static void appendix_b_is_read_and_written(void **state)
{
	struct tls_report report, again;
	const struct tls_report_policy *policy;
	char *text, *second;

	(void)state;
	assert_true(tls_report_read(APPENDIX_B, sizeof APPENDIX_B - 1, &report));
	assert_string_equal(report.organization, "Company-X");
	assert_string_equal(report.contact, "sts-reporting@company-x.example");
	assert_int_equal(report.start_s, 1459468800);
	assert_int_equal(report.end_s, 1459468800 + 86400);
	assert_int_equal(report.n_policies, 1);
	policy = &report.policies[0];
	assert_string_equal(policy->type, "sts");
	assert_int_equal(policy->n_strings, 4);
	assert_string_equal(policy->strings[3], "max_age: 86400");
	assert_int_equal(policy->n_patterns, 1);
	assert_int_equal(policy->n_successes, 5326);
	assert_int_equal(policy->n_failures, 303);
	assert_int_equal(policy->n_details, 3);
	assert_string_equal(policy->failures[0].address, "");
	assert_int_equal(policy->failures[1].n, 200);
	assert_string_equal(policy->failures[1].address, "203.0.113.56");
	assert_string_equal(policy->failures[2].reason, "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");

	text = tls_report_write(&report);
	assert_true(tls_report_read(text, strlen(text), &again));
	second = tls_report_write(&again);
	assert_string_equal(text, second);
	/* Nothing of what the example says is lost. */
	assert_non_null(strstr(text, "\"policy-string\":[\"version: STSv1\",\"mode: testing\","));
	assert_non_null(strstr(text, "\"mx-host\":[\"*.mail.company-y.example\"]"));
	assert_non_null(strstr(text, "\"end-datetime\":\"2016-04-01T23:59:59Z\""));
	assert_non_null(strstr(text, "report_info?id=5065427c-23d3#StarttlsNotSupported\""));
	assert_non_null(strstr(text, "\"failed-session-count\":3"));
	free(text);
	free(second);
	tls_report_finish(&report);
	tls_report_finish(&again);
}

static void what_is_no_report_is_not_read(void **state)
{
	static const char *const PARTS[][2] = {
		/* each of these, changed, makes it none */
		{ "\"organization-name\"", "\"organisation-name\"" },
		{ "\"contact-info\":\"sts-reporting@company-x.example\"", "\"contact-info\":5" },
		{ "2016-04-01T23:59:59Z", "2016-04-01 23:59:59" },
		{ "2016-04-01T00:00:00Z", "yesterday" },
		{ "\"policies\":[", "\"policies\":5,\"x\":[" },
		{ "\"policy-type\":\"sts\"", "\"policy-type\":[\"sts\"]" },
		{ ":303", ":-1" },
		{ ":5326", ":\"5326\"" },
		{ "\"mode: testing\"", "7" },
		{ "\"*.mail.company-y.example\",\"policy-string\"", "{},\"policy-string\"" },
		{ "\"failure-details\":[", "\"failure-details\":{},\"x\":[" },
		{ "\"result-type\":\"certificate-expired\"", "\"result\":1" },
		{ "\"failed-session-count\":3", "\"failed-session-count\":0.5" },
		{ "]}]}", "]}]" },
	};
	struct tls_report report;

	(void)state;
	for (size_t i = 0; i < sizeof PARTS / sizeof *PARTS; i++) {
		const char *at = strstr(APPENDIX_B, PARTS[i][0]);
		char *text;

		assert_non_null(at);
		text = mem_print("%.*s%s%s", (int)(at - APPENDIX_B), APPENDIX_B, PARTS[i][1],
		    at + strlen(PARTS[i][0]));
		if (tls_report_read(text, strlen(text), &report))
			fail_msg("read: %s", text);
		free(text);
	}
	assert_false(tls_report_read("", 0, &report));
	assert_false(tls_report_read("[]", 2, &report));
}

static void set(char **text, const char *value)
{
	free(*text);
	*text = mem_copy_text(value);
}

/* One of our own making. */
static struct tls_report sample(void)
{
	struct tls_report report = { .start_s = 1780272000, .end_s = 1780272000 + 86400 };
	struct tls_report_policy *policy;
	struct tls_report_failure *failure;

	set(&report.organization, "Shop \"Ltd\" \xff");
	set(&report.contact, "tls@shop.example");
	set(&report.id, "1780272000.7@mail.shop.example");
	policy = tls_report_add_policy(&report);
	set(&policy->type, "tlsa");
	set(&policy->domain, "mx.bank.example");
	policy->strings = tls_report_split("3 1 1 ABCD\n2 0 1 12\n", &policy->n_strings);
	policy->n_successes = 5;
	policy->n_failures = 1;
	failure = tls_report_add_failure(policy);
	set(&failure->result, "validation-failure");
	set(&failure->reason, "tlsa-mismatch");
	failure->n = 1;
	policy = tls_report_add_policy(&report);
	set(&policy->type, "no-policy-found");
	set(&policy->domain, "bank.example");
	policy->n_successes = 2;
	return report;
}

static void what_is_not_there_is_left_out(void **state)
{
	struct tls_report report = sample();
	char *text = tls_report_write(&report);

	(void)state;
	assert_string_equal(text,
	    "{\"organization-name\":\"Shop \\\"Ltd\\\" ?\",\"date-range\":{\"start-datetime\":"
	    "\"2026-06-01T00:00:00Z\",\"end-datetime\":\"2026-06-01T23:59:59Z\"},"
	    "\"contact-info\":\"tls@shop.example\",\"report-id\":\"1780272000.7@mail.shop.example\","
	    "\"policies\":[{\"policy\":{\"policy-type\":\"tlsa\",\"policy-string\":[\"3 1 1 ABCD\","
	    "\"2 0 1 12\"],\"policy-domain\":\"mx.bank.example\"},\"summary\":{"
	    "\"total-successful-session-count\":5,\"total-failure-session-count\":1},"
	    "\"failure-details\":[{\"result-type\":\"validation-failure\","
	    "\"failure-reason-code\":\"tlsa-mismatch\",\"failed-session-count\":1}]},"
	    "{\"policy\":{\"policy-type\":\"no-policy-found\",\"policy-domain\":\"bank.example\"},"
	    "\"summary\":{\"total-successful-session-count\":2,\"total-failure-session-count\":0}}]}");
	free(text);
	tls_report_finish(&report);
}

static void compressed_it_is_gzip(void **state)
{
	struct buffer gzip;
	unsigned char plain[sizeof APPENDIX_B];
	z_stream z = { 0 };

	(void)state;
	buffer_init(&gzip, 10000);
	assert_true(tls_report_compress(APPENDIX_B, sizeof APPENDIX_B - 1, &gzip));
	assert_memory_equal(gzip.bytes, "\x1f\x8b\x08", 3);
	assert_true(gzip.n < sizeof APPENDIX_B / 2);
	assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
	z.next_in = (unsigned char *)gzip.bytes;
	z.avail_in = (unsigned)gzip.n;
	z.next_out = plain;
	z.avail_out = sizeof plain;
	assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
	assert_int_equal(z.total_out, sizeof APPENDIX_B - 1);
	assert_memory_equal(plain, APPENDIX_B, sizeof APPENDIX_B - 1);
	inflateEnd(&z);
	buffer_finish(&gzip);
	buffer_init(&gzip, 100);
	assert_false(tls_report_compress(APPENDIX_B, sizeof APPENDIX_B - 1, &gzip));
	buffer_finish(&gzip);
}

/* ---- the mail ---- */

static void the_mail_is_as_the_rfc_wants_it(void **state)
{
	static const char *const HEADER[] = {
		"From: <tls-reports@shop.example>\r\nTo: <reports@bank.example>\r\n",
		"\r\nSubject: Report Domain: bank.example\r\n Submitter: shop.example\r\n"
		" Report-ID: <1780272000.7@mail.shop.example>\r\n",
		"\r\nTLS-Report-Domain: bank.example\r\n",
		"\r\nTLS-Report-Submitter: shop.example\r\n",
		"\r\nTLS-Required: No\r\n",
		"\r\nMessage-ID: <ABC@mail.shop.example>\r\n",
		"\r\nContent-Type: multipart/report; report-type=\"tlsrpt\";\r\n",
		"\r\nDate: Tue, 2 Jun 2026 01:00:00 +0000\r\n",
	};
	char gzip[1000], *base64 = mem_create(BASE64_ROOM(sizeof gzip)), *at;
	struct tls_report report = sample();
	struct tlsrpt_mail_facts facts = { .report = &report,
		.number = 7,
		.domain = "bank.example",
		.gzip = { gzip, sizeof gzip },
		.from = "tls-reports@shop.example",
		.to = "reports@bank.example",
		.hostname = "mail.shop.example",
		.queue_id = "ABC",
		.now_s = report.end_s + 3600 };
	struct buffer header, body;
	char decoded[sizeof gzip + 3];
	size_t n_base64 = 0, n;

	(void)state;
	for (size_t i = 0; i < sizeof gzip; i++)
		gzip[i] = (char)(i * 7);
	buffer_init(&header, TLSRPT_HEADER_MAX);
	buffer_init(&body, TLSRPT_BODY_MAX);
	assert_true(tlsrpt_mail_write(&facts, &header, &body));
	for (size_t i = 0; i < sizeof HEADER / sizeof *HEADER; i++) {
		if (strstr(header.bytes, HEADER[i]) == NULL)
			fail_msg("no %s in %s", HEADER[i], header.bytes);
	}
	assert_string_equal(header.bytes + header.n - 4, "\r\n\r\n");
	assert_non_null(strstr(body.bytes, "Sessions as safe as your policies demand: 7\r\n"));
	assert_non_null(strstr(body.bytes, "Sessions that failed: 1\r\n"));
	assert_non_null(strstr(body.bytes, "Content-Type: application/tlsrpt+gzip\r\n"));
	at = strstr(body.bytes,
	    "filename=\"shop.example!bank.example!1780272000!1780358399!7.json.gz\"\r\n\r\n");
	assert_non_null(at);
	for (at = strstr(at, "\r\n\r\n") + 4; *at != '\r'; at += 2) {
		size_t length = strcspn(at, "\r");

		assert_true(length <= 76);
		memcpy(base64 + n_base64, at, length);
		n_base64 += length;
		at += length;
	}
	assert_true(base64_decode(base64, n_base64, decoded, &n));
	assert_int_equal(n, sizeof gzip);
	assert_memory_equal(decoded, gzip, n);
	assert_string_equal(at, "\r\n--zegel-ABC--\r\n");
	for (at = body.bytes; *at != '\0'; at++)
		assert_true(
		    (*at >= ' ' && *at <= '~') || *at == '\r' || *at == '\n' || *at == '\t');
	buffer_finish(&header);
	buffer_finish(&body);
	/* The largest that is sent has room. */
	facts.gzip.n = TLSRPT_GZIP_MAX;
	facts.gzip.bytes = mem_create(TLSRPT_GZIP_MAX);
	buffer_init(&header, TLSRPT_HEADER_MAX);
	buffer_init(&body, TLSRPT_BODY_MAX);
	assert_true(tlsrpt_mail_write(&facts, &header, &body));
	buffer_finish(&header);
	buffer_finish(&body);
	free((char *)facts.gzip.bytes);
	free(base64);
	tls_report_finish(&report);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(uris),
		cmocka_unit_test(appendix_b_is_read_and_written),
		cmocka_unit_test(what_is_no_report_is_not_read),
		cmocka_unit_test(what_is_not_there_is_left_out),
		cmocka_unit_test(compressed_it_is_gzip),
		cmocka_unit_test(the_mail_is_as_the_rfc_wants_it),
	};

	return cmocka_run_group_tests_name("TLS reports", tests, NULL, NULL);
}
