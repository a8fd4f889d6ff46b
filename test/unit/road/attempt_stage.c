#include "attempt_stage.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "sample_message.h"

enum { SETTLE_MS = 3000 };

const struct patience hurry = { 200, 200, 200, 200, 200, 200, 200, 20000, 20000 };
const struct patience calm = { 20000, 20000, 20000, 20000, 20000, 20000, 20000, 20000, 60000 };

int stage_set_up(void **state)
{
	struct stage *stage = mem_create(sizeof *stage);
	const struct forged *chain[] = { &stage->server, &stage->authority, NULL };
	const struct forged *ca[] = { &stage->authority, NULL };
	char certificate[FORGE_PATH_MAX], key[FORGE_PATH_MAX], error[300];

	forge_make_directory(stage->directory);
	forge(&stage->authority, (struct forge_wish){ .name = "CA", .is_authority = true });
	forge(&stage->server, (struct forge_wish){ .name = "mx.example",
				  .alternatives = "DNS:mx.example",
				  .issuer = &stage->authority });
	forge_write(stage->directory, "mx", chain);
	forge_write(stage->directory, "ca", ca);
	forge_path(stage->directory, "mx.pem", certificate);
	forge_path(stage->directory, "mx.key", key);
	forge_path(stage->directory, "ca.pem", stage->ca);
	stage->server_tls = tls_context_create_server(certificate, key, error, sizeof error);
	stage->client_tls = tls_context_create_client(stage->ca);
	*state = stage;
	return stage->server_tls != NULL ? 0 : -1;
}

int stage_tear_down(void **state)
{
	struct stage *stage = *state;

	tls_context_destroy(&stage->server_tls);
	tls_context_destroy(&stage->client_tls);
	forged_finish(&stage->server);
	forged_finish(&stage->authority);
	forge_remove_directory(stage->directory);
	free(stage);
	return 0;
}

static void demand_tlsa(const struct stage *stage, struct tls_requirement *tls, bool matches)
{
	tls->level = TLS_DANE;
	tls->demand = DEMAND_DANE;
	tls->tlsa = mem_create(sizeof *tls->tlsa);
	tls->tlsa[0] = forge_tlsa(&stage->server, 3, 1, 1, matches);
	tls->n_tlsa = 1;
}

void demand_set(const struct stage *stage, enum demand what, struct tls_requirement *tls)
{
	tls_requirement_finish(tls);
	*tls = (struct tls_requirement){ .demand = DEMAND_PARTNER };
	switch (what) {
	case MAY:
		tls->level = TLS_MAY;
		tls->demand = DEMAND_DEFAULT;
		return;
	case NONE: tls->level = TLS_NONE; return;
	case ENCRYPT: tls->level = TLS_ENCRYPT; return;
	case DANE: demand_tlsa(stage, tls, true); return;
	case DANE_WRONG: demand_tlsa(stage, tls, false); return;
	case DANE_UNUSABLE:
		tls->level = TLS_DANE;
		tls->demand = DEMAND_DANE;
		tls->tlsa_unusable = true;
		return;
	case SECURE:
	case SECURE_OTHER_NAME:
		tls->level = TLS_SECURE;
		tls->names = mem_create(sizeof *tls->names);
		tls->names[0] = mem_copy_text(what == SECURE ? "mx.example" : "mx.bank.example");
		tls->n_names = 1;
		return;
	}
}

/* A port on which nobody listens, and nobody will meanwhile. */
static uint16_t closed_port(int *fd)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t n = sizeof sin;

	*fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(*fd, (struct sockaddr *)&sin, n), 0);
	assert_int_equal(getsockname(*fd, (struct sockaddr *)&sin, &n), 0);
	return ntohs(sin.sin_port);
}

