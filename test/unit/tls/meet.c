#include "meet.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void meet(struct meeting *m, struct tls_context *client, struct tls_context *server,
    const struct tls_requirement *requirement)
{
	meet_peer(m, client, server, requirement, NULL);
}

void meet_peer(struct meeting *m, struct tls_context *client, struct tls_context *server,
    const struct tls_requirement *requirement, const char *peer)
{
	*m = (struct meeting){ .client = NULL };
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, m->fd) != 0)
		abort();
	m->client = tls_session_create_client(client, m->fd[0], requirement, peer);
	if (server != NULL)
		m->server = tls_session_create_server(server, m->fd[1]);
}

enum tls_step meet_shake(struct meeting *m)
{
	enum tls_step client = TLS_STEP_WANT_WRITE, server = TLS_STEP_WANT_READ;

	for (int turn = 0; turn < 20; turn++) {
		client = tls_session_handshake(m->client);
		if (server != TLS_STEP_FAILED)
			server = tls_session_handshake(m->server);
		if (client == TLS_STEP_FAILED)
			return client;
		if (client == TLS_STEP_DONE && server == TLS_STEP_DONE)
			return client;
	}
	return client;
}

void meet_finish(struct meeting *m)
{
	tls_session_destroy(&m->client);
	tls_session_destroy(&m->server);
	for (int i = 0; i < 2; i++) {
		if (m->fd[i] >= 0)
			close(m->fd[i]);
	}
}
