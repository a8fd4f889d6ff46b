/*
 * Whatever a TLSA record holds, it is usable or it is not, and what we call usable OpenSSL takes
 * too: a session that requires it gets as far as its first message. Input: usage, selector, matching
 * type, data.
 */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tls/dane.h"
#include "tls/session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void try_in_a_session(struct tlsa_record *record)
{
	struct tls_context *context = tls_context_create_client("/nonexistent");
	struct tls_requirement r = { .level = TLS_DANE, .tlsa = record, .n_tlsa = 1 };
	char name[] = "mx.example", *names[] = { name };
	struct tls_session *session;
	int fd[2];

	r.names = names;
	r.n_names = 1;
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fd) == 0);
	session = tls_session_create_client(context, fd[0], &r, NULL);
	assert(tls_session_handshake(session) == TLS_STEP_WANT_READ);
	tls_session_destroy(&session);
	tls_context_destroy(&context);
	close(fd[0]);
	close(fd[1]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct tlsa_record record;
	char text[200];

	if (size < 3)
		return 0;
	record = (struct tlsa_record){ .usage = data[0], .selector = data[1], .matching = data[2] };
	record.n_data = size - 3;
	record.data = malloc(record.n_data + (record.n_data == 0));
	assert(record.data != NULL);
	memcpy(record.data, data + 3, record.n_data);
	tlsa_print(&record, text, sizeof text);
	assert(strlen(text) < sizeof text);
	if (tlsa_is_usable(&record)) {
		assert(record.usage == 2 || record.usage == 3);
		try_in_a_session(&record);
	}
	free(record.data);
	return 0;
}
