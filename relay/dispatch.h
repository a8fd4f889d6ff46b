/*
 * Jobs out to the deliveries, results back into the spool. Knows which delivery has which job, so
 * that one that dies costs nothing but time; knows what deliveries that outlived the last queue are
 * still at, so that nothing is sent twice. Makes the notification for what failed before the failure
 * is recorded. Lives in the queue role.
 */
#pragma once

#include "config/config.h"
#include "relay/bounce_post.h"
#include "relay/ipc/channel.h"
#include "relay/schedule.h"
#include "relay/spool.h"

struct dispatch;

struct dispatch *dispatch_create(struct loop *loop, const struct config *config,
    struct spool *spool, struct post_office *office);

/* After the spool is closed, whose callbacks run into it. Jobs that are out stay with their deliveries. */
void dispatch_destroy(struct dispatch **dispatch);

/* A delivery process; takes the channel over. */
void dispatch_meet(struct dispatch *dispatch, struct channel *delivery);

/*
 * Every delivery that lives has been met: once each has told what it still holds, jobs go out.
 */
void dispatch_start(struct dispatch *dispatch);

/* No more jobs go out. */
void dispatch_stop(struct dispatch *dispatch);

/*
 * Another queue follows at once: besides, results that come now are left for it. What is being
 * stored is still acknowledged: wait until dispatch_is_storing() is false.
 */
void dispatch_close(struct dispatch *dispatch);
bool dispatch_is_storing(const struct dispatch *dispatch);

/* Without deliveries no more results can come. */
bool dispatch_has_deliveries(const struct dispatch *dispatch);

/* What deliveries tell for TLS reports: say is valid during the call. */
typedef void dispatch_counts(void *arg, const struct ipc_counts_say *say);
void dispatch_on_counts(struct dispatch *dispatch, dispatch_counts *call, void *arg);

/* The schedule it started, for whoever has news for it; NULL before dispatch_start. */
struct schedule *dispatch_schedule(struct dispatch *dispatch);

/*
 * For tests: how long until a notification that could not be made is tried again, and until it is
 * looked again whether a result of before is worth keeping; 10 s.
 */
void dispatch_set_patience(struct dispatch *dispatch, int64_t again_ms);

/* Its last delivery has gone. */
void dispatch_on_alone(struct dispatch *dispatch, loop_call *call, void *arg);
