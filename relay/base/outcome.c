#include "relay/base/outcome.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static enum outcome_class class_of(int code)
{
	return code / 100 == 2 || code / 100 == 3 ? OUTCOME_OK
	       : code / 100 == 5                  ? OUTCOME_FAIL
						  : OUTCOME_DEFER;
}

void outcome_say(
    struct outcome *o, int code, const char *enhanced, const char *name, const char *format, ...)
{
	va_list args;

	assert(code >= 200 && code <= 599);
	*o = (struct outcome){ .class = class_of(code), .code = code };
	snprintf(o->enhanced, sizeof o->enhanced, "%s", enhanced);
	snprintf(o->name, sizeof o->name, "%s", name);
	va_start(args, format);
	vsnprintf(o->text, sizeof o->text, format, args);
	va_end(args);
	for (char *c = o->text; *c != '\0'; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
}

void outcome_ok(struct outcome *o)
{
	outcome_say(o, 250, "2.0.0", "", "Ok");
}

bool outcome_is_ok(const struct outcome *o)
{
	return o->class == OUTCOME_OK;
}

const char *outcome_class_name(enum outcome_class class)
{
	switch (class) {
	case OUTCOME_OK: return "ok";
	case OUTCOME_DEFER: return "deferred";
	case OUTCOME_FAIL: return "failed";
	}
	return "unknown";
}
