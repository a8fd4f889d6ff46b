/*
 * A question goes: record, then what is kept, or else the policy; all questions of one domain share
 * both lookups. Refreshes go the same way on their own, and nobody waits for them.
 */
#include "relay/lookup/sts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/buffer.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"
#include "relay/lookup/https.h"
#include "relay/lookup/sts_cache.h"
#include "relay/lookup/sts_say.h"

enum { SWEEP_LEAST_MS = 200 }; /* between two looks at all that is kept */

struct sts_question {
	TAILQ_ENTRY(sts_question) link;
	struct sts *sts;
	struct sts_question_list *list; /* the one it stands in */
	char domain[DOMAIN_MAX];
	sts_done *done;
	void *arg;
};

struct sts {
	struct loop *loop;
	struct resolver *resolver;
	struct https *https;
	uint16_t port;
	bool is_loaded;
	sts_keep *keep;
	void *arg;
	struct sts_cache cache;
	struct sts_question_list waiting; /* for what was kept */
	struct timer *start, *sweep;      /* waiting ones begin; the cache is looked through */
	int64_t grace_ms;
	size_t n_refreshing;
};

static void on_start(void *arg);
static void ask_record(struct sts_question *question);
static void on_record(const struct answer *answer, void *arg);
static enum sts_record_kind judge_record(
    struct sts_domain *domain, const struct answer *answer, char id[STS_ID_MAX]);
static void record_known(struct sts_domain *domain, enum sts_record_kind kind, const char *id);
static bool name_of(const char *prefix, const struct sts_domain *domain, char name[DOMAIN_MAX]);
static void fetch(struct sts_domain *domain, const char *id);
static void on_policy(const struct https_answer *answer, void *arg);
static void policy_failed(struct sts_domain *domain, bool was_tried);
static void policy_came(
    struct sts_domain *domain, const struct https_answer *answer, struct sts_policy *policy);
static void keep(struct sts_domain *domain);
static void end_policy(struct sts_domain *domain);
static void forget(struct sts *sts, const char *name);
static void answer_all(struct sts_question_list *list, const struct sts_finding *finding);
static void find_kept(
    struct sts_domain *domain, const struct sts_trouble *trouble, struct sts_finding *finding);
static void settle(struct sts_domain *domain);
static void make_room(struct sts *sts);
static void on_sweep(void *arg);
static int64_t sweep_domain(struct sts_domain *domain, int64_t now_s, int64_t now_ms);
static void refresh(struct sts_domain *domain);
static void on_refresh_record(const struct answer *answer, void *arg);
static void refresh_over(struct sts_domain *domain);
static void move_to(struct sts_question *question, struct sts_question_list *list);

struct sts *sts_create(struct loop *loop, const struct config *config, struct resolver *resolver,
    bool is_loaded, sts_keep *keep_call, void *arg, char *error, size_t room)
{
	struct sts *sts = mem_create(sizeof *sts);

	sts->loop = loop;
	sts->resolver = resolver;
	sts->port = config->delivery.mta_sts_port;
	sts->is_loaded = is_loaded;
	sts->keep = keep_call;
	sts->arg = arg;
	sts_cache_init(&sts->cache);
	TAILQ_INIT(&sts->waiting);
	sts->start = timer_create_in(loop, on_start, sts);
	sts->sweep = timer_create_in(loop, on_sweep, sts);
	sts->grace_ms = STS_GRACE_MS;
	sts->https = https_create(loop, config, resolver, STS_FETCHES_MAX, error, room);
	if (sts->https == NULL)
		sts_destroy(&sts);
	else
		timer_set(sts->sweep, STS_SWEEP_MS);
	return sts;
}

void sts_set_resolver(struct sts *sts, struct resolver *resolver)
{
	sts->resolver = resolver;
	https_set_resolver(sts->https, resolver);
}

void sts_set_timeout(struct sts *sts, int64_t timeout_ms)
{
	https_set_timeout(sts->https, timeout_ms);
}

void sts_set_grace(struct sts *sts, int64_t grace_ms)
{
	sts->grace_ms = grace_ms;
}

