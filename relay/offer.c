#include "relay/offer.h"

bool offer_suits(const struct connection *c, const struct plan *plan, const struct message *message,
    struct outcome *refusal)
{
	uint64_t size = message->header.length + message->body.length;

	if (c->can.size_max > 0 && size > c->can.size_max) {
		outcome_say(refusal, 552, "5.3.4", "size-exceeded",
		    "The message has %llu bytes, and %s takes no more than %llu: it was not sent",
		    (unsigned long long)size, c->who, (unsigned long long)c->can.size_max);
		return false;
	}
	if (plan->needs_requiretls && !(c->is_secure && c->can.requiretls)) {
		outcome_say(refusal, 550, "5.7.30", "requiretls-missing",
		    "The sender asked for REQUIRETLS (RFC 8689), which %s does not offer: it was not "
		    "sent there",
		    c->who);
		return false;
	}
	if (message->is_8bit && !c->can.eight_bit_mime) {
		outcome_say(refusal, 554, "5.6.3", "8bit-unsupported",
		    "The message has 8-bit content, which %s does not take (no 8BITMIME), and rewriting "
		    "it would break its DKIM signature: send it as quoted-printable or base64",
		    c->who);
		return false;
	}
	return true;
}

bool offer_has_requiretls(const struct connection *c, const struct message *message)
{
	return message->requires_tls && c->is_secure && c->can.requiretls;
}
