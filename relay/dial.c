#include "relay/dial.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "relay/base/buffer.h"
#include "relay/base/mem.h"
#include "relay/net/peer.h"

struct dial {
	struct loop *loop;
	struct timer *timer; /* the next address is due, or this one has had its time */
	struct watch *watch; /* NULL unless a connection is being made */
	int fd;
	char name[DOMAIN_MAX];
	union plan_address addresses[PLAN_ADDRESSES_MAX];
	size_t n_addresses, at;
	int64_t timeout_ms;
	struct buffer failures;
	struct dial_result result;
	dial_done *done;
	void *arg;
};

static void on_timer(void *arg);
static void try_address(struct dial *d);
static int begin(struct dial *d, const union plan_address *address);
static void on_writable(int fd, void *arg);
static void note_failure(struct dial *d, const char *why);
static void succeed(struct dial *d);
static void give_up(struct dial *d);
static void finish(struct dial *d);
static void drop_attempt(struct dial *d);
static void release(struct dial *d);
static void print_peer(const struct dial *d, char *peer, size_t room);

struct dial *dial_start(struct loop *loop, const struct plan_host *host, size_t first,
    int64_t timeout_ms_per_address, dial_done *done, void *arg)
{
	struct dial *d = mem_create(sizeof *d);

	assert(host->n_addresses <= PLAN_ADDRESSES_MAX);
	d->loop = loop;
	d->fd = -1;
	snprintf(d->name, sizeof d->name, "%s", host->name);
	memcpy(d->addresses, host->addresses, sizeof d->addresses);
	d->n_addresses = host->n_addresses;
	d->at = first;
	d->timeout_ms = timeout_ms_per_address;
	d->done = done;
	d->arg = arg;
	buffer_init(&d->failures, OUTCOME_TEXT_MAX);
	d->timer = timer_create_in(loop, on_timer, d);
	timer_set(d->timer, 0);
	return d;
}

static void on_timer(void *arg)
{
	struct dial *d = arg;

	if (d->watch != NULL)
		note_failure(d, strerror(ETIMEDOUT));
	try_address(d);
}

/* Until one is on its way. An address of a family we have no route for fails right here. */
static void try_address(struct dial *d)
{
	while (d->at < d->n_addresses) {
		print_peer(d, d->result.peer, sizeof d->result.peer);
		if (begin(d, &d->addresses[d->at]) == 0) {
			d->watch = watch_create(d->loop, d->fd, WATCH_WRITE, on_writable, d);
			watch_on(d->watch);
			timer_set(d->timer, d->timeout_ms);
			return;
		}
		note_failure(d, strerror(errno));
	}
	give_up(d);
}

static int begin(struct dial *d, const union plan_address *address)
{
	socklen_t n =
	    address->any.sa_family == AF_INET6 ? sizeof address->ipv6 : sizeof address->ipv4;
	const int on = 1;

	d->fd = socket(address->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (d->fd < 0)
		return -1;
	setsockopt(d->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
	if (connect(d->fd, &address->any, n) == 0 || errno == EINPROGRESS)
		return 0;
	return -1;
}

static void on_writable(int fd, void *arg)
{
	struct dial *d = arg;
	int error = 0;
	socklen_t n = sizeof error;

	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n) != 0)
		error = errno;
	if (error == 0) {
		succeed(d);
		return;
	}
	note_failure(d, strerror(error));
	try_address(d);
}

/* In Postfix's words; goes on to the next address. */
static void note_failure(struct dial *d, const char *why)
{
	buffer_print(&d->failures, "%sconnect to %s: %s", d->failures.n > 0 ? "; " : "",
	    d->result.peer, why);
	drop_attempt(d);
	d->at++;
}

static void succeed(struct dial *d)
{
	outcome_ok(&d->result.outcome);
	d->result.at = d->at;
	watch_destroy(&d->watch);
	d->result.stream = stream_create(d->loop, d->fd);
	d->fd = -1;
	finish(d);
}

static void give_up(struct dial *d)
{
	d->result.at = d->n_addresses;
	if (d->failures.n == 0)
		buffer_print(&d->failures, "%s has no %saddress to connect to", d->name,
		    d->n_addresses > 0 ? "other " : "");
	outcome_say(&d->result.outcome, 451, "4.4.1", "connect", "%s", buffer_text(&d->failures));
	finish(d);
}

static void finish(struct dial *d)
{
	struct dial_result result = d->result;
	dial_done *done = d->done;
	void *arg = d->arg;

	release(d);
	done(&result, arg);
}

void dial_cancel(struct dial **dial)
{
	if (*dial != NULL)
		release(*dial);
	*dial = NULL;
}

static void drop_attempt(struct dial *d)
{
	watch_destroy(&d->watch);
	if (d->fd >= 0)
		close(d->fd);
	d->fd = -1;
}

static void release(struct dial *d)
{
	drop_attempt(d);
	timer_destroy(&d->timer);
	buffer_finish(&d->failures);
	free(d);
}

static void print_peer(const struct dial *d, char *peer, size_t room)
{
	const union plan_address *address = &d->addresses[d->at];
	char text[PEER_ADDRESS_MAX];

	peer_print_address(&address->any, text);
	snprintf(peer, room, "%s[%.45s]:%u", d->name, text,
	    ntohs(address->any.sa_family == AF_INET6 ? address->ipv6.sin6_port
						     : address->ipv4.sin_port));
}
