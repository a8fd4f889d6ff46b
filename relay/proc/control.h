/*
 * The administrator's socket: a request is one line of JSON, answered by lines of JSON, the last of
 * which has "end" (or "error"). Only root and our own user are heard. Lives in the queue role.
 */
#pragma once

#include "relay/dispatch.h"
#include "relay/ipc/message.h"
#include "relay/net/loop.h"
#include "relay/spool.h"

struct control;

/* Does not own listen_fd, spool or dispatch. */
struct control *control_create(
    struct loop *loop, int listen_fd, struct spool *spool, struct dispatch *dispatch);

/* After the spool is closed: its callbacks may come until then. */
void control_destroy(struct control **control);

/* What "status" tells of the processes; the first of a round begins anew. */
void control_note_process(struct control *control, const struct ipc_process *process);

/* And of the room on the disk. */
void control_note_storage(
    struct control *control, uint64_t room_bytes, const struct outcome *verdict);
