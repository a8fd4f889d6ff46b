#include "relay/tlsrpt_mail.h"

#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/encode.h"
#include "relay/base/log.h"

enum {
	BASE64_LINE = 57, /* bytes that make a line of 76 letters */
	ORGANIZATION_MAX = 200,
};

static void write_header(const struct tlsrpt_mail_facts *facts, struct buffer *b);
static void write_words(const struct tlsrpt_mail_facts *facts, struct buffer *b);
static void write_file(const struct tlsrpt_mail_facts *facts, struct buffer *b);

const char *tlsrpt_submitter(const struct tls_report *report)
{
	const char *at = strrchr(report->contact, '@');

	return at != NULL ? at + 1 : report->contact;
}

void tlsrpt_file_name(const struct tls_report *report, const char *domain, uint64_t number,
    char name[TLSRPT_FILE_NAME_MAX])
{
	snprintf(name, TLSRPT_FILE_NAME_MAX, "%.253s!%.253s!%lld!%lld!%llu.json.gz",
	    tlsrpt_submitter(report), domain, (long long)report->start_s,
	    (long long)report->end_s - 1, (unsigned long long)number);
}

bool tlsrpt_mail_write(
    const struct tlsrpt_mail_facts *facts, struct buffer *header, struct buffer *body)
{
	write_header(facts, header);
	write_words(facts, body);
	write_file(facts, body);
	return !header->overflowed && !body->overflowed;
}

/* TLS-Required: a report about broken TLS must not fail by it (RFC 8460 3, 5.3; RFC 8689 3). */
static void write_header(const struct tlsrpt_mail_facts *facts, struct buffer *b)
{
	const char *submitter = tlsrpt_submitter(facts->report);
	char date[CLOCK_DATE_MAX];

	clock_print_date(facts->now_s, date);
	buffer_print(b, "From: <%s>\r\nTo: <%s>\r\n", facts->from, facts->to);
	buffer_print(b, "Subject: Report Domain: %s\r\n Submitter: %s\r\n Report-ID: <%s>\r\n",
	    facts->domain, submitter, facts->report->id);
	buffer_print(
	    b, "Date: %s\r\nMessage-ID: <%s@%s>\r\n", date, facts->queue_id, facts->hostname);
	buffer_print(b,
	    "TLS-Report-Domain: %s\r\n"
	    "TLS-Report-Submitter: %s\r\n"
	    "TLS-Required: No\r\n"
	    "Auto-Submitted: auto-generated\r\n"
	    "MIME-Version: 1.0\r\n"
	    "Content-Type: multipart/report; report-type=\"tlsrpt\";\r\n"
	    "\tboundary=\"zegel-%s\"\r\n"
	    "\r\n",
	    facts->domain, submitter, facts->queue_id);
}

static void write_words(const struct tlsrpt_mail_facts *facts, struct buffer *b)
{
	const struct tls_report *report = facts->report;
	char start[CLOCK_DATE_MAX], end[CLOCK_DATE_MAX], who[ORGANIZATION_MAX];
	uint64_t n_successes = 0, n_failures = 0;

	for (size_t i = 0; i < report->n_policies; i++) {
		n_successes += report->policies[i].n_successes;
		n_failures += report->policies[i].n_failures;
	}
	clock_print_iso(report->start_s, start);
	clock_print_iso(report->end_s - 1, end);
	log_escape(report->organization, strlen(report->organization), who, sizeof who);
	buffer_print(b,
	    "--zegel-%s\r\n"
	    "Content-Type: text/plain; charset=us-ascii\r\n"
	    "\r\n"
	    "A TLS report (RFC 8460) of %s\r\n"
	    "about its mail for %s\r\n"
	    "from %s to %s.\r\n"
	    "\r\n"
	    "Sessions as safe as your policies demand: %llu\r\n"
	    "Sessions that failed: %llu\r\n"
	    "\r\n"
	    "What failed, where and why stands in the attached file.\r\n",
	    facts->queue_id, who, facts->domain, start, end, (unsigned long long)n_successes,
	    (unsigned long long)n_failures);
}

static void write_file(const struct tlsrpt_mail_facts *facts, struct buffer *b)
{
	char name[TLSRPT_FILE_NAME_MAX], line[BASE64_ROOM(BASE64_LINE)];

	tlsrpt_file_name(facts->report, facts->domain, facts->number, name);
	buffer_print(b,
	    "\r\n--zegel-%s\r\n"
	    "Content-Type: application/tlsrpt+gzip\r\n"
	    "Content-Transfer-Encoding: base64\r\n"
	    "Content-Disposition: attachment;\r\n"
	    "\tfilename=\"%s\"\r\n"
	    "\r\n",
	    facts->queue_id, name);
	for (size_t at = 0; at < facts->gzip.n; at += BASE64_LINE) {
		size_t left = facts->gzip.n - at;

		base64_encode(
		    facts->gzip.bytes + at, left < BASE64_LINE ? left : BASE64_LINE, line);
		buffer_add_text(b, line);
		buffer_add_text(b, "\r\n");
	}
	buffer_print(b, "\r\n--zegel-%s--\r\n", facts->queue_id);
}
