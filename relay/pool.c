#include "relay/pool.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"
#include "smtp/command.h"

enum {
	PART_MS = 5 * 1000, /* to say goodbye, behind our back */
	WARM_MS = 1000,     /* used so short a while ago that it is needed still */
};

/* One that waits for a message. */
struct idle {
	TAILQ_ENTRY(idle) link;
	struct pool *pool;
	struct connection *connection;
	int64_t since_ms, until_ms;
};

/* One that has been told QUIT: outlives the pool, if it must, and then is a guest of the loop. */
struct parting {
	TAILQ_ENTRY(parting) link;
	struct pool *pool; /* NULL: it is no more */
	struct loop_guest stay;
};

struct pool {
	struct loop *loop;
	const struct config_delivery *config;
	struct timer *timer;              /* for the one idle longest */
	TAILQ_HEAD(idle_list, idle) idle; /* that one first */
	size_t n_idle;
	TAILQ_HEAD(, parting) parting;
	bool is_stopped;
	loop_call *quiet;
	void *arg;
};

static void on_timer(void *arg);
static void on_readable(struct stream *stream, void *arg);
static void on_ended(struct stream *stream, enum stream_end end, void *arg);
static bool leads_there(struct pool *pool, struct idle *idle, const struct plan *plan,
    const struct plan_host *host, size_t first, size_t *at);
static bool is_good_for_another(const struct pool *pool, const struct connection *c);
static struct connection *remove_idle(struct idle *idle);
static void part_with(struct idle *idle);
static void on_gone(void *arg);

static const struct stream_calls calls = { .readable = on_readable, .ended = on_ended };

struct pool *pool_create(struct loop *loop, const struct config_delivery *config)
{
	struct pool *pool = mem_create(sizeof *pool);

	pool->loop = loop;
	pool->config = config;
	pool->timer = timer_create_in(loop, on_timer, pool);
	TAILQ_INIT(&pool->idle);
	TAILQ_INIT(&pool->parting);
	return pool;
}

void pool_destroy(struct pool **pool)
{
	struct pool *p = *pool;
	struct parting *parting;
	struct idle *idle;

	if (p == NULL)
		return;
	*pool = NULL;
	while ((idle = TAILQ_FIRST(&p->idle)) != NULL) {
		struct connection *c = remove_idle(idle);

		connection_destroy(&c);
	}
	while ((parting = TAILQ_FIRST(&p->parting)) != NULL) {
		TAILQ_REMOVE(&p->parting, parting, link);
		parting->pool = NULL;
	}
	timer_destroy(&p->timer);
	free(p);
}

/* ---- in and out ---- */

struct connection *pool_take(struct pool *pool, const struct plan *plan,
    const struct plan_host *host, size_t first, size_t *at)
{
	int64_t warm_ms = clock_monotonic_ms() - WARM_MS;
	struct idle *idle, *best = NULL;

	TAILQ_FOREACH_REVERSE(idle, &pool->idle, idle_list, link)
	{
		if (best != NULL && (idle->since_ms < warm_ms ||
					idle->connection->n_mails >= best->connection->n_mails))
			continue;
		if (leads_there(pool, idle, plan, host, first, at))
			best = idle;
	}
	if (best == NULL)
		return NULL;
	best->connection->is_reused = true;
	return remove_idle(best);
}

static bool leads_there(struct pool *pool, struct idle *idle, const struct plan *plan,
    const struct plan_host *host, size_t first, size_t *at)
{
	if (!is_good_for_another(pool, idle->connection))
		return false;
	for (size_t i = first; i < host->n_addresses; i++) {
		if (connection_covers(idle->connection, plan, host, i)) {
			*at = i;
			/* What has come in this very moment would be taken for the first reply. */
			return stream_is_silent(idle->connection->stream);
		}
	}
	return false;
}

