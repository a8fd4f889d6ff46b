/*
 * The lookup role: asks the DNS, validates, keeps the cache, and answers deliveries with facts. It
 * fetches the MTA-STS policies, which the queue keeps for it, watches whether DNSSEC works here, and is
 * the queue's way to TXT records and to HTTPS.
 */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "relay/lookup/contract.h"
#include "relay/lookup/facts.h"
#include "relay/lookup/https.h"
#include "relay/lookup/sts.h"
#include "relay/lookup/url.h"
#include "relay/proc/clients.h"
#include "relay/proc/dnssec_mark.h"
#include "relay/proc/role.h"

enum {
	POSTS_AT_ONCE = 10,
	QUESTIONS_LEAST = 1000,       /* that one delivery may have open */
	QUESTIONS_PER_CONNECTION = 8, /* and more where it may have many connections */
	LAST_WORDS_MS = 5,            /* for what was said in this turn to go out */
};

struct lookup;

/* A question of another role, under way; one of the three. */
struct request {
	TAILQ_ENTRY(request) link;
	struct lookup *lookup;
	struct channel *channel;
	uint64_t number;
	struct gathering *gathering;
	struct query *texts;
	struct https_request *post;
	char *url, *content; /* of a post */
};

struct lookup {
	struct house *house;
	struct resolver *resolver, *believing; /* the other one validates nothing */
	struct contract *contract;
	enum contract_state logged;
	struct sts *sts;     /* NULL: the configuration wants no MTA-STS */
	struct https *https; /* for posts; NULL: it wants no TLS reports */
	struct clients clients;
	struct channel *queue; /* one of the clients', or NULL */
	TAILQ_HEAD(, request) requests;
	size_t n_posts;
	struct timer *farewell;
	bool is_draining;
};

static bool set_up(struct lookup *lookup, char *error, size_t room);
static void lookup_destroy(void *self);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void ask_facts(
    struct lookup *lookup, struct channel *channel, const struct ipc_facts_ask *m);
static bool asks_too_much(const struct lookup *lookup, const struct channel *channel);
static bool read_target(const struct ipc_facts_ask *m, char target[DOMAIN_MAX]);
static void on_facts(const struct facts *facts, void *arg);
static void load_policies(struct lookup *lookup, const struct ipc_policies_say *m);
static void keep_policy(void *arg, const struct sts_kept *kept);
static void on_contract(const struct contract_verdict *verdict, void *arg);
static struct resolver *useful_resolver(const struct lookup *lookup);
static void tell_resolver(struct lookup *lookup);
static void ask_texts(
    struct lookup *lookup, struct channel *channel, const struct ipc_texts_ask *m);
static void on_texts(const struct answer *answer, void *arg);
static void start_post(
    struct lookup *lookup, struct channel *channel, const struct ipc_post_ask *m);
static void on_post(const struct https_answer *answer, void *arg);
static void judge_post(const struct https_answer *answer, const char *url, struct outcome *outcome);
static void say_posted(struct channel *channel, uint64_t number, const struct outcome *outcome);
static struct request *take(struct lookup *lookup, struct channel *channel, uint64_t number);
static void drop(struct request *request);
static void on_gone(void *arg, struct channel *channel);
static void on_farewell(void *arg);

static void *lookup_create(struct house *house)
{
	struct lookup *lookup = mem_create(sizeof *lookup);
	char error[512];

	lookup->house = house;
	TAILQ_INIT(&lookup->requests);
	lookup->farewell = timer_create_in(house->loop, on_farewell, lookup);
	clients_init(&lookup->clients, on_message, on_gone, lookup);
	if (set_up(lookup, error, sizeof error))
		return lookup;
	log_error("%s", error);
	lookup_destroy(lookup);
	return NULL;
}

/* Every file that is ever read is read here. */
static bool set_up(struct lookup *lookup, char *error, size_t room)
{
	const struct config *config = lookup->house->config;
	struct loop *loop = lookup->house->loop;

	lookup->resolver = resolver_create(loop, config, error, room);
	if (lookup->resolver == NULL)
		return false;
	lookup->believing = resolver_create_like(lookup->resolver, config, false, error, room);
	if (lookup->believing == NULL)
		return false;
	if (config->delivery.mta_sts) {
		lookup->sts = sts_create(
		    loop, config, lookup->resolver, false, keep_policy, lookup, error, room);
		if (lookup->sts == NULL)
			return false;
	}
	if (config->tlsrpt.scope != TLSRPT_OFF) {
		lookup->https =
		    https_create(loop, config, lookup->resolver, POSTS_AT_ONCE, error, room);
		if (lookup->https == NULL)
			return false;
	}
	lookup->contract = contract_create(
	    loop, config, lookup->resolver, dnssec_mark_is_set(config->spool), on_contract, lookup);
	return true;
}

