/*
 * Without stdio on the way in, and with echo back in any case.
 */
#include "relay/cli/terminal.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

static int ask(
    const char *prompt, char *password, size_t room, size_t *n, char *error, size_t room_error);
static int read_line(char *line, size_t room, size_t *n, char *error, size_t room_error);

int terminal_read_password(
    const char *prompt, char *password, size_t room, size_t *n, char *error, size_t room_error)
{
	char again[2048];
	size_t n_again = 0;
	int result;

	if (isatty(STDIN_FILENO) == 0)
		return read_line(password, room, n, error, room_error);
	if (ask(prompt, password, room, n, error, room_error) != 0)
		return -1;
	result = ask("The same again: ", again, room < sizeof again ? room : sizeof again, &n_again,
	    error, room_error);
	if (result == 0 && (*n != n_again || memcmp(password, again, n_again) != 0)) {
		snprintf(error, room_error, "the two are not the same");
		result = -1;
	}
	explicit_bzero(again, sizeof again);
	return result;
}

/* An interrupt must not leave the terminal without echo: it waits until echo is back. */
static int ask(
    const char *prompt, char *password, size_t room, size_t *n, char *error, size_t room_error)
{
	struct termios shown, hidden;
	sigset_t signals, before;
	int result;

	if (tcgetattr(STDIN_FILENO, &shown) != 0) {
		snprintf(error, room_error, "the terminal: %s", strerror(errno));
		return -1;
	}
	hidden = shown;
	hidden.c_lflag &= ~(tcflag_t)(ECHO | ISIG);
	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &signals, &before);
	/* First no echo, then the prompt: what is typed at its sight must neither show nor be lost. */
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &hidden);
	fputs(prompt, stderr);
	fflush(stderr);
	result = read_line(password, room, n, error, room_error);
	tcsetattr(STDIN_FILENO, TCSAFLUSH, &shown);
	fputc('\n', stderr);
	sigprocmask(SIG_SETMASK, &before, NULL);
	return result;
}

/* By single bytes and without stdio, which would keep a copy in its buffer. */
static int read_line(char *line, size_t room, size_t *n, char *error, size_t room_error)
{
	char c;

	*n = 0;
	for (;;) {
		ssize_t got = read(STDIN_FILENO, &c, 1);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0 && *n == 0) {
			snprintf(error, room_error, "no password was given");
			return -1;
		}
		if (got <= 0 || c == '\n')
			break;
		if (*n + 1 >= room) {
			snprintf(
			    error, room_error, "the password is longer than %zu bytes", room - 1);
			return -1;
		}
		line[(*n)++] = c;
	}
	if (*n > 0 && line[*n - 1] == '\r')
		(*n)--;
	line[*n] = '\0';
	explicit_bzero(&c, 1);
	return 0;
}
