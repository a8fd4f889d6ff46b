#include "relay/cli/grant.h"

#include <stdlib.h>

#include "relay/base/mem.h"
#include "relay/policy.h"

static void refuse(
    const struct config *config, const struct smtp_address *sender, struct grant *grant);

void grant_find(const struct config *config, const struct smtp_address *sender, struct grant *grant)
{
	struct outcome why;

	*grant = (struct grant){ .domain = config_find_domain(config, sender->domain) };
	grant->accounts = mem_create((config->n_accounts + 1) * sizeof(struct config_account *));
	for (size_t i = 0; i < config->n_accounts; i++) {
		const struct config_account *account = &config->accounts[i];

		if (!policy_sender(account, sender, &why))
			continue;
		grant->accounts[grant->n_accounts++] = account;
		if (grant->strictest == NULL || account->tls_floor > grant->strictest->tls_floor)
			grant->strictest = account;
	}
	if (grant->domain != NULL && grant->domain->n_selectors == 0)
		grant->domain = NULL;
	refuse(config, sender, grant);
}

/* In the order in which a session would be told. */
static void refuse(
    const struct config *config, const struct smtp_address *sender, struct grant *grant)
{
	struct outcome *why = &grant->refusal;

	outcome_ok(why);
	if (config->n_accounts == 0)
		outcome_say(why, 553, "5.7.1", "account-missing",
		    "Nobody may send at all: there is no account; write one, as account web@%s { "
		    "senders = {...} }",
		    sender->text[0] != '\0' ? sender->domain : "example.org");
	else if (sender->text[0] == '\0')
		policy_sender(&config->accounts[0], sender, why);
	else if (grant->n_accounts == 0)
		outcome_say(why, 553, "5.7.1", "sender-not-owned",
		    "No account may send as <%.100s>: add it to senders of one (\"zegel account "
		    "list\" shows them)",
		    sender->text);
	else if (grant->domain == NULL)
		outcome_say(why, 550, "5.7.1", "domain-not-configured",
		    "Mail from <%.100s> can't be signed, and so not sent: %s is none of the domains "
		    "here; write domain %s { dkim = {...} }",
		    sender->text, sender->domain, sender->domain);
}

void grant_finish(struct grant *grant)
{
	free(grant->accounts);
	*grant = (struct grant){ 0 };
}
