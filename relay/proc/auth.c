/*
 * The auth role: holds the password verifiers and libsasl2, which may block as long as it likes; a
 * few of these processes run, so that others go on.
 */
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/clients.h"
#include "relay/proc/login.h"
#include "relay/proc/role.h"
#include "smtp/server.h"

enum {
	EXCHANGES_MAX = 10000,
	SWEEP_MS = 60000,
	FORGET_MS = 300000, /* an exchange that nobody goes on with */
};

/* An intake counts its exchanges for itself: the name has both parts. */
struct exchange_key {
	struct channel *channel;
	uint64_t number;
};

struct exchange {
	UT_hash_handle hh;
	struct exchange_key key;
	struct login *login;
	int64_t touched_ms;
};

struct auth {
	struct house *house;
	struct passwords passwords;
	struct login_office *office;
	struct clients clients;
	struct exchange *exchanges;
	struct timer *sweep;
};

static void on_message(void *arg, struct channel *channel, struct ipc_message *m);
static void on_gone(void *arg, struct channel *channel);
static void on_sweep(void *arg);

static void *auth_create(struct house *house)
{
	struct auth *auth = mem_create(sizeof *auth);
	char error[512];

	auth->house = house;
	clients_init(&auth->clients, on_message, on_gone, auth);
	if (passwords_load(&auth->passwords, house->config->passwords, error, sizeof error) == 0) {
		auth->office = login_office_create(
		    &auth->passwords, house->config->hostname, error, sizeof error);
		if (auth->office != NULL) {
			auth->sweep = timer_create_in(house->loop, on_sweep, auth);
			timer_set(auth->sweep, SWEEP_MS);
			return auth;
		}
		passwords_finish(&auth->passwords);
	}
	log_error("%s", error);
	free(auth);
	return NULL;
}

static void auth_meet(void *self, enum role role, struct channel *channel)
{
	struct auth *auth = self;

	(void)role;
	clients_add(&auth->clients, channel);
}

static void drop(struct auth *auth, struct exchange *exchange)
{
	HASH_DEL(auth->exchanges, exchange);
	login_destroy(&exchange->login);
	free(exchange);
}

static struct exchange *find(struct auth *auth, struct channel *channel, uint64_t number)
{
	struct exchange_key key;
	struct exchange *exchange;

	memset(&key, 0, sizeof key);
	key.channel = channel;
	key.number = number;
	HASH_FIND(hh, auth->exchanges, &key, sizeof key, exchange);
	return exchange;
}

static struct exchange *begin(struct auth *auth, struct channel *channel, uint64_t number)
{
	struct exchange *exchange;

	if (HASH_COUNT(auth->exchanges) >= EXCHANGES_MAX)
		return NULL;
	exchange = mem_create(sizeof *exchange);
	exchange->key.channel = channel;
	exchange->key.number = number;
	exchange->login = login_create(auth->office);
	HASH_ADD(hh, auth->exchanges, key, sizeof exchange->key, exchange);
	return exchange;
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

static void answer(struct auth *auth, struct channel *channel, const struct ipc_message *m,
    struct exchange *exchange)
{
	struct ipc_message say = { .type = IPC_AUTH_SAY, .fd = -1, .number = m->auth_ask.number };
	const uint8_t *response = (const uint8_t *)m->auth_ask.response.bytes;
	size_t n = m->auth_ask.response.n, n_challenge = 0;
	const uint8_t *challenge = NULL;
	enum login_step step = LOGIN_BROKEN;

	if (exchange != NULL && exchange->login != NULL) {
		step = m->auth_ask.is_first
			   ? login_start(exchange->login, m->auth_ask.mechanism,
				 m->auth_ask.has_response ? response : NULL, n, &challenge,
				 &n_challenge)
			   : login_go_on(exchange->login, response, n, &challenge, &n_challenge);
		exchange->touched_ms = clock_monotonic_ms();
	}
	say.auth_say.verdict = (uint8_t)verdict_of(step);
	say.auth_say.account =
	    exchange != NULL && exchange->login != NULL ? login_name(exchange->login) : "";
	if (step == LOGIN_CHALLENGE)
		say.auth_say.challenge = (struct slice){ (const char *)challenge, n_challenge };
	channel_send(channel, &say);
	if (exchange != NULL && step != LOGIN_CHALLENGE)
		drop(auth, exchange);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct auth *auth = arg;
	struct exchange *exchange;

	if (m->type == IPC_AUTH_FORGET) {
		exchange = find(auth, channel, m->auth_forget.exchange);
		if (exchange != NULL)
			drop(auth, exchange);
		return;
	}
	if (m->type != IPC_AUTH_ASK)
		return;
	exchange = find(auth, channel, m->auth_ask.exchange);
	if (exchange == NULL && m->auth_ask.is_first)
		exchange = begin(auth, channel, m->auth_ask.exchange);
	answer(auth, channel, m, exchange);
}

static void on_gone(void *arg, struct channel *channel)
{
	struct auth *auth = arg;
	struct exchange *exchange, *next;

	HASH_ITER (hh, auth->exchanges, exchange, next) {
		if (exchange->key.channel == channel)
			drop(auth, exchange);
	}
}

static void on_sweep(void *arg)
{
	struct auth *auth = arg;
	struct exchange *exchange, *next;
	int64_t now_ms = clock_monotonic_ms();

	HASH_ITER (hh, auth->exchanges, exchange, next) {
		if (now_ms - exchange->touched_ms > FORGET_MS)
			drop(auth, exchange);
	}
	timer_set(auth->sweep, SWEEP_MS);
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
	struct exchange *exchange, *next;

	HASH_ITER (hh, auth->exchanges, exchange, next)
		drop(auth, exchange);
	clients_finish(&auth->clients);
	timer_destroy(&auth->sweep);
	login_office_destroy(&auth->office);
	passwords_finish(&auth->passwords);
	free(auth);
}

const struct role_calls role_auth = {
	.create = auth_create,
	.meet = auth_meet,
	.drain = auth_drain,
	.destroy = auth_destroy,
};
