#include "relay/bounce_post.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "relay/base/clock.h"
#include "relay/base/log.h"
#include "relay/base/mem.h"

static size_t read_original(
    struct post_office *office, const struct message *original, char *bytes);

/*
 * What was demanded for the message is demanded for the word of its failure (RFC 8689 5), which holds
 * its header: by the sender, and by the floor of the account, or the one it had.
 */
struct letter *bounce_post_start(struct post_office *office, const struct message *original,
    const struct bounce_recipient *recipients, size_t n_recipients, letter_done *done, void *arg)
{
	const struct config *config = post_office_config(office);
	const struct config_account *account = config_find_account(config, original->account);
	char *bytes = mem_create(BOUNCE_ORIGINAL_MAX);
	struct letter_draft draft = { .to = original->sender,
		.from_domain = original->from_domain,
		.now_s = clock_wall_s(),
		.requires_tls = original->requires_tls,
		.tls_floor = account != NULL ? account->tls_floor : original->tls_floor };
	struct bounce_facts facts = { .message = original,
		.recipients = recipients,
		.n_recipients = n_recipients,
		.original = { bytes, read_original(office, original, bytes) },
		.hostname = config->hostname,
		.queue_id = draft.id,
		.now_s = draft.now_s };

	draft.expires_s = draft.now_s + config->retry.expire;
	queue_id_make(draft.id);
	buffer_init(&draft.header, BOUNCE_HEADER_MAX);
	buffer_init(&draft.body, BOUNCE_BODY_MAX);
	if (!bounce_write(&facts, &draft.header, &draft.body))
		abort(); /* the buffers have the sizes it asks for */
	free(bytes);
	return letter_start(office, &draft, done, arg);
}

/* The header of the original, as much of it as is returned; "" if it cannot be read. */
static size_t read_original(struct post_office *office, const struct message *original, char *bytes)
{
	size_t most = original->header.length < BOUNCE_ORIGINAL_MAX ? original->header.length
								    : BOUNCE_ORIGINAL_MAX;
	int fd = spool_open_segment(post_office_spool(office), original->segment);
	ssize_t n = fd >= 0 ? pread(fd, bytes, most, (off_t)original->header.offset) : -1;

	if (fd >= 0)
		close(fd);
	if (n < 0)
		log_warning("%s: its header cannot be read for the notification: %s", original->id,
		    strerror(errno));
	return n > 0 ? (size_t)n : 0;
}
