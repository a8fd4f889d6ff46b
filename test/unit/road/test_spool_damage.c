/*
 * What the spool does when the disk, its files or another process do not behave.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"
#include "spool_fixture.h"
#include "whole.h"

#define TO(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

static int set_up(void **state)
{
	struct fixture *f = mem_create(sizeof *f);

	fixture_init(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	fixture_finish(f);
	free(f);
	return 0;
}

static char *path_of(const struct fixture *f, const char *name)
{
	return mem_print("%s/%s", f->directory, name);
}

static void overwrite(const char *path, off_t at, const void *bytes, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_int_not_equal(fd, -1);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

/* ---- bytes ---- */

static void Q10_damage_of_an_extent_is_seen(void **state)
{
	struct fixture *f = *state;
	struct message m;
	char byte;

	fixture_write(f, &m, "shop@example.org", TO("a@one.test"));
	assert_int_equal(extent_check(f->segment_fd, &m.body), 0);
	for (uint64_t i = 0; i < m.body.length; i++) {
		off_t at = (off_t)(m.body.offset + i);
		char path[64];
		int fd;

		/* The segment is open for append alone; the damage comes by another descriptor. */
		snprintf(path, sizeof path, "/proc/self/fd/%d", f->segment_fd);
		fd = open(path, O_RDWR);
		assert_int_equal(pread(fd, &byte, 1, at), 1);
		for (int bit = 0; bit < 8; bit++) {
			char flipped = (char)(byte ^ 1 << bit);

			assert_int_equal(pwrite(fd, &flipped, 1, at), 1);
			assert_int_equal(extent_check(f->segment_fd, &m.body), -1);
			assert_int_equal(errno, EBADMSG);
			assert_int_equal(extent_check(f->segment_fd, &m.header), 0);
		}
		assert_int_equal(pwrite(fd, &byte, 1, at), 1);
		close(fd);
	}
	assert_int_equal(extent_check(f->segment_fd, &m.body), 0);
	for (uint64_t left = m.body.length; left-- > 0;) {
		assert_int_equal(ftruncate(f->segment_fd, (off_t)(m.body.offset + left)), 0);
		assert_int_equal(extent_check(f->segment_fd, &m.body), -1);
		assert_int_equal(errno, EBADMSG);
	}
	/* Zeros where bytes were, a sparse file of 4 GB behind. */
	assert_int_equal(ftruncate(f->segment_fd, (off_t)1 << 32), 0);
	assert_int_equal(extent_check(f->segment_fd, &m.body), -1);
	assert_int_equal(errno, EBADMSG);
	message_finish(&m);
}

static void Q7_what_cannot_be_read_says_why(void **state)
{
	struct extent extent = { 0, 10, 0 }, beyond = { INT64_MAX, 10, 0 };
	int directory = open("/tmp", O_RDONLY | O_DIRECTORY);

	(void)state;
	assert_int_equal(extent_check(directory, &extent), -1);
	assert_int_equal(errno, EISDIR);
	assert_int_equal(extent_check(directory, &beyond), -1);
	assert_int_equal(errno, EBADMSG);
	close(directory);
}

static void checksum_continues(void **state)
{
	(void)state;
	assert_int_equal(spool_checksum(0, "123456789", 9), 0xcbf43926); /* the CRC-32 of books */
	assert_int_equal(spool_checksum(spool_checksum(0, "1234", 4), "56789", 5), 0xcbf43926);
	assert_int_equal(spool_checksum(0, "", 0), 0);
}

/* ---- the directory ---- */

static void Q9_an_unsafe_directory_is_refused(void **state)
{
	struct fixture *f = *state;
	char *link = mem_print("%s-link", f->directory);

	fixture_close(f);
	assert_int_equal(chmod(f->directory, 0750), 0);
	assert_false(fixture_open(f));
	assert_non_null(strstr(f->error, "[spool-unsafe]"));
	assert_non_null(strstr(f->error, "chmod 700"));
	assert_int_equal(chmod(f->directory, 0700), 0);

	assert_int_equal(symlink(f->directory, link), 0);
	f->settings.directory = link;
	assert_false(fixture_open(f));
	assert_non_null(strstr(f->error, "[spool-unsafe]"));
	assert_int_equal(unlink(link), 0);
	assert_false(fixture_open(f));
	assert_non_null(strstr(f->error, "No such file"));
	f->settings.directory = f->directory;

	if (geteuid() == 0) {
		assert_int_equal(chown(f->directory, 4711, 0), 0);
		assert_false(fixture_open(f));
		assert_non_null(strstr(f->error, "belongs to user 4711"));
		assert_int_equal(chown(f->directory, 0, 0), 0);
	}
	assert_true(fixture_open(f));
	free(link);
}

