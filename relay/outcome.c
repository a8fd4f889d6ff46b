#include "relay/outcome.h"

#include <stdio.h>
#include <string.h>

static bool is_ours(const struct outcome *what);
static bool is_word_on_message(const struct incident *i);
static enum decision decide_ehlo(const struct incident *i);
static enum decision decide_starttls(const struct incident *i);
static enum decision decide_handshake(const struct incident *i);
static enum decision decide_recipient(const struct incident *i);
static bool means_too_many(const struct incident *i);
static bool is_early_input(const struct outcome *what);
static bool is_passed_by_later(const struct incident *i);
static bool is_particular(const struct incident *i);
static void make_temporary(const struct incident *i, struct outcome *what);
static bool is_answer_on_tls(const struct incident *i, const struct outcome *what);
static void make_final(struct outcome *what);
static bool is_more_telling(
    const struct search *search, const struct outcome *what, enum point point);

const char *point_words(enum point point)
{
	static const char *const words[] = {
#define X(symbol, text) [symbol] = text,
		POINTS(X)
#undef X
	};

	return words[point];
}

/* ---- one incident ---- */

enum decision outcome_decide(const struct incident *i)
{
	if (is_ours(i->what))
		return DECISION_SETTLE_ALL; /* no other server would get other bytes */
	if (i->is_reused && !is_word_on_message(i))
		return DECISION_FRESH;
	switch (i->point) {
	case POINT_ROUTE:
	case POINT_DIAL:
	case POINT_BANNER:
	case POINT_HELO:
	case POINT_LOGIN:
	case POINT_OFFER: return DECISION_NEXT_ADDRESS;
	case POINT_EHLO: return decide_ehlo(i);
	case POINT_STARTTLS: return decide_starttls(i);
	case POINT_TLS: return decide_handshake(i);
	case POINT_MAIL:
	case POINT_DATA: return i->is_over ? DECISION_NEXT_ADDRESS : DECISION_SETTLE_ALL;
	case POINT_RCPT: return decide_recipient(i);
	/* Who answers before the end has an opinion of the message: others wait for a retry. */
	case POINT_CONTENT:
		return strcmp(i->what->name, "reply-early") == 0 ? DECISION_SETTLE_ALL
								 : DECISION_NEXT_ADDRESS;
	case POINT_DOT: return DECISION_SETTLE_ALL;
	}
	return DECISION_SETTLE_ALL;
}

static bool is_ours(const struct outcome *what)
{
	return outcome_is_corrupt(what) || strcmp(what->name, "message-unreadable") == 0;
}

static bool is_word_on_message(const struct incident *i)
{
	switch (i->point) {
	case POINT_RCPT: return !i->is_over;
	case POINT_CONTENT: return strcmp(i->what->name, "reply-early") == 0;
	case POINT_DOT: return true;
	case POINT_ROUTE:
	case POINT_DIAL:
	case POINT_BANNER:
	case POINT_EHLO:
	case POINT_HELO:
	case POINT_STARTTLS:
	case POINT_TLS:
	case POINT_LOGIN:
	case POINT_OFFER:
	case POINT_MAIL:
	case POINT_DATA: return false;
	}
	return false;
}

/* R7: a server older than RFC 1869 knows HELO only, and no STARTTLS. */
static enum decision decide_ehlo(const struct incident *i)
{
	if (i->what->class == OUTCOME_FAIL && !i->is_over && !i->needs_tls)
		return DECISION_SAY_HELO;
	return DECISION_NEXT_ADDRESS;
}

/* RFC 3207 4: whether to go on without is the client's policy. */
static enum decision decide_starttls(const struct incident *i)
{
	if (i->is_over)
		return decide_handshake(i);
	if (i->needs_tls || is_early_input(i->what))
		return DECISION_NEXT_ADDRESS;
	return DECISION_PLAIN_HERE;
}

