/*
 * What the control socket's own files share: a client with its one request, and what commands may
 * ask. Private to control*.c.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "relay/proc/control.h"

struct listener;
struct stream;
struct timer;

struct control {
	struct loop *loop;
	struct listener *listener;
	struct control_house house;
	TAILQ_HEAD(, control_client) clients;
	size_t n_clients;
	json_t *processes;
	int64_t reload_failed_s; /* of the last reload; 0: it did not fail */
	char *reload_why;
	uint64_t room_bytes;
	struct outcome storage;
	int64_t started_s;
};

struct control_client {
	TAILQ_ENTRY(control_client) link;
	struct control *control;
	struct stream *stream; /* NULL when the client has left before the answer came */
	struct timer *deadline;
	bool is_asked;   /* one request a connection */
	bool is_waiting; /* its command still runs and will end it */
	size_t n_listed;
};

/* A request; what is to be a text is one. The client is ended, now or later. */
void control_serve(struct control_client *c, const json_t *request);

/* A line of the answer; takes it over. The last has "end", or is an error. */
void control_say(struct control_client *c, json_t *line);
void control_end(struct control_client *c);
void control_say_error(struct control_client *c, const char *text);

/* The answer to "status", once the spool has counted. */
void control_say_status(void *arg, const struct spool_counts *counts);
