/*
 * A tag list, "v=1; a=rsa-sha256; ...", as RFC 6376 3.2 writes it: of a DKIM-Signature field or of
 * a key record. Nothing is copied; values keep the folding white space inside them.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "relay/base/buffer.h"

enum { DKIM_TAGS_MAX = 32 };

struct dkim_tag {
	struct slice name;
	struct slice value; /* without white space around it */
	struct slice raw;   /* all between "=" and ";" or the end */
};

struct dkim_tags {
	struct dkim_tag tags[DKIM_TAGS_MAX];
	size_t n;
};

/* False if it is not a tag list: bad names or values, a name twice, or more than the maximum. */
bool dkim_tags_parse(struct slice text, struct dkim_tags *tags);

/* Names are case-sensitive. NULL if there is none. */
const struct dkim_tag *dkim_tags_find(const struct dkim_tags *tags, const char *name);

/*
 * Base64 with folding white space anywhere (RFC 6376 2.10), into bytes that have room for max.
 * False if it is not base64, is empty or does not fit.
 */
bool dkim_tag_base64(struct slice value, void *bytes, size_t max, size_t *n_bytes);
