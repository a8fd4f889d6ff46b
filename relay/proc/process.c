/*
 * One process of the house: started, introduced to those it works with, told to end, forgotten.
 */
#include "relay/proc/parent_house.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/child.h"

enum {
	RESTART_FIRST_MS = 100, /* doubles while a role keeps dying young */
	RESTART_LONGEST_MS = 10000,
};

static void tell(struct process *process, const struct ipc_message *m);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_closed(void *arg, struct channel *channel);

struct process *process_add(struct parent *p, struct generation *g, enum role role, size_t index)
{
	struct process *process = mem_create(sizeof *process);

	process->parent = p;
	process->generation = g;
	process->role = role;
	process->index = index;
	TAILQ_INSERT_TAIL(&p->processes, process, link);
	process_start(process);
	return process;
}

static void run_child(const struct process *process, int parent_fd)
{
	struct parent *p = process->parent;
	const struct generation *g = process->generation;
	const size_t share = g->config->n_listens;
	const struct child_start start = { .role = process->role,
		.config = g->config,
		.parent_fd = parent_fd,
		.listens =
		    process->role == ROLE_INTAKE ? g->listens + process->index * share : NULL,
		.n_listens = process->role == ROLE_INTAKE ? share : 0,
		.control_fd = process->role == ROLE_QUEUE ? p->control_fd : -1,
		.keep_fd = -1 };

	exit(child_run(&start));
}

void process_start(struct process *process)
{
	int ends[2];

	if (process->restart == NULL)
		process->restart =
		    timer_create_in(process->parent->loop, (loop_call *)process_start, process);
	if (channel_make_pair(ends) != 0) {
		log_error("cannot start role %s: %s", role_name(process->role), strerror(errno));
		process_start_later(process);
		return;
	}
	process->pid = fork();
	if (process->pid == 0) {
		run_child(process, ends[1]);
		_exit(EX_SOFTWARE);
	}
	close(ends[1]);
	if (process->pid < 0) {
		log_error("cannot start role %s: %s", role_name(process->role), strerror(errno));
		process->pid = 0;
		close(ends[0]);
		process_start_later(process);
		return;
	}
	process->is_ready = process->is_told = false;
	process->started_ms = clock_monotonic_ms();
	process->started_s = clock_wall_s();
	process->channel =
	    channel_create(process->parent->loop, ends[0], on_message, on_closed, process);
}

void process_start_later(struct process *process)
{
	int64_t wait_ms = RESTART_FIRST_MS;

	for (uint32_t i = 0; i < process->n_young_deaths && wait_ms < RESTART_LONGEST_MS; i++)
		wait_ms *= 2;
	timer_set(process->restart, wait_ms < RESTART_LONGEST_MS ? wait_ms : RESTART_LONGEST_MS);
}

static void tell(struct process *process, const struct ipc_message *m)
{
	if (process->channel != NULL)
		channel_send(process->channel, m);
}

static void introduce(struct process *one, struct process *other)
{
	int ends[2];
	struct ipc_message to_one = { .type = IPC_PEER,
		.peer = { (uint8_t)other->role, (uint32_t)other->pid } };
	struct ipc_message to_other = { .type = IPC_PEER,
		.peer = { (uint8_t)one->role, (uint32_t)one->pid } };

	if (channel_make_pair(ends) != 0) {
		log_error("cannot connect %s and %s: %s", role_name(one->role),
		    role_name(other->role), strerror(errno));
		return;
	}
	to_one.fd = ends[0];
	to_other.fd = ends[1];
	tell(one, &to_one);
	tell(other, &to_other);
	close(ends[0]);
	close(ends[1]);
}

void parent_report(struct parent *p)
{
	struct process *queue = parent_find_queue(p), *process;
	struct ipc_message reload = { .type = IPC_RELOAD,
		.fd = -1,
		.reload = { .failed_s = p->reload_failed_s, .why = p->reload_why } };

	if (queue == NULL || !queue->is_ready)
		return;
	TAILQ_FOREACH (process, &p->processes, link) {
		struct ipc_message m = { .type = IPC_PROCESS, .fd = -1 };

		m.process.role = role_name(process->role);
		m.process.pid = (uint32_t)process->pid;
		m.process.is_running = process->is_ready;
		m.process.n_restarts = process->n_restarts;
		m.process.started_s = process->started_s;
		m.process.is_first = process == TAILQ_FIRST(&p->processes);
		tell(queue, &m);
	}
	tell(queue, &reload);
}

static void meet_all(struct process *process)
{
	struct parent *p = process->parent;
	struct process *other;

	process->is_ready = true;
	TAILQ_FOREACH (other, &p->processes, link) {
		bool together = other->generation == process->generation ||
				other->role == ROLE_QUEUE || process->role == ROLE_QUEUE;

		if (other->is_ready && other != process && together &&
		    role_is_linked(process->role, other->role))
			introduce(process, other);
	}
	if (process->role == ROLE_QUEUE) {
		const struct ipc_message start = { .type = IPC_START, .fd = -1 };

		tell(process, &start);
	}
	parent_note_ready(process);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct process *process = arg;

	(void)channel;
	if (m->type == IPC_READY && !process->is_ready)
		meet_all(process);
}

/* A process that ends closes its channel first; its end is told by SIGCHLD. */
static void on_closed(void *arg, struct channel *channel)
{
	struct process *process = arg;

	(void)channel;
	channel_destroy(&process->channel);
}

void process_drain(struct process *process, enum drain_how how)
{
	const struct ipc_message m = { .type = IPC_DRAIN, .fd = -1, .drain.how = (uint8_t)how };

	process->is_told = true;
	tell(process, &m);
}

void process_remove(struct process *process)
{
	struct parent *p = process->parent;

	TAILQ_REMOVE(&p->processes, process, link);
	timer_destroy(&process->restart);
	free(process);
}
