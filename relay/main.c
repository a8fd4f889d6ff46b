/*
 * The one binary. What it does is what the words behind it say: relay/cli/cli.h.
 */
#include "relay/cli/cli.h"

int main(int argc, char **argv)
{
	return cli_main(argc, argv);
}
