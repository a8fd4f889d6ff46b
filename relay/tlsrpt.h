/*
 * Reports how TLS with other domains went (RFC 8460): counts what deliveries tell, and once a day,
 * at a random time after it, sends each domain that asks for it and may have one (config->tlsrpt)
 * what was counted, by mail and by HTTPS. Tries again for a day, then gives up. The state is in the
 * spool: a day is reported once. Lives in the queue role.
 */
#pragma once

#include "relay/tlsrpt_send.h"

enum { TLSRPT_AT_ONCE = 20 /* reports under way */ };

struct tlsrpt;

struct tlsrpt *tlsrpt_create(const struct tlsrpt_house *house);

/* Begins nothing and waits for nobody but the spool any more: before the office is destroyed. */
void tlsrpt_stop(struct tlsrpt *tlsrpt);

/* After the spool is closed, whose callbacks run into it. */
void tlsrpt_destroy(struct tlsrpt **tlsrpt);

/* What a delivery has seen. */
void tlsrpt_count(struct tlsrpt *tlsrpt, const struct ipc_counts_say *say);

/*
 * Ends the period of one domain, or (NULL) of all, now, and sends what was counted until then. done
 * is called once with the number of reports that are due.
 */
void tlsrpt_send_now(struct tlsrpt *tlsrpt, const char *domain, spool_changed *done, void *arg);
