/*
 * The administrator's socket, with clients that speak well, badly, too much, or not at all.
 */
#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "../road/spool_fixture.h"
#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/loop.h"
#include "relay/proc/control.h"
#include "relay/proc/listen.h"
#include "relay/spool_policies.h"
#include "relay/spool_tlsrpt.h"

#define TO(...)                                                                                    \
	(const char *const[])                                                                      \
	{                                                                                          \
		__VA_ARGS__, NULL                                                                  \
	}

enum { ANSWER_MAX = 1 << 20 };

struct scene {
	struct fixture f;
	struct config config;
	struct dispatch *dispatch;
	struct queue_lookup *lookup;
	struct control *control;
	char path[128];
	int listen_fd;
	char *answer;
};

static int set_up(void **state)
{
	struct scene *s = calloc(1, sizeof *s);
	char error[256];

	fixture_init(&s->f);
	s->config.retry = (struct config_retry){ 300, 3600, 86400, 86400 };
	s->config.delivery.connections = s->config.delivery.connections_per_domain = 1;
	s->dispatch = dispatch_create(s->f.loop, &s->config, s->f.spool, NULL);
	snprintf(s->path, sizeof s->path, "%s/control", s->f.directory);
	s->listen_fd = listen_open_control(s->path, "nobody", error, sizeof error);
	if (s->listen_fd < 0)
		fail_msg("%s", error);
	s->lookup = queue_lookup_create(s->f.loop, s->f.spool, s->f.directory);
	s->control = control_create(s->f.loop, s->listen_fd,
	    &(struct control_house){ &s->config, s->f.spool, s->dispatch, s->lookup });
	s->answer = malloc(ANSWER_MAX);
	*state = s;
	return 0;
}

static int tear_down(void **state)
{
	struct scene *s = *state;

	fixture_close(&s->f);
	control_destroy(&s->control);
	queue_lookup_destroy(&s->lookup);
	dispatch_destroy(&s->dispatch);
	close(s->listen_fd);
	fixture_finish(&s->f);
	free(s->answer);
	free(s);
	return 0;
}

static int dial_control(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	assert_true(fd >= 0);
	if (connect(fd, (struct sockaddr *)&a, sizeof a) == 0)
		return fd;
	close(fd);
	return -1;
}

/* Everything until it closes. */
static const char *read_all(struct scene *s, int fd)
{
	int64_t until_ms = clock_monotonic_ms() + 60000;
	size_t n_all = 0;

	for (;;) {
		ssize_t n = read(fd, s->answer + n_all, ANSWER_MAX - 1 - n_all);

		if (n == 0 || (n < 0 && errno != EAGAIN))
			break;
		n_all += n > 0 ? (size_t)n : 0;
		loop_run_once(s->f.loop, false);
		usleep(n < 0 ? 100 : 0);
		assert_true(clock_monotonic_ms() < until_ms && n_all + 1 < ANSWER_MAX);
	}
	s->answer[n_all] = '\0';
	return s->answer;
}

static const char *ask_bytes(struct scene *s, const char *request, size_t n)
{
	int fd = dial_control(s->path);

	assert_true(fd >= 0);
	assert_int_equal(send(fd, request, n, MSG_NOSIGNAL), (ssize_t)n);
	read_all(s, fd);
	close(fd);
	return s->answer;
}

static const char *ask(struct scene *s, const char *request)
{
	return ask_bytes(s, request, strlen(request));
}

static void assert_has(const char *text, const char *part)
{
	if (strstr(text, part) == NULL)
		fail_msg("no %s in: %s", part, text);
}

static void lists_and_changes(void **state)
{
	struct scene *s = *state;
	char id[QUEUE_ID_MAX], other[QUEUE_ID_MAX], request[200];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test", "b@two.test"), id);
	fixture_accept(&s->f, "news@example.org", TO("c@one.test"), other);
	ask(s, "{\"command\":\"list\"}\n");
	assert_has(s->answer, id);
	assert_has(s->answer, other);
	assert_has(s->answer, "\"recipient\":\"b@two.test\"");
	assert_has(s->answer, "\"sender\":\"news@example.org\"");
	assert_has(s->answer, "{\"end\":true,\"n\":3,\"truncated\":false}\n");
	snprintf(request, sizeof request, "{\"command\":\"list\",\"id\":\"%s\"}\n", other);
	assert_has(ask(s, request), "\"n\":1,");
	assert_has(ask(s, "{\"command\":\"list\",\"address\":\"a@one.test\"}\n"), "\"n\":1,");
	assert_has(ask(s, "{\"command\":\"retry\"}\n"), "{\"end\":true,\"n\":3}");
	assert_has(ask(s, "{\"command\":\"retry\",\"what\":null}\n"), "\"n\":3}");
	assert_has(ask(s, "{\"command\":\"retry\",\"what\":\"@one.test\"}\n"), "\"n\":2}");
	snprintf(request, sizeof request, "{\"command\":\"remove\",\"id\":\"%s\"}\r\n", id);
	assert_has(ask(s, request), "{\"end\":true,\"n\":2}");
	assert_has(ask(s, request), "{\"end\":true,\"n\":0}");
	assert_has(ask(s, "{\"command\":\"list\"}\n"), "\"n\":1,");
	assert_has(ask(s, "{\"command\":\"list\",\"settled\":true}\n"), "\"n\":3,");
}

