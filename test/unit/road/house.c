#include "house.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/message_wire.h"
#include "relay/net/loop.h"
#include "relay/spool.h"
#include "whole.h"

static void on_queue(void *arg, struct channel *channel, struct ipc_message *m);
static void on_keeper(void *arg, struct channel *channel, struct ipc_message *m);
static void on_lost(void *arg, struct channel *channel);

void house_init(struct house_of_tests *h)
{
	static char domain[] = "example.org", hostname[] = "mail.example.org", one[] = "s1",
		    two[] = "s2", name[] = "web@example.org", all[] = "@example.org";
	static char *selectors[] = { one, two }, *senders[] = { all };

	*h = (struct house_of_tests){ .loop = loop_create() };
	h->domain = (struct config_domain){ domain, selectors, 2 };
	h->account = (struct config_account){ .name = name, .senders = senders, .n_senders = 1 };
	h->config = (struct config){ .hostname = hostname,
		.domains = &h->domain,
		.n_domains = 1,
		.accounts = &h->account,
		.n_accounts = 1,
		.limits = { .message_size = 25 << 20,
		    .header_size = 102400,
		    .header_fields = 1000 },
		.retry = { 300, 3600, 5 * 86400, 2 * 86400 } };
	h->queue = asker_create(h->loop, ASKER_RESEND, 60000);
	h->keepers = asker_create(h->loop, ASKER_PLAIN, 60000);
	h->signer = signer_create(&h->config, h->keepers);
	h->shelf = shelf_create(h->queue);
	outcome_ok(&h->segment_verdict);
	outcome_ok(&h->commit_verdict);
	h->submit = (struct submit_house){ .loop = h->loop,
		.config = &h->config,
		.queue = h->queue,
		.signer = h->signer,
		.shelf = h->shelf };
}

void house_finish(struct house_of_tests *h)
{
	shelf_destroy(&h->shelf);
	signer_destroy(&h->signer);
	asker_destroy(&h->queue);
	asker_destroy(&h->keepers);
	channel_destroy(&h->queue_end);
	channel_destroy(&h->keeper_end);
	for (size_t i = 0; i < h->n_segments; i++)
		close(h->segments[i]);
	for (size_t i = 0; i < h->n_commits; i++)
		message_finish(&h->commits[i]);
	loop_destroy(&h->loop);
}

void house_bring_queue(struct house_of_tests *h)
{
	int ends[2];

	channel_destroy(&h->queue_end);
	assert_int_equal(channel_make_pair(ends), 0);
	h->queue_end = channel_create(h->loop, ends[1], on_queue, on_lost, h);
	asker_add(h->queue, channel_create(h->loop, ends[0], NULL, NULL, NULL));
}

void house_bring_keeper(struct house_of_tests *h)
{
	struct ipc_message m = { .type = IPC_KEYS, .fd = -1 };
	ipc_key keys[] = { { "example.org", "s1", 0 }, { "example.org", "s2", 1 } };
	int ends[2];

	channel_destroy(&h->keeper_end);
	assert_int_equal(channel_make_pair(ends), 0);
	h->keeper_end = channel_create(h->loop, ends[1], on_keeper, on_lost, h);
	asker_add(h->keepers, channel_create(h->loop, ends[0], NULL, NULL, NULL));
	m.keys.keys = (ipc_key_list){ keys, 2 };
	channel_send(h->keeper_end, &m);
	house_turn(h);
}

void house_turn(struct house_of_tests *h)
{
	for (int i = 0; i < 100; i++)
		loop_run_once(h->loop, false);
}

static void on_lost(void *arg, struct channel *channel)
{
	(void)arg, (void)channel;
}

static void give_segment(struct house_of_tests *h, const struct ipc_message *m)
{
	struct ipc_message say = { .type = IPC_SEGMENT_SAY, .fd = -1 };
	char path[64];

	say.segment_say =
	    (struct ipc_segment_say){ m->segment_ask.number, h->n_segments, h->segment_verdict };
	if (outcome_is_ok(&h->segment_verdict)) {
		assert_true(h->n_segments < SEGMENTS_MAX);
		h->asked_bytes[h->n_segments] = m->segment_ask.size_bytes;
		h->segments[h->n_segments] = h->file != NULL ? open(h->file, O_RDWR | O_CLOEXEC)
							     : memfd_create("segment", MFD_CLOEXEC);
		assert_true(h->segments[h->n_segments] >= 0);
		snprintf(path, sizeof path, "/proc/self/fd/%d", h->segments[h->n_segments]);
		say.fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
		h->n_segments++;
	}
	if (h->sends_no_file && say.fd >= 0) {
		close(say.fd);
		say.fd = -1;
	}
	channel_send(h->queue_end, &say);
	if (say.fd >= 0)
		close(say.fd);
}

static void on_queue(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct house_of_tests *h = arg;
	struct ipc_message say = { .type = IPC_COMMIT_SAY, .fd = -1 };

	(void)channel;
	if (m->type == IPC_SEGMENT_RELEASE) {
		assert_true(h->n_released < SEGMENTS_MAX);
		h->released[h->n_released++] = m->segment_release.segment;
		return;
	}
	if (h->is_silent)
		return;
	if (m->type == IPC_SEGMENT_ASK) {
		give_segment(h, m);
		return;
	}
	assert_int_equal(m->type, IPC_COMMIT_ASK);
	assert_true(h->n_commits < COMMITS_MAX);
	assert_true(message_decode(m->commit_ask.mail, &h->commits[h->n_commits++]));
	say.commit_say = (struct ipc_commit_say){ m->commit_ask.number, h->commit_verdict };
	channel_send(h->queue_end, &say);
}

static void on_keeper(void *arg, struct channel *channel, struct ipc_message *m)
{
	struct house_of_tests *h = arg;
	struct ipc_message say = { .type = IPC_SIGN_SAY, .fd = -1 };
	ipc_signing signatures[2] = { { "s1", { "first signature", 15 } },
		{ "s2", { "second signature", 16 } } };

	(void)channel;
	assert_int_equal(m->type, IPC_SIGN_ASK);
	h->n_digests = m->sign_ask.digests.n;
	for (size_t i = 0; i < h->n_digests; i++)
		assert_int_equal(m->sign_ask.digests.items[i].bytes.n, 32);
	say.sign_say = (struct ipc_sign_say){ m->sign_ask.number, !h->refuses_to_sign,
		h->refuses_to_sign ? "no such key" : "",
		{ signatures, h->refuses_to_sign ? 0 : h->n_digests } };
	h->n_signed += h->n_digests > 0;
	channel_send(channel, &say);
}

char *house_read(struct house_of_tests *h, uint64_t segment, const struct extent *extent)
{
	char *bytes = mem_create(extent->length + 1);

	assert_true(segment < h->n_segments);
	assert_int_equal(extent_check(h->segments[segment], extent), 0);
	assert_int_equal(pread(h->segments[segment], bytes, extent->length, (off_t)extent->offset),
	    (ssize_t)extent->length);
	return bytes;
}
