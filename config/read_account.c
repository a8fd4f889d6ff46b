/*
 * account NAME { ... }: who may submit, as whom, and how its mail travels.
 */
#include <string.h>

#include "config/keys.h"
#include "config/read.h"
#include "config/values.h"
#include "relay/base/mem.h"
#include "relay/base/text.h"

static void read_account(struct reading *r, cfg_t *section);
static void read_account_manner(struct reading *r, struct config_account *a, cfg_t *section);

void read_accounts(struct reading *r)
{
	for (unsigned i = 0; i < cfg_size(r->cfg, "account"); i++)
		read_account(r, cfg_getnsec(r->cfg, "account", i));
}

static void read_account(struct reading *r, cfg_t *section)
{
	struct config *c = r->config;
	const char *title = cfg_title(section);
	size_t line = reading_section_line(r, section);
	struct config_account a = { .name = mem_copy_text(title) };

	text_lower(a.name);
	if (!value_is_login(title))
		reading_error(
		    r, line, "account '%s': a login is printable ASCII without spaces", title);
	for (size_t i = 0; i < c->n_accounts; i++) {
		if (strcmp(c->accounts[i].name, a.name) == 0)
			reading_error(r, line,
			    "account '%s' is written twice (letter case does "
			    "not count)",
			    title);
	}
	for (unsigned i = 0; i < reading_count(section, "senders"); i++) {
		const struct written *w = reading_value(section, "senders", i);
		char *sender = w == NULL ? NULL : value_parse_sender(w->text);

		if (sender != NULL)
			reading_add_text(&a.senders, &a.n_senders, sender);
		else if (w != NULL)
			reading_error(r, w->line,
			    "senders: '%s' is no address; write \"local@domain\", or \"@domain\" for "
			    "all of it",
			    w->text);
		if (sender != NULL && strncmp(sender, "*@", 2) == 0)
			reading_warning(r, w->line,
			    "senders: '%s' is one address with a star in it; for every address of %s "
			    "write \"%s\"",
			    w->text, sender + 2, sender + 1);
	}
	if (reading_count(section, "senders") == 0)
		reading_error(r, line,
		    "account '%s' has no senders = {ADDRESS}: it could send nothing", title);
	read_account_manner(r, &a, section);
	c->accounts = mem_resize(c->accounts, c->n_accounts + 1, sizeof *c->accounts);
	c->accounts[c->n_accounts++] = a;
}

static void read_account_manner(struct reading *r, struct config_account *a, cfg_t *section)
{
	static const char *const streams[] = { "ordinary", "bulk" };
	const struct written *rate = reading_value(section, "rate", 0);
	const struct written *stream = reading_value(section, "stream", 0);
	const struct written *floor = reading_value(section, "tls-floor", 0);

	if (stream != NULL && strcmp(stream->text, streams[1]) == 0)
		a->stream = STREAM_BULK;
	else if (stream != NULL && strcmp(stream->text, streams[0]) != 0)
		reading_error_word(r, stream, "stream", streams, 2);
	if (floor != NULL)
		reading_level(r, floor, "tls-floor",
		    KEY_LEVELS(TLS_ENCRYPT) | KEY_LEVELS(TLS_VERIFY) | KEY_LEVELS(TLS_DANE_ONLY),
		    &a->tls_floor);
	if (rate != NULL && !value_parse_rate(rate->text, &a->rate_per_hour))
		reading_error(r, rate->line,
		    "rate = %s: must be messages in a time, as 300/hour (second, minute, hour, day)",
		    rate->text);
	else if (rate != NULL)
		reading_warning(r, rate->line,
		    "rate = %s is understood, but this version does not enforce rates", rate->text);
}