void sts_load(struct sts *sts, const struct sts_kept *kept)
{
	int64_t now_s = clock_wall_s(), now_ms = clock_monotonic_ms();
	struct sts_domain *domain = sts_cache_find(&sts->cache, kept->domain);
	struct sts_policy policy;
	char name[DOMAIN_MAX], why[STS_WHY_MAX];

	/* What is here is never older than what its owner got from here. */
	if (domain != NULL && domain->has_policy) {
		domain->is_stored = strcmp(domain->id, kept->id) == 0 &&
				    strcmp(domain->text, kept->policy) == 0 &&
				    domain->expires_s == kept->expires_s;
		return;
	}
	if (!domain_canonical(kept->domain, strlen(kept->domain), name) ||
	    strcmp(name, kept->domain) != 0)
		return;
	if ((domain != NULL && domain->ended_s > now_s) || strlen(kept->id) >= STS_ID_MAX ||
	    *kept->id == '\0' ||
	    !sts_policy_read(kept->policy, strlen(kept->policy), &policy, why, sizeof why)) {
		forget(sts, name);
		return;
	}
	domain = sts_cache_use(&sts->cache, name, now_ms);
	domain->sts = sts;
	sts_cache_keep(&sts->cache, domain, &policy, kept, now_s);
	domain->is_stored = true;
	domain->over_ms = sts_domain_is_in_force(domain, now_s) ? 0 : now_ms;
	make_room(sts);
}

void sts_loaded(struct sts *sts)
{
	struct sts_domain *domain;

	TAILQ_FOREACH (domain, &sts->cache.by_use, by_use) {
		if (domain->has_policy && !domain->is_stored)
			keep(domain);
		domain->is_stored = false;
	}
	sts->is_loaded = true;
	timer_set(sts->start, 0);
	timer_set(sts->sweep, 0);
}

struct sts_question *sts_ask(struct sts *sts, const char *domain, sts_done *done, void *arg)
{
	struct sts_question *question = mem_create(sizeof *question);

	question->sts = sts;
	text_copy(question->domain, sizeof question->domain, domain);
	question->done = done;
	question->arg = arg;
	question->list = &sts->waiting;
	TAILQ_INSERT_TAIL(&sts->waiting, question, link);
	if (sts->is_loaded)
		timer_set(sts->start, 0);
	return question;
}

void sts_cancel(struct sts_question **question)
{
	if (*question == NULL)
		return;
	TAILQ_REMOVE((*question)->list, *question, link);
	free(*question);
	*question = NULL;
}

static void on_start(void *arg)
{
	struct sts *sts = arg;
	struct sts_question_list now = TAILQ_HEAD_INITIALIZER(now);
	struct sts_question *question;

	/* A callback may ask again: that waits for the next turn. */
	while ((question = TAILQ_FIRST(&sts->waiting)) != NULL)
		move_to(question, &now);
	while ((question = TAILQ_FIRST(&now)) != NULL)
		ask_record(question);
}

static void ask_record(struct sts_question *question)
{
	struct sts *sts = question->sts;
	struct sts_domain *domain =
	    sts_cache_use(&sts->cache, question->domain, clock_monotonic_ms());
	char name[DOMAIN_MAX];

	domain->sts = sts;
	move_to(question, &domain->asking);
	make_room(sts);
	if (domain->record != NULL)
		return;
	if (name_of("_mta-sts.", domain, name)) {
		domain->record = resolver_start(sts->resolver, name, RECORD_TXT, on_record, domain);
		return;
	}
	/* The DNS has no room for such a name, so nobody can have published anything. */
	domain->record_trouble = (struct sts_trouble){ .problem = STS_PROBLEM_NONE };
	record_known(domain, STS_RECORD_NONE, "");
}

static void on_record(const struct answer *answer, void *arg)
{
	struct sts_domain *domain = arg;
	char id[STS_ID_MAX];

	domain->record = NULL;
	record_known(domain, judge_record(domain, answer, id), id);
}

/* Of a record that is missed the operator hears once. A policy that demands nothing may go. */
static enum sts_record_kind judge_record(
    struct sts_domain *domain, const struct answer *answer, char id[STS_ID_MAX])
{
	struct sts_trouble *trouble = &domain->record_trouble;
	bool demands =
	    sts_domain_is_in_force(domain, clock_wall_s()) && domain->policy.mode != STS_MODE_NONE;
	enum sts_record_kind kind = sts_judge_record(domain->name, answer, demands, id, trouble);
	bool is_missed =
	    trouble->problem == STS_PROBLEM_GONE || trouble->problem == STS_PROBLEM_INVALID;

