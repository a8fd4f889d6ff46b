/*
 * The configuration as one text, with included files in their places and comments turned to
 * spaces, and the memory of where each of its lines came from. A string never spans lines.
 */
#pragma once

#include <stddef.h>

#include "config/findings.h"

struct source {
	char *text; /* n bytes and a NUL; no other NUL */
	size_t n;
	struct findings_place *places; /* places[0] is line 1 of text */
	size_t n_places;
	char **files;
	size_t n_files;
};

/*
 * What cannot be read (a file, a byte, an open quote) is among the findings and missing in the
 * text. Always leaves something for source_finish().
 */
void source_read(struct source *s, const char *path, struct findings *f);
void source_finish(struct source *s);

/* The path of a file named in another: absolute, or beside it. */
char *source_path_beside(const char *file, const char *name);
