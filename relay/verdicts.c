#include "relay/verdicts.h"

#include <assert.h>
#include <stdlib.h>

#include "relay/base/mem.h"

static void settle(struct verdicts *v, size_t recipient, const struct outcome *what);

void verdicts_init(struct verdicts *v, size_t n_recipients)
{
	assert(n_recipients > 0);
	*v = (struct verdicts){ .n = n_recipients, .n_left = n_recipients };
	v->outcomes = mem_create(n_recipients * sizeof *v->outcomes);
	v->settled = mem_create(n_recipients * sizeof *v->settled);
	v->chosen = mem_create(n_recipients * sizeof *v->chosen);
}

void verdicts_finish(struct verdicts *v)
{
	free(v->outcomes);
	free(v->settled);
	free(v->chosen);
	*v = (struct verdicts){ 0 };
}

void verdicts_choose(struct verdicts *v, uint64_t most)
{
	v->n_chosen = 0;
	for (size_t i = 0; i < v->n; i++) {
		if (!v->settled[i] && (v->n_chosen < most || v->n_chosen == 0))
			v->chosen[v->n_chosen++] = i;
	}
}

bool verdicts_take(struct verdicts *v, const struct transact_result *result)
{
	size_t n_before = v->n_left;

	for (size_t i = 0; i < result->n_verdicts; i++) {
		if (result->verdicts[i].is_settled)
			settle(v, v->chosen[i], &result->verdicts[i].outcome);
	}
	return v->n_left < n_before;
}

void verdicts_settle_all(struct verdicts *v, const struct outcome *what)
{
	for (size_t i = 0; i < v->n; i++) {
		if (!v->settled[i])
			settle(v, i, what);
	}
}

static void settle(struct verdicts *v, size_t recipient, const struct outcome *what)
{
	assert(!v->settled[recipient]);
	v->settled[recipient] = true;
	v->outcomes[recipient] = *what;
	v->n_left--;
}