	if (demands && is_missed && !domain->is_record_missed && domain->sts->keep != NULL)
		sts_say_missed(domain);
	if (!finding_is_failure(&answer->finding))
		domain->is_record_missed = demands && is_missed;
	return kind;
}

/* RFC 8461 5.1: what is kept stays in force without a record, and is enough while its id is the same. */
static void record_known(struct sts_domain *domain, enum sts_record_kind kind, const char *id)
{
	struct sts_finding finding;
	struct sts_question *question;
	bool is_kept = sts_domain_is_in_force(domain, clock_wall_s());

	if (kind == STS_RECORD_GOOD && !(is_kept && strcmp(id, domain->id) == 0) &&
	    (domain->request != NULL || domain->again_ms <= clock_monotonic_ms() ||
		strcmp(id, domain->failed_id) != 0)) {
		while ((question = TAILQ_FIRST(&domain->asking)) != NULL)
			move_to(question, &domain->awaiting);
		fetch(domain, id);
		return;
	}
	find_kept(domain,
	    kind == STS_RECORD_GOOD ? &domain->policy_trouble : &domain->record_trouble, &finding);
	answer_all(&domain->asking, &finding);
	sts_finding_finish(&finding);
	settle(domain);
}

static bool name_of(const char *prefix, const struct sts_domain *domain, char name[DOMAIN_MAX])
{
	return snprintf(name, DOMAIN_MAX, "%s%s", prefix, domain->name) < DOMAIN_MAX;
}

static void fetch(struct sts_domain *domain, const char *id)
{
	struct sts *sts = domain->sts;
	char host[DOMAIN_MAX];

	if (domain->request != NULL)
		return;
	/* There is a record at a name that is longer. */
	if (!name_of("mta-sts.", domain, host))
		abort();
	text_copy(domain->request_id, sizeof domain->request_id, id);
	domain->request = https_start(sts->https,
	    &(struct https_order){ .host = host,
		.port = sts->port,
		.path = "/.well-known/mta-sts.txt",
		.n_most = STS_POLICY_MAX },
	    on_policy, domain);
}

static void on_policy(const struct https_answer *answer, void *arg)
{
	struct sts_domain *domain = arg;
	struct sts_policy policy;

	domain->request = NULL;
	if (sts_judge_policy(domain->name, answer, &policy, &domain->policy_trouble))
		policy_came(domain, answer, &policy);
	else
		policy_failed(domain, answer->problem != HTTPS_BUSY);
	refresh_over(domain);
	settle(domain);
}

static void policy_failed(struct sts_domain *domain, bool was_tried)
{
	struct sts_finding finding;
	int64_t now_s = clock_wall_s();
	bool is_kept = sts_domain_is_in_force(domain, now_s);

	if (was_tried) {
		text_copy(domain->failed_id, sizeof domain->failed_id, domain->request_id);
		domain->again_ms = clock_monotonic_ms() + STS_AGAIN_MS;
	}
	if (is_kept)
		sts_domain_refresh_later(domain, now_s);
	/* Not if the policy demands nothing. A command line tells it in its own way. */
	if (domain->sts->keep != NULL && (!is_kept || domain->policy.mode != STS_MODE_NONE))
		sts_say_trouble(domain, is_kept);
	find_kept(domain, &domain->policy_trouble, &finding);
	answer_all(&domain->awaiting, &finding);
	sts_finding_finish(&finding);
}

static void policy_came(
    struct sts_domain *domain, const struct https_answer *answer, struct sts_policy *policy)
{
	struct sts *sts = domain->sts;
	int64_t now_s = clock_wall_s();
	struct sts_finding finding = { .has_policy = true, .expires_s = now_s + policy->max_age_s };
	char *text = mem_copy(answer->content, answer->n_content);
	struct sts_kept kept = { .domain = domain->name,
		.id = domain->request_id,
		.policy = text,
		.fetched_s = now_s,
		.expires_s = finding.expires_s };
	bool had_policy = domain->has_policy;

