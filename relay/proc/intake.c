/*
 * The intake role: takes connections and runs submission sessions on them. Holds the TLS server key;
 * connects to nothing and opens nothing.
 */
#include <stdlib.h>
#include <unistd.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/net/listener.h"
#include "relay/net/peer.h"
#include "relay/proc/role.h"
#include "relay/submit.h"

enum {
	AUTH_TIMEOUT_MS = 60000, /* password checks may ask a directory */
	KEEPER_TIMEOUT_MS = 20000,
	QUEUE_TIMEOUT_MS = 60000, /* a slow disk is no reason to refuse */
};

struct door {
	struct intake *intake;
	struct listener *listener;
	bool implicit_tls;
};

struct intake {
	struct house *house;
	struct submit_house submit;
	struct asker *keeper;
	struct door *doors;
	struct timer *cut; /* sessions that have not ended by then are told to */
	bool is_open;
};

static void on_queue_news(void *arg, uint64_t peer, struct ipc_message *m);
static void on_auth_changed(void *arg, uint64_t peer, bool is_here);
static void on_keeper_changed(void *arg);
static void on_connection(
    int fd, const struct sockaddr *peer, socklen_t n_peer, struct listener *listener, void *arg);
static void on_emptied(void *arg);

static void *intake_create(struct house *house)
{
	const struct config *config = house->config;
	struct intake *intake;
	struct tls_context *tls;
	char error[512];

	tls = tls_context_create_server(
	    config->tls_certificate, config->tls_key, error, sizeof error);
	if (tls == NULL) {
		log_error("%s", error);
		return NULL;
	}
	intake = mem_create(sizeof *intake);
	intake->house = house;
	intake->keeper = asker_create(house->loop, ASKER_PLAIN, KEEPER_TIMEOUT_MS);
	intake->submit = (struct submit_house){ .loop = house->loop,
		.config = config,
		.tls = tls,
		.auth = asker_create(house->loop, ASKER_PLAIN, AUTH_TIMEOUT_MS),
		.queue = asker_create(house->loop, ASKER_RESEND, QUEUE_TIMEOUT_MS) };
	intake->submit.signer = signer_create(config, intake->keeper);
	intake->submit.shelf = shelf_create(intake->submit.queue);
	submit_house_init(&intake->submit);
	signer_on_keys(intake->submit.signer, on_keeper_changed, intake);
	asker_listen(intake->submit.auth, NULL, on_auth_changed, intake);
	asker_listen(intake->submit.queue, on_queue_news, NULL, intake);
	return intake;
}

static bool intake_begin(void *self)
{
	struct intake *intake = self;
	size_t n = intake->house->n_listens;

	intake->doors = mem_create(n * sizeof *intake->doors);
	for (size_t i = 0; i < n; i++) {
		struct door *door = &intake->doors[i];

		door->intake = intake;
		door->implicit_tls = intake->house->listens[i].implicit_tls;
		if (intake->house->listens[i].fd < 0)
			continue; /* an address family that this machine lacks */
		door->listener = listener_create(
		    intake->house->loop, intake->house->listens[i].fd, on_connection, door);
		listener_stop(door->listener);
	}
	return true;
}

/* Clients wait in the kernel until the roles that a session needs have all come once. */
static void open_when_ready(struct intake *intake)
{
	struct submit_house *submit = &intake->submit;

	if (intake->is_open || submit->is_draining || !asker_has_peer(submit->auth) ||
	    !signer_is_ready(submit->signer) || !asker_has_peer(submit->queue) ||
	    intake->doors == NULL)
		return;
	intake->is_open = true;
	for (size_t i = 0; i < intake->house->n_listens; i++) {
		if (intake->doors[i].listener != NULL)
			listener_resume(intake->doors[i].listener);
	}
}

static void intake_meet(void *self, enum role role, struct channel *channel)
{
	struct intake *intake = self;

	if (role == ROLE_AUTH)
		asker_add(intake->submit.auth, channel);
	else if (role == ROLE_KEEPER)
		asker_add(intake->keeper, channel);
	else if (role == ROLE_QUEUE)
		asker_add(intake->submit.queue, channel);
	else
		channel_destroy(&channel);
}

static void on_queue_news(void *arg, uint64_t peer, struct ipc_message *m)
{
	struct intake *intake = arg;

	(void)peer;
	if (m->type != IPC_STORAGE)
		return;
	intake->submit.storage = m->storage.verdict;
	intake->submit.room_bytes = m->storage.room_bytes;
	open_when_ready(intake);
}

static void on_auth_changed(void *arg, uint64_t peer, bool is_here)
{
	(void)peer, (void)is_here;
	open_when_ready(arg);
}

static void on_keeper_changed(void *arg)
{
	open_when_ready(arg);
}

static void on_connection(
    int fd, const struct sockaddr *peer, socklen_t n_peer, struct listener *listener, void *arg)
{
	struct door *door = arg;
	char address[PEER_ADDRESS_MAX];

	(void)n_peer, (void)listener;
	peer_print_address(peer, address);
	submit_start(&door->intake->submit, fd, address, door->implicit_tls);
}

static void on_cut(void *arg)
{
	struct intake *intake = arg;

	submit_dismiss_all(&intake->submit);
}

static void intake_drain(void *self, enum drain_how how)
{
	struct intake *intake = self;

	for (size_t i = 0; intake->doors != NULL && i < intake->house->n_listens; i++)
		listener_destroy(&intake->doors[i].listener);
	for (size_t i = 0; !intake->submit.is_draining && i < intake->house->n_listens; i++)
		close(intake->house->listens[i].fd);
	if (how != DRAIN_FINISH && intake->cut == NULL) {
		intake->cut = timer_create_in(intake->house->loop, on_cut, intake);
		timer_set(intake->cut, how == DRAIN_SOON ? DRAIN_SOON_MS : 0);
	}
	submit_drain(&intake->submit, on_emptied, intake);
}

/* The last replies are still on their way to the clients: they get a moment. */
static void on_emptied(void *arg)
{
	struct intake *intake = arg;

	intake->house->leave(intake->house->leave_arg);
}

static void intake_destroy(void *self)
{
	struct intake *intake = self;

	for (size_t i = 0; intake->doors != NULL && i < intake->house->n_listens; i++)
		listener_destroy(&intake->doors[i].listener);
	free(intake->doors);
	timer_destroy(&intake->cut);
	submit_house_finish(&intake->submit);
	shelf_destroy(&intake->submit.shelf);
	signer_destroy(&intake->submit.signer);
	asker_destroy(&intake->submit.auth);
	asker_destroy(&intake->submit.queue);
	asker_destroy(&intake->keeper);
	tls_context_destroy(&intake->submit.tls);
	free(intake);
}

const struct role_calls role_intake = {
	.create = intake_create,
	.begin = intake_begin,
	.meet = intake_meet,
	.drain = intake_drain,
	.destroy = intake_destroy,
};
