/*
 * What a connection costs the client's side of TLS: a handshake in full, one that is resumed (its chain
 * is judged again), and judging the chain of a connection that is kept for the next message.
 *
 *	tls_bench [N]	N of each and for each requirement, 500 if not said
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "test/unit/tls/forge.h"
#include "test/unit/tls/meet.h"
#include "tls/openssl.h"

struct bench {
	unsigned long n;
	char directory[FORGE_PATH_MAX];
	struct forged root, intermediate, leaf;
	struct tls_context *client, *server;
	struct tlsa_record match;
};

static void open_bench(struct bench *b);
static void close_bench(struct bench *b);
static void measure(struct bench *b, const char *what, const struct tls_requirement *requirement);
static double visit(
    struct bench *b, const struct tls_requirement *requirement, const char *peer, bool *is_resumed);
static double judge(struct bench *b, const struct tls_requirement *requirement);
static double cpu_ms(void);
static void need(bool is_good, const char *what);

int main(int argc, char **argv)
{
	char *name = (char[]){ "mx.example" };
	struct bench b = { .n = argc > 1 ? strtoul(argv[1], NULL, 10) : 500 };
	struct tls_requirement verify = { .level = TLS_VERIFY,
		.demand = DEMAND_PARTNER,
		.names = &name,
		.n_names = 1,
		.sni = name };
	struct tls_requirement dane = { .level = TLS_DANE, .demand = DEMAND_DANE, .n_tlsa = 1 };

	if (b.n == 0)
		return 64;
	open_bench(&b);
	dane.tlsa = &b.match;
	measure(&b, "verify", &verify);
	measure(&b, "dane", &dane);
	close_bench(&b);
	return 0;
}

/* A server as there are many: RSA of 2048 bits, an intermediate authority, TLS 1.3 with tickets. */
static void open_bench(struct bench *b)
{
	char path[FORGE_PATH_MAX], key[FORGE_PATH_MAX], error[500];

	forge_make_directory(b->directory);
	forge(&b->root,
	    (struct forge_wish){ .name = "Root", .is_authority = true, .rsa_bits = 2048 });
	forge(&b->intermediate, (struct forge_wish){ .name = "Intermediate",
				    .issuer = &b->root,
				    .is_authority = true,
				    .rsa_bits = 2048 });
	forge(&b->leaf, (struct forge_wish){ .name = "mx.example",
			    .alternatives = "DNS:mx.example",
			    .issuer = &b->intermediate,
			    .rsa_bits = 2048 });
	forge_write(b->directory, "root", (const struct forged *[]){ &b->root, NULL });
	forge_write(
	    b->directory, "leaf", (const struct forged *[]){ &b->leaf, &b->intermediate, NULL });
	b->match = forge_tlsa(&b->leaf, 3, 1, 1, true);
	forge_path(b->directory, "leaf.pem", path);
	forge_path(b->directory, "leaf.key", key);
	b->server = tls_context_create_server(path, key, error, sizeof error);
	need(b->server != NULL, "a server");
	SSL_CTX_clear_options(b->server->ctx, SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(b->server->ctx, 2);
	forge_path(b->directory, "root.pem", path);
	b->client = tls_context_create_client(path);
}

static void close_bench(struct bench *b)
{
	tls_context_destroy(&b->client);
	tls_context_destroy(&b->server);
	forged_finish(&b->leaf);
	forged_finish(&b->intermediate);
	forged_finish(&b->root);
	free(b->match.data);
	forge_remove_directory(b->directory);
}

static void measure(struct bench *b, const char *what, const struct tls_requirement *requirement)
{
	double full_ms = 0, resumed_ms = 0;
	bool is_resumed;

	for (unsigned long i = 0; i < b->n; i++)
		full_ms += visit(b, requirement, NULL, &is_resumed);
	visit(b, requirement, what, &is_resumed);
	for (unsigned long i = 0; i < b->n; i++) {
		resumed_ms += visit(b, requirement, what, &is_resumed);
		need(is_resumed, "a session to resume");
	}
	printf("%-6s  handshake %.3f ms  resumed %.3f ms  judged again %.3f ms\n", what,
	    full_ms / (double)b->n, resumed_ms / (double)b->n, judge(b, requirement));
}

/* What the client did for the handshake. */
static double visit(
    struct bench *b, const struct tls_requirement *requirement, const char *peer, bool *is_resumed)
{
	enum tls_step client = TLS_STEP_WANT_WRITE, server = TLS_STEP_WANT_READ;
	struct meeting m;
	double spent_ms = 0, begin_ms;
	char got[10];
	size_t n;

	meet_peer(&m, b->client, b->server, requirement, peer);
	for (int turn = 0; turn < 20 && (client != TLS_STEP_DONE || server != TLS_STEP_DONE);
	     turn++) {
		begin_ms = cpu_ms();
		client = tls_session_handshake(m.client);
		spent_ms += cpu_ms() - begin_ms;
		server = tls_session_handshake(m.server);
	}
	need(client == TLS_STEP_DONE && server == TLS_STEP_DONE, "a handshake");
	/* With the first answer TLS 1.3 brings the tickets. */
	need(tls_session_write(m.server, "220", 3, &n) == TLS_STEP_DONE, "an answer");
	need(tls_session_read(m.client, got, sizeof got, &n) == TLS_STEP_DONE, "to hear it");
	need(tls_session_shutdown(m.client) == TLS_STEP_DONE, "a clean end");
	*is_resumed = tls_session_evidence(m.client)->is_resumed;
	meet_finish(&m);
	return spent_ms;
}

static double judge(struct bench *b, const struct tls_requirement *requirement)
{
	struct outcome verdict;
	struct meeting m;
	double begin_ms;

	meet(&m, b->client, b->server, requirement);
	need(meet_shake(&m) == TLS_STEP_DONE, "a handshake");
	begin_ms = cpu_ms();
	for (unsigned long i = 0; i < b->n; i++) {
		tls_session_judge(m.client, requirement, NULL, &verdict);
		need(outcome_is_ok(&verdict), "a good chain");
	}
	begin_ms = cpu_ms() - begin_ms;
	meet_finish(&m);
	return begin_ms / (double)b->n;
}

static double cpu_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void need(bool is_good, const char *what)
{
	if (is_good)
		return;
	fprintf(stderr, "there is not %s\n", what);
	exit(70);
}
