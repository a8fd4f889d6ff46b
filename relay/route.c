#include "relay/route.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/route_tls.h"

/* What became of a host's addresses. */
struct sorting {
	size_t n_loopback, n_family_off, n_ours;
};

static bool refuse_domain(const struct facts *facts, struct outcome *refusal);
static void order_hosts(struct plan *plan, uint64_t shuffle);
static int compare_hosts(const void *a, const void *b);
static uint64_t next_random(uint64_t *state);
static void plan_host(const struct config *config, const struct facts *facts,
    const struct facts_host *facts_host, struct plan_host *host);
static void take_addresses(const struct config *config, const struct facts_host *facts_host,
    struct plan_host *host, struct sorting *sorting);
static bool take_address(const struct config *config, const struct answer_address *from,
    struct sorting *sorting, union plan_address *to);
static bool is_our_listener(const struct config *config, const struct answer_address *address);
static void judge_addresses(const struct facts *facts, const struct facts_host *facts_host,
    const struct sorting *sorting, struct plan_host *host);
static enum security address_security(const struct facts_host *host);
static void leave_out_ourselves(const struct config *config, struct plan *plan);
static void refuse_if_none_is_left(struct plan *plan);

void route_find(const struct config *config, const struct facts *facts,
    const struct route_question *question, struct plan *plan)
{
	*plan = (struct plan){ 0 };
	strcpy(plan->domain, facts->domain);
	plan->mx_security = facts->mx.security;
	plan->mx_implicit = facts->implicit_mx;
	plan->valid_until_ms = clock_monotonic_ms() + (int64_t)facts->ttl_s * 1000;
	if (refuse_domain(facts, &plan->refusal))
		return;
	plan->n_hosts = facts->n_hosts < PLAN_HOSTS_MAX ? facts->n_hosts : PLAN_HOSTS_MAX;
	plan->hosts = mem_create(plan->n_hosts * sizeof *plan->hosts);
	for (size_t i = 0; i < plan->n_hosts; i++)
		plan_host(config, facts, &facts->hosts[i], &plan->hosts[i]);
	order_hosts(plan, question->shuffle);
	leave_out_ourselves(config, plan);
	refuse_if_none_is_left(plan);
}

/* What the MX question alone settles. */
static bool refuse_domain(const struct facts *facts, struct outcome *refusal)
{
	outcome_ok(refusal);
	switch (facts->mx.status) {
	case ANSWER_OK:
	case ANSWER_NODATA: break;
	case ANSWER_NXDOMAIN:
		outcome_say(refusal, 550, "5.1.2", "domain-not-found",
		    "The domain %s does not exist", facts->domain);
		return true;
	case ANSWER_BOGUS:
		outcome_say(refusal, 451, "4.4.3", "dns-bogus",
		    "The MX records of %s fail DNSSEC validation: %s", facts->domain,
		    facts->mx.why);
		return true;
	case ANSWER_ERROR:
	case ANSWER_NOT_ASKED:
		outcome_say(refusal, 451, "4.4.3", "dns-failed",
		    "The MX records of %s could not be learned: %s", facts->domain, facts->mx.why);
		return true;
	}
	if (facts->null_mx) {
		outcome_say(refusal, 556, "5.1.10", "null-mx",
		    "The domain %s does not accept mail: it publishes a null MX (RFC 7505)",
		    facts->domain);
		return true;
	}
	return false;
}

static void plan_host(const struct config *config, const struct facts *facts,
    const struct facts_host *facts_host, struct plan_host *host)
{
	const struct config_partner *partner = config_find_partner(config, facts->domain);
	struct sorting sorting = { 0 };

	strcpy(host->name, facts_host->name);
	host->preference = facts_host->preference;
	outcome_ok(&host->unusable);
	switch (facts_host->kind) {
	case MX_HOST: break;
	case MX_NULL:
		outcome_say(&host->unusable, 556, "5.1.10", "null-mx",
		    "The domain %s publishes a null MX, but other MX hosts too (RFC 7505 3)",
		    facts->domain);
		break;
	case MX_INVALID:
		outcome_say(&host->unusable, 550, "5.4.4", "mx-invalid",
		    "The MX record of %s says %s, which is not the name of a host (RFC 5321 5.1)",
		    facts->domain, facts_host->name);
		break;
	}
	host->address_security = address_security(facts_host);
	if (facts_host->kind == MX_HOST) {
		take_addresses(config, facts_host, host, &sorting);
		judge_addresses(facts, facts_host, &sorting, host);
	}
	route_require_tls(config, partner, facts, facts_host, host);
}

