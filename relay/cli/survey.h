/*
 * Every host of a plan, in its order, and every address of each: not only the first that answers, for
 * behind one name there may be machines with different certificates. A host is accepted if one of its
 * addresses answers, and all that answer are accepted.
 */
#pragma once

#include <jansson.h>

#include "config/config.h"
#include "relay/cli/cli.h"
#include "relay/cli/probe.h"
#include "relay/net/loop.h"
#include "relay/plan.h"

struct survey_host {
	const struct plan_host *host;
	/* The plan's, then what the rule says that an exception is in place of. They own nothing. */
	struct plan_watch watches[PROBE_WATCHES_MAX];
	size_t n_watches;
	struct probe_finding
	    findings[PLAN_ADDRESSES_MAX]; /* one for each address, in their order */
	size_t n_findings;                /* 0: the plan forbids the host, or it has no address */
	bool is_reached;                  /* some address answered */
	struct outcome verdict;           /* of the host: ok, or the first refusal */
	struct outcome would; /* the same, if the partner's rule were required; ok without */
	json_t *warnings;     /* objects of name and text */
};

struct survey {
	const struct plan *plan;
	const struct config_partner *partner; /* whose rule is told of; NULL: none */
	const struct plan
	    *after;       /* when the partner's exception has ended; NULL: none is in force */
	size_t n_needing; /* hosts that are refused then, or could not be looked at */
	size_t n_refused, n_would_refuse; /* hosts */
};

/*
 * Tells of each host as soon as it is known, and of the domain at the end, as text or JSON. EX_OK, or
 * CLI_PROBLEMS if a host is refused, or would be if the partner's rule were required.
 */
int survey_run(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan);

/* survey_warn.c: what works today and should be looked at. Arrays, the caller's. */
json_t *survey_warn_host(const struct survey_host *host, int64_t now_s);
json_t *survey_warn_domain(const struct survey *survey, int64_t now_s);

/* survey_print.c: as people and as programs read it; the rule first, if there is one. */
void survey_print_rule(const struct cli *cli, const struct survey *survey);
void survey_print_host(
    const struct cli *cli, const struct survey *survey, const struct survey_host *host);
void survey_print_domain(
    const struct cli *cli, const struct survey *survey, const json_t *warnings);
