/*
 * Each check asks its three names of a resolver of its own that has nothing in its cache: what was true
 * an hour ago proves nothing. Nobody's failing to answer is a verdict; three bad ones in a row are.
 */
#include "relay/lookup/contract.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"

enum {
	BAD_MAX = 3,             /* in a row: then it is believed */
	AGAIN_MS = 10000,        /* after a bad one that is not yet believed */
	NOBODY_MS = 60000,       /* after one that taught nothing */
	IMPAIRED_MS = 5 * 60000, /* while it is impaired: when it is mended is told soon */
};

/* Broken: anybody on the way may have done it. Bad: nobody can. */
enum lesson { LEARNED_NOTHING, LEARNED_GOOD, LEARNED_BROKEN, LEARNED_BAD };

/* In the order in which they are told of. */
enum probe_kind { PROBE_SIGNED, PROBE_BROKEN, PROBE_UNSIGNED, N_PROBES };

struct probe {
	struct contract *contract;
	enum probe_kind kind;
	const char *name; /* "": not asked for */
	struct query *query;
	struct finding finding;
};

struct contract {
	struct loop *loop;
	const struct config *config;
	struct resolver *resolver, *fresh;
	contract_changed *changed;
	void *arg;
	struct probe probes[N_PROBES];
	struct timer *check, *judge;
	unsigned n_bad;          /* in a row */
	int64_t broken_until_ms; /* monotonic: when patience ends; 0: signatures do not fail */
	bool has_worked;
	struct contract_verdict verdict;
};

static void on_check(void *arg);
static void on_answer(const struct answer *answer, void *arg);
static bool is_complete(const struct contract *contract);
static void on_judge(void *arg);
static enum lesson judge(const struct contract *contract);
static enum lesson judge_probe(const struct probe *probe);
static bool is_broken(struct contract *contract, enum lesson lesson);
static void enter(struct contract *contract, enum contract_state state);
static void describe(struct contract *contract, enum lesson lesson);
static void describe_probes(const struct contract *contract, char *text, size_t room);
static int64_t wait_after(const struct contract *contract, enum lesson lesson);
static int64_t at_most(int64_t a, int64_t b);

const char *contract_state_name(enum contract_state state)
{
	static const char *const names[] = {
#define X(symbol, word) [symbol] = word,
		CONTRACT_STATES(X)
#undef X
	};

	assert((size_t)state < sizeof names / sizeof *names);
	return names[state];
}

struct contract *contract_create(struct loop *loop, const struct config *config,
    struct resolver *resolver, bool has_worked, contract_changed *changed, void *arg)
{
	struct contract *contract = mem_create(sizeof *contract);
	const struct config_dns_check *check = &config->dns_check;
	const char *const names[] = { check->signed_name, check->broken_name,
		check->unsigned_name };
	bool any = false;

	*contract = (struct contract){ .loop = loop,
		.config = config,
		.resolver = resolver,
		.has_worked = has_worked,
		.changed = changed,
		.arg = arg,
		.verdict = { .state = CONTRACT_UNKNOWN, .text = "it was not asked yet" } };
	contract->check = timer_create_in(loop, on_check, contract);
	contract->judge = timer_create_in(loop, on_judge, contract);
	for (size_t i = 0; i < N_PROBES; i++) {
		contract->probes[i] = (struct probe){ .contract = contract,
			.kind = (enum probe_kind)i,
			.name = names[i] != NULL ? names[i] : "" };
		any = any || *contract->probes[i].name != '\0';
	}
	if (any) {
		timer_set(contract->check, 0);
	} else {
		contract->verdict.state = CONTRACT_OFF;
		snprintf(contract->verdict.text, sizeof contract->verdict.text,
		    "the configuration names nothing to ask for: dns { check-signed }");
	}
	return contract;
}

void contract_destroy(struct contract **contract)
{
	struct contract *old = *contract;

	if (old == NULL)
		return;
	for (size_t i = 0; i < N_PROBES; i++)
		query_cancel(&old->probes[i].query);
	resolver_destroy(&old->fresh);
	timer_destroy(&old->check);
	timer_destroy(&old->judge);
	free(old);
	*contract = NULL;
}

