/*
 * What every role does the same: forget the parent's things, read secrets, drop root, run a loop,
 * meet its peers, and end when told, or when the parent is gone.
 */
#pragma once

#include "relay/proc/role.h"

struct child_start {
	enum role role;
	const struct config *config;
	int parent_fd;
	const struct listen_socket *listens;
	size_t n_listens;
	int control_fd; /* -1 but for the queue */
	int keep_fd;    /* what else stays open; -1 for nothing */
};

/* Runs in the forked process and returns its exit status. */
int child_run(const struct child_start *start);
