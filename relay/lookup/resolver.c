/*
 * A question is asked of libunbound once, however many queries wait for it. libunbound may answer
 * from inside the call that asks (cache, local zones), so every answer waits for the deliver timer
 * before it goes to anybody. A question nobody waits for any more is let run: its answer fills the
 * cache.
 */
#include "relay/lookup/resolver.h"

#include <ldns/ldns.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <unbound.h>
#include <unbound-event.h>

#include "relay/base/map.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"

enum {
	KEY_MAX = DOMAIN_MAX + 8,
	/* As many questions as there can be, and what libunbound asks for them beside. */
	SOCKETS_MAX = RESOLVER_IN_FLIGHT_MAX + RESOLVER_SLOW_MAX + 500,
};

struct question;

struct query {
	struct question *question;
	resolver_done *done;
	void *arg;
	TAILQ_ENTRY(query) next;
};

TAILQ_HEAD(query_list, query);

enum question_state { QUESTION_WAITING, QUESTION_ASKED, QUESTION_ANSWERED };

struct question {
	struct resolver *resolver;
	char name[DOMAIN_MAX];
	enum record_type type;
	enum question_state state;
	bool is_slow;
	int id; /* libunbound's, while asked */
	struct timer *deadline;
	struct answer answer;
	struct query_list queries;
	TAILQ_ENTRY(question) next;
};

TAILQ_HEAD(question_list, question);

struct resolver {
	struct loop *loop;
	struct ub_ctx *unbound;
	struct timer *deliver;
	int64_t timeout_ms;
	char **anchors; /* DNSKEY and DS records as text */
	size_t n_anchors;
	size_t n_asked, n_slow;                                /* slow ones are asked too */
	struct map unanswered;                                 /* by name and type */
	struct question_list questions[QUESTION_ANSWERED + 1]; /* by state, oldest first */
};

static struct resolver *create(struct loop *loop);
static bool read_anchors(struct resolver *resolver, const char *path);
static void use_anchor(struct resolver *resolver, const ldns_rr *record);
static int begin(struct resolver *resolver, const struct config *config, char *error, size_t room);
static int set_options(struct ub_ctx *unbound);
static size_t sockets_allowed(void);
static int set_servers(
    struct resolver *resolver, const struct config *config, char *error, size_t room);
static struct question *find_question(
    struct resolver *resolver, const char *name, enum record_type type);
static const char *key_of(const char *name, enum record_type type, char key[KEY_MAX]);
static struct question *create_question(
    struct resolver *resolver, const char *name, enum record_type type);
static void ask_waiting(struct resolver *resolver);
static size_t slow_ones(const struct resolver *resolver);
static void ask(struct question *question);
static void on_answer(void *arg, int rcode, void *packet, int n_packet, int sec, char *why_bogus,
    int was_ratelimited);
static void on_deadline(void *arg);
static void answered(struct question *question);
static void on_deliver(void *arg);
static void move(struct question *question, enum question_state state);
static void destroy_question(struct question *question);

struct resolver *resolver_create(
    struct loop *loop, const struct config *config, char *error, size_t room)
{
	struct resolver *resolver = create(loop);
	const char *anchor = config->dns_trust_anchor;

	if (anchor != NULL && !read_anchors(resolver, anchor)) {
		snprintf(error, room,
		    "the DNSSEC trust anchor %s can't be read: it must hold DS or DNSKEY records, as "
		    "that of the package dns-root-data does",
		    anchor);
		resolver_destroy(&resolver);
	} else if (begin(resolver, config, error, room) != 0) {
		resolver_destroy(&resolver);
	}
	return resolver;
}

bool resolver_validates(const struct resolver *resolver)
{
	return resolver->n_anchors > 0;
}

struct resolver *resolver_create_like(const struct resolver *like, const struct config *config,
    bool validates, char *error, size_t room)
{
	struct resolver *resolver = create(like->loop);

	if (validates && like->n_anchors > 0) {
		resolver->anchors = mem_resize(NULL, like->n_anchors, sizeof *resolver->anchors);
		for (size_t i = 0; i < like->n_anchors; i++)
			resolver->anchors[i] = mem_copy_text(like->anchors[i]);
		resolver->n_anchors = like->n_anchors;
	}
	if (begin(resolver, config, error, room) != 0)
		resolver_destroy(&resolver);
	return resolver;
}

static struct resolver *create(struct loop *loop)
{
	struct resolver *resolver = mem_create(sizeof *resolver);