/* IPv6 and IPv4 in turns, so that neither family's trouble costs more than one timeout. */
static void take_addresses(const struct config *config, const struct facts_host *facts_host,
    struct plan_host *host, struct sorting *sorting)
{
	union plan_address taken[2][FACTS_ADDRESSES_MAX];
	size_t n_taken[2] = { 0 };

	for (size_t i = 0; i < facts_host->n_addresses; i++) {
		const struct answer_address *from = &facts_host->addresses[i];
		size_t family = from->family == 6 ? 0 : 1;

		if (take_address(config, from, sorting, &taken[family][n_taken[family]]))
			n_taken[family]++;
	}
	for (size_t i = 0; i < FACTS_ADDRESSES_MAX; i++) {
		for (size_t family = 0; family < 2; family++) {
			if (i < n_taken[family] && host->n_addresses < PLAN_ADDRESSES_MAX)
				host->addresses[host->n_addresses++] = taken[family][i];
		}
	}
}

static bool take_address(const struct config *config, const struct answer_address *from,
    struct sorting *sorting, union plan_address *to)
{
	if (!(from->family == 6 ? config->delivery.ipv6 : config->delivery.ipv4)) {
		sorting->n_family_off++;
		return false;
	}
	if (!config->delivery.allow_loopback && answer_address_is_loopback(from)) {
		sorting->n_loopback++;
		return false;
	}
	if (is_our_listener(config, from)) {
		sorting->n_ours++;
		return false;
	}
	memset(to, 0, sizeof *to);
	if (from->family == 6) {
		to->ipv6.sin6_family = AF_INET6;
		to->ipv6.sin6_port = htons(config->delivery.port);
		memcpy(&to->ipv6.sin6_addr, from->bytes, 16);
	} else {
		to->ipv4.sin_family = AF_INET;
		to->ipv4.sin_port = htons(config->delivery.port);
		memcpy(&to->ipv4.sin_addr, from->bytes, 4);
	}
	return true;
}

static bool is_our_listener(const struct config *config, const struct answer_address *address)
{
	for (size_t i = 0; i < config->n_listens; i++) {
		const struct config_listen *listen = &config->listens[i];
		uint8_t bytes[16];

		if (listen->port == config->delivery.port &&
		    inet_pton(address->family == 6 ? AF_INET6 : AF_INET, listen->address, bytes) ==
			1 &&
		    memcmp(bytes, address->bytes, address->family == 6 ? 16 : 4) == 0)
			return true;
	}
	return false;
}

/* Why a host without an address to try has none. A failure leaves it open, so it comes first. */
static void judge_addresses(const struct facts *facts, const struct facts_host *facts_host,
    const struct sorting *sorting, struct plan_host *host)
{
	const struct finding *failed =
	    finding_is_failure(&facts_host->ipv6) ? &facts_host->ipv6 : &facts_host->ipv4;
	struct outcome *why = &host->unusable;

	if (host->n_addresses > 0)
		return;
	if (finding_is_failure(failed))
		outcome_say(why, 451, "4.4.3",
		    failed->status == ANSWER_BOGUS ? "dns-bogus" : "dns-failed",
		    "The addresses of %s, MX host of %s, could not be learned: %s", host->name,
		    facts->domain, failed->why);
	else if (sorting->n_loopback + sorting->n_ours > 0)
		outcome_say(why, 554, "5.4.6", "mx-loops-back",
		    "Mail for %s would come back to us: its MX host %s has %s", facts->domain,
		    host->name,
		    sorting->n_ours > 0 ? "an address we listen on" : "a loopback address");
	else if (sorting->n_family_off > 0)
		outcome_say(why, 451, "4.4.4", "address-family-off",
		    "The MX host %s of %s has only addresses of a family that delivery here has "
		    "turned off",
		    host->name, facts->domain);
	else if (facts->implicit_mx)
		outcome_say(why, 550, "5.1.2", "domain-not-found",
		    "The domain %s has neither MX records nor addresses", facts->domain);
	else
		outcome_say(why, 550, "5.4.4", "no-address", "The MX host %s of %s has no address",
		    host->name, facts->domain);
}

