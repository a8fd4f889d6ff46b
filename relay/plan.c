#include "relay/plan.h"

#include <stdlib.h>

void plan_finish(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_hosts; i++)
		tls_requirement_finish(&plan->hosts[i].tls);
	free(plan->hosts);
	*plan = (struct plan){ 0 };
}
