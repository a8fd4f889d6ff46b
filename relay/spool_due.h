/*
 * The writer's memory of what is due and what is out: for each domain with waiting recipients a
 * moment before which nothing of it is due, in a heap; and the jobs handed out and not yet settled.
 * The moments are hints that may be too early, never too late: the database has the truth, and each
 * look into it mends the hint. So finding the next jobs among a million touches only the domains
 * that have some. Private to the spool; used in the writer's thread alone once that runs.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "relay/base/map.h"

struct due_domain {
	char *name;
	int64_t due_s; /* INT64_MAX: nothing waits */
	size_t place;  /* in the heap, while it stands there */
	bool has_news; /* mail for it came after it was last looked at, and */
	TAILQ_ENTRY(due_domain) news;
};

struct due {
	struct due_domain **heap; /* the earliest first */
	size_t n, room;
	TAILQ_HEAD(, due_domain) news; /* of those in the heap, the latest first */
	struct map domains;            /* name to struct due_domain, while in the heap */
	struct map out;                /* "NUMBER DOMAIN" */
};

void due_init(struct due *d);
void due_finish(struct due *d);

/* Something of this domain falls due at due_s. */
void due_note(struct due *d, const char *domain, int64_t due_s);

/* The same of mail that has just come. */
void due_note_news(struct due *d, const char *domain, int64_t due_s);

/* The earliest; NULL if nothing waits. */
const struct due_domain *due_first(const struct due *d);

/* How many domains may have something due by now_s; counts no further than most. */
size_t due_count(const struct due *d, int64_t now_s, size_t most);

/* Takes the earliest out to look at it; it goes back by due_put_back, with due_s as found. */
struct due_domain *due_take_first(struct due *d);

/* The same of the one for which mail came last and that was not looked at since; NULL if there is none. */
struct due_domain *due_take_news(struct due *d);

/* With INT64_MAX it is forgotten. */
void due_put_back(struct due *d, struct due_domain *domain);

/* Forgets all moments (not what is out): they are about to be loaded anew. */
void due_clear(struct due *d);

/* The jobs that are out, by number of the message. */
void due_hand_out(struct due *d, int64_t message, const char *domain);
void due_take_in(struct due *d, int64_t message, const char *domain);
bool due_is_out(const struct due *d, int64_t message, const char *domain);
