/*
 * Whole messages and their descriptors between two ends in one loop: many, large, out of order with
 * what the other end reads, from a peer that dies or talks nonsense.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/wire.h"
#include "relay/ipc/channel.h"
#include "relay/net/loop.h"

enum { LOG_MAX = 2000 };

/* What one end has heard. */
struct end {
	struct channel *channel;
	size_t n_messages, n_closed;
	uint64_t numbers[LOG_MAX]; /* of segments asked for, or what a descriptor holds */
	int fds[4];                /* kept */
	size_t n_fds;
	size_t keep;       /* how many to keep */
	size_t destroy_at; /* the channel, at this message; 0: never */
	size_t n_bytes;
};

struct pair {
	struct loop *loop;
	struct end a, b;
	int fds[2]; /* the sockets themselves */
};

static uint64_t content_of(int fd)
{
	uint64_t number = 0;

	return pread(fd, &number, sizeof number, 0) == (ssize_t)sizeof number ? number : 0;
}

static int make_file(uint64_t number)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, &number, sizeof number, 0), (ssize_t)sizeof number);
	return fd;
}

static void on_message(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct end *end = arg;

	(void)channel;
	assert_true(end->n_messages < LOG_MAX);
	end->numbers[end->n_messages] = m->type == IPC_SEGMENT_ASK ? m->segment_ask.size_bytes
					: m->fd >= 0               ? content_of(m->fd)
								   : 0;
	if (m->type == IPC_DELIVER)
		end->n_bytes += m->deliver.mail.n;
	if (m->fd >= 0 && end->n_fds < end->keep) {
		end->fds[end->n_fds++] = m->fd;
		m->fd = -1;
	}
	end->n_messages++;
	if (end->n_messages == end->destroy_at)
		channel_destroy(&end->channel);
}

static void on_closed(void *arg, struct channel *channel)
{
	struct end *end = arg;

	(void)channel;
	end->n_closed++;
}

static int set_up(void **state)
{
	struct pair *p = calloc(1, sizeof *p);

	p->loop = loop_create();
	assert_int_equal(channel_make_pair(p->fds), 0);
	p->a.channel = channel_create(p->loop, p->fds[0], on_message, on_closed, &p->a);
	p->b.channel = channel_create(p->loop, p->fds[1], on_message, on_closed, &p->b);
	*state = p;
	return 0;
}

static int tear_down(void **state)
{
	struct pair *p = *state;

	channel_destroy(&p->a.channel);
	channel_destroy(&p->b.channel);
	for (size_t i = 0; i < p->a.n_fds; i++)
		close(p->a.fds[i]);
	for (size_t i = 0; i < p->b.n_fds; i++)
		close(p->b.fds[i]);
	loop_destroy(&p->loop);
	free(p);
	return 0;
}

/* Until nothing more happens by itself. */
static void settle(struct pair *p)
{
	for (int i = 0; i < 2000; i++)
		loop_run_once(p->loop, false);
}

static void send_number(struct channel *c, uint64_t number)
{
	const struct ipc_message m = {
		.type = IPC_SEGMENT_ASK, .fd = -1, .segment_ask.size_bytes = number
	};

	channel_send(c, &m);
}

/* With n bytes of mail and a descriptor (of a file that holds number; -1: none). */
static void send_job(struct channel *c, size_t n, int fd)
{
	char *bytes = malloc(n + 1);
	const struct ipc_message m = {
		.type = IPC_DELIVER, .fd = fd, .deliver = { "ID", "one.test", { bytes, n }, 0, 0 }
	};

	memset(bytes, 'm', n);
	channel_send(c, &m);
	free(bytes);
}

static void both_ways_in_order(void **state)
{
	struct pair *p = *state;

	for (uint64_t i = 0; i < 500; i++) {
		send_number(p->a.channel, i);
		send_number(p->b.channel, 1000 + i);
	}
	assert_int_equal(p->b.n_messages, 0); /* never from inside the call */
	settle(p);
	assert_int_equal(p->a.n_messages, 500);
	assert_int_equal(p->b.n_messages, 500);
	for (uint64_t i = 0; i < 500; i++) {
		assert_int_equal(p->b.numbers[i], i);
		assert_int_equal(p->a.numbers[i], 1000 + i);
	}
}

