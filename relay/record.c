#include "relay/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "relay/net/peer.h"
#include "relay/tally.h"
#include "relay/watch.h"

static void count_unusable(struct record *r, const struct plan *plan, const struct plan_host *host);
static void say_failed(struct evidence *e, const struct outcome *why);
static void take_back(struct evidence *e);
static void show(struct record *r, const struct evidence *e, const char *peer);
static void count(struct record *r, const struct tally_try *try);
static void print_addresses(
    const struct connection *c, char theirs[PEER_ADDRESS_MAX], char ours[PEER_ADDRESS_MAX]);

struct record *record_create(const struct message *message)
{
	struct record *r = mem_create(sizeof *r);

	r->message = message;
	r->counts_tls = !message->is_report && !message->tls_optional;
	return r;
}

void record_destroy(struct record **record)
{
	struct record *r = *record;

	if (r == NULL)
		return;
	*record = NULL;
	for (size_t i = 0; i < r->n_counts; i++)
		tally_finish(&r->counts[i]);
	free(r->counts);
	free(r);
}

/* Where not even a host is known, what is wrong is wrong with the domain. */
void record_refused(struct record *r, const struct plan *plan)
{
	struct plan_host nobody = { .tls = { .level = TLS_DANE }, .unusable = plan->refusal };

	for (size_t i = 0; i < plan->n_hosts; i++)
		record_unusable(r, plan, &plan->hosts[i]);
	if (plan->n_hosts > 0)
		return;
	count_unusable(r, plan, &nobody);
	record_nothing(r, &plan->refusal);
}

void record_unusable(struct record *r, const struct plan *plan, const struct plan_host *host)
{
	struct evidence e;

	count_unusable(r, plan, host);
	evidence_gather(plan, host, NULL, &e);
	say_failed(&e, &host->unusable);
	show(r, &e, "");
}

static void count_unusable(struct record *r, const struct plan *plan, const struct plan_host *host)
{
	const struct tally_try try = { .plan = plan,
		.host = host,
		.trouble = &host->unusable,
		.point = POINT_ROUTE,
		.address = "",
		.sender = "" };

	count(r, &try);
}

void record_nothing(struct record *r, const struct outcome *why)
{
	struct evidence e = { 0 };

	say_failed(&e, why);
	show(r, &e, "");
}

/* A refusal of the server's has no name of ours. */
static void say_failed(struct evidence *e, const struct outcome *why)
{
	snprintf(e->failed, sizeof e->failed, "%s", why->name[0] != '\0' ? why->name : "refused");
}

void record_given_up(struct record *r, const struct plan *plan, const struct plan_host *host,
    const struct outcome *why)
{
	struct evidence e;

	evidence_gather(plan, host, NULL, &e);
	say_failed(&e, why);
	show(r, &e, "");
}

void record_approach(struct record *r, const struct plan *plan, const struct plan_host *host,
    const struct approach_result *result)
{
	const struct connection *c = result->connection;
	bool is_ok = outcome_is_ok(&result->outcome);
	char theirs[PEER_ADDRESS_MAX] = "", ours[PEER_ADDRESS_MAX] = "";
	struct tally_try try = { .plan = plan,
		.host = host,
		.is_secure = c != NULL && c->is_secure,
		.point = result->point,
		.is_over = result->is_over,
		.address = theirs,
		.sender = ours };
	struct evidence e;

	try.is_plain = is_ok && !try.is_secure;
	if (try.is_plain && !outcome_is_ok(&result->without_tls))
		try.trouble = &result->without_tls;
	else if (!is_ok)
		try.trouble = &result->outcome;
	if (c != NULL) {
		print_addresses(c, theirs, ours);
		if (is_ok || c->is_secure) {
			watch_judge(host, c, r->verdicts);
			try.verdicts = r->verdicts;
		}
		count(r, &try);
	}
	if (is_ok)
		return;
	evidence_gather(plan, host, c != NULL ? connection_shown(c) : NULL, &e);
	if (!try.is_secure) /* what was presented achieved nothing */
		take_back(&e);
	say_failed(&e, &result->outcome);
	show(r, &e, result->peer);
}

static void take_back(struct evidence *e)
{
	e->achieved = TLS_NONE;
	e->match[0] = e->untrusted[0] = '\0';
}

void record_use(struct record *r, const struct plan *plan, const struct plan_host *host,
    const struct connection *c)
{
	struct evidence e;

	watch_judge(host, c, r->verdicts);
	watch_warn(plan, host, c, r->verdicts, r->message->id);
	evidence_gather(plan, host, connection_shown(c), &e);
	e.is_reused = c->is_reused;
	e.n_watches = host->n_watches;
	for (size_t i = 0; i < host->n_watches; i++) {
		e.watches[i].demand = host->watches[i].demand;
		snprintf(
		    e.watches[i].failed, sizeof e.watches[i].failed, "%s", r->verdicts[i].name);
	}
	show(r, &e, c->peer);
}

/* Into the log always. */
static void show(struct record *r, const struct evidence *e, const char *peer)
{
	evidence_print(e, r->last_evidence);
	log_info("%s: %s", r->message->id, r->last_evidence);
	snprintf(r->last_host, sizeof r->last_host, "%s", peer);
}

void record_keep(struct record *r)
{
	if (r->is_final)
		return;
	memcpy(r->host, r->last_host, sizeof r->host);
	memcpy(r->evidence, r->last_evidence, sizeof r->evidence);
}

void record_settle(struct record *r)
{
	record_keep(r);
	r->is_final = true;
}

/* ---- for TLS reports ---- */

static void count(struct record *r, const struct tally_try *try)
{
	if (!r->counts_tls || r->n_counts + TALLY_MAX > TLS_COUNTS_MAX)
		return;
	r->counts = mem_resize(r->counts, r->n_counts + TALLY_MAX, sizeof *r->counts);
	r->n_counts += tally(try, &r->counts[r->n_counts]);
}

static void print_addresses(
    const struct connection *c, char theirs[PEER_ADDRESS_MAX], char ours[PEER_ADDRESS_MAX])
{
	union plan_address own = { 0 };
	socklen_t n = sizeof own;

	peer_print_address(&c->address.any, theirs);
	if (getsockname(stream_fd(c->stream), &own.any, &n) == 0)
		peer_print_address(&own.any, ours);
}
