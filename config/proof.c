/*
 * A small reader of libconfuse's syntax that knows keys and braces, and nothing of values. It goes on
 * after a mistake: what belongs to the wrong word is skipped, up to the next that may begin a key.
 */
#include "config/proof.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "config/keys.h"
#include "config/suggest.h"
#include "relay/base/mem.h"

enum { OPTIONS_MAX = 64 }; /* keys in one section */

enum token_kind { TOKEN_END, TOKEN_WORD, TOKEN_MARK };

struct token {
	enum token_kind kind;
	char mark;         /* one of = + { } ( ) , where + stands for += */
	size_t begin, end; /* in the text, quotes included */
	size_t line;
};

struct reading {
	struct proof *proof;
	struct source *source;
	struct findings *findings;
	size_t at, line; /* of what comes next */
	struct token token;
};

static void read_section(
    struct reading *r, const cfg_opt_t *table, const char *name, size_t opened);
static void read_statement(
    struct reading *r, const cfg_opt_t *table, const char *name, size_t *seen, struct token word);
static void read_value(struct reading *r, const cfg_opt_t *option, struct token word);
static bool read_list(struct reading *r, const char *name);
static void read_named(struct reading *r, const cfg_opt_t *option, struct token word);
static bool note_section(
    struct reading *r, const cfg_opt_t *option, struct token word, struct token title);
static void unknown(struct reading *r, const cfg_opt_t *table, const char *name, struct token word);
static bool tell_home(struct reading *r, const char *key, const char *name, struct token word);
static void skip_statement(struct reading *r, struct token word);
static void skip_line(struct reading *r, struct token word);
static void skip_braces(struct reading *r);
static void blank(struct reading *r, size_t begin, size_t end);
static void next(struct reading *r);
static void next_word(struct reading *r);
static bool is(const struct reading *r, char mark);
static bool is_word_letter(char c);
static char *unquoted(const struct reading *r, struct token word);
static const char *shown(const struct reading *r);

void proof_read(struct proof *p, struct source *s, const cfg_opt_t *options, struct findings *f)
{
	struct reading r = { .proof = p, .source = s, .findings = f, .line = 1 };

	*p = (struct proof){ 0 };
	next(&r);
	read_section(&r, options, NULL, 0);
}

/* Up to its closing brace, which stays the token; the file itself (no name) up to its end. */
static void read_section(struct reading *r, const cfg_opt_t *table, const char *name, size_t opened)
{
	size_t seen[OPTIONS_MAX] = { 0 };

	for (;;) {
		struct token t = r->token;

		if (t.kind == TOKEN_END) {
			if (name != NULL)
				findings_add(r->findings, FINDING_ERROR, opened,
				    "the brace of '%s' is never closed", name);
			return;
		}
		if (is(r, '}') && name != NULL)
			return;
		if (t.kind == TOKEN_WORD) {
			read_statement(r, table, name, seen, t);
			continue;
		}
		findings_add(r->findings, FINDING_ERROR, t.line,
		    is(r, '}') ? "a closing brace without its opening"
			       : "'%s' where a key was expected",
		    shown(r));
		blank(r, t.begin, t.end);
		next(r);
	}
}

static void read_statement(
    struct reading *r, const cfg_opt_t *table, const char *name, size_t *seen, struct token word)
{
	char *key = unquoted(r, word);
	size_t i = 0;

	while (table[i].name != NULL && strcmp(table[i].name, key) != 0)
		i++;
	free(key);
	next(r);
	if (table[i].name == NULL) {
		unknown(r, table, name, word);
		skip_statement(r, word);
		return;
	}
	if (seen[i] != 0 && (table[i].flags & CFGF_MULTI) == 0) {
		const struct findings_place *first = &r->source->places[seen[i] - 1];

		findings_add(r->findings, FINDING_ERROR, word.line,
		    "'%s' is written twice, first in %s:%u", table[i].name, first->file,
		    first->line);
		skip_statement(r, word);
		return;
	}
	seen[i] = word.line;
	if (table[i].type == CFGT_SEC)
		read_named(r, &table[i], word);
	else
		read_value(r, &table[i], word);
}

static void read_value(struct reading *r, const cfg_opt_t *option, struct token word)
{
	bool list = (option->flags & CFGF_LIST) != 0;

	if (!is(r, '=') && !(is(r, '+') && list)) {
		findings_add(r->findings, FINDING_ERROR, word.line, "write: %s = %s", option->name,
		    list ? "{VALUE, VALUE}" : "VALUE");
		skip_statement(r, word);
		return;
	}
	next(r);
	if (r->token.kind == TOKEN_WORD) {
		next(r);
		return;
	}
	if (list && is(r, '{')) {
		next(r);
		if (!read_list(r, option->name))
			blank(r, word.begin, r->token.begin);
		return;
	}
	findings_add(r->findings, FINDING_ERROR, word.line,
	    is(r, '{') ? "'%s' takes one value, not a list" : "'%s' has no value", option->name);
	if (is(r, '{')) {
		size_t begin = r->token.begin;

		skip_braces(r);
		blank(r, begin, r->token.begin);
		r->source->text[begin] = PROOF_SPOILED;
	} else {
		blank(r, word.begin, r->token.begin);
	}
}

