/*
 * Reads the text before libconfuse does, by libconfuse's own tables, because libconfuse stops at
 * the first mistake and passes over some in silence: an unquoted '*' or '+' is dropped, a section
 * open at the end of the file is closed, a key or a name written twice overwrites the first.
 * What is wrong becomes a finding and is turned to spaces, so that the rest can be read.
 */
#pragma once

#include <confuse.h>
#include <stddef.h>

#include "config/findings.h"
#include "config/source.h"

/* A value that begins so has had its finding, and says nothing more. No line of a source has it. */
enum { PROOF_SPOILED = '\x01' };

/* Where a section began. Sections of a kind come in the order of the text. */
struct proof_section {
	const char *kind; /* "account" */
	char *title;      /* as written, without quotes; NULL if it has none */
	size_t line;
};

struct proof {
	struct proof_section *sections;
	size_t n_sections;
};

void proof_read(struct proof *p, struct source *s, const cfg_opt_t *options, struct findings *f);
void proof_finish(struct proof *p);

/*
 * The line of the first section of that kind and title, in any case of letters, or of the nth of
 * that kind if title is NULL; 0 if there is none.
 */
size_t proof_find_section(const struct proof *p, const char *kind, const char *title, size_t nth);
