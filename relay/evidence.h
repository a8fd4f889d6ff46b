/*
 * The one line that says, in the log, in "zegel why" and in the record behind it, how safe a delivery
 * was: what was required of the host, by whom, and what it has shown. Words of key=value, a space
 * between; a value that has spaces stands in double quotes, with a backslash before a quote or a
 * backslash in it. In this order, each only where there is something to say:
 *
 *	required=dane by=dane achieved=dane protocol=TLSv1.3 cipher=TLS_AES_256_GCM_SHA384
 *	match="TLSA 3 1 1 ab12..." | match="CA Some Root name=mx.example" |
 *	match="pin 3 0 1 ab12..." | match=none untrusted="self-signed certificate"
 *	cert=SHA-256 host=mx.example mx=insecure reused resumed exception="until ..."
 *	observe=would-pass | observe=would-fail:partner-tls-name    (a partner rule that only observes)
 *	sts=would-pass | sts=would-fail:tls-name                   (MTA-STS that is not what decides)
 *
 * achieved=none is plaintext; with failed=NAME nothing of the message was sent, and that is why. Then
 * protocol, cipher and cert are of what was presented and did not do.
 * mx=insecure: what vouches for the host does not say that it is the destination's (RFC 7672 2.2.1).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/domain.h"
#include "relay/base/outcome.h"
#include "relay/base/tls_level.h"
#include "relay/plan.h"
#include "tls/evidence.h"

enum {
	EVIDENCE_MAX = 2048, /* of the line */
	EVIDENCE_MATCH_MAX = 400,
	EVIDENCE_EXCEPTION_MAX = 256,
};

struct evidence_watch {
	enum tls_demand demand;        /* partner or mta-sts */
	char failed[OUTCOME_NAME_MAX]; /* "": it would have passed */
};

struct evidence {
	enum tls_level required;
	enum tls_demand by;
	enum tls_level achieved;       /* none: plaintext, or nothing was sent */
	char failed[OUTCOME_NAME_MAX]; /* why nothing was sent; "" if something was */
	char protocol[16], cipher[64]; /* "" in plaintext */
	char match[EVIDENCE_MATCH_MAX];
	char untrusted[96];
	char certificate[65];
	char host[DOMAIN_MAX]; /* "": no host was tried, and nothing required of one */
	bool by_insecure_mx, is_reused, is_resumed;
	char exception[EVIDENCE_EXCEPTION_MAX];
	struct evidence_watch watches[PLAN_WATCHES_MAX];
	size_t n_watches;
};

/* What was required of the host, and what it has shown (NULL: plaintext, or nothing). */
void evidence_gather(const struct plan *plan, const struct plan_host *host,
    const struct tls_evidence *shown, struct evidence *e);

/* Cut at the end of a word, should it be too long. */
void evidence_print(const struct evidence *e, char text[EVIDENCE_MAX]);

/* False if the text is not such a line. Keys that it does not know are passed over. */
bool evidence_parse(const char *text, struct evidence *e);

/*
 * For a person: "TLSv1.3 with TLS_AES_256_GCM_SHA384, TLSA 3 1 1 ab12... matched, required: dane by
 * dane", "plaintext, required: may by default". Without the host, which the reader knows.
 */
void evidence_describe(const struct evidence *e, char *text, size_t room);