/* What follows the opening brace, up to behind the closing one. False if libconfuse must not see it. */
static bool read_list(struct reading *r, const char *name)
{
	bool good = true;

	for (;;) {
		if (r->token.kind == TOKEN_WORD) {
			next(r);
			if (is(r, ',')) {
				next(r);
				continue;
			}
		}
		if (is(r, '}')) {
			next(r);
			return good;
		}
		good = false;
		findings_add(r->findings, FINDING_ERROR, r->token.line,
		    "in the list '%s': '%s' where a comma or '}' was expected", name, shown(r));
		if (r->token.kind != TOKEN_WORD)
			break;
	}
	while (r->token.kind != TOKEN_END && !is(r, '}'))
		next(r);
	if (is(r, '}'))
		next(r);
	return false;
}

static void read_named(struct reading *r, const cfg_opt_t *option, struct token word)
{
	bool named = (option->flags & CFGF_TITLE) != 0;
	struct token title = { .kind = TOKEN_END };

	if (named && r->token.kind == TOKEN_WORD) {
		title = r->token;
		next(r);
	}
	if (!is(r, '{') || (named && title.kind == TOKEN_END)) {
		findings_add(r->findings, FINDING_ERROR, word.line, "write: %s %s{ ... }",
		    option->name, named ? "NAME " : "");
		r->at = word.end;
		r->line = word.line;
		next(r);
		skip_line(r, word);
		return;
	}
	if (!note_section(r, option, word, title)) {
		skip_statement(r, word);
		return;
	}
	next(r);
	read_section(r, option->subopts, option->name, word.line);
	if (is(r, '}'))
		next(r);
}

static bool note_section(
    struct reading *r, const cfg_opt_t *option, struct token word, struct token title)
{
	struct proof *p = r->proof;
	char *text = title.kind == TOKEN_WORD ? unquoted(r, title) : NULL;
	size_t first = text == NULL ? 0 : proof_find_section(p, option->name, text, 0);

	if (first != 0) {
		findings_add(r->findings, FINDING_ERROR, word.line,
		    "%s '%s' is written twice, first in %s:%u", option->name, text,
		    r->source->places[first - 1].file, r->source->places[first - 1].line);
		free(text);
		return false;
	}
	p->sections = mem_resize(p->sections, p->n_sections + 1, sizeof *p->sections);
	p->sections[p->n_sections++] =
	    (struct proof_section){ .kind = option->name, .title = text, .line = word.line };
	return true;
}

static void unknown(struct reading *r, const cfg_opt_t *table, const char *name, struct token word)
{
	const char *known[OPTIONS_MAX];
	const char *nearest;
	size_t n = 0;
	char *key = unquoted(r, word);

	while (n < OPTIONS_MAX && table[n].name != NULL) {
		known[n] = table[n].name;
		n++;
	}
	nearest = suggest_nearest(key, known, n);
	if (key[0] != PROOF_SPOILED && !tell_home(r, key, name, word))
		findings_add(r->findings, FINDING_ERROR, word.line, "unknown key '%s'%s%s%s%s%s%s",
		    key, name == NULL ? "" : " in '", name == NULL ? "" : name,
		    name == NULL ? "" : "'", nearest == NULL ? "" : ": did you mean '",
		    nearest == NULL ? "" : nearest, nearest == NULL ? "" : "'?");
	free(key);
}

/* Of a key that stands in the wrong section. False if no other has it, or more than one. */
static bool tell_home(struct reading *r, const char *key, const char *name, struct token word)
{
	const char *home = keys_home(key);

	if (home == NULL)
		return false;
	findings_add(r->findings, FINDING_ERROR, word.line,
	    "unknown key '%s'%s%s%s: it belongs %s%s%s", key, name == NULL ? "" : " in '",
	    name == NULL ? "" : name, name == NULL ? "" : "'",
	    home[0] == '\0' ? "outside of all sections" : "in '", home, home[0] == '\0' ? "" : "'");
	return true;
}

