#include "relay/evidence.h"

#include <stdio.h>
#include <string.h>

#include "relay/base/buffer.h"

enum { WORD_MAX = 600 };

#define WOULD_FAIL "would-fail:"

static void gather_shown(const struct tls_evidence *shown, struct evidence *e);
static void print_word(struct buffer *b, const char *key, const char *value);
static void print_quoted(struct buffer *b, const char *value);
static void print_watch(struct buffer *b, const struct evidence_watch *watch);
static bool next_word(const char **text, char key[WORD_MAX], char value[WORD_MAX]);
static bool read_value(const char **text, char value[WORD_MAX]);
static bool take_word(struct evidence *e, const char *key, const char *value);
static bool take_watch(struct evidence *e, enum tls_demand demand, const char *value);
static bool take_text(char *to, size_t room, const char *value);

/* ---- from a plan and a session ---- */

void evidence_gather(const struct plan *plan, const struct plan_host *host,
    const struct tls_evidence *shown, struct evidence *e)
{
	*e = (struct evidence){ .required = host->tls.level, .by = host->tls.demand };
	snprintf(e->host, sizeof e->host, "%s", host->name);
	e->by_insecure_mx = host->tls.by_insecure_mx;
	snprintf(e->exception, sizeof e->exception, "%s", plan->exception);
	if (shown != NULL)
		gather_shown(shown, e);
}

static void gather_shown(const struct tls_evidence *shown, struct evidence *e)
{
	e->achieved = shown->achieved;
	e->is_resumed = shown->is_resumed;
	snprintf(e->protocol, sizeof e->protocol, "%s", shown->protocol);
	snprintf(e->cipher, sizeof e->cipher, "%s", shown->cipher);
	snprintf(e->certificate, sizeof e->certificate, "%s", shown->fingerprint);
	switch (shown->proof) {
	case TLS_PROOF_NONE:
		snprintf(e->match, sizeof e->match, "none");
		snprintf(e->untrusted, sizeof e->untrusted, "%s", shown->why_untrusted);
		return;
	case TLS_PROOF_PKIX:
		snprintf(e->match, sizeof e->match, "CA %s name=%s", shown->authority, shown->name);
		return;
	case TLS_PROOF_PINNED_CA:
	case TLS_PROOF_FINGERPRINT:
	case TLS_PROOF_PUBLIC_KEY:
		snprintf(e->match, sizeof e->match, "pin %s", shown->tlsa_text);
		return;
	case TLS_PROOF_DANE_TA:
	case TLS_PROOF_DANE_EE:
		snprintf(e->match, sizeof e->match, "TLSA %s", shown->tlsa_text);
		return;
	}
}

/* ---- as a line ---- */

void evidence_print(const struct evidence *e, char text[EVIDENCE_MAX])
{
	struct buffer b;

	buffer_init(&b, EVIDENCE_MAX - 1);
	if (e->host[0] != '\0') {
		print_word(&b, "required", tls_level_name(e->required));
		print_word(&b, "by", tls_demand_name(e->by));
	}
	print_word(&b, "achieved", tls_level_name(e->achieved));
	print_word(&b, "failed", e->failed);
	print_word(&b, "protocol", e->protocol);
	print_word(&b, "cipher", e->cipher);
	print_word(&b, "match", e->match);
	print_word(&b, "untrusted", e->untrusted);
	print_word(&b, "cert", e->certificate);
	print_word(&b, "host", e->host);
	print_word(&b, "mx", e->by_insecure_mx ? "insecure" : "");
	if (e->is_reused)
		buffer_add_text(&b, " reused");
	if (e->is_resumed)
		buffer_add_text(&b, " resumed");
	print_word(&b, "exception", e->exception);
	for (size_t i = 0; i < e->n_watches; i++)
		print_watch(&b, &e->watches[i]);
	snprintf(text, EVIDENCE_MAX, "%s", buffer_text(&b));
	buffer_finish(&b);
}

/* Whole or not at all. */
static void print_word(struct buffer *b, const char *key, const char *value)
{
	struct buffer word;

	if (value[0] == '\0')
		return;
	buffer_init(&word, WORD_MAX);
	buffer_print(&word, "%s%s=", b->n > 0 ? " " : "", key);
	print_quoted(&word, value);
	if (!word.overflowed)
		buffer_add(b, word.bytes, word.n);
	buffer_finish(&word);
}

/* What stands in a certificate stands in here: a byte that is not printable is never passed on. */
static void print_quoted(struct buffer *b, const char *value)
{
	bool needs_quotes = strpbrk(value, " \"\\=") != NULL;

	if (needs_quotes)
		buffer_add(b, "\"", 1);
	for (const char *c = value; *c != '\0'; c++) {
		if (*c == '"' || *c == '\\')
			buffer_add(b, "\\", 1);
		buffer_add(b, *c >= ' ' && *c <= '~' ? c : "?", 1);
	}
	if (needs_quotes)
		buffer_add(b, "\"", 1);
}

static const char *watch_key(enum tls_demand demand)
{
	return demand == DEMAND_MTA_STS ? "sts" : "observe";
}

static void print_watch(struct buffer *b, const struct evidence_watch *watch)
{
	char value[sizeof WOULD_FAIL + OUTCOME_NAME_MAX];

	snprintf(value, sizeof value, WOULD_FAIL "%s", watch->failed);
	print_word(b, watch_key(watch->demand), watch->failed[0] != '\0' ? value : "would-pass");
}

