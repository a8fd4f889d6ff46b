/*
 * Open addressing with linear probing; removal shifts the run behind it back, so that there are no
 * tombstones and lookups stay short for ever.
 */
#include "relay/base/map.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "relay/base/mem.h"

struct map_place {
	char *key; /* NULL: free */
	uint64_t hash;
	void *value;
};

static void grow(struct map *m);
static size_t find(const struct map *m, const char *key, uint64_t hash);
static uint64_t hash_of(const struct map *m, const char *key);

void map_init(struct map *m)
{
	*m = (struct map){ 0 };
	if (getrandom(&m->seed, sizeof m->seed, GRND_NONBLOCK) != (ssize_t)sizeof m->seed)
		m->seed = (uint64_t)(uintptr_t)m;
}

void map_finish(struct map *m)
{
	for (size_t i = 0; i < m->n_places; i++)
		free(m->places[i].key);
	free(m->places);
	*m = (struct map){ 0 };
}

void *map_get(const struct map *m, const char *key)
{
	if (m->n == 0)
		return NULL;
	return m->places[find(m, key, hash_of(m, key))].value;
}

void *map_put(struct map *m, const char *key, void *value)
{
	uint64_t hash = hash_of(m, key);
	struct map_place *place;
	void *old;

	assert(value != NULL);
	if (m->n_places == 0 || m->n >= m->n_places / 2)
		grow(m);
	place = &m->places[find(m, key, hash)];
	old = place->value;
	if (place->key == NULL) {
		place->key = mem_copy_text(key);
		place->hash = hash;
		m->n++;
	}
	place->value = value;
	return old;
}

void *map_take(struct map *m, const char *key)
{
	size_t mask = m->n_places - 1, hole, i;
	void *value;

	if (m->n == 0)
		return NULL;
	hole = find(m, key, hash_of(m, key));
	if (m->places[hole].key == NULL)
		return NULL;
	value = m->places[hole].value;
	free(m->places[hole].key);
	m->n--;
	for (i = (hole + 1) & mask; m->places[i].key != NULL; i = (i + 1) & mask) {
		/* Moves back only what may stand in the hole: nothing before its own home. */
		if (((i - m->places[i].hash) & mask) >= ((i - hole) & mask)) {
			m->places[hole] = m->places[i];
			hole = i;
		}
	}
	m->places[hole] = (struct map_place){ 0 };
	return value;
}

void *map_next(const struct map *m, size_t *at, const char **key)
{
	while (*at < m->n_places) {
		const struct map_place *place = &m->places[(*at)++];

		if (place->key != NULL) {
			*key = place->key;
			return place->value;
		}
	}
	return NULL;
}

static void grow(struct map *m)
{
	struct map_place *old = m->places;
	size_t n_old = m->n_places;

	m->n_places = n_old > 0 ? 2 * n_old : 16;
	m->places = mem_create(m->n_places * sizeof *m->places);
	for (size_t i = 0; i < n_old; i++) {
		if (old[i].key != NULL)
			m->places[find(m, old[i].key, old[i].hash)] = old[i];
	}
	free(old);
}

/* Where the key stands, or where it would. */
static size_t find(const struct map *m, const char *key, uint64_t hash)
{
	size_t mask = m->n_places - 1, i = hash & mask;

	while (m->places[i].key != NULL &&
	       (m->places[i].hash != hash || strcmp(m->places[i].key, key) != 0))
		i = (i + 1) & mask;
	return i;
}

/* FNV-1a from a secret start, with the mixing of the high bits that a mask of low bits needs. */
static uint64_t hash_of(const struct map *m, const char *key)
{
	uint64_t hash = m->seed ^ UINT64_C(0xcbf29ce484222325);

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * UINT64_C(0x100000001b3);
	hash ^= hash >> 32;
	hash *= UINT64_C(0x9e3779b97f4a7c15);
	return hash ^ hash >> 29;
}
