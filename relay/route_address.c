#include "relay/route_address.h"

#include <arpa/inet.h>
#include <string.h>

#include "relay/lookup/scope.h"

/* What became of a host's addresses. */
struct sorting {
	size_t n_loopback, n_family_off, n_ours;
};

static uint16_t port_of(const struct route_scene *scene);
static bool take_address(const struct route_scene *scene, const struct answer_address *from,
    struct sorting *sorting, union plan_address *to);
static bool is_our_listener(const struct route_scene *scene, const struct answer_address *address);
static void judge_addresses(const struct route_scene *scene, const struct facts_host *facts_host,
    const struct sorting *sorting, struct plan_host *host);
static void judge_next_hop(const struct route_scene *scene, const struct facts_host *facts_host,
    const struct sorting *sorting, struct plan_host *host);
static const struct finding *failed_family(const struct facts_host *facts_host);
static enum security address_security(const struct facts_host *host);

/* IPv6 and IPv4 in turns, so that neither family's trouble costs more than one timeout. */
void route_take_addresses(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host)
{
	union plan_address taken[2][FACTS_ADDRESSES_MAX];
	struct sorting sorting = { 0 };
	size_t n_taken[2] = { 0 };

	host->address_security = address_security(facts_host);
	for (size_t i = 0; i < facts_host->n_addresses; i++) {
		const struct answer_address *from = &facts_host->addresses[i];
		size_t family = from->family == 6 ? 0 : 1;

		if (take_address(scene, from, &sorting, &taken[family][n_taken[family]]))
			n_taken[family]++;
	}
	for (size_t i = 0; i < FACTS_ADDRESSES_MAX; i++) {
		for (size_t family = 0; family < 2; family++) {
			if (i < n_taken[family] && host->n_addresses < PLAN_ADDRESSES_MAX)
				host->addresses[host->n_addresses++] = taken[family][i];
		}
	}
	if (host->n_addresses > 0)
		return;
	if (scene->question->route != NULL)
		judge_next_hop(scene, facts_host, &sorting, host);
	else
		judge_addresses(scene, facts_host, &sorting, host);
}

static bool take_address(const struct route_scene *scene, const struct answer_address *from,
    struct sorting *sorting, union plan_address *to)
{
	const struct config_delivery *delivery = &scene->config->delivery;

	if (!(from->family == 6 ? delivery->ipv6 : delivery->ipv4)) {
		sorting->n_family_off++;
		return false;
	}
	/* A next hop on this machine is what the operator wrote; an MX there is a mistake or worse. */
	if (scene->question->route == NULL && !delivery->allow_loopback &&
	    address_scope(from) == SCOPE_LOOPBACK) {
		sorting->n_loopback++;
		return false;
	}
	if (is_our_listener(scene, from)) {
		sorting->n_ours++;
		return false;
	}
	memset(to, 0, sizeof *to);
	if (from->family == 6) {
		to->ipv6.sin6_family = AF_INET6;
		to->ipv6.sin6_port = htons(port_of(scene));
		memcpy(&to->ipv6.sin6_addr, from->bytes, 16);
	} else {
		to->ipv4.sin_family = AF_INET;
		to->ipv4.sin_port = htons(port_of(scene));
		memcpy(&to->ipv4.sin_addr, from->bytes, 4);
	}
	return true;
}

static uint16_t port_of(const struct route_scene *scene)
{
	return scene->question->route != NULL ? scene->question->route->port
					      : scene->config->delivery.port;
}

/* Whoever listens on every address listens on loopback; which others are ours is not known here. */
static bool is_our_listener(const struct route_scene *scene, const struct answer_address *address)
{
	static const uint8_t any[16];
	const struct config *config = scene->config;
	size_t n_bytes = address->family == 6 ? 16 : 4;

	for (size_t i = 0; i < config->n_listens; i++) {
		const struct config_listen *listen = &config->listens[i];
		uint8_t bytes[16];

		if (listen->port != port_of(scene) ||
		    inet_pton(address->family == 6 ? AF_INET6 : AF_INET, listen->address, bytes) !=
			1)
			continue;
		if (memcmp(bytes, address->bytes, n_bytes) == 0 ||
		    (memcmp(bytes, any, n_bytes) == 0 && address_scope(address) == SCOPE_LOOPBACK))
			return true;
	}
	return false;
}

/* Why an MX host without an address to try has none. A failure leaves it open, so it comes first. */
static void judge_addresses(const struct route_scene *scene, const struct facts_host *facts_host,
    const struct sorting *sorting, struct plan_host *host)
{
	const struct finding *failed = failed_family(facts_host);
	const char *domain = scene->question->domain;
	struct outcome *why = &host->unusable;

	if (finding_is_failure(failed))
		outcome_say(why, 451, "4.4.3",
		    failed->status == ANSWER_BOGUS ? "dns-bogus" : "dns-failed",
		    "The addresses of %s, MX host of %s, could not be learned: %s", host->name,
		    domain, failed->why);
	else if (sorting->n_loopback + sorting->n_ours > 0)
		outcome_say(why, 554, "5.4.6", "mx-loops-back",
		    "Mail for %s would come back to us: its MX host %s has %s", domain, host->name,
		    sorting->n_ours > 0 ? "an address we listen on" : "a loopback address");
	else if (sorting->n_family_off > 0)
		outcome_say(why, 451, "4.4.4", "address-family-off",
		    "The MX host %s of %s has only addresses of a family that delivery here has "
		    "turned off",
		    host->name, domain);
	else if (scene->facts->implicit_mx)
		outcome_say(why, 550, "5.1.2", "domain-not-found",
		    "The domain %s has neither MX records nor addresses", domain);
	else
		outcome_say(why, 550, "5.4.4", "no-address", "The MX host %s of %s has no address",
		    host->name, domain);
}

/* A route that leads nowhere is the operator's mistake: no mail is returned for it. */
static void judge_next_hop(const struct route_scene *scene, const struct facts_host *facts_host,
    const struct sorting *sorting, struct plan_host *host)
{
	const struct finding *failed = failed_family(facts_host);
	const char *domain = scene->question->route->domain;
	struct outcome *why = &host->unusable;

	if (finding_is_failure(failed))
		outcome_say(why, 451, "4.4.3",
		    failed->status == ANSWER_BOGUS ? "dns-bogus" : "dns-failed",
		    "The addresses of %s, host of route %s, could not be learned: %s", host->name,
		    domain, failed->why);
	else if (sorting->n_ours > 0)
		outcome_say(why, 451, "4.4.6", "route-loops-back",
		    "The host %s of route %s is this server, which listens there itself: write another "
		    "host or port",
		    host->name, domain);
	else if (sorting->n_family_off > 0)
		outcome_say(why, 451, "4.4.4", "address-family-off",
		    "The host %s of route %s has only addresses of a family that delivery here has "
		    "turned off",
		    host->name, domain);
	else
		outcome_say(why, 451, "4.4.4", "route-no-address",
		    "The host %s of route %s has no address: write another, or its address, or publish "
		    "one",
		    host->name, domain);
}

static const struct finding *failed_family(const struct facts_host *facts_host)
{
	return finding_is_failure(&facts_host->ipv6) ? &facts_host->ipv6 : &facts_host->ipv4;
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
