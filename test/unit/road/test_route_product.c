/*
 * Every combination of what the DNS, a policy, the operator and the message can say of one host, held
 * against what must be true of all plans. The statements are made from the facts and from other plans,
 * not from how route comes to its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "route_play.h"

/* ---- the axes ---- */

enum mx_fact { MX_SURE, MX_INSECURE, MX_NONE, MX_NONE_INSECURE, N_MX };
enum tlsa_fact {
	TLSA_NOT_ASKED,
	TLSA_NONE,
	TLSA_USABLE,
	TLSA_UNUSABLE,
	TLSA_FAILED,
	TLSA_INSECURE,
	N_TLSA
};
enum policy_fact {
	STS_ABSENT,
	STS_UNKNOWN,
	STS_EXPIRED,
	STS_NONE,
	STS_TESTING,
	STS_TESTING_OTHER,
	STS_ENFORCE,
	STS_ENFORCE_OTHER,
	N_STS
};
enum wish_fact { WISH_NOTHING, WISH_REQUIRETLS, WISH_OPTIONAL, N_WISH };
enum impairment { VALIDATES, IMPAIRED, IMPAIRED_DEFER, N_IMPAIRED };

static const char *const mx_facts[N_MX] = { "mx=ok/secure", "mx=ok/insecure",
	"mx=nodata/secure implicit", "mx=nodata/insecure implicit" };
/* Not asked means insecure addresses (RFC 7672 2.2.2). */
static const char *const tlsa_facts[N_TLSA] = { "a=ok/insecure:192.0.2.1",
	"a=ok/secure:192.0.2.1 base=d.example tlsa=nx/secure",
	"a=ok/secure:192.0.2.1 base=d.example tlsa=ok/secure:3-1-1",
	"a=ok/secure:192.0.2.1 base=d.example tlsa=ok/secure:1-1-1",
	"a=ok/secure:192.0.2.1 base=d.example tlsa=error/insecure",
	"a=ok/secure:192.0.2.1 base=d.example tlsa=ok/insecure:3-1-1" };
static const char *const sts_facts[N_STS] = { "", "sts=unknown", "sts=expired:other.example",
	"sts=none:", "sts=testing:d.example", "sts=testing:other.example", "sts=enforce:d.example",
	"sts=enforce:other.example" };

static char *other_names[] = { (char *)"other.example" };
static char *own_names[] = { (char *)"d.example" };
static char *keys[] = { (
    char *)"fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210" };
static struct config_exception to_may = { ROUTE_NOW_S + 1, TLS_MAY, (char *)"a test" };
static struct config_exception to_encrypt = { ROUTE_NOW_S + 1, TLS_ENCRYPT, (char *)"a test" };
static struct config_exception to_dane = { ROUTE_NOW_S + 1, TLS_DANE, (char *)"a test" };

#define RULE .name = (char *)ROUTE_DOMAIN, .level
static struct config_partner rules[] = {
	{ RULE = TLS_NONE },
	{ RULE = TLS_MAY },
	{ RULE = TLS_ENCRYPT },
	{ RULE = TLS_ENCRYPT, .mx = other_names, .n_mx = 1 },
	{ RULE = TLS_VERIFY },
	{ RULE = TLS_VERIFY, .public_keys = keys, .n_public_keys = 1 },
	{ RULE = TLS_SECURE, .public_keys = keys, .n_public_keys = 1 },
	{ RULE = TLS_FINGERPRINT, .public_keys = keys, .n_public_keys = 1 },
	{ RULE = TLS_DANE },
	{ RULE = TLS_DANE_ONLY },
	{ RULE = TLS_DANE_ONLY, .mx = own_names, .n_mx = 1 },
	{ RULE = TLS_ENCRYPT, .observe = true },
	{ RULE = TLS_SECURE, .mx = other_names, .n_mx = 1, .observe = true },
	{ RULE = TLS_DANE_ONLY, .observe = true },
	{ RULE = TLS_SECURE, .exception = &to_may },
	{ RULE = TLS_DANE_ONLY, .exception = &to_encrypt },
	{ RULE = TLS_SECURE, .mx = other_names, .n_mx = 1, .exception = &to_dane },
};
enum { NO_RULE = sizeof rules / sizeof *rules };

