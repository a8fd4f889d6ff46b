/*
 * Bytes and numbers as text: the encoders, and decoders that take nothing an encoder would not
 * write (A5).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "relay/base/encode.h"
#include "relay/base/number.h"

/* RFC 4648 10 */
static const char *const vectors[][2] = {
	{ "", "" },
	{ "f", "Zg==" },
	{ "fo", "Zm8=" },
	{ "foo", "Zm9v" },
	{ "foob", "Zm9vYg==" },
	{ "fooba", "Zm9vYmE=" },
	{ "foobar", "Zm9vYmFy" },
};

static void base64_vectors(void **state)
{
	char text[64], bytes[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof vectors / sizeof vectors[0]; i++) {
		const char *plain = vectors[i][0], *coded = vectors[i][1];

		assert_int_equal(base64_encode(plain, strlen(plain), text), strlen(coded));
		assert_string_equal(text, coded);
		assert_true(base64_decode(coded, strlen(coded), bytes, &n));
		assert_int_equal(n, strlen(plain));
		assert_memory_equal(bytes, plain, n);
	}
}

static void base64_all_lengths_and_bytes(void **state)
{
	uint8_t bytes[256];

	(void)state;
	for (size_t i = 0; i < sizeof bytes; i++)
		bytes[i] = (uint8_t)(i * 7 + 3);
	for (size_t n = 0; n <= sizeof bytes; n++) {
		/* exactly as much room as the header promises to be enough */
		char *text = malloc(BASE64_ROOM(n));
		size_t n_text = base64_encode(bytes, n, text), n_again;
		uint8_t *again = malloc(n_text / 4 * 3 + 1);

		assert_int_equal(n_text, BASE64_ROOM(n) - 1);
		assert_true(base64_decode(text, n_text, again, &n_again));
		assert_int_equal(n_again, n);
		assert_memory_equal(again, bytes, n);
		free(text);
		free(again);
	}
}

static void A5_base64_bad_forms(void **state)
{
	static const char *const bad[] = { "Z", "Zg",
		"Zg=", "Zg===", "Zh==", "Zm9=", "=g==", "Z===", "====", "=", "Zg==Zg==", "Zm=v",
		"Zm8=Zm9v", "Zm9v\r\n", "Zm9 ", "Zm-v", "Zm_v", "Zm9v====", "\xc3\xa4Zg", "Zg=\n",
		"*", "*===" };
	char bytes[64];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (base64_decode(bad[i], strlen(bad[i]), bytes, &n))
			fail_msg("\"%s\" decoded", bad[i]);
	}
	assert_false(base64_decode("Zg\0=", 4, bytes, &n));
	assert_false(base64_decode("\0\0\0\0", 4, bytes, &n));
}

static void hex(void **state)
{
	static const struct {
		const char *text, *bytes;
		size_t n;
	} good[] = {
		{ "", "", 0 },
		{ "00ff", "\x00\xff", 2 },
		{ "aBcD", "\xab\xcd", 2 },
		{ "aa:bb:cc", "\xaa\xbb\xcc", 3 },
	};
	static const char *const bad[] = { "a", "aab", "ag", "aa:", ":aa", "aa::bb", "a:ab",
		"aa bb", "0x12", "aa:b" };
	uint8_t bytes[4];
	char text[9];
	size_t n;

	(void)state;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_true(hex_decode(good[i].text, strlen(good[i].text), bytes, 4, &n));
		assert_int_equal(n, good[i].n);
		assert_memory_equal(bytes, good[i].bytes, n);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		if (hex_decode(bad[i], strlen(bad[i]), bytes, 4, &n))
			fail_msg("\"%s\" decoded", bad[i]);
	}
	assert_true(hex_decode("01020304", 8, bytes, 4, &n));
	assert_false(hex_decode("0102030405", 10, bytes, 4, &n));
	hex_encode("\x01\x02\xfe\xff", 4, text);
	assert_string_equal(text, "0102feff");
}

static void crockford(void **state)
{
	char text[16];

	(void)state;
	crockford_encode(0, 3, text);
	assert_string_equal(text, "000");
	crockford_encode(31, 2, text);
	assert_string_equal(text, "0Z");
	crockford_encode(32, 2, text);
	assert_string_equal(text, "10");
	crockford_encode(UINT64_MAX, 2, text); /* the low bits */
	assert_string_equal(text, "ZZ");
	crockford_encode(UINT64_MAX, 13, text);
	assert_string_equal(text, "FZZZZZZZZZZZZ");
}

static void numbers(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		bool good;
		uint64_t number;
	} forms[] = {
		{ "0", 0, true, 0 },
		{ "00", 0, true, 0 },
		{ "007", 10, true, 7 },
		{ "4294967295", UINT32_MAX, true, UINT32_MAX },
		{ "4294967296", UINT32_MAX, false, 0 },
		{ "18446744073709551615", UINT64_MAX, true, UINT64_MAX },
		{ "18446744073709551616", UINT64_MAX, false, 0 },
		{ "99999999999999999999", UINT64_MAX, false, 0 }, /* S13 */
		{ "000000000000000000001", UINT64_MAX, false, 0 },
		{ "", 9, false, 0 },
		{ "-1", UINT64_MAX, false, 0 },
		{ "+1", 9, false, 0 },
		{ " 1", 9, false, 0 },
		{ "1 ", 9, false, 0 },
		{ "0x1", 99, false, 0 },
		{ "1e1", 99, false, 0 },
		{ "1.0", 99, false, 0 },
		{ "\xd9\xa1", 99, false, 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
		uint64_t number = 77;
		bool good =
		    number_parse(forms[i].text, strlen(forms[i].text), forms[i].max, &number);

		if (good != forms[i].good || number != (good ? forms[i].number : 77))
			fail_msg("\"%s\"", forms[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(base64_vectors),
		cmocka_unit_test(base64_all_lengths_and_bytes),
		cmocka_unit_test(A5_base64_bad_forms),
		cmocka_unit_test(hex),
		cmocka_unit_test(crockford),
		cmocka_unit_test(numbers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
