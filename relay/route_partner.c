/*
 * The operator's word: a route of his own, a partner's exception while it is in force, the partner's
 * rule, or what holds for everybody. A rule that is only observed says nothing here.
 */
#include <stdio.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/route_tls.h"

static void find_operators_word(struct route_scene *scene);
static bool mx_is_allowed(const struct config_partner *partner, const char *name);

/* What an account demands before anything is looked at is DANE: the rest is in route_sender.c. */
void route_find_word(struct route_scene *scene)
{
	const struct route_wish *wish = &scene->question->wish;
	struct route_word *word = &scene->word;

	scene->is_optional = wish->tls_optional && !wish->requires_tls;
	find_operators_word(scene);
	if ((wish->floor == TLS_DANE || wish->floor == TLS_DANE_ONLY) &&
	    (word->level <= TLS_ENCRYPT || word->level == TLS_DANE)) {
		word->level = TLS_DANE_ONLY;
		word->demand = DEMAND_ACCOUNT;
	}
}

static void find_operators_word(struct route_scene *scene)
{
	const struct route_question *question = scene->question;
	struct route_word *word = &scene->word;

	if (question->route != NULL) {
		*word = (struct route_word){
			.level = question->route->level, .demand = DEMAND_ROUTE, .is_final = true
		};
		return;
	}
	scene->partner = config_find_partner(scene->config, question->domain);
	if (scene->partner != NULL)
		scene->exception = config_exception_at(scene->partner, question->now_s);
	if (scene->exception != NULL)
		*word = (struct route_word){ .level = scene->exception->level,
			.demand = DEMAND_EXCEPTION,
			.partner = scene->partner,
			.is_final = true };
	else if (scene->partner != NULL && !scene->partner->observe)
		*word = route_word_of_rule(scene);
	else if (scene->is_optional && scene->config->delivery.tls > TLS_MAY)
		*word = (struct route_word){
			.level = TLS_MAY, .demand = DEMAND_TLS_OPTIONAL, .is_final = true
		};
	else
		*word = (struct route_word){ .level = scene->config->delivery.tls,
			.demand = DEMAND_DEFAULT };
}

/* "none" and "may" are written against what the receiver asks; the others are floors. */
struct route_word route_word_of_rule(const struct route_scene *scene)
{
	/* RFC 8689 4.2.2: the sender waives what the receiver asks, and not what the operator does. */
	return (struct route_word){ .level = scene->partner->level,
		.demand = DEMAND_PARTNER,
		.partner = scene->partner,
		.filters_mx = true,
		.is_final = scene->partner->level <= TLS_MAY || scene->is_optional };
}

void route_filter_mx(
    const struct route_scene *scene, const struct route_word *word, struct plan_host *host)
{
	struct outcome why;

	if (!word->filters_mx || mx_is_allowed(word->partner, host->name))
		return;
	outcome_say(&why, 451, "4.7.0", "partner-mx-name",
	    "The MX host %s of %s is none of the names that the partner rule allows; if it is right, "
	    "add it to mx in partner %s",
	    host->name, scene->question->domain, word->partner->name);
	route_make_unusable(host, &why);
}

static bool mx_is_allowed(const struct config_partner *partner, const char *name)
{
	for (size_t i = 0; i < partner->n_mx; i++) {
		if (domain_matches(partner->mx[i], name))
			return true;
	}
	return partner->n_mx == 0;
}

void route_name_partner(
    const struct config_partner *partner, const char *domain, struct tls_requirement *tls)
{
	char below[DOMAIN_MAX + 2];

	for (size_t i = 0; partner != NULL && i < partner->n_mx; i++)
		route_add_name(tls, partner->mx[i]);
	if (tls->n_names > 0)
		return;
	snprintf(below, sizeof below, "*.%s", domain);
	route_add_name(tls, domain);
	route_add_name(tls, below);
}

void route_print_exception(const struct config_exception *exception, char *text, size_t room)
{
	char until[CLOCK_DATE_MAX];

	*text = '\0';
	if (exception == NULL)
		return;
	clock_print_iso(exception->until_s, until);
	snprintf(text, room, "until %s, tls=%s (%s)", until, tls_level_name(exception->level),
	    exception->reason);
}