static void lookup_meet(void *self, enum role role, struct channel *channel)
{
	struct lookup *lookup = self;
	size_t n = lookup->clients.n;

	clients_add(&lookup->clients, channel);
	if (role != ROLE_QUEUE || lookup->clients.n == n)
		return;
	lookup->queue = channel;
	tell_resolver(lookup);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct lookup *lookup = arg;
	bool is_queue = channel == lookup->queue;

	if (m->type == IPC_FACTS_ASK)
		ask_facts(lookup, channel, &m->facts_ask);
	else if (m->type == IPC_POLICIES && is_queue)
		load_policies(lookup, &m->policies_say);
	else if (m->type == IPC_TEXTS_ASK && is_queue)
		ask_texts(lookup, channel, &m->texts_ask);
	else if (m->type == IPC_POST_ASK && is_queue)
		start_post(lookup, channel, &m->post_ask);
}

/* ---- facts ---- */

static void ask_facts(struct lookup *lookup, struct channel *channel, const struct ipc_facts_ask *m)
{
	struct request *request;
	char target[DOMAIN_MAX];

	if (m->port == 0 || m->port > UINT16_MAX || !read_target(m, target) ||
	    asks_too_much(lookup, channel))
		return;
	request = take(lookup, channel, m->number);
	request->gathering = facts_gather(
	    &(struct facts_order){
		.loop = lookup->house->loop,
		.resolver = useful_resolver(lookup),
		.sts = m->is_host ? NULL : lookup->sts,
		.domain = target,
		.is_host = m->is_host != 0,
		.is_impaired = contract_verdict(lookup->contract)->state == CONTRACT_IMPAIRED,
		.port = (uint16_t)m->port,
	    },
	    on_facts, request);
}

/* A delivery that was taken over might fill our memory, and use up what the others need. */
static bool asks_too_much(const struct lookup *lookup, const struct channel *channel)
{
	size_t most =
	    lookup->house->config->delivery.connections * (size_t)QUESTIONS_PER_CONNECTION;
	const struct request *request;
	size_t n = 0;

	TAILQ_FOREACH (request, &lookup->requests, link)
		n += request->channel == channel;
	return n >= (most > QUESTIONS_LEAST ? most : QUESTIONS_LEAST);
}

static bool read_target(const struct ipc_facts_ask *m, char target[DOMAIN_MAX])
{
	uint8_t bytes[16];

	if (m->is_host && inet_pton(AF_INET6, m->domain, bytes) == 1) {
		text_copy(target, DOMAIN_MAX, m->domain);
		return true;
	}
	return domain_canonical(m->domain, strlen(m->domain), target);
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
	request->gathering = NULL;
	drop(request);
}

/* ---- MTA-STS policies ---- */

static void load_policies(struct lookup *lookup, const struct ipc_policies_say *m)
{
	if (lookup->sts == NULL)
		return;
	for (size_t i = 0; i < m->policies.n; i++) {
		const ipc_policy *policy = &m->policies.items[i];

		sts_load(lookup->sts, &(struct sts_kept){ policy->domain, policy->id,
					  policy->policy, policy->fetched_s, policy->expires_s });
	}
	if (m->is_last)
		sts_loaded(lookup->sts);
}

/* Without a queue it waits in the cache: the next one is told what it does not have. */
static void keep_policy(void *arg, const struct sts_kept *kept)
{
	struct lookup *lookup = arg;
	struct ipc_message m = { .type = IPC_POLICY_KEEP, .fd = -1 };

	if (lookup->queue == NULL)
		return;
	m.policy_keep = (struct ipc_policy_keep){ kept->domain, kept->id, kept->policy,
		kept->fetched_s, kept->expires_s };
	channel_send(lookup->queue, &m);
}

/* ---- does DNSSEC work here? ---- */

