#include "tls/session.h"

#include <assert.h>
#include <limits.h>
#include <openssl/err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "tls/openssl.h"

struct tls_session {
	SSL *ssl;
	struct tls_context *context;
	struct transport transport;
	bool is_client;
	bool is_open;        /* the handshake is done and the server was found good */
	bool is_weak;        /* it would have failed for a requirement that names somebody */
	enum tls_step ended; /* what every later read says; DONE while it goes on */
	bool write_failed;   /* for good; what has arrived before can still be read */
	char *peer;          /* NULL: nothing is resumed, nor kept to be */
	SSL_SESSION *ticket; /* that came before the verdict */
	int64_t resumable_until_ms;

	struct tls_requirement requirement;
	struct judge *judge; /* until the handshake is done */
	struct tls_evidence evidence;
	struct outcome outcome;
};

static struct tls_session *create(struct tls_context *context, int fd);
static void allow_old_servers(struct tls_session *s);
static void resume(struct tls_session *s);
static enum tls_step open_session(struct tls_session *s);
static void note_strength(struct tls_session *s);
static void keep_early_ticket(struct tls_session *s);
static void keep_ticket(struct tls_session *s);
static void forget_sessions(struct tls_session *s);
static void decide(const struct tls_session *s, struct judge *judge, struct tls_evidence *evidence,
    struct outcome *verdict);
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

struct tls_session *tls_session_create_client(struct tls_context *context, int fd,
    const struct tls_requirement *requirement, const char *peer)
{
	struct tls_session *s = create(context, fd);

	s->is_client = true;
	s->peer = mem_copy_text(peer);
	tls_requirement_copy(&s->requirement, requirement);
	SSL_set_connect_state(s->ssl);
	if (requirement->sni != NULL)
		SSL_set_tlsext_host_name(s->ssl, requirement->sni);
	s->judge = judge_create(context, &s->requirement, &s->outcome);
	if (s->judge == NULL)
		s->ended = TLS_STEP_FAILED;
	else if (judge_takes_anybody(s->judge))
		allow_old_servers(s);
	if (s->judge != NULL && peer != NULL)
		resume(s);
	return s;
}

/*
 * Any key size, and servers without RFC 5746, which are harmless as long as we never renegotiate.
 * The protocol floor stays (RFC 8996, which ends the TLS 1.0 of RFC 7671 3), and so does "never without a certificate": anonymous key
 * exchange is not offered.
 */
static void allow_old_servers(struct tls_session *s)
{
	SSL_set_security_level(s->ssl, 0);
	SSL_set_options(s->ssl, SSL_OP_LEGACY_SERVER_CONNECT);
}

/* Without the certificates there would be nothing to judge. */
static void resume(struct tls_session *s)
{
	struct resumable what;

	if (!resume_take(s->context->resume, s->peer, &s->requirement, &what))
		return;
	if (SSL_set_session(s->ssl, what.session) != 1 || SSL_get_peer_cert_chain(s->ssl) == NULL)
		SSL_set_session(s->ssl, NULL);
	s->is_weak = what.is_weak;
	s->resumable_until_ms = what.until_ms;
	SSL_SESSION_free(what.session);
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
	SSL_set_app_data(s->ssl, s);
	outcome_ok(&s->outcome);
	return s;
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
	if (s->is_client) {
		note_strength(s);
		decide(s, s->judge, &s->evidence, &s->outcome);
		judge_destroy(&s->judge);
	}
	if (!outcome_is_ok(&s->outcome)) {
		forget_sessions(s);
		s->ended = TLS_STEP_FAILED;
		return TLS_STEP_FAILED;
	}
	s->is_open = true;
	keep_early_ticket(s);
	return TLS_STEP_DONE;
}

/* Of a resumed session both handshakes count. */
static void note_strength(struct tls_session *s)
{
	bool is_weak = collect_weakness(s->ssl);

	if (s->evidence.is_resumed) {
		s->is_weak |= is_weak;
		return;
	}
	s->is_weak = is_weak;
	s->resumable_until_ms = clock_monotonic_ms() + collect_lifetime_ms(s->ssl);
}

static void decide(const struct tls_session *s, struct judge *judge, struct tls_evidence *evidence,
    struct outcome *verdict)
{
	struct judge_exhibit exhibit = { SSL_get_peer_cert_chain(s->ssl), s->is_weak };

	judge_decide(judge, &exhibit, evidence, verdict);
}

void tls_session_judge(const struct tls_session *s, const struct tls_requirement *requirement,
    struct tls_evidence *evidence, struct outcome *verdict)
{
	struct judge *judge = judge_create(s->context, requirement, verdict);
	struct tls_evidence shown;

	assert(s->is_open && s->is_client);
	collect_evidence(s->ssl, &shown);
	if (judge != NULL)
		decide(s, judge, &shown, verdict);
	if (evidence != NULL)
		*evidence = shown;
	judge_destroy(&judge);
}

/*
 * TLS 1.3 gives tickets after the handshake, TLS 1.2 in it: those wait for the verdict. What was
 * refused is never kept.
 */
int session_on_ticket(SSL *ssl, SSL_SESSION *ticket)
{
	struct tls_session *s = SSL_get_app_data(ssl);

	if (s->peer == NULL)
		return 0;
	SSL_SESSION_free(s->ticket);
	s->ticket = ticket;
	if (s->is_open)
		keep_ticket(s);
	return 1;
}

/* A session of TLS 1.2 that was resumed is good for another time (RFC 5077 3.1). */
static void keep_early_ticket(struct tls_session *s)
{
	if (s->peer != NULL && s->ticket == NULL && s->evidence.is_resumed &&
	    SSL_version(s->ssl) < TLS1_3_VERSION)
		s->ticket = SSL_get1_session(s->ssl);
	if (s->ticket != NULL)
		keep_ticket(s);
}

static void keep_ticket(struct tls_session *s)
{
	struct resumable what = { s->ticket, s->is_weak, s->resumable_until_ms };

	s->ticket = NULL;
	resume_keep(s->context->resume, s->peer, &s->requirement, &what);
}

/* Whatever stood in the way, the next try is a full handshake. */
static void forget_sessions(struct tls_session *s)
{
	if (s->peer != NULL)
		resume_forget(s->context->resume, s->peer);
}

/* The words for the few failures that an operator meets every week; OpenSSL's for the others. */
static enum tls_step handshake_failed(struct tls_session *s)
{
	unsigned long code = ERR_peek_error();
	int reason = ERR_GET_REASON(code);
	char why[256];

	forget_sessions(s);
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
	judge_destroy(&s->judge);
	SSL_SESSION_free(s->ticket);
	SSL_free(s->ssl);
	ERR_clear_error();
	tls_requirement_finish(&s->requirement);
	free(s->peer);
	free(s);
	*session = NULL;
}
