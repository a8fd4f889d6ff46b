/*
 * THE decision file: what a failure anywhere on the way to a receiver means for the recipients, for
 * the other hosts and for the site. Pure: everybody else describes what happened (the value is
 * relay/base/outcome.h) and does what is decided here.
 *
 * The rules, where RFC 5321 and practice leave a choice:
 *  - A server that can't be reached, that turns us away at its door (banner, EHLO) or whose TLS
 *    does not suffice is passed over for the next address, then the next host (RFC 5321 5.1).
 *    Mail fails only if every one of them refused for good; one that might do later makes it
 *    wait (R3). Where TLS is demanded a refusal in plaintext is none for good: anybody on the way
 *    may have said it.
 *  - What a server says of the message (MAIL, RCPT, DATA, the final dot) counts: 5xx fails, 4xx
 *    waits, and no other host is asked. 421 and a lost connection before the final dot is said
 *    are of the server, not the message: the next address is tried. An answer to content that has
 *    not ended is neither: it waits (R12).
 *  - After the final dot nobody else is tried: the server may have the message. It waits, and may
 *    arrive twice (R9).
 *  - TLS that is demanded and does not come is always temporary and never answered with plaintext.
 *    Where plaintext is acceptable ("may") a refused STARTTLS is followed by plaintext on the same
 *    connection; a handshake that fails, or a connection lost at STARTTLS, is not, on the first
 *    attempt: the message waits, and a later attempt goes without TLS over a fresh connection. Both
 *    are logged as warnings. Whoever talks between STARTTLS and the handshake is given nothing at all
 *    (R28).
 *  - With REQUIRETLS a server that has no TLS, or shows a certificate that does not do, is a reason to
 *    return the mail if no other host does better (5.7.10), and so is one that does not offer
 *    REQUIRETLS (5.7.30): RFC 8689 4.2.1 wants the sender to know at once. A handshake that breaks is
 *    no such answer, and waits.
 *  - A connection kept from another message proves nothing by failing: a peer may close it, have
 *    had enough of it, or not be there any more. Only what the server says of a recipient, of the
 *    content or to the final dot counts; anything else is followed by a fresh connection to the same
 *    address. After the final dot a loss is what it always is.
 *  - A login that our next hop refuses is the operator's affair: the mail waits.
 *  - 452 to RCPT (and 552, RFC 5321 4.5.3.1.10) after accepted recipients means: these first, the
 *    rest in another transaction (R14); but not where the enhanced code speaks of the mailbox.
 *  - What the server offers must do for the message as it was sealed: with SIZE too small, or
 *    8-bit content and no 8BITMIME, it fails (R18, R19), since rewriting it would break the seal.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "relay/base/tls_level.h"
#include "relay/message.h"
#include "relay/schedule.h"

/* Where it happened, in the order of time. X(symbol, what we were doing, in Postfix's words) */
#define POINTS(X)                                                                                  \
	X(POINT_ROUTE, "choosing the host")                                                        \
	X(POINT_DIAL, "connecting")                                                                \
	X(POINT_BANNER, "receiving the initial server greeting")                                   \
	X(POINT_EHLO, "performing the EHLO handshake")                                             \
	X(POINT_HELO, "performing the HELO handshake")                                             \
	X(POINT_STARTTLS, "sending STARTTLS")                                                      \
	X(POINT_TLS, "performing the TLS handshake")                                               \
	X(POINT_LOGIN, "logging in")                                                               \
	X(POINT_OFFER, "comparing the server's offer with the message")                            \
	X(POINT_MAIL, "sending MAIL FROM")                                                         \
	X(POINT_RCPT, "sending RCPT TO")                                                           \
	X(POINT_DATA, "sending DATA command")                                                      \
	X(POINT_CONTENT, "sending message body")                                                   \
	X(POINT_DOT, "sending end of data -- message may be sent more than once")

enum point {
#define X(symbol, words) symbol,
	POINTS(X)
#undef X
};

const char *point_words(enum point point);

struct incident {
	enum point point;
	const struct outcome *what; /* not ok */
	bool is_over;               /* lost, timed out, out of step, or the server hangs up */
	bool needs_tls;             /* plaintext is not acceptable */
	enum tls_demand demand;     /* who says so */
	bool requires_tls;          /* the message has REQUIRETLS */
	bool has_waited;            /* the message was deferred before */
	bool is_reused;             /* the connection was kept from another message */
	size_t n_accepted;          /* recipients accepted so far in this transaction */
};

enum decision {
	DECISION_SAY_HELO,    /* instead of EHLO, on this connection */
	DECISION_PLAIN_HERE,  /* go on without TLS on this connection, with a warning */
	DECISION_PLAIN_AGAIN, /* the same address once more, without TLS, with a warning */
	DECISION_FRESH, /* the same address over a fresh connection, as if this one had not been */
	DECISION_NEXT_ADDRESS, /* then the next host; what is undecided stays undecided */
	DECISION_SETTLE_ALL,   /* all who are undecided get this outcome */
	DECISION_SETTLE_ONE,   /* this recipient does */
	DECISION_LATER,        /* this recipient belongs into another transaction */
};

enum decision outcome_decide(const struct incident *incident);

/* ---- many hosts, one outcome ---- */

/* What the hosts of a plan have brought so far. Zeroed: nothing yet. */
struct search {
	size_t n;               /* troubles noted */
	struct outcome telling; /* the most telling of them */
	enum point point;       /* where that was */
	bool any_fallback;      /* some TLS trouble will be passed by without TLS later */
	bool has_answered;      /* some server has let us through its door */
	bool any_particular;    /* some refusal is for what this message asks and others don't */
};

/*
 * This address or host is passed over. Refusals to encrypt become temporary here. True if it is the
 * most telling so far.
 */
bool search_note(struct search *search, const struct incident *incident);

/*
 * What those get who are still undecided. Without all of the hosts tried nothing is permanent.
 * outcome is a temporary one even if nothing was noted.
 */
void search_outcome(const struct search *search, bool all_tried, struct outcome *outcome);

/* What the site gets: down only for what may pass, and for what concerns every message alike. */
enum schedule_feedback search_feedback(const struct search *search);

/* ---- one outcome, one recipient ---- */

enum recipient_state outcome_state(const struct outcome *outcome);

/* The bytes in the spool are not those that were committed: no retry can help (D10). */
void outcome_say_corrupt(struct outcome *outcome, const char *what);
bool outcome_is_corrupt(const struct outcome *outcome);
