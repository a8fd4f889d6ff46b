/*
 * Two ways in, the command and the line after a challenge; one response at a time.
 */
#include "smtp/login.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"

static bool take_mechanism(
    struct smtp_login *l, struct slice word, const char *mechanisms, struct outcome *why);
static bool take_response(struct smtp_login *l, struct slice text, struct outcome *why);

void smtp_login_init(struct smtp_login *l)
{
	*l = (struct smtp_login){ .auth = { .mechanism = "" } };
}

void smtp_login_forget(struct smtp_login *l)
{
	mem_free_secret((char *)l->response, l->room);
	l->response = NULL;
	l->room = 0;
	l->auth.response = NULL;
	l->auth.n_response = 0;
}

bool smtp_login_begin(
    struct smtp_login *l, struct slice arguments, const char *mechanisms, struct outcome *why)
{
	const char *space = memchr(arguments.bytes, ' ', arguments.n);
	struct slice word = arguments, response = { 0 };

	smtp_login_forget(l);
	if (space != NULL) {
		word.n = (size_t)(space - arguments.bytes);
		response = (struct slice){ space + 1, arguments.n - word.n - 1 };
	}
	if (!take_mechanism(l, word, mechanisms, why))
		return false;
	l->auth.is_first = true;
	l->auth.has_response = space != NULL;
	/* RFC 4954 4: a response of no bytes is written so, to tell it from none. */
	if (slice_equals(response, "="))
		response.n = 0;
	return take_response(l, response, why);
}

static bool take_mechanism(
    struct smtp_login *l, struct slice word, const char *mechanisms, struct outcome *why)
{
	const char *at = mechanisms;

	if (word.n == 0) {
		outcome_say(
		    why, 501, "5.5.4", "auth-syntax", "AUTH needs a mechanism: %s", mechanisms);
		return false;
	}
	while (*at != '\0') {
		size_t n = strcspn(at, " ");

		if (word.n == n && n < SMTP_MECHANISM_MAX && strncasecmp(at, word.bytes, n) == 0) {
			for (size_t i = 0; i < n; i++)
				l->mechanism[i] = (char)toupper((unsigned char)at[i]);
			l->mechanism[n] = '\0';
			l->auth.mechanism = l->mechanism;
			return true;
		}
		at += n;
		at += strspn(at, " ");
	}
	outcome_say(why, 504, "5.5.4", "auth-mechanism",
	    "That mechanism is not offered, these are: %s", mechanisms);
	return false;
}

bool smtp_login_respond(struct smtp_login *l, struct slice line, struct outcome *why)
{
	smtp_login_forget(l);
	if (slice_equals(line, "*")) {
		outcome_say(why, 501, "5.7.0", "auth-cancelled", "Authentication cancelled");
		return false;
	}
	l->auth.is_first = false;
	l->auth.has_response = true;
	return take_response(l, line, why);
}

static bool take_response(struct smtp_login *l, struct slice text, struct outcome *why)
{
	l->room = text.n / 4 * 3 + 1; /* never nothing, so that an empty one is not NULL */
	l->response = mem_create(l->room);
	l->auth.response = l->response;
	if (base64_decode(text.bytes, text.n, l->response, &l->auth.n_response))
		return true;
	smtp_login_forget(l);
	outcome_say(why, 501, "5.5.2", "auth-base64", "The response is not base64");
	return false;
}
