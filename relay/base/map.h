/*
 * From a text to something: a hash table whose keys are copied and whose values are the caller's.
 * Hashing is keyed per process, since peers choose many of the texts.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct map_place;

struct map {
	struct map_place *places; /* NULL until something was put; a power of two of them */
	size_t n_places;
	size_t n;
	uint64_t seed;
};

void map_init(struct map *m);

/* Frees the keys; the values are the caller's to free before. */
void map_finish(struct map *m);

/* NULL if there is none. */
void *map_get(const struct map *m, const char *key);

/* value is not NULL. Returns what it replaced, or NULL. */
void *map_put(struct map *m, const char *key, void *value);

/* Removes it; returns the value, NULL if there was none. */
void *map_take(struct map *m, const char *key);

/*
 * Walks through: *at is 0 to begin; returns the next value and its key, NULL at the end. The map
 * may not change meanwhile.
 */
void *map_next(const struct map *m, size_t *at, const char **key);
