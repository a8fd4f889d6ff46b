/*
 * The parent: holds the checked configuration and the listening sockets, starts the roles, introduces
 * them to each other, replaces those that die, reloads, and ends them in order. Parses nothing from
 * the network and holds no secret.
 */
#pragma once

/* zegel serve: runs until SIGTERM or SIGINT; returns an exit status of sysexits.h. */
int parent_run(const char *config_path);
