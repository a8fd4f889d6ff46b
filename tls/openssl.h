/*
 * What the files of this room share, and nobody else may see: the only header with OpenSSL in it.
 */
#pragma once

#include <openssl/ssl.h>
#include <stdbool.h>
#include <stddef.h>

#include "relay/base/outcome.h"
#include "tls/evidence.h"
#include "tls/requirement.h"

/* What SSL_CTX_set_security_callback() takes. */
typedef int tls_allow(
    const SSL *ssl, const SSL_CTX *ctx, int operation, int bits, int nid, void *other, void *arg);

struct tls_context {
	SSL_CTX *ctx;
	tls_allow *allow; /* OpenSSL's own; NULL on the server's side */
	BIO_METHOD *transport;
	char *ca_file;         /* NULL on the server's side */
	X509_STORE *store;     /* what is in it; NULL until it was read */
	struct resume *resume; /* NULL on the server's side */
};

/* A socket under OpenSSL, without SIGPIPE. */
struct transport {
	int fd;
	int error; /* errno of the call that failed; 0 */
	bool at_end;
};

BIO_METHOD *transport_method(void);

/* The authorities of the context; NULL, and a sentence in error. */
X509_STORE *context_find_ca(struct tls_context *context, char *error, size_t room);

/* The most telling of OpenSSL's queued errors, in its words; the queue is emptied. "" if none. */
void openssl_take_error(char *text, size_t room);

/* Protocol, cipher and certificate, whoever the peer is; judged by nobody yet. */
void collect_evidence(SSL *ssl, struct tls_evidence *evidence);

/*
 * Would the finished handshake have failed with the settings that are used where not anybody's
 * certificate will do?
 */
bool collect_weakness(SSL *ssl);

/* How long a session of it may be resumed: not longer than the certificates that were shown live. */
int64_t collect_lifetime_ms(SSL *ssl);

/* Who a certificate belongs to that issues others. */
void collect_authority(X509 *certificate, char *text, size_t room);

/* The names it is for, or its common name. */
void collect_subject(X509 *certificate, char *text, size_t room);

/* Wall clock: when it ends; 0 if that is no date. */
int64_t collect_end(X509 *certificate);

/*
 * The one verifier: holds a chain against authorities, names and TLSA records. Made for one
 * question, of the client's side.
 */
struct verifier;

struct chain_finding {
	long error;          /* X509_V_OK, or the first thing that stood against the chain */
	bool has_tlsa;       /* a TLSA record vouched for it, and this is the record */
	uint8_t tlsa[3];     /* usage, selector, matching type */
	const uint8_t *data; /* the verifier's */
	size_t n_data;
	char name[DOMAIN_MAX];     /* the name in the certificate that matched */
	char authority[128];       /* who vouched for the chain; "" if only a key did, or nobody */
	int64_t authorities_end_s; /* the first of its authorities to end; 0 if none counts */
};

/*
 * store: the authorities to believe; NULL for none. is_strict: keys and signatures must be of the
 * strength that OpenSSL is set to.
 */
struct verifier *verifier_create(struct tls_context *context, X509_STORE *store, bool is_strict);
void verifier_destroy(struct verifier **verifier);

/*
 * False if it is none that OpenSSL can look for. The common name counts only where a certificate
 * has no DNS name at all, and not even then once common names are refused.
 */
bool verifier_add_name(struct verifier *v, const char *name);
void verifier_refuse_common_names(struct verifier *v);

/* With one or more of them, nothing but a match is good enough. False if OpenSSL refuses it. */
bool verifier_add_tlsa(struct verifier *v, const struct tlsa_record *record);

/* chain: as the peer has shown it, its own certificate first; not empty. */
void verifier_run(struct verifier *v, STACK_OF(X509) * chain, struct chain_finding *finding);

/*
 * What a requirement means, and the verdict. The requirement and the context outlive the judge.
 * NULL, and the refusal, if the requirement cannot be met whatever the server shows.
 */
struct judge;

struct judge *judge_create(struct tls_context *context, const struct tls_requirement *requirement,
    struct outcome *refusal);
void judge_destroy(struct judge **judge);

/* Is it content with any certificate? Then the handshake may be with old keys and old servers. */
bool judge_takes_anybody(const struct judge *judge);

/* What a finished handshake has shown. */
struct judge_exhibit {
	STACK_OF(X509) * chain; /* the server's; NULL: it has shown no certificate */
	bool is_weak; /* as a handshake for who doesn't take anybody would not have ended */
};

/* Once. Completes the evidence, which tells already what the handshake was. */
void judge_decide(struct judge *judge, const struct judge_exhibit *exhibit,
    struct tls_evidence *evidence, struct outcome *verdict);

/* Sessions of the client's side that may be resumed. */
struct resume;

struct resumable {
	SSL_SESSION *session;
	bool is_weak;     /* as of an exhibit: the keys of the full handshake are not shown again */
	int64_t until_ms; /* monotonic; however often it was resumed since the full handshake */
};

struct resume *resume_create(void);
void resume_destroy(struct resume **resume);

/* Takes the session. */
void resume_keep(struct resume *r, const char *peer, const struct tls_requirement *requirement,
    const struct resumable *what);

/* True, and one that is the caller's from now on, if there is one. */
bool resume_take(struct resume *r, const char *peer, const struct tls_requirement *requirement,
    struct resumable *what);

/* All of that peer. */
void resume_forget(struct resume *r, const char *peer);

/* For the new session callback: the session of ours that an SSL belongs to is its app data. */
int session_on_ticket(SSL *ssl, SSL_SESSION *session);
