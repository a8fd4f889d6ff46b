/*
 * The text is read by lines: a block begins and ends with one of its own, and has base64 between.
 */
#include "config/certificates.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/encode.h"
#include "relay/base/mem.h"

struct reading {
	const char *text;
	size_t n, at; /* at: where the next line begins */
	const char *line;
	size_t n_line; /* without its end */
	unsigned number;
	size_t block;   /* how many certificates have begun */
	unsigned begun; /* the line in which the last one did */
};

static bool next_line(struct reading *r);
static bool is_mark(const struct reading *r, const char *which, const char **label, size_t *n);
static bool is_certificate(const char *label, size_t n);
static const char *read_block(struct reading *r, struct config_certificate *certificate);
static void append(char *base64, size_t *n, const char *line, size_t n_line);

bool certificates_parse(const char *text, size_t n_text, struct config_certificate **cas, size_t *n,
    char *why, size_t room)
{
	struct reading r = { .text = text, .n = n_text };
	const char *label, *wrong = NULL;
	size_t n_label;

	*cas = NULL;
	*n = 0;
	while (wrong == NULL && next_line(&r)) {
		if (!is_mark(&r, "BEGIN", &label, &n_label) || !is_certificate(label, n_label))
			continue;
		r.begun = r.number;
		if (r.block++ == CONFIG_PARTNER_CAS_MAX)
			break;
		*cas = mem_resize(*cas, *n + 1, sizeof **cas);
		(*cas)[*n] = (struct config_certificate){ 0 };
		wrong = read_block(&r, &(*cas)[(*n)++]);
	}
	if (wrong == NULL && *n > 0 && r.block == *n)
		return true;
	if (wrong != NULL)
		snprintf(why, room, "certificate %zu, which begins in line %u, %s", r.block,
		    r.begun, wrong);
	else if (*n > 0)
		snprintf(why, room,
		    "has more than %d certificates: leave those that vouch for this partner",
		    CONFIG_PARTNER_CAS_MAX);
	else
		snprintf(why, room,
		    "has no certificate: it must be PEM, with lines of -----BEGIN CERTIFICATE-----");
	certificates_free(*cas, *n);
	*cas = NULL;
	*n = 0;
	return false;
}

static bool next_line(struct reading *r)
{
	const char *end;

	if (r->at >= r->n)
		return false;
	r->line = r->text + r->at;
	end = memchr(r->line, '\n', r->n - r->at);
	r->n_line = end == NULL ? r->n - r->at : (size_t)(end - r->line);
	r->at += r->n_line + 1;
	r->number++;
	while (r->n_line > 0 && strchr(" \t\r", r->line[r->n_line - 1]) != NULL)
		r->n_line--;
	return true;
}

/* "-----BEGIN LABEL-----" */
static bool is_mark(const struct reading *r, const char *which, const char **label, size_t *n)
{
	char begin[16];
	size_t n_begin = (size_t)snprintf(begin, sizeof begin, "-----%s ", which);

	if (r->n_line < n_begin + 5 || memcmp(r->line, begin, n_begin) != 0 ||
	    memcmp(r->line + r->n_line - 5, "-----", 5) != 0)
		return false;
	*label = r->line + n_begin;
	*n = r->n_line - n_begin - 5;
	return true;
}

/* The second name is what OpenSSL accepts beside it; RFC 7468 5.1 knows it too. */
static bool is_certificate(const char *label, size_t n)
{
	static const char *const labels[] = { "CERTIFICATE", "X509 CERTIFICATE" };

	for (size_t i = 0; i < sizeof labels / sizeof labels[0]; i++) {
		if (strlen(labels[i]) == n && memcmp(labels[i], label, n) == 0)
			return true;
	}
	return false;
}

/* From the line behind BEGIN to that of END. NULL, or what is wrong. */
static const char *read_block(struct reading *r, struct config_certificate *certificate)
{
	char *base64 = mem_create(r->n - r->at + 1);
	const char *label, *wrong = "is never ended";
	size_t n = 0, n_label;

	while (next_line(r)) {
		if (is_mark(r, "BEGIN", &label, &n_label))
			break;
		if (is_mark(r, "END", &label, &n_label)) {
			certificate->der = mem_create(n / 4 * 3 + 1);
			wrong = n == 0 ? "is empty"
				: is_certificate(label, n_label) &&
					base64_decode(base64, n, certificate->der, &certificate->n)
				    ? NULL
				    : "is broken: what is between BEGIN and END is not base64";
			break;
		}
		append(base64, &n, r->line, r->n_line);
	}
	free(base64);
	return wrong;
}

static void append(char *base64, size_t *n, const char *line, size_t n_line)
{
	for (size_t i = 0; i < n_line; i++) {
		if (line[i] != ' ' && line[i] != '\t')
			base64[(*n)++] = line[i];
	}
}

void certificates_free(struct config_certificate *cas, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(cas[i].der);
	free(cas);
}