static const enum tls_level floors[] = { TLS_NONE, TLS_ENCRYPT, TLS_VERIFY, TLS_DANE_ONLY };
static const enum tls_level defaults[] = { TLS_MAY, TLS_DANE };
static const enum tls_level choices[] = { TLS_MAY, TLS_ENCRYPT, TLS_DANE };

struct point {
	enum mx_fact mx;
	enum tlsa_fact tlsa;
	enum policy_fact sts;
	enum wish_fact wish;
	enum impairment impaired;
	size_t rule; /* NO_RULE: none */
	enum tls_level floor, by_default, insecure_mx;
};

enum {
	N_FLOORS = sizeof floors / sizeof *floors,
	N_DEFAULTS = sizeof defaults / sizeof *defaults,
	N_CHOICES = sizeof choices / sizeof *choices,
	N_POINTS = N_MX * N_TLSA * N_STS * N_WISH * N_IMPAIRED * (NO_RULE + 1) * N_FLOORS *
		   N_DEFAULTS * N_CHOICES,
};

static bool read_point(size_t number, struct point *p);
static void find(const struct point *p, struct plan *plan);
static void check(const struct point *p);
static void check_alone(const struct point *p, const struct plan *plan);
static void check_plaintext(const struct point *p, const struct plan_host *host);
static void check_names(const struct point *p, const struct plan_host *host);
static void check_without_policy(const struct point *p, const struct plan *plan);
static void check_without_floor(const struct point *p, const struct plan *plan);
static void check_without_wish(const struct point *p, const struct plan *plan);
static void check_observed(const struct point *p, const struct plan *plan);

static void test_product(void **state)
{
	struct point p;
	size_t n = 0;

	(void)state;
	for (size_t number = 0; number < N_POINTS; number++) {
		if (!read_point(number, &p))
			continue;
		check(&p);
		n++;
	}
	print_message("%zu combinations\n", n);
	assert_true(n > 100000);
}

static size_t digit(size_t *number, size_t base)
{
	size_t value = *number % base;

	*number /= base;
	return value;
}

/* False for what can't be, or is the same as another point. */
static bool read_point(size_t number, struct point *p)
{
	size_t choice;

	p->mx = (enum mx_fact)digit(&number, N_MX);
	p->tlsa = (enum tlsa_fact)digit(&number, N_TLSA);
	p->sts = (enum policy_fact)digit(&number, N_STS);
	p->wish = (enum wish_fact)digit(&number, N_WISH);
	p->impaired = (enum impairment)digit(&number, N_IMPAIRED);
	p->rule = digit(&number, NO_RULE + 1);
	p->floor = floors[digit(&number, N_FLOORS)];
	p->by_default = defaults[digit(&number, N_DEFAULTS)];
	choice = digit(&number, N_CHOICES);
	p->insecure_mx = choices[choice];
	if (p->mx != MX_INSECURE && choice > 0)
		return false;
	return p->impaired == VALIDATES ||
	       (p->tlsa == TLSA_NOT_ASKED && (p->mx == MX_INSECURE || p->mx == MX_NONE_INSECURE));
}

static void find_by_rule(const struct point *p, struct config_partner *rule, struct plan *plan)
{
	const struct route_setting setting = { .level = p->by_default,
		.partner = rule,
		.wish = { .floor = p->floor,
		    .requires_tls = p->wish == WISH_REQUIRETLS,
		    .tls_optional = p->wish == WISH_OPTIONAL },
		.insecure_mx = p->insecure_mx,
		.defer_impaired = p->impaired == IMPAIRED_DEFER };
	char text[400];
	struct facts facts;

	snprintf(text, sizeof text, "%s %s%s\n10 d.example %s\n", mx_facts[p->mx],
	    sts_facts[p->sts], p->impaired == VALIDATES ? "" : " impaired", tlsa_facts[p->tlsa]);
	route_text_read(text, &facts);
	route_find_set(&setting, &facts, 0, plan);
	facts_finish(&facts);
	assert_int_equal(plan->n_hosts, 1);
}

static void find(const struct point *p, struct plan *plan)
{
	find_by_rule(p, p->rule == NO_RULE ? NULL : &rules[p->rule], plan);
}

/* ---- what a point says ---- */

