/*
 * The auth role: holds the password verifiers, our own passwords at next hops, and libsasl2, which
 * may block as long as it likes; a few of these processes run, so that others go on. Intakes ask
 * about logins of clients, deliveries about our own, and neither gets an answer to the other's
 * questions.
 */
#include <stdlib.h>

#include "config/passwords.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/client_logins.h"
#include "relay/proc/clients.h"
#include "relay/proc/exchanges.h"
#include "relay/proc/login.h"
#include "relay/proc/role.h"
#include "smtp/server.h"

struct auth {
	struct house *house;
	struct secrets passwords;
	struct login_office *office;
	struct clients intakes;
	struct exchanges *exchanges; /* of intakes */
	struct client_logins *client_logins;
};

static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_gone(void *arg, struct channel *channel);
static void destroy_login(void *kept);
static void auth_destroy(void *self);

static void *auth_create(struct house *house)
{
	struct auth *auth = mem_create(sizeof *auth);
	char error[512];

	auth->house = house;
	clients_init(&auth->intakes, on_message, on_gone, auth);
	auth->exchanges = exchanges_create(house->loop, destroy_login);
	if (passwords_load(&auth->passwords, house->config->passwords, error, sizeof error) == 0)
		auth->office = login_office_create(
		    &auth->passwords, house->config->hostname, error, sizeof error);
	if (auth->office != NULL)
		auth->client_logins = client_logins_create(house, error, sizeof error);
	if (auth->client_logins != NULL)
		return auth;
	log_error("%s", error);
	auth_destroy(auth);
	return NULL;
}

static void auth_meet(void *self, enum role role, struct channel *channel)
{
	struct auth *auth = self;

	if (role == ROLE_INTAKE)
		clients_add(&auth->intakes, channel);
	else if (role == ROLE_DELIVERY)
		client_logins_meet(auth->client_logins, channel);
	else
		channel_destroy(&channel);
}

static void destroy_login(void *kept)
{
	struct login *login = kept;

	login_destroy(&login);
}

/* NULL if libsasl2 cannot begin one, or there is no room. */
static struct login *begin(struct auth *auth, struct channel *channel, uint64_t number)
{
	struct login *login;

	if (exchanges_are_full(auth->exchanges))
		return NULL;
	login = login_create(auth->office);
	if (login != NULL)
		exchanges_add(auth->exchanges, channel, number, login);
	return login;
}

static enum smtp_auth_verdict verdict_of(enum login_step step)
{
	switch (step) {
	case LOGIN_CHALLENGE: return SMTP_AUTH_CHALLENGE;
	case LOGIN_DONE: return SMTP_AUTH_DONE;
	case LOGIN_REFUSED: return SMTP_AUTH_REFUSED;
	case LOGIN_BROKEN: return SMTP_AUTH_BROKEN;
	}
	return SMTP_AUTH_BROKEN;
}

static void answer(
    struct auth *auth, struct channel *channel, const struct ipc_auth_ask *ask, struct login *login)
{
	struct ipc_message say = { .type = IPC_AUTH_SAY, .fd = -1, .number = ask->number };
	const uint8_t *response = (const uint8_t *)ask->response.bytes;
	size_t n = ask->response.n, n_challenge = 0;
	const uint8_t *challenge = NULL;
	enum login_step step = LOGIN_BROKEN;

	if (login != NULL)
		step = ask->is_first
			   ? login_start(login, ask->mechanism, ask->has_response ? response : NULL,
				 n, &challenge, &n_challenge)
			   : login_go_on(login, response, n, &challenge, &n_challenge);
	say.auth_say.verdict = (uint8_t)verdict_of(step);
	say.auth_say.account = login != NULL ? login_name(login) : "";
	if (step == LOGIN_CHALLENGE)
		say.auth_say.challenge = (struct slice){ (const char *)challenge, n_challenge };
	channel_send(channel, &say);
	if (step != LOGIN_CHALLENGE)
		exchanges_drop(auth->exchanges, channel, ask->exchange);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct auth *auth = arg;
	struct login *login;

	if (m->type == IPC_AUTH_FORGET) {
		exchanges_drop(auth->exchanges, channel, m->auth_forget.exchange);
		return;
	}
	if (m->type != IPC_AUTH_ASK)
		return;
	login = exchanges_find(auth->exchanges, channel, m->auth_ask.exchange);
	if (login == NULL && m->auth_ask.is_first)
		login = begin(auth, channel, m->auth_ask.exchange);
	answer(auth, channel, &m->auth_ask, login);
}

static void on_gone(void *arg, struct channel *channel)
{
	struct auth *auth = arg;

	exchanges_drop_channel(auth->exchanges, channel);
}

static void auth_drain(void *self, enum drain_how how)
{
	struct auth *auth = self;

	(void)how;
	auth->house->leave(auth->house->leave_arg);
}

static void auth_destroy(void *self)
{
	struct auth *auth = self;

	clients_finish(&auth->intakes);
	exchanges_destroy(&auth->exchanges);
	client_logins_destroy(&auth->client_logins);
	login_office_destroy(&auth->office);
	secrets_finish(&auth->passwords);
	free(auth);
}

const struct role_calls role_auth = {
	.create = auth_create,
	.meet = auth_meet,
	.drain = auth_drain,
	.destroy = auth_destroy,
};
