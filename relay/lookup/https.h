/*
 * HTTPS requests to strangers, in our event loop: MTA-STS policies are fetched, TLS reports are
 * posted. Addresses come from our resolver alone, trust from a CA file that is read once; redirects
 * are not followed, and nothing is kept from one request to the next: no connection, session or
 * cookie. Nothing of the environment (proxies) counts. Private addresses are connected to only with
 * config->delivery.allow_private, loopback with allow_loopback (scope.h).
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "config/config.h"
#include "relay/lookup/resolver.h"
#include "relay/net/loop.h"

enum {
	HTTPS_TIMEOUT_MS = 60000, /* of a request, all in all: RFC 8461 3.3 */
	HTTPS_CONNECT_MS = 20000, /* of its connection and handshake */
	HTTPS_SLOW_PARTS = 20,    /* after one part of so many of its time a request is slow */
	HTTPS_SLOW_TIMES = 3,     /* so many times as may run together may be slow beside them */
	HTTPS_HEADER_MAX = 32 * 1024, /* bytes of an answer's header */
	HTTPS_WHY_MAX = 200,
	HTTPS_TYPE_MAX = 100,
};

struct https;
struct https_request;

enum https_problem {
	HTTPS_OK,          /* there is a status, whatever it is */
	HTTPS_BUSY,        /* it was not even tried: too many others were under way */
	HTTPS_ADDRESS,     /* no address, or none that may be connected to */
	HTTPS_BOGUS,       /* no address but such as fail DNSSEC validation */
	HTTPS_CERTIFICATE, /* nobody we trust vouches for the host's name */
	HTTPS_TIME,
	HTTPS_SIZE,    /* more content than was wanted */
	HTTPS_FAILURE, /* no connection, no TLS, no HTTP */
};

struct https_answer {
	enum https_problem problem;
	char why[HTTPS_WHY_MAX]; /* printable; "" without a problem */
	unsigned status;
	char type[HTTPS_TYPE_MAX]; /* the Content-Type as it came, cut; "" without one */
	const char *content;
	size_t n_content;
};

/* All of it is copied, but for content to post, which must live as long as the request. */
struct https_order {
	const char *host; /* canonical */
	uint16_t port;
	const char *path; /* begins with a slash; nothing in it needs escaping */
	size_t n_most;    /* bytes of content wanted; 0: the status alone */

	const char *type; /* NULL: GET; otherwise POST this */
	const void *content;
	size_t n_content;
};

/*
 * Reads config->delivery.ca_file, and no file after that; at_once requests run together, and
 * beside them some that are slow, so that servers that do not answer delay nobody else's; others wait
 * their turn. NULL with a text in error if the file can't be used.
 */
struct https *https_create(struct loop *loop, const struct config *config,
    struct resolver *resolver, size_t at_once, char *error, size_t room);

/* Drops what is on its way without a callback. Not from inside a callback. */
void https_destroy(struct https **https);

/* Whom to ask for addresses from now on. */
void https_set_resolver(struct https *https, struct resolver *resolver);

/* For tests: how long a request may take from now on. */
void https_set_timeout(struct https *https, int64_t timeout_ms);

/* The answer is the request's own; both are gone when this returns. */
typedef void https_done(const struct https_answer *answer, void *arg);

/* done is called exactly once, never from inside this, at the latest after the timeout. */
struct https_request *https_start(
    struct https *https, const struct https_order *order, https_done *done, void *arg);

/* No callback any more; sets *request to NULL, and NULL is nothing. */
void https_cancel(struct https_request **request);
