/*
 * partner NAME { ... }: what mail to a domain must have, whatever its owner publishes, and what it
 * gets instead for a while. A rule that cannot be kept would hold all mail, so each level is asked
 * whether what it needs is there.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/certificates.h"
#include "config/keys.h"
#include "config/read.h"
#include "config/values.h"
#include "relay/base/clock.h"
#include "relay/base/domain.h"
#include "relay/base/encode.h"
#include "relay/base/mem.h"

enum {
	SHA256_BYTES = 32,
	CA_FILE_MAX = 1 << 20, /* bytes */
	YEAR_S = 366 * 86400,
};

/* Every level but mta-sts, which is the receiver's. */
static const unsigned ANY_LEVEL = KEY_LEVELS(TLS_MTA_STS) - 1;

static void read_partner(struct reading *r, cfg_t *section, unsigned *n_exceptions);
static void read_names(struct reading *r, struct config_partner *p, cfg_t *section);
static void read_pins(
    struct reading *r, struct config_partner *p, cfg_t *section, const char *key, const char *of);
static void read_authorities(struct reading *r, struct config_partner *p, cfg_t *section);
static char *read_file(const char *path, size_t *n);
static bool read_level(struct reading *r, struct config_partner *p, cfg_t *section, size_t line);
static bool check_needs(struct reading *r, const struct config_partner *p, cfg_t *section,
    enum tls_level level, const char *of, size_t line);
static void read_mode(struct reading *r, struct config_partner *p, cfg_t *section, bool has_level);
static struct config_exception *read_exception(
    struct reading *r, const struct config_partner *p, cfg_t *of, cfg_t *section, size_t line);
static bool read_until(
    struct reading *r, const struct config_partner *p, cfg_t *section, size_t line, int64_t *until);
static void check_use(
    struct reading *r, const struct config_partner *p, size_t line, size_t line_exception);

void read_partners(struct reading *r)
{
	unsigned n_exceptions = 0;

	for (unsigned i = 0; i < cfg_size(r->cfg, "partner"); i++)
		read_partner(r, cfg_getnsec(r->cfg, "partner", i), &n_exceptions);
}

static void read_partner(struct reading *r, cfg_t *section, unsigned *n_exceptions)
{
	struct config *c = r->config;
	struct config_partner p = { 0 };
	const char *title = cfg_title(section);
	const char *name = title[0] == '.' ? title + 1 : title;
	size_t line = reading_section_line(r, section), line_exception = 0;
	char domain[DOMAIN_MAX];
	bool has_level;

	if (cfg_size(section, "exception") > 0)
		line_exception =
		    proof_find_section(&r->proof, "exception", NULL, (*n_exceptions)++);
	if (title[0] == PROOF_SPOILED)
		return;
	if (!domain_written(name, domain)) {
		reading_error(r, line,
		    "partner '%s' is no domain name; write bank.example, or .bank.example for what "
		    "is below it",
		    title);
		return;
	}
	p.name = mem_print("%s%s", name == title ? "" : ".", domain);
	for (size_t i = 0; i < c->n_partners; i++) {
		if (strcmp(c->partners[i].name, p.name) == 0)
			reading_error(r, line, "partner '%s' is written twice", p.name);
	}
	read_names(r, &p, section);
	read_pins(r, &p, section, "fingerprint", "certificate");
	read_pins(r, &p, section, "public-key", "public key");
	read_authorities(r, &p, section);
	has_level = read_level(r, &p, section, line);
	read_mode(r, &p, section, has_level);
	if (line_exception != 0)
		p.exception = read_exception(
		    r, &p, section, cfg_getnsec(section, "exception", 0), line_exception);
	if (has_level && (line_exception == 0 || p.exception != NULL))
		check_use(r, &p, reading_value(section, "tls", 0)->line, line_exception);
	c->partners = mem_resize(c->partners, c->n_partners + 1, sizeof *c->partners);
	c->partners[c->n_partners++] = p;
}

static void read_names(struct reading *r, struct config_partner *p, cfg_t *section)
{
	for (unsigned i = 0; i < reading_count(section, "mx"); i++) {
		const struct written *w = reading_value(section, "mx", i);
		char *pattern = w == NULL ? NULL : value_parse_pattern(w->text);

		if (pattern != NULL)
			reading_add_text(&p->mx, &p->n_mx, pattern);
		else if (w != NULL)
			reading_error(r, w->line,
			    "mx: '%s' is no host name; write mx.bank.example or \"*.bank.example\"",
			    w->text);
	}
}

