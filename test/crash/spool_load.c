/*
 * A process to be killed: keeps the spool of a directory busy (commits, hand-outs, settlements) and
 * says on standard output what it was promised, a line each, at once:
 *
 *	load DIRECTORY N	"ok ID" for each commit answered ok, "no ID NAME" for a refusal,
 *				"settled ID" for each delivery recorded, "end" when it is through
 *	check DIRECTORY		"waits ID" for each message handed out whole, "broken ID" for
 *				one that is not, "ended ID" for each one settled
 *
 * The body of a message is made of its id, so that a check knows it byte for byte.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"
#include "relay/spool.h"
#include "test/unit/road/whole.h"

enum { IN_FLIGHT = 16, BODY_LINES = 100 };

struct load {
	struct loop *loop;
	struct spool *spool;
	int segment_fd;
	uint64_t segment, size;
	bool segment_failed;
	unsigned long n_left, n_open, n_settling;
	bool is_finding, is_checking, is_found, is_listed;
};

struct pending {
	struct load *load;
	char id[QUEUE_ID_MAX];
};

static void keep_busy(struct load *l);
static void commit_one(struct load *l);
static bool append(struct load *l, const char *bytes, size_t n, struct extent *extent);
static void on_committed(void *arg, const struct outcome *outcome);
static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s);
static void settle(struct load *l, const struct spool_job *job);
static void on_settled(void *arg, const struct outcome *outcome, bool is_gone);
static void check(struct load *l);
static bool is_whole(struct load *l, const struct message *message);
static void on_listed(void *arg, const struct spool_entry *entry);
static char *body_of(const char *id);
static void say(const char *what, const char *id, const char *more);

static const char HEADER[] = "From: <web@example.org>\r\n\r\n";

int main(int argc, char **argv)
{
	struct load l = { .loop = loop_create(), .segment_fd = -1 };
	struct spool_settings settings = {
		.segment_size = 1 << 20, .queue_messages = 1000000, .longest_retry_s = 3600
	};
	char error[512];

	if (argc < 3)
		return 64;
	settings.directory = argv[2];
	l.spool = spool_open(l.loop, &settings, error, sizeof error);
	if (l.spool == NULL) {
		fprintf(stderr, "%s\n", error);
		return 71;
	}
	if (strcmp(argv[1], "check") == 0) {
		check(&l);
	} else {
		l.n_left = argc > 3 ? strtoul(argv[3], NULL, 10) : 1000;
		while (l.n_left > 0 || l.n_open > 0 || l.n_settling > 0) {
			keep_busy(&l);
			loop_run_once(l.loop, true);
		}
	}
	if (l.segment_fd != -1)
		close(l.segment_fd);
	spool_close(&l.spool);
	loop_destroy(&l.loop);
	say("end", "", "");
	return 0;
}

static void keep_busy(struct load *l)
{
	while (l->n_left > 0 && l->n_open < IN_FLIGHT) {
		l->n_left--;
		commit_one(l);
	}
	if (!l->is_finding && l->n_settling < IN_FLIGHT / 2) {
		l->is_finding = true;
		spool_find_due(l->spool, clock_wall_s(), 1, 1, NULL, 0, on_due, l);
	}
}

static void commit_one(struct load *l)
{
	struct pending *pending = mem_create(sizeof *pending);
	char *sender = (char *)"shop@example.org", *account = (char *)"", *to = (char *)"a@b.test";
	struct message m = { .sender = sender,
		.account = account,
		.from_domain = account,
		.message_id = account,
		.recipients = &to,
		.n_recipients = 1,
		.arrived_s = clock_wall_s(),
		.expires_s = clock_wall_s() + 86400 };
	struct outcome why;
	char *body;

	queue_id_make(m.id);
	if (l->segment_failed || l->size > 256 * 1024) {
		spool_segment_release(l->spool, l->segment);
		close(l->segment_fd);
		l->segment_fd = -1;
		l->segment_failed = false;
	}
	if (l->segment_fd == -1) {
		l->segment_fd = spool_segment_create(l->spool, &l->segment, &why);
		l->size = 0;
	}
	body = body_of(m.id);
	if (l->segment_fd == -1 || !append(l, HEADER, sizeof HEADER - 1, &m.header) ||
	    !append(l, body, strlen(body), &m.body)) {
		say("no", m.id, "write");
		l->segment_failed = l->segment_fd != -1;
		free(pending);
	} else {
		m.segment = l->segment;
		pending->load = l;
		memcpy(pending->id, m.id, sizeof pending->id);
		l->n_open++;
		spool_commit(l->spool, &m, on_committed, pending);
	}
	free(body);
}

/* By writev(), so that a failure can be injected into the content alone. */
static bool append(struct load *l, const char *bytes, size_t n, struct extent *extent)
{
	struct iovec halves[] = {
		{ (char *)bytes, n / 2 },
		{ (char *)bytes + n / 2, n - n / 2 },
	};

	*extent = (struct extent){ l->size, n, spool_checksum(0, bytes, n) };
	if (writev(l->segment_fd, halves, 2) != (ssize_t)n)
		return false;
	l->size += n;
	return true;
}

