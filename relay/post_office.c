#include "relay/post_office.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dkim/body_hash.h"
#include "relay/base/domain.h"
#include "relay/base/mem.h"

struct post_office {
	const struct config *config;
	struct spool *spool;
	struct signer *signer;
	struct shelf_place place; /* of all letters; fd -1: none */
};

struct letter {
	struct post_office *office;
	struct letter_draft draft; /* its texts are owned */
	struct sealing *sealing;
	letter_done *done;
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

const struct config *post_office_config(const struct post_office *office)
{
	return office->config;
}

struct spool *post_office_spool(const struct post_office *office)
{
	return office->spool;
}

void post_office_drop_segment(struct post_office *office)
{
	if (office->place.fd < 0)
		return;
	spool_segment_release(office->spool, office->place.segment);
	close(office->place.fd);
	office->place.fd = -1;
}

static void hash_body(const struct buffer *body, uint8_t digest[DKIM_DIGEST_SIZE])
{
	struct dkim_body_hash *hash = dkim_body_hash_create(DKIM_RELAXED);

	dkim_body_hash_update(hash, body->bytes, body->n);
	dkim_body_hash_finish(hash, digest);
	dkim_body_hash_destroy(&hash);
}

struct letter *letter_start(
    struct post_office *office, const struct letter_draft *draft, letter_done *done, void *arg)
{
	struct letter *letter = mem_create(sizeof *letter);
	uint8_t digest[DKIM_DIGEST_SIZE];

	letter->office = office;
	letter->draft = *draft;
	letter->draft.to = mem_copy_text(draft->to);
	letter->draft.from_domain = mem_copy_text(draft->from_domain);
	letter->done = done;
	letter->arg = arg;
	hash_body(&letter->draft.body, digest);
	letter->sealing = sign_start(office->signer, letter->draft.from_domain, digest,
	    (struct slice){ letter->draft.header.bytes, letter->draft.header.n }, on_sealed,
	    letter);
	return letter;
}

static void destroy(struct letter *letter)
{
	sign_cancel(&letter->sealing);
	buffer_finish(&letter->draft.header);
	buffer_finish(&letter->draft.body);
	free((char *)letter->draft.to);
	free((char *)letter->draft.from_domain);
	free(letter);
}

void letter_cancel(struct letter **letter)
{
	if (*letter == NULL)
		return;
	destroy(*letter);
	*letter = NULL;
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
	struct letter *letter = arg;
	struct letter_draft *draft = &letter->draft;
	struct post_office *office = letter->office;
	struct outcome why = *outcome;
	char nobody[] = "", *to = (char *)draft->to;
	struct message message = { .sender = nobody,
		.account = nobody,
		.from_domain = (char *)draft->from_domain,
		.arrived_s = draft->now_s,
		.expires_s = draft->expires_s,
		.requires_tls = draft->requires_tls,
		.tls_optional = draft->tls_optional,
		.is_report = draft->is_report,
		.tls_floor = draft->tls_floor,
		.recipients = &to,
		.n_recipients = 1 };
	char message_id[QUEUE_ID_MAX + DOMAIN_MAX + 4];

	letter->sealing = NULL;
	memcpy(message.id, draft->id, sizeof message.id);
	snprintf(message_id, sizeof message_id, "<%s@%s>", draft->id, office->config->hostname);
	message.message_id = message_id;
	if (outcome_is_ok(&why) && find_place(office, &why)) {
		struct slice header[2] = { slice_of(seals),
			{ draft->header.bytes, draft->header.n } };
		struct slice body = { draft->body.bytes, draft->body.n };

		message.segment = office->place.segment;
		if (!shelf_append(&office->place, &body, 1, &message.body, &why) ||
		    !shelf_append(&office->place, header, 2, &message.header, &why))
			post_office_drop_segment(office);
	}
	letter->done(letter->arg, &why, outcome_is_ok(&why) ? &message : NULL);
	destroy(letter);
}
