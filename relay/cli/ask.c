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

#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/json_text.h"

enum { ANSWER_TIMEOUT_S = 60, WHY_MAX = 512 };

static int connect_to(const char *path);
static int converse(
    int fd, json_t *request, cli_answer *answer, void *arg, json_t **end, char *why, size_t room);
static bool send_request(FILE *stream, json_t *request);

int cli_ask(struct cli *cli, json_t *request, cli_answer *answer, void *arg, json_t **end)
{
	int status = EX_OK, fd;
	struct config *config = cli_load_unfinished(cli, &status);
	char why[WHY_MAX];

	*end = NULL;
	if (config == NULL) {
		json_decref(request);
		return status;
	}
	fd = connect_to(config->control);
	if (fd < 0) {
		bool is_forbidden = errno == EACCES || errno == EPERM;

		status = is_forbidden ? EX_NOPERM : EX_UNAVAILABLE;
		cli_fail(status,
		    is_forbidden
			? "the relay's control socket %s is not for you (%s): become root"
			: "the relay cannot be reached at %s: %s; is it running (\"zegel serve\")?",
		    config->control, strerror(errno));
		json_decref(request);
	} else {
		status = converse(fd, request, answer, arg, end, why, sizeof why);
		if (status != EX_OK)
			cli_fail(status, "%s", why);
	}
	config_destroy(&config);
	return status;
}

bool cli_ask_if_running(
    const struct config *config, json_t *request, cli_answer *answer, void *arg, json_t **end)
{
	int fd = connect_to(config->control);
	char why[WHY_MAX];

	*end = NULL;
	if (fd < 0) {
		json_decref(request);
		return false;
	}
	if (converse(fd, request, answer, arg, end, why, sizeof why) == EX_OK)
		return true;
	json_decref(*end);
	*end = NULL;
	return false;
}

void cli_ignore_line(void *arg, json_t *line)
{
	(void)arg, (void)line;
}

/* -1 and errno if it cannot be reached. */
static int connect_to(const char *path)
{
	const struct timeval patience = { ANSWER_TIMEOUT_S, 0 };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), failure;

	if (fd < 0)
		return -1;
	snprintf(address.sun_path, sizeof address.sun_path, "%s", path);
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	failure = errno;
	close(fd);
	errno = failure;
	return -1;
}

/* Takes fd and the request over. EX_OK and the last line, or another status and why. */
static int converse(
    int fd, json_t *request, cli_answer *answer, void *arg, json_t **end, char *why, size_t room)
{
	FILE *stream = fdopen(fd, "r+");
	int status = EX_OK;
	char *text = NULL;
	size_t room_text = 0;

	if (stream == NULL)
		abort();
	if (!send_request(stream, request)) {
		snprintf(why, room, "the relay does not take the request");
		status = EX_IOERR;
	}
	while (status == EX_OK && *end == NULL && getline(&text, &room_text, stream) > 0) {
		json_t *line = json_loads(text, 0, NULL);

		if (json_object_get(line, "error") != NULL) {
			snprintf(why, room, "%s", cli_text(line, "error"));
			status = EX_DATAERR;
		} else if (json_object_get(line, "end") != NULL) {
			*end = json_incref(line);
		} else if (line != NULL) {
			answer(arg, line);
		}
		json_decref(line);
	}
	if (status == EX_OK && *end == NULL) {
		snprintf(why, room, "the relay broke off its answer: see its log");
		status = EX_IOERR;
	}
	free(text);
	fclose(stream);
	return status;
}

static bool send_request(FILE *stream, json_t *request)
{
	bool sent = json_dumpf(request, stream, JSON_COMPACT) == 0 && fputc('\n', stream) != EOF &&
		    fflush(stream) == 0;

	json_decref(request);
	return sent;
}

/* Recipients are stored with their domain in canonical form. */
bool cli_is_of(const json_t *line, const char *domain)
{
	const char *at = strrchr(cli_text(line, "recipient"), '@');
	char canonical[DOMAIN_MAX];

	return at != NULL && domain_written(domain, canonical) && strcmp(at + 1, canonical) == 0;
}

json_t *cli_address(const char *written)
{
	const char *at = strrchr(written, '@');
	char domain[DOMAIN_MAX], *address;
	json_t *text;

	if (at == NULL || !domain_written(at + 1, domain))
		return json_text(written);
	address = mem_print("%.*s@%s", (int)(at - written), written, domain);
	text = json_text(address);
	free(address);
	return text;
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
