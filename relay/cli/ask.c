#include "relay/cli/ask.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

enum { ANSWER_TIMEOUT_S = 60 };

static int connect_to(const char *path, int *status)
{
	const struct timeval patience = { ANSWER_TIMEOUT_S, 0 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && strlen(path) < sizeof address.sun_path) {
		strcpy(address.sun_path, path);
		setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
		if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
			return fd;
	}
	*status = errno == EACCES || errno == EPERM ? EX_NOPERM : EX_UNAVAILABLE;
	cli_fail(*status,
	    errno == EACCES || errno == EPERM
		? "the relay's control socket %s is not for you (%s): become root"
		: "the relay cannot be reached at %s: %s; is it running (\"zegel serve\")?",
	    path, strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

static bool send_request(FILE *stream, json_t *request)
{
	bool sent = json_dumpf(request, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF &&
		    fflush(stream) == 0;

	json_decref(request);
	return sent;
}

int cli_ask(struct cli *cli, json_t *request, cli_answer *answer, void *arg, json_t **end)
{
	int status = EX_OK, fd;
	struct config *config = cli_load_unfinished(cli, &status);
	char *text = NULL;
	size_t room = 0;
	FILE *stream;

	*end = NULL;
	if (config == NULL) {
		json_decref(request);
		return status;
	}
	fd = connect_to(config->control, &status);
	config_destroy(&config);
	stream = fd >= 0 ? fdopen(fd, "r+") : NULL;
	if (stream == NULL) {
		json_decref(request);
		return status;
	}
	if (!send_request(stream, request))
		status = cli_fail(EX_IOERR, "the relay does not take the request");
	while (status == EX_OK && *end == NULL && getline(&text, &room, stream) > 0) {
		json_t *line = json_loads(text, 0, NULL);

		if (json_object_get(line, "error") != NULL)
			status = cli_fail(EX_DATAERR, "%s", cli_text(line, "error"));
		else if (json_object_get(line, "end") != NULL)
			*end = json_incref(line);
		else if (line != NULL)
			answer(arg, line);
		json_decref(line);
	}
	if (status == EX_OK && *end == NULL)
		status = cli_fail(EX_IOERR, "the relay broke off its answer: see its log");
	free(text);
	fclose(stream);
	return status;
}

json_int_t cli_number(const json_t *line, const char *key)
{
	return json_integer_value(json_object_get(line, key));
}

const char *cli_text(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));

	return text != NULL ? text : "";
}
