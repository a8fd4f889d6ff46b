/*
 * Writes the field in short lines and hashes it behind the fields it names. b= comes last, so that
 * finishing is appending.
 */
#include "dkim/sign.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dkim/canonical.h"
#include "dkim/digest.h"
#include "dkim/select.h"
#include "relay/base/domain.h"
#include "relay/base/encode.h"
#include "relay/base/mem.h"

enum {
	COLUMNS_MAX = 78,    /* RFC 5322 2.1.1 */
	FIELD_MAX = 1048576, /* DKIM_FIELDS_MAX names and change: never reached */
};

static void write_field(
    const struct dkim_seal *seal, const struct dkim_selection *selection, struct buffer *field);
static void write_word(struct buffer *field, const char *before, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static size_t column_of(const char *text, size_t n);
static void hash_header(const struct dkim_selection *selection, struct slice header,
    const struct buffer *field, uint8_t digest[DKIM_DIGEST_SIZE]);
static bool has_from(const struct dkim_selection *selection);
static bool domain_is_canonical(const char *domain);

int dkim_sign_prepare(const struct dkim_seal *seal, struct slice header, char **field,
    uint8_t digest[DKIM_DIGEST_SIZE], char *error, size_t room)
{
	struct dkim_selection selection;
	struct dkim_fields fields;
	struct buffer text;
	int result = -1;

	assert(seal->time_s >= 0);
	if (!domain_is_canonical(seal->domain) ||
	    !dkim_selector_is_valid(seal->selector, strlen(seal->selector))) {
		snprintf(error, room,
		    "can't seal for domain \"%.253s\" with selector \"%.253s\": "
		    "not the names of a key",
		    seal->domain, seal->selector);
		return -1;
	}
	if (!dkim_fields_init(&fields, header)) {
		snprintf(error, room,
		    "can't seal for %s: not a header block of whole fields "
		    "with CRLF line ends",
		    seal->domain);
		return -1;
	}
	dkim_selection_init(&selection, &fields);
	if (!has_from(&selection)) {
		/* RFC 6376 5.4: From MUST be signed. */
		snprintf(error, room, "can't seal for %s: there is no From field", seal->domain);
		goto out;
	}
	buffer_init(&text, FIELD_MAX);
	write_field(seal, &selection, &text);
	assert(!text.overflowed);
	hash_header(&selection, header, &text, digest);
	*field = buffer_take(&text);
	result = 0;
out:
	dkim_selection_finish(&selection);
	dkim_fields_finish(&fields);
	return result;
}

/* The keeper looks a key up by this very text, and verifiers ask the DNS for it. */
static bool domain_is_canonical(const char *domain)
{
	char canonical[DOMAIN_MAX];

	return domain_canonical(domain, strlen(domain), canonical) &&
	       strcmp(domain, canonical) == 0;
}

static bool has_from(const struct dkim_selection *selection)
{
	for (size_t i = 0; i < selection->n; i++) {
		if (selection->selected[i].field != NULL &&
		    strcmp(selection->selected[i].name, "from") == 0)
			return true;
	}
	return false;
}

/* b= comes last, so that the signature can be put behind it. */
static void write_field(
    const struct dkim_seal *seal, const struct dkim_selection *selection, struct buffer *field)
{
	char body_hash[BASE64_ROOM(DKIM_DIGEST_SIZE)];

	base64_encode(seal->body_hash, DKIM_DIGEST_SIZE, body_hash);
	buffer_add_text(field, "DKIM-Signature:");
	write_word(field, " ", "v=1;");
	write_word(field, " ", "a=%s;", dkim_algorithm_name(seal->algorithm));
	write_word(field, " ", "c=relaxed/relaxed;");
	write_word(field, " ", "d=%s;", seal->domain);
	write_word(field, " ", "s=%s;", seal->selector);
	write_word(field, " ", "t=%lld;", (long long)seal->time_s);
	for (size_t i = 0; i < selection->n; i++)
		write_word(field, i == 0 ? " " : "", "%s%s%s", i == 0 ? "h=" : "",
		    selection->selected[i].name, i + 1 < selection->n ? ":" : ";");
	write_word(field, " ", "bh=%s;", body_hash);
	write_word(field, " ", "b=");
}

/* Never breaks a word; folds before one that does not fit. */
static void write_word(struct buffer *field, const char *before, const char *format, ...)
{
	char word[DOMAIN_MAX + 16];
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(word, sizeof word, format, args);
	va_end(args);
	assert(n > 0 && (size_t)n < sizeof word);
	if (column_of(field->bytes, field->n) + strlen(before) + (size_t)n > COLUMNS_MAX)
		before = "\r\n ";
	buffer_add_text(field, before);
	buffer_add(field, word, (size_t)n);
}

static size_t column_of(const char *text, size_t n)
{
	const char *feed = memrchr(text, '\n', n);

	return feed == NULL ? n : (size_t)(text + n - feed) - 1;
}

/* RFC 6376 3.7: the fields in the order of h=, each with CRLF, then this one without. */
static void hash_header(const struct dkim_selection *selection, struct slice header,
    const struct buffer *field, uint8_t digest[DKIM_DIGEST_SIZE])
{
	struct buffer canonical;

	/* Relaxed never makes longer; the last field of the block may be without its CRLF. */
	buffer_init(&canonical, header.n + field->n + 2);
	for (size_t i = 0; i < selection->n; i++) {
		if (selection->selected[i].field == NULL)
			continue;
		dkim_canonical_header(DKIM_RELAXED, selection->selected[i].field->text, &canonical);
		buffer_add(&canonical, "\r\n", 2);
	}
	dkim_canonical_header(DKIM_RELAXED, (struct slice){ field->bytes, field->n }, &canonical);
	assert(!canonical.overflowed);
	dkim_digest(canonical.bytes, canonical.n, digest);
	buffer_finish(&canonical);
}

char *dkim_sign_finish(const char *field, const uint8_t *signature, size_t n_signature)
{
	char base64[BASE64_ROOM(DKIM_SIGNATURE_MAX)];
	size_t column = column_of(field, strlen(field)), n, at = 0;
	struct buffer whole;

	assert(n_signature > 0 && n_signature <= DKIM_SIGNATURE_MAX);
	n = base64_encode(signature, n_signature, base64);
	buffer_init(&whole, FIELD_MAX);
	buffer_add_text(&whole, field);
	while (at < n) {
		size_t piece = column < COLUMNS_MAX ? COLUMNS_MAX - column : 0;

		if (piece > n - at)
			piece = n - at;
		buffer_add(&whole, base64 + at, piece);
		at += piece;
		if (at < n)
			buffer_add_text(&whole, "\r\n ");
		column = 1;
	}
	buffer_add_text(&whole, "\r\n");
	assert(!whole.overflowed);
	return buffer_take(&whole);
}
