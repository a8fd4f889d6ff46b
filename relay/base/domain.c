#include "relay/base/domain.h"

#include <idn2.h>
#include <string.h>

#include "relay/base/mem.h"

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
		strcpy(domain, (char *)ascii);
		good = true;
	}
	idn2_free(ascii);
	idn2_free(unicode);
	idn2_free(again);
	return good;
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
	/*
	 * Full-width and ideographic full stops would become dots, and a soft hyphen or joiner would
	 * vanish: a name that reads as one thing and compares as another is refused.
	 */
	memcpy(lower, text, n);
	lower[n] = '\0';
	for (size_t i = 0; i < n; i++) {
		if (lower[i] >= 'A' && lower[i] <= 'Z')
			lower[i] = (char)(lower[i] - 'A' + 'a');
	}
	if (strstr(lower, "\xe3\x80\x82") != NULL || strstr(lower, "\xef\xbc\x8e") != NULL ||
	    strstr(lower, "\xef\xbd\xa1") != NULL || strstr(lower, "\xc2\xad") != NULL ||
	    strstr(lower, "\xe2\x80\x8b") != NULL || strstr(lower, "\xe2\x80\x8c") != NULL ||
	    strstr(lower, "\xe2\x80\x8d") != NULL || strstr(lower, "\xe2\x81\xa0") != NULL ||
	    !convert(lower, domain) || !is_host_name(domain)) {
		domain[0] = '\0';
		return false;
	}
	return true;
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
