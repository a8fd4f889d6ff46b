/*
 * Questions to another role, and their answers. Knows the processes of that role that live, spreads
 * questions over them, matches answers by number, and tells the asker when a process died or took
 * too long. Every question has exactly one callback, from the loop, never from inside the call.
 */
#pragma once

#include "relay/ipc/message.h"

struct loop;
struct channel;
struct asker;

/* answer NULL: the process is gone, there was none, or the time is over. */
typedef void asker_answer(void *arg, const struct ipc_message *answer);

enum asker_kind {
	ASKER_PLAIN,  /* a question whose process died is answered NULL */
	ASKER_RESEND, /* it waits for the next process and is asked again: only for what may be
	               * asked twice */
};

struct asker *asker_create(struct loop *loop, enum asker_kind kind, int64_t timeout_ms);
void asker_destroy(struct asker **asker);

/* A living process of the role; takes the channel over. */
void asker_add(struct asker *asker, struct channel *channel);
bool asker_has_peer(const struct asker *asker);

/*
 * Sends m with a number of its own. peer: 0 for any, or what asker_peer_of() gave, to go on with the
 * same process. Returns the number, to cancel with; never 0.
 */
uint64_t asker_ask(
    struct asker *asker, uint64_t peer, struct ipc_message *m, asker_answer *answer, void *arg);

/* The process that an open question went to; 0 if to none. */
uint64_t asker_peer_of(const struct asker *asker, uint64_t number);

/* No callback will come. 0 is nothing. */
void asker_cancel(struct asker *asker, uint64_t number);

/* A name for an exchange of several questions, unlike any other of this asker. */
uint64_t asker_new_exchange(struct asker *asker);

/* Something without an answer: to one process, or (peer 0) to all. */
void asker_tell(struct asker *asker, uint64_t peer, const struct ipc_message *m);

/* Who hears what is no answer (KEYS, STORAGE, ...), and when a process came or went. May be NULL. */
typedef void asker_news(void *arg, uint64_t peer, struct ipc_message *m);
typedef void asker_changed(void *arg, uint64_t peer, bool is_here);
void asker_listen(struct asker *asker, asker_news *news, asker_changed *changed, void *arg);