	resolver->loop = loop;
	resolver->timeout_ms = RESOLVER_TIMEOUT_MS;
	resolver->deliver = timer_create_in(loop, on_deliver, resolver);
	map_init(&resolver->unanswered);
	for (size_t i = 0; i <= QUESTION_ANSWERED; i++)
		TAILQ_INIT(&resolver->questions[i]);
	return resolver;
}

/* A zone file's DNSKEY and DS records; libunbound's own reader would want the file again each time. */
static bool read_anchors(struct resolver *resolver, const char *path)
{
	FILE *file = fopen(path, "re");
	ldns_rdf *origin = NULL, *last = NULL;
	ldns_status status = LDNS_STATUS_OK;

	if (file == NULL)
		return false;
	while (status == LDNS_STATUS_OK && feof(file) == 0) {
		ldns_rr *record = NULL;
		uint32_t ttl_s = 0;

		status = ldns_rr_new_frm_fp(&record, file, &ttl_s, &origin, &last);
		if (status == LDNS_STATUS_OK)
			use_anchor(resolver, record);
		else if (status == LDNS_STATUS_SYNTAX_EMPTY || status == LDNS_STATUS_SYNTAX_TTL ||
			 status == LDNS_STATUS_SYNTAX_ORIGIN)
			status = LDNS_STATUS_OK;
		ldns_rr_free(record);
	}
	ldns_rdf_deep_free(origin);
	ldns_rdf_deep_free(last);
	if (ferror(file) != 0)
		status = LDNS_STATUS_ERR;
	fclose(file);
	return status == LDNS_STATUS_OK;
}

static void use_anchor(struct resolver *resolver, const ldns_rr *record)
{
	ldns_rr_type type = ldns_rr_get_type(record);

	if (type != LDNS_RR_TYPE_DNSKEY && type != LDNS_RR_TYPE_DS)
		return;
	resolver->anchors =
	    mem_resize(resolver->anchors, resolver->n_anchors + 1, sizeof *resolver->anchors);
	resolver->anchors[resolver->n_anchors++] =
	    ldns_rr2str_fmt(ldns_output_format_nocomments, record);
}

static int begin(struct resolver *resolver, const struct config *config, char *error, size_t room)
{
	resolver->unbound = ub_ctx_create_event(loop_event_base(resolver->loop));
	if (resolver->unbound == NULL) {
		snprintf(error, room, "libunbound can't start in this event loop");
		return -1;
	}
	if (set_options(resolver->unbound) != 0) {
		snprintf(error, room, "libunbound does not know an option we need");
		return -1;
	}
	return set_servers(resolver, config, error, room);
}

/*
 * libunbound's defaults are meant for one name at a time; a relay asks for hundreds. Queries carry
 * random case (0x20) against forged answers; a server that does not keep the case is asked again and
 * believed when its answers agree.
 */
static int set_options(struct ub_ctx *unbound)
{
	char sockets[24];
	const struct {
		const char *option, *value;
	} options[] = {
		{ "do-not-query-localhost:", "no" }, /* a forwarder on this machine is usual */
		{ "unblock-lan-zones:", "yes" },
		{ "outgoing-range:", sockets },
		{ "num-queries-per-thread:", sockets },
		{ "outgoing-num-tcp:", "32" },
		{ "msg-cache-size:", "16m" },
		{ "rrset-cache-size:", "32m" },
		{ "key-cache-size:", "4m" },
		{ "cache-max-ttl:", "86400" },
		{ "cache-max-negative-ttl:", "3600" },
		{ "infra-host-ttl:", "60" },      /* a server that was down is soon asked again */
		{ "infra-keep-probing:", "yes" }, /* and one that is down, now and then */
		{ "use-caps-for-id:", "yes" },
		{ "val-log-level:", "0" },
	};

	snprintf(sockets, sizeof sockets, "%zu", sockets_allowed());
	ub_ctx_debugout(unbound, NULL);
	ub_ctx_debuglevel(unbound, 0);
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		if (ub_ctx_set_option(unbound, options[i].option, options[i].value) != 0)
			return -1;
	}
	return 0;
}

/* libunbound waits for a socket that it may have; one that the system refuses is an error to it. */
static size_t sockets_allowed(void)
{
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur / 2 > SOCKETS_MAX)
		return SOCKETS_MAX;
	return files.rlim_cur / 2;
}

static int set_servers(
    struct resolver *resolver, const struct config *config, char *error, size_t room)
{
	struct ub_ctx *unbound = resolver->unbound;
	const char *anchor = resolver->n_anchors > 0 ? config->dns_trust_anchor : NULL;
	int result;

