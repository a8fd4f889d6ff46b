/*
 * Edit distance with transpositions (optimal string alignment), on short words only.
 */
#include "config/suggest.h"

#include <stdint.h>
#include <string.h>

enum { WORD_MAX = 40 };

static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b);
static size_t least(size_t a, size_t b);

const char *suggest_nearest(const char *written, const char *const *words, size_t n_words)
{
	size_t n = strlen(written);
	size_t best = SIZE_MAX;
	const char *nearest = NULL;

	for (size_t i = 0; n <= WORD_MAX && i < n_words; i++) {
		size_t n_word = strlen(words[i]);
		size_t d;

		if (n_word > WORD_MAX)
			continue;
		d = distance(written, n, words[i], n_word);
		/* A third of the word may be wrong: of four letters one, of five two. */
		if (d < best && d <= (least(n_word, n) + 1) / 3 && d < n_word) {
			best = d;
			nearest = words[i];
		}
	}
	return nearest;
}

static size_t distance(const char *a, size_t n_a, const char *b, size_t n_b)
{
	size_t d[WORD_MAX + 1][WORD_MAX + 1];

	for (size_t i = 0; i <= n_a; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= n_b; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n_a; i++) {
		for (size_t j = 1; j <= n_b; j++) {
			size_t swap = d[i - 1][j - 1] + (a[i - 1] != b[j - 1]);

			d[i][j] = least(swap, least(d[i - 1][j], d[i][j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
		}
	}
	return d[n_a][n_b];
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}