static void on_contract(const struct contract_verdict *verdict, void *arg)
{
	struct lookup *lookup = arg;
	struct resolver *resolver;

	if (verdict->state != lookup->logged && verdict->state == CONTRACT_KEPT)
		log_info("DNSSEC validation works: %s", verdict->text);
	else if (verdict->state != lookup->logged && verdict->state == CONTRACT_IMPAIRED)
		log_error("DNSSEC validation does not work here, so DANE is impaired (dane-only "
			  "partners wait, other mail %s): %s",
		    lookup->house->config->dns_defer_impaired ? "too" : "goes without it",
		    verdict->text);
	else if (verdict->state != lookup->logged && verdict->state == CONTRACT_BROKEN)
		log_error(
		    "DNSSEC validation has worked here and fails now, so mail to whom DNS answers "
		    "can't be believed waits, and DANE is not given up (dns { when-impaired = "
		    "opportunistic } would): %s",
		    verdict->text);
	lookup->logged = verdict->state;
	resolver = useful_resolver(lookup);
	if (lookup->sts != NULL)
		sts_set_resolver(lookup->sts, resolver);
	if (lookup->https != NULL)
		https_set_resolver(lookup->https, resolver);
	tell_resolver(lookup);
}

/*
 * Where nothing can be validated a validating resolver finds signed domains bogus, and all mail for
 * them would wait: dns { when-impaired } says whether it shall.
 */
static struct resolver *useful_resolver(const struct lookup *lookup)
{
	bool is_impaired = contract_verdict(lookup->contract)->state == CONTRACT_IMPAIRED;

	return is_impaired && !lookup->house->config->dns_defer_impaired ? lookup->believing
									 : lookup->resolver;
}

static void tell_resolver(struct lookup *lookup)
{
	const struct contract_verdict *verdict = contract_verdict(lookup->contract);
	struct ipc_message m = { .type = IPC_RESOLVER, .fd = -1 };

	if (lookup->queue == NULL)
		return;
	m.resolver_say = (struct ipc_resolver_say){ (uint8_t)verdict->state, verdict->text,
		verdict->since_s, verdict->checked_s };
	channel_send(lookup->queue, &m);
}

/* ---- for TLS reports: TXT records, and a way out ---- */

static void ask_texts(struct lookup *lookup, struct channel *channel, const struct ipc_texts_ask *m)
{
	struct request *request;
	char name[DOMAIN_MAX];

	if (!domain_canonical(m->name, strlen(m->name), name))
		return;
	request = take(lookup, channel, m->number);
	request->texts =
	    resolver_start(useful_resolver(lookup), name, RECORD_TXT, on_texts, request);
}

static void on_texts(const struct answer *answer, void *arg)
{
	struct request *request = arg;
	struct ipc_message m = { .type = IPC_TEXTS_SAY, .fd = -1, .number = request->number };
	ipc_string *items = mem_create((answer->n_texts + 1) * sizeof *items);

	for (size_t i = 0; i < answer->n_texts; i++)
		items[i].text = answer->texts[i];
	m.texts_say.status = (uint8_t)answer->finding.status;
	m.texts_say.why = answer->finding.why;
	m.texts_say.strings = (ipc_string_list){ items, answer->n_texts };
	channel_send(request->channel, &m);
	free(items);
	request->texts = NULL;
	drop(request);
}

static void start_post(struct lookup *lookup, struct channel *channel, const struct ipc_post_ask *m)
{
	struct request *request;
	struct outcome outcome;
	struct url url;
	const char *why;

	if (!url_read(m->url, strlen(m->url), &url, &why)) {
		outcome_say(&outcome, 550, "5.1.3", "post-url",
		    "nothing can be posted to %s: %s; its owner has to publish another", m->url,
		    why);
		say_posted(channel, m->number, &outcome);
		return;
	}
	if (lookup->https == NULL) {
		outcome_say(&outcome, 450, "4.3.2", "post-off",
		    "nothing is posted while TLS reports are off: tls-reports { send }");
		say_posted(channel, m->number, &outcome);
		return;
	}
	request = take(lookup, channel, m->number);
	request->url = mem_copy_text(m->url);
	request->content = mem_copy(m->content.bytes, m->content.n);
	lookup->n_posts++;
	request->post = https_start(lookup->https,
	    &(struct https_order){ .host = url.host,
		.port = url.port,
		.path = url.path,
		.type = m->type,
		.content = request->content,
		.n_content = m->content.n },
	    on_post, request);
}