static const struct config_partner *rule_of(const struct point *p)
{
	return p->rule == NO_RULE ? NULL : &rules[p->rule];
}

static bool is_excepted(const struct point *p)
{
	return rule_of(p) != NULL && rule_of(p)->exception != NULL;
}

static bool is_observed(const struct point *p)
{
	return rule_of(p) != NULL && rule_of(p)->observe;
}

static bool has_rule(const struct point *p)
{
	return rule_of(p) != NULL && !is_excepted(p) && !is_observed(p);
}

static bool is_forbidden(const struct point *p)
{
	return has_rule(p) && rule_of(p)->n_mx > 0 && rule_of(p)->mx == other_names;
}

static enum tls_level operator_level(const struct point *p)
{
	if (is_excepted(p))
		return rule_of(p)->exception->level;
	if (has_rule(p))
		return rule_of(p)->level;
	return p->wish == WISH_OPTIONAL ? TLS_MAY : p->by_default;
}

/* The receiver's policies have no say beyond what the operator's level asks for. */
static bool is_waived(const struct point *p)
{
	return p->wish == WISH_OPTIONAL || is_excepted(p) ||
	       (has_rule(p) && rule_of(p)->level <= TLS_MAY);
}

static bool hosts_are_sure(const struct point *p)
{
	return p->mx != MX_INSECURE || (has_rule(p) && rule_of(p)->n_mx > 0);
}

/* Has an enforced policy a say? Not where the operator waives it, or names his trust himself. */
static bool policy_holds(const struct point *p)
{
	enum tls_level level = operator_level(p);
	bool names_host_only = level == TLS_VERIFY && has_rule(p) && rule_of(p)->n_public_keys == 0;

	return p->sts >= STS_ENFORCE && !is_waived(p) && (level <= TLS_ENCRYPT || names_host_only);
}

/* Is DANE asked for by anybody, whatever it then finds? */
static bool wants_dane(const struct point *p)
{
	enum tls_level level = operator_level(p);

	return level == TLS_DANE || level == TLS_DANE_ONLY || p->floor == TLS_DANE_ONLY ||
	       (level == TLS_ENCRYPT && has_rule(p) && !is_waived(p) && p->by_default == TLS_DANE);
}

/* Would TLSA records of the host count, or the failure to learn them? */
static bool records_count(const struct point *p)
{
	return wants_dane(p) && p->impaired == VALIDATES &&
	       (hosts_are_sure(p) || p->insecure_mx != TLS_MAY);
}

static bool policy_is_live(const struct point *p)
{
	return p->sts >= STS_TESTING;
}

static bool policy_names_host(const struct point *p)
{
	return p->sts == STS_TESTING || p->sts == STS_ENFORCE;
}

/* 0: plaintext may do. 1: encrypted. 2: to whom it is for. */
static int strength(const struct plan_host *host)
{
	switch (host->tls.level) {
	case TLS_NONE:
	case TLS_MAY: return 0;
	case TLS_ENCRYPT: return 1;
	case TLS_DANE: return host->tls.n_tlsa > 0 ? 2 : host->tls.tlsa_unusable ? 1 : 0;
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_DANE_ONLY:
	case TLS_MTA_STS: return 2;
	}
	return -1;
}

static bool is_usable(const struct plan_host *host)
{
	return outcome_is_ok(&host->unusable);
}

/* Who vouches for the host's name is for the log: it takes or refuses no server. */
static bool is_met_alike(const struct plan_host *one, const struct plan_host *other)
{
	struct tls_requirement likewise = other->tls;

	likewise.by_insecure_mx = one->tls.by_insecure_mx;
	return tls_requirement_is_equal(&one->tls, &likewise);
}

static bool is_same(const struct plan_host *one, const struct plan_host *other)
{
	return is_met_alike(one, other) && strcmp(one->unusable.name, other->unusable.name) == 0;
}

static void tell(const struct point *p, const struct plan *plan, const char *what)
{
	struct buffer out;

	buffer_init(&out, 1 << 16);
	route_text_print(plan, &out);
	fail_msg(
	    "%s\n%s %s %s, rule %zu, floor %s, wish %d, impaired %d, default %s, insecure-mx %s\n%s",
	    what, mx_facts[p->mx], tlsa_facts[p->tlsa], sts_facts[p->sts], p->rule,
	    tls_level_name(p->floor), p->wish, p->impaired, tls_level_name(p->by_default),
	    tls_level_name(p->insecure_mx), buffer_text(&out));
}

