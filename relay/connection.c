#include "relay/connection.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/clock.h"
#include "relay/base/mem.h"
#include "relay/net/peer.h"

static bool leads_to(const struct connection *c, const union plan_address *address);
static bool is_known_to_meet(const struct connection *c, const struct tls_requirement *tls);

struct connection *connection_create(struct stream *stream, const struct plan_host *host,
    const union plan_address *address, const char *peer)
{
	struct connection *c = mem_create(sizeof *c);

	c->stream = stream;
	c->address = *address;
	c->opened_ms = clock_monotonic_ms();
	snprintf(c->host, sizeof c->host, "%s", host->name);
	snprintf(c->peer, sizeof c->peer, "%s", peer);
	peer_print_host(peer, c->who, sizeof c->who);
	return c;
}

void connection_destroy(struct connection **connection)
{
	struct connection *c = *connection;

	if (c == NULL)
		return;
	stream_destroy(&c->stream);
	tls_requirement_finish(&c->met);
	tls_requirement_finish(&c->unmet);
	free(c);
	*connection = NULL;
}

void connection_meets(struct connection *c, const struct plan *plan, const struct plan_host *host)
{
	tls_requirement_finish(&c->met);
	tls_requirement_copy(&c->met, &host->tls);
	c->met_until_ms = plan->valid_until_ms;
	if (c->is_secure)
		c->shown = *stream_evidence(c->stream);
}

void connection_note_refusal(struct connection *c)
{
	const struct tls_evidence *presented = stream_presented(c->stream);

	if (presented != NULL)
		c->shown = *presented;
}

/*
 * A stricter demand is never taken as met because a laxer one was: every demand is held against the
 * session itself, by the verifier of the handshake. In plaintext that is met only by who accepts
 * plaintext.
 */
bool connection_covers(
    struct connection *c, const struct plan *plan, const struct plan_host *host, size_t address)
{
	struct tls_evidence shown;
	struct outcome verdict;

	if (strcmp(c->host, host->name) != 0 || !leads_to(c, &host->addresses[address]) ||
	    strcmp(c->login, plan->login) != 0)
		return false;
	if (host->tls.level == TLS_NONE)
		return false; /* no TLS, by order: with what was agreed under TLS it has nothing to do */
	if (plan->needs_requiretls && !(c->is_secure && c->can.requiretls))
		return false;
	if (is_known_to_meet(c, &host->tls))
		return true;
	if (c->has_unmet && tls_requirement_is_equal(&c->unmet, &host->tls))
		return false;
	stream_judge(c->stream, &host->tls, &shown, &verdict);
	if (!outcome_is_ok(&verdict)) {
		tls_requirement_finish(&c->unmet);
		tls_requirement_copy(&c->unmet, &host->tls);
		c->has_unmet = true;
		return false;
	}
	connection_meets(c, plan, host);
	if (c->is_secure)
		c->shown = shown;
	return true;
}

static bool leads_to(const struct connection *c, const union plan_address *address)
{
	const union plan_address *own = &c->address;

	if (own->any.sa_family != address->any.sa_family)
		return false;
	if (own->any.sa_family == AF_INET6)
		return own->ipv6.sin6_port == address->ipv6.sin6_port &&
		       memcmp(&own->ipv6.sin6_addr, &address->ipv6.sin6_addr,
			   sizeof own->ipv6.sin6_addr) == 0;
	return own->ipv4.sin_port == address->ipv4.sin_port &&
	       own->ipv4.sin_addr.s_addr == address->ipv4.sin_addr.s_addr;
}

/* What was judged by facts that have run out is judged again. */
static bool is_known_to_meet(const struct connection *c, const struct tls_requirement *tls)
{
	return clock_monotonic_ms() < c->met_until_ms && tls_requirement_is_equal(&c->met, tls);
}

const struct tls_evidence *connection_shown(const struct connection *c)
{
	return c->shown.protocol[0] != '\0' ? &c->shown : NULL;
}

bool connection_takes_more(const struct connection *c)
{
	return c->can.mail_max == 0 || c->n_mails < c->can.mail_max;
}
