#include "relay/net/line.h"

#include <event2/buffer.h>

enum line_found line_take(struct evbuffer *in, char *line, size_t room)
{
	struct evbuffer_ptr end = evbuffer_search_eol(in, NULL, NULL, EVBUFFER_EOL_LF);

	if (end.pos < 0)
		return evbuffer_get_length(in) >= room ? LINE_TOO_LONG : LINE_NOT_YET;
	if ((size_t)end.pos >= room)
		return LINE_TOO_LONG;
	evbuffer_remove(in, line, (size_t)end.pos + 1);
	line[end.pos] = '\0';
	return LINE_TAKEN;
}