/* Of the addresses there are: one family's failure says nothing about the other's. */
static enum security address_security(const struct facts_host *host)
{
	const struct finding *findings[] = { &host->ipv4, &host->ipv6 };
	enum security security = SECURITY_SECURE;
	bool any = false;

	for (size_t i = 0; i < 2; i++) {
		if (findings[i]->status != ANSWER_OK)
			continue;
		any = true;
		if (findings[i]->security != SECURITY_SECURE)
			security = findings[i]->security;
	}
	if (any)
		return security;
	return host->ipv4.status == ANSWER_BOGUS || host->ipv6.status == ANSWER_BOGUS
		   ? SECURITY_BOGUS
		   : SECURITY_INSECURE;
}

/* RFC 5321 5.1: best preference first, equals at random. What TLS a host offers has no say. */
static void order_hosts(struct plan *plan, uint64_t shuffle)
{
	for (size_t left = plan->n_hosts; left > 1; left--) {
		size_t chosen = next_random(&shuffle) % left;
		struct plan_host last = plan->hosts[left - 1];

		plan->hosts[left - 1] = plan->hosts[chosen];
		plan->hosts[chosen] = last;
	}
	/* qsort() need not keep the order of equals, but it can't know what they are either. */
	if (plan->n_hosts > 0)
		qsort(plan->hosts, plan->n_hosts, sizeof *plan->hosts, compare_hosts);
}

static int compare_hosts(const void *a, const void *b)
{
	const struct plan_host *one = a, *other = b;

	return (one->preference > other->preference) - (one->preference < other->preference);
}

/* SplitMix64: spreads any seed, also 0 and 1. */
static uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
	z = (z ^ z >> 27) * 0x94d049bb133111eb;
	return z ^ z >> 31;
}

/* RFC 5321 5.1: ourselves in the list, and whoever is no better, would bring the mail round again. */
static void leave_out_ourselves(const struct config *config, struct plan *plan)
{
	const struct plan_host *ourselves = NULL;

	for (size_t i = 0; i < plan->n_hosts && ourselves == NULL; i++) {
		if (config->hostname != NULL && strcmp(plan->hosts[i].name, config->hostname) == 0)
			ourselves = &plan->hosts[i];
	}
	for (size_t i = 0; ourselves != NULL && i < plan->n_hosts; i++) {
		struct plan_host *host = &plan->hosts[i];

		if (host->preference < ourselves->preference)
			continue;
		outcome_say(&host->unusable, 554, "5.4.6", "mx-loops-back",
		    "Mail for %s would come back to us: its MX host %s is %s", plan->domain,
		    host->name,
		    host == ourselves ? "this server"
				      : "no better than this server, which is one too");
	}
}

/* A reason that may pass speaks before one that won't: mail bounces only if no host could do. */
static void refuse_if_none_is_left(struct plan *plan)
{
	const struct plan_host *speaks = NULL;

	for (size_t i = 0; i < plan->n_hosts; i++) {
		const struct plan_host *host = &plan->hosts[i];

		if (outcome_is_ok(&host->unusable))
			return;
		if (speaks == NULL || (speaks->unusable.class == OUTCOME_FAIL &&
					  host->unusable.class == OUTCOME_DEFER))
			speaks = host;
	}
	if (speaks != NULL)
		plan->refusal = speaks->unusable;
	else
		outcome_say(&plan->refusal, 451, "4.4.3", "dns-failed",
		    "The MX records of %s name no host", plan->domain);
}