static void read_pins(
    struct reading *r, struct config_partner *p, cfg_t *section, const char *key, const char *of)
{
	bool is_certificate = strcmp(key, "fingerprint") == 0;
	char ***pins = is_certificate ? &p->fingerprints : &p->public_keys;
	size_t *n = is_certificate ? &p->n_fingerprints : &p->n_public_keys;

	for (unsigned i = 0; i < reading_count(section, key); i++) {
		const struct written *w = reading_value(section, key, i);
		unsigned char bytes[SHA256_BYTES];
		char hex[2 * SHA256_BYTES + 1];
		size_t n_bytes;

		if (w == NULL)
			continue;
		if (!hex_decode(w->text, strlen(w->text), bytes, sizeof bytes, &n_bytes) ||
		    n_bytes != sizeof bytes) {
			reading_error(r, w->line,
			    "%s: '%s' is no SHA-256 of a %s (64 hexadecimal digits): \"zegel tls probe "
			    "%s\" prints it",
			    key, w->text, of, p->name[0] == '.' ? "DOMAIN" : p->name);
			continue;
		}
		hex_encode(bytes, sizeof bytes, hex);
		reading_add_text(pins, n, mem_copy_text(hex));
	}
}

static void read_authorities(struct reading *r, struct config_partner *p, cfg_t *section)
{
	const struct written *w = reading_value(section, "ca", 0);
	char *text, why[160];
	size_t n;

	if (w == NULL)
		return;
	if (w->text[0] == '\0') {
		reading_error(r, w->line, "ca = : must be a path");
		return;
	}
	p->ca_file = reading_path(r, w->text);
	text = read_file(p->ca_file, &n);
	if (text == NULL)
		reading_error(r, w->line, "ca of partner '%s': cannot read '%s': %s%s", p->name,
		    p->ca_file, strerror(errno),
		    errno == EACCES && geteuid() != 0 ? " (run this as root)" : "");
	else if (!certificates_parse(text, n, &p->cas, &p->n_cas, why, sizeof why))
		reading_error(r, w->line, "ca of partner '%s': '%s': %s", p->name, p->ca_file, why);
	free(text);
}

/* NULL and errno if it cannot be read, or is no file of certificates by its size alone. */
static char *read_file(const char *path, size_t *n)
{
	struct stat st;
	int fd = reading_open_file(path, &st);
	char *text;
	ssize_t got;

	if (fd < 0)
		return NULL;
	if (st.st_size > CA_FILE_MAX) {
		close(fd);
		errno = EFBIG;
		return NULL;
	}
	*n = (size_t)st.st_size;
	text = mem_create(*n + 1);
	got = read(fd, text, *n);
	close(fd);
	if (got == st.st_size)
		return text;
	free(text);
	errno = EIO;
	return NULL;
}

static bool read_level(struct reading *r, struct config_partner *p, cfg_t *section, size_t line)
{
	const struct written *w = reading_value(section, "tls", 0);

	if (!reading_has(section, "tls"))
		reading_error(r, line, "partner '%s' has no tls = LEVEL", p->name);
	return w != NULL && reading_level(r, w, "tls", ANY_LEVEL, &p->level) &&
	       check_needs(r, p, section, p->level, "", w->line);
}

/* of: whose level it is, before "tls = ". What is written and wrong has had its finding. */
static bool check_needs(struct reading *r, const struct config_partner *p, cfg_t *section,
    enum tls_level level, const char *of, size_t line)
{
	if (level == TLS_SECURE && !reading_has(section, "mx")) {
		reading_error(r, line,
		    "%stls = secure needs mx = {NAME}: the names its certificates must show, since "
		    "those from DNS could be forged",
		    of);
		return false;
	}
	if (level == TLS_FINGERPRINT && !reading_has(section, "fingerprint") &&
	    !reading_has(section, "public-key")) {
		reading_error(r, line,
		    "%stls = fingerprint needs fingerprint = {SHA256} or public-key = {SHA256}: print "
		    "them with: zegel tls probe %s",
		    of, p->name[0] == '.' ? "DOMAIN" : p->name);
		return false;
	}
	return true;
}

static void read_mode(struct reading *r, struct config_partner *p, cfg_t *section, bool has_level)
{
	static const char *const words[] = { "observe", "require" };
	const struct written *w = reading_value(section, "mode", 0);

	p->observe = w != NULL && strcmp(w->text, words[0]) == 0;
	if (w != NULL && !p->observe && strcmp(w->text, words[1]) != 0)
		reading_error_word(r, w, "mode", words, 2);
	if (p->observe && has_level && p->level <= TLS_MAY)
		reading_warning(r, w->line,
		    "mode = observe of partner '%s': tls = %s refuses nobody, so there is nothing to "
		    "observe",
		    p->name, tls_level_name(p->level));
}

