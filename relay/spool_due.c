#include "relay/spool_due.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "relay/base/mem.h"

enum { OUT_KEY_MAX = 24 + 512 };

static struct due_domain *note(struct due *d, const char *name, int64_t due_s);
static struct due_domain *take(struct due *d, struct due_domain *domain);
static size_t count_below(const struct due *d, size_t at, int64_t now_s, size_t most);
static void rise(struct due *d, size_t at);
static void sink(struct due *d, size_t at);
static void place(struct due *d, size_t at, struct due_domain *domain);
static void out_key(char key[OUT_KEY_MAX], int64_t message, const char *domain);

void due_init(struct due *d)
{
	*d = (struct due){ 0 };
	TAILQ_INIT(&d->news);
	map_init(&d->domains);
	map_init(&d->out);
}

void due_finish(struct due *d)
{
	due_clear(d);
	free(d->heap);
	map_finish(&d->domains);
	map_finish(&d->out);
}

void due_note(struct due *d, const char *name, int64_t due_s)
{
	note(d, name, due_s);
}

void due_note_news(struct due *d, const char *name, int64_t due_s)
{
	struct due_domain *domain = note(d, name, due_s);

	if (domain->has_news)
		TAILQ_REMOVE(&d->news, domain, news);
	domain->has_news = true;
	TAILQ_INSERT_HEAD(&d->news, domain, news);
}

static struct due_domain *note(struct due *d, const char *name, int64_t due_s)
{
	struct due_domain *domain = map_get(&d->domains, name);

	if (domain == NULL) {
		domain = mem_create(sizeof *domain);
		domain->name = mem_copy_text(name);
		domain->due_s = due_s;
		due_put_back(d, domain);
	} else if (due_s < domain->due_s) {
		domain->due_s = due_s;
		rise(d, domain->place);
	}
	return domain;
}

const struct due_domain *due_first(const struct due *d)
{
	return d->n > 0 ? d->heap[0] : NULL;
}

size_t due_count(const struct due *d, int64_t now_s, size_t most)
{
	return count_below(d, 0, now_s, most);
}

/* Below what is not due nothing is: the heap is walked no further than what is counted. */
static size_t count_below(const struct due *d, size_t at, int64_t now_s, size_t most)
{
	size_t n = 1;

	if (most == 0 || at >= d->n || d->heap[at]->due_s > now_s)
		return 0;
	n += count_below(d, 2 * at + 1, now_s, most - n);
	return n + count_below(d, 2 * at + 2, now_s, most - n);
}

struct due_domain *due_take_first(struct due *d)
{
	return d->n > 0 ? take(d, d->heap[0]) : NULL;
}

struct due_domain *due_take_news(struct due *d)
{
	struct due_domain *domain = TAILQ_FIRST(&d->news);

	return domain != NULL ? take(d, domain) : NULL;
}

static struct due_domain *take(struct due *d, struct due_domain *domain)
{
	struct due_domain *last = d->heap[--d->n];

	map_take(&d->domains, domain->name);
	if (domain->has_news)
		TAILQ_REMOVE(&d->news, domain, news);
	domain->has_news = false;
	if (last != domain) {
		place(d, domain->place, last);
		rise(d, last->place);
		sink(d, last->place);
	}
	return domain;
}

void due_put_back(struct due *d, struct due_domain *domain)
{
	if (domain->due_s == INT64_MAX) {
		free(domain->name);
		free(domain);
		return;
	}
	map_put(&d->domains, domain->name, domain);
	if (d->n == d->room) {
		d->room = d->room > 0 ? 2 * d->room : 64;
		d->heap = mem_resize(d->heap, d->room, sizeof *d->heap);
	}
	place(d, d->n++, domain);
	rise(d, d->n - 1);
}

void due_clear(struct due *d)
{
	for (size_t i = 0; i < d->n; i++) {
		free(d->heap[i]->name);
		free(d->heap[i]);
	}
	d->n = 0;
	TAILQ_INIT(&d->news);
	map_finish(&d->domains);
	map_init(&d->domains);
}

void due_hand_out(struct due *d, int64_t message, const char *domain)
{
	char key[OUT_KEY_MAX];

	out_key(key, message, domain);
	map_put(&d->out, key, d);
}

void due_take_in(struct due *d, int64_t message, const char *domain)
{
	char key[OUT_KEY_MAX];

	out_key(key, message, domain);
	map_take(&d->out, key);
}

bool due_is_out(const struct due *d, int64_t message, const char *domain)
{
	char key[OUT_KEY_MAX];

	out_key(key, message, domain);
	return map_get(&d->out, key) != NULL;
}

static void rise(struct due *d, size_t at)
{
	struct due_domain *domain = d->heap[at];

	while (at > 0 && d->heap[(at - 1) / 2]->due_s > domain->due_s) {
		place(d, at, d->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	place(d, at, domain);
}

static void sink(struct due *d, size_t at)
{
	struct due_domain *domain = d->heap[at];

	for (size_t child = 2 * at + 1; child < d->n; child = 2 * at + 1) {
		if (child + 1 < d->n && d->heap[child + 1]->due_s < d->heap[child]->due_s)
			child++;
		if (d->heap[child]->due_s >= domain->due_s)
			break;
		place(d, at, d->heap[child]);
		at = child;
	}
	place(d, at, domain);
}

static void place(struct due *d, size_t at, struct due_domain *domain)
{
	d->heap[at] = domain;
	domain->place = at;
}

/* Domains have at most 253 letters; a longer one could only come from a damaged database. */
static void out_key(char key[OUT_KEY_MAX], int64_t message, const char *domain)
{
	snprintf(key, OUT_KEY_MAX, "%" PRId64 " %s", message, domain);
}