/* ---- back from a line ---- */

bool evidence_parse(const char *text, struct evidence *e)
{
	char key[WORD_MAX], value[WORD_MAX];
	bool has_achieved = false;

	*e = (struct evidence){ 0 };
	while (*text != '\0') {
		if (!next_word(&text, key, value) || !take_word(e, key, value))
			return false;
		has_achieved = has_achieved || strcmp(key, "achieved") == 0;
	}
	return has_achieved;
}

/* A word without "=" has the value "". */
static bool next_word(const char **text, char key[WORD_MAX], char value[WORD_MAX])
{
	size_t n = strcspn(*text, "= ");

	if (n == 0 || n >= WORD_MAX)
		return false;
	memcpy(key, *text, n);
	key[n] = '\0';
	*text += n;
	value[0] = '\0';
	if (**text == '=' && (++*text, !read_value(text, value)))
		return false;
	if (**text == ' ')
		(*text)++;
	else if (**text != '\0')
		return false;
	return true;
}

static bool read_value(const char **text, char value[WORD_MAX])
{
	const char *c = *text;
	bool is_quoted = *c == '"';
	size_t n = 0;

	for (c += is_quoted; *c != '\0' && *c != (is_quoted ? '"' : ' '); c++) {
		if (is_quoted && *c == '\\' && *++c == '\0')
			return false;
		if (n == WORD_MAX - 1)
			return false;
		value[n++] = *c;
	}
	value[n] = '\0';
	if (is_quoted && *c++ != '"')
		return false;
	*text = c;
	return true;
}

static bool take_word(struct evidence *e, const char *key, const char *value)
{
	const struct {
		const char *key;
		char *to;
		size_t room;
	} texts[] = {
		{ "failed", e->failed, sizeof e->failed },
		{ "protocol", e->protocol, sizeof e->protocol },
		{ "cipher", e->cipher, sizeof e->cipher },
		{ "match", e->match, sizeof e->match },
		{ "untrusted", e->untrusted, sizeof e->untrusted },
		{ "cert", e->certificate, sizeof e->certificate },
		{ "host", e->host, sizeof e->host },
		{ "exception", e->exception, sizeof e->exception },
	};

	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
		if (strcmp(key, texts[i].key) == 0)
			return take_text(texts[i].to, texts[i].room, value);
	}
	if (strcmp(key, "required") == 0)
		return tls_level_parse(value, &e->required);
	if (strcmp(key, "achieved") == 0)
		return tls_level_parse(value, &e->achieved);
	if (strcmp(key, "by") == 0)
		return tls_demand_parse(value, &e->by);
	if (strcmp(key, "mx") == 0)
		e->by_insecure_mx = strcmp(value, "insecure") == 0;
	if (strcmp(key, "observe") == 0)
		return take_watch(e, DEMAND_PARTNER, value);
	if (strcmp(key, "sts") == 0)
		return take_watch(e, DEMAND_MTA_STS, value);
	e->is_reused = e->is_reused || strcmp(key, "reused") == 0;
	e->is_resumed = e->is_resumed || strcmp(key, "resumed") == 0;
	return true;
}

static bool take_watch(struct evidence *e, enum tls_demand demand, const char *value)
{
	struct evidence_watch *watch = &e->watches[e->n_watches];
	const size_t n = sizeof WOULD_FAIL - 1;

	if (e->n_watches == PLAN_WATCHES_MAX)
		return false;
	watch->demand = demand;
	e->n_watches++;
	if (strncmp(value, WOULD_FAIL, n) == 0)
		return take_text(watch->failed, sizeof watch->failed, value + n);
	return strcmp(value, "would-pass") == 0;
}

static bool take_text(char *to, size_t room, const char *value)
{
	return (size_t)snprintf(to, room, "%s", value) < room;
}

/* ---- for a person ---- */

static void describe_way(const struct evidence *e, struct buffer *b)
{
	if (e->failed[0] != '\0') {
		buffer_print(b, "nothing was sent [%s]", e->failed);
	} else if (e->achieved == TLS_NONE) {
		buffer_add_text(b, "plaintext");
	} else {
		buffer_print(b, "%s with %s", e->protocol, e->cipher);
		if (strcmp(e->match, "none") != 0)
			buffer_print(b, ", %s matched%s", e->match,
			    e->by_insecure_mx ? ", of a host that insecure MX records name" : "");
		else
			buffer_print(b, ", certificate not verified%s%s",
			    e->untrusted[0] != '\0' ? ": " : "", e->untrusted);
	}
}

void evidence_describe(const struct evidence *e, char *text, size_t room)
{
	struct buffer b;

	buffer_init(&b, EVIDENCE_MAX);
	describe_way(e, &b);
	if (e->host[0] != '\0')
		buffer_print(&b, ", required: %s by %s", tls_level_name(e->required),
		    tls_demand_name(e->by));
	if (e->is_reused)
		buffer_add_text(&b, ", over a connection of before");
	if (e->exception[0] != '\0')
		buffer_print(&b, ", by exception: %s", e->exception);
	for (size_t i = 0; i < e->n_watches; i++) {
		const struct evidence_watch *watch = &e->watches[i];

		if (watch->failed[0] != '\0')
			buffer_print(&b, ", %s would have refused it [%s]",
			    watch->demand == DEMAND_MTA_STS ? "MTA-STS" : "the observed rule",
			    watch->failed);
	}
	snprintf(text, room, "%s", buffer_text(&b));
	buffer_finish(&b);
}
