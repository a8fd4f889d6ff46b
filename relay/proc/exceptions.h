/*
 * Says aloud which partners' exceptions are in force, and when one ends. They end by themselves
 * (config_exception_at()); this only tells. Lives in the queue role.
 */
#pragma once

#include "config/config.h"
#include "relay/net/loop.h"

struct exceptions;

/* Logs what is in force now, and what is over though it is still written. */
struct exceptions *exceptions_create(struct loop *loop, const struct config *config);
void exceptions_destroy(struct exceptions **exceptions);
