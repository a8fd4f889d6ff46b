/*
 * Questions of deliveries come in, answers go out; the exchanges are in client_login.h.
 */
#include "relay/proc/client_logins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/route_passwords.h"
#include "relay/base/mem.h"
#include "relay/proc/client_login.h"
#include "relay/proc/clients.h"
#include "relay/proc/exchanges.h"
#include "relay/proc/role.h"

struct client_logins {
	const struct config *config;
	struct secrets passwords;
	struct client_login_office *office; /* NULL: no route has a login */
	struct clients deliveries;
	struct exchanges *exchanges;
};

static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_gone(void *arg, struct channel *channel);
static void destroy_login(void *kept);

static bool has_logins(const struct config *config)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		if (config->routes[i].login != NULL)
			return true;
	}
	return false;
}

struct client_logins *client_logins_create(struct house *house, char *error, size_t room)
{
	struct client_logins *logins = mem_create(sizeof *logins);

	logins->config = house->config;
	clients_init(&logins->deliveries, on_message, on_gone, logins);
	logins->exchanges = exchanges_create(house->loop, destroy_login);
	if (!has_logins(house->config))
		return logins;
	if (route_passwords_load(&logins->passwords, house->config->route_passwords, error, room) ==
	    0)
		logins->office = client_login_office_create(&logins->passwords, error, room);
	if (logins->office != NULL)
		return logins;
	client_logins_destroy(&logins);
	return NULL;
}

void client_logins_destroy(struct client_logins **logins)
{
	struct client_logins *l = *logins;

	if (l == NULL)
		return;
	*logins = NULL;
	clients_finish(&l->deliveries);
	exchanges_destroy(&l->exchanges);
	client_login_office_destroy(&l->office);
	secrets_finish(&l->passwords);
	free(l);
}

void client_logins_meet(struct client_logins *logins, struct channel *channel)
{
	clients_add(&logins->deliveries, channel);
}

static void destroy_login(void *kept)
{
	struct client_login *login = kept;

	client_login_destroy(&login);
}

/* A login is told to no host but those the operator gave it to, whatever a delivery asks. */
static bool is_routed(const struct config *config, const char *host, const char *login)
{
	for (size_t i = 0; i < config->n_routes; i++) {
		const struct config_route *route = &config->routes[i];

		if (route->login != NULL && strcmp(route->login, login) == 0 &&
		    strcmp(route->host, host) == 0)
			return true;
	}
	return false;
}

static void begin(struct client_logins *l, struct channel *channel,
    const struct ipc_client_ask *ask, struct client_login_say *say)
{
	struct client_login *login;

	exchanges_drop(l->exchanges, channel, ask->exchange);
	if (!is_routed(l->config, ask->host, ask->login) || l->office == NULL) {
		say->state = CLIENT_LOGIN_NO_SECRET;
		snprintf(say->problem, sizeof say->problem,
		    "no route of the present configuration has this login at this host");
		return;
	}
	if (exchanges_are_full(l->exchanges)) {
		snprintf(say->problem, sizeof say->problem, "too many logins under way");
		return;
	}
	login = client_login_create(l->office, ask->host, ask->login);
	exchanges_add(l->exchanges, channel, ask->exchange, login);
	client_login_begin(login, ask->mechanisms, ask->is_verified != 0, say);
}

static void answer(
    struct client_logins *l, struct channel *channel, const struct ipc_client_ask *ask)
{
	struct client_login_say say = { .state = CLIENT_LOGIN_BROKEN,
		.mechanism = "",
		.problem = "this exchange is not known here any more" };
	struct ipc_message m = { .type = IPC_CLIENT_SAY, .fd = -1 };
	struct client_login *login;

	if (ask->is_first)
		begin(l, channel, ask, &say);
	else if ((login = exchanges_find(l->exchanges, channel, ask->exchange)) != NULL)
		client_login_go_on(login, ask->challenge, &say);
	m.client_say = (struct ipc_client_say){ .number = ask->number,
		.state = (uint8_t)say.state,
		.mechanism = say.mechanism,
		.has_response = say.has_response,
		.response = say.response,
		.problem = say.problem };
	channel_send(channel, &m);
	if (say.state != CLIENT_LOGIN_GO_ON)
		exchanges_drop(l->exchanges, channel, ask->exchange);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct client_logins *l = arg;

	if (m->type == IPC_CLIENT_FORGET)
		exchanges_drop(l->exchanges, channel, m->client_forget.exchange);
	else if (m->type == IPC_CLIENT_ASK)
		answer(l, channel, &m->client_ask);
}

static void on_gone(void *arg, struct channel *channel)
{
	struct client_logins *l = arg;

	exchanges_drop_channel(l->exchanges, channel);
}