	domain->failed_id[0] = '\0';
	domain->again_ms = 0;
	text_copy(finding.id, sizeof finding.id, domain->request_id);
	sts_policy_copy(&finding.policy, policy);
	sts_finding_set_text(&finding, text);
	if (sts->keep != NULL && (!had_policy || strcmp(domain->text, text) != 0))
		sts_say_policy(domain, policy);
	/* A max_age of 0 is for the mail that asked, and for no other. */
	if (policy->max_age_s > 0) {
		sts_cache_keep(&sts->cache, domain, policy, &kept, now_s);
		keep(domain);
		timer_set(sts->sweep, 0);
	} else {
		sts_policy_finish(policy);
		end_policy(domain);
	}
	free(text);
	answer_all(&domain->awaiting, &finding);
	sts_finding_finish(&finding);
}

static void keep(struct sts_domain *domain)
{
	struct sts *sts = domain->sts;
	struct sts_kept kept = { .domain = domain->name,
		.id = domain->id,
		.policy = domain->text,
		.fetched_s = domain->fetched_s,
		.expires_s = domain->expires_s };

	if (sts->keep != NULL)
		sts->keep(sts->arg, &kept);
}

/* Its owner may not hear that now; until the time is over it is remembered, and told again. */
static void end_policy(struct sts_domain *domain)
{
	struct sts *sts = domain->sts;

	if (!domain->has_policy)
		return;
	domain->ended_s = domain->expires_s;
	sts_cache_forget(&sts->cache, domain);
	forget(sts, domain->name);
}

static void forget(struct sts *sts, const char *name)
{
	struct sts_kept nothing = { .domain = name, .id = "", .policy = "" };

	if (sts->keep != NULL)
		sts->keep(sts->arg, &nothing);
}

/* A callback may ask again and cancel others. */
static void answer_all(struct sts_question_list *list, const struct sts_finding *finding)
{
	struct sts_question_list now = TAILQ_HEAD_INITIALIZER(now);
	struct sts_question *question;

	while ((question = TAILQ_FIRST(list)) != NULL)
		move_to(question, &now);
	while ((question = TAILQ_FIRST(&now)) != NULL) {
		sts_done *done = question->done;
		void *arg = question->arg;

		sts_cancel(&question);
		done(finding, arg);
	}
}

static void find_kept(
    struct sts_domain *domain, const struct sts_trouble *trouble, struct sts_finding *finding)
{
	*finding = (struct sts_finding){ .problem = trouble->problem };
	text_copy(finding->why, sizeof finding->why, trouble->why);
	if (!sts_domain_is_in_force(domain, clock_wall_s()))
		return;
	finding->has_policy = true;
	sts_policy_copy(&finding->policy, &domain->policy);
	sts_finding_set_text(finding, domain->text);
	text_copy(finding->id, sizeof finding->id, domain->id);
	finding->expires_s = sts_domain_expires_s(domain);
}

/* A domain of which nothing is known any more leaves the cache. */
static void settle(struct sts_domain *domain)
{
	if (!domain->has_policy && domain->again_ms <= clock_monotonic_ms() &&
	    domain->ended_s <= clock_wall_s() && sts_domain_is_idle(domain))
		sts_cache_drop(&domain->sts->cache, &domain);
}

static void make_room(struct sts *sts)
{
	struct sts_domain *domain;

	while ((domain = sts_cache_surplus(&sts->cache)) != NULL) {
		if (domain->has_policy)
			forget(sts, domain->name);
		sts_cache_drop(&sts->cache, &domain);
	}
}

/* What is over is forgotten, what is due is refreshed; again when the next is due. */
static void on_sweep(void *arg)
{
	struct sts *sts = arg;
	struct sts_domain *domain, *next;
	int64_t now_s = clock_wall_s(), now_ms = clock_monotonic_ms(), wait_ms = STS_SWEEP_MS;

	make_room(sts);
	for (domain = TAILQ_FIRST(&sts->cache.by_use); domain != NULL; domain = next) {
		int64_t due_ms;

		next = TAILQ_NEXT(domain, by_use);
		due_ms = sweep_domain(domain, now_s, now_ms);
		if (due_ms < wait_ms)
			wait_ms = due_ms;
	}
	timer_set(sts->sweep, wait_ms < SWEEP_LEAST_MS ? SWEEP_LEAST_MS : wait_ms);
}

