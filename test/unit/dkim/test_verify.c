/*
 * The vectors of RFC 6376 and RFC 8463, and DKIM-Signature fields good and bad.
 */
#include "dkim/verify.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dkim/digest.h"
#include "dkim/key.h"
#include "dkim/tags.h"
#include "relay/base/encode.h"
#include "relay/base/mem.h"
#include "vectors.h"

enum { NOW_S = 1790000000 };

static const struct {
	const char *message;
	size_t which;
	const char *record;
} vectors[] = {
	{ RFC6376_MESSAGE, 0, RFC6376_RECORD },
	{ RFC8463_MESSAGE, 0, RFC8463_ED25519_RECORD },
	{ RFC8463_MESSAGE, 1, RFC8463_RSA_RECORD },
};

static void test_K1_vectors_verify(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof *vectors; i++) {
		struct dkim_result result;

		assert_true(dkim_verify(slice_of(vectors[i].message), vectors[i].which,
		    slice_of(vectors[i].record), NOW_S, &result));
		assert_int_equal(result.verdict, DKIM_PASS);
		assert_string_equal(result.text, "pass");
	}
}

/* Simple: the bytes themselves, in the order of h=. */
#define RFC6376_CANONICAL RFC6376_SIGNED_FIELDS RFC6376_FIELD_BEGIN ";"

/* Relaxed, written out by hand. */
#define RFC8463_CANONICAL_FIELDS                                                                   \
	"from:Joe SixPack <joe@football.example.com>\r\n"                                          \
	"to:Suzie Q <suzie@shopping.example.net>\r\n"                                              \
	"subject:Is dinner ready?\r\n"                                                             \
	"date:Fri, 11 Jul 2003 21:00:37 -0700 (PDT)\r\n"                                           \
	"message-id:<20030712040037.46341.5F8J@football.example.com>\r\n"
#define RFC8463_CANONICAL_ED25519                                                                  \
	RFC8463_CANONICAL_FIELDS                                                                   \
	"dkim-signature:v=1; a=ed25519-sha256; c=relaxed/relaxed; d=football.example.com; "        \
	"i=@football.example.com; q=dns/txt; s=brisbane; t=1528637909; h=from : to : subject : "   \
	"date : message-id : from : subject : date; "                                              \
	"bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b="
#define RFC8463_CANONICAL_RSA                                                                      \
	RFC8463_CANONICAL_FIELDS                                                                   \
	"dkim-signature:v=1; a=rsa-sha256; c=relaxed/relaxed; d=football.example.com; "            \
	"i=@football.example.com; q=dns/txt; s=test; t=1528637909; h=from : to : subject : "       \
	"date : message-id : from : subject : date; "                                              \
	"bh=2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8=; b="

/* Both algorithms are deterministic: signing what the RFCs signed gives their bytes. */
static void test_K1_keys_sign_as_the_vectors(void **state)
{
	static const struct {
		const char *pem, *signed_text, *signature;
	} cases[] = {
		{ RFC6376_KEY, RFC6376_CANONICAL, RFC6376_SIGNATURE },
		{ RFC8463_ED25519_KEY, RFC8463_CANONICAL_ED25519, RFC8463_ED25519_SIGNATURE },
		{ RFC8463_RSA_KEY, RFC8463_CANONICAL_RSA, RFC8463_RSA_SIGNATURE },
	};

	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char text[DKIM_ERROR_MAX], base64[BASE64_ROOM(DKIM_SIGNATURE_MAX)];
		uint8_t digest[DKIM_DIGEST_SIZE], signature[DKIM_SIGNATURE_MAX];
		struct dkim_key *key =
		    dkim_key_parse(slice_of(cases[i].pem), "vector", text, sizeof text);
		size_t n;

		assert_non_null(key);
		dkim_digest(cases[i].signed_text, strlen(cases[i].signed_text), digest);
		assert_int_equal(dkim_key_sign(key, digest, signature, &n, text, sizeof text), 0);
		base64_encode(signature, n, base64);
		assert_string_equal(base64, cases[i].signature);
		dkim_key_destroy(&key);
	}
}

#define HASH  "2jUSOH9NhtVGCQWNr9BrIAPreKQjO6Sn7XIkfJVOzv8="
#define BASIS "v=1; a=rsa-sha256; d=example.org; s=a; h=from; bh=" HASH "; b=AAAA"

