/*
 * One TLS report on its way (RFC 8460 5): asks its domain where it is to go, writes it, sends it there
 * by mail and by HTTPS, and notes in the spool how far it has come. What fails is put off; after a
 * day it is given up. Lives in the queue role.
 */
#pragma once

#include "config/config.h"
#include "relay/ipc/asker.h"
#include "relay/net/loop.h"
#include "relay/post_office.h"
#include "relay/spool_tlsrpt.h"
#include "relay/tls_report.h"

enum {
	TLSRPT_RETRY_FIRST_S = 600, /* doubles each time */
	TLSRPT_RETRY_S = 86400,     /* from the first try; RFC 8460 5.5 */
};

/* All borrowed; lookup answers TEXTS_ASK and POST_ASK. */
struct tlsrpt_house {
	struct loop *loop;
	const struct config *config;
	struct spool *spool;
	struct post_office *office;
	struct asker *lookup;
	loop_call *queued; /* a report's mail is in the spool, due now; may be NULL */
	void *queued_arg;
};

struct tlsrpt_sending;

/* Its round is over, whatever came of it; the sending is gone when this returns. */
typedef void tlsrpt_sent(struct tlsrpt_sending *sending, void *arg);

/* Copies due, not the house. done is called once, from the loop, never from inside. */
struct tlsrpt_sending *tlsrpt_sending_start(
    const struct tlsrpt_house *house, const struct spool_tlsrpt *due, tlsrpt_sent *done, void *arg);

/* Waits for nobody but the spool any more. */
void tlsrpt_sending_stop(struct tlsrpt_sending *sending);

/* No callback. After the spool is closed, whose callbacks run into it. */
void tlsrpt_sending_cancel(struct tlsrpt_sending **sending);

int64_t tlsrpt_sending_number(const struct tlsrpt_sending *sending);

/* May this domain have reports? */
bool tlsrpt_allows(const struct config *config, const char *domain);

/* The parts of a report that do not come from the spool: who we are, and its id. */
void tlsrpt_fill(const struct config *config, int64_t number, struct tls_report *report);
