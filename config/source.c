/*
 * Reads the configuration line by line. libconfuse has comments and an include() of its own; it
 * takes a comment inside a list for a value, miscounts lines after some comments, and cannot tell
 * us where an included line stood: so both are done here, before it sees the text.
 */
#include "config/source.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "relay/base/mem.h"

enum {
	INCLUDES_MAX = 8, /* nested */
	BYTES_MAX = 16 << 20,
};

static void read_file(
    struct source *s, struct findings *f, const char *path, int depth, size_t from_line);
static void read_line(
    struct source *s, struct findings *f, char *line, const char *file, int depth);
static bool is_read(const struct source *s, const char *path);
static void clean(struct findings *f, char *line, size_t number);
static bool parse_include(const char *line, char **name);
static void append(struct source *s, const char *line);

void source_read(struct source *s, const char *path, struct findings *f)
{
	*s = (struct source){ .text = mem_copy("", 0) };
	read_file(s, f, path, 0, 0);
}

static void read_file(
    struct source *s, struct findings *f, const char *path, int depth, size_t from_line)
{
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t room = 0;
	unsigned number = 0;
	ssize_t n;

	if (file == NULL) {
		findings_add(
		    f, FINDING_ERROR, from_line, "cannot open '%s': %s", path, strerror(errno));
		return;
	}
	s->files = mem_resize(s->files, s->n_files + 1, sizeof *s->files);
	path = s->files[s->n_files++] = mem_copy_text(path);
	while ((n = getline(&line, &room, file)) >= 0) {
		s->places = mem_resize(s->places, s->n_places + 1, sizeof *s->places);
		s->places[s->n_places++] = (struct findings_place){ path, ++number };
		if (s->n + (size_t)n > BYTES_MAX) {
			findings_add(
			    f, FINDING_ERROR, s->n_places, "more than %d bytes", BYTES_MAX);
			break;
		}
		if (memchr(line, '\0', (size_t)n) != NULL)
			findings_add(f, FINDING_ERROR, s->n_places, "a NUL byte: this is no text");
		line[strcspn(line, "\r\n")] = '\0';
		read_line(s, f, line, path, depth);
	}
	if (ferror(file))
		findings_add(
		    f, FINDING_ERROR, from_line, "cannot read '%s': %s", path, strerror(errno));
	free(line);
	fclose(file);
}

static void read_line(struct source *s, struct findings *f, char *line, const char *file, int depth)
{
	size_t number = s->n_places;
	char *name = NULL;
	char *path;

	clean(f, line, number);
	if (!parse_include(line, &name)) {
		append(s, line);
		return;
	}
	append(s, "");
	if (name == NULL) {
		findings_add(
		    f, FINDING_ERROR, number, "write: include(\"FILE\"), alone in its line");
	} else if (depth >= INCLUDES_MAX) {
		findings_add(f, FINDING_ERROR, number,
		    "includes within includes, more than %d deep", INCLUDES_MAX);
	} else {
		path = source_path_beside(file, name);
		if (is_read(s, path))
			findings_add(f, FINDING_ERROR, number, "'%s' is included twice", path);
		else
			read_file(s, f, path, depth + 1, number);
		free(path);
	}
	free(name);
}

static bool is_read(const struct source *s, const char *path)
{
	for (size_t i = 0; i < s->n_files; i++) {
		if (strcmp(s->files[i], path) == 0)
			return true;
	}
	return false;
}

/* Turns comments, control characters and an open quote into spaces. */
static void clean(struct findings *f, char *line, size_t number)
{
	char quote = '\0';
	char *opened = NULL;
	bool in_word = false;

	for (char *c = line; *c != '\0'; c++) {
		if ((unsigned char)*c < ' ' || *c == 0x7f) {
			if (*c != '\t')
				findings_add(f, FINDING_ERROR, number,
				    "a control character (byte %d)", (unsigned char)*c);
			*c = ' ';
		}
		if (quote != '\0') {
			if (*c == '\\' && c[1] != '\0')
				c++;
			else if (*c == quote)
				quote = '\0';
		} else if (*c == '"' || *c == '\'') {
			quote = *c;
			opened = c;
		} else if (*c == '#' || (*c == '/' && c[1] == '/' && !in_word)) {
			*c = '\0';
			return;
		}
		in_word = quote == '\0' && strchr(" ={}(),\"'", *c) == NULL;
	}
	if (quote != '\0') {
		findings_add(
		    f, FINDING_ERROR, number, "the quote %c is not closed in this line", quote);
		*opened = '\0';
	}
}

/* True for a line that means to include; name is NULL if it does not say what. */
static bool parse_include(const char *line, char **name)
{
	static const char word[] = "include";
	const char *c = line + strspn(line, " ");
	const char *end;
	size_t n;
	bool paren;

	if (strncmp(c, word, sizeof word - 1) != 0)
		return false;
	c += sizeof word - 1;
	if (strchr(" (\"'=", *c) == NULL)
		return false; /* a longer word */
	c += strspn(c, " ");
	if (*c == '=')
		return true;
	paren = *c == '(';
	c += paren;
	c += strspn(c, " ");
	if (*c == '"' || *c == '\'') {
		n = strcspn(c + 1, (char[]){ *c, '\0' });
		end = c + 1 + n + 1;
		c++;
	} else {
		n = strcspn(c, " (){}=,\"'");
		end = c + n;
	}
	end += strspn(end, " ");
	if (paren && *end == ')')
		end++, paren = false;
	end += strspn(end, " ;");
	if (n > 0 && !paren && *end == '\0')
		*name = mem_copy(c, n);
	return true;
}

char *source_path_beside(const char *file, const char *name)
{
	const char *slash = strrchr(file, '/');

	if (name[0] == '/' || slash == NULL)
		return mem_copy_text(name);
	return mem_print("%.*s/%s", (int)(slash - file), file, name);
}

static void append(struct source *s, const char *line)
{
	size_t n = strlen(line);

	s->text = mem_resize(s->text, s->n + n + 2, 1);
	memcpy(s->text + s->n, line, n);
	s->n += n;
	s->text[s->n++] = '\n';
	s->text[s->n] = '\0';
}

void source_finish(struct source *s)
{
	for (size_t i = 0; i < s->n_files; i++)
		free(s->files[i]);
	free(s->files);
	free(s->places);
	free(s->text);
	*s = (struct source){ 0 };
}
