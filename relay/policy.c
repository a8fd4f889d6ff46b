/*
 * The rules about identities, in the order in which a header is judged: how often fields occur,
 * then who owns their addresses, then which key will sign. Nothing is remembered between calls.
 */
#include "relay/policy.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "config/config.h"
#include "smtp/header.h"
#include "smtp/mailbox.h"

/* Fields that occur at most once: RFC 5322 3.6; RFC 2045 3, 2183, 3282 and the like. */
static const char *const single_fields[] = { "Sender", "Reply-To", "To", "Cc", "Date", "Subject",
	"Message-ID", "In-Reply-To", "References", "MIME-Version", "Content-Type",
	"Content-Transfer-Encoding", "Content-ID", "Content-Description", "Content-Disposition",
	"Content-Language", "Content-Location", "Content-Base", "Content-MD5", "Content-Duration",
	"Content-Features", "TLS-Required" /* RFC 8689 3 */ };

enum { N_SINGLE_FIELDS = sizeof single_fields / sizeof single_fields[0] };

/* A field whose addresses must be the account's, and the name of the refusal. */
struct identity {
	const char *field;
	const char *refusal;
	bool is_single; /* RFC 5322: a mailbox, not a list of them */
};

static const struct identity from_identity = { "From", "from-not-owned", false };
static const struct identity other_identities[] = {
	{ "Sender", "sender-field-not-owned", true },
	{ "Resent-From", "resent-not-owned", false },
	{ "Resent-Sender", "resent-not-owned", true },
};

static bool check_counts(const struct header *header, struct outcome *why);
static bool check_from(const struct config *config, const struct config_account *account,
    const struct header_field *field, struct outcome *why, char from_domain[DOMAIN_MAX]);
static bool check_identity(const struct config_account *account, const struct identity *identity,
    const struct header_field *field, struct outcome *why);
static bool check_owned(const struct config_account *account, const struct identity *identity,
    const struct mailbox_list *list, struct outcome *why);
static bool owns(const struct config_account *account, const struct smtp_address *address);
static const char *first_senders(const struct config_account *account, char *text, size_t room);

bool policy_sender(
    const struct config_account *account, const struct smtp_address *sender, struct outcome *why)
{
	char senders[200];

	if (sender->text[0] == '\0') {
		outcome_say(why, 553, "5.7.1", "sender-null",
		    "The null sender <> is for notifications of mail systems; account %s must "
		    "give one of its addresses in MAIL FROM",
		    account->name);
		return false;
	}
	if (!owns(account, sender)) {
		outcome_say(why, 553, "5.7.1", "sender-not-owned",
		    "Account %s may not send as <%.100s>; it may send as %s", account->name,
		    sender->text, first_senders(account, senders, sizeof senders));
		return false;
	}
	outcome_ok(why);
	return true;
}

bool policy_header(const struct config *config, const struct config_account *account,
    const struct header *header, struct outcome *why, char from_domain[DOMAIN_MAX])
{
	char domain[DOMAIN_MAX];

	if (!check_counts(header, why) ||
	    !check_from(config, account, header_find(header, "From", 0), why, domain))
		return false;
	for (size_t i = 0; i < header->n_fields; i++) {
		for (size_t k = 0; k < sizeof other_identities / sizeof *other_identities; k++) {
			if (slice_equals_nocase(
				header->fields[i].name, other_identities[k].field) &&
			    !check_identity(account, &other_identities[k], &header->fields[i], why))
				return false;
		}
	}
	memcpy(from_domain, domain, sizeof domain);
	outcome_ok(why);
	return true;
}

/*
 * Of two From or Subject fields, some readers show the first and some the last: what is sealed
 * could differ from what is seen.
 */
static bool check_counts(const struct header *header, struct outcome *why)
{
	bool seen[N_SINGLE_FIELDS] = { false };
	size_t n_from = header_count(header, "From");

	if (n_from != 1) {
		outcome_say(why, 554, "5.6.0", n_from == 0 ? "from-missing" : "from-duplicate",
		    "The header has %zu From fields; it must have exactly one", n_from);
		return false;
	}
	for (size_t i = 0; i < header->n_fields; i++) {
		for (size_t k = 0; k < N_SINGLE_FIELDS; k++) {
			if (!slice_equals_nocase(header->fields[i].name, single_fields[k]))
				continue;
			if (seen[k]) {
				outcome_say(why, 554, "5.6.0", "field-duplicate",
				    "The header has more than one %s field; it may have one",
				    single_fields[k]);
				return false;
			}
			seen[k] = true;
		}
	}
	if (header_count(header, "Received") > POLICY_HOPS_MAX) {
		outcome_say(why, 554, "5.4.6", "too-many-hops",
		    "The message has passed more than %d systems: it travels in a loop",
		    POLICY_HOPS_MAX);
		return false;
	}
	return true;
}

