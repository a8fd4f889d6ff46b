/*
 * Every key that may be written, once: its section, its name, what its value looks like, where it
 * goes and what it is when it is not written. libconfuse's tables, the reader, the suggestions and
 * the completeness test of the manual all come from here.
 */
#pragma once

#include <confuse.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_kind {
	KEY_TEXT,         /* char *, as written */
	KEY_HOST,         /* char *, a canonical domain */
	KEY_NAME,         /* the same, or empty: none */
	KEY_PATH,         /* char *, absolute */
	KEY_LOG,          /* char *: syslog, stderr or a path */
	KEY_NUMBER,       /* uint32_t */
	KEY_PORT,         /* uint16_t */
	KEY_SIZE,         /* uint32_t of bytes: 100k, 25M, 2G */
	KEY_SIZE64,       /* uint64_t of bytes */
	KEY_SECONDS,      /* uint32_t: 90, 90s, 5m, 1h, 5d, 1w */
	KEY_MILLISECONDS, /* uint32_t of milliseconds, written as the former */
	KEY_SWITCH,       /* bool: on, off, yes, no, true, false */
	KEY_LEVEL,        /* enum tls_level, one of the set in most */
	KEY_OTHER,        /* one value, read by hand in read_*.c */
	KEY_LIST,         /* several values, read by hand in read_*.c */
};

/* Sections: "" is the file itself. "dns.stub" stands within dns. */
struct key {
	const char *section;
	const char *name;
	enum key_kind kind;
	size_t offset;        /* in struct config */
	const char *standard; /* NULL: computed, or none */
	uint64_t least, most; /* of numbers, sizes and seconds; KEY_LEVELS of levels */
};

#define KEY_LEVELS(level) (1U << (level))

/* Of ONE and OPTIONAL there is at most one; only OPTIONAL tells whether it was written at all. */
enum section_kind { SECTION_ONE, SECTION_OPTIONAL, SECTION_MANY, SECTION_NAMED };

struct section {
	const char *name;
	enum section_kind kind;
	const char *form; /* how it is written */
};

extern const struct key keys[];
extern const size_t n_keys;
extern const struct section sections[];
extern const size_t n_sections;

/*
 * The one section that knows this key or section, for what stands in a wrong place: its last word, ""
 * for the file itself. NULL if none or several know it.
 */
const char *keys_home(const char *name);

/*
 * The tables libconfuse parses by; every value is given to take and freed with free(). The strings
 * are static, the arrays the caller's: free with keys_destroy_options().
 */
cfg_opt_t *keys_create_options(cfg_callback_t take);
void keys_destroy_options(cfg_opt_t **options);
