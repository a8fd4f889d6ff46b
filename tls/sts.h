/*
 * MTA-STS (RFC 8461) as text: the record that says there is a policy, the policy, and which hosts it
 * allows. Pure: who fetches and keeps policies is relay/lookup/sts.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	STS_ID_MAX = 33,            /* with its NUL; RFC 8461 3.1: 1 to 32 letters and digits */
	STS_POLICY_MAX = 64 * 1024, /* bytes of a policy; RFC 8461 3.3 suggests it */
	STS_MX_MAX = 100,           /* mx lines that are kept */
	STS_AGE_MAX = 31557600,     /* seconds; RFC 8461 3.2 */
};

/* X(symbol, word), RFC 8461 3.2 and 5 */
#define STS_MODES(X)                                                                               \
	X(STS_MODE_NONE, "none")                                                                   \
	X(STS_MODE_TESTING, "testing")                                                             \
	X(STS_MODE_ENFORCE, "enforce")

enum sts_mode {
#define X(symbol, word) symbol,
	STS_MODES(X)
#undef X
};

struct sts_policy {
	enum sts_mode mode;
	uint32_t max_age_s;
	char **mx; /* canonical; "*.x" stands for one label; in the policy's order */
	size_t n_mx;
};

enum sts_record_kind {
	STS_RECORD_NONE,    /* no record begins with "v=STSv1;", or more than one does: no policy */
	STS_RECORD_GOOD,    /* id is filled */
	STS_RECORD_INVALID, /* one does, and cannot be read; RFC 8461 3.1: as if there was none */
};

/* From the strings of each TXT record at _mta-sts.DOMAIN, joined (RFC 7208 3.3 style). */
enum sts_record_kind sts_record_read(const char *const *texts, size_t n_texts, char id[STS_ID_MAX]);

/*
 * RFC 8461 3.2: LF or CRLF between lines, unknown keys are passed over, the first of a key that may
 * stand once counts. False with a sentence in why if it is no policy: then nothing is to be finished.
 */
bool sts_policy_read(const char *text, size_t n, struct sts_policy *policy, char *why, size_t room);

void sts_policy_copy(struct sts_policy *to, const struct sts_policy *from);
void sts_policy_finish(struct sts_policy *policy);

/* RFC 8461 4.1: host is canonical. */
bool sts_policy_allows(const struct sts_policy *policy, const char *host);

const char *sts_mode_name(enum sts_mode mode);
