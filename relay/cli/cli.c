/*
 * From words to a command: options, the nearest command for a mistyped one, help.
 */
#include "relay/cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sysexits.h>
#include <unistd.h>

#include "config/suggest.h"
#include "relay/base/log.h"

#if !defined ZEGEL_CONFIG || !defined ZEGEL_VERSION
#error "the build says where the configuration is and what version this is"
#endif

struct command {
	const char *noun, *verb;
	cli_command *run;
	int least, most;
	const char *arguments, *help;
};

static const struct command commands[] = {
#define X(noun, verb, handler, least, most, arguments, help)                                       \
	{ noun, verb, handler, least, most, arguments, help },
	CLI_COMMANDS(X)
#undef X
};
enum { N_COMMANDS = sizeof commands / sizeof commands[0] };

static int read_options(struct cli *cli, int argc, char **argv, bool *help);
static const struct command *find_command(struct cli *cli);
static int no_such_command(const struct cli *cli);
static int run(const struct command *command, struct cli *cli);
static int print_help(void);
static int print_command_help(const char *noun, const char *verb);
static void print_usage(FILE *to, const struct command *command);
static struct config *load(const struct cli *cli, bool finished, int *status);

int cli_main(int argc, char **argv)
{
	struct cli cli = { .config_path = ZEGEL_CONFIG };
	const struct command *command;
	bool help = false;
	int status = read_options(&cli, argc, argv, &help);

	if (status >= 0)
		return status;
	if (cli.argc == 0 && help)
		return print_help();
	if (cli.argc == 0)
		return cli_fail(EX_USAGE, "no command given; try: zegel --help");
	if (help)
		return print_command_help(cli.argv[0], cli.argc > 1 ? cli.argv[1] : NULL);
	command = find_command(&cli);
	return command == NULL ? no_such_command(&cli) : run(command, &cli);
}

/* Options may stand anywhere before "--". -1 to go on, else the status to exit with. */
static int read_options(struct cli *cli, int argc, char **argv, bool *help)
{
	static const struct option options[] = { { "config", required_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' }, { "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' }, { "requiretls", no_argument, NULL, 'R' },
		{ "tls-required", required_argument, NULL, 'N' }, { NULL, 0, NULL, 0 } };
	int option;

	opterr = 0;
	while ((option = getopt_long(argc, argv, ":c:hV", options, NULL)) != -1) {
		switch (option) {
		case 'c': cli->config_path = optarg; break;
		case 'j': cli->json = true; break;
		case 'h': *help = true; break;
		case 'R': cli->requires_tls = true; break;
		case 'N':
			if (strcasecmp(optarg, "no") != 0)
				return cli_fail(EX_USAGE,
				    "--tls-required=%s: RFC 8689 knows only --tls-required=no",
				    optarg);
			cli->tls_optional = true;
			break;
		case 'V': printf("zegel %s\n", ZEGEL_VERSION); return EX_OK;
		case ':': return cli_fail(EX_USAGE, "'%s' needs a value", argv[optind - 1]);
		default:
			return cli_fail(
			    EX_USAGE, "unknown option '%s'; try: zegel --help", argv[optind - 1]);
		}
	}
	cli->argc = argc - optind;
	cli->argv = argv + optind;
	return -1;
}

/* Leaves the arguments of the command in cli. */
static const struct command *find_command(struct cli *cli)
{
	for (size_t i = 0; i < N_COMMANDS; i++) {
		int words = commands[i].verb[0] == '\0' ? 1 : 2;

		if (strcmp(cli->argv[0], commands[i].noun) != 0 || cli->argc < words ||
		    (words == 2 && strcmp(cli->argv[1], commands[i].verb) != 0))
			continue;
		cli->argc -= words;
		cli->argv += words;
		return &commands[i];
	}
	return NULL;
}

