#include "relay/bounce_post.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dkim/body_hash.h"
#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"

struct post_office {
	const struct config *config;
	struct spool *spool;
	struct signer *signer;
	struct shelf_place place; /* of all notifications; fd -1: none */
};

struct bounce_post {
	struct post_office *office;
	char id[QUEUE_ID_MAX];
	char *to, *from_domain;
	bool requires_tls;
	int64_t now_s;
	struct buffer header, body;
	struct sealing *sealing;
	bounce_post_done *done;
	void *arg;
};

static void on_sealed(void *arg, const struct outcome *outcome, const char *seals);

struct post_office *post_office_create(
    const struct config *config, struct spool *spool, struct signer *signer)
{
	struct post_office *office = mem_create(sizeof *office);

	*office = (struct post_office){ config, spool, signer, { .fd = -1 } };
	return office;
}

void post_office_destroy(struct post_office **office)
{
	if (*office == NULL)
		return;
	post_office_drop_segment(*office);
	free(*office);
	*office = NULL;
}

void post_office_drop_segment(struct post_office *office)
{
	if (office->place.fd < 0)
		return;
	spool_segment_release(office->spool, office->place.segment);
	close(office->place.fd);
	office->place.fd = -1;
}

/* The header of the original, as much of it as is returned; "" if it cannot be read. */
static size_t read_original(struct post_office *office, const struct message *original, char *bytes)
{
	size_t most = original->header.length < BOUNCE_ORIGINAL_MAX ? original->header.length
								    : BOUNCE_ORIGINAL_MAX;
	int fd = spool_open_segment(office->spool, original->segment);
	ssize_t n = fd >= 0 ? pread(fd, bytes, most, (off_t)original->header.offset) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		log_warning("%s: its header cannot be read for the notification: %s", original->id,
		    strerror(errno));
	return n > 0 ? (size_t)n : 0;
}

static void hash_body(const struct buffer *body, uint8_t digest[DKIM_DIGEST_SIZE])
{
	struct dkim_body_hash *hash = dkim_body_hash_create(DKIM_RELAXED);

	dkim_body_hash_update(hash, body->bytes, body->n);
	dkim_body_hash_finish(hash, digest);
	dkim_body_hash_destroy(&hash);
}

struct bounce_post *bounce_post_start(struct post_office *office, const struct message *original,
    const struct bounce_recipient *recipients, size_t n_recipients, bounce_post_done *done,
    void *arg)
{
	struct bounce_post *post = mem_create(sizeof *post);
	char *bytes = mem_create(BOUNCE_ORIGINAL_MAX);
	uint8_t digest[DKIM_DIGEST_SIZE];
	struct bounce_facts facts = { .message = original,
		.recipients = recipients,
		.n_recipients = n_recipients,
		.hostname = office->config->hostname,
		.queue_id = post->id,
		.now_s = clock_wall_s() };

	post->office = office;
	post->to = mem_copy_text(original->sender);
	post->from_domain = mem_copy_text(original->from_domain);
	post->requires_tls = original->requires_tls; /* RFC 8689 5 */
	post->now_s = facts.now_s;
	post->done = done;
	post->arg = arg;
	queue_id_make(post->id);
	buffer_init(&post->header, BOUNCE_HEADER_MAX);
	buffer_init(&post->body, BOUNCE_BODY_MAX);
	facts.original = (struct slice){ bytes, read_original(office, original, bytes) };
	if (!bounce_write(&facts, &post->header, &post->body))
		abort(); /* the buffers have the sizes it asks for */
	free(bytes);
	hash_body(&post->body, digest);
	post->sealing = sign_start(office->signer, post->from_domain, digest,
	    (struct slice){ post->header.bytes, post->header.n }, on_sealed, post);
	return post;
}

static void destroy(struct bounce_post *post)
{
	sign_cancel(&post->sealing);
	buffer_finish(&post->header);
	buffer_finish(&post->body);
	free(post->to);
	free(post->from_domain);
	free(post);
}

void bounce_post_cancel(struct bounce_post **post)
{
	if (*post == NULL)
		return;
	destroy(*post);
	*post = NULL;
}

static bool find_place(struct post_office *office, struct outcome *why)
{
	if (office->place.fd >= 0 && office->place.size >= SHELF_SEGMENT_SIZE)
		post_office_drop_segment(office);
	if (office->place.fd >= 0)
		return true;
	office->place.size = 0;
	office->place.fd = spool_segment_create(office->spool, &office->place.segment, why);
	return office->place.fd >= 0;
}

static void on_sealed(void *arg, const struct outcome *outcome, const char *seals)
{
	struct bounce_post *post = arg;
	struct post_office *office = post->office;
	struct outcome why = *outcome;
	char nobody[] = "";
	struct message bounce = { .sender = nobody,
		.account = nobody,
		.from_domain = post->from_domain,
		.arrived_s = post->now_s,
		.expires_s = post->now_s + office->config->retry.expire,
		.requires_tls = post->requires_tls,
		.recipients = &post->to,
		.n_recipients = 1 };
	char message_id[QUEUE_ID_MAX + DOMAIN_MAX + 4];

	post->sealing = NULL;
	memcpy(bounce.id, post->id, sizeof bounce.id);
	snprintf(message_id, sizeof message_id, "<%s@%s>", post->id, office->config->hostname);
	bounce.message_id = message_id;
	if (outcome_is_ok(&why) && find_place(office, &why)) {
		struct slice header[2] = { slice_of(seals),
			{ post->header.bytes, post->header.n } };
		struct slice body = { post->body.bytes, post->body.n };

		bounce.segment = office->place.segment;
		if (!shelf_append(&office->place, &body, 1, &bounce.body, &why) ||
		    !shelf_append(&office->place, header, 2, &bounce.header, &why))
			post_office_drop_segment(office);
	}
	post->done(post->arg, &why, outcome_is_ok(&why) ? &bounce : NULL);
	destroy(post);
}
