#include "tls/session.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "tls/dane.h"
#include "tls/openssl.h"

struct tls_session {
	SSL *ssl;
	struct tls_context *context;
	struct transport transport;
	bool is_client;
	bool is_open;        /* the handshake is done and the server was found good */
	enum tls_step ended; /* what every later read says; DONE while it goes on */
	bool write_failed;   /* for good; what has arrived before can still be read */
	struct tls_requirement requirement;
	struct tls_evidence evidence;
	struct outcome outcome;
};

static struct tls_session *create(struct tls_context *context, int fd);
static void keep_usable(struct tls_requirement *r);
static enum tls_step open_session(struct tls_session *s);
static bool may_write(const struct tls_session *s);
static enum tls_step write_step_of(struct tls_session *s, int result);
static enum tls_step step_of(struct tls_session *s, int result);
static enum tls_step handshake_failed(struct tls_session *s);
static enum tls_step lose(struct tls_session *s);
static enum tls_step fail(
    struct tls_session *s, const char *name, const char *what, const char *why);

struct tls_session *tls_session_create_server(struct tls_context *context, int fd)
{
	struct tls_session *s = create(context, fd);

	SSL_set_accept_state(s->ssl);
	return s;
}

struct tls_session *tls_session_create_client(
    struct tls_context *context, int fd, const struct tls_requirement *requirement)
{
	struct tls_session *s = create(context, fd);

	s->is_client = true;
	tls_requirement_copy(&s->requirement, requirement);
	keep_usable(&s->requirement);
	SSL_set_connect_state(s->ssl);
	if (!judge_prepare(s->ssl, context, &s->requirement, &s->outcome))
		s->ended = TLS_STEP_FAILED;
	return s;
}

static struct tls_session *create(struct tls_context *context, int fd)
{
	struct tls_session *s = mem_create(sizeof *s);
	BIO *bio = BIO_new(context->transport);

	s->context = context;
	s->transport.fd = fd;
	s->ssl = SSL_new(context->ctx);
	if (s->ssl == NULL || bio == NULL)
		abort();
	BIO_set_data(bio, &s->transport);
	BIO_set_init(bio, 1);
	SSL_set_bio(s->ssl, bio, bio);
	outcome_ok(&s->outcome);
	return s;
}

/* The caller has filtered; a record that slipped through must not weaken or break the rest. */
static void keep_usable(struct tls_requirement *r)
{
	size_t kept = 0;

	for (size_t i = 0; i < r->n_tlsa; i++) {
		if (tlsa_is_usable(&r->tlsa[i])) {
			r->tlsa[kept++] = r->tlsa[i];
			continue;
		}
		free(r->tlsa[i].data);
		r->tlsa_unusable = true;
	}
	r->n_tlsa = kept;
}

enum tls_step tls_session_handshake(struct tls_session *s)
{
	enum tls_step step;
	int result;

	if (s->is_open)
		return TLS_STEP_DONE;
	if (s->ended == TLS_STEP_FAILED)
		return TLS_STEP_FAILED;
	ERR_clear_error();
	result = SSL_do_handshake(s->ssl);
	if (result == 1)
		return open_session(s);
	step = SSL_get_error(s->ssl, result) == SSL_ERROR_WANT_READ    ? TLS_STEP_WANT_READ
	       : SSL_get_error(s->ssl, result) == SSL_ERROR_WANT_WRITE ? TLS_STEP_WANT_WRITE
								       : TLS_STEP_FAILED;
	return step == TLS_STEP_FAILED ? handshake_failed(s) : step;
}

static enum tls_step open_session(struct tls_session *s)
{
	collect_evidence(s->ssl, &s->evidence);
	if (s->is_client)
		judge_server(s->ssl, &s->requirement, &s->evidence, &s->outcome);
	if (!outcome_is_ok(&s->outcome)) {
		s->ended = TLS_STEP_FAILED;
		return TLS_STEP_FAILED;
	}
	s->is_open = true;
	return TLS_STEP_DONE;
}

/* The words for the few failures that an operator meets every week; OpenSSL's for the others. */
static enum tls_step handshake_failed(struct tls_session *s)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code);
	char why[256];

	openssl_take_error(why, sizeof why);
	if (reason == SSL_R_WRONG_VERSION_NUMBER || reason == SSL_R_HTTP_REQUEST)
		snprintf(why, sizeof why, "the peer talks, but not TLS");
	else if (reason == SSL_R_UNSUPPORTED_PROTOCOL ||
		 reason == SSL_R_TLSV1_ALERT_PROTOCOL_VERSION)
		snprintf(why, sizeof why, "the peer has no TLS 1.2 or 1.3 (%s)",
		    ERR_reason_error_string(code));
	else if (s->transport.at_end || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING)
		snprintf(why, sizeof why, "the peer closed the connection in the middle of it");
	else if (s->transport.error != 0)
		snprintf(why, sizeof why, "%s", strerror(s->transport.error));
	return fail(s, "tls-handshake", "TLS handshake failed", why);
}

