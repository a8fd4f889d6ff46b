/*
 * What everything that makes a plan looks at: the facts, the question, and the operator's word for
 * it. Shared by the files of route, and by nobody else.
 */
#pragma once

#include "config/config.h"
#include "relay/lookup/facts.h"
#include "relay/plan.h"
#include "relay/route.h"

/* What the operator says of a destination. */
struct route_word {
	enum tls_level level;
	enum tls_demand demand;
	const struct config_partner *partner; /* whose names and pins the level means; or NULL */
	bool filters_mx; /* the hosts must bear the names that partner allows, if it has some */
	bool is_final; /* MTA-STS, and TLSA records that the level does not ask for, have no say */
};

struct route_scene {
	const struct config *config;
	const struct facts *facts;
	const struct route_question *question;
	const struct config_partner *partner; /* the rule for the domain; NULL: none, or a route */
	const struct config_exception *exception; /* of the rule, in force; or NULL */
	bool is_optional;       /* TLS-Required: No, and no REQUIRETLS (RFC 8689 4.1) */
	struct route_word word; /* what applies */
};

/* The first reason stays: it is the one that comes first on the road too. */
void route_make_unusable(struct plan_host *host, const struct outcome *why);
