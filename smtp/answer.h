/*
 * The server's replies as text (RFC 5321 4.2), each line with its enhanced code (RFC 2034).
 */
#pragma once

#include "relay/base/outcome.h"

struct evbuffer;

enum { SMTP_ANSWER_LINE_MAX = 512 }; /* with CRLF, RFC 5321 4.5.3.1.5 */

/* A long text becomes several lines, broken at spaces where there are any. */
void smtp_answer_write(struct evbuffer *out, const struct outcome *what);

void smtp_answer_say(struct evbuffer *out, int code, const char *enhanced, const char *text);
