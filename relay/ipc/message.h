/*
 * Every message that our processes send each other, once, in one table: its name, its fields, how
 * large it may be, and whether a descriptor travels with it. Structs, encoders and decoders are made
 * from the table; both ends check the bounds.
 *
 * A decoded message points into the frame it came from and into arrays that ipc_message_finish()
 * frees: what a receiver wants to keep it copies.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "relay/base/buffer.h"
#include "relay/base/outcome.h"

/* ---- what fields are made of: u8 u32 u64 i64 text bytes outcome, structs and lists of them ---- */

typedef uint8_t ipc_u8;
typedef uint32_t ipc_u32;
typedef uint64_t ipc_u64;
typedef int64_t ipc_i64;
typedef const char *ipc_text;
typedef struct slice ipc_bytes;
typedef struct outcome ipc_outcome;

/* S(name): small structs that appear in lists */
#define IPC_STRUCTS(S)                                                                             \
	S(key)                                                                                     \
	S(signing)                                                                                 \
	S(result)                                                                                  \
	S(held)                                                                                    \
	S(count)                                                                                   \
	S(policy)                                                                                  \
	S(string)

#define IPC_FIELDS_key(F)     F(text, domain) F(text, selector) F(u8, algorithm)
#define IPC_FIELDS_signing(F) F(text, selector) F(bytes, bytes) /* a digest, or its signature */
#define IPC_FIELDS_result(F)  F(u32, recipient) F(u8, state) F(outcome, outcome)
#define IPC_FIELDS_held(F)    F(text, id) F(text, domain)
#define IPC_FIELDS_count(F)   /* struct tls_count, relay/tls_count.h */                            \
	F(u8, type)                                                                                \
	F(text, report_domain)                                                                     \
	F(text, domain)                                                                            \
	F(text, strings)                                                                           \
	F(text, patterns)                                                                          \
	F(u8, result) F(text, mx) F(text, address) F(text, sender) F(text, reason)
#define IPC_FIELDS_policy(F) /* struct sts_kept, relay/lookup/sts.h */                             \
	F(text, domain) F(text, id) F(text, policy) F(i64, fetched_s) F(i64, expires_s)
#define IPC_FIELDS_string(F) F(text, text)

/*
 * M(SYMBOL, name, most bytes, carries a descriptor). Questions and their answers begin with the same
 * u64 number, by which the asker knows them again.
 */
#define IPC_MESSAGES(M)                                                                            \
	/* parent and any role */                                                                  \
	M(READY, ready, 64, false)      /* role: I hold my secrets, have dropped root, and run */  \
	M(PEER, peer, 64, true)         /* parent: a channel to another role */                    \
	M(START, start, 64, false)      /* parent to queue: every delivery that lives is yours */  \
	M(DRAIN, drain, 64, false)      /* parent: take nothing new, end */                        \
	M(PROCESS, process, 256, false) /* parent to queue: for "status" */                        \
	M(RELOAD, reload, 2048, false)  /* the same: how the last reload went */                   \
	/* intake and auth */                                                                      \
	M(AUTH_ASK, auth_ask, 16384, false)                                                        \
	M(AUTH_SAY, auth_say, 16384, false)                                                        \
	M(AUTH_FORGET, auth_forget, 64, false)                                                     \
	/* intake or queue, and keeper */                                                          \
	M(KEYS, keys, 4194304, false) /* keeper, first of all: what I can sign with */             \
	M(SIGN_ASK, sign_ask, 16384, false)                                                        \
	M(SIGN_SAY, sign_say, 65536, false)                                                        \
	/* intake and queue */                                                                     \
	M(STORAGE, storage, 2048,                                                                  \
	    false) /* queue: how much room there is, now and when it changes */                    \
	M(SEGMENT_ASK, segment_ask, 64, false)                                                     \
	M(SEGMENT_SAY, segment_say, 2048, true)                                                    \
	M(SEGMENT_RELEASE, segment_release, 64, false)                                             \
	M(COMMIT_ASK, commit_ask, 1048576, false)                                                  \
	M(COMMIT_SAY, commit_say, 2048, false)                                                     \
	/* queue and delivery */                                                                   \
	M(HELD, held_jobs, 4194304, false) /* delivery, first of all: what I am still at */        \
	M(LEAVING, leaving, 64, false)     /* delivery: give me no more */                         \
	M(DELIVER, deliver, 1048576, true)                                                         \
	M(RESULT, result_say, 2097152, false)                                                      \
	M(RESULT_KEPT, result_kept, 2048, false) /* queue: it is on disk, forget it */             \
	M(COUNTS, counts_say, 524288, false)     /* delivery, for TLS reports; may get lost */     \
	/* delivery and lookup */                                                                  \
	M(FACTS_ASK, facts_ask, 1024, false)                                                       \
	M(FACTS_SAY, facts_say, 4194304, false)                                                    \
	/* delivery and auth: our login at an operator's next hop */                               \
	M(CLIENT_ASK, client_ask, 32768, false)                                                    \
	M(CLIENT_SAY, client_say, 32768, false)                                                    \
	M(CLIENT_FORGET, client_forget, 64, false)                                                 \
	/* queue and lookup */                                                                     \
	M(POLICIES, policies_say, 4194304, false) /* queue, first of all: MTA-STS policies kept */ \
	M(POLICY_KEEP, policy_keep, 131072, false) /* lookup: keep it; an empty text: forget it */ \
	M(RESOLVER, resolver_say, 4096, false)     /* lookup: does DNSSEC work here? */            \
	M(TEXTS_ASK, texts_ask, 1024, false)       /* queue: the TXT records of a name */          \
	M(TEXTS_SAY, texts_say, 131072, false)                                                     \
	M(POST_ASK, post_ask, 2097152, false) /* queue: POST this by HTTPS */                      \
	M(POST_SAY, post_say, 4096, false)

