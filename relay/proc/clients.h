/* The channels of those that a role serves; each goes by itself when its process ends. */
#pragma once

#include <stddef.h>

#include "relay/ipc/channel.h"

enum { CLIENTS_MAX = 128 };

/* One of them is gone; its channel is destroyed after this. */
typedef void clients_gone(void *arg, struct channel *channel);

struct clients {
	struct channel *channels[CLIENTS_MAX];
	size_t n;
	channel_message *message;
	clients_gone *gone; /* may be NULL */
	void *arg;
};

void clients_init(struct clients *clients, channel_message *message, clients_gone *gone, void *arg);
void clients_finish(struct clients *clients);

/* Takes the channel over. */
void clients_add(struct clients *clients, struct channel *channel);
