/*
 * Rules that are not enforced: a partner rule in mode observe, MTA-STS in testing or behind DANE. What
 * each would have said of a connection is told to the operator, and the mail goes all the same.
 */
#pragma once

#include "relay/connection.h"
#include "relay/plan.h"

/*
 * The verdict of each of the host's watches on the connection, in their order: ok, or why it would
 * have been refused. Judged now, also of one that was kept.
 */
void watch_judge(const struct plan_host *host, const struct connection *c,
    struct outcome verdicts[PLAN_WATCHES_MAX]);

/*
 * A warning for each that would have refused it [partner-observe], [sts-testing]; and one if it is a
 * partner's exception that lets it go [partner-exception]. message_id: for the log.
 */
void watch_warn(const struct plan *plan, const struct plan_host *host, const struct connection *c,
    const struct outcome verdicts[PLAN_WATCHES_MAX], const char *message_id);
