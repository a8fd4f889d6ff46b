/*
 * A directory with what a configuration names, and the file under test in it.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "config/config.h"

/* A directory with a certificate, keys of example.org and example.com, and the file under test. */
struct place {
	char directory[64];
	char path[128];
};

/* The least that is accepted, without warnings, besides the domains and accounts of a case. */
#define GROUND                                                                                     \
	"hostname = mail.example.org\n"                                                            \
	"user = nobody\n"                                                                          \
	"delivery { ca-file = cert.pem }\n"                                                        \
	"dns { trust-anchor = cert.pem }\n"                                                        \
	"tls { certificate = cert.pem key = key.pem }\n"

enum { GROUND_LINES = 5 };

#define ORG     "domain example.org { dkim = {one} }\n"
#define ACCOUNT "account web@example.org { senders = {\"@example.org\"} }\n"

int make_place(void **state);
int remove_place(void **state);

void write_file(const struct place *p, const char *name, const char *text, mode_t mode);

/* config_load() of the text. load_good() fails the test if there is anything to remark. */
struct config *load(const struct place *p, const char *text, struct config_remarks *remarks);
struct config *load_good(const struct place *p, const char *text);

/* Is something told of that line of the file, with these words? */
bool is_told(const struct config_remarks *remarks, unsigned line, const char *words);
