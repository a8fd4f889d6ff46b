/*
 * A server that plays a dialogue from a list of lines, in the order in which it is spoken, over
 * real sockets in the loop of the test. What it hears and did not expect it remembers.
 *
 *	"> 250 ok"	says a line
 *	">> 250-half"	says this without a line's end
 *	"< MAIL"	hears a line that begins so
 *	"= ."		hears exactly this line
 *	"*"		hears whatever comes, up to and with the line "."
 *	"T"		shakes hands as a TLS server
 *	"~"		reads nothing more
 *	"!"		closes
 *	"!!"		resets the connection
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "relay/net/loop.h"
#include "tls/context.h"

struct peer;

/* Listens on a loopback port; the n-th connection plays the n-th script, up to a NULL. */
struct peer *peer_listen(
    struct loop *loop, struct tls_context *tls, const char *const *const *scripts);
uint16_t peer_port(const struct peer *peer);

/* On the far end of a socketpair. */
struct peer *peer_on(struct loop *loop, int fd, const char *const *script);

/* Says this unasked, on the connection that came last. */
void peer_say(struct peer *peer, const char *text);

/* NULL if all scripts were played to their end and nothing else was heard; else what went wrong. */
const char *peer_problem(struct peer *peer);

/* How many lines of content "*" has heard. */
size_t peer_n_content_lines(const struct peer *peer);

void peer_destroy(struct peer **peer);