static void status_tells_of_processes_and_room(void **state)
{
	struct scene *s = *state;
	struct ipc_process first = { 1, "intake", 77, 1, 2, 1000 },
			   second = { 0, "auth", 78, 0, 0, 1000 };
	struct outcome full;
	json_error_t error;
	json_t *answer;

	control_note_process(s->control, &second);
	control_note_process(s->control, &first);
	control_note_process(s->control, &second);
	outcome_say(&full, 452, "4.3.1", "disk-full", "No room");
	control_note_storage(s->control, 5, &full);
	answer = json_loads(ask(s, "{\"command\":\"status\"}\n"), 0, &error);
	assert_non_null(answer);
	assert_int_equal(json_array_size(json_object_get(answer, "processes")), 2);
	assert_string_equal(json_string_value(json_object_get(answer, "storage")), "No room");
	assert_true(json_is_true(json_object_get(answer, "end")));
	json_decref(answer);
}

static void status_tells_of_a_failed_reload(void **state)
{
	struct scene *s = *state;
	json_t *answer;

	assert_has(ask(s, "{\"command\":\"status\"}\n"), "\"reload\":null");
	control_note_reload(s->control, 1795319605, "the file \xff has errors");
	answer = json_loads(ask(s, "{\"command\":\"status\"}\n"), 0, NULL);
	assert_int_equal(
	    json_integer_value(json_object_get(json_object_get(answer, "reload"), "failed")),
	    1795319605);
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(answer, "reload"), "why")),
	    "the file ? has errors");
	json_decref(answer);
	control_note_reload(s->control, 0, "");
	assert_has(ask(s, "{\"command\":\"status\"}\n"), "\"reload\":null");
}

static void T24_status_tells_of_resolver_and_partners(void **state)
{
	struct scene *s = *state;
	char bank[] = "bank.test", clinic[] = ".clinic.test", reason[] = "ticket \xff";
	struct config_exception over = { 1000, TLS_MAY, reason };
	struct config_exception in_force = { clock_wall_s() + 9000, TLS_ENCRYPT, reason };
	struct config_partner partners[] = {
		{ .name = bank, .level = TLS_SECURE, .observe = true, .exception = &over },
		{ .name = clinic, .level = TLS_DANE_ONLY, .exception = &in_force },
	};
	json_t *answer, *exceptions, *first, *second;

	s->config.partners = partners;
	s->config.n_partners = 2;
	answer = json_loads(ask(s, "{\"command\":\"status\"}\n"), 0, NULL);
	assert_string_equal(
	    json_string_value(json_object_get(json_object_get(answer, "resolver"), "state")),
	    "unknown");
	assert_int_equal(json_array_size(json_object_get(answer, "observed")), 1);
	exceptions = json_object_get(answer, "exceptions");
	assert_int_equal(json_array_size(exceptions), 2);
	first = json_array_get(exceptions, 0);
	second = json_array_get(exceptions, 1);
	assert_string_equal(json_string_value(json_object_get(first, "partner")), "bank.test");
	assert_true(json_is_true(json_object_get(first, "over")));
	assert_string_equal(json_string_value(json_object_get(first, "reason")), "ticket ?");
	assert_string_equal(json_string_value(json_object_get(second, "tls")), "encrypt");
	assert_string_equal(json_string_value(json_object_get(second, "rule")), "dane-only");
	assert_true(json_is_false(json_object_get(second, "over")));
	json_decref(answer);
}

