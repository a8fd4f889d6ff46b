/*
 * Plays a dialogue with a submission session, without sockets. The script is lines, NULL at the end:
 *
 *	"C: text"	the client says the line; lines in a row arrive together
 *	"R: text"	the same without CRLF at its end
 *	"S: text"	the server answers with a line that begins so
 *	"W: text"	the session wants something: "starttls", "auth MECHANISM first|more [RESPONSE]",
 *			"mail ADDRESS", "rcpt ADDRESS", "data", "accept CONTENT", "aborted", "close"
 *	"A: text"	behind a W: the owner's answer, "code enhanced text"; for auth "done", "refused",
 *			"broken" or "challenge TEXT". Without it the answer is yes.
 *
 * \r, \n, \0 and \\ are written as in C. The session begins in TLS, past its banner.
 */
#pragma once

#include <stdbool.h>

struct play {
	const char *name;
	const char *const *script;
	bool in_clear;       /* begins without TLS */
	bool needs_segments; /* it matters what arrives together: not for single bytes */
};

/* Once as written, once byte by byte; fails the test that runs if anything is not as the script has it. */
void play(const struct play *play);
