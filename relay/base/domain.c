#include "relay/base/domain.h"

#include <idn2.h>
#include <stdint.h>
#include <string.h>

#include "relay/base/mem.h"
#include "relay/base/text.h"

/* Letters, digits and hyphens, neither first nor last in a label: RFC 5321 2.3.5, RFC 1123 2.1. */
static bool is_host_name(const char *name)
{
	size_t label = 0;

	for (const char *c = name;; c++) {
		if (*c == '.' || *c == '\0') {
			if (label == 0 || label > 63 || c[-1] == '-')
				return false;
			if (*c == '\0')
				return c - name < DOMAIN_MAX;
			label = 0;
			continue;
		}
		if (!(*c >= 'a' && *c <= 'z') && !(*c >= '0' && *c <= '9') && *c != '_' &&
		    !(*c == '-' && label > 0))
			return false;
		label++;
	}
}

static bool copy_ascii(const char *text, size_t n, char domain[DOMAIN_MAX])
{
	bool has_a_label = false;

	for (size_t i = 0; i < n; i++) {
		char c = text[i];

		domain[i] = c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
		if (i >= 3 && memcmp(domain + i - 3, "xn--", 4) == 0 &&
		    (i == 3 || domain[i - 4] == '.'))
			has_a_label = true;
	}
	domain[n] = '\0';
	return !has_a_label;
}

/* Through libidn2 both ways, so that a made-up A-label is no name either. */
static bool convert(const char *text, char domain[DOMAIN_MAX])
{
	uint8_t *ascii = NULL, *unicode = NULL, *again = NULL;
	const int flags = IDN2_NONTRANSITIONAL | IDN2_NFC_INPUT;
	bool good = false;

	if (idn2_lookup_u8((const uint8_t *)text, &ascii, flags) == IDN2_OK &&
	    strlen((char *)ascii) < DOMAIN_MAX &&
	    idn2_to_unicode_8z8z((char *)ascii, (char **)&unicode, 0) == IDN2_OK &&
	    idn2_lookup_u8(unicode, &again, flags) == IDN2_OK &&
	    strcmp((char *)again, (char *)ascii) == 0) {
		text_copy(domain, DOMAIN_MAX, (char *)ascii);
		good = true;
	}
	idn2_free(ascii);
	idn2_free(unicode);
	idn2_free(again);
	return good;
}

/* One code point of UTF-8, and how many bytes it takes; 0 for what is none. */
static uint32_t read_code_point(const char *text, size_t *n)
{
	const unsigned char *c = (const unsigned char *)text;
	uint32_t value = *c;

	*n = value < 0x80 ? 1 : value < 0xc0 ? 0 : value < 0xe0 ? 2 : value < 0xf0 ? 3 : 4;
	if (*n < 2)
		return value;
	value &= 0x7fu >> *n;
	for (size_t i = 1; i < *n; i++) {
		if ((c[i] & 0xc0) != 0x80) {
			*n = 0;
			return 0;
		}
		value = value << 6 | (c[i] & 0x3f);
	}
	return value;
}

/*
 * Full stops of other scripts would become dots, and what UTS 46 ignores (soft hyphen, joiners,
 * variation selectors...) would vanish: a name that reads as one thing and compares as another is
 * refused.
 */
static bool has_deceiver(const char *text)
{
	static const struct {
		uint32_t first, last;
	} deceivers[] = {
		{ 0x00ad, 0x00ad },
		{ 0x034f, 0x034f },
		{ 0x180b, 0x180f },
		{ 0x200b, 0x200d },
		{ 0x2060, 0x2064 },
		{ 0x3002, 0x3002 },
		{ 0xfe00, 0xfe0f },
		{ 0xfeff, 0xfeff },
		{ 0xff0e, 0xff0e },
		{ 0xff61, 0xff61 },
		{ 0x1bca0, 0x1bca3 },
		{ 0xe0000, 0xe0fff },
	};
	size_t n = 0;

	for (; *text != '\0'; text += n) {
		uint32_t c = read_code_point(text, &n);

		if (n == 0)
			return true;
		for (size_t i = 0; i < sizeof deceivers / sizeof deceivers[0]; i++) {
			if (c >= deceivers[i].first && c <= deceivers[i].last)
				return true;
		}
	}
	return false;
}

bool domain_canonical(const char *text, size_t n, char domain[DOMAIN_MAX])
{
	char lower[4 * DOMAIN_MAX];
	bool is_ascii = true;

	domain[0] = '\0';
	if (n == 0 || n >= sizeof lower || memchr(text, '\0', n) != NULL)
		return false;
	for (size_t i = 0; i < n; i++)
		is_ascii = is_ascii && (unsigned char)text[i] < 128;
	if (is_ascii && n < DOMAIN_MAX && copy_ascii(text, n, domain)) {
		if (is_host_name(domain))
			return true;
		domain[0] = '\0';
		return false;
	}
	memcpy(lower, text, n);
	lower[n] = '\0';
	text_lower(lower);
	if (has_deceiver(lower) || !convert(lower, domain) || !is_host_name(domain)) {
		domain[0] = '\0';
		return false;
	}
	return true;
}

bool domain_written(const char *text, char domain[DOMAIN_MAX])
{
	size_t n = strlen(text);
	const char *last;

	if (!domain_canonical(text, n > 1 && text[n - 1] == '.' ? n - 1 : n, domain))
		return false;
	last = strrchr(domain, '.');
	last = last == NULL ? domain : last + 1;
	if (last[strspn(last, "0123456789")] != '\0')
		return true;
	domain[0] = '\0';
	return false;
}

bool domain_is_within(const char *inner, const char *outer)
{
	size_t n_inner = strlen(inner), n_outer = strlen(outer);

	if (n_inner < n_outer || strcmp(inner + n_inner - n_outer, outer) != 0)
		return false;
	return n_inner == n_outer || inner[n_inner - n_outer - 1] == '.';
}

bool domain_matches(const char *pattern, const char *domain)
{
	const char *dot;

	if (strncmp(pattern, "*.", 2) != 0)
		return strcmp(pattern, domain) == 0;
	dot = strchr(domain, '.');
	return dot != NULL && dot != domain && strcmp(pattern + 1, dot) == 0;
}
