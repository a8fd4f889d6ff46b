#include "relay/proc/clients.h"

#include "relay/base/log.h"

static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_closed(void *arg, struct channel *channel);

void clients_init(struct clients *clients, channel_message *message, clients_gone *gone, void *arg)
{
	*clients = (struct clients){ .message = message, .gone = gone, .arg = arg };
}

void clients_finish(struct clients *clients)
{
	for (size_t i = 0; i < clients->n; i++)
		channel_destroy(&clients->channels[i]);
	clients->n = 0;
}

void clients_add(struct clients *clients, struct channel *channel)
{
	if (clients->n == CLIENTS_MAX) {
		log_error(
		    "more than %d processes ask this one: the last is turned away", CLIENTS_MAX);
		channel_destroy(&channel);
		return;
	}
	channel_set_owner(channel, on_message, on_closed, clients);
	clients->channels[clients->n++] = channel;
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct clients *clients = arg;

	clients->message(clients->arg, channel, m);
}

static void on_closed(void *arg, struct channel *channel)
{
	struct clients *clients = arg;

	for (size_t i = 0; i < clients->n; i++) {
		if (clients->channels[i] != channel)
			continue;
		clients->channels[i] = clients->channels[--clients->n];
		break;
	}
	if (clients->gone != NULL)
		clients->gone(clients->arg, channel);
	channel_destroy(&channel);
}
