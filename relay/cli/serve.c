/*
 * zegel serve
 */
#include "relay/cli/cli.h"
#include "relay/proc/parent.h"

int cli_serve(struct cli *cli)
{
	return parent_run(cli->config_path);
}
