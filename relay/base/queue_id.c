#include "relay/base/queue_id.h"

#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/encode.h"

enum { TIME_LETTERS = 9, NODE_LETTERS = 2, COUNTER_LETTERS = 4 };

static const int64_t epoch_2020_ms = INT64_C(1577836800000);

void queue_id_make(char id[QUEUE_ID_MAX])
{
	/* Each process counts for itself; a fork must start anew, so the pid is remembered. */
	static pid_t owner;
	static uint32_t counter, node;

	if (owner != getpid()) {
		owner = getpid();
		if (getrandom(&counter, sizeof counter, 0) != (ssize_t)sizeof counter)
			counter = (uint32_t)clock_monotonic_ms();
		node = (uint32_t)owner;
	}
	counter++;
	crockford_encode((uint64_t)(clock_wall_ms() - epoch_2020_ms), TIME_LETTERS, id);
	crockford_encode(node, NODE_LETTERS, id + TIME_LETTERS);
	crockford_encode(counter, COUNTER_LETTERS, id + TIME_LETTERS + NODE_LETTERS);
}

bool queue_id_is_valid(const char *text, size_t n)
{
	if (n != QUEUE_ID_LENGTH)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\0' || strchr("0123456789ABCDEFGHJKMNPQRSTVWXYZ", text[i]) == NULL)
			return false;
	}
	return true;
}

void queue_id_fold(const char *text, char id[QUEUE_ID_MAX])
{
	size_t n_all = strlen(text), n = 0;

	for (; n < n_all && n_all <= QUEUE_ID_LENGTH; n++)
		id[n] = text[n] >= 'a' && text[n] <= 'z' ? (char)(text[n] - 'a' + 'A') : text[n];
	id[n] = '\0';
}
