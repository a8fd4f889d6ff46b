/*
 * The queue and the keeper that an intake asks, as tests play them on socketpairs in the same loop:
 * segments are real files, commits and seals are answered as the test wants.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/ipc/asker.h"
#include "relay/ipc/channel.h"
#include "relay/message.h"
#include "relay/shelf.h"
#include "relay/sign.h"
#include "relay/submit.h"

enum { SEGMENTS_MAX = 16, COMMITS_MAX = 32 };

struct house_of_tests {
	struct loop *loop;
	struct config config;
	struct config_domain domain;
	struct config_account account;
	struct asker *queue, *keepers;
	struct channel *queue_end, *keeper_end;
	struct signer *signer;
	struct shelf *shelf;
	struct submit_house submit;

	/* how the queue behaves */
	struct outcome segment_verdict, commit_verdict;
	bool is_silent;     /* it answers nothing */
	bool sends_no_file; /* segments come without their descriptor */
	const char *file;   /* segments are this instead of new files */

	/* what it has seen */
	int segments[SEGMENTS_MAX]; /* read and write */
	size_t n_segments, n_released;
	uint64_t released[SEGMENTS_MAX], asked_bytes[SEGMENTS_MAX];
	struct message commits[COMMITS_MAX];
	size_t n_commits;

	/* the keeper */
	bool refuses_to_sign;
	size_t n_signed;
	size_t n_digests;
};

void house_init(struct house_of_tests *h);
void house_finish(struct house_of_tests *h);

void house_bring_queue(struct house_of_tests *h);
void house_bring_keeper(struct house_of_tests *h);

/* Runs what there is to run, for a while. */
void house_turn(struct house_of_tests *h);

/* The bytes of an extent of a segment, whole (checksum too), as an allocated text. */
char *house_read(struct house_of_tests *h, uint64_t segment, const struct extent *extent);
