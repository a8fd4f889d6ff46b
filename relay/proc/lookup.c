/*
 * The lookup role: asks the DNS, validates, keeps the cache, and answers deliveries with facts.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/lookup/facts.h"
#include "relay/proc/clients.h"
#include "relay/proc/role.h"

struct lookup;

/* A question of a delivery, under way. */
struct request {
	TAILQ_ENTRY(request) link;
	struct lookup *lookup;
	struct channel *channel;
	uint64_t number;
	struct gathering *gathering;
};

struct lookup {
	struct house *house;
	struct resolver *resolver;
	struct clients clients;
	TAILQ_HEAD(, request) requests;
};

static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_gone(void *arg, struct channel *channel);
static void on_facts(const struct facts *facts, void *arg);

static void *lookup_create(struct house *house)
{
	struct lookup *lookup = mem_create(sizeof *lookup);
	char error[512];

	lookup->house = house;
	TAILQ_INIT(&lookup->requests);
	clients_init(&lookup->clients, on_message, on_gone, lookup);
	lookup->resolver = resolver_create(house->loop, house->config, error, sizeof error);
	if (lookup->resolver != NULL)
		return lookup;
	log_error("%s", error);
	free(lookup);
	return NULL;
}

static void lookup_meet(void *self, enum role role, struct channel *channel)
{
	struct lookup *lookup = self;

	(void)role;
	clients_add(&lookup->clients, channel);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct lookup *lookup = arg;
	struct request *request;
	char domain[DOMAIN_MAX];

	if (m->type != IPC_FACTS_ASK ||
	    !domain_canonical(m->facts_ask.domain, strlen(m->facts_ask.domain), domain))
		return;
	request = mem_create(sizeof *request);
	request->lookup = lookup;
	request->channel = channel;
	request->number = m->facts_ask.number;
	TAILQ_INSERT_TAIL(&lookup->requests, request, link);
	request->gathering = facts_gather(&(struct facts_order){ .loop = lookup->house->loop,
					      .resolver = lookup->resolver,
					      .domain = domain,
					      .port = lookup->house->config->delivery.port },
	    on_facts, request);
}

static void drop(struct request *request)
{
	TAILQ_REMOVE(&request->lookup->requests, request, link);
	free(request);
}

static void on_facts(const struct facts *facts, void *arg)
{
	struct request *request = arg;
	struct ipc_message m = { .type = IPC_FACTS_SAY, .fd = -1, .number = request->number };
	struct buffer encoded;

	buffer_init(&encoded, FACTS_ENCODED_MAX);
	facts_encode(facts, &encoded);
	m.facts_say.facts = (struct slice){ encoded.bytes, encoded.n };
	channel_send(request->channel, &m);
	buffer_finish(&encoded);
	drop(request);
}

static void on_gone(void *arg, struct channel *channel)
{
	struct lookup *lookup = arg;
	struct request *request, *next;

	for (request = TAILQ_FIRST(&lookup->requests); request != NULL; request = next) {
		next = TAILQ_NEXT(request, link);
		if (request->channel != channel)
			continue;
		facts_cancel(&request->gathering);
		drop(request);
	}
}

static void lookup_drain(void *self, enum drain_how how)
{
	struct lookup *lookup = self;

	(void)how;
	lookup->house->leave(lookup->house->leave_arg);
}

static void lookup_destroy(void *self)
{
	struct lookup *lookup = self;
	struct request *request;

	while ((request = TAILQ_FIRST(&lookup->requests)) != NULL) {
		facts_cancel(&request->gathering);
		drop(request);
	}
	clients_finish(&lookup->clients);
	resolver_destroy(&lookup->resolver);
	free(lookup);
}

const struct role_calls role_lookup = {
	.create = lookup_create,
	.meet = lookup_meet,
	.drain = lookup_drain,
	.destroy = lookup_destroy,
};
