#include "spool_fixture.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"

static const char HEADER[] = "From: <web@example.org>\r\nSubject: invoice\r\n\r\n";

struct answer {
	bool done, is_gone;
	struct outcome outcome;
	size_t n;
	struct spool_counts counts;
	struct found *found;
	char *text;
	size_t n_text;
};

static struct extent append(struct fixture *f, const void *bytes, size_t n);
static void on_committed(void *arg, const struct outcome *outcome);
static void on_settled(void *arg, const struct outcome *outcome, bool is_gone);
static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s);
static void on_listed(void *arg, const struct spool_entry *entry);
static void on_changed(void *arg, size_t n);
static void on_counted(void *arg, const struct spool_counts *counts);

void fixture_init(struct fixture *f)
{
	*f = (struct fixture){ .segment_fd = -1 };
	snprintf(f->directory, sizeof f->directory, "/tmp/zegel-spool-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	f->loop = loop_create();
	f->settings = (struct spool_settings){
		.directory = f->directory,
		.segment_size = 1 << 20,
		.queue_messages = 1000,
		.longest_retry_s = 3600,
	};
	assert_true(fixture_open(f));
	fixture_new_segment(f);
}

void fixture_finish(struct fixture *f)
{
	char command[128];

	fixture_close(f);
	loop_destroy(&f->loop);
	snprintf(command, sizeof command, "rm -rf %s", f->directory);
	assert_int_equal(system(command), 0);
}

bool fixture_open(struct fixture *f)
{
	f->error[0] = '\0';
	f->spool = spool_open(f->loop, &f->settings, f->error, sizeof f->error);
	return f->spool != NULL;
}

void fixture_close(struct fixture *f)
{
	if (f->segment_fd != -1)
		close(f->segment_fd);
	f->segment_fd = -1;
	spool_close(&f->spool);
}

void fixture_new_segment(struct fixture *f)
{
	struct outcome why;

	if (f->segment_fd != -1)
		close(f->segment_fd);
	f->segment_fd = spool_segment_create(f->spool, &f->segment, &why);
	assert_int_not_equal(f->segment_fd, -1);
	f->size = 0;
}

void fixture_write(
    struct fixture *f, struct message *m, const char *sender, const char *const *recipients)
{
	static const char BODY[] = "Dear customer,\r\nplease pay.\r\n";

	*m = (struct message){ .segment = f->segment };
	queue_id_make(m->id);
	m->header = append(f, HEADER, sizeof HEADER - 1);
	m->body = append(f, BODY, sizeof BODY - 1);
	m->sender = mem_copy_text(sender);
	m->account = mem_copy_text("web@example.org");
	m->from_domain = mem_copy_text("example.org");
	m->message_id = mem_copy_text("<1@example.org>");
	m->arrived_s = clock_wall_s();
	m->expires_s = m->arrived_s + 5 * 24 * 3600;
	for (; recipients[m->n_recipients] != NULL; m->n_recipients++) {
		m->recipients =
		    mem_resize(m->recipients, m->n_recipients + 1, sizeof *m->recipients);
		m->recipients[m->n_recipients] = mem_copy_text(recipients[m->n_recipients]);
	}
}

static struct extent append(struct fixture *f, const void *bytes, size_t n)
{
	struct extent extent = { f->size, n, spool_checksum(0, bytes, n) };

	assert_int_equal(write(f->segment_fd, bytes, n), n);
	f->size += n;
	return extent;
}

void fixture_run(struct fixture *f, const bool *done)
{
	int64_t deadline_ms = clock_monotonic_ms() + 60000;

	while (!*done) {
		loop_run_once(f->loop, true);
		assert_true(clock_monotonic_ms() < deadline_ms);
	}
}

struct outcome fixture_commit(struct fixture *f, const struct message *m)
{
	struct answer answer = { 0 };

	spool_commit(f->spool, m, on_committed, &answer);
	assert_false(answer.done); /* never from inside the call */
	fixture_run(f, &answer.done);
	return answer.outcome;
}

void fixture_accept(
    struct fixture *f, const char *sender, const char *const *recipients, char id[QUEUE_ID_MAX])
{
	struct message m;
	struct outcome outcome;

	fixture_write(f, &m, sender, recipients);
	outcome = fixture_commit(f, &m);
	assert_string_equal(outcome.text, "Ok");
	memcpy(id, m.id, QUEUE_ID_MAX);
	message_finish(&m);
}

static void on_committed(void *arg, const struct outcome *outcome)
{
	struct answer *answer = arg;

	assert_false(answer->done);
	answer->outcome = *outcome;
	answer->done = true;
}

typedef void find_call(
    struct spool *, int64_t, size_t, size_t, const char *const *, size_t, spool_due *, void *);

static void find(find_call *call, struct fixture *f, struct found *found, int64_t now_s,
    size_t limit, size_t per_domain, const char *const *except)
{
	struct answer answer = { .found = found };
	size_t n_except = 0;

	*found = (struct found){ 0 };
	while (except != NULL && except[n_except] != NULL)
		n_except++;
	call(f->spool, now_s, limit, per_domain, except, n_except, on_due, &answer);
	fixture_run(f, &answer.done);
}

void fixture_find(struct fixture *f, struct found *found, int64_t now_s, size_t limit,
    size_t per_domain, const char *const *except)
{
	find(spool_find_due, f, found, now_s, limit, per_domain, except);
}

void fixture_find_news(struct fixture *f, struct found *found, int64_t now_s, size_t limit,
    size_t per_domain, const char *const *except)
{
	find(spool_find_news, f, found, now_s, limit, per_domain, except);
}

static void on_due(void *arg, struct spool_job *jobs, size_t n, int64_t next_due_s)
{
	struct answer *answer = arg;

	assert_true(n <= sizeof answer->found->jobs / sizeof *answer->found->jobs);
	for (size_t i = 0; i < n; i++)
		answer->found->jobs[i] = jobs[i];
	answer->found->n = n;
	answer->found->next_due_s = next_due_s;
	answer->done = true;
}

void found_finish(struct found *found)
{
	for (size_t i = 0; i < found->n; i++)
		spool_job_finish(&found->jobs[i]);
	found->n = 0;
}

struct outcome fixture_settle(struct fixture *f, const struct spool_settlement *settlement)
{
	struct answer answer = { 0 };

	spool_settle(f->spool, settlement, on_settled, &answer);
	assert_false(answer.done);
	fixture_run(f, &answer.done);
	f->is_gone = answer.is_gone;
	return answer.outcome;
}

static void on_settled(void *arg, const struct outcome *outcome, bool is_gone)
{
	struct answer *answer = arg;

	on_committed(arg, outcome);
	answer->is_gone = is_gone;
}

struct outcome fixture_settle_job(struct fixture *f, const struct spool_job *job,
    enum recipient_state state, int64_t next_try_s, const struct message *bounce)
{
	static const int CODES[] = { 450, 250, 550 };
	static const char *const ENHANCED[] = { "4.2.0", "2.0.0", "5.1.1" };
	size_t n = job->message.n_recipients;
	struct recipient_result *results = mem_create(n * sizeof *results);
	struct outcome outcome;

	for (size_t i = 0; i < n; i++) {
		results[i].recipient = job->places[i];
		results[i].state = state;
		outcome_say(
		    &results[i].outcome, CODES[state], ENHANCED[state], "", "said the host");
		snprintf(results[i].outcome.who, sizeof results[i].outcome.who, "mx.test");
	}
	outcome = fixture_settle(f, &(struct spool_settlement){
					.id = job->message.id,
					.results = results,
					.n_results = n,
					.next_try_s = next_try_s,
					.host = "mx.test[192.0.2.1]:25",
					.evidence = "TLSv1.3 dane",
					.bounce = bounce,
				    });
	free(results);
	return outcome;
}

/* The text lives until the next call. */
const char *fixture_list(
    struct fixture *f, const char *id, const char *address, bool with_settled, size_t limit)
{
	static char text[16384];
	struct answer answer = { .text = text, .n_text = sizeof text };

	text[0] = '\0';
	spool_list(f->spool, id, address, with_settled, limit, on_listed, &answer);
	fixture_run(f, &answer.done);
	return text;
}

static void on_listed(void *arg, const struct spool_entry *entry)
{
	struct answer *answer = arg;
	size_t n = strlen(answer->text);

	if (entry == NULL) {
		answer->done = true;
		return;
	}
	answer->n++;
	if (n + 256 > answer->n_text)
		return; /* long lists are counted only */
	snprintf(answer->text + n, answer->n_text - n, "%s%s %s %u %s|%s", n > 0 ? "\n" : "",
	    entry->recipient, entry->state, entry->n_attempts, entry->reply, entry->reason);
}

size_t fixture_retry(struct fixture *f, const char *what)
{
	struct answer answer = { 0 };

	spool_retry(f->spool, what, on_changed, &answer);
	fixture_run(f, &answer.done);
	return answer.n;
}

size_t fixture_remove(struct fixture *f, const char *id)
{
	struct answer answer = { 0 };

	spool_remove(f->spool, id, on_changed, &answer);
	fixture_run(f, &answer.done);
	return answer.n;
}

static void on_changed(void *arg, size_t n)
{
	struct answer *answer = arg;

	answer->n = n;
	answer->done = true;
}

struct spool_counts fixture_count(struct fixture *f)
{
	struct answer answer = { 0 };

	spool_count(f->spool, on_counted, &answer);
	fixture_run(f, &answer.done);
	return answer.counts;
}

static void on_counted(void *arg, const struct spool_counts *counts)
{
	struct answer *answer = arg;

	answer->counts = *counts;
	answer->done = true;
}

size_t fixture_n_files(const struct fixture *f)
{
	char path[128];
	struct dirent *entry;
	size_t n = 0;
	DIR *directory;

	snprintf(path, sizeof path, "%s/segments", f->directory);
	directory = opendir(path);
	assert_non_null(directory);
	while ((entry = readdir(directory)) != NULL)
		n += entry->d_name[0] != '.';
	closedir(directory);
	return n;
}
