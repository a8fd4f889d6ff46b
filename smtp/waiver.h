/*
 * The field by which a sender says that this message may travel without TLS: "TLS-Required: No",
 * RFC 8689 3. It waives what the receiver's domain asks (DANE, MTA-STS), so it is read to the letter:
 * white space and folds before the word, the word in any case, nothing behind it. Comments, other
 * words, white space at the end and a second field waive nothing.
 */
#pragma once

#include <stdbool.h>

struct header;

enum smtp_waiver {
	WAIVER_NONE,   /* no such field */
	WAIVER_GIVEN,  /* one, and it says No */
	WAIVER_STRANGE /* it says something else, or there are several */
};

enum smtp_waiver smtp_waiver_read(const struct header *header);
