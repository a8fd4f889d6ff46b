/*
 * A configuration while it is being read: what the parts of the reader share, and nobody else uses.
 */
#pragma once

#include <confuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "config/config.h"
#include "config/findings.h"
#include "config/proof.h"
#include "config/source.h"

struct reading {
	struct config *config;
	struct source source;
	struct proof proof;
	struct findings findings;
	cfg_t *cfg;
};

/* One value as the operator wrote it. */
struct written {
	size_t line;
	char text[];
};

/* The nth value of a key, or NULL if there is none or it has had its finding already. */
const struct written *reading_value(cfg_t *section, const char *name, unsigned nth);
unsigned reading_count(cfg_t *section, const char *name);

/* Whether a key is written at all, were its value a mistake that has had its finding. */
bool reading_has(cfg_t *section, const char *name);

/* The line of a key, of the section if the key is not there, of the whole (0) if neither is. */
size_t reading_line(const struct reading *r, const char *section, const char *key);

/* The line of a section that has a name. */
size_t reading_section_line(const struct reading *r, cfg_t *section);

/* Into a list of the configuration, which owns it then. */
void reading_add_text(char ***texts, size_t *n, char *text);

/* A path made absolute: relative ones are beside the configuration. */
char *reading_path(const struct reading *r, const char *text);

#define reading_error(r, line, ...) findings_add(&(r)->findings, FINDING_ERROR, line, __VA_ARGS__)
#define reading_warning(r, line, ...)                                                              \
	findings_add(&(r)->findings, FINDING_WARNING, line, __VA_ARGS__)

/* "must be one of a, b, c" and, if one is near, "did you mean". */
void reading_error_word(struct reading *r, const struct written *w, const char *key,
    const char *const *words, size_t n_words);

/* A descriptor of a regular file, or -1 and errno. Opening is the only honest test of a right. */
int reading_open_file(const char *path, struct stat *st);

/* A level of the allowed set (KEY_LEVELS), or false and a finding that says which there are. */
bool reading_level(struct reading *r, const struct written *w, const char *key, unsigned allowed,
    enum tls_level *level);

/* Each into r->config: the sections that are more than values of their own. */
void read_sections(struct reading *r);
void read_accounts(struct reading *r);
void read_partners(struct reading *r);
void read_routes(struct reading *r);
void read_reports(struct reading *r);

/* check.c: what can only be judged when everything has been read. */
void check_everything(struct reading *r);