const struct contract_verdict *contract_verdict(const struct contract *contract)
{
	return &contract->verdict;
}

static void on_check(void *arg)
{
	struct contract *contract = arg;
	char error[200] = "";

	contract->fresh =
	    resolver_create_like(contract->resolver, contract->config, true, error, sizeof error);
	for (size_t i = 0; i < N_PROBES; i++) {
		struct probe *probe = &contract->probes[i];

		probe->finding = (struct finding){ .status = ANSWER_NOT_ASKED };
		if (*probe->name == '\0')
			continue;
		if (contract->fresh != NULL) {
			probe->query = resolver_start(
			    contract->fresh, probe->name, RECORD_A, on_answer, probe);
			continue;
		}
		probe->finding.status = ANSWER_ERROR;
		snprintf(probe->finding.why, sizeof probe->finding.why, "%.*s", ANSWER_WHY_MAX - 1,
		    error);
	}
	if (contract->fresh == NULL)
		timer_set(contract->judge, 0);
}

static void on_answer(const struct answer *answer, void *arg)
{
	struct probe *probe = arg;

	probe->query = NULL;
	probe->finding = answer->finding;
	/* From another turn: the resolver can't be destroyed from inside its callback. */
	if (is_complete(probe->contract))
		timer_set(probe->contract->judge, 0);
}

static bool is_complete(const struct contract *contract)
{
	for (size_t i = 0; i < N_PROBES; i++) {
		if (contract->probes[i].query != NULL)
			return false;
	}
	return true;
}

static void on_judge(void *arg)
{
	struct contract *contract = arg;
	enum lesson lesson = judge(contract);

	resolver_destroy(&contract->fresh);
	contract->verdict.checked_s = clock_wall_s();
	switch (lesson) {
	case LEARNED_GOOD:
		contract->n_bad = 0;
		contract->broken_until_ms = 0;
		contract->has_worked = true;
		enter(contract, CONTRACT_KEPT);
		break;
	case LEARNED_BROKEN:
	case LEARNED_BAD:
		if (contract->n_bad < BAD_MAX)
			contract->n_bad++;
		if (contract->n_bad == BAD_MAX)
			enter(contract,
			    is_broken(contract, lesson) ? CONTRACT_BROKEN : CONTRACT_IMPAIRED);
		break;
	case LEARNED_NOTHING: break;
	}
	describe(contract, lesson);
	timer_set(contract->check, wait_after(contract, lesson));
	contract->changed(&contract->verdict, contract->arg);
}

/*
 * Where it worked, and the operator has not given it up beforehand, nobody on the way makes us, unless
 * he holds out for hours; for ever mail must not wait for a forwarder that strips signatures now.
 */
static bool is_broken(struct contract *contract, enum lesson lesson)
{
	int64_t now_ms = clock_monotonic_ms();

	if (lesson != LEARNED_BROKEN || !contract->has_worked || contract->config->dns_forgive_loss)
		return false;
	if (contract->broken_until_ms == 0)
		contract->broken_until_ms = now_ms + contract->config->dns_check.patience_ms;
	return now_ms < contract->broken_until_ms;
}

/* The worst decides; otherwise the signed name must be good, or the others if there is none. */
static enum lesson judge(const struct contract *contract)
{
	enum lesson lessons[N_PROBES], worst = LEARNED_NOTHING;

	for (size_t i = 0; i < N_PROBES; i++) {
		lessons[i] = judge_probe(&contract->probes[i]);
		if (lessons[i] > worst)
			worst = lessons[i];
	}
	if (worst > LEARNED_GOOD)
		return worst;
	if (*contract->probes[PROBE_SIGNED].name != '\0')
		return lessons[PROBE_SIGNED];
	if (*contract->probes[PROBE_BROKEN].name != '\0')
		return lessons[PROBE_BROKEN];
	return lessons[PROBE_UNSIGNED];
}

/*
 * An error says nothing, except of the broken name, of which it is an expected answer: a resolver
 * behind ours refuses it so; it proves nothing either, since a resolver that is down does the same. A
 * broken name that is secure has been mended, an unsigned one signed: strange, and no harm.
 */
