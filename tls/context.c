#include "tls/context.h"

#include <assert.h>
#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"
#include "tls/openssl.h"

/*
 * Of the server's choosing, in TLS 1.2: with 10,000 bits, as many as OpenSSL takes, a handshake costs
 * three quarters of a second, in which everybody else waits.
 */
enum { DH_BITS_MAX = 4096 };

static struct tls_context *create(const SSL_METHOD *method);
static int verify_nothing(X509_STORE_CTX *store, void *arg);
static int allow(
    const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg);
static int load_identity(
    SSL_CTX *ctx, const char *certificate, const char *key, char *error, size_t room);
static int check_readable(const char *what, const char *path, char *error, size_t room);
static int refuse_passphrase(char *text, int room, int is_writing, void *asked);
static X509_STORE *read_ca(const char *path, char *error, size_t room);

struct tls_context *tls_context_create_server(
    const char *certificate, const char *key, char *error, size_t room)
{
	struct tls_context *context = create(TLS_server_method());

	if (load_identity(context->ctx, certificate, key, error, room) != 0) {
		tls_context_destroy(&context);
		return NULL;
	}
	SSL_CTX_set_options(context->ctx,
	    SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA | SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(context->ctx, 0);
	SSL_CTX_set_dh_auto(context->ctx, 1);
	return context;
}

/*
 * The handshake verifies nothing: judge.c looks at what was shown afterwards, and the session does
 * not open before it has.
 */
struct tls_context *tls_context_create_client(const char *ca_file)
{
	struct tls_context *context = create(TLS_client_method());

	assert(ca_file != NULL);
	context->ca_file = mem_copy_text(ca_file);
	SSL_CTX_set_verify(context->ctx, SSL_VERIFY_NONE, NULL);
	SSL_CTX_set_cert_verify_callback(context->ctx, verify_nothing, NULL);
	context->allow = SSL_CTX_get_security_callback(context->ctx);
	SSL_CTX_set_security_callback(context->ctx, allow);
	SSL_CTX_set0_security_ex_data(context->ctx, context);
	context->resume = resume_create();
	SSL_CTX_set_session_cache_mode(
	    context->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(context->ctx, session_on_ticket);
	if (SSL_CTX_dane_enable(context->ctx) <= 0)
		abort();
	SSL_CTX_dane_set_flags(context->ctx, DANE_FLAG_NO_DANE_EE_NAMECHECKS);
	return context;
}

/* Should anybody ever ask OpenSSL for its verdict, it has found nothing good. */
static int verify_nothing(X509_STORE_CTX *store, void *arg)
{
	(void)arg;
	X509_STORE_CTX_set_error(store, X509_V_ERR_APPLICATION_VERIFICATION);
	return 1;
}

/* What OpenSSL allows, except groups that are larger than they are good for. */
static int allow(
    const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg)
{
	const struct tls_context *context = arg;

	if (operation == SSL_SECOP_TMP_DH && other != NULL &&
	    EVP_PKEY_get_bits(other) > DH_BITS_MAX)
		return 0;
	return context->allow(ssl, ctx, operation, bits, nid, other, NULL);
}

/* Read-ahead saves a system call a record; a stream reads until it wants, so nothing gets stuck. */
static struct tls_context *create(const SSL_METHOD *method)
{
	struct tls_context *context = mem_create(sizeof *context);

	context->ctx = SSL_CTX_new(method);
	if (context->ctx == NULL || !SSL_CTX_set_min_proto_version(context->ctx, TLS1_2_VERSION))
		abort();
	context->transport = transport_method();
	SSL_CTX_set_options(context->ctx,
	    SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION | SSL_OP_CLEANSE_PLAINTEXT);
	SSL_CTX_set_session_cache_mode(context->ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_mode(context->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					   SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_read_ahead(context->ctx, 1);
	return context;
}

static int load_identity(
    SSL_CTX *ctx, const char *certificate, const char *key, char *error, size_t room)
{
	bool asked_passphrase = false;
	char why[256];

	if (check_readable("TLS certificate", certificate, error, room) != 0 ||
	    check_readable("TLS key", key, error, room) != 0)
		return -1;
	ERR_clear_error();
	if (SSL_CTX_use_certificate_chain_file(ctx, certificate) != 1) {
		openssl_take_error(why, sizeof why);
		snprintf(error, room, "TLS certificate %s cannot be used: %s", certificate,
		    strstr(why, "no start line") ? "it holds no certificate in PEM" : why);
		return -1;
	}
	SSL_CTX_set_default_passwd_cb(ctx, refuse_passphrase);
	SSL_CTX_set_default_passwd_cb_userdata(ctx, &asked_passphrase);
	if (SSL_CTX_use_PrivateKey_file(ctx, key, SSL_FILETYPE_PEM) != 1) {
		openssl_take_error(why, sizeof why);
		if (asked_passphrase)
			snprintf(why, sizeof why,
			    "it is protected by a passphrase; write it out "
			    "without one (openssl pkey -in FILE -out FILE)");
		else if (strstr(why, "mismatch"))
			snprintf(why, sizeof why, "it is not the key of the certificate in %s",
			    certificate);
		else if (strstr(why, "no start line") || strstr(why, "unsupported"))
			snprintf(why, sizeof why, "it holds no private key in PEM");
		snprintf(error, room, "TLS key %s cannot be used: %s", key, why);
		return -1;
	}
	SSL_CTX_set_default_passwd_cb_userdata(ctx, NULL);
	/* A key of another type than the certificate's was taken without a word until here. */
	if (SSL_CTX_check_private_key(ctx) != 1) {
		ERR_clear_error();
		snprintf(error, room,
		    "TLS key %s cannot be used: it is not the key of the certificate in %s", key,
		    certificate);
		return -1;
	}
	return 0;
}

static int check_readable(const char *what, const char *path, char *error, size_t room)
{
	FILE *file = fopen(path, "re");

	if (file == NULL) {
		snprintf(error, room, "%s %s cannot be read: %s", what, path, strerror(errno));
		return -1;
	}
	fclose(file);
	return 0;
}

/* Without this OpenSSL would ask on the terminal of a daemon. */
static int refuse_passphrase(char *text, int room, int is_writing, void *asked)
{
	(void)text, (void)room, (void)is_writing;
	if (asked != NULL)
		*(bool *)asked = true;
	return -1;
}

int tls_context_load_ca(struct tls_context *context, char *error, size_t room)
{
	return context_find_ca(context, error, room) != NULL ? 0 : -1;
}

X509_STORE *context_find_ca(struct tls_context *context, char *error, size_t room)
{
	assert(context->ca_file != NULL);
	if (context->store == NULL)
		context->store = read_ca(context->ca_file, error, room);
	return context->store;
}

static X509_STORE *read_ca(const char *path, char *error, size_t room)
{
	X509_STORE *store;
	char why[256];

	if (check_readable("CA file", path, error, room) != 0)
		return NULL;
	store = X509_STORE_new();
	if (store == NULL)
		abort();
	ERR_clear_error();
	if (X509_STORE_load_file(store, path) == 1)
		return store;
	openssl_take_error(why, sizeof why);
	snprintf(error, room, "CA file %s cannot be used: %s", path,
	    *why != '\0' && strstr(why, "no certificate") == NULL
		? why
		: "it holds no certificate in PEM");
	X509_STORE_free(store);
	return NULL;
}

/* The oldest error is nearest to the cause; later ones are its callers' complaints. */
void openssl_take_error(char *text, size_t room)
{
	unsigned long code = ERR_peek_error();
	const char *reason = ERR_reason_error_string(code);

	text[0] = '\0';
	if (code != 0 && ERR_SYSTEM_ERROR(code))
		snprintf(text, room, "%s", strerror(ERR_GET_REASON(code)));
	else if (code != 0)
		snprintf(text, room, "%s", reason != NULL ? reason : "unknown error of OpenSSL");
	ERR_clear_error();
}

void tls_context_destroy(struct tls_context **context)
{
	struct tls_context *c = *context;

	if (c == NULL)
		return;
	resume_destroy(&c->resume);
	X509_STORE_free(c->store);
	free(c->ca_file);
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->transport);
	free(c);
	*context = NULL;
}