static bool check_from(const struct config *config, const struct config_account *account,
    const struct header_field *field, struct outcome *why, char domain[DOMAIN_MAX])
{
	const struct config_domain *configured;
	struct mailbox_list list;
	bool good = false;

	if (!mailbox_parse(&list, from_identity.field, field->value, why))
		return false;
	if (!check_owned(account, &from_identity, &list, why))
		goto out;
	for (size_t i = 1; i < list.n_addresses; i++) {
		if (strcmp(list.addresses[0].domain, list.addresses[i].domain) != 0) {
			outcome_say(why, 550, "5.7.1", "from-domains-differ",
			    "The From field names addresses of %.100s and %.100s, but one domain "
			    "must sign for all of it; send one message for each",
			    list.addresses[0].domain, list.addresses[i].domain);
			goto out;
		}
	}
	configured = config_find_domain(config, list.addresses[0].domain);
	if (configured == NULL || configured->n_selectors == 0) {
		outcome_say(why, 550, "5.7.1", "domain-not-configured",
		    "Mail from %.200s cannot be signed here; the administrator must configure "
		    "\"domain\" with a DKIM key for it",
		    list.addresses[0].domain);
		goto out;
	}
	memcpy(domain, list.addresses[0].domain, DOMAIN_MAX);
	good = true;
out:
	mailbox_list_finish(&list);
	return good;
}

static bool check_identity(const struct config_account *account, const struct identity *identity,
    const struct header_field *field, struct outcome *why)
{
	struct mailbox_list list;
	bool good;

	if (!mailbox_parse(&list, identity->field, field->value, why))
		return false;
	good = !identity->is_single || list.n_addresses == 1;
	if (!good)
		outcome_say(why, 554, "5.6.0", "sender-many",
		    "The %s field names %zu addresses; it may name one", identity->field,
		    list.n_addresses);
	else
		good = check_owned(account, identity, &list, why);
	mailbox_list_finish(&list);
	return good;
}

static bool check_owned(const struct config_account *account, const struct identity *identity,
    const struct mailbox_list *list, struct outcome *why)
{
	char senders[200];

	for (size_t i = 0; i < list->n_addresses; i++) {
		if (owns(account, &list->addresses[i]))
			continue;
		outcome_say(why, 550, "5.7.1", identity->refusal,
		    "Account %s may not send as <%.100s>, which is in the %s field; it may "
		    "send as %s",
		    account->name, list->addresses[i].text, identity->field,
		    first_senders(account, senders, sizeof senders));
		return false;
	}
	return true;
}

static bool owns(const struct config_account *account, const struct smtp_address *address)
{
	size_t n_local = strlen(address->local);

	for (size_t i = 0; i < account->n_senders; i++) {
		const char *sender = account->senders[i];
		const char *at = strrchr(sender, '@');

		assert(at != NULL);
		if (strcmp(at + 1, address->domain) != 0)
			continue;
		if (at == sender || ((size_t)(at - sender) == n_local &&
					strncasecmp(sender, address->local, n_local) == 0))
			return true;
	}
	return false;
}

/* For the person who reads the refusal: as many as fit. The account sees only its own. */
static const char *first_senders(const struct config_account *account, char *text, size_t room)
{
	size_t n = 0;

	snprintf(text, room, "nothing");
	for (size_t i = 0; i < account->n_senders; i++) {
		const char *sender = account->senders[i];
		const char *any = sender[0] == '@' ? "anything" : "";

		if (n + strlen(sender) + sizeof "anything, and others" > room) {
			snprintf(text + n, room - n, n > 0 ? " and others" : "what is configured");
			break;
		}
		n += (size_t)snprintf(text + n, room - n, "%s%s%s", i > 0 ? ", " : "", any, sender);
	}
	return text;
}
