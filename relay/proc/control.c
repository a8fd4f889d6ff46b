/*
 * Who may ask, one request a connection, and the lines of the answer. What there is to ask is in
 * control_commands.c.
 */
#include "relay/proc/control.h"

#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/net/line.h"
#include "relay/net/listener.h"
#include "relay/net/stream.h"
#include "relay/proc/control_client.h"

enum {
	CLIENTS_MAX = 64,
	REQUEST_MAX = 4096,
	UNSENT_MAX = 32 << 20,     /* a client that reads no more is dropped */
	CLIENT_TIMEOUT_MS = 60000, /* for the request, and for taking the answer */
	LINGER_MS = 2000,
};

static void on_connection(
    int fd, const struct sockaddr *peer, socklen_t n_peer, struct listener *listener, void *arg);
static void on_readable(struct stream *stream, void *arg);
static void on_drained(struct stream *stream, void *arg);
static void on_ended(struct stream *stream, enum stream_end end, void *arg);
static void on_deadline(void *arg);
static void client_destroy(struct control_client *c);

static const struct stream_calls stream_calls = {
	.readable = on_readable,
	.drained = on_drained,
	.ended = on_ended,
};

struct control *control_create(struct loop *loop, int listen_fd, const struct control_house *house)
{
	struct control *control = mem_create(sizeof *control);

	control->loop = loop;
	control->house = *house;
	control->processes = json_array();
	control->reload_why = mem_copy_text("");
	control->started_s = clock_wall_s();
	outcome_ok(&control->storage);
	TAILQ_INIT(&control->clients);
	control->listener = listener_create(loop, listen_fd, on_connection, control);
	return control;
}

void control_destroy(struct control **control)
{
	struct control_client *c;

	if (*control == NULL)
		return;
	while ((c = TAILQ_FIRST(&(*control)->clients)) != NULL)
		client_destroy(c);
	listener_destroy(&(*control)->listener);
	json_decref((*control)->processes);
	free((*control)->reload_why);
	free(*control);
	*control = NULL;
}

void control_close(struct control *control)
{
	listener_destroy(&control->listener);
}

bool control_is_busy(const struct control *control)
{
	const struct control_client *c;

	TAILQ_FOREACH (c, &control->clients, link) {
		if (c->is_waiting)
			return true;
	}
	return false;
}

void control_note_process(struct control *control, const struct ipc_process *process)
{
	if (process->is_first)
		json_array_clear(control->processes);
	json_array_append_new(control->processes,
	    json_pack("{s:s, s:i, s:b, s:i, s:I}", "role", process->role, "pid", (int)process->pid,
		"running", process->is_running, "restarts", (int)process->n_restarts, "started",
		(json_int_t)process->started_s));
}

void control_note_reload(struct control *control, int64_t failed_s, const char *why)
{
	free(control->reload_why);
	control->reload_why = mem_copy_text(why);
	control->reload_failed_s = failed_s;
}

void control_note_storage(
    struct control *control, uint64_t room_bytes, const struct outcome *verdict)
{
	control->room_bytes = room_bytes;
	control->storage = *verdict;
}

/* ---- who asks ---- */

static bool is_allowed(int fd)
{
	struct ucred who;
	socklen_t n = sizeof who;

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &n) == 0 &&
	       (who.uid == 0 || who.uid == geteuid());
}

static void on_connection(
    int fd, const struct sockaddr *peer, socklen_t n_peer, struct listener *listener, void *arg)
{
	struct control *control = arg;
	struct control_client *c;

	(void)peer, (void)n_peer, (void)listener;
	if (control->n_clients >= CLIENTS_MAX || !is_allowed(fd)) {
		close(fd);
		return;
	}
	c = mem_create(sizeof *c);
	c->control = control;
	c->stream = stream_create(control->loop, fd);
	c->deadline = timer_create_in(control->loop, on_deadline, c);
	timer_set(c->deadline, CLIENT_TIMEOUT_MS);
	TAILQ_INSERT_TAIL(&control->clients, c, link);
	control->n_clients++;
	stream_set_calls(c->stream, &stream_calls, c);
}

static void client_destroy(struct control_client *c)
{
	TAILQ_REMOVE(&c->control->clients, c, link);
	c->control->n_clients--;
	stream_destroy(&c->stream);
	timer_destroy(&c->deadline);
	free(c);
}

/* The spool may still answer: then the client stays until it has. */
static void leave(struct control_client *c)
{
	stream_destroy(&c->stream);
	timer_cancel(c->deadline);
	if (!c->is_waiting)
		client_destroy(c);
}

static void on_deadline(void *arg)
{
	leave(arg);
}

/* Who has said all may still be listening, as "nc -N" does. */
static void on_ended(struct stream *stream, enum stream_end end, void *arg)
{
	struct control_client *c = arg;

	(void)stream;
	if (end != STREAM_END_CLEAN || !c->is_waiting)
		leave(c);
}

/* It takes the answer: it may go on taking it. */
static void on_drained(struct stream *stream, void *arg)
{
	struct control_client *c = arg;

	(void)stream;
	timer_set(c->deadline, CLIENT_TIMEOUT_MS);
}

/* ---- answering ---- */

void control_say(struct control_client *c, json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);

	if (c->stream != NULL && stream_n_unsent(c->stream) > UNSENT_MAX)
		stream_destroy(&c->stream);
	if (c->stream != NULL && text != NULL) {
		stream_send(c->stream, text, strlen(text));
		stream_send(c->stream, "\n", 1);
	}
	free(text);
	json_decref(line);
}

void control_end(struct control_client *c)
{
	c->is_waiting = false;
	if (c->stream != NULL)
		stream_close(&c->stream, LINGER_MS, NULL, NULL);
	client_destroy(c);
}

void control_say_error(struct control_client *c, const char *text)
{
	control_say(c, json_pack("{s:s}", "error", text));
	control_end(c);
}

/* ---- asking ---- */

/* "what": 5 must not be taken for none, which would mean all. */
static bool has_texts_only(json_t *request)
{
	static const char *const keys[] = { "command", "id", "address", "what", "domain" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const json_t *value = json_object_get(request, keys[i]);

		if (value != NULL && !json_is_string(value) && !json_is_null(value))
			return false;
	}
	return true;
}

static void on_readable(struct stream *stream, void *arg)
{
	struct control_client *c = arg;
	char line[REQUEST_MAX];
	json_t *request;

	if (c->is_asked)
		return;
	switch (line_take(stream_input(stream), line, sizeof line)) {
	case LINE_NOT_YET: return;
	case LINE_TOO_LONG:
		c->is_asked = true;
		control_say_error(c, "the request is too long");
		return;
	case LINE_TAKEN: break;
	}
	c->is_asked = true;
	request = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(request))
		control_say_error(c, "the request is not a JSON object");
	else if (!has_texts_only(request))
		control_say_error(c, "command, id, address, what and domain are texts");
	else
		control_serve(c, request);
	json_decref(request);
}