void act_begin(struct act *act, const struct stage *stage, size_t n_recipients,
    const struct patience *patience)
{
	*act = (struct act){ .loop = loop_create() };
	act->config.hostname = (char *)(uintptr_t) "relay.example.org";
	act->config.delivery.connect_timeout = 2;
	act->config.delivery.recipients = 100;
	act->house = (struct attempt_house){ .loop = act->loop,
		.config = &act->config,
		.tls = stage->client_tls,
		.pool = pool_create(act->loop, &act->config.delivery),
		.patience = patience };
	act->fd =
	    sample_message_make(&act->message, "Subject: x\r\n\r\n", "hello\r\n", n_recipients);
	strcpy(act->plan.domain, "example.net");
	outcome_ok(&act->plan.refusal);
	act->plan.hosts = mem_create(PEERS_MAX * sizeof *act->plan.hosts);
}

void act_add_host(struct act *act, const struct stage *stage, const struct host *from)
{
	struct plan *plan = &act->plan;
	size_t i = act->n_peers++;
	struct plan_host *host;
	union plan_address *address;
	uint16_t port;

	if (!from->same) {
		host = &plan->hosts[plan->n_hosts++];
		strcpy(host->name, "mx.example");
		demand_set(stage, from->demand, &host->tls);
		outcome_ok(&host->unusable);
		if (from->unusable)
			outcome_say(&host->unusable, 550, "5.4.4", "no-address", "no address");
	}
	host = &plan->hosts[plan->n_hosts - 1];
	act->closed[i] = -1;
	if (from->scripts != NULL) {
		act->peers[i] = peer_listen(act->loop, stage->server_tls, from->scripts);
		port = peer_port(act->peers[i]);
	} else {
		port = closed_port(&act->closed[i]);
	}
	address = &host->addresses[host->n_addresses++];
	address->ipv4.sin_family = AF_INET;
	address->ipv4.sin_port = htons(port);
	address->ipv4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

void act_done(const struct attempt_result *result, void *arg)
{
	struct act *act = arg;

	assert_false(act->is_done);
	act->is_done = true;
	act->feedback = result->feedback;
	act->n_counts = result->n_counts;
	act->setup_ms = result->delays.setup_ms;
	act->transfer_ms = result->delays.transfer_ms;
	strcpy(act->host, result->host);
	strcpy(act->evidence, result->evidence);
	memcpy(act->outcomes, result->outcomes, result->n_outcomes * sizeof *result->outcomes);
	loop_stop(act->loop);
}

struct attempt *act_attempt(struct act *act, uint32_t n_attempts)
{
	const struct attempt_job job = { .message = &act->message,
		.domain = "example.net",
		.n_attempts = n_attempts,
		.fd = act->fd };

	return attempt_start(&act->house, &job, &act->plan, act_done, act);
}

static const char *first_problem(struct act *act)
{
	for (size_t i = 0; i < PEERS_MAX; i++) {
		if (act->peers[i] != NULL && peer_problem(act->peers[i]) != NULL)
			return peer_problem(act->peers[i]);
	}
	return NULL;
}

const char *act_settle(struct act *act)
{
	int64_t start_ms = clock_monotonic_ms();
	const char *problem;

	while ((problem = first_problem(act)) != NULL &&
	       clock_monotonic_ms() - start_ms < SETTLE_MS && strstr(problem, "came") != NULL)
		loop_run_once(act->loop, false);
	return problem;
}

/* The last words and closes go on behind the attempt's back. */
void act_end(struct act *act)
{
	for (size_t i = 0; i < PEERS_MAX; i++) {
		if (act->peers[i] != NULL)
			peer_destroy(&act->peers[i]);
		if (act->closed[i] > 0)
			close(act->closed[i]);
	}
	for (int i = 0; i < 20; i++)
		loop_run_once(act->loop, false);
	plan_finish(&act->plan);
	message_finish(&act->message);
	close(act->fd);
	pool_destroy(&act->house.pool);
	loop_destroy(&act->loop);
}

void wanted_check(const char *name, const struct wanted *wanted, const struct outcome *got)
{
	if (got->code != wanted->code ||
	    (strstr(got->text, wanted->says) == NULL && strcmp(got->name, wanted->says) != 0))
		fail_msg("%s: wanted %d \"%s\", got %d \"%s\" [%s]", name, wanted->code,
		    wanted->says, got->code, got->text, got->name);
}
