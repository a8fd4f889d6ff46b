/*
 * The administrator's socket: a request is one line of JSON, answered by lines of JSON, the last of
 * which has "end" (or "error"). Only root and our own user are heard. Lives in the queue role.
 */
#pragma once

#include <stdbool.h>

#include "config/config.h"
#include "relay/dispatch.h"
#include "relay/ipc/message.h"
#include "relay/net/loop.h"
#include "relay/proc/queue_lookup.h"
#include "relay/spool.h"
#include "relay/tlsrpt.h"

struct control;

/* What its commands ask. */
struct control_house {
	const struct config *config;
	struct spool *spool;
	struct dispatch *dispatch;
	struct queue_lookup *lookup;
	struct tlsrpt *reports;
};

/* Owns neither listen_fd nor anything of the house, which is copied. */
struct control *control_create(struct loop *loop, int listen_fd, const struct control_house *house);

/* After the spool is closed: its callbacks may come until then. */
void control_destroy(struct control **control);

/* Nobody new is heard by this queue: who asks waits for the next, which has the same socket. */
void control_close(struct control *control);

/* Has somebody asked what is not answered yet? */
bool control_is_busy(const struct control *control);

/* What "status" tells of the processes; the first of a round begins anew. */
void control_note_process(struct control *control, const struct ipc_process *process);

/* Of the last reload, if it failed: when, and why. failed_s 0: it did not. */
void control_note_reload(struct control *control, int64_t failed_s, const char *why);

/* And of the room on the disk. */
void control_note_storage(
    struct control *control, uint64_t room_bytes, const struct outcome *verdict);
