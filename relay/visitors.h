/*
 * Who is at the door of this intake: how many sessions each client address has, and how often it
 * lately failed to log in, so that neither can be had without end. Bounded; forgets after a while.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct visitors;

enum {
	VISITORS_MAX = 10000,        /* addresses remembered; beyond it only sessions count */
	VISITORS_FORGET_MS = 600000, /* after the last failure */
	VISITORS_DELAY_MAX_MS = 8000,
};

struct visitors *visitors_create(void);
void visitors_destroy(struct visitors **visitors);

/* Returns how many sessions the address has, with this one. */
size_t visitors_enter(struct visitors *visitors, const char *address);
void visitors_leave(struct visitors *visitors, const char *address);

/* A login failed: how long to wait before saying so; doubles each time. */
int64_t visitors_note_failure(struct visitors *visitors, const char *address, int64_t now_ms);