/*
 * A connection broken in mid-handshake, or at STARTTLS, may be an attacker's work, or a receiver's bad
 * minute: the first attempt never answers it with plaintext. But "may" is a promise to deliver, also where
 * the sender wants it (RFC 8689 4.2.2), so a later one does.
 */
static enum decision decide_handshake(const struct incident *i)
{
	if (i->needs_tls || is_early_input(i->what) || !i->has_waited)
		return DECISION_NEXT_ADDRESS;
	return DECISION_PLAIN_AGAIN;
}

static enum decision decide_recipient(const struct incident *i)
{
	if (i->is_over)
		return DECISION_NEXT_ADDRESS;
	return means_too_many(i) ? DECISION_LATER : DECISION_SETTLE_ONE;
}

/*
 * RFC 5321 4.5.3.1.10: 452, and 552 from the servers of RFC 821, for a limit on the number of
 * recipients. The same codes also speak of a full mailbox (X.2.X), which another transaction does
 * not empty.
 */
static bool means_too_many(const struct incident *i)
{
	const char *enhanced = i->what->enhanced;

	if (i->n_accepted == 0)
		return false;
	if (i->what->code == 452)
		return strncmp(enhanced, "4.2.", 4) != 0;
	return i->what->code == 552 &&
	       (strcmp(enhanced, "5.5.3") == 0 || strcmp(enhanced, "5.0.0") == 0);
}

static bool is_early_input(const struct outcome *what)
{
	return strcmp(what->name, "starttls-early-input") == 0 ||
	       strcmp(what->name, "reply-early") == 0;
}

/* ---- many hosts ---- */

bool search_note(struct search *search, const struct incident *i)
{
	struct outcome what = *i->what;
	bool is_telling;

	make_temporary(i, &what);
	if (i->requires_tls && is_answer_on_tls(i, &what))
		make_final(&what);
	is_telling = is_more_telling(search, &what, i->point);
	if (is_telling) {
		search->telling = what;
		search->point = i->point;
	}
	search->n++;
	search->any_fallback = search->any_fallback || is_passed_by_later(i);
	search->has_answered = search->has_answered || i->point >= POINT_OFFER;
	search->any_particular = search->any_particular || is_particular(i);
	return is_telling;
}

/* Without TLS, by an attempt after this one. */
static bool is_passed_by_later(const struct incident *i)
{
	return !i->needs_tls &&
	       (i->point == POINT_TLS || (i->point == POINT_STARTTLS && i->is_over));
}

/* Mail of another account, or without REQUIRETLS, might go where this doesn't. */
static bool is_particular(const struct incident *i)
{
	if (i->point == POINT_ROUTE)
		return i->requires_tls || i->demand == DEMAND_ACCOUNT ||
		       i->demand == DEMAND_REQUIRETLS ||
		       strncmp(i->what->name, "requiretls-", 11) == 0 ||
		       strcmp(i->what->name, "tls-floor-conflict") == 0;
	return i->needs_tls && i->point >= POINT_BANNER && i->point <= POINT_TLS &&
	       (i->demand == DEMAND_ACCOUNT || i->demand == DEMAND_REQUIRETLS);
}

/*
 * Mail that may only go encrypted waits for encryption, whatever number the server gave its no. Nor does
 * anything that was said before the handshake end it: anybody on the way may have said it.
 */
static void make_temporary(const struct incident *i, struct outcome *what)
{
	bool is_on_tls =
	    i->point == POINT_STARTTLS || i->point == POINT_TLS ||
	    (i->point == POINT_EHLO && i->needs_tls && what->code >= 500 && what->code <= 504);
	bool is_at_the_door = i->needs_tls && i->point >= POINT_BANNER && i->point <= POINT_HELO;
	const struct outcome said = *what;

	if (said.class != OUTCOME_FAIL || !(is_on_tls || is_at_the_door))
		return;
	if (is_on_tls)
		outcome_say(what, 454, "4.7.4", "starttls-refused",
		    "TLS is required, and the server does not do it: it says %d %s %.300s",
		    said.code, said.enhanced, said.text);
	else
		outcome_say(what, 451, "4.7.0", "refused-in-plaintext",
		    "TLS is required, and the server turns us away before it, where anybody on the "
		    "way could speak for it: it says %d %s %.300s",
		    said.code, said.enhanced, said.text);
	snprintf(what->who, sizeof what->who, "%s", said.who);
}

