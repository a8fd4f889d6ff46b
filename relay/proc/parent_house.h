/*
 * What the files of the parent share: the house as it stands, its generations and its processes.
 * Private to parent.c, generation.c and process.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "config/config.h"
#include "relay/proc/role.h"

/* All roles but the queue are made anew for each configuration that was loaded. */
struct generation {
	TAILQ_ENTRY(generation) link;
	struct config *config;
	struct listen_socket *listens;
	size_t n_listens, n_intakes;
	bool is_draining;
	uint32_t number;
};

struct process {
	TAILQ_ENTRY(process) link;
	struct parent *parent;
	struct generation *generation;
	enum role role;
	size_t index; /* among its role's: which share of the listening sockets */
	pid_t pid;    /* 0: died, and waits to be started again */
	bool is_ready;
	bool is_told; /* to drain: its end is no accident */
	struct channel *channel;
	struct timer *restart;
	int64_t started_ms, started_s;
	uint32_t n_restarts, n_young_deaths;
};

struct parent {
	struct loop *loop;
	const char *config_path;
	TAILQ_HEAD(generation_list, generation) generations; /* the newest last */
	TAILQ_HEAD(, process) processes;
	struct generation *coming; /* being started by a reload; NULL otherwise */
	int control_fd;
	uint32_t last_generation;
	bool is_stopping, was_ready;
	bool is_reload_wanted;   /* one was asked for while another was under way */
	int64_t reload_failed_s; /* the last one; 0: it did not fail */
	char reload_why[512];
	struct timer *stop;
	int64_t stopping_ms;
	int status;
};

/* ---- parent.c ---- */

/* A process runs and has met the others. */
void parent_note_ready(struct process *process);
struct process *parent_find_queue(struct parent *p);
void parent_begin_to_stop(struct parent *p);

/* ---- process.c ---- */

struct process *process_add(struct parent *p, struct generation *g, enum role role, size_t index);
void process_start(struct process *process);

/* In a while that grows with the deaths of its youth. */
void process_start_later(struct process *process);
void process_drain(struct process *process, enum drain_how how);
void process_remove(struct process *process);

/* For "zegel status": the processes, and how the last reload went. */
void parent_report(struct parent *p);

/* ---- generation.c ---- */

/* NULL, with its mistakes logged. */
struct config *configuration_load(const char *path);

/* Takes config over, unless it gives NULL with a text in error. */
struct generation *generation_make(
    struct parent *p, struct config *config, struct generation *before, char *error, size_t room);
void generation_drop(struct parent *p, struct generation *g);
void generation_start(struct parent *p, struct generation *g);
bool generation_is_ready(const struct parent *p, const struct generation *g);
bool generation_is_running(const struct parent *p, const struct generation *g);
void generation_drain(struct parent *p, const struct generation *g, enum drain_how how);

/* SIGHUP: reads the configuration again and starts the roles with it. */
void reload_start(void *parent);

/* They all run: the old ones are to go. */
void reload_finish(struct parent *p);

/* One of them could not start: none of them stays. */
void reload_abort(struct parent *p);
