/*
 * What zegel explain tells: who may send, where the mail goes, what TLS each host must show and by
 * whose demand, and what follows from all that.
 */
#pragma once

#include <jansson.h>

#include "config/config.h"
#include "relay/cli/grant.h"
#include "relay/plan.h"
#include "relay/route.h"

struct explanation {
	const struct config *config;
	const struct plan *plan;
	const struct grant *grant; /* NULL: the question was about a domain alone */
	const char *sender;        /* then "" */
	struct route_wish wish;    /* what the mail asks for */
	int64_t now_s;             /* wall clock */
};

enum { EXPLAIN_DECISION_MAX = 1200 };

/* In one sentence: where the mail would go first and how, or why it waits or is refused. */
void explain_decide(const struct explanation *e, char text[EXPLAIN_DECISION_MAX]);

/* Would the mail go now? */
bool explain_is_well(const struct explanation *e);

/* explain_print.c: for people. */
void explain_print(const struct explanation *e);

/* explain_json.c: the same for programs. */
json_t *explain_to_json(const struct explanation *e);

/* Since the policy was fetched; 0 without one. */
int64_t explain_policy_age_s(const struct explanation *e);
