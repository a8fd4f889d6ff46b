/*
 * Any bytes as a path and parameters: what is taken is bounded and canonical, that is, written out
 * it parses to itself; and it can be put into a command.
 */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <event2/buffer.h>

#include "smtp/command.h"
#include "smtp/parameters.h"
#include "smtp/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const struct smtp_address *address, enum smtp_path_kind kind)
{
	char path[SMTP_ADDRESS_MAX + 2];
	struct evbuffer *out = evbuffer_new();
	struct smtp_address again;
	struct outcome why;
	size_t n_used, n;

	n = (size_t)snprintf(path, sizeof path, "<%s>", address->text);
	assert(n < sizeof path);
	assert(smtp_path_parse(path, n, kind, &again, &n_used, &why) && n_used == n);
	assert(strcmp(again.text, address->text) == 0 && strcmp(again.local, address->local) == 0);
	assert(strcmp(again.domain, address->domain) == 0);
	smtp_command_rcpt(out, address->text);
	evbuffer_free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	enum smtp_path_kind kind = size % 2 == 0 ? SMTP_PATH_REVERSE : SMTP_PATH_FORWARD;
	const char *text = (const char *)data;
	struct smtp_parameters parameters;
	struct smtp_address address;
	struct outcome why = { .code = 0 };
	size_t n_used = 0;

	if (smtp_path_parse(text, size, kind, &address, &n_used, &why)) {
		assert(n_used >= 2 && n_used <= size && text[n_used - 1] == '>');
		check(&address, kind);
		if (smtp_parameters_parse_mail(text + n_used, size - n_used, &parameters, &why))
			assert(!parameters.has_auth || size > n_used + 5);
	}
	assert(why.code == 0 || (why.class == OUTCOME_FAIL && why.name[0] != '\0'));
	return 0;
}
