/*
 * One HTTPS request on the wire: the host's addresses are known, and it has its turn (https.h, which is
 * the only one to use this).
 */
#pragma once

#include <stdbool.h>

#include "relay/lookup/https.h"
#include "relay/net/loop.h"
#include "tls/context.h"

struct https_transfer;

/* Before the first, and after the last; as often as one likes. False if libcurl can't. */
bool https_library_start(void);
void https_library_stop(void);

/*
 * addresses: numeric, a comma between. Trusts the authorities of trust, which as the order must live as
 * long as the transfer; addresses need not. done is called once, never from inside this, and only
 * HTTPS_CONNECT_MS bounds the time: its owner cancels it. NULL if libcurl refuses.
 */
struct https_transfer *https_transfer_start(struct loop *loop, struct tls_context *trust,
    const struct https_order *order, const char *addresses, https_done *done, void *arg);

/* No callback any more; sets *transfer to NULL, and NULL is nothing. */
void https_transfer_cancel(struct https_transfer **transfer);