static const struct {
	const char *field; /* behind the name and colon */
	const char *why;   /* part of it; NULL: understood */
} signature_cases[] = {
	{ BASIS, NULL }, { BASIS ";", NULL }, { BASIS "; \r\n ", NULL }, { "\r\n\t" BASIS, NULL },
	{ BASIS "; unknown=1; z=From:a@b|To:c", NULL }, { BASIS "; c=simple", NULL },
	{ BASIS "; c=Relaxed/SIMPLE", NULL },
	{ BASIS "; i=joe@example.org; q=dns/txt; t=1; x=2", NULL },
	{ BASIS "; i=@mail.example.org", NULL },
	{ "v = 1 ; a\r\n =\r\n rsa-sha256; d=example.org; s=a; h=to : from; bh=" HASH
	  "; b=AA\r\n AA",
	    NULL },
	{ "", "not a list" }, { ";", "not a list" }, { BASIS ";;", "not a list" },
	{ BASIS "; v=1", "not a list" }, /* twice */
	{ "=1; " BASIS, "not a list" }, { "1a=1; " BASIS, "not a list" },
	{ BASIS "; n\xc3\xb6=1", "not a list" }, { BASIS "; n=\x01", "not a list" },
	{ "a=rsa-sha256; d=example.org; s=a; h=from; bh=" HASH "; b=AAAA", "v= is missing" },
	{ "v=1; d=example.org; s=a; h=from; bh=" HASH "; b=AAAA", "a= is missing" },
	{ "v=1; a=rsa-sha256; s=a; h=from; bh=" HASH "; b=AAAA", "d= is missing" },
	{ "v=1; a=rsa-sha256; d=example.org; h=from; bh=" HASH "; b=AAAA", "s= is missing" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; bh=" HASH "; b=AAAA", "h= is missing" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from; b=AAAA", "bh= is missing" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from; bh=" HASH, "b= is missing" },
	{ "v=2; a=rsa-sha256; d=example.org; s=a; h=from; bh=" HASH "; b=AAAA", "v= is not 1" },
	{ "v=1; a=rsa-sha1; d=example.org; s=a; h=from; bh=" HASH "; b=AAAA", "RFC 8301" },
	{ "v=1; a=dsa-sha256; d=example.org; s=a; h=from; bh=" HASH "; b=AAAA", "a= names" },
	{ "v=1; a=rsa-sha256; d=exa mple.org; s=a; h=from; bh=" HASH "; b=AAAA", "d= is not" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a b; h=from; bh=" HASH "; b=AAAA", "s= is not" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=to:subject; bh=" HASH "; b=AAAA", "From" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from::to; bh=" HASH "; b=AAAA", "of nothing" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from:t o; bh=" HASH "; b=AAAA", "a space" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from; bh=AAAA; b=AAAA", "bh= is not" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from; bh=" HASH "; b=", "b= is not" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from; bh=" HASH "; b=A", "b= is not" },
	{ "v=1; a=rsa-sha256; d=example.org; s=a; h=from; bh=" HASH "; b=A*AA", "b= is not" },
	{ BASIS "; c=nofws", "c= names" }, { BASIS "; c=relaxed/", "c= names" },
	{ BASIS "; i=joe@example.com", "i= is not" },
	{ BASIS "; i=joe@notexample.org", "i= is not" }, { BASIS "; i=joe", "i= is not" },
	{ BASIS "; q=http", "q= asks" }, { BASIS "; t=-1", "t= is not" },
	{ BASIS "; t=1234567890123", "t= is not" }, { BASIS "; x=", "x= is not" },
	{ BASIS "; t=5; x=5", "x= is not after" }, /* K7 */
};

static void test_K7_signature_fields(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof signature_cases / sizeof *signature_cases; i++) {
		char *field = mem_print("DKIM-Signature: %s", signature_cases[i].field);
		struct dkim_signature signature;
		char why[DKIM_ERROR_MAX] = "";
		bool is_good = dkim_signature_parse(slice_of(field), &signature, why, sizeof why);

		if (is_good != (signature_cases[i].why == NULL) ||
		    (!is_good && strstr(why, signature_cases[i].why) == NULL))
			fail_msg("%s: %s", field, why);
		free(field);
	}
}

/* One thing of a good message replaced by another. */
static const struct {
	const char *from, *to;
	const char *record;
	int64_t now_s;
	enum dkim_verdict verdict;
} changed_cases[] = {
	{ "", "", RFC6376_RECORD, NOW_S, DKIM_PASS },
	{ "Hi.", "Hi!", RFC6376_RECORD, NOW_S, DKIM_BODY_CHANGED },
	{ "Hi.", "Hi. ", RFC6376_RECORD, NOW_S, DKIM_BODY_CHANGED }, /* simple */
	{ "Joe.\r\n", "Joe.\r\n\r\n\r\n", RFC6376_RECORD, NOW_S, DKIM_PASS },
	{ "Joe.\r\n", "Joe.", RFC6376_RECORD, NOW_S, DKIM_PASS },
	{ "To: Suzie", "To:  Suzie", RFC6376_RECORD, NOW_S, DKIM_HEADER_CHANGED }, /* simple */
	{ "To: Suzie", "X: y\r\nTo: Suzie", RFC6376_RECORD, NOW_S, DKIM_PASS },
	{ "AuUoFE", "\r\n AuUo\r\n\tFE", RFC6376_RECORD, NOW_S, DKIM_PASS },
	{ "AuUoFE", "BuUoFE", RFC6376_RECORD, NOW_S, DKIM_HEADER_CHANGED },
	{ "q=dns/txt", "q=dns/txt; l=4", RFC6376_RECORD, NOW_S, DKIM_BAD_SIGNATURE },
	{ "q=dns/txt", "q=dns/txt; x=99", RFC6376_RECORD, NOW_S, DKIM_EXPIRED },
	{ "q=dns/txt", "q=dns/txt; t=1790000301", RFC6376_RECORD, NOW_S, DKIM_EXPIRED }, /* K7 */
	{ "q=dns/txt", "q=dns/txt; t=1790000300", RFC6376_RECORD, NOW_S, DKIM_HEADER_CHANGED },
	{ "DKIM-Signature", "X-Signature", RFC6376_RECORD, NOW_S, DKIM_NO_SIGNATURE },
	{ "To: Suzie", "To Suzie", RFC6376_RECORD, NOW_S, DKIM_BAD_MESSAGE },
	{ "", "", RFC8463_RSA_RECORD, NOW_S, DKIM_HEADER_CHANGED }, /* another's key */
	{ "", "", RFC8463_ED25519_RECORD, NOW_S, DKIM_BAD_RECORD },
	{ "", "", "v=DKIM1; p=", NOW_S, DKIM_BAD_RECORD },
	/* K9: i= below d=, where the key says that it may not be */
	{ "", "", RFC6376_RECORD "; t=s", NOW_S, DKIM_BAD_RECORD },
	{ "", "", RFC6376_RECORD "; t=y", NOW_S, DKIM_PASS },
};

static void test_K2_K9_changed_messages(void **state)
{
	const char *good = RFC6376_MESSAGE;

	(void)state;
	for (size_t i = 0; i < sizeof changed_cases / sizeof *changed_cases; i++) {
		const char *at = strstr(good, changed_cases[i].from);
		char *message = mem_print("%.*s%s%s", (int)(at - good), good, changed_cases[i].to,
		    at + strlen(changed_cases[i].from));
		struct dkim_result result;

		dkim_verify(slice_of(message), 0, slice_of(changed_cases[i].record),
		    changed_cases[i].now_s, &result);
		if (result.verdict != changed_cases[i].verdict)
			fail_msg("case %zu: %s", i, result.text);
		assert_memory_equal(result.text, dkim_verdict_name(result.verdict),
		    strlen(dkim_verdict_name(result.verdict)));
		free(message);
	}
}

static void test_message_of_nothing(void **state)
{
	struct dkim_result result;

	(void)state;
	assert_false(
	    dkim_verify((struct slice){ NULL, 0 }, 0, slice_of(RFC6376_RECORD), NOW_S, &result));
	assert_int_equal(result.verdict, DKIM_NO_SIGNATURE);
	assert_false(
	    dkim_verify(slice_of(RFC6376_MESSAGE), 1, slice_of(RFC6376_RECORD), NOW_S, &result));
	assert_int_equal(result.verdict, DKIM_NO_SIGNATURE);
	assert_false(
	    dkim_verify(slice_of(RFC6376_MESSAGE), 0, (struct slice){ NULL, 0 }, NOW_S, &result));
	assert_int_equal(result.verdict, DKIM_BAD_RECORD);
}

static void test_tags(void **state)
{
	struct dkim_tags tags;
	struct buffer many;
	uint8_t bytes[3];
	size_t n;

	(void)state;
	assert_true(dkim_tags_parse(slice_of(" a = x y ;\tB_1=\r\n z;c="), &tags));
	assert_int_equal(tags.n, 3);
	assert_true(slice_equals(dkim_tags_find(&tags, "a")->value, "x y"));
	assert_true(slice_equals(dkim_tags_find(&tags, "a")->raw, " x y "));
	assert_true(slice_equals(dkim_tags_find(&tags, "B_1")->value, "z"));
	assert_int_equal(dkim_tags_find(&tags, "c")->value.n, 0);
	assert_null(dkim_tags_find(&tags, "A"));
	buffer_init(&many, 4096);
	for (int i = 0; i < DKIM_TAGS_MAX; i++)
		buffer_print(&many, "a%d=1;", i);
	assert_true(dkim_tags_parse(slice_of(buffer_text(&many)), &tags));
	buffer_add_text(&many, "b=1");
	assert_false(dkim_tags_parse(slice_of(buffer_text(&many)), &tags));
	buffer_finish(&many);
	assert_true(dkim_tag_base64(slice_of(" A\r\n\tA A A "), bytes, 3, &n));
	assert_int_equal(n, 3);
	assert_false(dkim_tag_base64(slice_of("AAAAAA=="), bytes, 3, &n));
	assert_false(dkim_tag_base64(slice_of("AAAAAAAAAAAAAAAA"), bytes, 3, &n));
	assert_false(dkim_tag_base64(slice_of(" "), bytes, 3, &n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_K1_vectors_verify),
		cmocka_unit_test(test_K1_keys_sign_as_the_vectors),
		cmocka_unit_test(test_K7_signature_fields),
		cmocka_unit_test(test_K2_K9_changed_messages),
		cmocka_unit_test(test_message_of_nothing),
		cmocka_unit_test(test_tags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
