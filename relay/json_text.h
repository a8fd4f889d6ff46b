/* Any bytes as a text of JSON, which is UTF-8: what strangers wrote must not hide what it is part of. */
#pragma once

#include <jansson.h>

/* What is not UTF-8 is escaped. */
json_t *json_text(const char *text);
