/*
 * Sessions that a client may resume, in the memory of this process and for a while. Who kept one
 * gets it back only for the same peer and an equal requirement, and judges the connection anew by
 * the certificates that are kept in the session: what is saved is a key exchange, not a verdict.
 * Each is handed out once (RFC 8446 C.4).
 */
#include "tls/openssl.h"

#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "tls/context.h"

struct kept {
	char *peer;
	struct tls_requirement requirement;
	struct resumable what;
	TAILQ_ENTRY(kept) next;
};

struct resume {
	TAILQ_HEAD(kept_list, kept) all; /* the latest first */
	size_t n;
};

static bool is_for(
    const struct kept *k, const char *peer, const struct tls_requirement *requirement);
static bool is_over(const struct kept *k);
static void make_room(
    struct resume *r, const char *peer, const struct tls_requirement *requirement);
static void drop(struct resume *r, struct kept *k);

struct resume *resume_create(void)
{
	struct resume *r = mem_create(sizeof *r);

	TAILQ_INIT(&r->all);
	return r;
}

void resume_keep(struct resume *r, const char *peer, const struct tls_requirement *requirement,
    const struct resumable *what)
{
	struct kept *k = mem_create(sizeof *k);

	make_room(r, peer, requirement);
	k->peer = mem_copy_text(peer);
	k->what = *what;
	tls_requirement_copy(&k->requirement, requirement);
	TAILQ_INSERT_HEAD(&r->all, k, next);
	r->n++;
}

/* Those of no more use first; then the oldest of the same kind, or of all. */
static void make_room(struct resume *r, const char *peer, const struct tls_requirement *requirement)
{
	struct kept *k, *before, *oldest = NULL;
	size_t n_same = 0;

	for (k = TAILQ_LAST(&r->all, kept_list); k != NULL; k = before) {
		before = TAILQ_PREV(k, kept_list, next);
		if (is_over(k)) {
			drop(r, k);
		} else if (is_for(k, peer, requirement)) {
			n_same++;
			if (oldest == NULL)
				oldest = k;
		}
	}
	if (n_same >= TLS_RESUME_SAME_MAX)
		drop(r, oldest);
	if (r->n >= TLS_RESUME_MAX)
		drop(r, TAILQ_LAST(&r->all, kept_list));
}

bool resume_take(struct resume *r, const char *peer, const struct tls_requirement *requirement,
    struct resumable *what)
{
	struct kept *k;

	TAILQ_FOREACH (k, &r->all, next) {
		if (is_for(k, peer, requirement) && !is_over(k))
			break;
	}
	if (k == NULL)
		return false;
	*what = k->what;
	k->what.session = NULL;
	drop(r, k);
	return true;
}

static bool is_for(
    const struct kept *k, const char *peer, const struct tls_requirement *requirement)
{
	return strcmp(k->peer, peer) == 0 && tls_requirement_is_equal(&k->requirement, requirement);
}

static bool is_over(const struct kept *k)
{
	return clock_monotonic_ms() >= k->what.until_ms ||
	       !SSL_SESSION_is_resumable(k->what.session);
}

void resume_forget(struct resume *r, const char *peer)
{
	struct kept *k, *after;

	for (k = TAILQ_FIRST(&r->all); k != NULL; k = after) {
		after = TAILQ_NEXT(k, next);
		if (strcmp(k->peer, peer) == 0)
			drop(r, k);
	}
}

static void drop(struct resume *r, struct kept *k)
{
	TAILQ_REMOVE(&r->all, k, next);
	r->n--;
	SSL_SESSION_free(k->what.session);
	tls_requirement_finish(&k->requirement);
	free(k->peer);
	free(k);
}

void resume_destroy(struct resume **resume)
{
	struct resume *r = *resume;

	if (r == NULL)
		return;
	while (!TAILQ_EMPTY(&r->all))
		drop(r, TAILQ_FIRST(&r->all));
	free(r);
	*resume = NULL;
}
