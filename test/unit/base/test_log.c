/*
 * What we say, to the log and to clients: one line, printable, and never at the price of waiting.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/log.h"
#include "relay/base/outcome.h"
#include "relay/base/tls_level.h"

/* What arrives in a file of its own. */
static void logged(const char *text, char *line, size_t room)
{
	char path[] = "/tmp/zegel-log-XXXXXX", error[256];
	int fd = mkstemp(path);
	ssize_t n;

	assert_true(fd >= 0);
	assert_int_equal(log_open(path, LOG_LEVEL_INFO, error, sizeof error), 0);
	log_set_tag("test");
	log_info("%s", text);
	log_debug("not this");
	log_close();
	n = read(fd, line, room - 1);
	assert_true(n > 0);
	line[n] = '\0';
	close(fd);
	unlink(path);
}

static void A8_one_event_is_one_printable_line(void **state)
{
	static char long_text[10000], line[20000];
	const char *text;

	(void)state;
	logged("from=<a\r\nNov 21 zegel/smtpd[1]: forged\x1b[2J\t\x7f>", line, sizeof line);
	text = strstr(line, ": from");
	assert_non_null(text);
	assert_string_equal(text, ": from=<a??Nov 21 zegel/smtpd[1]: forged?[2J?"
				  "?>\n");
	memset(long_text, 'x', sizeof long_text - 1);
	logged(long_text, line, sizeof line);
	assert_true(strlen(line) <= 4096);
	assert_int_equal(line[strlen(line) - 1], '\n');
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void file_that_cannot_be_opened_is_named(void **state)
{
	char error[256];

	(void)state;
	assert_int_equal(log_open("/nonexistent/log", LOG_LEVEL_INFO, error, sizeof error), -1);
	assert_non_null(strstr(error, "/nonexistent/log"));
	assert_non_null(strstr(error, "No such file"));
}

/* In a child whose standard error is what nobody reads; it would hang for ever if it waited. */
static void write_to_full(int ends[2])
{
	char bytes[65536];
	int status;
	pid_t child;

	fcntl(ends[1], F_SETFL, O_NONBLOCK);
	memset(bytes, 'x', sizeof bytes);
	for (size_t n = sizeof bytes; n > 0; n = n > 1 ? n / 2 : 0) {
		while (write(ends[1], bytes, n) > 0)
			;
	}
	fcntl(ends[1], F_SETFL, 0); /* as we inherit it: it waits */
	child = fork();
	if (child == 0) {
		char error[256];

		alarm(20);
		dup2(ends[1], STDERR_FILENO);
		if (log_open("stderr", LOG_LEVEL_INFO, error, sizeof error) != 0)
			_exit(2);
		for (int i = 0; i < 100; i++)
			log_info("nobody reads this");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	close(ends[0]);
	close(ends[1]);
}

static void O10_full_standard_error_is_not_waited_for(void **state)
{
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	write_to_full(ends);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
	write_to_full(ends);
}

/* Lines that were lost are counted, and told of when the log takes lines again. */
static void O10_lost_lines_are_told(void **state)
{
	static char bytes[65536];
	char path[64], error[256], *at;
	int ends[2];
	ssize_t n, n_all = 0;

	(void)state;
	assert_int_equal(pipe(ends), 0);
	snprintf(path, sizeof path, "/proc/self/fd/%d", ends[1]);
	assert_int_equal(log_open(path, LOG_LEVEL_INFO, error, sizeof error), 0);
	fcntl(ends[0], F_SETFL, O_NONBLOCK);
	for (int i = 0; i < 5000; i++)
		log_info("line %d of very many, to fill the pipe to its brim", i);
	while ((n = read(ends[0], bytes, sizeof bytes)) > 0)
		n_all += n;
	assert_true(n_all > 1000);
	log_info("again");
	n = read(ends[0], bytes, sizeof bytes - 1);
	assert_true(n > 0);
	bytes[n] = '\0';
	assert_non_null(strstr(bytes, "again\n"));
	at = strstr(bytes, "warning: ");
	assert_non_null(at);
	assert_true(atoi(at + 9) > 100);
	assert_non_null(strstr(at, "log lines were lost"));
	log_close();
	close(ends[0]);
	close(ends[1]);
}

static void escaping(void **state)
{
	char text[8];

	(void)state;
	assert_string_equal(log_escape("a\nb\xff\0d", 6, text, sizeof text), "a?b??d");
	assert_string_equal(log_escape("0123456789", 10, text, sizeof text), "0123456");
	assert_string_equal(log_escape("", 0, text, sizeof text), "");
	assert_string_equal(log_escape("abc", 3, text, 1), "");
}

static void outcomes(void **state)
{
	static const struct {
		int code;
		enum outcome_class class;
	} classes[] = { { 250, OUTCOME_OK }, { 354, OUTCOME_OK }, { 421, OUTCOME_DEFER },
		{ 499, OUTCOME_DEFER }, { 500, OUTCOME_FAIL }, { 599, OUTCOME_FAIL } };
	static char long_text[2000];
	struct outcome o;

	(void)state;
	for (size_t i = 0; i < sizeof classes / sizeof classes[0]; i++) {
		outcome_say(&o, classes[i].code, "x", "", "y");
		assert_int_equal(o.class, classes[i].class);
		assert_int_equal(outcome_is_ok(&o), classes[i].class == OUTCOME_OK);
	}
	memset(long_text, 'x', sizeof long_text - 1);
	outcome_say(&o, 550, "5.7.1", "a-name", "a\r\n250 forged\xc3\xa4 %s", long_text);
	assert_int_equal(strlen(o.text), OUTCOME_TEXT_MAX - 1);
	assert_null(strpbrk(o.text, "\r\n\xc3"));
	assert_int_equal(strncmp(o.text, "a??250 forged?? xxx", 19), 0);
	assert_string_equal(o.name, "a-name");
	assert_string_equal(o.who, "");
	outcome_say(&o, 550, long_text, long_text, "%s", "");
	assert_int_equal(strlen(o.enhanced), sizeof o.enhanced - 1);
	assert_int_equal(strlen(o.name), sizeof o.name - 1);
	outcome_ok(&o);
	assert_string_equal(o.enhanced, "2.0.0");
	assert_string_equal(outcome_class_name(o.class), "ok");
	assert_string_equal(outcome_class_name(OUTCOME_DEFER), "deferred");
	assert_string_equal(outcome_class_name(OUTCOME_FAIL), "failed");
}

static void levels(void **state)
{
	static const char *const words[] = { "none", "may", "encrypt", "verify", "secure",
		"fingerprint", "dane", "dane-only" };
	enum tls_level level = TLS_VERIFY;

	(void)state;
	for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
		assert_true(tls_level_parse(words[i], &level));
		assert_int_equal(level, i);
		assert_string_equal(tls_level_name(level), words[i]);
	}
	assert_false(tls_level_parse("Dane", &level));
	assert_false(tls_level_parse("", &level));
	assert_int_equal(level, TLS_DANE_ONLY);
	assert_string_equal(tls_demand_name(DEMAND_PARTNER), "partner");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(A8_one_event_is_one_printable_line),
		cmocka_unit_test(file_that_cannot_be_opened_is_named),
		cmocka_unit_test(O10_full_standard_error_is_not_waited_for),
		cmocka_unit_test(O10_lost_lines_are_told),
		cmocka_unit_test(escaping),
		cmocka_unit_test(outcomes),
		cmocka_unit_test(levels),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
