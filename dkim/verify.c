/*
 * The checks in the order of cost: record, times, body, and only then the signature.
 */
#include "dkim/verify.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "dkim/body_hash.h"
#include "dkim/digest.h"
#include "dkim/field.h"
#include "dkim/public_key.h"
#include "relay/base/mem.h"

enum {
	CLOCKS_DIFFER_S = 300, /* a t= this far in the future is only a clock that is not ours */
	NAMES_MAX = 2000,      /* in h=; each is looked for among all fields */
};

static bool take_apart(struct slice message, size_t which, struct dkim_fields *fields,
    size_t *field, struct dkim_signature *signature, struct dkim_result *result);
static bool is_in_time(
    const struct dkim_signature *signature, int64_t now_s, struct dkim_result *result);
static bool body_is_whole(const struct dkim_signature *signature, struct slice body);
static bool hash_header(const struct dkim_signature *signature, const struct dkim_fields *fields,
    size_t own, size_t n_most, uint8_t digest[DKIM_DIGEST_SIZE]);
static void add_own_field(
    const struct dkim_signature *signature, struct slice field, struct buffer *out);
static bool say(struct dkim_result *result, enum dkim_verdict verdict, const char *why);

const char *dkim_verdict_name(enum dkim_verdict verdict)
{
	switch (verdict) {
#define X(symbol, word)                                                                            \
	case symbol: return word;
		DKIM_VERDICTS(X)
#undef X
	}
	assert(!"a verdict");
	return "";
}

bool dkim_verify_find(struct slice message, size_t which, struct dkim_signature *signature,
    struct dkim_result *result)
{
	struct dkim_fields fields;
	size_t field;

	if (!take_apart(message, which, &fields, &field, signature, result))
		return false;
	dkim_fields_finish(&fields);
	return true;
}

bool dkim_verify(struct slice message, size_t which, struct slice record, int64_t now_s,
    struct dkim_result *result)
{
	struct dkim_public_key *key = NULL;
	struct dkim_signature signature;
	uint8_t digest[DKIM_DIGEST_SIZE];
	struct dkim_fields fields;
	char why[DKIM_ERROR_MAX / 2];
	size_t own;

	if (!take_apart(message, which, &fields, &own, &signature, result))
		return false;
	key = dkim_public_key_parse(record, why, sizeof why);
	if (key == NULL) {
		say(result, DKIM_BAD_RECORD, why);
	} else if (dkim_public_key_algorithm(key) != signature.algorithm) {
		say(result, DKIM_BAD_RECORD, "it is for another algorithm than a= says");
	} else if (dkim_public_key_forbids_subdomains(key) && signature.identity_is_below) {
		say(result, DKIM_BAD_RECORD, "t=s, and i= is in a subdomain");
	} else if (signature.has_length) {
		say(result, DKIM_BAD_SIGNATURE, "l= leaves room to add to the body");
	} else if (!is_in_time(&signature, now_s, result)) {
		/* said */
	} else if (!body_is_whole(&signature, (struct slice){ message.bytes + fields.n_bytes,
						  message.n - fields.n_bytes })) {
		say(result, DKIM_BODY_CHANGED, NULL);
	} else if (!hash_header(&signature, &fields, own, message.n, digest)) {
		say(result, DKIM_BAD_SIGNATURE, "h= has too many names");
	} else if (!dkim_public_key_verify(
		       key, digest, signature.signature, signature.n_signature)) {
		say(result, DKIM_HEADER_CHANGED, NULL);
	} else {
		say(result, DKIM_PASS, NULL);
	}
	dkim_public_key_destroy(&key);
	dkim_fields_finish(&fields);
	return result->verdict == DKIM_PASS;
}

static bool say(struct dkim_result *result, enum dkim_verdict verdict, const char *why)
{
	result->verdict = verdict;
	snprintf(result->text, sizeof result->text, "%s%s%s", dkim_verdict_name(verdict),
	    why != NULL ? ": " : "", why != NULL ? why : "");
	return verdict == DKIM_PASS;
}

