/*
 * From the file to the struct: libconfuse parses, the table of keys says where each value goes.
 */
#include "config/read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/keys.h"
#include "config/suggest.h"
#include "config/values.h"
#include "relay/base/domain.h"
#include "relay/base/mem.h"
#include "relay/base/number.h"

static char *absolute(const char *path);
static void parse(struct reading *r, const char *path);
static int take_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result);
static void stay_silent(cfg_t *cfg, const char *format, va_list args);
static void read_keys(struct reading *r);
static cfg_t *find_section(struct reading *r, const char *name);
static bool read_key(struct reading *r, const struct key *key, const struct written *w);
static bool read_number(struct reading *r, const struct key *key, const struct written *w);
static void store_number(struct config *config, const struct key *key, uint64_t number);
static bool read_level(struct reading *r, const struct key *key, const struct written *w);
static bool complain(
    struct reading *r, const struct key *key, const struct written *w, const char *form);
static void complete(struct config *config);

struct config *config_load(const char *path, struct config_remarks *remarks)
{
	struct config *config = config_load_unfinished(path, remarks);

	if (remarks->n_errors > 0)
		config_destroy(&config);
	return config;
}

struct config *config_load_unfinished(const char *path, struct config_remarks *remarks)
{
	struct reading r = { .config = mem_create(sizeof *r.config) };

	r.config->path = absolute(path);
	parse(&r, path);
	if (r.cfg != NULL) {
		read_keys(&r);
		complete(r.config);
		read_sections(&r);
		check_everything(&r);
		cfg_free(r.cfg);
	} else {
		config_destroy(&r.config);
	}
	findings_tell(&r.findings, path, r.source.places, r.source.n_places, remarks);
	proof_finish(&r.proof);
	source_finish(&r.source);
	return r.config;
}

static char *absolute(const char *path)
{
	char *directory, *whole;

	if (path[0] == '/')
		return mem_copy_text(path);
	directory = getcwd(NULL, 0);
	whole = mem_print("%s/%s", directory == NULL ? "" : directory, path);
	free(directory);
	return whole;
}

/* Leaves r->cfg NULL if there is nothing to read on. */
static void parse(struct reading *r, const char *path)
{
	cfg_opt_t *options = keys_create_options(take_value);

	source_read(&r->source, path, &r->findings);
	if (r->source.n_places > 0) {
		proof_read(&r->proof, &r->source, options, &r->findings);
		r->cfg = cfg_init(options, CFGF_NONE);
		cfg_set_error_function(r->cfg, stay_silent);
		if (cfg_parse_buf(r->cfg, r->source.text) != CFG_SUCCESS)
			reading_error(r, (size_t)r->cfg->line,
			    "cannot be understood: look at quotes and backslashes");
	} else if (r->findings.n_errors == 0) {
		reading_error(r, 0, "the file is empty");
	}
	keys_destroy_options(&options);
}

/* libconfuse's way to keep a value of ours: with the line it stands in. */
static int take_value(cfg_t *cfg, cfg_opt_t *opt, const char *value, void *result)
{
	struct written *w = mem_create(sizeof *w + strlen(value) + 1);

	(void)opt;
	w->line = (size_t)cfg->line;
	memcpy(w->text, value, strlen(value) + 1);
	*(void **)result = w;
	return 0;
}

/* What libconfuse could complain about, proof.c has told better. */
static void stay_silent(cfg_t *cfg, const char *format, va_list args)
{
	(void)cfg;
	(void)format;
	(void)args;
}

static void read_keys(struct reading *r)
{
	for (size_t i = 0; i < n_keys; i++) {
		const struct key *key = &keys[i];
		const struct written *w;
		struct written *standard;

		if (key->kind == KEY_OTHER || key->kind == KEY_LIST)
			continue;
		w = reading_value(find_section(r, key->section), key->name, 0);
		if ((w != NULL && read_key(r, key, w)) || key->standard == NULL)
			continue;
		standard = mem_create(sizeof *standard + strlen(key->standard) + 1);
		memcpy(standard->text, key->standard, strlen(key->standard) + 1);
		read_key(r, key, standard);
		free(standard);
	}
}

static cfg_t *find_section(struct reading *r, const char *name)
{
	return name[0] == '\0' ? r->cfg : cfg_getsec(r->cfg, name);
}

static bool read_key(struct reading *r, const struct key *key, const struct written *w)
{
	char **text = (char **)((char *)r->config + key->offset);
	char domain[DOMAIN_MAX];

	switch (key->kind) {
	case KEY_TEXT:
		if (w->text[0] == '\0')
			return complain(r, key, w, "some text");
		*text = mem_copy_text(w->text);
		return true;
	case KEY_HOST:
		if (!domain_written(w->text, domain))
			return complain(r, key, w, "a host name, as mail.example.org");
		*text = mem_copy_text(domain);
		return true;
	case KEY_NAME:
		if (w->text[0] != '\0' && !domain_written(w->text, domain))
			return complain(r, key, w, "a domain name, or \"\" for none");
		*text = mem_copy_text(w->text[0] == '\0' ? "" : domain);
		return true;
	case KEY_LOG:
		if (strcmp(w->text, "syslog") == 0 || strcmp(w->text, "stderr") == 0) {
			*text = mem_copy_text(w->text);
			return true;
		}
		if (strchr(w->text, '/') == NULL)
			return complain(r, key, w, "syslog, stderr or a path");
		*text = reading_path(r, w->text);
		return true;
	case KEY_PATH:
		if (w->text[0] == '\0')
			return complain(r, key, w, "a path");
		*text = reading_path(r, w->text);
		return true;
	case KEY_SWITCH:
		if (!value_parse_switch(w->text, (bool *)((char *)r->config + key->offset)))
			return complain(r, key, w, "on or off");
		return true;
	case KEY_LEVEL: return read_level(r, key, w);
	case KEY_NUMBER:
	case KEY_PORT:
	case KEY_SIZE:
	case KEY_SIZE64:
	case KEY_SECONDS:
	case KEY_MILLISECONDS: return read_number(r, key, w);
	case KEY_OTHER:
	case KEY_LIST: break;
	}
	return false;
}

