/*
 * Looks at one field, and at how many there are of it.
 */
#include "smtp/waiver.h"

#include "smtp/header.h"

enum smtp_waiver smtp_waiver_read(const struct header *header)
{
	const struct header_field *field = header_find(header, "TLS-Required", 0);
	struct slice word;

	if (field == NULL)
		return WAIVER_NONE;
	if (header_find(header, "TLS-Required", 1) != NULL)
		return WAIVER_STRANGE;
	word = field->value;
	while (word.n > 0 && (word.bytes[0] == ' ' || word.bytes[0] == '\t' ||
				 word.bytes[0] == '\r' || word.bytes[0] == '\n'))
		word.bytes++, word.n--;
	return slice_equals_nocase(word, "No") ? WAIVER_GIVEN : WAIVER_STRANGE;
}
