/*
 * What there is to say about a configuration, gathered while it is read and told at once, in the
 * order of its lines. A finding is an error (the configuration cannot be used) or a warning.
 */
#pragma once

#include <stddef.h>

#include "config/config.h"

enum finding { FINDING_ERROR, FINDING_WARNING };

/* Where in the files a line of the assembled text stands. */
struct findings_place {
	const char *file; /* owned by whoever assembles the text */
	unsigned line;
};

struct findings_entry {
	size_t line; /* of the assembled text, 0: the configuration as a whole */
	size_t nth;  /* in the order they were made */
	enum finding kind;
	char *text;
};

struct findings {
	struct findings_entry *entries;
	size_t n, n_errors;
};

/* More than this is not told: the file is something else than a configuration. */
enum { FINDINGS_MAX = 200 };

void findings_add(struct findings *f, enum finding kind, size_t line, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/*
 * Hands everything over as "FILE:LINE: text", warnings as "FILE:LINE: warning: text". places[0] is
 * line 1; a finding about the whole says just the file.
 */
void findings_tell(struct findings *f, const char *path, const struct findings_place *places,
    size_t n_places, struct config_remarks *remarks);
