/*
 * Frames between our processes, of any content: the first byte is the type, the rest its fields.
 * What decodes is encoded to the same bytes again, or (numbers that are reduced) to some that decode.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/ipc/message.h"
#include "relay/message_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What a frame carries inside: an envelope. */
static void read_mail(struct slice mail)
{
	struct message message;
	uint32_t *places;
	struct buffer again;

	if (!message_decode_job(mail, &message, &places))
		return;
	assert(queue_id_is_valid(message.id, strlen(message.id)));
	assert(message.n_recipients > 0 && message.n_recipients <= MESSAGE_RECIPIENTS_MAX);
	buffer_init(&again, MESSAGE_WIRE_MAX);
	message_encode_job(&message, places, &again);
	assert(again.n == mail.n);
	buffer_finish(&again);
	message_finish(&message);
	free(places);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct ipc_message m = { .fd = -1 }, twin = { .fd = -1 };
	struct buffer again;

	if (size == 0)
		return 0;
	m.type = twin.type = (enum ipc_type)data[0];
	if (!ipc_message_decode(&m, data + 1, size - 1))
		return 0;
	buffer_init(&again, size);
	assert(ipc_message_encode(&m, &again));
	assert(again.n == size - 1);
	assert(ipc_message_decode(&twin, again.bytes, again.n));
	if (m.type == IPC_DELIVER)
		read_mail(m.deliver.mail);
	if (m.type == IPC_COMMIT_ASK)
		read_mail(m.commit_ask.mail);
	ipc_message_finish(&m);
	ipc_message_finish(&twin);
	buffer_finish(&again);
	return 0;
}