	for (size_t i = 0; i < config->n_dns_forwarders; i++) {
		result = ub_ctx_set_fwd(unbound, config->dns_forwarders[i]);
		if (result != 0) {
			snprintf(error, room, "DNS forwarder %s: %s", config->dns_forwarders[i],
			    ub_strerror(result));
			return -1;
		}
	}
	for (size_t i = 0; i < config->n_dns_stubs; i++) {
		const struct config_stub *stub = &config->dns_stubs[i];

		result = ub_ctx_set_stub(unbound, stub->zone, stub->server, 0);
		if (result != 0) {
			snprintf(error, room, "DNS stub zone %s at %s: %s", stub->zone,
			    stub->server, ub_strerror(result));
			return -1;
		}
	}
	for (size_t i = 0; i < resolver->n_anchors; i++) {
		if (ub_ctx_add_ta(unbound, resolver->anchors[i]) != 0) {
			snprintf(error, room, "the DNSSEC trust anchor %s can't be read", anchor);
			return -1;
		}
	}
	/*
	 * What libunbound would answer itself. This comes last: it makes the settings final, and the
	 * trust anchor is read here.
	 */
	result = ub_ctx_zone_remove(unbound, "test.");
	for (size_t i = 0; result == 0 && i < config->n_dns_stubs; i++)
		result = ub_ctx_zone_remove(unbound, config->dns_stubs[i].zone);
	if (result != 0) {
		snprintf(error, room, "the resolver can't start%s%s: %s",
		    anchor != NULL ? " with the DNSSEC trust anchor " : "",
		    anchor != NULL ? anchor : "", ub_strerror(result));
		return -1;
	}
	return 0;
}

void resolver_set_timeout(struct resolver *resolver, int64_t timeout_ms)
{
	resolver->timeout_ms = timeout_ms;
}

struct query *resolver_start(struct resolver *resolver, const char *name, enum record_type type,
    resolver_done *done, void *arg)
{
	struct question *question = find_question(resolver, name, type);
	struct query *query = mem_create(sizeof *query);

	if (question == NULL)
		question = create_question(resolver, name, type);
	*query = (struct query){ .question = question, .done = done, .arg = arg };
	TAILQ_INSERT_TAIL(&question->queries, query, next);
	ask_waiting(resolver);
	return query;
}

static struct question *find_question(
    struct resolver *resolver, const char *name, enum record_type type)
{
	char key[KEY_MAX];

	return map_get(&resolver->unanswered, key_of(name, type, key));
}

static const char *key_of(const char *name, enum record_type type, char key[KEY_MAX])
{
	snprintf(key, KEY_MAX, "%d %s", (int)type, name);
	return key;
}

static struct question *create_question(
    struct resolver *resolver, const char *name, enum record_type type)
{
	struct question *question = mem_create(sizeof *question);
	char key[KEY_MAX];

	question->resolver = resolver;
	text_copy(question->name, sizeof question->name, name);
	question->type = type;
	question->state = QUESTION_WAITING;
	question->deadline = timer_create_in(resolver->loop, on_deadline, question);
	TAILQ_INIT(&question->queries);
	TAILQ_INSERT_TAIL(&resolver->questions[QUESTION_WAITING], question, next);
	map_put(&resolver->unanswered, key_of(name, type, key), question);
	return question;
}

static void ask_waiting(struct resolver *resolver)
{
	struct question *question;

	while (resolver->n_asked - slow_ones(resolver) < RESOLVER_IN_FLIGHT_MAX &&
	       (question = TAILQ_FIRST(&resolver->questions[QUESTION_WAITING])) != NULL) {
		if (TAILQ_EMPTY(&question->queries))
			destroy_question(question);
		else
			ask(question);
	}
}

static size_t slow_ones(const struct resolver *resolver)
{
	return resolver->n_slow < RESOLVER_SLOW_MAX ? resolver->n_slow : RESOLVER_SLOW_MAX;
}

static void ask(struct question *question)
{
	struct resolver *resolver = question->resolver;
	char name[DOMAIN_MAX + 1];
	int id = 0, result;

	move(question, QUESTION_ASKED);
	resolver->n_asked++;
	/* From here: one that waits for its turn is not yet one that got no answer. */
	timer_set(question->deadline,
	    RESOLVER_SLOW_MS < resolver->timeout_ms ? RESOLVER_SLOW_MS : resolver->timeout_ms);
	snprintf(name, sizeof name, "%s.", question->name);
	result = ub_resolve_event(resolver->unbound, name, (int)question->type, LDNS_RR_CLASS_IN,
	    question, on_answer, &id);
	/* It may have been answered already; it is not gone before the deliver timer has run. */
	if (question->state != QUESTION_ASKED)
		return;
	question->id = id;
	if (result != 0) {
		answer_fail(&question->answer, ANSWER_ERROR, ub_strerror(result));
		answered(question);
	}
}

