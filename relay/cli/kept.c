#include "relay/cli/kept.h"

#include "relay/cli/ask.h"

static void on_policy(void *arg, json_t *line)
{
	const struct sts_kept kept = { .domain = cli_text(line, "domain"),
		.id = cli_text(line, "id"),
		.policy = cli_text(line, "policy"),
		.fetched_s = cli_number(line, "fetched"),
		.expires_s = cli_number(line, "expires") };

	sts_load(arg, &kept);
}

void kept_load(const struct config *config, const char *domain, struct sts *sts)
{
	json_t *end;

	cli_ask_if_running(config, json_pack("{s:s, s:s}", "command", "policy", "domain", domain),
	    on_policy, sts, &end);
	json_decref(end);
}
