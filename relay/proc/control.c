#include "relay/proc/control.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/net/line.h"
#include "relay/net/listener.h"
#include "relay/net/stream.h"

enum {
	CLIENTS_MAX = 64,
	REQUEST_MAX = 4096,
	LIST_MAX = 20000,          /* entries of one answer */
	UNSENT_MAX = 32 << 20,     /* a client that reads no more is dropped */
	CLIENT_TIMEOUT_MS = 60000, /* for the request, and for taking the answer */
	LINGER_MS = 2000,
};

struct client {
	TAILQ_ENTRY(client) link;
	struct control *control;
	struct stream *stream; /* NULL when the client has left before the spool answered */
	struct timer *deadline;
	bool is_asked;   /* one request a connection */
	bool is_waiting; /* for the spool */
	size_t n_listed;
};

struct control {
	struct loop *loop;
	struct listener *listener;
	struct spool *spool;
	struct dispatch *dispatch;
	TAILQ_HEAD(, client) clients;
	size_t n_clients;
	json_t *processes;
	uint64_t room_bytes;
	struct outcome storage;
	int64_t started_s;
};

static void on_connection(
    int fd, const struct sockaddr *peer, socklen_t n_peer, struct listener *listener, void *arg);
static void on_readable(struct stream *stream, void *arg);
static void on_drained(struct stream *stream, void *arg);
static void on_ended(struct stream *stream, enum stream_end end, void *arg);
static void on_deadline(void *arg);
static void client_destroy(struct client *c);

static const struct stream_calls stream_calls = {
	.readable = on_readable,
	.drained = on_drained,
	.ended = on_ended,
};

struct control *control_create(
    struct loop *loop, int listen_fd, struct spool *spool, struct dispatch *dispatch)
{
	struct control *control = mem_create(sizeof *control);

	control->loop = loop;
	control->spool = spool;
	control->dispatch = dispatch;
	control->processes = json_array();
	control->started_s = clock_wall_s();
	outcome_ok(&control->storage);
	TAILQ_INIT(&control->clients);
	control->listener = listener_create(loop, listen_fd, on_connection, control);
	return control;
}

void control_destroy(struct control **control)
{
	struct client *c;

	if (*control == NULL)
		return;
	while ((c = TAILQ_FIRST(&(*control)->clients)) != NULL)
		client_destroy(c);
	listener_destroy(&(*control)->listener);
	json_decref((*control)->processes);
	free(*control);
	*control = NULL;
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
	struct client *c;

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

static void client_destroy(struct client *c)
{
	TAILQ_REMOVE(&c->control->clients, c, link);
	c->control->n_clients--;
	stream_destroy(&c->stream);
	timer_destroy(&c->deadline);
	free(c);
}

/* The spool may still answer: then the client stays until it has. */
static void leave(struct client *c)
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
	struct client *c = arg;

	(void)stream;
	if (end != STREAM_END_CLEAN || !c->is_waiting)
		leave(c);
}

/* It takes the answer: it may go on taking it. */
static void on_drained(struct stream *stream, void *arg)
{
	struct client *c = arg;

	(void)stream;
	timer_set(c->deadline, CLIENT_TIMEOUT_MS);
}

/* ---- answering ---- */

static void say(struct client *c, json_t *line)
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

static void end(struct client *c)
{
	c->is_waiting = false;
	if (c->stream != NULL)
		stream_close(&c->stream, LINGER_MS, NULL, NULL);
	client_destroy(c);
}

static void say_error(struct client *c, const char *text)
{
	say(c, json_pack("{s:s}", "error", text));
	end(c);
}

/* JSON is UTF-8; what strangers wrote may be anything, and must not hide its message. */
static void put_text(json_t *line, const char *key, const char *text)
{
	json_t *value = json_string(text);
	size_t n = strlen(text);
	char *escaped;

	if (value == NULL) {
		escaped = mem_create(n + 1);
		value = json_string(log_escape(text, n, escaped, n + 1));
		free(escaped);
	}
	json_object_set_new(line, key, value);
}

