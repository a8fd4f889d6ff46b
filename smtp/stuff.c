/*
 * One pass over each piece, which is written in runs between the dots to be doubled.
 */
#include "smtp/stuff.h"

#include <event2/buffer.h>

void smtp_stuff_init(struct smtp_stuff *s)
{
	*s = (struct smtp_stuff){ .at_line_start = true };
}

bool smtp_stuff_add(struct smtp_stuff *s, const char *bytes, size_t n, struct evbuffer *out)
{
	size_t written = 0;

	for (size_t i = 0; i < n && !s->broken; i++) {
		char c = bytes[i];

		if (s->after_cr != (c == '\n') || c == '\0') {
			s->broken = true;
			break;
		}
		if (c == '.' && s->at_line_start) {
			/* The piece up to here, and the dot once more with what follows. */
			evbuffer_add(out, bytes + written, i + 1 - written);
			written = i;
		}
		s->at_line_start = c == '\n';
		s->after_cr = c == '\r';
	}
	if (s->broken)
		return false;
	evbuffer_add(out, bytes + written, n - written);
	return true;
}

bool smtp_stuff_end(struct smtp_stuff *s, struct evbuffer *out)
{
	if (s->broken || s->after_cr) {
		s->broken = true;
		return false;
	}
	if (!s->at_line_start)
		evbuffer_add(out, "\r\n", 2);
	evbuffer_add(out, ".\r\n", 3);
	return true;
}