static int no_such_command(const struct cli *cli)
{
	const char *words[N_COMMANDS];
	const char *nearest;
	size_t n = 0;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		if (strcmp(commands[i].noun, cli->argv[0]) == 0)
			words[n++] = commands[i].verb;
	}
	if (n > 0 && cli->argc == 1) {
		cli_fail(EX_USAGE, "%s what?", cli->argv[0]);
		print_command_help(cli->argv[0], NULL);
		return EX_USAGE;
	}
	if (n > 0) {
		nearest = suggest_nearest(cli->argv[1], words, n);
		return cli_fail(EX_USAGE, "unknown command '%s %s'%s%s%s", cli->argv[0],
		    cli->argv[1], nearest == NULL ? "; try: zegel --help" : ": did you mean '",
		    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
	}
	for (size_t i = 0; i < N_COMMANDS; i++)
		words[n++] = commands[i].noun;
	nearest = suggest_nearest(cli->argv[0], words, n);
	return cli_fail(EX_USAGE, "unknown command '%s'%s%s%s", cli->argv[0],
	    nearest == NULL ? "; try: zegel --help" : ": did you mean '",
	    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
}

static int run(const struct command *command, struct cli *cli)
{
	int status;

	if (cli->argc < command->least || cli->argc > command->most) {
		print_usage(stderr, command);
		return EX_USAGE;
	}
	if ((cli->requires_tls || cli->tls_optional) && command->run != cli_explain)
		return cli_fail(EX_USAGE, "--requiretls and --tls-required are options of explain");
	/* What a command has to say is its answer, not what it did for it. */
	if (command->run != cli_serve)
		log_open("stderr", LOG_LEVEL_WARNING, NULL, 0);
	status = command->run(cli);
	/* A full disk behind a redirection is a failure too, not half an answer. */
	if (fflush(stdout) != 0 && status == EX_OK)
		return cli_fail(EX_IOERR, "cannot write the answer: %s", strerror(errno));
	return status;
}

static int print_help(void)
{
	puts("Usage: zegel [-c FILE] [--json] COMMAND [ARGUMENT...]\n");
	for (size_t i = 0; i < N_COMMANDS; i++) {
		char words[64];

		snprintf(words, sizeof words, "%s%s%s%s%s", commands[i].noun,
		    commands[i].verb[0] == '\0' ? "" : " ", commands[i].verb,
		    commands[i].arguments[0] == '\0' ? "" : " ", commands[i].arguments);
		printf("  %-35s %s\n", words, commands[i].help);
	}
	puts("\n  -c FILE  instead of " ZEGEL_CONFIG ";  --json  one object a line\n"
	     "  explain: --requiretls, --tls-required=no, of mail that asks so itself\n"
	     "  COMMAND --help, --version; and see zegel(8), zegel.conf(5)");
	return EX_OK;
}

static int print_command_help(const char *noun, const char *verb)
{
	bool found = false;

	for (size_t i = 0; i < N_COMMANDS; i++) {
		const struct command *c = &commands[i];

		if (strcmp(c->noun, noun) != 0 ||
		    (verb != NULL && c->verb[0] != '\0' && strcmp(c->verb, verb) != 0))
			continue;
		print_usage(stdout, c);
		printf("       %s\n", c->help);
		found = true;
	}
	return found ? EX_OK : cli_fail(EX_USAGE, "there is no such command; try: zegel --help");
}

static void print_usage(FILE *to, const struct command *c)
{
	fprintf(to, "Usage: zegel [-c FILE] [--json] %s%s%s%s%s\n", c->noun,
	    c->verb[0] == '\0' ? "" : " ", c->verb, c->arguments[0] == '\0' ? "" : " ",
	    c->arguments);
}

int cli_fail(int status, const char *format, ...)
{
	va_list args;

	fflush(stdout);
	fputs("zegel: ", stderr);
	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	return status;
}

struct config *cli_load(const struct cli *cli, int *status)
{
	return load(cli, true, status);
}

struct config *cli_load_unfinished(const struct cli *cli, int *status)
{
	return load(cli, false, status);
}

static struct config *load(const struct cli *cli, bool finished, int *status)
{
	struct config_remarks remarks;
	struct config *config;

	*status = EX_OK;
	if (access(cli->config_path, R_OK) != 0) {
		*status = errno == EACCES ? EX_NOPERM : EX_NOINPUT;
		cli_fail(*status, "cannot open '%s': %s%s", cli->config_path, strerror(errno),
		    errno == ENOENT ? "; write it, or name another with -c FILE" : "");
		return NULL;
	}
	config = finished ? config_load(cli->config_path, &remarks)
			  : config_load_unfinished(cli->config_path, &remarks);
	if (config == NULL) {
		for (size_t i = 0; i < remarks.n; i++)
			fprintf(stderr, "%s\n", remarks.texts[i]);
		*status = EX_CONFIG;
	}
	config_remarks_finish(&remarks);
	return config;
}

void cli_print_json(json_t *object)
{
	json_dumpf(object, stdout, JSON_COMPACT);
	putchar('\n');
	json_decref(object);
}

json_t *cli_refusal_to_json(const struct outcome *outcome)
{
	if (outcome_is_ok(outcome))
		return json_null();
	return json_pack("{s:s, s:i, s:s, s:s, s:s}", "class", outcome_class_name(outcome->class),
	    "code", outcome->code, "enhanced", outcome->enhanced, "name", outcome->name, "text",
	    outcome->text);
}

json_t *cli_texts_to_json(char *const *texts, size_t n)
{
	json_t *array = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(array, json_string(texts[i]));
	return array;
}
