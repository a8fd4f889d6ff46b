#include "relay/visitors.h"

#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#include "relay/base/mem.h"
#include "relay/net/peer.h"

enum { DELAY_FIRST_MS = 500, FAILURES_MAX = 16 };

struct visitor {
	UT_hash_handle hh;
	char address[PEER_ADDRESS_MAX];
	size_t n_sessions;
	uint32_t n_failures;
	int64_t failed_ms;
};

struct visitors {
	struct visitor *all;
};

struct visitors *visitors_create(void)
{
	return mem_create(sizeof(struct visitors));
}

void visitors_destroy(struct visitors **visitors)
{
	struct visitor *v, *next;

	if (*visitors == NULL)
		return;
	HASH_ITER (hh, (*visitors)->all, v, next) {
		HASH_DEL((*visitors)->all, v);
		free(v);
	}
	free(*visitors);
	*visitors = NULL;
}

static struct visitor *find(struct visitors *visitors, const char *address)
{
	struct visitor *v;

	HASH_FIND_STR(visitors->all, address, v);
	return v;
}

static void forget(struct visitors *visitors, struct visitor *v)
{
	HASH_DEL(visitors->all, v);
	free(v);
}

size_t visitors_enter(struct visitors *visitors, const char *address)
{
	struct visitor *v = find(visitors, address);

	if (v == NULL) {
		v = mem_create(sizeof *v);
		snprintf(v->address, sizeof v->address, "%s", address);
		HASH_ADD_STR(visitors->all, address, v);
	}
	return ++v->n_sessions;
}

void visitors_leave(struct visitors *visitors, const char *address)
{
	struct visitor *v = find(visitors, address);

	if (v == NULL)
		return;
	if (v->n_sessions > 0)
		v->n_sessions--;
	if (v->n_sessions == 0 && (v->n_failures == 0 || HASH_COUNT(visitors->all) > VISITORS_MAX))
		forget(visitors, v);
}

/* Addresses that are gone and whose failures are old make room. */
static void sweep(struct visitors *visitors, int64_t now_ms)
{
	struct visitor *v, *next;

	HASH_ITER (hh, visitors->all, v, next) {
		if (v->n_sessions == 0 && now_ms - v->failed_ms > VISITORS_FORGET_MS)
			forget(visitors, v);
	}
}

int64_t visitors_note_failure(struct visitors *visitors, const char *address, int64_t now_ms)
{
	struct visitor *v;
	int64_t delay_ms;

	if (HASH_COUNT(visitors->all) > VISITORS_MAX / 2)
		sweep(visitors, now_ms);
	v = find(visitors, address);
	if (v == NULL)
		return DELAY_FIRST_MS;
	if (now_ms - v->failed_ms > VISITORS_FORGET_MS)
		v->n_failures = 0;
	v->failed_ms = now_ms;
	if (v->n_failures < FAILURES_MAX)
		v->n_failures++;
	delay_ms = (int64_t)DELAY_FIRST_MS << (v->n_failures - 1);
	return delay_ms < VISITORS_DELAY_MAX_MS ? delay_ms : VISITORS_DELAY_MAX_MS;
}
