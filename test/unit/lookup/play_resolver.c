#include "play_resolver.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "relay/base/buffer.h"
#include "relay/base/mem.h"

struct query {
	TAILQ_ENTRY(query) link;
	struct resolver *resolver;
	char name[DOMAIN_MAX];
	enum record_type type;
	bool is_silent;
	resolver_done *done;
	void *arg;
};

struct resolver {
	struct loop *loop;
	struct resolver *like; /* whose script it follows; NULL: its own */
	const char *script;
	struct timer *turn;
	struct buffer asked; /* lines "NAME TYPE" */
	TAILQ_HEAD(, query) queries;
};

static const char *type_name(enum record_type type)
{
	switch (type) {
	case RECORD_A: return "A";
	case RECORD_AAAA: return "AAAA";
	case RECORD_MX: return "MX";
	case RECORD_TXT: return "TXT";
	case RECORD_CNAME: return "CNAME";
	case RECORD_TLSA: return "TLSA";
	}
	return NULL;
}

static void read_one(const char *text, enum record_type type, struct answer *answer)
{
	if (strcmp(text, "ERROR") == 0) {
		answer_fail(answer, ANSWER_ERROR, "no server gave an answer (SERVFAIL)");
		return;
	}
	if (strcmp(text, "BOGUS") == 0) {
		answer_fail(answer, ANSWER_BOGUS, "a signature is false");
		return;
	}
	answer->finding.status = ANSWER_OK;
	if (type == RECORD_MX) {
		answer->mx = mem_resize(answer->mx, answer->n_mx + 1, sizeof *answer->mx);
		answer->mx[answer->n_mx] = (struct mx_record){ .preference = (uint16_t)atoi(text) };
		snprintf(answer->mx[answer->n_mx++].host, DOMAIN_MAX, "%s", strchr(text, ' ') + 1);
		return;
	}
	answer->addresses =
	    mem_resize(answer->addresses, answer->n_addresses + 1, sizeof *answer->addresses);
	answer->addresses[answer->n_addresses] = (struct answer_address){ .family = 4 };
	if (inet_pton(AF_INET, text, answer->addresses[answer->n_addresses].bytes) == 1) {
		answer->n_addresses++;
	} else if (inet_pton(AF_INET6, text, answer->addresses[answer->n_addresses].bytes) == 1) {
		answer->addresses[answer->n_addresses++].family = 6;
	} else {
		answer->texts =
		    mem_resize(answer->texts, answer->n_texts + 1, sizeof *answer->texts);
		answer->texts[answer->n_texts++] = mem_copy_text(text);
	}
}

/* False: silence. */
static bool find_answer(const struct query *query, struct answer *answer)
{
	struct resolver *resolver = query->resolver;
	const char *script = resolver->like != NULL ? resolver->like->script : resolver->script;
	char *copy = mem_copy_text(script), *rest = NULL, start[DOMAIN_MAX + 10];
	bool answers = true;

	*answer = (struct answer){ .finding.status = ANSWER_NXDOMAIN, .ttl_s = 60 };
	snprintf(answer->name, sizeof answer->name, "%s", query->name);
	snprintf(start, sizeof start, "%s %s ", query->name, type_name(query->type));
	for (char *line = strtok_r(copy, "\n", &rest); line != NULL;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *text = line + strlen(start);

		if (strncmp(line, start, strlen(start)) != 0)
			continue;
		if (strncmp(text, "secure ", 7) == 0) {
			answer->finding.security = SECURITY_SECURE;
			text += 7;
		}
		if (strcmp(text, "SILENCE") == 0)
			answers = false;
		else
			read_one(text, query->type, answer);
	}
	free(copy);
	return answers;
}

static void on_turn(void *arg)
{
	struct resolver *resolver = arg;
	struct query *query;

	while ((query = TAILQ_FIRST(&resolver->queries)) != NULL && !query->is_silent) {
		resolver_done *done = query->done;
		void *done_arg = query->arg;
		struct answer answer;

		if (!find_answer(query, &answer)) {
			query->is_silent = true;
			TAILQ_REMOVE(&resolver->queries, query, link);
			TAILQ_INSERT_TAIL(&resolver->queries, query, link);
		} else {
			query_cancel(&query);
			done(&answer, done_arg);
		}
		answer_finish(&answer);
	}
}

struct resolver *play_resolver_create(struct loop *loop, const char *script)
{
	struct resolver *resolver = mem_create(sizeof *resolver);

	resolver->loop = loop;
	resolver->script = script;
	resolver->turn = timer_create_in(loop, on_turn, resolver);
	TAILQ_INIT(&resolver->queries);
	buffer_init(&resolver->asked, 1 << 20);
	return resolver;
}

struct resolver *resolver_create_like(const struct resolver *like, const struct config *config,
    bool validates, char *error, size_t room)
{
	struct resolver *resolver;

	(void)config, (void)validates;
	if (strcmp(like->script, "NO RESOLVER") == 0) {
		snprintf(error, room, "no memory");
		return NULL;
	}
	resolver = play_resolver_create(like->loop, NULL);
	resolver->like = (struct resolver *)like;
	return resolver;
}

void play_resolver_set(struct resolver *resolver, const char *script)
{
	resolver->script = script;
}

size_t play_resolver_count(const struct resolver *resolver, const char *name, const char *type)
{
	char *line = mem_print("%s %s\n", name, type);
	const char *at = buffer_text(&resolver->asked);
	size_t n = 0;

	for (; (at = strstr(at, line)) != NULL; at++)
		n += at == resolver->asked.bytes || at[-1] == '\n';
	free(line);
	return n;
}

struct query *resolver_start(struct resolver *resolver, const char *name, enum record_type type,
    resolver_done *done, void *arg)
{
	struct query *query = mem_create(sizeof *query);

	*query = (struct query){ .resolver = resolver, .type = type, .done = done, .arg = arg };
	assert(strlen(name) < sizeof query->name);
	strcpy(query->name, name);
	/* Before the silent ones. */
	TAILQ_INSERT_HEAD(&resolver->queries, query, link);
	buffer_print(resolver->like != NULL ? &resolver->like->asked : &resolver->asked, "%s %s\n",
	    name, type_name(type));
	timer_set(resolver->turn, 0);
	return query;
}

void query_cancel(struct query **query)
{
	if (*query == NULL)
		return;
	TAILQ_REMOVE(&(*query)->resolver->queries, *query, link);
	free(*query);
	*query = NULL;
}

void resolver_destroy(struct resolver **resolver)
{
	if (*resolver == NULL)
		return;
	assert(TAILQ_EMPTY(&(*resolver)->queries));
	timer_destroy(&(*resolver)->turn);
	buffer_finish(&(*resolver)->asked);
	free(*resolver);
	*resolver = NULL;
}