#define HOLD(condition)                                                                            \
	do {                                                                                       \
		if (!(condition))                                                                  \
			tell(p, plan, #condition);                                                 \
	} while (0)

/* ---- what must be true ---- */

static void check(const struct point *p)
{
	struct plan plan;

	find(p, &plan);
	check_alone(p, &plan);
	if (p->sts != STS_ABSENT)
		check_without_policy(p, &plan);
	if (p->floor != TLS_NONE)
		check_without_floor(p, &plan);
	if (p->wish != WISH_NOTHING)
		check_without_wish(p, &plan);
	if (is_observed(p))
		check_observed(p, &plan);
	plan_finish(&plan);
}

static void check_alone(const struct point *p, const struct plan *plan)
{
	const struct plan_host *host = &plan->hosts[0];
	bool is_pinned = host->tls.tlsa_pinned;
	bool has_dane = host->tls.n_tlsa > 0 && !is_pinned;

	HOLD(is_usable(host) == outcome_is_ok(&plan->refusal));
	HOLD(plan->is_impaired == (p->impaired != VALIDATES));
	HOLD(plan->needs_requiretls == (p->wish == WISH_REQUIRETLS));
	check_plaintext(p, host);
	check_names(p, host);

	/* Nothing about TLS bounces mail but what RFC 8689 4.2.1 wants bounced. */
	HOLD(is_usable(host) || host->unusable.class == OUTCOME_DEFER ||
	     (p->wish == WISH_REQUIRETLS && p->mx == MX_INSECURE && p->impaired == VALIDATES &&
		 !policy_names_host(p) && strcmp(host->unusable.enhanced, "5.7.10") == 0));

	/* RFC 7672 2.1.2: not knowing is not "none". */
	HOLD(p->tlsa != TLSA_FAILED || !records_count(p) || !is_usable(host));
	/* And what nobody asked for does not stand in the way. */
	HOLD(p->tlsa != TLSA_FAILED || wants_dane(p) ||
	     strcmp(host->unusable.name, "tlsa-lookup-failed") != 0);

	/* Records are used only if they are there, count, and DNSSEC vouches for them. */
	HOLD(!has_dane || (p->tlsa == TLSA_USABLE && records_count(p)));
	HOLD(!host->tls.tlsa_unusable || (p->tlsa == TLSA_UNUSABLE && records_count(p)));
	HOLD(!host->has_tlsa_policy || p->tlsa == TLSA_USABLE || p->tlsa == TLSA_UNUSABLE ||
	     p->tlsa == TLSA_FAILED);
	HOLD(!has_dane || host->has_tlsa_policy);

	/* RFC 7672 2.2.1: whoever is proved is not said to be the destination's for nothing. */
	HOLD(host->tls.by_insecure_mx ==
	     ((has_dane || (host->tls.level == TLS_VERIFY && !is_pinned)) &&
		 host->tls.level != TLS_DANE_ONLY && !hosts_are_sure(p) && !policy_names_host(p)));

	/* "dane-only", by whomever, is DANE with sure hosts or nothing. */
	if (operator_level(p) == TLS_DANE_ONLY || p->floor == TLS_DANE_ONLY)
		HOLD(!is_usable(host) || (has_dane && (p->mx != MX_INSECURE || hosts_are_sure(p))));
	/* Without validation what can only be met by DANE waits, and the rest as the operator chose. */
	if (p->impaired != VALIDATES && operator_level(p) == TLS_DANE_ONLY && !is_forbidden(p))
		HOLD(strcmp(host->unusable.name, "dane-impaired") == 0);
	if (p->impaired == IMPAIRED_DEFER && wants_dane(p))
		HOLD(!is_usable(host));

	/* What names its trust itself stands as it is written. */
	if (operator_level(p) >= TLS_VERIFY && operator_level(p) <= TLS_FINGERPRINT &&
	    !policy_holds(p))
		HOLD(host->tls.level == operator_level(p) && host->tls.demand == DEMAND_PARTNER);
	/* An exception is exactly what it says, whatever the receiver publishes. */
	if (is_excepted(p) && p->floor == TLS_NONE && p->wish != WISH_REQUIRETLS &&
	    operator_level(p) != TLS_DANE)
		HOLD(is_usable(host) && host->tls.level == operator_level(p) &&
		     host->tls.demand == DEMAND_EXCEPTION);
	HOLD(is_excepted(p) == (*plan->exception != '\0'));
	/* A host that the rule forbids is not used, and one that it allows is not forbidden by it. */
	HOLD((strcmp(host->unusable.name, "partner-mx-name") == 0) == is_forbidden(p));

	/* An enforced policy holds wherever it has a say and DANE has not decided. */
	if (policy_holds(p))
		HOLD(!is_usable(host) || has_dane || host->tls.level == TLS_MTA_STS);
	if (host->tls.level == TLS_MTA_STS)
		HOLD(p->sts >= STS_ENFORCE && !is_waived(p) &&
		     (policy_names_host(p) || !is_usable(host)));
}

/* Never in plaintext if anybody who has a say demands more. */
static void check_plaintext(const struct point *p, const struct plan_host *host)
{
	if (!is_usable(host) || !tls_requirement_allows_plaintext(&host->tls))
		return;
	if (p->floor != TLS_NONE || p->wish == WISH_REQUIRETLS)
		fail_msg("plaintext against the sender's floor (rule %zu)", p->rule);
	switch (operator_level(p)) {
	case TLS_NONE:
	case TLS_MAY:
	case TLS_DANE: break;
	case TLS_ENCRYPT:
	case TLS_VERIFY:
	case TLS_SECURE:
	case TLS_FINGERPRINT:
	case TLS_DANE_ONLY:
	case TLS_MTA_STS: fail_msg("plaintext against the operator's word (rule %zu)", p->rule);
	}
	if (!is_waived(p) && p->sts >= STS_ENFORCE)
		fail_msg("plaintext against an enforced policy (rule %zu)", p->rule);
	if (records_count(p) && (p->tlsa == TLSA_USABLE || p->tlsa == TLSA_UNUSABLE))
		fail_msg("plaintext against TLSA records (rule %zu)", p->rule);
}

/* No name comes from what strangers wrote, but the host's own. */
static void check_names(const struct point *p, const struct plan_host *host)
{
	bool by_operator = host->tls.level == TLS_SECURE;

	for (size_t i = 0; i < host->tls.n_names; i++) {
		const char *name = host->tls.names[i];

		if (!by_operator && strcmp(name, "d.example") != 0)
			fail_msg("the name %s (rule %zu, policy %d)", name, p->rule, p->sts);
	}
	if (host->tls.level != TLS_NONE)
		assert_string_equal(host->tls.sni, "d.example");
	for (size_t i = 0; i < host->n_watches; i++) {
		if (host->watches[i].demand == DEMAND_MTA_STS)
			assert_string_equal(host->watches[i].tls.names[0], "d.example");
	}
}

/* A policy may add, and never takes anything away; without one that is live nothing changes. */
static void check_without_policy(const struct point *p, const struct plan *plan)
{
	const struct plan_host *host = &plan->hosts[0], *other;
	struct point without = *p;
	struct plan reference;
	bool is_watched = false, should_be;

	without.sts = STS_ABSENT;
	find(&without, &reference);
	other = &reference.hosts[0];
	HOLD(strength(host) >= strength(other));
	/* Only REQUIRETLS needs one. */
	HOLD(!is_usable(host) || is_usable(other) || p->wish == WISH_REQUIRETLS);
	HOLD(other->tls.n_tlsa == 0 || is_met_alike(host, other) ||
	     (!hosts_are_sure(p) && host->tls.level == TLS_MTA_STS));
	if (!policy_is_live(p) && !(p->sts == STS_UNKNOWN && p->wish == WISH_REQUIRETLS))
		HOLD(is_same(host, other));
	if (p->sts == STS_TESTING || p->sts == STS_TESTING_OTHER)
		HOLD(p->wish == WISH_REQUIRETLS || is_same(host, other));
	for (size_t i = 0; i < host->n_watches; i++) {
		if (host->watches[i].demand != DEMAND_MTA_STS)
			continue;
		is_watched = true;
		HOLD(outcome_is_ok(&host->watches[i].unusable) == policy_names_host(p));
	}
	/* Reports hear of each live policy that is not waived: enforced, or watched (RFC 8460 4). */
	should_be = policy_is_live(p) && p->wish != WISH_OPTIONAL &&
		    !(is_waived(p) && operator_level(p) <= TLS_MAY) &&
		    host->tls.level != TLS_MTA_STS;
	HOLD(is_watched == should_be || p->floor == TLS_DANE_ONLY);
	plan_finish(&reference);
}

/* An account's floor is reached, changes nothing that reaches it, and opens no way. */
static void check_without_floor(const struct point *p, const struct plan *plan)
{
	const struct plan_host *host = &plan->hosts[0], *other;
	const int floor = p->floor == TLS_ENCRYPT ? 1 : 2;
	struct point without = *p;
	struct plan reference;

	without.floor = TLS_NONE;
	find(&without, &reference);
	other = &reference.hosts[0];
	HOLD(strength(host) >= floor && strength(host) >= strength(other));
	/* But that of DANE, which comes before a policy that does not name the host. */
	HOLD(!is_usable(host) || is_usable(other) ||
	     (p->floor == TLS_DANE_ONLY && p->sts == STS_ENFORCE_OTHER));
	/* With REQUIRETLS both may want the same: then the floor is who demands it. */
	if (p->floor != TLS_DANE_ONLY && strength(other) >= floor &&
	    other->tls.demand != DEMAND_REQUIRETLS)
		HOLD(is_same(host, other));
	if (p->floor != TLS_DANE_ONLY && strength(other) < floor)
		HOLD(host->tls.demand == DEMAND_ACCOUNT && is_usable(host) == is_usable(other));
	plan_finish(&reference);
}

static void check_without_wish(const struct point *p, const struct plan *plan)
{
	const struct plan_host *host = &plan->hosts[0], *other;
	struct point without = *p;
	struct plan reference;

	without.wish = WISH_NOTHING;
	find(&without, &reference);
	other = &reference.hosts[0];
	if (p->wish == WISH_REQUIRETLS) {
		bool is_sure = hosts_are_sure(p) || policy_names_host(p) || host->tls.tlsa_pinned ||
			       host->tls.level == TLS_SECURE;

		HOLD(strength(host) == 2 && (is_sure || !is_usable(host)));
		HOLD(!is_usable(host) || is_usable(other));
		HOLD(!is_sure || strength(other) < 2 || is_same(host, other));
	} else {
		/* A waiver raises nothing, keeps what the operator wrote, and opens what was closed. */
		HOLD(strength(host) <= strength(other));
		HOLD(!is_usable(other) || is_usable(host));
		HOLD((!has_rule(p) && !is_excepted(p)) || is_usable(host) || !is_usable(other));
		if (!has_rule(p) && !is_excepted(p) && p->floor == TLS_NONE)
			HOLD(is_usable(host) && host->tls.level == TLS_MAY);
	}
	plan_finish(&reference);
}

/* As if the rule were not there; and the watch is what the rule would do. */
static void check_observed(const struct point *p, const struct plan *plan)
{
	const struct plan_host *host = &plan->hosts[0];
	const struct plan_watch *watch = NULL;
	struct config_partner rule = *rule_of(p);
	struct point without = *p;
	struct plan reference;

	without.rule = NO_RULE;
	find(&without, &reference);
	HOLD(is_same(host, &reference.hosts[0]));
	plan_finish(&reference);

	for (size_t i = 0; i < host->n_watches; i++) {
		if (host->watches[i].demand == DEMAND_PARTNER)
			watch = &host->watches[i];
	}
	HOLD(watch != NULL);
	rule.observe = false;
	without.floor = TLS_NONE;
	if (p->wish == WISH_REQUIRETLS)
		return;
	find_by_rule(&without, &rule, &reference);
	HOLD(tls_requirement_is_equal(&watch->tls, &reference.hosts[0].tls));
	HOLD(strcmp(watch->unusable.name, reference.hosts[0].unusable.name) == 0);
	plan_finish(&reference);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_product),
	};

	return cmocka_run_group_tests_name("route product", tests, NULL, NULL);
}