static enum lesson judge_probe(const struct probe *probe)
{
	enum security security = probe->finding.security;

	switch (probe->finding.status) {
	case ANSWER_NOT_ASKED:
	case ANSWER_ERROR: return LEARNED_NOTHING;
	case ANSWER_BOGUS: return probe->kind == PROBE_BROKEN ? LEARNED_GOOD : LEARNED_BROKEN;
	case ANSWER_OK:
	case ANSWER_NODATA:
	case ANSWER_NXDOMAIN: break;
	}
	switch (probe->kind) {
	case PROBE_SIGNED: return security == SECURITY_SECURE ? LEARNED_GOOD : LEARNED_BAD;
	case PROBE_BROKEN: return security == SECURITY_SECURE ? LEARNED_NOTHING : LEARNED_BAD;
	case PROBE_UNSIGNED:
	case N_PROBES: break;
	}
	return LEARNED_GOOD;
}

static void enter(struct contract *contract, enum contract_state state)
{
	if (contract->verdict.state == state)
		return;
	contract->verdict.state = state;
	contract->verdict.since_s = contract->verdict.checked_s;
}

static void describe(struct contract *contract, enum lesson lesson)
{
	struct contract_verdict *verdict = &contract->verdict;
	char came[200];

	describe_probes(contract, came, sizeof came);
	if (lesson == LEARNED_NOTHING)
		snprintf(verdict->text, sizeof verdict->text,
		    "the last check taught nothing: %s; see that the servers of dns { forward } "
		    "answer, or without them those of the root [dnssec-unknown]",
		    came);
	else if (lesson == LEARNED_GOOD)
		snprintf(verdict->text, sizeof verdict->text, "%s [dnssec-validates]", came);
	else if (verdict->state == CONTRACT_BROKEN)
		snprintf(verdict->text, sizeof verdict->text,
		    "%s; signatures that were good fail now: a forwarder strips them, the trust anchor "
		    "or the clock is wrong, or somebody tampers with DNS; mail waits for %u minutes "
		    "of this, then DANE is impaired [dnssec-broken]",
		    came, contract->config->dns_check.patience_ms / 60000);
	else
		snprintf(verdict->text, sizeof verdict->text,
		    "%s%s; see that the servers of dns { forward } pass signatures on (or use "
		    "none), dns { trust-anchor } is current and the clock right [dnssec-impaired]",
		    verdict->state == CONTRACT_IMPAIRED ? "" : "not yet believed: ", came);
}

/* "internet.nl is insecure instead of secure, google.com is insecure" */
static void describe_probes(const struct contract *contract, char *text, size_t room)
{
	static const char *const wanted[] = {
		[PROBE_SIGNED] = "secure", [PROBE_BROKEN] = "bogus", [PROBE_UNSIGNED] = "insecure"
	};
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < N_PROBES; i++) {
		const struct probe *probe = &contract->probes[i];
		const char *is = probe->finding.status == ANSWER_ERROR
				     ? "without an answer"
				     : security_name(probe->finding.security);
		bool differs = strcmp(is, wanted[i]) != 0;

		if (*probe->name == '\0' || n >= room)
			continue;
		n += (size_t)snprintf(text + n, room - n, "%s%.80s is %s%s%s", n > 0 ? ", " : "",
		    probe->name, is, differs ? " instead of " : "", differs ? wanted[i] : "");
	}
}

static int64_t wait_after(const struct contract *contract, enum lesson lesson)
{
	int64_t every_ms = contract->config->dns_check.every_ms;

	switch (lesson) {
	case LEARNED_GOOD: return every_ms;
	case LEARNED_NOTHING: return at_most(NOBODY_MS, every_ms);
	case LEARNED_BROKEN:
	case LEARNED_BAD: break;
	}
	if (contract->n_bad < BAD_MAX)
		return at_most(AGAIN_MS, every_ms / 4);
	return at_most(IMPAIRED_MS, every_ms);
}

static int64_t at_most(int64_t a, int64_t b)
{
	return a < b ? a : b;
}