static void on_answer(
    void *arg, int rcode, void *packet, int n_packet, int sec, char *why_bogus, int was_ratelimited)
{
	struct question *question = arg;
	char why[ANSWER_WHY_MAX];

	if (question->state != QUESTION_ASKED)
		return;
	/* A bogus answer comes with its packet all the same: sec is looked at first. */
	if (sec == 1) {
		answer_fail(&question->answer, ANSWER_BOGUS,
		    why_bogus != NULL ? why_bogus : "DNSSEC validation failed");
	} else if ((rcode != LDNS_RCODE_NOERROR && rcode != LDNS_RCODE_NXDOMAIN) ||
		   packet == NULL || n_packet <= 0) {
		ldns_lookup_table *known = ldns_lookup_by_id(ldns_rcodes, rcode);

		snprintf(why, sizeof why, "no server gave an answer (%s)%s",
		    known != NULL ? known->name : "no packet",
		    was_ratelimited ? ", too many were asked for" : "");
		answer_fail(&question->answer, ANSWER_ERROR, why);
	} else {
		answer_read(packet, (size_t)n_packet, question->name, question->type,
		    sec == 2 ? SECURITY_SECURE : SECURITY_INSECURE, &question->answer);
	}
	answered(question);
}

static void on_deadline(void *arg)
{
	struct question *question = arg;
	struct resolver *resolver = question->resolver;

	if (!question->is_slow && RESOLVER_SLOW_MS < resolver->timeout_ms) {
		question->is_slow = true;
		resolver->n_slow++;
		timer_set(question->deadline, resolver->timeout_ms - RESOLVER_SLOW_MS);
		ask_waiting(resolver);
		return;
	}
	if (question->state == QUESTION_ASKED)
		ub_cancel(resolver->unbound, question->id);
	answer_fail(&question->answer, ANSWER_ERROR, "no answer in time");
	answered(question);
}

static void answered(struct question *question)
{
	struct resolver *resolver = question->resolver;
	char key[KEY_MAX];

	resolver->n_asked--;
	resolver->n_slow -= question->is_slow ? 1 : 0;
	timer_cancel(question->deadline);
	move(question, QUESTION_ANSWERED);
	/* Who asks from now on asks anew. */
	map_take(&resolver->unanswered, key_of(question->name, question->type, key));
	timer_set(resolver->deliver, 0);
}

static void on_deliver(void *arg)
{
	struct resolver *resolver = arg;
	struct question *question;
	struct query *query;

	/* A callback may ask again and cancel others, also of this question. */
	while ((question = TAILQ_FIRST(&resolver->questions[QUESTION_ANSWERED])) != NULL) {
		while ((query = TAILQ_FIRST(&question->queries)) != NULL) {
			resolver_done *done = query->done;
			void *done_arg = query->arg;

			query_cancel(&query);
			done(&question->answer, done_arg);
		}
		destroy_question(question);
	}
	ask_waiting(resolver);
}

void query_cancel(struct query **query)
{
	if (*query == NULL)
		return;
	TAILQ_REMOVE(&(*query)->question->queries, *query, next);
	free(*query);
	*query = NULL;
}

static void move(struct question *question, enum question_state state)
{
	struct resolver *resolver = question->resolver;

	TAILQ_REMOVE(&resolver->questions[question->state], question, next);
	TAILQ_INSERT_TAIL(&resolver->questions[state], question, next);
	question->state = state;
}

static void destroy_question(struct question *question)
{
	char key[KEY_MAX];

	if (question->state != QUESTION_ANSWERED)
		map_take(
		    &question->resolver->unanswered, key_of(question->name, question->type, key));
	TAILQ_REMOVE(&question->resolver->questions[question->state], question, next);
	while (!TAILQ_EMPTY(&question->queries)) {
		struct query *query = TAILQ_FIRST(&question->queries);

		query_cancel(&query);
	}
	timer_destroy(&question->deadline);
	answer_finish(&question->answer);
	free(question);
}

void resolver_destroy(struct resolver **resolver)
{
	struct resolver *old = *resolver;

	if (old == NULL)
		return;
	/* First libunbound, so that it can't answer questions that are gone. */
	if (old->unbound != NULL)
		ub_ctx_delete(old->unbound);
	for (size_t i = 0; i <= QUESTION_ANSWERED; i++) {
		while (!TAILQ_EMPTY(&old->questions[i]))
			destroy_question(TAILQ_FIRST(&old->questions[i]));
	}
	text_free_list(old->anchors, old->n_anchors);
	map_finish(&old->unanswered);
	timer_destroy(&old->deliver);
	free(old);
	*resolver = NULL;
}
