/* Where a host is: which of its addresses are tried, in which order, and why none is. */
#pragma once

#include "relay/route_scene.h"

/* Fills the addresses of a host, and unusable if there are none to try. */
void route_take_addresses(
    const struct route_scene *scene, const struct facts_host *facts_host, struct plan_host *host);
