/*
 * Any bytes as a header block: the splitter and the parser agree on its end, the fields are the
 * block, and what compose makes of it can be parsed again.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "relay/compose.h"
#include "smtp/header.h"
#include "smtp/waiver.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void compose_again(const struct header *h, const struct header_limits *limits)
{
	const struct compose_facts facts = { "mail.example.org", "c", "TLSv1.3", "X", "ID", 0 };
	char message_id[COMPOSE_MESSAGE_ID_MAX];
	struct header again;
	struct outcome why;
	struct buffer out;

	buffer_init(&out, 1 << 20);
	assert(compose_header(&facts, h, &out, message_id, &why));
	assert(header_parse(&again, out.bytes, out.n, limits, &why));
	assert(again.n_bytes == out.n && header_count(&again, "Bcc") == 0);
	assert(header_count(&again, "Message-ID") > 0 && header_count(&again, "Date") > 0);
	header_finish(&again);
	buffer_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct header_limits limits = { 1 << 20, 10000, size % 2 == 0 };
	const char *bytes = (const char *)data, *at = bytes;
	struct header_splitter splitter = { 0 };
	struct outcome why;
	struct header h;

	if (!header_parse(&h, bytes, size, &limits, &why)) {
		assert(why.class == OUTCOME_FAIL && why.name[0] != '\0');
		return 0;
	}
	assert(header_splitter_feed(&splitter, bytes, size) == h.n_bytes);
	for (size_t i = 0; i < h.n_fields; i++) {
		const struct header_field *f = &h.fields[i];

		assert(f->whole.bytes == at && f->name.n > 0);
		assert(f->whole.n == f->name.n + 1 + f->value.n + 2);
		at += f->whole.n;
	}
	assert((size_t)(at - bytes) == h.n_bytes - (splitter.state == SPLIT_ENDED ? 2 : 0));
	if (smtp_waiver_read(&h) == WAIVER_GIVEN)
		assert(header_count(&h, "TLS-Required") == 1);
	compose_again(&h, &limits);
	header_finish(&h);
	return 0;
}
