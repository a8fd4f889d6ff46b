#include "tls/certificate.h"

#include <limits.h>
#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls/openssl.h"

static void describe(X509 *x509, struct tls_certificate *certificate);

bool tls_certificate_read(const uint8_t *der, size_t n, struct tls_certificate *certificate)
{
	const uint8_t *at = der;
	X509 *x509 = n == 0 || n > LONG_MAX ? NULL : d2i_X509(NULL, &at, (long)n);

	if (x509 != NULL)
		describe(x509, certificate);
	X509_free(x509);
	ERR_clear_error();
	return x509 != NULL;
}

void tls_certificate_own(const struct tls_context *server, const char *name,
    struct tls_certificate *certificate, bool *is_for_name)
{
	X509 *x509 = SSL_CTX_get0_certificate(server->ctx);

	describe(x509, certificate);
	*is_for_name = X509_check_host(x509, name, 0, 0, NULL) == 1;
	ERR_clear_error();
}

static void describe(X509 *x509, struct tls_certificate *certificate)
{
	collect_subject(x509, certificate->subject, sizeof certificate->subject);
	certificate->not_after_s = collect_end(x509);
	certificate->is_authority = X509_check_ca(x509) != 0;
}