static void T22_the_kept_policy_is_told(void **state)
{
	struct scene *s = *state;

	assert_string_equal(ask(s, "{\"command\":\"policy\",\"domain\":\"one.test\"}\n"),
	    "{\"end\":true,\"n\":0}\n");
	spool_policy_keep(s->f.spool,
	    &(struct sts_kept){ "one.test", "77", "mode: \xfe\nx", 5, clock_wall_s() + 1000 });
	ask(s, "{\"command\":\"policy\",\"domain\":\"one.test\"}\n");
	assert_has(s->answer, "\"fetched\":5,");
	assert_has(s->answer, "\"id\":\"77\",\"policy\":\"mode: ??x\"");
	assert_has(s->answer, "{\"end\":true,\"n\":1}\n");
}

static void on_counted(void *arg, size_t n_left_out)
{
	assert_int_equal(n_left_out, 0);
	*(bool *)arg = true;
}

static void tls_reports_are_shown(void **state)
{
	char strings[] = "3 1 1 AB\n", patterns[] = "", organization[] = "Shop \xff";
	struct tls_count count = { .type = TLS_POLICY_TLSA,
		.report_domain = "one.test",
		.domain = "mx.one.test",
		.strings = strings,
		.patterns = patterns,
		.result = TLS_RESULT_EXPIRED };
	struct scene *s = *state;
	bool is_counted = false;

	s->config.hostname = s->config.tlsrpt.organization = organization;
	assert_string_equal(ask(s, "{\"command\":\"tlsrpt-show\"}\n"), "{\"end\":true,\"n\":0}\n");
	spool_tlsrpt_count(s->f.spool, &count, 1, on_counted, &is_counted);
	fixture_run(&s->f, &is_counted);
	ask(s, "{\"command\":\"tlsrpt-show\"}\n");
	assert_has(s->answer, "\"allowed\":false,");
	assert_has(
	    s->answer, "\"domain\":\"one.test\",\"report\":{\"organization-name\":\"Shop ?\"");
	assert_has(s->answer, "\"result-type\":\"certificate-expired\"");
	assert_has(s->answer, "{\"end\":true,\"n\":1}\n");
	assert_has(ask(s, "{\"command\":\"tlsrpt-show\",\"domain\":\"one.test\"}\n"), "\"n\":1}");
	assert_has(ask(s, "{\"command\":\"tlsrpt-show\",\"domain\":\"two.test\"}\n"), "\"n\":0}");
	/* Off, nothing is sent. */
	assert_has(ask(s, "{\"command\":\"tlsrpt-send\"}\n"), "\"error\"");
	assert_has(ask(s, "{\"command\":\"tlsrpt-send\",\"domain\":\"one.test\"}\n"), "\"error\"");
	assert_has(ask(s, "{\"command\":\"tlsrpt-show\"}\n"), "\"n\":1}");
}

static void C2_C5_bad_requests_get_an_error_and_change_nothing(void **state)
{
	static const char *const requests[] = { "\n", "{}\n", "[]\n", "5\n", "null\n", "\"list\"\n",
		"{\"command\":5}\n", "{\"command\":\"\"}\n", "{\"command\":\"List\"}\n",
		"{\"command\":\"list\",\"command\":\"remove\"}\n", "{\"command\":\"list\"} x\n",
		"{\"command\":\"list\"\n", "{\"command\":\"remove\"}\n",
		"{\"command\":\"remove\",\"id\":\"\"}\n", "{\"command\":\"remove\",\"id\":\"*\"}\n",
		"{\"command\":\"remove\",\"id\":null}\n",
		"{\"command\":\"remove\",\"id\":\"../../etc/passwd\"}\n",
		"{\"command\":\"remove\",\"id\":[\"a\"]}\n", "{\"command\":\"list\",\"id\":5}\n",
		"{\"command\":\"list\",\"id\":\"0123456789ABCD\\u0000\"}\n",
		"{\"command\":\"retry\",\"what\":5}\n", "{\"command\":\"retry\",\"what\":[]}\n",
		"{\"command\":\"list\",\"address\":{}}\n", "{\"command\":\"policy\"}\n",
		"{\"command\":\"policy\",\"domain\":5}\n",
		"{\"command\":\"tlsrpt-show\",\"domain\":[]}\n", "{\"command\":\"\xff\xfe\"}\n",
		"GET / HTTP/1.1\r\n" };
	struct scene *s = *state;
	char id[QUEUE_ID_MAX], *large = malloc(100000);

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
		if (strncmp(ask(s, requests[i]), "{\"error\":\"", 10) != 0)
			fail_msg("%s: %s", requests[i], s->answer);
	}
	/* A line without end, and an id of 10 KB. */
	memset(large, '[', 100000);
	assert_has(ask_bytes(s, large, 60000), "the request is too long");
	snprintf(large, 100000, "{\"command\":\"list\",\"id\":\"%010000d\"}\n", 1);
	assert_has(ask(s, large), "the request is too long");
	memset(large, '[', 4000); /* as deep as a line holds */
	large[4000] = '\n';
	assert_has(ask_bytes(s, large, 4001), "\"error\"");
	assert_has(ask_bytes(s, "{\"command\":\"\0\"}\n", 16), "\"error\"");
	assert_string_equal(fixture_list(&s->f, id, NULL, true, 10), "a@one.test waiting 0 |");
	free(large);
}

