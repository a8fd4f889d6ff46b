/*
 * A hash by channel and number, and a timer that sweeps it.
 */
#include "relay/proc/exchanges.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <uthash.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"

enum { SWEEP_MS = 60000 };

struct key {
	struct channel *channel;
	uint64_t number;
};

struct exchange {
	UT_hash_handle hh;
	struct key key;
	void *kept;
	int64_t touched_ms;
};

struct exchanges {
	struct exchange *all;
	struct timer *sweep;
	void (*destroy)(void *kept);
};

static void on_sweep(void *arg);

struct exchanges *exchanges_create(struct loop *loop, void (*destroy)(void *kept))
{
	struct exchanges *e = mem_create(sizeof *e);

	e->destroy = destroy;
	e->sweep = timer_create_in(loop, on_sweep, e);
	timer_set(e->sweep, SWEEP_MS);
	return e;
}

static void drop(struct exchanges *e, struct exchange *exchange)
{
	HASH_DEL(e->all, exchange);
	e->destroy(exchange->kept);
	free(exchange);
}

void exchanges_destroy(struct exchanges **exchanges)
{
	struct exchanges *e = *exchanges;
	struct exchange *exchange, *next;

	if (e == NULL)
		return;
	*exchanges = NULL;
	HASH_ITER (hh, e->all, exchange, next)
		drop(e, exchange);
	timer_destroy(&e->sweep);
	free(e);
}

static struct exchange *find(struct exchanges *e, struct channel *channel, uint64_t number)
{
	struct exchange *exchange;
	struct key key;

	memset(&key, 0, sizeof key);
	key.channel = channel;
	key.number = number;
	HASH_FIND(hh, e->all, &key, sizeof key, exchange);
	return exchange;
}

void *exchanges_find(struct exchanges *e, struct channel *channel, uint64_t number)
{
	struct exchange *exchange = find(e, channel, number);

	if (exchange == NULL)
		return NULL;
	exchange->touched_ms = clock_monotonic_ms();
	return exchange->kept;
}

bool exchanges_are_full(const struct exchanges *e)
{
	return HASH_COUNT(e->all) >= EXCHANGES_MAX;
}

void exchanges_add(struct exchanges *e, struct channel *channel, uint64_t number, void *kept)
{
	struct exchange *exchange = mem_create(sizeof *exchange);

	assert(find(e, channel, number) == NULL && !exchanges_are_full(e));
	exchange->key.channel = channel;
	exchange->key.number = number;
	exchange->kept = kept;
	exchange->touched_ms = clock_monotonic_ms();
	HASH_ADD(hh, e->all, key, sizeof exchange->key, exchange);
}

void exchanges_drop(struct exchanges *e, struct channel *channel, uint64_t number)
{
	struct exchange *exchange = find(e, channel, number);

	if (exchange != NULL)
		drop(e, exchange);
}

void exchanges_drop_channel(struct exchanges *e, struct channel *channel)
{
	struct exchange *exchange, *next;

	HASH_ITER (hh, e->all, exchange, next) {
		if (exchange->key.channel == channel)
			drop(e, exchange);
	}
}

static void on_sweep(void *arg)
{
	struct exchanges *e = arg;
	struct exchange *exchange, *next;
	int64_t now_ms = clock_monotonic_ms();

	HASH_ITER (hh, e->all, exchange, next) {
		if (now_ms - exchange->touched_ms > EXCHANGES_FORGET_MS)
			drop(e, exchange);
	}
	timer_set(e->sweep, SWEEP_MS);
}