enum tls_step tls_session_read(struct tls_session *s, void *bytes, size_t room, size_t *n)
{
	int result;

	assert(s->is_open && room > 0);
	*n = 0;
	if (s->ended != TLS_STEP_DONE)
		return s->ended;
	ERR_clear_error();
	result = SSL_read_ex(s->ssl, bytes, room, n);
	return result == 1 ? TLS_STEP_DONE : step_of(s, result);
}

bool tls_session_has_pending(const struct tls_session *s)
{
	return s->is_open && s->ended == TLS_STEP_DONE && SSL_has_pending(s->ssl);
}

/* After the peer's close_notify we may still write (RFC 8446 6.1). */
enum tls_step tls_session_write(struct tls_session *s, const void *bytes, size_t size, size_t *n)
{
	int result;

	assert(s->is_open && size > 0);
	*n = 0;
	if (!may_write(s))
		return TLS_STEP_FAILED;
	ERR_clear_error();
	result = SSL_write_ex(s->ssl, bytes, size, n);
	return result == 1 ? TLS_STEP_DONE : write_step_of(s, result);
}

enum tls_step tls_session_shutdown(struct tls_session *s)
{
	int result;

	if (!s->is_open || !may_write(s))
		return TLS_STEP_FAILED;
	ERR_clear_error();
	result = SSL_shutdown(s->ssl);
	return result >= 0 ? TLS_STEP_DONE : write_step_of(s, result);
}

static bool may_write(const struct tls_session *s)
{
	return !s->write_failed && s->ended != TLS_STEP_FAILED && s->ended != TLS_STEP_TRUNCATED;
}

/* A server that refuses and closes while we talk breaks our write; its refusal is still to be read. */
static enum tls_step write_step_of(struct tls_session *s, int result)
{
	enum tls_step before = s->ended;
	enum tls_step step = step_of(s, result);

	if (step == TLS_STEP_WANT_READ || step == TLS_STEP_WANT_WRITE)
		return step;
	s->write_failed = true;
	s->ended = before;
	s->transport.error = 0;
	return TLS_STEP_FAILED;
}

/* What a call that did not succeed has said. Only the ends are remembered. */
static enum tls_step step_of(struct tls_session *s, int result)
{
	switch (SSL_get_error(s->ssl, result)) {
	case SSL_ERROR_WANT_READ: return TLS_STEP_WANT_READ;
	case SSL_ERROR_WANT_WRITE: return TLS_STEP_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN: return s->ended = TLS_STEP_CLOSED;
	default: return lose(s);
	}
}

static enum tls_step lose(struct tls_session *s)
{
	int reason = ERR_GET_REASON(ERR_peek_error());
	char why[256];

	openssl_take_error(why, sizeof why);
	/* First: OpenSSL answers an end with an alert, which then fails for a reason of its own. */
	if (s->transport.at_end || reason == SSL_R_UNEXPECTED_EOF_WHILE_READING) {
		fail(s, "tls-connection", "TLS connection lost", "it ended without close_notify");
		return s->ended = TLS_STEP_TRUNCATED;
	}
	if (s->transport.error != 0)
		snprintf(why, sizeof why, "%s", strerror(s->transport.error));
	return fail(s, "tls-connection", "TLS connection lost", why);
}

static enum tls_step fail(
    struct tls_session *s, const char *name, const char *what, const char *why)
{
	outcome_say(&s->outcome, 454, strcmp(name, "tls-handshake") == 0 ? "4.7.5" : "4.7.0", name,
	    "%s: %s", what, *why != '\0' ? why : "no reason given");
	return s->ended = TLS_STEP_FAILED;
}

const struct tls_evidence *tls_session_evidence(const struct tls_session *s)
{
	return &s->evidence;
}

const struct outcome *tls_session_outcome(const struct tls_session *s)
{
	return &s->outcome;
}

void tls_session_destroy(struct tls_session **session)
{
	struct tls_session *s = *session;

	if (s == NULL)
		return;
	SSL_free(s->ssl);
	ERR_clear_error();
	tls_requirement_finish(&s->requirement);
	free(s);
	*session = NULL;
}
