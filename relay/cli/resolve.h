/*
 * The plan for a domain, made in the process of a command as the daemon would make it now.
 */
#pragma once

#include "config/config.h"
#include "relay/base/domain.h"
#include "relay/net/loop.h"
#include "relay/plan.h"

/*
 * A domain, or the domain of a mail address, in canonical form. EX_OK, or an exit status with the
 * problem told.
 */
int resolve_read_domain(const char *argument, char domain[DOMAIN_MAX]);

/* EX_OK and a plan to plan_finish(), or an exit status with the problem told. Runs the loop. */
int resolve_plan(
    struct loop *loop, const struct config *config, const char *domain, struct plan *plan);

/* "2001:db8::1" into text, which has room for RESOLVE_ADDRESS_MAX. */
enum { RESOLVE_ADDRESS_MAX = 46 };
void resolve_print_address(const union plan_address *address, char *text);