/* Of the partner's section. NULL if it has a mistake. */
static struct config_exception *read_exception(
    struct reading *r, const struct config_partner *p, cfg_t *of, cfg_t *section, size_t line)
{
	/* dane is not among them: with records it is no exception, and without them it is may. */
	static const unsigned allowed = KEY_LEVELS(TLS_NONE) | KEY_LEVELS(TLS_MAY) |
					KEY_LEVELS(TLS_ENCRYPT) | KEY_LEVELS(TLS_VERIFY) |
					KEY_LEVELS(TLS_SECURE) | KEY_LEVELS(TLS_FINGERPRINT) |
					KEY_LEVELS(TLS_DANE_ONLY);
	const struct written *tls = reading_value(section, "tls", 0);
	const struct written *reason = reading_value(section, "reason", 0);
	struct config_exception e = { 0 }, *kept;
	bool good = read_until(r, p, section, line, &e.until_s);

	if (!reading_has(section, "tls"))
		reading_error(r, line, "exception of partner '%s' has no tls = LEVEL", p->name);
	if (tls == NULL || !reading_level(r, tls, "tls", allowed, &e.level) ||
	    !check_needs(r, p, of, e.level, "exception: ", tls->line))
		good = false;
	if (reason == NULL && reading_has(section, "reason")) {
		good = false;
	} else if (reason == NULL || reason->text[strspn(reason->text, " ")] == '\0' ||
		   strlen(reason->text) > CONFIG_REASON_MAX) {
		reading_error(r, reason == NULL ? line : reason->line,
		    "exception of partner '%s' has no reason = TEXT of up to %d letters: who reads it "
		    "later must know why",
		    p->name, CONFIG_REASON_MAX);
		good = false;
	}
	if (p->observe)
		reading_warning(r, line,
		    "exception of partner '%s': with mode = observe nothing is refused, so nothing "
		    "needs an exception",
		    p->name);
	if (!good)
		return NULL;
	e.reason = mem_copy_text(reason->text);
	kept = mem_create(sizeof *kept);
	*kept = e;
	return kept;
}

static bool read_until(
    struct reading *r, const struct config_partner *p, cfg_t *section, size_t line, int64_t *until)
{
	const struct written *w = reading_value(section, "until", 0);
	int64_t now_s = clock_wall_s();
	char end[CLOCK_DATE_MAX];

	if (!reading_has(section, "until"))
		reading_error(r, line, "exception of partner '%s' has no until = DATE", p->name);
	if (w == NULL)
		return false;
	if (!value_parse_date(w->text, until)) {
		reading_error(r, w->line,
		    "until = %s: must be a day, as 2026-12-01, or a time in UTC, as 2026-12-01T18:00Z",
		    w->text);
		return false;
	}
	clock_print_iso(*until, end);
	if (*until <= now_s)
		reading_warning(r, w->line,
		    "until = %s: the exception of partner '%s' is over since %s: remove it",
		    w->text, p->name, end);
	else if (*until > now_s + YEAR_S)
		reading_warning(r, w->line,
		    "until = %s: more than a year ahead: an exception for so long is a rule that nobody "
		    "looks at",
		    w->text);
	return true;
}

/*
 * A pin that is not judged would be a promise that nobody keeps, so it is an error: with "secure"
 * and "verify" an authority and a name decide, and they never both. An unused ca promises less.
 */
static void check_use(
    struct reading *r, const struct config_partner *p, size_t line, size_t line_exception)
{
	enum tls_level other = p->exception == NULL ? p->level : p->exception->level;
	const char *word = tls_level_name(p->level);

	if (p->level != TLS_FINGERPRINT && other != TLS_FINGERPRINT &&
	    p->n_fingerprints + p->n_public_keys > 0)
		reading_error(r, line,
		    "%s is not judged with tls = %s: to demand it write tls = fingerprint, otherwise "
		    "remove it",
		    p->n_fingerprints > 0 ? "fingerprint" : "public-key", word);
	if (p->exception != NULL && other >= p->level)
		reading_warning(r, line_exception,
		    "exception of partner '%s': tls = %s is not weaker than its own tls = %s",
		    p->name, tls_level_name(other), word);
	if (p->ca_file != NULL && p->level != TLS_SECURE && p->level != TLS_VERIFY &&
	    other != TLS_SECURE && other != TLS_VERIFY)
		reading_warning(r, line, "ca is not used with tls = %s", word);
}
