/*
 * One session with a receiver, or the failed try at one, counted against one policy that applied to
 * it (RFC 8460 4): what a delivery tells the queue, which reports once a day. A session under DANE
 * and MTA-STS is counted twice, once against each.
 */
#pragma once

#include <stdbool.h>

#include "relay/base/buffer.h"
#include "relay/base/domain.h"
#include "relay/base/outcome.h"

enum {
	TLS_COUNT_STRINGS_MAX = 8192, /* bytes of a policy's text; the rest is cut off at a line */
	TLS_COUNT_ADDRESS_MAX = 46,
	TLS_COUNTS_MAX = 64, /* in one message */
};

/* X(symbol, "policy-type") RFC 8460 4.2 */
#define TLS_POLICY_TYPES(X)                                                                        \
	X(TLS_POLICY_TLSA, "tlsa")                                                                 \
	X(TLS_POLICY_STS, "sts")                                                                   \
	X(TLS_POLICY_NONE, "no-policy-found")

enum tls_policy_type {
#define X(symbol, word) symbol,
	TLS_POLICY_TYPES(X)
#undef X
};

/* X(symbol, "result-type") RFC 8460 4.3 */
#define TLS_RESULTS(X)                                                                             \
	X(TLS_RESULT_SUCCESS, "success")                                                           \
	X(TLS_RESULT_STARTTLS, "starttls-not-supported")                                           \
	X(TLS_RESULT_HOST_MISMATCH, "certificate-host-mismatch")                                   \
	X(TLS_RESULT_EXPIRED, "certificate-expired")                                               \
	X(TLS_RESULT_NOT_TRUSTED, "certificate-not-trusted")                                       \
	X(TLS_RESULT_VALIDATION, "validation-failure")                                             \
	X(TLS_RESULT_TLSA_INVALID, "tlsa-invalid")                                                 \
	X(TLS_RESULT_DNSSEC_INVALID, "dnssec-invalid")                                             \
	X(TLS_RESULT_DANE_REQUIRED, "dane-required")                                               \
	X(TLS_RESULT_STS_FETCH, "sts-policy-fetch-error")                                          \
	X(TLS_RESULT_STS_INVALID, "sts-policy-invalid")                                            \
	X(TLS_RESULT_STS_WEBPKI, "sts-webpki-invalid")

enum tls_result {
#define X(symbol, word) symbol,
	TLS_RESULTS(X)
#undef X
};

struct tls_count {
	enum tls_policy_type type;
	/* Of the recipients, or the operator's next hop: its _smtp._tls record says where reports go. */
	char report_domain[DOMAIN_MAX];
	/* "policy-domain": for DANE the TLSA base domain (RFC 8460 1.1), else the report_domain. */
	char domain[DOMAIN_MAX];
	char *strings;  /* "policy-string", a line each; "" if none */
	char *patterns; /* "mx-host" of an MTA-STS policy, a line each */
	enum tls_result result;
	char mx[DOMAIN_MAX]; /* "receiving-mx-hostname"; "" where no host had a part in it */
	char address[TLS_COUNT_ADDRESS_MAX]; /* "receiving-ip" */
	char sender[TLS_COUNT_ADDRESS_MAX];  /* "sending-mta-ip"; "" where nothing was connected */
	char reason[OUTCOME_NAME_MAX]; /* "failure-reason-code": our stable name; "" if none */
};

const char *tls_policy_type_name(enum tls_policy_type type);
const char *tls_result_name(enum tls_result result);
