/*
 * What the auth role does for deliveries: our logins at the operator's next hops. A delivery learns
 * what to say to the host that a route gives the login to, and nothing of other logins.
 */
#pragma once

#include <stddef.h>

#include "relay/ipc/channel.h"

struct client_logins;
struct house;

/* Reads the passwords, if a route has a login. NULL with a text in error. */
struct client_logins *client_logins_create(struct house *house, char *error, size_t room);
void client_logins_destroy(struct client_logins **logins);

/* A delivery's channel; takes it over. Only CLIENT_ASK and CLIENT_FORGET count on it. */
void client_logins_meet(struct client_logins *logins, struct channel *channel);
