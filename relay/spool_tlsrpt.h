/*
 * What TLS reports will say (RFC 8460), counted in the spool, and how far each of them has come: so
 * that a day is reported once, also over a restart. A report is about one domain and one day, UTC,
 * unless it is closed before. Used by the queue role alone, as all of the spool (spool.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "relay/spool.h"
#include "relay/tls_count.h"
#include "relay/tls_report.h"

enum {
	SPOOL_TLSRPT_REPORTS_MAX = 50000, /* at once; what else is counted is left out */
	SPOOL_TLSRPT_POLICIES_MAX = 32,   /* of one report, likewise */
	SPOOL_TLSRPT_DETAILS_MAX = 64, /* distinct failures under a policy; more are only summed */
	SPOOL_TLSRPT_SPREAD_S = 4 * 3600, /* reports go out at random over this, after the day */
	SPOOL_TLSRPT_KEPT_S = 3 * 86400,  /* after its day a report is forgotten, sent or not */
};

/* n_left_out: for want of room under the limits above. */
typedef void spool_tlsrpt_counted(void *arg, size_t n_left_out);

/* Copies the counts. */
void spool_tlsrpt_count(struct spool *spool, const struct tls_count *counts, size_t n,
    spool_tlsrpt_counted *done, void *arg);

struct spool_tlsrpt {
	int64_t number; /* never used again */
	const char *domain;
	int64_t start_s, end_s;
	int64_t first_try_s; /* 0: none yet */
	uint32_t n_tries;
	const char *uris; /* where it still has to go, a line each; "": its domain was not asked */
};

/* Those whose time has come, the one that waits longest first. Valid during the call. */
typedef void spool_tlsrpt_due(void *arg, const struct spool_tlsrpt *due, size_t n);
void spool_tlsrpt_find_due(struct spool *spool, size_t limit, spool_tlsrpt_due *done, void *arg);

/*
 * The report's numbers; organization, contact and id are NULL. Both NULL if it is gone, or, of a
 * list, after the last. The report may be taken over by setting *report to zeros.
 */
typedef void spool_tlsrpt_read_one(
    void *arg, const struct spool_tlsrpt *about, struct tls_report *report);
void spool_tlsrpt_read(struct spool *spool, int64_t number, spool_tlsrpt_read_one *done, void *arg);

/* All that have not been sent, of one domain or (NULL) of all. */
void spool_tlsrpt_list(
    struct spool *spool, const char *domain, spool_tlsrpt_read_one *one, void *arg);

/* Those not begun to be sent, of one domain or (NULL) of all, end now and are due now. */
void spool_tlsrpt_close(struct spool *spool, const char *domain, spool_changed *done, void *arg);

/*
 * How far one has come: where it still has to go and when, or that it is done; then what was counted
 * for it goes. mail, if not NULL, is committed in the same transaction; a refusal of it (done says)
 * changes nothing. One that is gone is ok, and its mail is dropped.
 */
struct spool_tlsrpt_move {
	int64_t number;
	bool is_done;
	const char *uris;
	int64_t next_try_s, first_try_s;
	uint32_t n_tries;
	const struct message *mail;
};
void spool_tlsrpt_move(
    struct spool *spool, const struct spool_tlsrpt_move *move, spool_committed *done, void *arg);
