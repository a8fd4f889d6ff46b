#include "relay/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

enum { LINE_MAX_BYTES = 4096, FACILITY_MAIL = 2 << 3 };

/*
 * The one exception to "no globals": a log line can come from any depth, and the target belongs to
 * the process. Set up before a second thread exists; afterwards only counted with atomics.
 */
static struct {
	int fd;
	bool is_syslog, is_stderr;
	enum log_level least;
	char host[64], tag[32];
	unsigned long n_lost;
} out = { .fd = STDERR_FILENO, .is_stderr = true, .least = LOG_LEVEL_INFO };

static void write_formatted(const char *tag, enum log_level level, const char *format, va_list args)
    __attribute__((format(printf, 3, 0)));

static int connect_syslog(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = "/dev/log" };
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) != 0) {
		int saved = errno;

		close(fd);
		errno = saved;
		return -1;
	}
	return fd;
}

int log_open(const char *target, enum log_level least, char *error, size_t room)
{
	int fd;

	out.least = least;
	gethostname(out.host, sizeof out.host - 1);
	out.host[strcspn(out.host, ".")] = '\0';
	if (strcmp(target, "stderr") == 0) {
		log_close();
		return 0;
	}
	if (strcmp(target, "syslog") == 0)
		fd = connect_syslog();
	else
		fd = open(target, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
	if (fd < 0) {
		snprintf(error, room, "cannot log to %s: %s; see \"log\" in the configuration",
		    strcmp(target, "syslog") == 0 ? "/dev/log" : target, strerror(errno));
		return -1;
	}
	log_close();
	out.fd = fd;
	out.is_syslog = strcmp(target, "syslog") == 0;
	out.is_stderr = false;
	return 0;
}

void log_close(void)
{
	if (out.fd != STDERR_FILENO)
		close(out.fd);
	out.fd = STDERR_FILENO;
	out.is_syslog = false;
	out.is_stderr = true;
}

int log_fd(void)
{
	return out.fd;
}

void log_set_tag(const char *tag)
{
	snprintf(out.tag, sizeof out.tag, "%s", tag);
}

static int syslog_severity(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR: return LOG_ERR;
	case LOG_LEVEL_WARNING: return LOG_WARNING;
	case LOG_LEVEL_INFO: return LOG_INFO;
	case LOG_LEVEL_DEBUG: return LOG_DEBUG;
	}
	return LOG_INFO;
}

/* What stands before the text: syslog wants a priority, a file the date and host syslog would add. */
static int print_head(char *line, size_t room, const char *tag, enum log_level level)
{
	const char *slash = tag[0] != '\0' ? "/" : "";
	char date[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (out.is_syslog)
		return snprintf(line, room,
		    "<%d>zegel%s%s[%d]: ", FACILITY_MAIL | syslog_severity(level), slash, tag,
		    (int)getpid());
	localtime_r(&now, &tm);
	strftime(date, sizeof date, "%b %e %H:%M:%S", &tm);
	return snprintf(
	    line, room, "%s %s zegel%s%s[%d]: ", date, out.host, slash, tag, (int)getpid());
}

/*
 * Standard error is shared with whoever started us, so it is not ours to make non-blocking: a pipe is
 * asked whether it has room for a whole line (PIPE_BUF, as POLLOUT promises), a socket is told not
 * to wait.
 */
static bool takes_a_line(void)
{
	struct pollfd p = { .fd = out.fd, .events = POLLOUT };

	return !out.is_stderr || (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0);
}

static bool write_line(const char *line, size_t n)
{
	ssize_t written;

	/* One write: O_APPEND and datagrams keep lines of several processes whole. */
	if (out.is_syslog)
		return send(out.fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
	if (!takes_a_line())
		return false;
	if (out.is_stderr) {
		written = send(out.fd, line, n, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (written >= 0 || errno != ENOTSOCK)
			return written == (ssize_t)n;
	}
	return write(out.fd, line, n) == (ssize_t)n;
}

/* Whatever a text has in it: what is written is one line, and moves no terminal's cursor. */
static void make_harmless(char *text)
{
	for (; *text != '\0'; text++) {
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			*text = '?';
	}
}

void log_write(enum log_level level, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_formatted(out.tag, level, format, args);
	va_end(args);
}

void log_info_as(const char *tag, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	write_formatted(tag, LOG_LEVEL_INFO, format, args);
	va_end(args);
}

static void write_formatted(const char *tag, enum log_level level, const char *format, va_list args)
{
	static const char *const words[] = { "error: ", "warning: ", "", "debug: " };
	char line[LINE_MAX_BYTES];
	unsigned long lost;
	size_t n, n_head;

	if (level > out.least)
		return;
	n = (size_t)print_head(line, sizeof line - 1, tag, level);
	n += (size_t)snprintf(line + n, sizeof line - 1 - n, "%s", words[level]);
	n_head = n;
	n += (size_t)vsnprintf(line + n, sizeof line - 1 - n, format, args);
	make_harmless(line + n_head);
	if (n > sizeof line - 2)
		n = sizeof line - 2;
	if (!out.is_syslog)
		line[n++] = '\n';
	if (!write_line(line, n)) {
		__atomic_add_fetch(&out.n_lost, 1, __ATOMIC_RELAXED);
		return;
	}
	lost = __atomic_exchange_n(&out.n_lost, 0, __ATOMIC_RELAXED);
	if (lost == 0)
		return;
	n = (size_t)print_head(line, sizeof line - 1, out.tag, LOG_LEVEL_WARNING);
	n += (size_t)snprintf(line + n, sizeof line - 1 - n,
	    "warning: %lu log lines were lost because the log took no more", lost);
	if (!out.is_syslog)
		line[n++] = '\n';
	if (!write_line(line, n))
		__atomic_add_fetch(&out.n_lost, lost, __ATOMIC_RELAXED);
}

char *log_escape(const char *text, size_t n, char *escaped, size_t room)
{
	size_t kept = n < room ? n : room - 1;

	for (size_t i = 0; i < kept; i++)
		escaped[i] = text[i] >= ' ' && text[i] <= '~' ? text[i] : '?';
	escaped[kept] = '\0';
	return escaped;
}