static void Q12_a_second_daemon_is_refused(void **state)
{
	struct fixture *f = *state, second = *f;

	assert_false(fixture_open(&second));
	assert_non_null(strstr(second.error, "Another zegel"));
	assert_non_null(strstr(second.error, "[spool-locked]"));
	fixture_close(f);
	assert_true(fixture_open(&second));
	second.segment_fd = -1;
	fixture_close(&second);
}

static void orphans_go_when_old(void **state)
{
	static const struct {
		const char *name;
		bool old, goes;
	} FILES[] = {
		{ "0000000000000001", true, true },
		{ "0000000000000002", false, false },
		{ "notes.txt", true, false },        /* not ours to judge */
		{ "000000000000000A", true, false }, /* we write small letters */
		{ "00000000000000003", true, false },
	};
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], *living;
	struct timespec old[2] = { { .tv_sec = time(NULL) - 7200 },
		{ .tv_sec = time(NULL) - 7200 } };

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	living = mem_print("%s/segments/%016llx", f->directory, (unsigned long long)f->segment);
	fixture_close(f);
	utimensat(AT_FDCWD, living, old, 0);
	for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
		char *path = mem_print("%s/segments/%s", f->directory, FILES[i].name);

		overwrite(path, 0, "x", 1);
		if (FILES[i].old)
			utimensat(AT_FDCWD, path, old, 0);
		free(path);
	}
	assert_true(fixture_open(f));
	for (size_t i = 0; i < sizeof FILES / sizeof *FILES; i++) {
		char *path = mem_print("%s/segments/%s", f->directory, FILES[i].name);

		if ((access(path, F_OK) == -1) != FILES[i].goes)
			fail_msg("%s", FILES[i].name);
		free(path);
	}
	assert_int_equal(access(living, F_OK), 0);
	free(living);
}

static void Q10_a_directory_where_a_segment_is_due(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], *path;
	struct message m;
	struct outcome outcome;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_write(f, &m, "shop@example.org", TO("b@one.test"));
	fixture_close(f);
	path = mem_print("%s/segments/%016llx", f->directory, (unsigned long long)f->segment);
	assert_int_equal(unlink(path), 0);
	assert_true(fixture_open(f)); /* and says that the segment is gone */
	assert_int_equal(spool_open_segment(f->spool, f->segment), -1);
	assert_int_equal(errno, ENOENT);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(spool_open_segment(f->spool, f->segment), -1);
	assert_int_equal(errno, EINVAL);
	outcome = fixture_commit(f, &m);
	assert_string_equal(outcome.name, "segment-gone");
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_int_equal(spool_open_segment(f->spool, f->segment), -1);
	assert_int_equal(errno, ELOOP);
	message_finish(&m);
	free(path);
}

/* ---- the database ---- */

static void Q11_what_is_not_ours_is_left_alone(void **state)
{
	/* Big-endian, at 60 and 68 of an SQLite file: user version and application id. */
	static const struct {
		const char *what;
		off_t at;
		const char *bytes;
		size_t n;
		const char *name;
	} CASES[] = {
		{ "newer format", 60, "\0\0\0\3", 4, "[queue-format]" },
		{ "older format", 60, "\0\0\0\0", 4, "[queue-format]" },
		{ "another program's", 68, "\1\2\3\4", 4, "[queue-foreign]" },
		{ "no database", 0, "hello, this is no database", 26, "[queue-damaged]" },
	};
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], *path = path_of(f, "queue.db"), saved[100];
	int fd;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_close(f);
	for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
		struct stat before, after;

		fd = open(path, O_RDONLY);
		assert_int_equal(pread(fd, saved, sizeof saved, 0), sizeof saved);
		close(fd);
		overwrite(path, CASES[i].at, CASES[i].bytes, CASES[i].n);
		assert_int_equal(stat(path, &before), 0);
		assert_false(fixture_open(f));
		if (strstr(f->error, CASES[i].name) == NULL)
			fail_msg("%s: %s", CASES[i].what, f->error);
		assert_int_equal(stat(path, &after), 0);
		assert_memory_equal(&before.st_mtim, &after.st_mtim, sizeof before.st_mtim);
		overwrite(path, 0, saved, sizeof saved);
	}
	assert_true(fixture_open(f));
	assert_int_equal(fixture_count(f).messages, 1);
	free(path);
}

