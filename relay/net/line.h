/* Lines out of an input buffer, for our own line-based talk on local sockets. */
#pragma once

#include <stddef.h>

struct evbuffer;

enum line_found {
	LINE_TAKEN,
	LINE_NOT_YET,  /* no line feed has arrived */
	LINE_TOO_LONG, /* there are room bytes or more without one */
};

/* The next line without its line feed, as a text; a NUL in it ends the text early. */
enum line_found line_take(struct evbuffer *in, char *line, size_t room);
