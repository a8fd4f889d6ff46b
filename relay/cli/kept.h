/* The MTA-STS policy that the running relay keeps, for commands that plan as it would. */
#pragma once

#include "config/config.h"
#include "relay/lookup/sts.h"

/* Gives it to sts, if the relay runs and keeps one of the domain. */
void kept_load(const struct config *config, const char *domain, struct sts *sts);
