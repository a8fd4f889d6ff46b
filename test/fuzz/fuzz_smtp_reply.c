/*
 * Any bytes as replies of a server: each outcome is one printable line with a code of its class,
 * and cutting the input differently changes nothing.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <event2/buffer.h>

#include "smtp/capability.h"
#include "smtp/reply.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct smtp_reply *r, struct buffer *heard)
{
	struct smtp_capability can;
	struct outcome o;

	smtp_reply_outcome(r, 2, "mx.example", &o);
	assert(o.code >= 200 && o.code <= 599 && o.enhanced[0] == (char)('0' + o.code / 100));
	for (const char *c = o.text; *c != '\0'; c++)
		assert(*c >= ' ' && *c <= '~');
	smtp_capability_read(&can, r);
	assert(strlen(can.auth) < sizeof can.auth);
	buffer_print(heard, "%d %s %s\n", o.code, o.enhanced, o.text);
}

static void hear(const char *bytes, size_t n, size_t piece, struct buffer *heard)
{
	enum smtp_reply_result result = SMTP_REPLY_MORE;
	struct evbuffer *in = evbuffer_new();
	struct smtp_reply reply;

	buffer_init(heard, 1 << 24);
	smtp_reply_init(&reply);
	for (size_t i = 0; i < n && result != SMTP_REPLY_BROKEN; i += piece) {
		evbuffer_add(in, bytes + i, n - i < piece ? n - i : piece);
		while ((result = smtp_reply_read(&reply, in)) == SMTP_REPLY_WHOLE)
			check(&reply, heard);
	}
	if (result == SMTP_REPLY_BROKEN)
		check(&reply, heard);
	smtp_reply_finish(&reply);
	evbuffer_free(in);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buffer whole, pieces;

	hear((const char *)data, size, size + 1, &whole);
	hear((const char *)data, size, 1 + size % 3, &pieces);
	assert(strcmp(buffer_text(&whole), buffer_text(&pieces)) == 0);
	buffer_finish(&whole);
	buffer_finish(&pieces);
	return 0;
}