/* Some frames far larger than the socket takes at once, small ones between, each its descriptor. */
static void descriptors_stay_with_their_frames(void **state)
{
	static const size_t sizes[] = { 10, 1000000, 0, 300000, 1, 1000000, 70000, 5 };
	struct pair *p = *state;
	size_t n_all = 0, at = 0;

	for (uint64_t i = 0; i < 40; i++) {
		size_t n = sizes[i % (sizeof sizes / sizeof sizes[0])];
		int fd = make_file(7000 + i);

		send_job(p->a.channel, n, fd);
		close(fd); /* it was duplicated */
		if (i % 3 == 0)
			send_number(p->a.channel, i);
		if (i % 4 == 0)
			send_job(p->a.channel, 3, -1);
		n_all += n + (i % 4 == 0 ? 3 : 0);
	}
	settle(p);
	assert_int_equal(p->b.n_bytes, n_all);
	for (uint64_t i = 0; i < 40; i++) {
		assert_int_equal(p->b.numbers[at++], 7000 + i);
		if (i % 3 == 0)
			assert_int_equal(p->b.numbers[at++], i);
		if (i % 4 == 0)
			assert_int_equal(p->b.numbers[at++], 0);
	}
	assert_int_equal(p->b.n_messages, at);
	assert_int_equal(p->b.n_closed, 0);
}

