/*
 * A TLS report (RFC 8460 4): what it says, and its text, I-JSON by way of jansson. Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"

/* Texts are owned; "" where there is none. */
struct tls_report_failure {
	char *result;  /* "result-type" */
	char *sender;  /* "sending-mta-ip" */
	char *mx;      /* "receiving-mx-hostname" */
	char *helo;    /* "receiving-mx-helo" */
	char *address; /* "receiving-ip" */
	char *more;    /* "additional-information" */
	char *reason;  /* "failure-reason-code" */
	uint64_t n;    /* "failed-session-count" */
};

struct tls_report_policy {
	char *type;     /* "policy-type" */
	char *domain;   /* "policy-domain" */
	char **strings; /* "policy-string" */
	size_t n_strings;
	char **patterns; /* "mx-host" */
	size_t n_patterns;
	uint64_t n_successes, n_failures; /* sessions */
	struct tls_report_failure *failures;
	size_t n_details;
};

struct tls_report {
	char *organization, *contact, *id;
	int64_t start_s, end_s; /* wall clock; the report says the last second, end_s - 1 */
	struct tls_report_policy *policies;
	size_t n_policies;
};

void tls_report_finish(struct tls_report *report);

/* Adds one and returns it, all texts "". Valid until the next is added. */
struct tls_report_policy *tls_report_add_policy(struct tls_report *report);
struct tls_report_failure *tls_report_add_failure(struct tls_report_policy *policy);

/* Of a text with a line each; the last may lack its end. NULL and 0 for "". */
char **tls_report_split(const char *lines, size_t *n);

/* The text, allocated. What is not UTF-8 is escaped. */
char *tls_report_write(const struct tls_report *report);

/* False, with nothing to finish, unless it is one. What it has besides is passed over. */
bool tls_report_read(const char *text, size_t n, struct tls_report *report);

/* Compresses (RFC 1952) into out; false if that has no room for it. */
bool tls_report_compress(const char *text, size_t n, struct buffer *out);
