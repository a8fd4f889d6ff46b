/*
 * What each recipient of a message gets, over all the transactions of an attempt: each is settled once,
 * and stays so.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/outcome.h"
#include "relay/transact.h"

struct verdicts {
	size_t n;
	struct outcome *outcomes; /* one for each recipient */
	bool *settled;
	size_t n_left;  /* not settled */
	size_t *chosen; /* places of the recipients of the present transaction */
	size_t n_chosen;
};

void verdicts_init(struct verdicts *v, size_t n_recipients);
void verdicts_finish(struct verdicts *v);

/* The first of those who are left, at most so many, and one at least. */
void verdicts_choose(struct verdicts *v, uint64_t most);

/* What the transaction brought for those chosen; false if it settled nobody. */
bool verdicts_take(struct verdicts *v, const struct transact_result *result);

/* All who are left get this. */
void verdicts_settle_all(struct verdicts *v, const struct outcome *what);