/* RFC 8689 4.2.1: no STARTTLS, or what the server has shown; not a connection that broke. */
static bool is_answer_on_tls(const struct incident *i, const struct outcome *what)
{
	static const char *const endings[] = { "starttls-missing", "starttls-refused", "tls-name",
		"tls-untrusted", "tls-expired", "tls-no-certificate", "dane-mismatch",
		"dane-missing", "fingerprint-mismatch" };
	size_t n = strlen(what->name);

	if (i->point < POINT_EHLO || i->point > POINT_TLS)
		return false;
	for (size_t k = 0; k < sizeof endings / sizeof endings[0]; k++) {
		size_t n_ending = strlen(endings[k]);

		if (n >= n_ending && strcmp(what->name + n - n_ending, endings[k]) == 0)
			return true;
	}
	return false;
}

static void make_final(struct outcome *what)
{
	const struct outcome said = *what;

	outcome_say(what, 550, "5.7.10", "requiretls-tls",
	    "The sender asked for REQUIRETLS (RFC 8689), and TLS does not suffice: %.400s [%s]",
	    said.text, said.name);
	snprintf(what->who, sizeof what->who, "%s", said.who);
}

/* What may pass before what won't; then what came furthest; then what came first. */
static bool is_more_telling(
    const struct search *search, const struct outcome *what, enum point point)
{
	if (search->n == 0)
		return true;
	if (what->class != search->telling.class)
		return what->class == OUTCOME_DEFER;
	return point > search->point;
}

void search_outcome(const struct search *search, bool all_tried, struct outcome *outcome)
{
	if (search->n == 0) {
		outcome_say(outcome, 451, "4.4.0", "not-tried",
		    "There was no time to try any of its hosts");
		return;
	}
	*outcome = search->telling;
	if (all_tried || outcome->class != OUTCOME_FAIL)
		return;
	outcome_say(outcome, 451, "4.4.0", "hosts-left",
	    "Not all of its hosts could be tried; one of them says: %d %s %.300s",
	    search->telling.code, search->telling.enhanced, search->telling.text);
	snprintf(outcome->who, sizeof outcome->who, "%s", search->telling.who);
}

/*
 * A rest of the site hands this failure to the other messages unseen: so it must be temporary, and
 * not one that depends on how often a message was tried.
 */
enum schedule_feedback search_feedback(const struct search *search)
{
	if (search->has_answered || search->any_fallback || search->any_particular ||
	    search->n == 0 || search->telling.class != OUTCOME_DEFER)
		return SCHEDULE_SITE_ANSWERED;
	return SCHEDULE_SITE_DOWN;
}

/* ---- one recipient ---- */

enum recipient_state outcome_state(const struct outcome *outcome)
{
	switch (outcome->class) {
	case OUTCOME_OK: return RECIPIENT_DELIVERED;
	case OUTCOME_DEFER: return RECIPIENT_WAITING;
	case OUTCOME_FAIL: return RECIPIENT_FAILED;
	}
	return RECIPIENT_WAITING;
}

void outcome_say_corrupt(struct outcome *outcome, const char *what)
{
	outcome_say(outcome, 451, "4.3.0", "message-corrupt",
	    "The message in the queue is not what was accepted: %s; nothing was sent", what);
}

bool outcome_is_corrupt(const struct outcome *outcome)
{
	return strcmp(outcome->name, "message-corrupt") == 0;
}
