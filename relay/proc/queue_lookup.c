#include "relay/proc/queue_lookup.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/dnssec_mark.h"
#include "relay/spool_policies.h"

enum {
	ANSWER_TIMEOUT_MS = 90000,
	READ_AGAIN_MS = 10000, /* after the store could not be read */
};

/* The kept policies, on their way to one lookup. */
struct feeding {
	TAILQ_ENTRY(feeding) link;
	struct queue_lookup *lookup;
	uint64_t peer;
	struct timer *again;
};

struct queue_lookup {
	struct loop *loop;
	struct asker *asker;
	struct spool *spool;
	const char *directory;
	struct contract_verdict resolver;
	TAILQ_HEAD(, feeding) feedings;
};

static void on_changed(void *arg, uint64_t peer, bool is_here);
static void on_again(void *arg);
static void on_policies(void *arg, const struct sts_kept *policies, size_t n, bool is_last);
static void on_news(void *arg, uint64_t peer, struct ipc_message *m);
static void keep_policy(struct queue_lookup *lookup, const struct ipc_policy_keep *m);
static void note_resolver(struct queue_lookup *lookup, const struct ipc_resolver_say *m);
static void drop(struct feeding *feeding);

struct queue_lookup *queue_lookup_create(
    struct loop *loop, struct spool *spool, const char *directory)
{
	struct queue_lookup *lookup = mem_create(sizeof *lookup);

	lookup->loop = loop;
	lookup->asker = asker_create(loop, ASKER_PLAIN, ANSWER_TIMEOUT_MS);
	asker_listen(lookup->asker, on_news, on_changed, lookup);
	lookup->spool = spool;
	lookup->directory = directory;
	lookup->resolver.state = CONTRACT_UNKNOWN;
	TAILQ_INIT(&lookup->feedings);
	return lookup;
}

void queue_lookup_destroy(struct queue_lookup **lookup)
{
	struct feeding *feeding;

	if (*lookup == NULL)
		return;
	while ((feeding = TAILQ_FIRST(&(*lookup)->feedings)) != NULL)
		drop(feeding);
	asker_destroy(&(*lookup)->asker);
	free(*lookup);
	*lookup = NULL;
}

void queue_lookup_meet(struct queue_lookup *lookup, struct channel *channel)
{
	asker_add(lookup->asker, channel);
}

const struct contract_verdict *queue_lookup_resolver(const struct queue_lookup *lookup)
{
	return &lookup->resolver;
}

struct asker *queue_lookup_asker(struct queue_lookup *lookup)
{
	return lookup->asker;
}

/* ---- the policies that are kept ---- */

/* Until it has them all, a lookup tells nobody that a domain has none. */
static void on_changed(void *arg, uint64_t peer, bool is_here)
{
	struct queue_lookup *lookup = arg;
	struct feeding *feeding;

	if (!is_here)
		return;
	feeding = mem_create(sizeof *feeding);
	feeding->lookup = lookup;
	feeding->peer = peer;
	feeding->again = timer_create_in(lookup->loop, on_again, feeding);
	TAILQ_INSERT_TAIL(&lookup->feedings, feeding, link);
	on_again(feeding);
}

static void on_again(void *arg)
{
	struct feeding *feeding = arg;

	spool_policies_read(feeding->lookup->spool, on_policies, feeding);
}

static void on_policies(void *arg, const struct sts_kept *policies, size_t n, bool is_last)
{
	struct feeding *feeding = arg;
	struct ipc_message m = { .type = IPC_POLICIES, .fd = -1 };
	ipc_policy *items;

	if (n == 0 && !is_last) {
		log_error(
		    "the MTA-STS policies that are kept cannot be read: mail waits until they "
		    "can, so that none goes without the policy of its domain; see what was "
		    "said of the queue's database [policies-unreadable]");
		timer_set(feeding->again, READ_AGAIN_MS);
		return;
	}
	items = mem_create((n + 1) * sizeof *items);
	for (size_t i = 0; i < n; i++)
		items[i] = (ipc_policy){ policies[i].domain, policies[i].id, policies[i].policy,
			policies[i].fetched_s, policies[i].expires_s };
	m.policies_say.policies = (ipc_policy_list){ items, n };
	m.policies_say.is_last = is_last;
	asker_tell(feeding->lookup->asker, feeding->peer, &m);
	free(items);
	if (is_last)
		drop(feeding);
}

static void drop(struct feeding *feeding)
{
	TAILQ_REMOVE(&feeding->lookup->feedings, feeding, link);
	timer_destroy(&feeding->again);
	free(feeding);
}

/* ---- what it tells ---- */

static void on_news(void *arg, uint64_t peer, struct ipc_message *m)
{
	struct queue_lookup *lookup = arg;

	(void)peer;
	if (m->type == IPC_POLICY_KEEP)
		keep_policy(lookup, &m->policy_keep);
	else if (m->type == IPC_RESOLVER)
		note_resolver(lookup, &m->resolver_say);
}

/* The lookup reads what strangers wrote: what it says is held to the bounds it should keep. */
static void keep_policy(struct queue_lookup *lookup, const struct ipc_policy_keep *m)
{
	const struct sts_kept kept = { m->domain, m->id, m->policy, m->fetched_s, m->expires_s };
	char domain[DOMAIN_MAX];

	if (!domain_canonical(m->domain, strlen(m->domain), domain) ||
	    strcmp(domain, m->domain) != 0 || strlen(m->id) >= STS_ID_MAX ||
	    strlen(m->policy) > STS_POLICY_MAX) {
		log_error("a lookup's policy is out of bounds: a fault of this program");
		return;
	}
	spool_policy_keep(lookup->spool, &kept);
}

static void note_resolver(struct queue_lookup *lookup, const struct ipc_resolver_say *m)
{
	struct contract_verdict *verdict = &lookup->resolver;

	if (m->state > CONTRACT_OFF)
		return;
	verdict->state = (enum contract_state)m->state;
	snprintf(verdict->text, sizeof verdict->text, "%s", m->text);
	verdict->since_s = m->since_s;
	verdict->checked_s = m->checked_s;
	if (verdict->state == CONTRACT_KEPT)
		dnssec_mark_set(lookup->directory);
}
