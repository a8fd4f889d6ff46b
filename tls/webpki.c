#include "tls/webpki.h"

#include <openssl/x509v3.h>

#include "tls/openssl.h"

static void on_message(
    int is_written, int version, int type, const void *bytes, size_t n, SSL *ssl, void *arg);

bool tls_webpki_demand(struct tls_context *context, void *ssl_ctx, const char *host, bool *ended)
{
	SSL_CTX *ctx = ssl_ctx;
	X509_VERIFY_PARAM *wanted = SSL_CTX_get0_param(ctx);
	char error[200];
	X509_STORE *store = context_find_ca(context, error, sizeof error);

	if (store == NULL)
		return false;
	SSL_CTX_set1_cert_store(ctx, store);
	X509_VERIFY_PARAM_set_hostflags(
	    wanted, X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	*ended = false;
	SSL_CTX_set_msg_callback(ctx, on_message);
	SSL_CTX_set_msg_callback_arg(ctx, ended);
	return X509_VERIFY_PARAM_set1_host(wanted, host, 0) == 1 &&
	       SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1;
}

/* RFC 8446 6.1: an alert is a level and what it is about. */
static void on_message(
    int is_written, int version, int type, const void *bytes, size_t n, SSL *ssl, void *arg)
{
	bool *ended = arg;

	(void)version, (void)ssl;
	if (!is_written && type == SSL3_RT_ALERT && n == 2 &&
	    ((const unsigned char *)bytes)[1] == SSL_AD_CLOSE_NOTIFY)
		*ended = true;
}