static int count_open(void)
{
	int n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void descriptors_not_kept_are_closed(void **state)
{
	struct pair *p = *state;
	int fd = make_file(1), before = count_open();

	p->b.keep = 1;
	for (int i = 0; i < 5; i++)
		send_job(p->a.channel, 10, fd);
	settle(p);
	assert_int_equal(p->b.n_messages, 5);
	assert_int_equal(p->b.n_fds, 1);
	assert_int_equal(content_of(p->b.fds[0]), 1);
	assert_int_equal(count_open(), before + 1);
	/* Those under way go with the channels. */
	for (int i = 0; i < 5; i++)
		send_job(p->a.channel, 10, fd);
	channel_destroy(&p->a.channel);
	assert_int_equal(count_open(), before); /* one kept, one end less */
	close(fd);
}

/* Q18: a process that has no number left for a descriptor loses it, and nothing else. */
static void Q18_lost_descriptor_is_missed_by_its_own_frame_only(void **state)
{
	struct pair *p = *state;
	struct rlimit limit, none;
	struct loop *sender = loop_create();
	int ends[2], fds[3];
	struct end quiet = { 0 };

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(channel_make_pair(ends), 0);
	channel_destroy(&p->a.channel);
	p->a.channel = channel_create(p->loop, ends[0], on_message, on_closed, &p->a);
	quiet.channel = channel_create(sender, ends[1], on_message, on_closed, &quiet);
	for (int i = 0; i < 3; i++)
		fds[i] = make_file(50 + (uint64_t)i);
	/* The first arrives in part, with its descriptor that finds no place. */
	send_job(quiet.channel, 500000, fds[0]);
	for (int i = 0; i < 10; i++)
		loop_run_once(sender, false);
	none = limit;
	none.rlim_cur = 3;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	for (int i = 0; i < 5; i++)
		loop_run_once(p->loop, false);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_int_equal(p->a.n_messages, 0);
	/* The rest, and the next, come when there is room again. */
	send_job(quiet.channel, 10, fds[1]);
	send_number(quiet.channel, 5);
	send_job(quiet.channel, 10, fds[2]);
	for (int i = 0; i < 200; i++) {
		loop_run_once(sender, false);
		loop_run_once(p->loop, false);
	}
	assert_int_equal(p->a.n_closed, 0);
	assert_int_equal(p->a.n_messages, 4);
	assert_int_equal(p->a.numbers[0], 0); /* none */
	assert_int_equal(p->a.numbers[1], 51);
	assert_int_equal(p->a.numbers[2], 5);
	assert_int_equal(p->a.numbers[3], 52);
	for (int i = 0; i < 3; i++)
		close(fds[i]);
	channel_destroy(&quiet.channel);
	loop_destroy(&sender);
}

static void dead_peer_is_heard_to_the_end(void **state)
{
	struct pair *p = *state;

	/* b dies with words of its own sent, and ours unread. */
	for (uint64_t i = 0; i < 100; i++) {
		send_number(p->b.channel, i);
		send_number(p->a.channel, i);
	}
	loop_run_once(p->loop, false); /* both words leave */
	channel_destroy(&p->b.channel);
	send_number(p->a.channel, 1); /* to nobody */
	settle(p);
	assert_int_equal(p->a.n_messages, 100);
	assert_int_equal(p->a.numbers[99], 99);
	assert_int_equal(p->a.n_closed, 1);
	send_number(p->a.channel, 1);
	settle(p);
	assert_int_equal(p->a.n_closed, 1);
}

static void half_a_frame_at_the_end_is_none(void **state)
{
	struct pair *p = *state;
	struct buffer b;
	struct ipc_message m = { .type = IPC_SEGMENT_ASK, .fd = -1 };

	buffer_init(&b, 4096);
	wire_put_u32(&b, 16);
	wire_put_u8(&b, IPC_SEGMENT_ASK);
	wire_put_u8(&b, 0);
	wire_put_u8(&b, 0);
	wire_put_u8(&b, 0);
	assert_true(ipc_message_encode(&m, &b));
	/* byte by byte: whole when the last has come */
	for (size_t i = 0; i < b.n; i++) {
		assert_int_equal(p->a.n_messages, 0);
		assert_int_equal(send(p->fds[1], b.bytes + i, 1, 0), 1);
		loop_run_once(p->loop, false);
	}
	settle(p);
	assert_int_equal(p->a.n_messages, 1);
	assert_int_equal(send(p->fds[1], b.bytes, b.n - 1, 0), (ssize_t)b.n - 1);
	shutdown(p->fds[1], SHUT_WR);
	settle(p);
	assert_int_equal(p->a.n_messages, 1);
	assert_int_equal(p->a.n_closed, 1);
	buffer_finish(&b);
}

static void C2_nonsense_closes_and_is_not_believed(void **state)
{
	static const struct {
		const char *what, *bytes;
		size_t n;
	} cases[] = {
		{ "a type of none", "\0\0\0\0\xff\0\0\0", 8 },
		{ "a type behind the last", "\0\0\0\0\x7f\0\0\0", 8 },
		{ "4 GB", "\xff\xff\xff\xff\0\0\0\0", 8 },
		{ "more than the type may have", "\0\0\0\x41\0\0\0\0", 8 },
		{ "a descriptor where none belongs", "\0\0\0\4\0\1\0\0\0\0\0\1", 12 },
		{ "a descriptor that did not come", "\0\0\0\5\1\1\0\0\0\0\0\0\1", 13 },
		{ "fields missing", "\0\0\0\0\0\0\0\0", 8 },
		{ "fields left over", "\0\0\0\5\0\0\0\0\0\0\0\1\1", 13 },
	};

	(void)state;
	assert_true(IPC_N_TYPES < 0x7f && IPC_READY == 0 && IPC_PEER == 1);
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		void *fresh;
		struct pair *p;

		set_up(&fresh);
		p = fresh;
		assert_int_equal(
		    send(p->fds[1], cases[i].bytes, cases[i].n, 0), (ssize_t)cases[i].n);
		send(p->fds[1], "\0\0\0\4\0\0\0\0\0\0\0\1", 12, 0); /* a good one after it */
		settle(p);
		if (p->a.n_messages != 0 || p->a.n_closed != 1)
			fail_msg("%s: %zu messages", cases[i].what, p->a.n_messages);
		tear_down(&fresh);
	}
}

