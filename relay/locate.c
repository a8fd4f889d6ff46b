#include "relay/locate.h"

#include <sys/random.h>

#include "relay/base/clock.h"
#include "relay/lookup/facts.h"
#include "relay/route.h"

static struct route_wish wish_of(const struct config *config, const struct message *message);

uint64_t locate_ask(struct asker *lookup, const struct config *config, const char *domain,
    asker_answer *answer, void *arg)
{
	const struct config_route *route = config_find_route(config, domain);
	struct ipc_message m = { .type = IPC_FACTS_ASK, .fd = -1 };

	m.facts_ask.domain = route != NULL ? route->host : domain;
	m.facts_ask.is_host = route != NULL;
	m.facts_ask.port = route != NULL ? route->port : config->delivery.port;
	return asker_ask(lookup, 0, &m, answer, arg);
}

bool locate_plan(const struct config *config, const char *domain, const struct message *message,
    const struct ipc_message *answer, struct plan *plan)
{
	struct route_question question = { .domain = domain,
		.route = config_find_route(config, domain),
		.wish = wish_of(config, message),
		.now_s = clock_wall_s() };
	struct facts facts;

	if (answer == NULL ||
	    !facts_decode(answer->facts_say.facts.bytes, answer->facts_say.facts.n, &facts))
		return false;
	if (getrandom(&question.shuffle, sizeof question.shuffle, GRND_NONBLOCK) < 0)
		question.shuffle = (uint64_t)clock_monotonic_ms();
	route_find(config, &facts, &question, plan);
	facts_finish(&facts);
	return true;
}

/*
 * An account that is no more has the floor it had; our own mail has no account, and none. A notification is not held
 * back for want of REQUIRETLS (RFC 8689 5).
 */
static struct route_wish wish_of(const struct config *config, const struct message *message)
{
	const struct config_account *account = config_find_account(config, message->account);

	return (
	    struct route_wish){ .floor = account != NULL ? account->tls_floor : message->tls_floor,
		.requires_tls = message->requires_tls,
		.is_notification = *message->sender == '\0',
		.tls_optional = message->tls_optional };
}
