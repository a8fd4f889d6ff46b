/*
 * Exchanges of several questions under way in the auth role, each by the channel it came on and the
 * number that the other end gave it. Their number is bounded, and what nobody goes on with is
 * forgotten.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct channel;
struct exchanges;
struct loop;

enum {
	EXCHANGES_MAX = 10000,
	EXCHANGES_FORGET_MS = 300000, /* after the last question */
};

/* destroy ends one of what is kept, and is given a pointer to it. */
struct exchanges *exchanges_create(struct loop *loop, void (*destroy)(void *kept));
void exchanges_destroy(struct exchanges **exchanges);

/* NULL if there is none. */
void *exchanges_find(struct exchanges *exchanges, struct channel *channel, uint64_t number);

bool exchanges_are_full(const struct exchanges *exchanges);

/* Takes kept over. There is none of that channel and number, and room. */
void exchanges_add(
    struct exchanges *exchanges, struct channel *channel, uint64_t number, void *kept);

/* Ends it, if there is one. */
void exchanges_drop(struct exchanges *exchanges, struct channel *channel, uint64_t number);

/* The channel is gone: ends all that came on it. */
void exchanges_drop_channel(struct exchanges *exchanges, struct channel *channel);
