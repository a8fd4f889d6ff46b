/* Taking connections: what they are like, when they are not taken, and when they cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/net/listener.h"
#include "relay/net/peer.h"

enum { CLIENTS = 6 };

struct door {
	struct loop *loop;
	struct listener *listener;
	struct sockaddr_in address;
	int listen_fd;
	int taken[CLIENTS], n_taken;
	int clients[CLIENTS], n_clients;
	char peer[PEER_ADDRESS_MAX];
	bool closes_at_once;
};

static void on_taken(
    int fd, const struct sockaddr *peer, socklen_t n_peer, struct listener *listener, void *arg)
{
	struct door *d = arg;

	assert_ptr_equal(listener, d->listener);
	assert_int_equal(n_peer, sizeof(struct sockaddr_in));
	assert_true(d->n_taken < CLIENTS);
	d->taken[d->n_taken++] = fd;
	peer_print_address(peer, d->peer);
	if (d->closes_at_once)
		listener_destroy(&d->listener);
}

static void open_door(struct door *d)
{
	socklen_t n = sizeof d->address;

	*d = (struct door){ .loop = loop_create(), .address = { .sin_family = AF_INET } };
	d->address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	d->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(d->listen_fd, (struct sockaddr *)&d->address, n), 0);
	assert_int_equal(listen(d->listen_fd, 16), 0);
	assert_int_equal(getsockname(d->listen_fd, (struct sockaddr *)&d->address, &n), 0);
	d->listener = listener_create(d->loop, d->listen_fd, on_taken, d);
}

static void knock(struct door *d)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&d->address, sizeof d->address), 0);
	d->clients[d->n_clients++] = fd;
}

static void close_door(struct door *d)
{
	listener_destroy(&d->listener);
	for (int i = 0; i < d->n_taken; i++)
		close(d->taken[i]);
	for (int i = 0; i < d->n_clients; i++)
		close(d->clients[i]);
	close(d->listen_fd);
	loop_destroy(&d->loop);
}

static void on_over(void *arg)
{
	*(bool *)arg = true;
}

static int turn_for(struct door *d, int64_t wait_ms)
{
	bool is_over = false;
	struct timer *timer = timer_create_in(d->loop, on_over, &is_over);
	int n_turns = 0;

	timer_set(timer, wait_ms);
	for (; !is_over; n_turns++)
		loop_run_once(d->loop, true);
	timer_destroy(&timer);
	return n_turns;
}

static void connections_are_ready_for_use(void **state)
{
	struct door d;
	int no_delay = 0;
	socklen_t n = sizeof no_delay;

	(void)state;
	open_door(&d);
	knock(&d);
	knock(&d);
	assert_int_equal(d.n_taken, 0);
	turn_for(&d, 50);
	assert_int_equal(d.n_taken, 2);
	assert_string_equal(d.peer, "127.0.0.1");
	assert_true(fcntl(d.taken[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(d.taken[0], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(getsockopt(d.taken[0], IPPROTO_TCP, TCP_NODELAY, &no_delay, &n), 0);
	assert_true(no_delay);
	close_door(&d);
}

static void stops_and_resumes(void **state)
{
	struct door d;

	(void)state;
	open_door(&d);
	listener_stop(d.listener);
	knock(&d);
	turn_for(&d, 50);
	assert_int_equal(d.n_taken, 0);
	listener_resume(d.listener);
	turn_for(&d, 50);
	assert_int_equal(d.n_taken, 1);
	close_door(&d);
}

static void destroyed_in_its_call(void **state)
{
	struct door d;

	(void)state;
	open_door(&d);
	d.closes_at_once = true;
	knock(&d);
	knock(&d);
	turn_for(&d, 50);
	assert_int_equal(d.n_taken, 1);
	assert_null(d.listener);
	close_door(&d);
}

/* O4, O2: no descriptor left. One waits no longer, the loop sleeps, and afterwards all is well. */
static void o4_no_descriptors(void **state)
{
	struct rlimit usual, tight;
	struct door d;
	int next, n_turns;
	char byte;

	(void)state;
	open_door(&d);
	for (int i = 0; i < 4; i++)
		knock(&d);
	next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &usual);
	tight = usual;
	tight.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	n_turns = turn_for(&d, 300);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	assert_int_equal(d.n_taken, 0);
	assert_true(n_turns <= 3);
	assert_int_equal(recv(d.clients[0], &byte, 1, MSG_DONTWAIT), 0);  /* turned away */
	assert_int_equal(recv(d.clients[1], &byte, 1, MSG_DONTWAIT), -1); /* still waits */
	turn_for(&d, 600);
	assert_int_equal(d.n_taken, 3);
	close_door(&d);
}

/* A rest does not undo a stop, nor a resume a rest. */
static void o4_stop_while_resting(void **state)
{
	struct rlimit usual, tight;
	struct door d;
	int next;

	(void)state;
	open_door(&d);
	knock(&d);
	knock(&d);
	next = dup(0);
	close(next);
	getrlimit(RLIMIT_NOFILE, &usual);
	tight = usual;
	tight.rlim_cur = (rlim_t)next;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
	turn_for(&d, 50);
	listener_stop(d.listener);
	listener_resume(d.listener);
	assert_true(turn_for(&d, 50) <= 2);
	listener_stop(d.listener);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &usual), 0);
	turn_for(&d, 600);
	assert_int_equal(d.n_taken, 0);
	listener_resume(d.listener);
	turn_for(&d, 50);
	assert_int_equal(d.n_taken, 1);
	close_door(&d);
}

static void addresses_in_words(void **state)
{
	struct sockaddr_in6 six = { .sin6_family = AF_INET6 };
	struct sockaddr local = { .sa_family = AF_UNIX };
	char text[PEER_ADDRESS_MAX];

	(void)state;
	inet_pton(AF_INET6, "2001:db8::1", &six.sin6_addr);
	peer_print_address((struct sockaddr *)&six, text);
	assert_string_equal(text, "2001:db8::1");
	inet_pton(AF_INET6, "::ffff:192.0.2.1", &six.sin6_addr);
	peer_print_address((struct sockaddr *)&six, text);
	assert_string_equal(text, "192.0.2.1");
	peer_print_address(&local, text);
	assert_string_equal(text, "unknown");
}

static void peers_without_their_port(void **state)
{
	char host[16];

	(void)state;
	peer_print_host("mx[192.0.2.1]:25", host, sizeof host);
	assert_string_equal(host, "mx[192.0.2.1]");
	peer_print_host("mx[2001:db8::1]", host, sizeof host);
	assert_string_equal(host, "mx[2001:db8::1]");
	peer_print_host("a socket:25 of ours", host, sizeof host);
	assert_string_equal(host, "a socket:25 of ");
	peer_print_host("", host, sizeof host);
	assert_string_equal(host, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(connections_are_ready_for_use),
		cmocka_unit_test(stops_and_resumes),
		cmocka_unit_test(destroyed_in_its_call),
		cmocka_unit_test(o4_no_descriptors),
		cmocka_unit_test(o4_stop_while_resting),
		cmocka_unit_test(addresses_in_words),
		cmocka_unit_test(peers_without_their_port),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
