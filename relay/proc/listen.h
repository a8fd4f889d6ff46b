/* The sockets the parent binds, before anybody drops root: submission, and the control socket. */
#pragma once

#include "relay/proc/role.h"

enum { LISTEN_BACKLOG = 1024 };

/*
 * One socket for each listen of the configuration and each of n_shares intakes (SO_REUSEPORT), in
 * the order share by share: sockets[share * config->n_listens + listen]. Where before
 * has a socket for the same address it is shared (duplicated), so that a reload loses no client that
 * waits in it. "::" on a machine without IPv6 gets fd -1. -1 with a text in error; nothing is left open then.
 */
int listen_open_all(const struct config *config, size_t n_shares,
    const struct listen_socket *before, size_t n_before, struct listen_socket **sockets,
    char *error, size_t room);
void listen_close_all(struct listen_socket **sockets, size_t n);

/*
 * The control socket at path, mode 0600, owned by user (if we are root). One that a killed daemon
 * left is replaced; a living one is an error. -1 with a text in error.
 */
int listen_open_control(const char *path, const char *user, char *error, size_t room);