/* Descriptors that no frame asks for do not pile up. */
static void C2_descriptors_unasked_for_are_bounded(void **state)
{
	struct pair *p = *state;
	int fd = make_file(1), before = count_open();

	for (int i = 0; i < 200; i++) {
		char byte = 0;
		union {
			char room[CMSG_SPACE(sizeof(int))];
			struct cmsghdr align;
		} control = { 0 };
		struct iovec bytes = { &byte, 1 };
		struct msghdr message = { .msg_iov = &bytes,
			.msg_iovlen = 1,
			.msg_control = control.room,
			.msg_controllen = sizeof control.room };
		struct cmsghdr *head = CMSG_FIRSTHDR(&message);

		/* the bytes are READY frames */
		byte = "\0\0\0\4\0\0\0\0\0\0\0\1"[i % 12];
		head->cmsg_level = SOL_SOCKET;
		head->cmsg_type = SCM_RIGHTS;
		head->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(head), &fd, sizeof fd);
		assert_int_equal(sendmsg(p->fds[1], &message, 0), 1);
		loop_run_once(p->loop, false);
	}
	settle(p);
	assert_int_equal(p->a.n_messages, 16);
	assert_true(count_open() <= before + 64);
	channel_destroy(&p->a.channel);
	assert_int_equal(count_open(), before - 1);
	close(fd);
}

static void handler_may_destroy_the_channel(void **state)
{
	struct pair *p = *state;

	p->b.destroy_at = 3;
	for (uint64_t i = 0; i < 10; i++)
		send_number(p->a.channel, i);
	settle(p);
	assert_int_equal(p->b.n_messages, 3);
	assert_null(p->b.channel);
	assert_int_equal(p->a.n_closed, 1);
	/* with a descriptor and a large message, in the handler for it */
	p->a.destroy_at = 0;
}

static void handler_may_destroy_with_a_descriptor(void **state)
{
	struct pair *p = *state;
	int fd = make_file(3), before = count_open();

	p->b.destroy_at = 1;
	send_job(p->a.channel, 200000, fd);
	send_job(p->a.channel, 200000, fd);
	settle(p);
	assert_int_equal(p->b.n_messages, 1);
	assert_int_equal(p->b.numbers[0], 3);
	assert_int_equal(p->a.n_closed, 1);
	channel_destroy(&p->a.channel);
	assert_int_equal(count_open(), before - 2);
	close(fd);
}

/* The other end takes nothing: kept up to a maximum, then it counts as dead. */
static void C4_peer_that_reads_nothing_is_given_up(void **state)
{
	struct loop *own = loop_create();
	struct end end = { 0 };
	int ends[2];
	int n = 0;

	(void)state;
	assert_int_equal(channel_make_pair(ends), 0);
	end.channel = channel_create(own, ends[0], on_message, on_closed, &end);
	while (end.n_closed == 0 && n < 200) {
		send_job(end.channel, 1000000, -1);
		loop_run_once(own, false);
		n++;
	}
	assert_in_range(n, 60, 80);
	assert_int_equal(end.n_closed, 1);
	channel_destroy(&end.channel);
	close(ends[1]);
	loop_destroy(&own);
}

static void closed_is_told_to_the_new_owner(void **state)
{
	struct pair *p = *state;
	struct end heir = { 0 };

	channel_destroy(&p->b.channel);
	channel_set_owner(p->a.channel, on_message, on_closed, &heir);
	settle(p);
	assert_int_equal(heir.n_closed, 1);
	assert_int_equal(p->a.n_closed, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
		T(both_ways_in_order),
		T(descriptors_stay_with_their_frames),
		T(descriptors_not_kept_are_closed),
		T(Q18_lost_descriptor_is_missed_by_its_own_frame_only),
		T(dead_peer_is_heard_to_the_end),
		T(half_a_frame_at_the_end_is_none),
		cmocka_unit_test(C2_nonsense_closes_and_is_not_believed),
		T(C2_descriptors_unasked_for_are_bounded),
		T(handler_may_destroy_the_channel),
		T(handler_may_destroy_with_a_descriptor),
		cmocka_unit_test(C4_peer_that_reads_nothing_is_given_up),
		T(closed_is_told_to_the_new_owner),
#undef T
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
