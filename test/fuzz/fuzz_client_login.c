/*
 * Any challenges from a server that does not know the password: it never gets a login by SCRAM, nor
 * anything that the password stands in.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "relay/proc/client_login.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct client_login_office *open_office(void)
{
	static char login[] = "me", password[] = "pencil";
	static struct secret entry = { login, password };
	static struct secrets passwords = { &entry, 1 };
	static struct client_login_office *office;
	char error[256];

	if (office == NULL)
		office = client_login_office_create(&passwords, error, sizeof error);
	assert(office != NULL);
	return office;
}

static void check(const struct client_login_say *say, bool is_scram)
{
	const char *bytes = say->response.bytes;

	assert(strnlen(say->problem, sizeof say->problem) < sizeof say->problem);
	if (!is_scram)
		return;
	assert(say->state == CLIENT_LOGIN_GO_ON || say->state == CLIENT_LOGIN_FAILED);
	assert(!say->has_response || memmem(bytes, say->response.n, "pencil", 6) == NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	bool is_scram = size > 0 && data[0] % 4 != 0;
	struct client_login *c = client_login_create(open_office(), "h.example", "me");
	struct client_login_say say;
	const char *at = (const char *)data, *end = at + size;

	client_login_begin(c, is_scram ? "SCRAM-SHA-256" : "LOGIN", true, &say);
	check(&say, is_scram);
	for (int i = 0; i < 4 && at < end; i++) {
		const char *line = memchr(at, '\n', (size_t)(end - at));
		size_t n = (size_t)((line != NULL ? line : end) - at);

		client_login_go_on(c, (struct slice){ at, n }, &say);
		check(&say, is_scram);
		at += n + 1;
	}
	client_login_destroy(&c);
	return 0;
}
