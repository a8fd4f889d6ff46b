/*
 * The one shape of every refusal and every success, whoever spoke it: a remote server, a library,
 * or a rule of ours. It is a value: copied, stored, logged, answered to a client. What it means for
 * a message is decided in relay/outcome.c alone.
 */
#pragma once

#include <stdbool.h>

enum outcome_class {
	OUTCOME_OK,
	OUTCOME_DEFER, /* 4xx: may well go better later */
	OUTCOME_FAIL,  /* 5xx: the same again would be refused again */
};

enum {
	OUTCOME_TEXT_MAX = 512,
	OUTCOME_WHO_MAX = 320,
	OUTCOME_NAME_MAX = 40,
};

struct outcome {
	enum outcome_class class;
	int code;                    /* SMTP reply code, RFC 5321 4.2 */
	char enhanced[12];           /* "5.7.1", RFC 3463; never empty */
	char text[OUTCOME_TEXT_MAX]; /* printable, one line: what, where, why, what to do next */
	char who[OUTCOME_WHO_MAX];   /* "mx.example[192.0.2.1]" if a peer said it; "" if we did */
	char name[OUTCOME_NAME_MAX]; /* stable name, as "sender-not-owned"; "" for remote replies */
};

/*
 * Says something of our own. The class follows the first digit of code, which must be that of
 * enhanced too. name may be "". The text is cut at its maximum; unprintable bytes become '?'.
 */
void outcome_say(struct outcome *o, int code, const char *enhanced, const char *name,
    const char *format, ...) __attribute__((format(printf, 5, 6)));

/* 250 2.0.0 Ok */
void outcome_ok(struct outcome *o);

bool outcome_is_ok(const struct outcome *o);
const char *outcome_class_name(enum outcome_class class);