static bool take_apart(struct slice message, size_t which, struct dkim_fields *fields,
    size_t *field, struct dkim_signature *signature, struct dkim_result *result)
{
	char why[DKIM_ERROR_MAX / 2];

	if (!dkim_fields_init(fields, message))
		return say(result, DKIM_BAD_MESSAGE, "its header is not whole fields with CRLF");
	for (*field = 0; *field < fields->n; ++*field) {
		if (!slice_equals_nocase(fields->fields[*field].name, "dkim-signature") ||
		    which-- > 0)
			continue;
		if (dkim_signature_parse(fields->fields[*field].text, signature, why, sizeof why))
			return true;
		dkim_fields_finish(fields);
		return say(result, DKIM_BAD_SIGNATURE, why);
	}
	dkim_fields_finish(fields);
	return say(result, DKIM_NO_SIGNATURE, NULL);
}

static bool is_in_time(
    const struct dkim_signature *signature, int64_t now_s, struct dkim_result *result)
{
	uint64_t now = now_s > 0 ? (uint64_t)now_s : 0;

	if (signature->has_time && signature->time_s > now + CLOCKS_DIFFER_S)
		return say(result, DKIM_EXPIRED, "t= is in the future");
	if (signature->has_expiry && signature->expiry_s <= now)
		return say(result, DKIM_EXPIRED, "x= is past");
	return true;
}

static bool body_is_whole(const struct dkim_signature *signature, struct slice body)
{
	struct dkim_body_hash *hash = dkim_body_hash_create(signature->body_form);
	uint8_t digest[DKIM_DIGEST_SIZE];

	dkim_body_hash_update(hash, body.bytes, body.n);
	dkim_body_hash_finish(hash, digest);
	dkim_body_hash_destroy(&hash);
	return memcmp(digest, signature->body_hash, sizeof digest) == 0;
}

/* RFC 6376 5.4.2: each name takes the last field of that name that was not taken yet, or nothing. */
static bool hash_header(const struct dkim_signature *signature, const struct dkim_fields *fields,
    size_t own, size_t n_most, uint8_t digest[DKIM_DIGEST_SIZE])
{
	struct slice left = signature->signed_names, name;
	bool *is_taken = mem_create(fields->n);
	struct buffer canonical;
	size_t n_names = 0;

	/* No field is taken twice and no form is longer than the field, so n_most is enough. */
	buffer_init(&canonical, n_most);
	is_taken[own] = true;
	while (dkim_signature_next_name(&left, &name) && ++n_names <= NAMES_MAX) {
		for (size_t i = fields->n; i-- > 0;) {
			const struct dkim_field *field = &fields->fields[i];

			if (is_taken[i] || field->name.n != name.n ||
			    strncasecmp(field->name.bytes, name.bytes, name.n) != 0)
				continue;
			is_taken[i] = true;
			dkim_canonical_header(signature->header_form, field->text, &canonical);
			buffer_add(&canonical, "\r\n", 2);
			break;
		}
	}
	add_own_field(signature, fields->fields[own].text, &canonical);
	assert(!canonical.overflowed);
	dkim_digest(canonical.bytes, canonical.n, digest);
	buffer_finish(&canonical);
	free(is_taken);
	return n_names <= NAMES_MAX;
}

/* RFC 6376 3.7: with b= emptied of everything, the white space around its value too. */
static void add_own_field(
    const struct dkim_signature *signature, struct slice field, struct buffer *out)
{
	size_t at = (size_t)(signature->raw_signature.bytes - field.bytes);
	struct buffer without;

	buffer_init(&without, field.n);
	buffer_add(&without, field.bytes, at);
	buffer_add(&without, field.bytes + at + signature->raw_signature.n,
	    field.n - at - signature->raw_signature.n);
	dkim_canonical_header(
	    signature->header_form, (struct slice){ without.bytes, without.n }, out);
	buffer_finish(&without);
}
