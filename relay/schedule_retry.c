/*
 * When again: how long what was deferred waits, and which attempt is the last. Pure.
 */
#include "relay/schedule.h"

static uint32_t hash_of(const char *id);

uint32_t schedule_wait_s(
    const struct schedule_settings *settings, uint32_t n_attempts, const char *id)
{
	uint64_t wait_s = settings->first_s;

	for (uint32_t i = 1; i < n_attempts && wait_s < settings->longest_s; i++)
		wait_s *= 2;
	if (wait_s > settings->longest_s)
		wait_s = settings->longest_s;
	wait_s -= hash_of(id) % (wait_s / 10 + 1);
	return wait_s > 0 ? (uint32_t)wait_s : 1;
}

int64_t schedule_next_try(const struct schedule_settings *settings, uint32_t n_attempts,
    const char *id, int64_t now_s, int64_t expires_s)
{
	int64_t next_s = now_s + schedule_wait_s(settings, n_attempts, id);

	return now_s < expires_s && expires_s < next_s ? expires_s : next_s;
}

bool schedule_is_last_try(int64_t now_s, int64_t expires_s)
{
	return now_s >= expires_s;
}

static uint32_t hash_of(const char *id)
{
	uint32_t hash = 2166136261;

	for (; *id != '\0'; id++)
		hash = (hash ^ (unsigned char)*id) * 16777619;
	return hash ^ hash >> 15;
}
