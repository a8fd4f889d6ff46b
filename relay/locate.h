/*
 * Where the mail for a domain goes: the question to the lookup role, about its MX or about the next
 * hop the operator wrote, and the plan that its answer makes.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/ipc/asker.h"
#include "relay/message.h"
#include "relay/plan.h"

/* Returns the number of the question, to cancel it with. */
uint64_t locate_ask(struct asker *lookup, const struct config *config, const char *domain,
    asker_answer *answer, void *arg);

/*
 * The answer to that question as the plan for this message, to be plan_finish()ed. False if nobody
 * has answered (NULL), or nothing that can be read.
 */
bool locate_plan(const struct config *config, const char *domain, const struct message *message,
    const struct ipc_message *answer, struct plan *plan);
