/*
 * How the other end of a connection is written: "mx.example[192.0.2.1]:25".
 */
#pragma once

#include <stddef.h>
#include <sys/socket.h>

/* "192.0.2.1" or "2001:db8::1"; "unknown" for other families. */
enum { PEER_ADDRESS_MAX = 64 };
void peer_print_address(const struct sockaddr *peer, char text[PEER_ADDRESS_MAX]);

/* "mx.example[192.0.2.1]": a peer without its port, cut at room. */
void peer_print_host(const char *peer, char *host, size_t room);
