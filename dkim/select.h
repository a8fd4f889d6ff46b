/*
 * Which header fields a seal covers, and in which order. Fields that say who speaks, what about and
 * how it is shown are *oversigned*: named once more than they are present, so that one added later
 * breaks the seal (RFC 6376 5.4, 8.15). The table below is the only place that knows them.
 */
#pragma once

#include <stddef.h>

#include "dkim/field.h"

/* X(name, 1 if oversigned). The order is the order in h=. */
#define DKIM_SIGNED_FIELDS(X)                                                                      \
	X("from", 1)                                                                               \
	X("to", 1)                                                                                 \
	X("cc", 1)                                                                                 \
	X("subject", 1)                                                                            \
	X("date", 1)                                                                               \
	X("message-id", 1)                                                                         \
	X("mime-version", 1)                                                                       \
	X("content-type", 1)                                                                       \
	X("content-transfer-encoding", 1)                                                          \
	X("reply-to", 1)                                                                           \
	X("in-reply-to", 1)                                                                        \
	X("references", 1)                                                                         \
	X("sender", 0)                                                                             \
	X("list-id", 0)   /* RFC 2919 */                                                           \
	X("list-help", 0) /* RFC 2369, and the next five */                                        \
	X("list-unsubscribe", 0)                                                                   \
	X("list-subscribe", 0)                                                                     \
	X("list-post", 0)                                                                          \
	X("list-owner", 0)                                                                         \
	X("list-archive", 0)                                                                       \
	X("list-unsubscribe-post", 0) /* RFC 8058 4 wants it covered */                            \
	X("feedback-id", 0)                                                                        \
	X("tls-report-domain", 0) /* RFC 8460 5.3, and the next */                                 \
	X("tls-report-submitter", 0)                                                               \
	X("tls-required", 1) /* RFC 8689 3: added later it would take protection away */

struct dkim_selected {
	const char *name;               /* as in the table */
	const struct dkim_field *field; /* NULL: named, and nothing there */
};

struct dkim_selection {
	struct dkim_selected *selected;
	size_t n;
};

/* Repeated fields are taken from the last to the first, as RFC 6376 5.4.2 has verifiers do. */
void dkim_selection_init(struct dkim_selection *selection, const struct dkim_fields *fields);
void dkim_selection_finish(struct dkim_selection *selection);
