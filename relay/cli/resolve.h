/*
 * The plan for a domain, made in the process of a command as the daemon would make it now: by the
 * operator's route or the MX, with the MTA-STS policy that the running relay keeps (and, if it does not
 * run, with one that is fetched and not kept), and without DNSSEC if the running relay has found that
 * the resolver does not validate.
 */
#pragma once

#include "config/config.h"
#include "relay/cli/cli.h"
#include "relay/net/loop.h"
#include "relay/plan.h"
#include "relay/route.h"

/* What a command does with the plan; its exit status. */
typedef int resolve_use(
    struct cli *cli, const struct config *config, struct loop *loop, const struct plan *plan);

/*
 * Resolves the domain of the command's first argument (a domain, or a mail address in it), and uses
 * the plan. The exit status of use, or another with the problem told.
 */
int resolve_and_use(struct cli *cli, resolve_use *use);

/*
 * The same for several domains, canonical, one after the other with one resolver: EX_OK if all uses
 * were, otherwise what the last of the others said.
 */
int resolve_each(struct cli *cli, const struct config *config, const char *const *domains, size_t n,
    resolve_use *use);

/*
 * One plan, for mail that wishes this. EX_OK, with a plan to finish, or an exit status with the
 * problem told.
 */
int resolve_plan(const struct config *config, const char *domain, const struct route_wish *wish,
    struct plan *plan);

/* The domain of "somebody@domain" or of a domain alone; EX_OK, or EX_USAGE with the problem told. */
int resolve_read_domain(const char *argument, char domain[DOMAIN_MAX]);

/* "2001:db8::1" into text, which has room for RESOLVE_ADDRESS_MAX. */
enum { RESOLVE_ADDRESS_MAX = 46 };
void resolve_print_address(const union plan_address *address, char *text);
