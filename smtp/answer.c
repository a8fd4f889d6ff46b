/*
 * One reply, in as many lines as its text needs.
 */
#include "smtp/answer.h"

#include <string.h>

#include <event2/buffer.h>

enum { TEXT_MAX = SMTP_ANSWER_LINE_MAX - 32 }; /* besides codes and CRLF */

void smtp_answer_write(struct evbuffer *out, const struct outcome *what)
{
	smtp_answer_say(out, what->code, what->enhanced, what->text);
}

void smtp_answer_say(struct evbuffer *out, int code, const char *enhanced, const char *text)
{
	size_t left = strlen(text);

	while (left > TEXT_MAX) {
		size_t n = TEXT_MAX;

		while (n > 1 && text[n - 1] != ' ')
			n--;
		if (n == 1)
			n = TEXT_MAX;
		evbuffer_add_printf(out, "%d-%s %.*s\r\n", code, enhanced, (int)n, text);
		text += n;
		left -= n;
	}
	evbuffer_add_printf(out, "%d %s %s\r\n", code, enhanced, text);
}