/* From the token after the word: takes away all that looks as if it belonged to the word. */
static void skip_statement(struct reading *r, struct token word)
{
	if (is(r, '=') || is(r, '+')) {
		next(r);
		if (r->token.kind == TOKEN_WORD)
			next(r);
		else if (is(r, '{'))
			skip_braces(r);
	} else {
		while (r->token.kind == TOKEN_WORD && r->token.line == word.line)
			next(r);
		if (is(r, '{'))
			skip_braces(r);
	}
	blank(r, word.begin, r->token.begin);
}

/* What should have been a section's beginning: up to the end of its line, and of its braces. */
static void skip_line(struct reading *r, struct token word)
{
	while (r->token.kind != TOKEN_END && r->token.line == word.line && !is(r, '}')) {
		if (is(r, '{'))
			skip_braces(r);
		else
			next(r);
	}
	blank(r, word.begin, r->token.begin);
}

static void skip_braces(struct reading *r)
{
	size_t opened = r->token.line;
	int depth = 0;

	do {
		if (is(r, '{'))
			depth++;
		else if (is(r, '}'))
			depth--;
		next(r);
	} while (depth > 0 && r->token.kind != TOKEN_END);
	if (depth > 0)
		findings_add(r->findings, FINDING_ERROR, opened, "this brace is never closed");
}

static void blank(struct reading *r, size_t begin, size_t end)
{
	for (size_t i = begin; i < end; i++) {
		if (r->source->text[i] != '\n')
			r->source->text[i] = ' ';
	}
}

static void next(struct reading *r)
{
	const char *text = r->source->text;

	while (r->at < r->source->n && strchr(" \t\n", text[r->at]) != NULL)
		r->line += text[r->at++] == '\n';
	r->token = (struct token){ .begin = r->at, .line = r->line };
	if (r->at >= r->source->n) {
		r->token.end = r->at;
		return;
	}
	r->token.kind = TOKEN_MARK;
	if (text[r->at] == '+' && text[r->at + 1] == '=') {
		r->token.mark = '+';
		r->at += 2;
	} else if (strchr("={}(),", text[r->at]) != NULL) {
		r->token.mark = text[r->at++];
	} else {
		next_word(r);
	}
	r->token.end = r->at;
}

/* A quoted string, which source.c has seen closed, or letters up to a space or a mark. */
static void next_word(struct reading *r)
{
	char *text = r->source->text;
	char quote = text[r->at];
	bool loose = false;
	size_t begin = r->at;

	r->token.kind = TOKEN_WORD;
	if (quote == '"' || quote == '\'') {
		for (r->at++; text[r->at] != quote; r->at++) {
			if (text[r->at] == '\\')
				r->at++;
		}
		r->at++;
		return;
	}
	while (is_word_letter(text[r->at])) {
		if (text[r->at] == '*' || (text[r->at] == '+' && text[r->at + 1] != '='))
			loose = true;
		else if (text[r->at] == '+')
			break;
		r->at++;
	}
	if (loose) {
		findings_add(r->findings, FINDING_ERROR, r->line,
		    "a word with '*' or '+' must stand in quotes: \"%.*s\"", (int)(r->at - begin),
		    text + begin);
		/* Still a word for the rest, and one that says nothing. */
		memset(text + begin, PROOF_SPOILED, r->at - begin);
	}
}

static bool is(const struct reading *r, char mark)
{
	return r->token.kind == TOKEN_MARK && r->token.mark == mark;
}

static bool is_word_letter(char c)
{
	return c != '\0' && strchr(" \t\n\"'={}(),", c) == NULL;
}

static char *unquoted(const struct reading *r, struct token word)
{
	const char *text = r->source->text + word.begin;
	size_t quotes = text[0] == '"' || text[0] == '\'';

	return mem_copy(text + quotes, word.end - word.begin - 2 * quotes);
}

static const char *shown(const struct reading *r)
{
	static const char marks[] = "=\0{\0}\0(\0)\0,";

	if (r->token.kind == TOKEN_END)
		return "the end of the file";
	if (r->token.kind == TOKEN_WORD)
		return "another word";
	if (r->token.mark == '+')
		return "+=";
	return (const char *)memchr(marks, r->token.mark, sizeof marks - 1);
}

void proof_finish(struct proof *p)
{
	for (size_t i = 0; i < p->n_sections; i++)
		free(p->sections[i].title);
	free(p->sections);
	*p = (struct proof){ 0 };
}

size_t proof_find_section(const struct proof *p, const char *kind, const char *title, size_t nth)
{
	for (size_t i = 0; i < p->n_sections; i++) {
		const struct proof_section *s = &p->sections[i];

		if (strcmp(s->kind, kind) != 0)
			continue;
		if (title != NULL && s->title != NULL && strcasecmp(s->title, title) == 0)
			return s->line;
		if (title == NULL && nth-- == 0)
			return s->line;
	}
	return 0;
}
