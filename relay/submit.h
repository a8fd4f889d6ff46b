/*
 * The submission session, where the outside world meets us: a stream, the protocol on it, a login,
 * and one message after another. Asks auth, policy and limits; the content goes to relay/accept.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#include "config/config.h"
#include "relay/base/outcome.h"
#include "relay/ipc/asker.h"
#include "relay/net/loop.h"
#include "relay/shelf.h"
#include "relay/sign.h"
#include "tls/context.h"

struct submit;

/* What all sessions of one intake share. */
struct submit_house {
	struct loop *loop;
	const struct config *config;
	struct tls_context *tls;
	struct asker *auth, *queue;
	struct signer *signer;
	struct shelf *shelf;
	struct visitors *visitors;

	/* What the queue says of its room; a refusal until it has said something. */
	struct outcome storage;
	uint64_t room_bytes;

	TAILQ_HEAD(submit_list, submit) sessions;
	size_t n_sessions;
	size_t n_most;      /* sessions at once */
	size_t n_lingering; /* ended, their last replies under way */
	struct timer *turn;
	bool is_draining;
	loop_call *emptied; /* after the last session of a draining house; NULL for none */
	void *emptied_arg;
};

void submit_house_init(struct submit_house *house);

/* Takes fd over. peer is its address in text. */
void submit_start(struct submit_house *house, int fd, const char *peer, bool implicit_tls);

/*
 * No new transactions: sessions between messages are told 421 now, the others after theirs. emptied
 * is called when none is left.
 */
void submit_drain(struct submit_house *house, loop_call *emptied, void *arg);

/* 421 to all that are left, wherever they are; those past their final dot still end by themselves. */
void submit_dismiss_all(struct submit_house *house);

/* Ends what is left, without a word. */
void submit_house_finish(struct submit_house *house);
