/*
 * Log lines, in the words Postfix uses, to syslog, standard error or a file. Writing never waits: a
 * target that is full loses lines, which are counted and reported when it takes lines again.
 * Peer text goes through log_escape() first.
 */
#pragma once

#include <stddef.h>

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/*
 * target: "syslog", "stderr", or the path of a file, which is opened for append. Called once by the
 * parent before the roles start. Returns -1 with a text in error (room bytes) if it can't be opened.
 */
int log_open(const char *target, enum log_level least, char *error, size_t room);
void log_close(void);

/* What lines are written to; for a process that closes everything else. */
int log_fd(void);

/* The tag of this process: "smtpd" is logged as "zegel/smtpd[pid]". Before it: "zegel[pid]". */
void log_set_tag(const char *tag);

/* One line, without a newline. */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * A line of one stage written by the process of another, as information: what reads Postfix's log
 * knows a line by its tag.
 */
void log_info_as(const char *tag, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...)   log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_info(...)    log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)   log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/*
 * Peer text made printable: bytes outside ' '..'~' become '?', and it is cut to room - 1 bytes.
 * Returns out.
 */
char *log_escape(const char *text, size_t n, char *out, size_t room);
