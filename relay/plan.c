#include "relay/plan.h"

#include <stdlib.h>

void plan_finish(struct plan *plan)
{
	for (size_t i = 0; i < plan->n_hosts; i++) {
		struct plan_host *host = &plan->hosts[i];

		for (size_t j = 0; j < host->n_watches; j++)
			tls_requirement_finish(&host->watches[j].tls);
		tls_requirement_finish(&host->tls);
		free(host->tlsa_texts);
	}
	free(plan->hosts);
	sts_finding_finish(&plan->sts);
	*plan = (struct plan){ 0 };
}
