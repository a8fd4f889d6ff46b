/*
 * What a finished handshake has shown, for logs, for Received fields and for whoever asks later
 * whether a connection was good enough. A value: copied freely, holds nothing of OpenSSL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/domain.h"
#include "relay/base/tls_level.h"

/*
 * In Postfix's words, weakest first. Anonymous: no certificate was shown, as by every client of our
 * server. Untrusted: no authority we believe vouches for it. Trusted: one does, but no name was
 * required, or the host is one that insecure MX records name. Verified: it is all that was required.
 * X(symbol, word)
 */
#define TLS_TRUSTS(X)                                                                              \
	X(TLS_ANONYMOUS, "Anonymous")                                                              \
	X(TLS_UNTRUSTED, "Untrusted")                                                              \
	X(TLS_TRUSTED, "Trusted")                                                                  \
	X(TLS_VERIFIED, "Verified")

enum tls_trust {
#define X(symbol, word) symbol,
	TLS_TRUSTS(X)
#undef X
};

/* What the certificate was held against. */
enum tls_proof {
	TLS_PROOF_NONE,
	TLS_PROOF_PKIX,        /* an authority of the system's list, and a name */
	TLS_PROOF_PINNED_CA,   /* an authority that the operator pinned, and a name */
	TLS_PROOF_FINGERPRINT, /* a certificate that the operator pinned */
	TLS_PROOF_PUBLIC_KEY,  /* a key that the operator pinned */
	TLS_PROOF_DANE_TA,     /* TLSA usage 2 */
	TLS_PROOF_DANE_EE,     /* TLSA usage 3 */
};

struct tls_evidence {
	char protocol[16]; /* "TLSv1.3" */
	char cipher[64];   /* "TLS_AES_256_GCM_SHA384" */
	int bits, of_bits; /* "(256/256 bits)" */
	enum tls_trust trust;
	enum tls_level achieved; /* encrypt, verify, secure, fingerprint, dane, mta-sts */
	enum tls_proof proof;
	char name[DOMAIN_MAX]; /* the name in the certificate that matched; "" if none did */
	char authority[128];   /* who vouched for the chain; "" if only a key did, or nobody */
	char tlsa_text[80];    /* the record (or pin) that matched, its data cut: "3 1 1 ab12..." */
	char fingerprint[65];  /* SHA-256 of the peer's certificate, lower-case hex; "" if none */
	char public_key[65];   /* the same of its SubjectPublicKeyInfo, as in TLSA 3 1 1 */
	char subject[128];     /* its DNS names, or its common name; printable, cut */
	char issuer[128];
	int64_t not_after_s;       /* wall clock: when it ends; 0 if none was shown */
	int64_t authorities_end_s; /* the first of the authorities that vouched; 0: none did */
	char sni[DOMAIN_MAX];      /* the server name that was sent or received; "" if none */
	char why_untrusted[96];    /* where trust is Untrusted: what stood against it */
	bool is_resumed; /* the handshake was short: the certificate is that of a session before */
};

/*
 * "Verified TLS connection established to PEER: TLSv1.3 with cipher X (256/256 bits)". direction is
 * "to" or "from"; peer as "mx.example[192.0.2.1]:25". At most room - 1 bytes.
 */
void tls_evidence_print(
    const struct tls_evidence *e, const char *direction, const char *peer, char *text, size_t room);

/*
 * "dane-ee 3 1 1 12ab...", "dane-ta 2 1 1 12ab... mx.example", "pkix mx.example by Some Root",
 * "pinned-ca mx.example by Some Root", "fingerprint 12ab...", "public-key 12ab...", "none".
 */
void tls_evidence_print_proof(const struct tls_evidence *e, char *text, size_t room);

const char *tls_trust_name(enum tls_trust trust);