#define IPC_FIELDS_ready(F) F(u32, pid)
#define IPC_FIELDS_peer(F)  F(u8, role) F(u32, pid)
#define IPC_FIELDS_start(F) F(u8, unused)
#define IPC_FIELDS_drain(F) F(u8, how)
#define IPC_FIELDS_process(F)                                                                      \
	F(u8, is_first)                                                                            \
	F(text, role) F(u32, pid) F(u8, is_running) F(u32, n_restarts) F(i64, started_s)
#define IPC_FIELDS_reload(F) F(i64, failed_s) F(text, why) /* 0: it did not fail */

#define IPC_FIELDS_auth_ask(F)                                                                     \
	F(u64, number)                                                                             \
	F(u64, exchange)                                                                           \
	F(u8, is_first) F(text, mechanism) F(u8, has_response) F(bytes, response) F(text, client)
#define IPC_FIELDS_auth_say(F)    F(u64, number) F(u8, verdict) F(bytes, challenge) F(text, account)
#define IPC_FIELDS_auth_forget(F) F(u64, exchange)

#define IPC_FIELDS_keys(F)     F(key_list, keys)
#define IPC_FIELDS_sign_ask(F) F(u64, number) F(text, domain) F(signing_list, digests)
#define IPC_FIELDS_sign_say(F) F(u64, number) F(u8, ok) F(text, problem) F(signing_list, signatures)

#define IPC_FIELDS_storage(F)         F(u64, room_bytes) F(outcome, verdict)
#define IPC_FIELDS_segment_ask(F)     F(u64, number) F(u64, size_bytes) /* 0: for small messages */
#define IPC_FIELDS_segment_say(F)     F(u64, number) F(u64, segment) F(outcome, verdict)
#define IPC_FIELDS_segment_release(F) F(u64, segment)
#define IPC_FIELDS_commit_ask(F)      F(u64, number) F(bytes, mail)
#define IPC_FIELDS_commit_say(F)      F(u64, number) F(outcome, verdict)

#define IPC_FIELDS_held_jobs(F) F(held_list, jobs)
#define IPC_FIELDS_leaving(F)   F(u8, unused)
#define IPC_FIELDS_deliver(F)                                                                      \
	F(text, id) F(text, domain) F(bytes, mail) F(u32, n_attempts) F(u8, hurries)
#define IPC_FIELDS_result_say(F)                                                                   \
	F(text, id)                                                                                \
	F(text, domain)                                                                            \
	F(u32, n_attempts) /* made before this one, as in DELIVER */                               \
	F(u8, feedback) F(text, host) F(text, evidence) F(result_list, results)