static void Q10_a_truncated_database_is_refused_or_read(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX], *path = path_of(f, "queue.db"), *copy;
	size_t n_refused = 0;
	struct stat st;
	int fd;

	for (int i = 0; i < 20; i++)
		fixture_accept(f, "shop@example.org", TO("a@one.test", "b@two.test"), id);
	fixture_close(f);
	fd = open(path, O_RDONLY);
	assert_int_equal(fstat(fd, &st), 0);
	copy = mem_create((size_t)st.st_size);
	assert_int_equal(read(fd, copy, (size_t)st.st_size), st.st_size);
	close(fd);
	for (off_t size = 4096; size < st.st_size; size += 4096 + 1) {
		overwrite(path, 0, copy, (size_t)st.st_size);
		assert_int_equal(truncate(path, size), 0);
		/* Either it says so, or it opens and lists without a crash. */
		if (!fixture_open(f)) {
			assert_true(f->error[0] != '\0');
			n_refused++;
			continue;
		}
		fixture_list(f, NULL, NULL, true, 100);
		fixture_close(f);
	}
	assert_true(n_refused > 0);
	overwrite(path, 0, copy, (size_t)st.st_size);
	assert_true(fixture_open(f));
	assert_int_equal(fixture_count(f).messages, 20);
	free(copy);
	free(path);
}

/* ---- no room ---- */

static void limit_file_size(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void on_settled(void *arg, const struct outcome *outcome, bool is_gone)
{
	(void)is_gone;
	assert_true(outcome_is_ok(outcome));
	*(bool *)arg = true;
}

static void Q4_no_room_for_the_database(void **state)
{
	struct fixture *f = *state;
	char id[QUEUE_ID_MAX];
	struct message m;
	struct found found;
	struct outcome outcome;
	struct recipient_result result = { .state = RECIPIENT_DELIVERED };
	bool settled = false;
	int64_t until_ms;

	fixture_accept(f, "shop@example.org", TO("a@one.test"), id);
	fixture_find(f, &found, clock_wall_s(), 1, 1, NULL);
	fixture_write(f, &m, "shop@example.org", TO("b@one.test"));
	limit_file_size(4096); /* writing past it fails with EFBIG, which stands for a full disk */

	outcome = fixture_commit(f, &m);
	assert_int_equal(outcome.code, 452);
	assert_string_equal(outcome.enhanced, "4.3.1");
	assert_string_equal(outcome.name, "disk-full");
	assert_int_equal(fixture_count(f).messages, 1);

	/* D7: what came of a delivery waits until it can be stored, and is not out again. */
	outcome_ok(&result.outcome);
	spool_settle(f->spool,
	    &(struct spool_settlement){
		.id = id, .results = &result, .n_results = 1, .host = "", .evidence = "" },
	    on_settled, &settled);
	until_ms = clock_monotonic_ms() + 1500;
	while (clock_monotonic_ms() < until_ms) {
		struct found none;

		fixture_find(f, &none, clock_wall_s() + 10000, 5, 5, NULL);
		assert_int_equal(none.n, 0);
		usleep(50000);
	}
	assert_false(settled);
	limit_file_size(RLIM_INFINITY);
	fixture_run(f, &settled);
	outcome = fixture_commit(f, &m);
	assert_true(outcome_is_ok(&outcome));
	fixture_close(f);
	assert_true(fixture_open(f));
	assert_string_equal(fixture_list(f, NULL, NULL, true, 5),
	    "a@one.test delivered 1 250 2.0.0 Ok|\n"
	    "b@one.test waiting 0 |");
	found_finish(&found);
	message_finish(&m);
}

static void Q18_no_descriptor_for_a_segment(void **state)
{
	struct fixture *f = *state;
	struct rlimit limit, tight;
	struct outcome outcome;
	uint64_t number;
	int next = dup(f->segment_fd);

	close(next);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	for (int room = 0; room < 2; room++) { /* none at all; one, but not two */
		tight = limit;
		tight.rlim_cur = (rlim_t)(next + room);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
		assert_int_equal(spool_segment_create(f->spool, &number, &outcome), -1);
		assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
		assert_int_equal(outcome.code, 451);
		assert_string_equal(outcome.enhanced, "4.3.0");
		assert_string_equal(outcome.name, "disk-error");
	}
	fixture_new_segment(f);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(Q10_damage_of_an_extent_is_seen),
		CASE(Q7_what_cannot_be_read_says_why),
		CASE(checksum_continues),
		CASE(Q9_an_unsafe_directory_is_refused),
		CASE(Q12_a_second_daemon_is_refused),
		CASE(orphans_go_when_old),
		CASE(Q10_a_directory_where_a_segment_is_due),
		CASE(Q11_what_is_not_ours_is_left_alone),
		CASE(Q10_a_truncated_database_is_refused_or_read),
		CASE(Q4_no_room_for_the_database),
		CASE(Q18_no_descriptor_for_a_segment),
	};

	signal(SIGXFSZ, SIG_IGN);
	return cmocka_run_group_tests_name("spool damage", tests, NULL, NULL);
}