static bool read_number(struct reading *r, const struct key *key, const struct written *w)
{
	const char *form = "a whole number";
	uint64_t number = 0;
	bool good;

	if (key->kind == KEY_SECONDS || key->kind == KEY_MILLISECONDS) {
		form = "a time, as 90s, 5m, 1h or 5d";
		good = value_parse_seconds(w->text, &number);
	} else if (key->kind == KEY_SIZE || key->kind == KEY_SIZE64) {
		form = "a size in bytes, as 4096, 100k, 25M or 2G";
		good = value_parse_size(w->text, &number);
	} else {
		good = number_parse(w->text, strlen(w->text), UINT32_MAX, &number);
	}
	if (!good)
		return complain(r, key, w, form);
	if (number < key->least || number > key->most) {
		reading_error(r, w->line, "%s = %s: must be from %llu to %llu", key->name, w->text,
		    (unsigned long long)key->least, (unsigned long long)key->most);
		return false;
	}
	store_number(r->config, key, number);
	return true;
}

/* key->most has kept it within the member. */
static void store_number(struct config *config, const struct key *key, uint64_t number)
{
	char *member = (char *)config + key->offset;

	if (key->kind == KEY_SIZE64)
		*(uint64_t *)(void *)member = number;
	else if (key->kind == KEY_PORT)
		*(uint16_t *)(void *)member = (uint16_t)number;
	else if (key->kind == KEY_MILLISECONDS)
		*(uint32_t *)(void *)member = (uint32_t)(number * 1000);
	else
		*(uint32_t *)(void *)member = (uint32_t)number;
}

static bool read_level(struct reading *r, const struct key *key, const struct written *w)
{
	return reading_level(r, w, key->name, (unsigned)key->most,
	    (enum tls_level *)(void *)((char *)r->config + key->offset));
}

static bool complain(
    struct reading *r, const struct key *key, const struct written *w, const char *form)
{
	reading_error(r, w->line, "%s = %s: must be %s", key->name, w->text, form);
	return false;
}

void reading_error_word(struct reading *r, const struct written *w, const char *key,
    const char *const *words, size_t n_words)
{
	const char *nearest = suggest_nearest(w->text, words, n_words);
	char list[256] = "";
	size_t n = 0;

	for (size_t i = 0; i < n_words && n < sizeof list; i++)
		n += (size_t)snprintf(
		    list + n, sizeof list - n, "%s%s", i == 0 ? "" : ", ", words[i]);
	reading_error(r, w->line, "%s = %s: must be one of %s%s%s%s", key, w->text, list,
	    nearest == NULL ? "" : "; did you mean '", nearest == NULL ? "" : nearest,
	    nearest == NULL ? "" : "'?");
}

bool reading_level(struct reading *r, const struct written *w, const char *key, unsigned allowed,
    enum tls_level *level)
{
	const char *words[TLS_MTA_STS];
	size_t n = 0;
	enum tls_level parsed;

	if (tls_level_parse(w->text, &parsed) && (allowed & KEY_LEVELS(parsed)) != 0) {
		*level = parsed;
		return true;
	}
	for (int i = 0; i < TLS_MTA_STS; i++) {
		if ((allowed & KEY_LEVELS(i)) != 0)
			words[n++] = tls_level_name((enum tls_level)i);
	}
	reading_error_word(r, w, key, words, n);
	return false;
}

static void complete(struct config *config)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	if (config->processes == 0)
		config->processes = cores < 1 ? 1 : cores > 64 ? 64 : (uint32_t)cores;
	if (config->control == NULL)
		config->control = mem_print("%s/control", config->spool);
	if (config->tlsrpt.organization == NULL)
		config->tlsrpt.organization = mem_copy_text(config->hostname);
}

const struct written *reading_value(cfg_t *section, const char *name, unsigned nth)
{
	const struct written *w = cfg_getnptr(section, name, nth);

	return w == NULL || w->text[0] == PROOF_SPOILED ? NULL : w;
}

unsigned reading_count(cfg_t *section, const char *name)
{
	return cfg_size(section, name);
}

bool reading_has(cfg_t *section, const char *name)
{
	return cfg_getnptr(section, name, 0) != NULL;
}

size_t reading_line(const struct reading *r, const char *section, const char *key)
{
	cfg_t *cfg = section[0] == '\0' ? r->cfg : cfg_getsec(r->cfg, section);
	const struct written *w = cfg == NULL ? NULL : cfg_getnptr(cfg, key, 0);

	return w != NULL ? w->line : proof_find_section(&r->proof, section, NULL, 0);
}

size_t reading_section_line(const struct reading *r, cfg_t *section)
{
	return proof_find_section(&r->proof, cfg_name(section), cfg_title(section), 0);
}

void reading_add_text(char ***texts, size_t *n, char *text)
{
	*texts = mem_resize(*texts, *n + 1, sizeof **texts);
	(*texts)[(*n)++] = text;
}

char *reading_path(const struct reading *r, const char *text)
{
	return source_path_beside(r->config->path, text);
}

int reading_open_file(const char *path, struct stat *st)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (fstat(fd, st) == 0 && S_ISREG(st->st_mode))
		return fd;
	close(fd);
	errno = EISDIR;
	return -1;
}
