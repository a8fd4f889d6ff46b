/*
 * zegel tls probe: connects to every host that receives mail for a domain, as a delivery would, up to
 * the end of the handshake, and says of each whether it would get the mail. Sends no mail.
 */
#include "relay/cli/cli.h"
#include "relay/cli/resolve.h"
#include "relay/cli/survey.h"

int cli_tls_probe(struct cli *cli)
{
	return resolve_and_use(cli, survey_run);
}