static void C2_random_bytes(void **state)
{
	struct scene *s = *state;
	unsigned random = 99;

	for (int i = 0; i < 200; i++) {
		char bytes[300];
		int fd = dial_control(s->path);

		for (size_t j = 0; j < sizeof bytes; j++) {
			random = random * 1103515245 + 12345;
			bytes[j] = (char)(random >> 16);
		}
		assert_true(fd >= 0);
		assert_true(send(fd, bytes, sizeof bytes, MSG_NOSIGNAL) > 0);
		if (i % 3 == 0) {
			shutdown(fd, SHUT_WR);
			read_all(s, fd);
		}
		close(fd);
		loop_run_once(s->f.loop, false);
	}
	assert_has(ask(s, "{\"command\":\"status\"}\n"), "\"end\":true");
}

/* In pieces, with the end said before the answer, and more than one request. */
static void forms_of_asking(void **state)
{
	static const char request[] = "{\"command\":\"status\"}\n";
	struct scene *s = *state;
	int fd = dial_control(s->path);

	for (size_t i = 0; i < sizeof request - 1; i++) {
		assert_int_equal(send(fd, request + i, 1, 0), 1);
		for (int j = 0; j < 3; j++)
			loop_run_once(s->f.loop, false);
	}
	assert_has(read_all(s, fd), "\"end\":true");
	close(fd);
	fd = dial_control(s->path);
	assert_true(send(fd, request, sizeof request - 1, 0) > 0);
	shutdown(fd, SHUT_WR);
	assert_has(read_all(s, fd), "\"end\":true");
	close(fd);
	fd = dial_control(s->path);
	assert_true(send(fd, request, sizeof request - 1, 0) > 0);
	assert_true(send(fd, request, sizeof request - 1, 0) > 0);
	assert_has(read_all(s, fd), "\"end\":true"); /* one answer a connection */
	assert_ptr_equal(strchr(s->answer, '\n'), s->answer + strlen(s->answer) - 1);
	close(fd);
	fd = dial_control(s->path); /* half a request */
	assert_true(send(fd, request, 5, 0) > 0);
	shutdown(fd, SHUT_WR);
	assert_string_equal(read_all(s, fd), "");
	close(fd);
}

static void who_leaves_before_the_answer_is_forgotten(void **state)
{
	static const char *const requests[] = { "{\"command\":\"status\"}\n",
		"{\"command\":\"list\"}\n", "{\"command\":\"retry\"}\n", "{\"command\":\"x\"}\n",
		"{\"comm" };
	struct scene *s = *state;
	char id[QUEUE_ID_MAX];

	fixture_accept(&s->f, "shop@example.org", TO("a@one.test"), id);
	for (size_t i = 0; i < 50; i++) {
		const char *request = requests[i % 5];
		int fd = dial_control(s->path);

		assert_true(send(fd, request, strlen(request), 0) > 0);
		for (size_t j = 0; j < i % 4; j++)
			loop_run_once(s->f.loop, false);
		close(fd);
	}
	for (int i = 0; i < 300; i++)
		loop_run_once(s->f.loop, false);
	assert_has(ask(s, "{\"command\":\"status\"}\n"), "\"end\":true");
}

/* C3: a hundred who say nothing; those past the limit are turned away, the others stay. */
static void C3_idle_clients(void **state)
{
	struct scene *s = *state;
	int fds[100], n_open = 0;
	char byte;

	for (int i = 0; i < 100; i++) {
		fds[i] = dial_control(s->path);
		for (int j = 0; j < 5; j++)
			loop_run_once(s->f.loop, false);
	}
	for (int i = 0; i < 100; i++)
		n_open += fds[i] >= 0 && recv(fds[i], &byte, 1, 0) < 0 && errno == EAGAIN;
	assert_int_equal(n_open, 64);
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	for (int i = 0; i < 200; i++)
		loop_run_once(s->f.loop, false);
	assert_has(ask(s, "{\"command\":\"status\"}\n"), "\"end\":true");
}

