/*
 * Where an address that a stranger's DNS names leads to: out into the Internet, or into a network of
 * ours, or to this machine. IPv4 in IPv6's clothes counts as what it is. Pure.
 */
#pragma once

#include "relay/lookup/answer.h"

enum address_scope {
	SCOPE_GLOBAL,
	SCOPE_PRIVATE,  /* of an organisation's own network, or of its provider's */
	SCOPE_LOOPBACK, /* 127.0.0.0/8, ::1, and what else leads to this machine itself */
	SCOPE_NOBODY,   /* on this link alone, or many at once, or for no use at all */
};

enum address_scope address_scope(const struct answer_address *address);