static void on_committed(void *arg, const struct outcome *outcome)
{
	struct pending *pending = arg;

	if (outcome_is_ok(outcome)) {
		say("ok", pending->id, "");
	} else {
		say("no", pending->id, outcome->name);
		pending->load->segment_failed = true;
	}
	pending->load->n_open--;
	free(pending);
}

static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s)
{
	struct load *l = arg;

	(void)next_due_s;
	l->is_finding = false;
	l->is_found = n == 0;
	for (size_t i = 0; i < n; i++) {
		if (l->is_checking)
			say(is_whole(l, &jobs[i].message) ? "waits" : "broken", jobs[i].message.id,
			    "");
		else
			settle(l, &jobs[i]);
		spool_job_finish(&jobs[i]);
	}
}

static void settle(struct load *l, const struct spool_job *job)
{
	struct pending *pending = mem_create(sizeof *pending);
	struct recipient_result result = { .state = RECIPIENT_DELIVERED };

	if (!is_whole(l, &job->message))
		say("broken", job->message.id, "");
	outcome_ok(&result.outcome);
	pending->load = l;
	memcpy(pending->id, job->message.id, sizeof pending->id);
	l->n_settling++;
	spool_settle(l->spool,
	    &(struct spool_settlement){ .id = job->message.id,
		.results = &result,
		.n_results = 1,
		.host = "",
		.evidence = "" },
	    on_settled, pending);
}

static void on_settled(void *arg, const struct outcome *outcome, bool is_gone)
{
	struct pending *pending = arg;

	(void)is_gone;
	assert(outcome_is_ok(outcome));
	say("settled", pending->id, "");
	pending->load->n_settling--;
	free(pending);
}

static void check(struct load *l)
{
	l->is_checking = true;
	while (!l->is_found) {
		if (!l->is_finding) {
			l->is_finding = true;
			spool_find_due(
			    l->spool, clock_wall_s() + 7200, 100, 100, NULL, 0, on_due, l);
		}
		loop_run_once(l->loop, true);
	}
	spool_list(l->spool, NULL, NULL, true, 1000000, on_listed, l);
	while (!l->is_listed)
		loop_run_once(l->loop, true);
}

static bool is_whole(struct load *l, const struct message *message)
{
	int fd = spool_open_segment(l->spool, message->segment);
	char *body = body_of(message->id), *read_back = mem_create(strlen(body));
	bool whole = fd != -1 && extent_check(fd, &message->header) == 0 &&
		     extent_check(fd, &message->body) == 0 &&
		     message->body.length == strlen(body) &&
		     pread(fd, read_back, strlen(body), (off_t)message->body.offset) ==
			 (ssize_t)strlen(body) &&
		     memcmp(read_back, body, strlen(body)) == 0;

	if (fd != -1)
		close(fd);
	free(read_back);
	free(body);
	return whole;
}

static void on_listed(void *arg, const struct spool_entry *entry)
{
	if (entry == NULL)
		((struct load *)arg)->is_listed = true;
	else if (strcmp(entry->state, "delivered") == 0)
		say("ended", entry->id, "");
}

static char *body_of(const char *id)
{
	char line[32], *body = mem_create(BODY_LINES * sizeof line);
	size_t n = (size_t)snprintf(line, sizeof line, "%s\r\n", id);

	for (size_t i = 0; i < BODY_LINES; i++)
		memcpy(body + i * n, line, n);
	return body;
}

/* One write a line: what was said before a kill stays said. */
static void say(const char *what, const char *id, const char *more)
{
	char line[128];
	int n = snprintf(line, sizeof line, "%s %s %s\n", what, id, more);

	if (write(STDOUT_FILENO, line, (size_t)n) != n)
		abort();
}