/* C7, C10: whatever stands in a message, an entry is one line of ASCII, and is there. */
static void C10_strange_texts_are_listed(void **state)
{
	struct scene *s = *state;
	struct message m;
	const char *at;
	json_t *line;

	fixture_write(&s->f, &m, "shop@example.org", TO("a\"\\\x1b[2J\r\n\t@one.test"));
	free(m.message_id);
	m.message_id = mem_copy_text("<\xff\xfe\x80 not UTF-8@\xc3>");
	assert_int_equal(fixture_commit(&s->f, &m).code, 250);
	ask(s, "{\"command\":\"list\"}\n");
	for (const char *c = s->answer; *c != '\0'; c++)
		assert_true((*c >= ' ' && *c <= '~') || *c == '\n');
	at = strchr(s->answer, '\n');
	assert_non_null(at);
	line = json_loadb(s->answer, (size_t)(at - s->answer), 0, NULL);
	assert_non_null(line);
	assert_string_equal(
	    json_string_value(json_object_get(line, "recipient")), "a\"\\\x1b[2J\r\n\t@one.test");
	assert_string_equal(json_string_value(json_object_get(line, "message_id")), "<"
										    "?"
										    "?"
										    "? not UTF-8@"
										    "?"
										    ">");
	json_decref(line);
	message_finish(&m);
}

/* Only root and the user of the socket: a child of another user tries, after it has been let in by
 * the file's mode. */
static void C1_other_users_are_refused(void **state)
{
	struct scene *s = *state;
	int64_t until_ms = clock_monotonic_ms() + 60000;
	int status;
	pid_t child;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(s->f.directory, 0755), 0);
	for (int is_open = 0; is_open < 2; is_open++) {
		if (is_open)
			assert_int_equal(chmod(s->path, 0666), 0);
		child = fork();
		if (child == 0) {
			char byte;
			int fd;

			if (setresgid(12345, 12345, 12345) != 0 ||
			    setresuid(12345, 12345, 12345) != 0)
				_exit(10);
			fd = dial_control(s->path);
			if (!is_open)
				_exit(fd < 0 && errno == EACCES ? 0 : 11);
			if (fd < 0)
				_exit(12);
			fcntl(fd, F_SETFL, 0);
			/* closed in its face: no answer */
			send(fd, "{\"command\":\"list\"}\n", 19, MSG_NOSIGNAL);
			_exit(recv(fd, &byte, 1, 0) <= 0 ? 0 : 13);
		}
		while (waitpid(child, &status, WNOHANG) == 0) {
			loop_run_once(s->f.loop, false);
			usleep(200);
			assert_true(clock_monotonic_ms() < until_ms);
		}
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

/* A reload: the queue that goes answers whom it has heard, the next one everybody else. */
static void C3_who_asks_while_queues_change_waits(void **state)
{
	static const char request[] = "{\"command\":\"list\"}\n";
	const size_t n = sizeof request - 1;
	struct scene *s = *state;
	int early = dial_control(s->path), late;
	char byte;

	assert_true(early >= 0);
	assert_int_equal(send(early, request, n, MSG_NOSIGNAL), (ssize_t)n);
	while (!control_is_busy(s->control))
		loop_run_once(s->f.loop, false);
	control_close(s->control);
	late = dial_control(s->path);
	assert_true(late >= 0);
	assert_int_equal(send(late, request, n, MSG_NOSIGNAL), (ssize_t)n);
	assert_has(read_all(s, early), "\"end\":true");
	assert_false(control_is_busy(s->control));
	assert_int_equal(recv(late, &byte, 1, MSG_DONTWAIT), -1);
	assert_int_equal(errno, EAGAIN);
	control_destroy(&s->control);
	s->control = control_create(s->f.loop, s->listen_fd,
	    &(struct control_house){ &s->config, s->f.spool, s->dispatch, s->lookup, NULL });
	assert_has(read_all(s, late), "\"end\":true");
	close(early);
	close(late);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(lists_and_changes),
		T(status_tells_of_processes_and_room),
		T(status_tells_of_a_failed_reload),
		T(T24_status_tells_of_resolver_and_partners),
		T(T22_the_kept_policy_is_told),
		T(tls_reports_are_shown),
		T(C2_C5_bad_requests_get_an_error_and_change_nothing),
		T(C2_random_bytes),
		T(forms_of_asking),
		T(who_leaves_before_the_answer_is_forgotten),
		T(C3_idle_clients),
		T(C3_who_asks_while_queues_change_waits),
		T(C10_strange_texts_are_listed),
		T(C1_other_users_are_refused),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
