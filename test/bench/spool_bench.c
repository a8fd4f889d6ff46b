/*
 * How the spool fares with many messages (Q13): commits that share their syncs, a start with all of
 * them queued, and finding what is due among them.
 *
 *	spool_bench DIRECTORY [N]	N messages to N / 100 domains, 100,000 if not said
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/net/loop.h"
#include "relay/spool.h"

enum { IN_FLIGHT = 500, FINDS = 200, FOUND_AT_ONCE = 100 };

struct bench {
	struct loop *loop;
	struct spool *spool;
	unsigned long n, n_asked, n_committed, n_refused, n_found, n_finds;
	uint64_t segment;
	int segment_fd;
	bool is_finding;
};

static struct spool *open_spool(struct bench *b, const char *directory);
static void commit_all(struct bench *b);
static void on_committed(void *arg, const struct outcome *outcome);
static void find_many(struct bench *b);
static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s);
static void report(const char *what, unsigned long n, int64_t begin_ms);

static const char CONTENT[] = "From: <web@example.org>\r\n\r\nDear customer,\r\n";

int main(int argc, char **argv)
{
	struct bench b = { .loop = loop_create(), .n = 100000 };
	int64_t begin_ms;
	struct rusage usage;

	if (argc < 2)
		return 64;
	if (argc > 2)
		b.n = strtoul(argv[2], NULL, 10);
	b.spool = open_spool(&b, argv[1]);
	begin_ms = clock_monotonic_ms();
	commit_all(&b);
	report("committed", b.n_committed, begin_ms);
	spool_close(&b.spool);

	begin_ms = clock_monotonic_ms();
	b.spool = open_spool(&b, argv[1]);
	report("opened with", b.n_committed, begin_ms);
	begin_ms = clock_monotonic_ms();
	find_many(&b);
	report("found due", b.n_found, begin_ms);
	spool_close(&b.spool);
	loop_destroy(&b.loop);
	getrusage(RUSAGE_SELF, &usage);
	printf("%ld KB of memory at most\n", usage.ru_maxrss);
	return b.n_refused == 0 && b.n_found > 0 ? 0 : 1;
}

static struct spool *open_spool(struct bench *b, const char *directory)
{
	struct spool_settings settings = { .directory = directory,
		.segment_size = 64 << 20,
		.queue_messages = 10000000,
		.longest_retry_s = 3600 };
	char error[512];
	struct spool *spool = spool_open(b->loop, &settings, error, sizeof error);

	if (spool == NULL) {
		fprintf(stderr, "%s\n", error);
		exit(71);
	}
	return spool;
}

static void commit_all(struct bench *b)
{
	struct outcome why;
	char to[64], *recipient = to, none[] = "", sender[] = "shop@example.org";
	struct message m = { .sender = sender,
		.account = none,
		.from_domain = none,
		.message_id = none,
		.recipients = &recipient,
		.n_recipients = 1,
		.header = { 0, 27, spool_checksum(0, CONTENT, 27) },
		.body = { 27, sizeof CONTENT - 1 - 27, 0 } };

	b->segment_fd = spool_segment_create(b->spool, &b->segment, &why);
	if (b->segment_fd == -1 ||
	    write(b->segment_fd, CONTENT, sizeof CONTENT - 1) != sizeof CONTENT - 1) {
		fprintf(stderr, "no segment\n");
		exit(71);
	}
	m.segment = b->segment;
	m.arrived_s = clock_wall_s();
	m.expires_s = m.arrived_s + 86400;
	while (b->n_committed + b->n_refused < b->n) {
		while (
		    b->n_asked < b->n && b->n_asked - b->n_committed - b->n_refused < IN_FLIGHT) {
			queue_id_make(m.id);
			snprintf(to, sizeof to, "user%lu@domain%lu.test", b->n_asked,
			    b->n_asked * 7919 % (b->n / 100 + 1));
			b->n_asked++;
			spool_commit(b->spool, &m, on_committed, b);
		}
		loop_run_once(b->loop, true);
	}
	close(b->segment_fd);
}

static void on_committed(void *arg, const struct outcome *outcome)
{
	struct bench *b = arg;

	if (outcome_is_ok(outcome))
		b->n_committed++;
	else
		b->n_refused++;
}

static void find_many(struct bench *b)
{
	while (b->n_finds < FINDS) {
		if (!b->is_finding) {
			b->is_finding = true;
			spool_find_due(
			    b->spool, clock_wall_s(), FOUND_AT_ONCE, 40, NULL, 0, on_due, b);
		}
		loop_run_once(b->loop, true);
	}
}

static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s)
{
	struct bench *b = arg;

	(void)next_due_s;
	for (size_t i = 0; i < n; i++)
		spool_job_finish(&jobs[i]);
	b->n_found += n;
	b->n_finds++;
	b->is_finding = false;
}

static void report(const char *what, unsigned long n, int64_t begin_ms)
{
	int64_t took_ms = clock_monotonic_ms() - begin_ms;

	printf("%s %lu messages in %lld ms (%.0f a second)\n", what, n, (long long)took_ms,
	    (double)n * 1000 / (double)(took_ms > 0 ? took_ms : 1));
}
