#include "relay/base/encode.h"

#include <string.h>

static const char base64_alphabet[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

size_t base64_encode(const void *bytes, size_t n, char *text)
{
	const uint8_t *in = bytes;
	char *out = text;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t three = (uint32_t)in[i] << 16;

		if (left > 1)
			three |= (uint32_t)in[i + 1] << 8;
		if (left > 2)
			three |= in[i + 2];
		*out++ = base64_alphabet[three >> 18];
		*out++ = base64_alphabet[three >> 12 & 63];
		*out++ = left > 1 ? base64_alphabet[three >> 6 & 63] : '=';
		*out++ = left > 2 ? base64_alphabet[three & 63] : '=';
	}
	*out = '\0';
	return (size_t)(out - text);
}

static int base64_value(char c)
{
	const char *at = c == '\0' ? NULL : strchr(base64_alphabet, c);

	return at == NULL ? -1 : (int)(at - base64_alphabet);
}

bool base64_decode(const char *text, size_t n, void *bytes, size_t *n_bytes)
{
	uint8_t *out = bytes;

	*n_bytes = 0;
	if (n % 4 != 0)
		return false;
	for (size_t i = 0; i < n; i += 4) {
		bool last = i + 4 == n;
		int padding = !last || text[i + 3] != '=' ? 0 : text[i + 2] == '=' ? 2 : 1;
		uint32_t three = 0;

		for (int j = 0; j < 4 - padding; j++) {
			int value = base64_value(text[i + (size_t)j]);

			if (value < 0)
				return false;
			three |= (uint32_t)value << (18 - 6 * j);
		}
		if ((padding == 1 && (three & 0xff) != 0) ||
		    (padding == 2 && (three & 0xffff) != 0))
			return false;
		out[(*n_bytes)++] = (uint8_t)(three >> 16);
		if (padding < 2)
			out[(*n_bytes)++] = (uint8_t)(three >> 8);
		if (padding < 1)
			out[(*n_bytes)++] = (uint8_t)three;
	}
	return true;
}

void hex_encode(const void *bytes, size_t n, char *text)
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t *in = bytes;

	for (size_t i = 0; i < n; i++) {
		text[2 * i] = digits[in[i] >> 4];
		text[2 * i + 1] = digits[in[i] & 15];
	}
	text[2 * n] = '\0';
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

bool hex_decode(const char *text, size_t n, void *bytes, size_t room, size_t *n_bytes)
{
	uint8_t *out = bytes;

	*n_bytes = 0;
	for (size_t i = 0; i < n; i += 2) {
		if (i > 0 && text[i] == ':')
			i++;
		if (i + 1 >= n || hex_value(text[i]) < 0 || hex_value(text[i + 1]) < 0 ||
		    *n_bytes == room)
			return false;
		out[(*n_bytes)++] = (uint8_t)(hex_value(text[i]) << 4 | hex_value(text[i + 1]));
	}
	return true;
}

void crockford_encode(uint64_t value, size_t n_letters, char *text)
{
	static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

	text[n_letters] = '\0';
	while (n_letters > 0) {
		text[--n_letters] = letters[value & 31];
		value >>= 5;
	}
}
