/*
 * The sockets of the parent: bound before root is dropped, shared over a reload, and never taken from
 * another daemon. No fixed port: a free one is found first.
 */
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
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
#include <unistd.h>

#include <cmocka.h>

#include "relay/proc/listen.h"

static char loopback[INET_ADDRSTRLEN], nowhere[] = "no.such.address", foreign[] = "192.0.2.1";

/* Of an address that no other process uses: what was free a moment ago still is. */
static void choose_address(void)
{
	unsigned pid = (unsigned)getpid();

	snprintf(loopback, sizeof loopback, "127.251.%u.%u", pid >> 8 & 255, pid & 255);
}

static uint16_t free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET };
	socklen_t n = sizeof a;
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	assert_int_equal(inet_pton(AF_INET, loopback, &a.sin_addr), 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static uint16_t port_of(int fd)
{
	struct sockaddr_in a;
	socklen_t n = sizeof a;

	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	return ntohs(a.sin_port);
}

static bool is_one_socket(int a, int b)
{
	struct stat of_a, of_b;

	assert_int_equal(fstat(a, &of_a), 0);
	assert_int_equal(fstat(b, &of_b), 0);
	return of_a.st_ino == of_b.st_ino;
}

static void shares_and_reload(void **state)
{
	struct config_listen listens[2] = { { loopback, free_port(), false },
		{ loopback, free_port(), true } };
	struct config config = { .listens = listens, .n_listens = 2 };
	struct listen_socket *sockets, *again;
	char error[256] = "";

	(void)state;
	if (listen_open_all(&config, 2, NULL, 0, &sockets, error, sizeof error) != 0)
		fail_msg("%s", error);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(port_of(sockets[i].fd), listens[i % 2].port);
		assert_int_equal(sockets[i].implicit_tls, i % 2 == 1);
		assert_true((fcntl(sockets[i].fd, F_GETFL) & O_NONBLOCK) != 0);
		assert_true((fcntl(sockets[i].fd, F_GETFD) & FD_CLOEXEC) != 0);
	}
	assert_false(is_one_socket(sockets[0].fd, sockets[2].fd));
	/* A reload with another share: each old socket is used once, the rest are new. */
	if (listen_open_all(&config, 3, sockets, 4, &again, error, sizeof error) != 0)
		fail_msg("%s", error);
	for (size_t i = 0; i < 4; i++)
		assert_true(is_one_socket(sockets[i].fd, again[i].fd));
	assert_int_equal(port_of(again[4].fd), listens[0].port);
	listen_close_all(&sockets, 4);
	assert_null(sockets);
	listen_close_all(&again, 6);
	listen_close_all(&again, 6);
}

static void what_cannot_be_bound_is_named(void **state)
{
	struct config_listen listens[2] = { { loopback, 0, false }, { NULL, 0, false } };
	struct config config = { .listens = listens, .n_listens = 2 };
	struct listen_socket *ours, *sockets;
	struct config taken = { .listens = listens, .n_listens = 1 };
	char error[256];
	int before = dup(0);

	(void)state;
	close(before);
	listens[0].port = free_port();
	assert_int_equal(listen_open_all(&taken, 1, NULL, 0, &ours, error, sizeof error), 0);
	/* Another daemon has it, with SO_REUSEPORT as we have: it is still told. */
	assert_int_equal(listen_open_all(&taken, 1, NULL, 0, &sockets, error, sizeof error), -1);
	assert_null(sockets);
	assert_non_null(strstr(error, "another server holds it"));
	assert_non_null(strstr(error, loopback));
	listen_close_all(&ours, 1);
	listens[1] = (struct config_listen){ foreign, free_port(), false };
	assert_int_equal(listen_open_all(&config, 1, NULL, 0, &sockets, error, sizeof error), -1);
	assert_non_null(strstr(error, "192.0.2.1"));
	listens[1].address = nowhere;
	assert_int_equal(listen_open_all(&config, 1, NULL, 0, &sockets, error, sizeof error), -1);
	assert_non_null(strstr(error, nowhere));
	before = dup(0); /* nothing was left open */
	assert_true(before < 10);
	close(before);
}

/* ---- the control socket ---- */

static char directory[64];

static int make_directory(void **state)
{
	(void)state;
	snprintf(directory, sizeof directory, "/tmp/zegel-listen-XXXXXX");
	return mkdtemp(directory) == NULL;
}

static int remove_directory(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof command, "rm -rf %s", directory);
	return system(command);
}

static void C8_stale_is_replaced_living_is_refused(void **state)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	char path[100], error[256];
	struct stat is;
	int first, second, clients[100];

	(void)state;
	snprintf(path, sizeof path, "%s/control", directory);
	first = listen_open_control(path, "nobody", error, sizeof error);
	assert_true(first >= 0);
	assert_int_equal(stat(path, &is), 0);
	assert_true(S_ISSOCK(is.st_mode));
	assert_int_equal(is.st_mode & 0777, 0600);
	assert_int_equal(listen_open_control(path, "nobody", error, sizeof error), -1);
	assert_non_null(strstr(error, "already runs"));
	/* Nor is one taken for dead, or waited for, whose queue of clients is full. */
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	for (int i = 0; i < 100; i++) {
		clients[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
		(void)connect(clients[i], (struct sockaddr *)&a, sizeof a);
	}
	alarm(20);
	assert_int_equal(listen_open_control(path, "nobody", error, sizeof error), -1);
	alarm(0);
	assert_non_null(strstr(error, "already runs"));
	for (int i = 0; i < 100; i++)
		close(clients[i]);
	/* kill -9: the name stays, nobody answers. */
	close(first);
	assert_int_equal(access(path, F_OK), 0);
	second = listen_open_control(path, "nobody", error, sizeof error);
	assert_true(second >= 0);
	close(second);
}

/* A mistake in the configuration costs no file. */
static void only_a_socket_is_replaced(void **state)
{
	char path[100], target[100], error[256];
	int fd;

	(void)state;
	snprintf(path, sizeof path, "%s/precious", directory);
	fd = open(path, O_CREAT | O_WRONLY, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(listen_open_control(path, "nobody", error, sizeof error), -1);
	assert_non_null(strstr(error, path));
	assert_int_equal(access(path, F_OK), 0);
	snprintf(target, sizeof target, "%s/link", directory);
	assert_int_equal(symlink(path, target), 0);
	assert_int_equal(listen_open_control(target, "nobody", error, sizeof error), -1);
	assert_int_equal(access(path, F_OK), 0);
	snprintf(target, sizeof target, "%s/absent/control", directory);
	assert_int_equal(listen_open_control(target, "nobody", error, sizeof error), -1);
	assert_non_null(strstr(error, "No such file"));
}

static void a_path_too_long_is_told(void **state)
{
	char path[300], error[512];

	(void)state;
	memset(path, 'x', sizeof path);
	path[0] = '/';
	path[sizeof path - 1] = '\0';
	assert_int_equal(listen_open_control(path, "nobody", error, sizeof error), -1);
	assert_non_null(strstr(error, "too long"));
	path[108] = '\0';
	assert_int_equal(listen_open_control(path, "nobody", error, sizeof error), -1);
	assert_non_null(strstr(error, "too long"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_and_reload),
		cmocka_unit_test(what_cannot_be_bound_is_named),
		cmocka_unit_test(C8_stale_is_replaced_living_is_refused),
		cmocka_unit_test(only_a_socket_is_replaced),
		cmocka_unit_test(a_path_too_long_is_told),
	};

	choose_address();
	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