static void on_post(const struct https_answer *answer, void *arg)
{
	struct request *request = arg;
	struct lookup *lookup = request->lookup;
	struct outcome outcome;

	request->post = NULL;
	judge_post(answer, request->url, &outcome);
	say_posted(request->channel, request->number, &outcome);
	drop(request);
	if (lookup->is_draining && lookup->n_posts == 0)
		timer_set(lookup->farewell, LAST_WORDS_MS);
}

/*
 * RFC 8460 3 lets us ignore a certificate that does not verify; we do not: where mail goes, and what
 * failed on its way, is nobody's but the domain's. Reports by mail reach who has trouble with it.
 */
static void judge_post(const struct https_answer *answer, const char *url, struct outcome *outcome)
{
	unsigned status = answer->status;

	if (answer->problem != HTTPS_OK)
		outcome_say(outcome, 451, "4.4.1", "post-failed",
		    "posting to %s failed: %s; it is tried again later", url, answer->why);
	else if (status >= 200 && status <= 299)
		outcome_ok(outcome);
	else if (status >= 400 && status <= 499 && status != 408 && status != 429)
		outcome_say(outcome, 554, "5.3.0", "post-refused",
		    "%s refuses what is posted to it, with status %u: its owner has to mend that",
		    url, status);
	else
		outcome_say(outcome, 451, "4.3.0", "post-failed",
		    "%s does not take what is posted to it now, with status %u; it is tried again "
		    "later",
		    url, status);
}

static void say_posted(struct channel *channel, uint64_t number, const struct outcome *outcome)
{
	struct ipc_message m = { .type = IPC_POST_SAY, .fd = -1, .number = number };

	m.post_say.outcome = *outcome;
	channel_send(channel, &m);
}

/* ---- questions and their end ---- */

static struct request *take(struct lookup *lookup, struct channel *channel, uint64_t number)
{
	struct request *request = mem_create(sizeof *request);

	request->lookup = lookup;
	request->channel = channel;
	request->number = number;
	TAILQ_INSERT_TAIL(&lookup->requests, request, link);
	return request;
}

static void drop(struct request *request)
{
	facts_cancel(&request->gathering);
	query_cancel(&request->texts);
	https_cancel(&request->post);
	if (request->content != NULL)
		request->lookup->n_posts--;
	TAILQ_REMOVE(&request->lookup->requests, request, link);
	free(request->url);
	free(request->content);
	free(request);
}

static void on_gone(void *arg, struct channel *channel)
{
	struct lookup *lookup = arg;
	struct request *request, *next;

	for (request = TAILQ_FIRST(&lookup->requests); request != NULL; request = next) {
		next = TAILQ_NEXT(request, link);
		if (request->channel == channel)
			drop(request);
	}
	if (lookup->queue == channel)
		lookup->queue = NULL;
	if (lookup->is_draining && lookup->n_posts == 0)
		timer_set(lookup->farewell, LAST_WORDS_MS);
}

/*
 * Who asked for facts asks the next lookup again. A post is let end, where there is time: asked again,
 * it might arrive twice.
 */
static void lookup_drain(void *self, enum drain_how how)
{
	struct lookup *lookup = self;

	lookup->is_draining = true;
	if (how == DRAIN_NOW || lookup->n_posts == 0)
		timer_set(lookup->farewell, LAST_WORDS_MS);
}

/* What was found out and told in the last turn has arrived: policies that are kept, what became of a post. */
static void on_farewell(void *arg)
{
	struct lookup *lookup = arg;

	lookup->house->leave(lookup->house->leave_arg);
}

static void lookup_destroy(void *self)
{
	struct lookup *lookup = self;

	while (!TAILQ_EMPTY(&lookup->requests))
		drop(TAILQ_FIRST(&lookup->requests));
	clients_finish(&lookup->clients);
	contract_destroy(&lookup->contract);
	sts_destroy(&lookup->sts);
	https_destroy(&lookup->https);
	resolver_destroy(&lookup->believing);
	resolver_destroy(&lookup->resolver);
	timer_destroy(&lookup->farewell);
	free(lookup);
}

const struct role_calls role_lookup = {
	.create = lookup_create,
	.meet = lookup_meet,
	.drain = lookup_drain,
	.destroy = lookup_destroy,
};
