/*
 * A world of chains, root -> middle -> leaf for mx.example and what can be wrong with each; servers
 * of ours that show them, a client of ours that believes the root, and a handshake between the two.
 */
#pragma once

#include "forge.h"
#include "relay/base/outcome.h"
#include "tls/openssl.h"
#include "tls/session.h"

enum {
	ROOT,
	MIDDLE,
	LEAF,
	EXPIRED,
	NAMELESS,
	WILD,
	STRANGER,
	OLD_ROOT,
	OLD_ROOT_LEAF,
	OLD_MIDDLE,
	OLD_MIDDLE_LEAF,
	SELF,
	SMALL,
	OLD_HASH,
	DEEP,
	PARTIAL,
	COMMON,
	COMMON_TOO,
	SELF_CA,
	N_FORGED,
};

struct chains {
	char directory[FORGE_PATH_MAX];
	char ca[FORGE_PATH_MAX];
	struct forged made[N_FORGED];
	struct tls_context *servers[N_FORGED]; /* each with its whole chain, without the root */
	struct tls_context *alone;             /* LEAF without its chain */
	struct tls_context *with_root;         /* LEAF with MIDDLE and ROOT */
	struct tls_context *old_with_root;     /* OLD_ROOT_LEAF with OLD_ROOT */
	struct tls_context *client;
};

extern struct chains chains;

/* For cmocka_run_group_tests(). */
int chains_make(void **state);
int chains_end(void **state);

/*
 * One handshake; another one under "encrypt", which is then held against the requirement: in no word
 * may the two differ; and a third, in which OpenSSL itself verifies: it must find the same. The evidence
 * and the outcome are for the caller to look at.
 */
struct outcome chains_attempt(
    struct tls_context *server, const struct tls_requirement *r, struct tls_evidence *evidence);

/* The same; name is that of the refusal, "" for none. */
void chains_expect(const char *what, struct tls_context *server, const struct tls_requirement *r,
    const char *name, struct tls_evidence *evidence);
