/*
 * Those that a role serves come and go; and what a process gives up, it has given up.
 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/net/loop.h"
#include "relay/proc/clients.h"
#include "relay/proc/privilege.h"

struct heard {
	size_t n_messages, n_gone;
	struct channel *last;
};

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct heard *heard = arg;

	assert_int_equal(m->type, IPC_SEGMENT_RELEASE);
	heard->n_messages++;
	heard->last = channel;
}

static void on_gone(void *arg, struct channel *channel)
{
	struct heard *heard = arg;

	heard->n_gone++;
	heard->last = channel;
}

static void turn(struct loop *loop)
{
	for (int i = 0; i < 300; i++)
		loop_run_once(loop, false);
}

static void come_and_go(void **state)
{
	const struct ipc_message m = { .type = IPC_SEGMENT_RELEASE, .fd = -1 };
	struct loop *loop = loop_create();
	struct clients clients;
	struct heard heard = { 0 }, theirs = { 0 };
	struct channel *ends[CLIENTS_MAX + 1], *first;

	(void)state;
	clients_init(&clients, on_message, on_gone, &heard);
	for (size_t i = 0; i <= CLIENTS_MAX; i++) {
		int pair[2];

		assert_int_equal(channel_make_pair(pair), 0);
		clients_add(&clients, channel_create(loop, pair[0], NULL, NULL, NULL));
		ends[i] = channel_create(loop, pair[1], on_message, on_gone, &theirs);
	}
	assert_int_equal(clients.n, CLIENTS_MAX);
	turn(loop);
	assert_int_equal(theirs.n_gone, 1); /* the last was turned away */
	first = clients.channels[0];
	for (size_t i = 0; i < CLIENTS_MAX; i++)
		channel_send(ends[i], &m);
	turn(loop);
	assert_int_equal(heard.n_messages, CLIENTS_MAX);
	channel_destroy(&ends[0]);
	turn(loop);
	assert_int_equal(heard.n_gone, 1);
	assert_ptr_equal(heard.last, first);
	assert_int_equal(clients.n, CLIENTS_MAX - 1);
	channel_send(ends[CLIENTS_MAX - 1], &m); /* it has taken the other's place */
	turn(loop);
	assert_int_equal(heard.n_messages, CLIENTS_MAX + 1);
	for (size_t i = 1; i <= CLIENTS_MAX; i += 2)
		channel_destroy(&ends[i]);
	turn(loop);
	assert_int_equal(heard.n_gone, 1 + CLIENTS_MAX / 2);
	clients_finish(&clients);
	assert_int_equal(clients.n, 0);
	turn(loop);
	for (size_t i = 0; i <= CLIENTS_MAX; i++)
		channel_destroy(&ends[i]);
	loop_destroy(&loop);
}

static void gone_may_be_nobodys_business(void **state)
{
	struct loop *loop = loop_create();
	struct clients clients;
	struct heard heard = { 0 };
	int pair[2];

	(void)state;
	clients_init(&clients, on_message, NULL, &heard);
	assert_int_equal(channel_make_pair(pair), 0);
	clients_add(&clients, channel_create(loop, pair[0], NULL, NULL, NULL));
	close(pair[1]);
	turn(loop);
	assert_int_equal(clients.n, 0);
	clients_finish(&clients);
	loop_destroy(&loop);
}

/* ---- privileges, in a child that is not needed any more ---- */

static int in_child(int (*what)(void))
{
	int status;
	pid_t child = fork();

	if (child == 0)
		_exit(what());
	assert_int_equal(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 100 + WTERMSIG(status);
}

static int drop(void)
{
	struct rlimit core;
	gid_t groups[64];
	char error[256];
	uid_t real, effective, saved;

	if (privilege_drop("nobody", error, sizeof error) != 0)
		return 1;
	if (getresuid(&real, &effective, &saved) != 0 || real == 0 || effective == 0 || saved == 0)
		return 2;
	if (setuid(0) == 0 || seteuid(0) == 0 || setgid(0) == 0)
		return 3;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 4;
	if (getrlimit(RLIMIT_CORE, &core) != 0 || core.rlim_max != 0)
		return 5;
	for (int i = getgroups(64, groups); i-- > 0;) {
		if (groups[i] == 0)
			return 6;
	}
	return open("/etc/shadow", O_RDONLY) >= 0 ? 7 : 0;
}

static int drop_to_nobody_there(void)
{
	char error[256] = "";

	if (privilege_drop("zegel-no-such-user", error, sizeof error) == 0)
		return 1;
	return strstr(error, "zegel-no-such-user") == NULL;
}

static void root_is_dropped_for_good(void **state)
{
	(void)state;
	if (geteuid() != 0)
		skip();
	assert_int_equal(in_child(drop), 0);
	assert_int_equal(in_child(drop_to_nobody_there), 0);
}

static int close_others(void)
{
	int fds[20], keep[3];

	for (int i = 0; i < 20; i++)
		fds[i] = fcntl(0, F_DUPFD, 3 + i * 7);
	keep[0] = fds[13];
	keep[1] = -1;
	keep[2] = fds[4];
	privilege_close_all_but(keep, 3);
	for (int i = 0; i < 20; i++) {
		if ((fcntl(fds[i], F_GETFD) >= 0) != (i == 13 || i == 4))
			return 1 + i;
	}
	for (int fd = 0; fd < 3; fd++) {
		if (fcntl(fd, F_GETFD) < 0)
			return 30 + fd;
	}
	privilege_close_all_but(keep, 0);
	return fcntl(fds[4], F_GETFD) >= 0 ? 40 : 0;
}

static void foreign_descriptors_are_closed(void **state)
{
	(void)state;
	assert_int_equal(in_child(close_others), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(come_and_go),
		cmocka_unit_test(gone_may_be_nobodys_business),
		cmocka_unit_test(root_is_dropped_for_good),
		cmocka_unit_test(foreign_descriptors_are_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