static void on_listed(void *arg, const struct spool_entry *e)
{
	struct client *c = arg;
	json_t *line;

	if (e == NULL) {
		say(c, json_pack("{s:b, s:I, s:b}", "end", 1, "n", (json_int_t)c->n_listed,
			   "truncated", c->n_listed >= LIST_MAX));
		end(c);
		return;
	}
	c->n_listed++;
	line = json_pack("{s:s, s:s, s:b, s:i, s:I, s:I, s:I, s:I, s:I}", "id", e->id, "state",
	    e->state, "under_way", e->is_out, "attempts", (int)e->n_attempts, "arrived",
	    (json_int_t)e->arrived_s, "next_try", (json_int_t)e->next_try_s, "expires",
	    (json_int_t)e->expires_s, "size", (json_int_t)e->size_bytes, "tried",
	    (json_int_t)e->tried_s);
	put_text(line, "sender", e->sender);
	put_text(line, "account", e->account);
	put_text(line, "recipient", e->recipient);
	put_text(line, "message_id", e->message_id);
	put_text(line, "reply", e->reply);
	put_text(line, "reason", e->reason);
	put_text(line, "host", e->host);
	put_text(line, "evidence", e->evidence);
	say(c, line);
}

static void on_changed(void *arg, size_t n)
{
	struct client *c = arg;
	struct schedule *schedule = dispatch_schedule(c->control->dispatch);

	if (schedule != NULL)
		schedule_wake(schedule);
	say(c, json_pack("{s:b, s:I}", "end", 1, "n", (json_int_t)n));
	end(c);
}

static void on_counted(void *arg, const struct spool_counts *counts)
{
	struct client *c = arg;
	struct control *control = c->control;
	struct schedule *schedule = dispatch_schedule(control->dispatch);
	struct schedule_counts under_way = { 0 };

	if (schedule != NULL)
		schedule_count(schedule, &under_way);
	say(c, json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:s, s:O, s:b}", "version",
		   ZEGEL_VERSION, "queue_started", (json_int_t)control->started_s, "messages",
		   (json_int_t)counts->messages, "recipients_waiting",
		   (json_int_t)counts->recipients_waiting, "bytes", (json_int_t)counts->bytes,
		   "segments", (json_int_t)counts->segments, "free_bytes",
		   (json_int_t)counts->free_bytes, "deliveries", (json_int_t)under_way.started,
		   "sites_down", (json_int_t)under_way.sites_down, "storage",
		   outcome_is_ok(&control->storage) ? "ok" : control->storage.text, "processes",
		   control->processes, "end", 1));
	end(c);
}

/* ---- asking ---- */

static const char *text_of(const json_t *request, const char *key)
{
	return json_string_value(json_object_get(request, key));
}

/* "what": 5 must not be taken for none, which would mean all. */
static bool has_texts_only(json_t *request)
{
	static const char *const keys[] = { "command", "id", "address", "what" };

	for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
		const json_t *value = json_object_get(request, keys[i]);

		if (value != NULL && !json_is_string(value) && !json_is_null(value))
			return false;
	}
	return true;
}

static bool is_id(const char *text)
{
	return text != NULL && queue_id_is_valid(text, strlen(text));
}

static void serve(struct client *c, const json_t *request)
{
	const char *command = text_of(request, "command");
	const char *id = text_of(request, "id"), *address = text_of(request, "address");
	const char *what = text_of(request, "what");

	if (command == NULL) {
		say_error(c, "the request names no command");
	} else if (id != NULL && !is_id(id)) {
		say_error(c, "that is no queue id: they have 15 capitals and digits");
	} else if (strcmp(command, "list") == 0) {
		c->is_waiting = true;
		spool_list(c->control->spool, id, address,
		    json_is_true(json_object_get(request, "settled")), LIST_MAX, on_listed, c);
	} else if (strcmp(command, "retry") == 0) {
		c->is_waiting = true;
		spool_retry(c->control->spool, what, on_changed, c);
	} else if (strcmp(command, "remove") == 0 && id != NULL) {
		c->is_waiting = true;
		spool_remove(c->control->spool, id, on_changed, c);
	} else if (strcmp(command, "status") == 0) {
		c->is_waiting = true;
		spool_count(c->control->spool, on_counted, c);
	} else {
		say_error(c, "there is no such command, or it lacks its argument");
	}
}

static void on_readable(struct stream *stream, void *arg)
{
	struct client *c = arg;
	char line[REQUEST_MAX];
	json_t *request;

	if (c->is_asked)
		return;
	switch (line_take(stream_input(stream), line, sizeof line)) {
	case LINE_NOT_YET: return;
	case LINE_TOO_LONG:
		c->is_asked = true;
		say_error(c, "the request is too long");
		return;
	case LINE_TAKEN: break;
	}
	c->is_asked = true;
	request = json_loads(line, JSON_REJECT_DUPLICATES, NULL);
	if (!json_is_object(request))
		say_error(c, "the request is not a JSON object");
	else if (!has_texts_only(request))
		say_error(c, "command, id, address and what are texts");
	else
		serve(c, request);
	json_decref(request);
}