void pool_keep(struct pool *pool, struct connection **connection)
{
	struct connection *c = *connection;
	struct idle *idle;

	if (pool->is_stopped || pool->config->idle_connections == 0 ||
	    !is_good_for_another(pool, c)) {
		pool_part(pool, connection);
		return;
	}
	if (pool->n_idle == pool->config->idle_connections)
		part_with(TAILQ_FIRST(&pool->idle));
	*connection = NULL;
	idle = mem_create(sizeof *idle);
	idle->pool = pool;
	idle->connection = c;
	idle->since_ms = clock_monotonic_ms();
	idle->until_ms = idle->since_ms + (int64_t)pool->config->idle_timeout * 1000;
	TAILQ_INSERT_TAIL(&pool->idle, idle, link);
	pool->n_idle++;
	stream_set_calls(c->stream, &calls, idle);
	if (pool->n_idle == 1)
		timer_set(pool->timer, (int64_t)pool->config->idle_timeout * 1000);
}

/* A server in step has nothing to say now, and all that we said has left. */
static bool is_good_for_another(const struct pool *pool, const struct connection *c)
{
	int64_t age_ms = clock_monotonic_ms() - c->opened_ms;

	return c->is_ready && !c->is_single && !stream_has_input(c->stream) &&
	       stream_n_unsent(c->stream) == 0 && connection_takes_more(c) &&
	       c->n_mails < pool->config->connection_messages &&
	       age_ms < (int64_t)pool->config->connection_age * 1000;
}

static struct connection *remove_idle(struct idle *idle)
{
	struct connection *c = idle->connection;

	TAILQ_REMOVE(&idle->pool->idle, idle, link);
	idle->pool->n_idle--;
	stream_set_calls(c->stream, NULL, NULL);
	free(idle);
	return c;
}

/* ---- while they are idle ---- */

static void on_timer(void *arg)
{
	struct pool *pool = arg;
	int64_t now_ms = clock_monotonic_ms();
	struct idle *idle;

	while ((idle = TAILQ_FIRST(&pool->idle)) != NULL && idle->until_ms <= now_ms)
		part_with(idle);
	if (idle != NULL)
		timer_set(pool->timer, idle->until_ms - now_ms);
}

static void drop(struct idle *idle, const char *why)
{
	struct connection *c = remove_idle(idle);

	log_debug("%s %s while idle: dropped", c->peer, why);
	connection_destroy(&c);
}

/* Unasked: 421, most likely. Whatever it is, the next reply would be taken for another's. */
static void on_readable(struct stream *stream, void *arg)
{
	(void)stream;
	drop(arg, "talks");
}

static void on_ended(struct stream *stream, enum stream_end end, void *arg)
{
	(void)stream, (void)end;
	drop(arg, "closes");
}

/* ---- the end ---- */

static void part_with(struct idle *idle)
{
	struct pool *pool = idle->pool;
	struct connection *c = remove_idle(idle);

	pool_part(pool, &c);
}

void pool_part(struct pool *pool, struct connection **connection)
{
	struct parting *parting = mem_create(sizeof *parting);

	parting->pool = pool;
	TAILQ_INSERT_TAIL(&pool->parting, parting, link);
	loop_host(pool->loop, &parting->stay, free, parting);
	smtp_command_quit(stream_output((*connection)->stream));
	stream_close(&(*connection)->stream, PART_MS, on_gone, parting);
	connection_destroy(connection);
}

static void on_gone(void *arg)
{
	struct parting *parting = arg;
	struct pool *pool = parting->pool;

	loop_leave(&parting->stay);
	if (pool != NULL)
		TAILQ_REMOVE(&pool->parting, parting, link);
	free(parting);
	if (pool != NULL && pool->quiet != NULL && pool_is_quiet(pool))
		pool->quiet(pool->arg);
}

void pool_stop(struct pool *pool, loop_call *quiet, void *arg)
{
	pool->is_stopped = true;
	pool->quiet = quiet;
	pool->arg = arg;
	while (!TAILQ_EMPTY(&pool->idle))
		part_with(TAILQ_FIRST(&pool->idle));
}

bool pool_is_quiet(const struct pool *pool)
{
	return TAILQ_EMPTY(&pool->idle) && TAILQ_EMPTY(&pool->parting);
}
