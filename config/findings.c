/*
 * Findings in the order they were made become remarks in the order of the lines they are about.
 */
#include "config/findings.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "relay/base/mem.h"

static int by_line(const void *a, const void *b);

void findings_add(struct findings *f, enum finding kind, size_t line, const char *format, ...)
{
	char text[1024];
	va_list args;

	if (kind == FINDING_ERROR)
		f->n_errors++;
	if (f->n >= FINDINGS_MAX)
		return;
	va_start(args, format);
	vsnprintf(text, sizeof text, format, args);
	va_end(args);
	f->entries = mem_resize(f->entries, f->n + 1, sizeof *f->entries);
	f->entries[f->n] = (struct findings_entry){
		.line = line, .nth = f->n, .kind = kind, .text = mem_copy_text(text)
	};
	f->n++;
}

void findings_tell(struct findings *f, const char *path, const struct findings_place *places,
    size_t n_places, struct config_remarks *remarks)
{
	*remarks = (struct config_remarks){ .n = f->n, .n_errors = f->n_errors };
	if (f->n > 0) {
		remarks->texts = mem_resize(NULL, f->n, sizeof *remarks->texts);
		qsort(f->entries, f->n, sizeof *f->entries, by_line);
	}
	for (size_t i = 0; i < f->n; i++) {
		struct findings_entry *e = &f->entries[i];
		const char *mark = e->kind == FINDING_WARNING ? "warning: " : "";

		if (e->line == 0 || e->line > n_places)
			remarks->texts[i] = mem_print("%s: %s%s", path, mark, e->text);
		else
			remarks->texts[i] = mem_print("%s:%u: %s%s", places[e->line - 1].file,
			    places[e->line - 1].line, mark, e->text);
		free(e->text);
	}
	free(f->entries);
	*f = (struct findings){ 0 };
}

/* Lines of an included file stand where they were included. What is about the whole comes last. */
static int by_line(const void *a, const void *b)
{
	const struct findings_entry *x = a, *y = b;
	size_t at_x = x->line == 0 ? (size_t)-1 : x->line;
	size_t at_y = y->line == 0 ? (size_t)-1 : y->line;

	if (at_x != at_y)
		return at_x < at_y ? -1 : 1;
	return x->nth < y->nth ? -1 : 1;
}