/* In how many milliseconds it wants to be looked at again; it may be gone. */
static int64_t sweep_domain(struct sts_domain *domain, int64_t now_s, int64_t now_ms)
{
	struct sts *sts = domain->sts;
	int64_t due_s;

	if (!sts_domain_is_idle(domain))
		return STS_SWEEP_MS;
	if (!sts_domain_is_in_force(domain, now_s)) {
		if (domain->over_ms == 0)
			domain->over_ms = now_ms;
		if (domain->has_policy && now_ms - domain->over_ms >= sts->grace_ms) {
			sts_cache_forget(&sts->cache, domain);
			forget(sts, domain->name);
		}
		settle(domain);
		return STS_SWEEP_MS;
	}
	domain->over_ms = 0;
	if (domain->refresh_s <= now_s && now_ms - domain->used_ms < STS_UNUSED_S * 1000LL) {
		if (sts->n_refreshing == STS_REFRESHES_MAX)
			return 0;
		refresh(domain);
		return STS_SWEEP_MS;
	}
	due_s = sts_domain_expires_s(domain);
	if (domain->refresh_s > now_s && domain->refresh_s < due_s)
		due_s = domain->refresh_s;
	return due_s * 1000 - clock_wall_ms();
}

static void refresh(struct sts_domain *domain)
{
	struct sts *sts = domain->sts;
	char name[DOMAIN_MAX];

	if (!name_of("_mta-sts.", domain, name))
		return;
	domain->is_refreshing = true;
	sts->n_refreshing++;
	domain->refresh_record =
	    resolver_start(sts->resolver, name, RECORD_TXT, on_refresh_record, domain);
}

/*
 * Where the record is gone its owner wants to end it, and what is kept runs out. Where it can't be
 * learned somebody may stand in the way: the policy is fetched all the same, under the id that is known.
 */
static void on_refresh_record(const struct answer *answer, void *arg)
{
	struct sts_domain *domain = arg;
	char id[STS_ID_MAX];
	enum sts_record_kind kind;
	enum sts_problem problem;

	domain->refresh_record = NULL;
	kind = judge_record(domain, answer, id);
	problem = domain->record_trouble.problem;
	if (kind == STS_RECORD_GOOD ||
	    (domain->has_policy && (problem == STS_PROBLEM_DNS || problem == STS_PROBLEM_BOGUS))) {
		fetch(domain, kind == STS_RECORD_GOOD ? id : domain->id);
		return;
	}
	if (domain->has_policy)
		sts_domain_refresh_later(domain, clock_wall_s());
	refresh_over(domain);
	settle(domain);
}

static void refresh_over(struct sts_domain *domain)
{
	if (!domain->is_refreshing || domain->refresh_record != NULL)
		return;
	domain->is_refreshing = false;
	domain->sts->n_refreshing--;
}

static void move_to(struct sts_question *question, struct sts_question_list *list)
{
	TAILQ_REMOVE(question->list, question, link);
	TAILQ_INSERT_TAIL(list, question, link);
	question->list = list;
}

void sts_destroy(struct sts **sts)
{
	struct sts *old = *sts;
	struct sts_domain *domain;
	struct sts_question *question;

	if (old == NULL)
		return;
	TAILQ_FOREACH (domain, &old->cache.by_use, by_use) {
		query_cancel(&domain->record);
		query_cancel(&domain->refresh_record);
		https_cancel(&domain->request);
		while ((question = TAILQ_FIRST(&domain->asking)) != NULL)
			sts_cancel(&question);
		while ((question = TAILQ_FIRST(&domain->awaiting)) != NULL)
			sts_cancel(&question);
	}
	while ((question = TAILQ_FIRST(&old->waiting)) != NULL)
		sts_cancel(&question);
	sts_cache_finish(&old->cache);
	https_destroy(&old->https);
	timer_destroy(&old->start);
	timer_destroy(&old->sweep);
	free(old);
	*sts = NULL;
}
