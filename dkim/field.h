/*
 * A header block taken apart into its fields, in their order. Nothing is copied: the slices point
 * into the block, which must outlive them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/buffer.h"

enum { DKIM_FIELDS_MAX = 10000 };

struct dkim_field {
	struct slice
	    name; /* without the white space that obsolete syntax allows before the colon */
	struct slice text; /* name to last byte with its folds, without the CRLF that ends it */
};

struct dkim_fields {
	struct dkim_field *fields;
	size_t n;
	size_t n_bytes; /* of the block, with the empty line if it has one: here the body begins */
};

/*
 * Takes fields until an empty line or the end of the text. False, and nothing to finish, if a line
 * is neither a field nor a fold of one, does not end in CRLF, or there are more than the maximum.
 */
bool dkim_fields_init(struct dkim_fields *fields, struct slice header);
void dkim_fields_finish(struct dkim_fields *fields);