#define IPC_FIELDS_result_kept(F) F(text, id) F(text, domain) F(u8, is_gone) /* the message */

#define IPC_FIELDS_counts_say(F) F(count_list, counts)

/* is_host: no MX is asked for, domain is the host itself (a name, or a numeric address) */
#define IPC_FIELDS_facts_ask(F) F(u64, number) F(text, domain) F(u8, is_host) F(u32, port)
#define IPC_FIELDS_facts_say(F) F(u64, number) F(bytes, facts)

/* host: as the route names it. is_verified: the server has shown a certificate that is good for it (or
 * DANE), so that a password may be told. mechanisms: what it offers, a space between. A challenge
 * answers the last response. */
#define IPC_FIELDS_client_ask(F)                                                                   \
	F(u64, number)                                                                             \
	F(u64, exchange)                                                                           \
	F(u8, is_first)                                                                            \
	F(text, host)                                                                              \
	F(text, login) F(u8, is_verified) F(text, mechanisms) F(bytes, challenge)
/* state: enum client_login_state, relay/client_login.h */
#define IPC_FIELDS_client_say(F)                                                                   \
	F(u64, number)                                                                             \
	F(u8, state) F(text, mechanism) F(u8, has_response) F(bytes, response) F(text, problem)
#define IPC_FIELDS_client_forget(F) F(u64, exchange)

#define IPC_FIELDS_policies_say(F) F(policy_list, policies) F(u8, is_last)
#define IPC_FIELDS_policy_keep(F)                                                                  \
	F(text, domain) F(text, id) F(text, policy) F(i64, fetched_s) F(i64, expires_s)
#define IPC_FIELDS_resolver_say(F) F(u8, state) F(text, text) F(i64, since_s) F(i64, checked_s)
#define IPC_FIELDS_texts_ask(F)    F(u64, number) F(text, name)
#define IPC_FIELDS_texts_say(F)    F(u64, number) F(u8, status) F(text, why) F(string_list, strings)
#define IPC_FIELDS_post_ask(F)     F(u64, number) F(text, url) F(text, type) F(bytes, content)
#define IPC_FIELDS_post_say(F)     F(u64, number) F(outcome, outcome)

/* ---- made from the tables ---- */

#define IPC_FIELD(type, name) ipc_##type name;
#define IPC_STRUCT(name)                                                                           \
	typedef struct {                                                                           \
		IPC_FIELDS_##name(IPC_FIELD)                                                       \
	} ipc_##name;                                                                              \
	typedef struct {                                                                           \
		ipc_##name *items;                                                                 \
		size_t n;                                                                          \
	} ipc_##name##_list;
IPC_STRUCTS(IPC_STRUCT)
#undef IPC_STRUCT

#define IPC_STRUCT(SYMBOL, name, most, has_fd)                                                     \
	struct ipc_##name {                                                                        \
		IPC_FIELDS_##name(IPC_FIELD)                                                       \
	};
IPC_MESSAGES(IPC_STRUCT)
#undef IPC_STRUCT
#undef IPC_FIELD

enum ipc_type {
#define X(SYMBOL, name, most, has_fd) IPC_##SYMBOL,
	IPC_MESSAGES(X)
#undef X
	    IPC_N_TYPES
};

struct ipc_message {
	enum ipc_type type;
	int fd; /* -1, or one that travels along */
	union {
		uint64_t number; /* of questions and answers */
#define X(SYMBOL, name, most, has_fd) struct ipc_##name name;
		IPC_MESSAGES(X)
#undef X
	};
};

const char *ipc_type_name(enum ipc_type type);
size_t ipc_type_most_bytes(enum ipc_type type);
bool ipc_type_has_fd(enum ipc_type type);

/* The fields of m into b; false if that is more than the type may have. */
bool ipc_message_encode(const struct ipc_message *m, struct buffer *b);

/* m->type is given; false unless the bytes are exactly one such message. m->fd is left alone. */
bool ipc_message_decode(struct ipc_message *m, const void *bytes, size_t n);

/* Frees what decoding allocated. */
void ipc_message_finish(struct ipc_message *m);
