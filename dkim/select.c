/*
 * The table of the header, applied to one header block.
 */
#include "dkim/select.h"

#include <stdlib.h>

#include "relay/base/mem.h"

static const struct {
	const char *name;
	size_t n_beyond; /* 0 or 1: the room below counts on it */
} signed_fields[] = {
#define X(name, n_beyond) { name, n_beyond },
	DKIM_SIGNED_FIELDS(X)
#undef X
};

enum { N_SIGNED_FIELDS = sizeof signed_fields / sizeof *signed_fields };

void dkim_selection_init(struct dkim_selection *selection, const struct dkim_fields *fields)
{
	selection->n = 0;
	selection->selected =
	    mem_resize(NULL, fields->n + N_SIGNED_FIELDS, sizeof *selection->selected);
	for (size_t i = 0; i < N_SIGNED_FIELDS; i++) {
		const char *name = signed_fields[i].name;

		for (size_t j = fields->n; j-- > 0;) {
			if (slice_equals_nocase(fields->fields[j].name, name))
				selection->selected[selection->n++] =
				    (struct dkim_selected){ name, &fields->fields[j] };
		}
		for (size_t j = 0; j < signed_fields[i].n_beyond; j++)
			selection->selected[selection->n++] = (struct dkim_selected){ name, NULL };
	}
}

void dkim_selection_finish(struct dkim_selection *selection)
{
	free(selection->selected);
	*selection = (struct dkim_selection){ 0 };
}
