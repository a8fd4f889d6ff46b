/*
 * The keeper role: holds the DKIM private keys and nothing else; answers "sign this digest for this
 * domain and selector". Reads the keys while still root, so that nobody else need be able to.
 */
#include <stdlib.h>
#include <string.h>

#include "dkim/keyring.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/proc/clients.h"
#include "relay/proc/role.h"

enum { SIGNATURES_MAX = 8 };

struct keeper {
	struct house *house;
	struct dkim_keyring *ring;
	struct clients clients;
};

static bool load_keys(struct keeper *keeper);
static void on_message(void *arg, struct channel *channel, struct ipc_message *m);

static void *keeper_create(struct house *house)
{
	struct keeper *keeper = mem_create(sizeof *keeper);

	keeper->house = house;
	keeper->ring = dkim_keyring_create();
	clients_init(&keeper->clients, on_message, NULL, keeper);
	if (load_keys(keeper))
		return keeper;
	dkim_keyring_destroy(&keeper->ring);
	free(keeper);
	return NULL;
}

static bool load_keys(struct keeper *keeper)
{
	const struct config *config = keeper->house->config;
	bool loaded = true;

	for (size_t i = 0; i < config->n_domains; i++) {
		const struct config_domain *domain = &config->domains[i];

		for (size_t j = 0; j < domain->n_selectors; j++) {
			char remark[DKIM_ERROR_MAX];
			char *path = mem_print(
			    "%s/%s/%s.pem", config->dkim_keys, domain->name, domain->selectors[j]);
			struct dkim_key *key = dkim_key_load(path, remark, sizeof remark);

			free(path);
			if (remark[0] != '\0')
				log_warning("%s", remark);
			if (key != NULL)
				dkim_keyring_add(
				    keeper->ring, domain->name, domain->selectors[j], key);
			loaded = loaded && key != NULL;
		}
	}
	return loaded;
}

/* A client hears first of all what can be signed with. */
static void keeper_meet(void *self, enum role role, struct channel *channel)
{
	struct keeper *keeper = self;
	struct ipc_message m = { .type = IPC_KEYS, .fd = -1 };
	size_t n = dkim_keyring_n(keeper->ring);

	(void)role;
	m.keys.keys = (ipc_key_list){ mem_create(n * sizeof(ipc_key)), n };
	for (size_t i = 0; i < n; i++) {
		struct dkim_keyring_entry entry = dkim_keyring_at(keeper->ring, i);

		m.keys.keys.items[i] = (ipc_key){ entry.domain, entry.selector,
			(uint8_t)dkim_key_algorithm(entry.key) };
	}
	clients_add(&keeper->clients, channel);
	channel_send(channel, &m);
	free(m.keys.keys.items);
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct keeper *keeper = arg;
	struct ipc_message answer = { .type = IPC_SIGN_SAY, .fd = -1 };
	uint8_t signatures[SIGNATURES_MAX][DKIM_SIGNATURE_MAX];
	ipc_signing items[SIGNATURES_MAX];
	char problem[DKIM_ERROR_MAX] = "";
	size_t n = m->sign_ask.digests.n;

	if (m->type != IPC_SIGN_ASK)
		return;
	answer.sign_say.ok = n <= SIGNATURES_MAX;
	for (size_t i = 0; answer.sign_say.ok && i < n; i++) {
		const ipc_signing *digest = &m->sign_ask.digests.items[i];
		size_t n_signature = 0;

		answer.sign_say.ok = digest->bytes.n == DKIM_DIGEST_SIZE &&
				     dkim_keyring_sign(keeper->ring, m->sign_ask.domain,
					 digest->selector, (const uint8_t *)digest->bytes.bytes,
					 signatures[i], &n_signature, problem, sizeof problem) == 0;
		items[i] =
		    (ipc_signing){ digest->selector, { (const char *)signatures[i], n_signature } };
	}
	answer.number = m->sign_ask.number;
	answer.sign_say.problem = problem;
	answer.sign_say.signatures = (ipc_signing_list){ items, answer.sign_say.ok ? n : 0 };
	channel_send(channel, &answer);
}

/* Those we serve are gone already: nothing is under way. */
static void keeper_drain(void *self, enum drain_how how)
{
	struct keeper *keeper = self;

	(void)how;
	keeper->house->leave(keeper->house->leave_arg);
}

static void keeper_destroy(void *self)
{
	struct keeper *keeper = self;

	clients_finish(&keeper->clients);
	dkim_keyring_destroy(&keeper->ring);
	free(keeper);
}

const struct role_calls role_keeper = {
	.create = keeper_create,
	.meet = keeper_meet,
	.drain = keeper_drain,
	.destroy = keeper_destroy,
};
