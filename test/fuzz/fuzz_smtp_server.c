/*
 * Any bytes as a submission session whose owner says yes to everything: content that is given out
 * is canonical, and cutting the input differently changes no reply.
 */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <event2/buffer.h>

#include "smtp/server.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void answer(struct smtp_server *s, enum smtp_want want, struct evbuffer *out)
{
	struct slice content = smtp_server_content(s);
	enum smtp_auth_verdict login = SMTP_AUTH_DONE;
	struct outcome ok;

	outcome_ok(&ok);
	if (want == SMTP_WANT_AUTH && !smtp_server_auth(s)->has_response)
		login = SMTP_AUTH_CHALLENGE;
	if (want == SMTP_WANT_AUTH)
		smtp_server_auth_answer(s, login, (const uint8_t *)"who", 3, out);
	else if (want != SMTP_WANT_CONTENT)
		smtp_server_answer(s, &ok, out);
	for (size_t i = 1; want == SMTP_WANT_CONTENT && i < content.n; i++)
		assert((content.bytes[i] == '\n') == (content.bytes[i - 1] == '\r'));
}

static struct evbuffer *converse(const char *bytes, size_t n, size_t piece)
{
	const struct smtp_server_settings settings = { "h.example", 500, 3, 5, 3, 60, 200,
		"LOGIN" };
	struct smtp_server *s = smtp_server_create(&settings);
	struct evbuffer *in = evbuffer_new(), *out = evbuffer_new();
	enum smtp_want want = SMTP_WANT_INPUT;

	smtp_server_greet(s, true, out);
	for (size_t i = 0; i < n && want == SMTP_WANT_INPUT; i += piece) {
		evbuffer_add(in, bytes + i, n - i < piece ? n - i : piece);
		while ((want = smtp_server_input(s, in, out)) != SMTP_WANT_INPUT &&
		       want != SMTP_WANT_CLOSE)
			answer(s, want, out);
	}
	smtp_server_destroy(&s);
	evbuffer_free(in);
	return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct evbuffer *whole = converse((const char *)data, size, size + 1);
	struct evbuffer *pieces = converse((const char *)data, size, 1 + size % 3);
	size_t n = evbuffer_get_length(whole);

	/* Whether something came too early behind DATA depends on the pieces (RFC 2920 3.1). */
	if (evbuffer_search(whole, "554 5.5.0", 9, NULL).pos < 0)
		assert(n == evbuffer_get_length(pieces) &&
		       memcmp(evbuffer_pullup(whole, -1), evbuffer_pullup(pieces, -1), n) == 0);
	evbuffer_free(whole);
	evbuffer_free(pieces);
	return 0;
}
