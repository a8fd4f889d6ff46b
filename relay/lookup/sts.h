/*
 * The MTA-STS policies of recipient domains (RFC 8461): asks for their record, fetches them by HTTPS,
 * keeps them until max_age, refreshes them before that at a random time. What was kept goes to an
 * owner who stores it (the queue) and comes back from there after a restart: until it has, nobody is
 * told "no policy". A fetch that fails leaves what is kept in force.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/base/domain.h"
#include "relay/lookup/resolver.h"
#include "relay/net/loop.h"
#include "tls/sts.h"

struct sts;
struct sts_question;

/* A policy as it is stored and sent between roles. */
struct sts_kept {
	const char *domain, *id, *policy; /* policy: as it was fetched */
	int64_t fetched_s, expires_s;     /* wall clock */
};

/* What went wrong in the last try, in the classes of RFC 8460 4.3. X(symbol, word) */
#define STS_PROBLEMS(X)                                                                            \
	X(STS_PROBLEM_NONE, "none")                                                                \
	X(STS_PROBLEM_DNS, "dns")       /* the record could not be learned */                      \
	X(STS_PROBLEM_BOGUS, "bogus")   /* somebody tampers: the record, or where the host is */   \
	X(STS_PROBLEM_BUSY, "busy")     /* it was not even tried: too many others were */          \
	X(STS_PROBLEM_FETCH, "fetch")   /* HTTPS failed, not 200, redirect, too long, too slow */  \
	X(STS_PROBLEM_WEBPKI, "webpki") /* the policy host's certificate */                        \
	X(STS_PROBLEM_INVALID, "invalid") /* not text/plain, or no policy */                       \
	X(STS_PROBLEM_GONE, "gone") /* of a policy that is kept: the record is not there now */

enum sts_problem {
#define X(symbol, word) symbol,
	STS_PROBLEMS(X)
#undef X
};

enum {
	STS_WHY_MAX = 240,
	STS_TEXT_MAX = 8192,   /* of a policy's text in a finding */
	STS_FETCHES_MAX = 100, /* at once, and as https.h says of slow ones; others wait */
	STS_REFRESHES_MAX = 4, /* of these, at most so many that no question waits for */
	STS_AGAIN_MS = 300000, /* RFC 8461 3.3: so long after a fetch that failed, for that id */
	STS_SWEEP_MS = 60000,  /* at least so often the kept policies are looked through */

	/*
	 * What has expired is out of force, and forgotten only so long after, on the monotonic clock: if
	 * it was the wall clock that was wrong, it is there again when that is put right.
	 */
	STS_GRACE_MS = 86400000,
};

struct sts_finding {
	bool has_policy; /* policy, id and expires_s are filled: it is in force, fresh or kept */
	struct sts_policy policy;
	char *text; /* its lines as they were written, for reports (RFC 8460 4.5): printable, cut */
	char id[STS_ID_MAX];
	int64_t expires_s; /* wall clock */
	enum sts_problem
	    problem;           /* of the last try; with has_policy it concerns only its renewal */
	char why[STS_WHY_MAX]; /* printable; "" without a problem */
};

/* text: of a policy, as it was fetched. What is not printable becomes a question mark. */
void sts_finding_set_text(struct sts_finding *finding, const char *text);
void sts_finding_copy(struct sts_finding *to, const struct sts_finding *from);
void sts_finding_finish(struct sts_finding *finding);

/* Store this; an empty policy: forget the domain's. Called from the loop. */
typedef void sts_keep(void *arg, const struct sts_kept *kept);

/*
 * Uses config->delivery.ca_file and mta_sts_port, now for the certificates: after it no file is
 * opened. keep may be NULL (a command line that keeps nothing). With is_loaded false, questions wait
 * until sts_loaded(). NULL with a text in error if the CA file can't be used.
 */
struct sts *sts_create(struct loop *loop, const struct config *config, struct resolver *resolver,
    bool is_loaded, sts_keep *keep, void *arg, char *error, size_t room);

/* Drops what is on its way without a callback. Not from inside a callback. */
void sts_destroy(struct sts **sts);

/*
 * From the store; one that can't be read is to be forgotten there too. Both may be called again when the
 * owner is a new one: what it does not have is then kept once more, and what it should have forgotten
 * is told again.
 */
void sts_load(struct sts *sts, const struct sts_kept *kept);
void sts_loaded(struct sts *sts);

/* Whom to ask from now on. */
void sts_set_resolver(struct sts *sts, struct resolver *resolver);

/* For tests: how long a fetch may take from now on, and how long what has expired stays. */
void sts_set_timeout(struct sts *sts, int64_t timeout_ms);
void sts_set_grace(struct sts *sts, int64_t grace_ms);

/* The finding is the sts's own, and gone when this returns. */
typedef void sts_done(const struct sts_finding *finding, void *arg);

/*
 * The policy in force for a recipient domain, canonical. A kept one is answered once the record has
 * been looked at (or that failed); a new id is fetched first, within 60 s at most (RFC 8461 3.3). done
 * is called exactly once, never from inside.
 */
struct sts_question *sts_ask(struct sts *sts, const char *domain, sts_done *done, void *arg);

/* No callback any more; sets *question to NULL, and NULL is nothing. */
void sts_cancel(struct sts_question **question);
